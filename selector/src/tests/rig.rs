//! Starts the selector and speaks to it.

use std::{path::Path, sync::atomic::AtomicU64, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use kromka_config::{
    AdminConfig, ApiTokenConfig, BeaconsConfig, ChecksConfig, DnsConfig, GeoConfig, Limits, ListenConfig,
    LogConfig, RoutingConfig, SelectorConfig, SelectorService, SessionsConfig, SteeringConfig, StoreConfig,
    TlsConfig,
};
use kromka_control::{Feed, Heartbeat, JobProgress, Load, NodeRole, NodeState, OperationState};
use kromka_net::{Client, ClientOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::Running;

/// May do everything.
pub(super) const ALL: &str = "operator-token-0001";
/// May create sessions only.
pub(super) const BACKEND: &str = "backend-token-00001";
/// Is a node's.
pub(super) const NODE: &str = "node-token-0000001";
/// What the service carries.
pub(super) const ASSET: &str = "/stream/demo/master.m3u8";

/// A selector and a way to speak to it.
pub(super) struct Rig {
    pub(super) running: Running,
    pub(super) folder: TempDir,
    client: Client,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Reply {
    /// A field of the header, empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The last part of a problem's type.
    pub(super) fn slug(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status.as_u16(), "{self:?}");
        self.json["type"].as_str().unwrap().strip_prefix("urn:kromka:problem:").unwrap()
    }

    /// The pointers of a problem.
    pub(super) fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }
}

/// A configuration in that folder.
pub(super) fn config(folder: &Path) -> SelectorConfig {
    let caller = |name: &str, secret: &str, scopes: &[&str]| ApiTokenConfig {
        name: name.into(),
        secret: secret.into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let local = "127.0.0.1:0".parse().unwrap();
    SelectorConfig {
        listen: ListenConfig { http: Some(local), https: None },
        tls: TlsConfig::default(),
        limits: Limits { drain: kromka_config::Span::secs(5), ..Limits::default() },
        admin: AdminConfig { listen: local },
        url: None,
        store: StoreConfig { path: folder.join("selector.db") },
        node_token: NODE.into(),
        token: vec![
            caller(
                "operator",
                ALL,
                &["sessions:write", "content:write", "purge:write", "nodes:write", "read"],
            ),
            caller("backend", BACKEND, &["sessions:write"]),
        ],
        sessions: SessionsConfig::default(),
        routing: RoutingConfig::default(),
        dns: DnsConfig::default(),
        steering: SteeringConfig::default(),
        // The nodes of most tests are only told of.
        checks: ChecksConfig { enabled: false, ..ChecksConfig::default() },
        beacons: BeaconsConfig::default(),
        geo: GeoConfig::default(),
        site: Vec::new(),
        service: vec![
            SelectorService::new("default"),
            SelectorService { prefix: "/music/".into(), ..SelectorService::new("music") },
        ],
        player: true,
        log: LogConfig::default(),
    }
}

impl Rig {
    /// A fresh selector.
    pub(super) async fn start() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        Rig::with(config(folder.path()), folder).await
    }

    /// A selector with that configuration.
    pub(super) async fn with(config: SelectorConfig, folder: TempDir) -> Rig {
        let running = crate::start(config).await.unwrap();
        Rig { running, folder, client: Client::new(ClientOptions::default()).unwrap() }
    }

    /// Stops it and starts it again on the same store.
    pub(super) async fn restart(self) -> Rig {
        self.running.drain().await;
        Rig::with(config(self.folder.path()), self.folder).await
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Reply {
        let base = self.running.url.as_str().trim_end_matches('/');
        let mut request =
            Request::builder().method(Method::try_from(method).unwrap()).uri(format!("{base}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let response = self.client.send_within(request, Duration::from_secs(30)).await.unwrap();
        let (parts, mut body) = response.into_parts();
        let body = body.whole(8 << 20).await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = String::from_utf8(body.to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, text, json }
    }

    /// The status of a GET whose target no URL library has tidied up.
    pub(super) async fn raw(&self, target: &str) -> u16 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let addr = self.running.url.socket_addrs(|| None).unwrap()[0];
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// A GET by the operator.
    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[("authorization", &format!("Bearer {ALL}"))], "").await
    }

    /// A POST by the operator.
    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, &[("authorization", &format!("Bearer {ALL}"))], &body.to_string()).await
    }

    /// A heartbeat of a node.
    pub(super) async fn beat(&self, heartbeat: &Heartbeat) -> Reply {
        let path = format!("/v1/nodes/{}/heartbeat", heartbeat.id);
        let body = serde_json::to_string(heartbeat).unwrap();
        self.send("POST", &path, &[("authorization", &format!("Bearer {NODE}"))], &body).await
    }

    /// Two heartbeats over a connection of their own, which ends when it is dropped.
    pub(super) async fn beat_on_a_line(&self, heartbeat: &Heartbeat) -> tokio::net::TcpStream {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let addr = self.running.url.socket_addrs(|| None).unwrap()[0];
        let mut line = tokio::net::TcpStream::connect(addr).await.unwrap();
        for seq in [heartbeat.seq, node(&heartbeat.id).seq] {
            let body = serde_json::to_string(&Heartbeat { seq, ..heartbeat.clone() }).unwrap();
            let head = format!(
                "POST /v1/nodes/{}/heartbeat HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {NODE}\r\ncontent-length: {}\r\n\r\n",
                heartbeat.id,
                body.len()
            );
            line.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            let mut answer = vec![0; 4_096];
            let read = line.read(&mut answer).await.unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        line
    }

    /// Brings up nodes: `o…` are shields, all others edges; the site is what stands before the `-`.
    pub(super) async fn up(&self, ids: &[&str]) {
        for id in ids {
            assert_eq!(self.beat(&node(id)).await.status, 200, "{id}");
        }
    }

    /// What the feed shows a node.
    pub(super) async fn feed(&self, node: &str, after: u64, wait_ms: u64) -> Feed {
        let path = format!("/v1/feed?after={after}&node={node}&wait_ms={wait_ms}");
        let reply = self.send("GET", &path, &[("authorization", &format!("Bearer {NODE}"))], "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        serde_json::from_value(reply.json).unwrap()
    }

    /// A node says that it has applied the feed up to `seq`.
    pub(super) async fn applied(&self, id: &str, seq: u64) {
        let feed_id = self.feed(id, u64::MAX, 0).await.feed_id;
        let heartbeat = Heartbeat { feed_seq: seq, feed_id, ..node(id) };
        assert_eq!(self.beat(&heartbeat).await.status, 200);
    }

    /// A node says how its job goes.
    pub(super) async fn job(&self, id: &str, operation: &str, state: OperationState, done: u64) {
        let job = JobProgress {
            operation: operation.into(),
            state,
            objects_done: done,
            objects_total: 10,
            bytes_done: done * 1_000,
            bytes_total: 10_000,
            error: (state == OperationState::Failed).then(|| "/a.ts: gone".into()),
        };
        assert_eq!(self.beat(&Heartbeat { jobs: vec![job], ..node(id) }).await.status, 200);
    }

    /// Waits until `check` holds of an operation; gives up after ten seconds.
    pub(super) async fn until(&self, operation: &str, check: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..200 {
            let reply = self.get(&format!("/v1/operations/{operation}")).await;
            if check(&reply.json) {
                return reply.json;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{operation} never came to that: {:?}",
            self.get(&format!("/v1/operations/{operation}")).await.json
        );
    }
}

/// A fresh heartbeat of a node; every one is newer than the ones before.
pub(super) fn node(id: &str) -> Heartbeat {
    static SEQ: AtomicU64 = AtomicU64::new(1);
    Heartbeat {
        id: id.into(),
        site: id.split('-').next().unwrap().into(),
        url: format!("http://{id}.example:8080/"),
        tls_url: None,
        addresses: vec![],
        alpn: vec![],
        role: if id.starts_with('o') { NodeRole::Origin } else { NodeRole::Edge },
        boot: "boot".into(),
        seq: SEQ.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        t_ms: 0,
        state: NodeState::Up,
        unready: false,
        known: false,
        version: "0.1.0".into(),
        load: Load { egress_bps: 100_000_000, egress_limit_bps: 1_000_000_000, ..Load::default() },
        sessions_started: 0,
        bytes_per_session: 0,
        cache: Default::default(),
        feed_seq: 0,
        feed_id: String::new(),
        jobs: vec![],
        rtt: vec![],
        rtt_first: 0,
        errors: Default::default(),
        probes: false,
        goodbye: false,
    }
}
