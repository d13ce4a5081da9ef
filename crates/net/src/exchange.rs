//! One request and its answer, between hyper and the handler.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::activity::Activity;
use crate::error::BoxError;
use crate::handler::{Handler, Peer};
use crate::problem::Problem;
use crate::stats::{ServerStats, count, uncount};

/// A DATA frame of this many bytes and its head of 9 fill one TLS record of 16 384 (RFC 9113 section 4.1,
/// RFC 8446 section 5.1). Frames of the largest size would make two records each.
const H2_TLS_PIECE: usize = 16_384 - 9;

/// What a connection's exchanges share.
pub(crate) struct Exchanges<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) peer: Peer,
    pub(crate) activity: Arc<Activity>,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) url_bytes: usize,
    pub(crate) header_bytes: usize,
}

impl<H: Handler> Exchanges<H> {
    /// Carries one request to the handler. Whatever happens there, the client gets an answer.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Guarded<H::Body>> {
        let mut open = Open::begin(&self.activity, &self.stats);
        open.until_close = request.version() == Version::HTTP_10;
        let in_records = request.version() == Version::HTTP_2 && self.peer.tls;
        let response = match self.refused(&request) {
            Some(problem) => {
                count(&self.stats.malformed);
                self.own(problem).map(Either::Right)
            }
            None => {
                let handled = async { self.handler.handle(request, self.peer).await };
                match AssertUnwindSafe(handled).catch_unwind().await {
                    Ok(response) => response.map(Either::Left),
                    Err(panic) => {
                        count(&self.stats.panics);
                        tracing::error!(reason = reason(&*panic), "a handler panicked; its client got a 500");
                        self.own(internal()).map(Either::Right)
                    }
                }
            }
        };
        let piece = if in_records { H2_TLS_PIECE } else { usize::MAX };
        response.map(|inner| Guarded { inner, open, broken: None, piece, rest: Bytes::new() })
    }

    /// An answer in the handler's place, with what the role puts on every answer.
    fn own(&self, problem: Problem) -> Response<Full<Bytes>> {
        let mut response = problem.response();
        self.handler.dress(response.headers_mut());
        response
    }

    fn refused(&self, request: &Request<Incoming>) -> Option<Problem> {
        let url = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if url > self.url_bytes {
            let problem = Problem::new(StatusCode::URI_TOO_LONG, "url-too-long", "The URL is too long");
            return Some(problem.detail(format!("at most {} bytes of path and query", self.url_bytes)));
        }
        // RFC 9112, section 3.2: exactly one, or servers down the road may not agree who is asked.
        if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
            let problem = Problem::new(StatusCode::BAD_REQUEST, "bad-host", "Bad Host");
            return Some(problem.detail("an HTTP/1.1 request has exactly one Host field"));
        }
        if header_bytes(request.headers()) > self.header_bytes {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let problem = Problem::new(status, "header-too-large", "The request header is too large");
            return Some(problem.detail(format!("at most {} bytes of header fields", self.header_bytes)));
        }
        None
    }
}

/// The size of a header block as HTTP/1.1 writes it: `name: value\r\n`.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server made a mistake")
        .detail("it has been logged; the same request may well succeed again")
}

fn reason(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no text",
    }
}

/// An exchange in progress; dropping it ends it.
struct Open {
    activity: Arc<Activity>,
    stats: Arc<ServerStats>,
    sending: bool,
    /// The body's end may be marked by nothing but the connection's end (HTTP/1.0).
    until_close: bool,
}

impl Open {
    fn begin(activity: &Arc<Activity>, stats: &Arc<ServerStats>) -> Self {
        activity.begin();
        count(&stats.requests);
        count(&stats.in_flight);
        Self { activity: Arc::clone(activity), stats: Arc::clone(stats), sending: false, until_close: false }
    }

    fn note(&mut self, sending: bool) {
        if sending == self.sending {
            return;
        }
        self.sending = sending;
        if sending {
            self.activity.ready_to_send();
        } else {
            self.activity.waits_for_handler();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.note(false);
        self.activity.end();
        uncount(&self.stats.in_flight);
        if std::thread::panicking() {
            count(&self.stats.panics);
        }
    }
}

pin_project! {
    /// A handler's body under watch, cut as the connection likes it.
    pub(crate) struct Guarded<B> {
        #[pin]
        inner: Either<B, Full<Bytes>>,
        open: Open,
        broken: Option<BoxError>,
        // The connection gets at most this many bytes at once.
        piece: usize,
        // What it has not got yet.
        rest: Bytes,
    }
}

impl<B> Body for Guarded<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if !this.rest.is_empty() {
            let piece = this.rest.split_to(this.rest.len().min(*this.piece));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match this.inner.poll_frame(cx) {
            Poll::Pending => {
                this.open.note(false);
                Poll::Pending
            }
            Poll::Ready(Some(Err(error))) => {
                count(&this.open.stats.body_errors);
                tracing::debug!(%error, "a body broke; its client sees the answer cut");
                if this.open.until_close {
                    this.open.activity.reset_on_close();
                }
                // On an error hyper drops what it has not written yet, perhaps the header too. One more
                // turn lets it write first: what came before the break is good.
                *this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.open.note(true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.open.note(true);
                let frame = match frame.into_data() {
                    Ok(mut data) if data.len() > *this.piece => {
                        *this.rest = data.split_off(*this.piece);
                        Frame::data(data)
                    }
                    Ok(data) => Frame::data(data),
                    Err(other) => other,
                };
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        match inner.exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => inner,
        }
    }
}
