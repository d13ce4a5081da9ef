//! Real sockets, raw bytes: what a client sees of the server.
//!
//! - `http1` and `http2` are the smallest possible clients, so that nothing between the test and the wire
//!   smooths over what the server did;
//! - `limits`, `patience`, `bodies` and `draining` each ask one kind of question.
//!
//! Times are never asserted; [`soon`] only tells a hang from a wait.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod draining;
pub(crate) mod http1;
pub(crate) mod http2;
mod limits;
mod patience;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use kromka_config::{Limits, Span};
use tokio::sync::Semaphore;

use super::*;
use crate::{BoxError, Peer, bind};

/// Far beyond any wait in these tests: only a hang takes this long.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it hangs")
}

/// Waits until a counter has reached `value`.
pub(crate) async fn reaches(counter: &AtomicU64, value: u64) {
    soon(async {
        while counter.load(Relaxed) != value {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, BoxError>> + Send>>;

/// Answers by path; `gate` holds back what the test wants to see in progress.
pub(crate) struct Demo {
    pub(crate) gate: Semaphore,
}

impl Handler for Arc<Demo> {
    type Body = StreamBody<Pieces>;

    async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<Self::Body> {
        let demo = Arc::clone(self);
        let data = |bytes: usize| Ok(Frame::data(Bytes::from(vec![b'x'; bytes])));
        let broken = || Err(BoxError::from("the source broke"));
        let mut length = None;
        let pieces: Pieces = match request.uri().path() {
            "/panic" => panic!("as asked"),
            "/panic-body" => stream::once(async { panic!("as asked, later") }).boxed(),
            "/broken-length" => {
                length = Some(100_000);
                stream::iter([data(1000), broken()]).boxed()
            }
            "/broken-chunked" => stream::iter([data(1000), broken()]).boxed(),
            "/big" => stream::repeat_with(move || data(64 << 10)).take(1024).boxed(),
            "/held" => {
                demo.gate.acquire().await.unwrap().forget();
                stream::iter([data(10)]).boxed()
            }
            "/half" => {
                let rest = stream::once(async move {
                    demo.gate.acquire().await.unwrap().forget();
                    data(10)
                });
                length = Some(20);
                stream::iter([data(10)]).chain(rest).boxed()
            }
            "/tls" => text(peer.tls.to_string()),
            path => {
                let path = path.to_owned();
                length = Some(path.len());
                text(path)
            }
        };
        let mut response = Response::new(StreamBody::new(pieces));
        if let Some(length) = length {
            response.headers_mut().insert("content-length", length.into());
        }
        response
    }
}

fn text(text: String) -> Pieces {
    stream::iter([Ok(Frame::data(Bytes::from(text)))]).boxed()
}

/// A server with its handler and counters.
pub(crate) struct Running {
    pub(crate) serving: Serving,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) demo: Arc<Demo>,
    pub(crate) addr: SocketAddr,
}

pub(crate) async fn start(limits: Limits, tls: Option<Tls>) -> Running {
    let demo = Arc::new(Demo { gate: Semaphore::new(0) });
    let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let serving =
        serve(bound, ServerOptions { limits, tls, ..ServerOptions::default() }, Arc::new(Arc::clone(&demo)));
    Running { addr: serving.addr(), stats: serving.stats(), serving, demo }
}

#[tokio::test]
async fn a_connection_that_ends_tells_how_far_its_client_was() {
    let (demo, log) = (Arc::new(Demo { gate: Semaphore::new(0) }), Arc::new(RttLog::default()));
    let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let options = ServerOptions { rtt: Some(Arc::clone(&log)), ..ServerOptions::default() };
    let serving = serve(bound, options, Arc::new(Arc::clone(&demo)));
    let mut client = http1::Http1::connect(serving.addr()).await;
    assert_eq!(client.get("/one").await.status, 200);
    assert!(log.take().is_empty(), "it goes on");
    drop(client);
    serving.drain(Duration::from_secs(10)).await;
    let samples = log.take();
    assert_eq!(samples.len(), 1, "{samples:?}");
    assert!(samples[0].peer.is_loopback() && samples[0].sent > 0 && samples[0].min_rtt > Duration::ZERO);
}

pub(crate) fn patient() -> Limits {
    Limits {
        header_timeout: Span::minutes(5),
        idle_timeout: Span::hours(1),
        send_timeout: Span::minutes(10),
        ..Limits::default()
    }
}
