//! An origin over real sockets, in front of a directory or of a web server that the test plays.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod directory;
mod web;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kromka_config::{
    AdminConfig, CacheConfig, Limits, ListenConfig, LiveConfig, LogConfig, NodeConfig, OriginConfig,
    OriginService, SelectorRef, SourceConfig, TlsConfig,
};
use kromka_net::{BoxError, Client, ClientOptions, Handler, Incoming, Peer, ServerOptions, Serving};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::{Running, start};

const TOKEN: &str = "a node token for tests";

type WebBody = BoxBody<Bytes, BoxError>;
type Reply = dyn Fn(&Request<Incoming>) -> Response<WebBody> + Send + Sync;

/// The web server of a test: answers as told, remembers what it was asked.
struct TestWeb {
    reply: Box<Reply>,
    seen: Mutex<Vec<(String, HeaderMap)>>,
}

impl Handler for TestWeb {
    type Body = WebBody;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<WebBody> {
        self.seen.lock().push((request.uri().to_string(), request.headers().clone()));
        (self.reply)(&request)
    }
}

impl TestWeb {
    async fn start(
        reply: impl Fn(&Request<Incoming>) -> Response<WebBody> + Send + Sync + 'static,
    ) -> (Arc<TestWeb>, Serving) {
        let web = Arc::new(TestWeb { reply: Box::new(reply), seen: Mutex::default() });
        let bound = kromka_net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let serving = kromka_net::serve(bound, ServerOptions::default(), Arc::clone(&web));
        (web, serving)
    }
}

fn text(status: u16, text: &'static str) -> Response<WebBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {});
    let length = text.len();
    Response::builder().status(status).header("content-length", length).body(body.boxed()).unwrap()
}

/// A running origin and what a test needs around it.
struct Site {
    origin: Running,
    client: Client,
    _folder: TempDir,
}

/// An answer with its body read.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Result<Bytes, kromka_net::ClientError>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().unwrap()).unwrap()
    }

    /// The last part of the problem's type.
    fn slug(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem: kromka_net::Problem = serde_json::from_slice(self.body.as_ref().unwrap()).unwrap();
        problem.slug().to_owned()
    }
}

/// The configuration of an origin with one service.
fn config(state: &Path, source: SourceConfig) -> OriginConfig {
    let mut node = NodeConfig::new("o1", TOKEN.into());
    node.data = state.join("node");
    OriginConfig {
        node,
        listen: ListenConfig { http: Some("127.0.0.1:0".parse().unwrap()), https: None },
        tls: TlsConfig::default(),
        limits: Limits::default(),
        admin: AdminConfig { listen: "127.0.0.1:0".parse().unwrap() },
        cache: CacheConfig::default(),
        live: LiveConfig::default(),
        selector: SelectorRef::default(),
        service: vec![OriginService::new("default", source)],
        log: LogConfig::default(),
    }
}

impl Site {
    async fn start(source: SourceConfig) -> Site {
        Site::start_with(source, |_| ()).await
    }

    async fn start_with(source: SourceConfig, change: impl FnOnce(&mut OriginConfig)) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), source);
        change(&mut config);
        let origin = start(config).await.unwrap();
        Site { origin, client: Client::new(ClientOptions::default()).unwrap(), _folder: folder }
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(path, &[]).await
    }

    /// With the node's token.
    async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let bearer = format!("Bearer {TOKEN}");
        let fields = [&[("authorization", bearer.as_str())], fields].concat();
        self.send(Method::GET, path, &fields).await
    }

    async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Got {
        let base = self.origin.url.as_str().trim_end_matches('/');
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = self.client.send(request.body(Bytes::new()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let pieces: Result<Vec<Bytes>, _> = body.try_collect().await;
        Got { status: parts.status, headers: parts.headers, body: pieces.map(|all| all.concat().into()) }
    }

    async fn admin(&self, path: &str) -> (StatusCode, String) {
        let request =
            Request::get(self.origin.admin.join(path).unwrap().as_str()).body(Bytes::new()).unwrap();
        let (parts, body) = self.client.send(request).await.unwrap().into_parts();
        let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
        (parts.status, String::from_utf8(pieces.concat()).unwrap())
    }
}

/// A body that promises `length` bytes and breaks off after `given`.
fn broken(length: usize, given: usize) -> Response<WebBody> {
    let frames: Vec<Result<Frame<Bytes>, BoxError>> =
        vec![Ok(Frame::data(vec![7; given].into())), Err("the source dies here".into())];
    let mut response = text(200, "");
    response.headers_mut().insert("content-length", length.into());
    *response.body_mut() = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
    response
}
