//! An edge over real sockets, in front of a shield that the test plays.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod answers;
mod feed;
mod plans;
mod shields;
mod steering;
mod tokens;
mod web;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kromka_access::{Claims, Signer};
use kromka_config::{
    AdminConfig, CacheConfig, EdgeConfig, Limits, ListenConfig, LiveConfig, LogConfig, NodeConfig,
    ProbeConfig, SelectorRef, ServiceConfig, SiblingsConfig, TlsConfig, UpstreamConfig,
};
use kromka_net::{BoxError, Client, ClientOptions, Handler, Incoming, Peer, ServerOptions, Serving};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::{Running, start};

const NODE_TOKEN: &str = "a node token for tests";
const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\n360/index.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720\n720/index.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=128000\naudio/index.m3u8\n";

type ShieldBody = BoxBody<Bytes, BoxError>;
type Reply = dyn Fn(&Request<Incoming>) -> Response<ShieldBody> + Send + Sync;

/// The shield of a test: answers as told, remembers what it was asked.
struct TestShield {
    reply: Box<Reply>,
    seen: Mutex<Vec<(String, HeaderMap)>>,
}

impl Handler for TestShield {
    type Body = ShieldBody;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<ShieldBody> {
        self.seen.lock().push((request.uri().to_string(), request.headers().clone()));
        (self.reply)(&request)
    }
}

impl TestShield {
    async fn start(
        reply: impl Fn(&Request<Incoming>) -> Response<ShieldBody> + Send + Sync + 'static,
    ) -> (Arc<TestShield>, Serving) {
        let shield = Arc::new(TestShield { reply: Box::new(reply), seen: Mutex::default() });
        let bound = kromka_net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let serving = kromka_net::serve(bound, ServerOptions::default(), Arc::clone(&shield));
        (shield, serving)
    }

    /// The fields of the requests so far, by what was asked.
    fn seen(&self) -> Vec<(String, HeaderMap)> {
        self.seen.lock().clone()
    }
}

fn whole(text: impl Into<Bytes>) -> ShieldBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// What a shield says about a file that never changes.
fn segment(bytes: impl Into<Bytes>) -> Response<ShieldBody> {
    let bytes = bytes.into();
    Response::builder()
        .header("etag", "\"v1\"")
        .header("content-type", "video/mp2t")
        .header("content-length", bytes.len())
        .header("cache-control", "public, max-age=31536000, immutable")
        .body(whole(bytes))
        .unwrap()
}

fn status(status: StatusCode) -> Response<ShieldBody> {
    Response::builder().status(status).header("content-length", 0).body(whole("")).unwrap()
}

/// A body that promises `length` bytes and breaks off after `given`.
fn broken(length: usize, given: usize) -> Response<ShieldBody> {
    let frames: Vec<Result<Frame<Bytes>, BoxError>> =
        vec![Ok(Frame::data(vec![7; given].into())), Err("the shield dies here".into())];
    let mut response = segment("");
    response.headers_mut().insert("content-length", length.into());
    *response.body_mut() = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
    response
}

/// A running edge and what a test needs around it.
struct Site {
    edge: Running,
    client: Client,
    signer: Signer,
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
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: kromka_net::Problem = serde_json::from_slice(self.body.as_ref().unwrap()).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem.slug().to_owned()
    }
}

impl Site {
    async fn start(shields: &[&Serving]) -> Site {
        Site::start_with(shields, |_| ()).await
    }

    async fn start_with(shields: &[&Serving], change: impl FnOnce(&mut EdgeConfig)) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let (signer, _) = Signer::generate("k1").unwrap();
        let keys = folder.path().join("keys.json");
        let jwks = serde_json::json!({ "keys": [signer.jwk().unwrap()] });
        std::fs::write(&keys, jwks.to_string()).unwrap();
        let url = |serving: &&Serving| Url::parse(&format!("http://{}/", serving.addr())).unwrap();
        let mut node = NodeConfig::new("e1", NODE_TOKEN.into());
        node.data = folder.path().join("node");
        let mut config = EdgeConfig {
            node,
            listen: ListenConfig { http: Some("127.0.0.1:0".parse().unwrap()), https: None },
            tls: TlsConfig::default(),
            limits: Limits::default(),
            admin: AdminConfig { listen: "127.0.0.1:0".parse().unwrap() },
            cache: CacheConfig::default(),
            shield: UpstreamConfig { urls: shields.iter().map(url).collect(), ..UpstreamConfig::default() },
            siblings: SiblingsConfig::default(),
            live: LiveConfig::default(),
            selector: SelectorRef::default(),
            probe: ProbeConfig::default(),
            service: vec![ServiceConfig::new("default")],
            keys: Some(keys),
            log: LogConfig::default(),
        };
        change(&mut config);
        let edge = start(config).await.unwrap();
        let client = Client::new(ClientOptions::default()).unwrap();
        Site { edge, client, signer, _folder: folder }
    }

    /// A token for all below `/stream/`, changed as told.
    fn token(&self, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = Claims {
            iss: "test".into(),
            sub: "viewer".into(),
            sid: "s1".into(),
            aud: "default".into(),
            exp: now() + 3600,
            cdniuc: "path:/stream/".into(),
            ..Claims::default()
        };
        change(&mut claims);
        self.signer.sign(&claims).unwrap()
    }

    /// The path behind a good token.
    fn signed(&self, path: &str) -> String {
        format!("/~{}{path}", self.token(|_| ()))
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(Method::GET, path, &[]).await
    }

    async fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Got {
        let base = self.edge.url.as_str().trim_end_matches('/');
        self.send(method, &format!("{base}{path}"), fields).await
    }

    async fn send(&self, method: Method, url: &str, fields: &[(&str, &str)]) -> Got {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = self.client.send(request.body(Bytes::new()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let pieces: Result<Vec<Bytes>, _> = body.try_collect().await;
        Got { status: parts.status, headers: parts.headers, body: pieces.map(|all| all.concat().into()) }
    }

    /// The whole answer to a path that no client would send as it is.
    async fn raw(&self, path: &str) -> String {
        let address = self.edge.url.socket_addrs(|| None).unwrap()[0];
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn admin(&self, path: &str) -> Got {
        let url = self.edge.admin.join(path).unwrap();
        self.send(Method::GET, url.as_str(), &[]).await
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
