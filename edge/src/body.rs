//! The body of every answer: the tier's blocks or a short text, counted as it leaves.
//!
//! No box and no allocation per frame: blocks go to the connection as the tier holds them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use kromka_cache::BodyError;

use crate::metrics::ServiceMeters;

/// What an answer is made of.
pub(crate) enum Content {
    Tier(kromka_cache::Body),
    Text(Bytes),
}

/// The body of an answer.
pub(crate) struct Body {
    content: Content,
    meters: Arc<ServiceMeters>,
}

impl Content {
    pub(crate) fn empty() -> Content {
        Content::Text(Bytes::new())
    }

    /// Its length, where it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Content::Tier(body) => body.size_hint().exact(),
            Content::Text(text) => Some(text.len() as u64),
        }
    }

    /// A body that counts itself for a service.
    pub(crate) fn counted(self, meters: Arc<ServiceMeters>) -> Body {
        Body { content: self, meters }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = match &mut this.content {
            Content::Tier(body) => Pin::new(body).poll_frame(cx),
            Content::Text(text) if text.is_empty() => Poll::Ready(None),
            Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.meters.sent(data.len());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Tier(body) => body.is_end_stream(),
            Content::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Tier(body) => body.size_hint(),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}
