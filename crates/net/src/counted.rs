//! A body that counts itself as it leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Adds the bytes of every frame that the connection takes from `body` to `sent`; costs no allocation.
    pub struct Counted<B> {
        #[pin]
        body: B,
        sent: Arc<AtomicU64>,
    }
}

impl<B> Counted<B> {
    /// Counts `body` into `sent`.
    pub fn new(body: B, sent: Arc<AtomicU64>) -> Self {
        Self { body, sent }
    }
}

impl<B: Body<Data = Bytes>> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn what_leaves_is_counted_and_what_stays_is_not() {
        let sent = Arc::new(AtomicU64::new(0));
        let body =
            |sent: &Arc<AtomicU64>| Counted::new(Full::new(Bytes::from_static(b"media")), sent.clone());
        drop(body(&sent));
        assert_eq!(sent.load(Ordering::Relaxed), 0);
        assert_eq!(body(&sent).size_hint().exact(), Some(5));
        assert_eq!(body(&sent).collect().await.unwrap().to_bytes(), "media");
        assert_eq!(sent.load(Ordering::Relaxed), 5);
    }
}
