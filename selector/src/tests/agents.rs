//! The nodes' real agents against the real selector: what one says the other understands.

use std::{path::Path, sync::Arc, time::Duration};

use kromka_access::KeySet;
use kromka_control::{
    Agent, AgentHandle, AgentOptions, Api, CacheLoad, Identity, Load, Node, NodeRole, NodeState,
    OperationState, PrewarmRequest, PurgeMode, PurgeOrder, PurgeRequest, SessionRequest,
};
use kromka_net::ClientOptions;
use parking_lot::Mutex;
use serde_json::Value;

use super::rig::{ALL, ASSET, NODE, Rig, config};

/// A node that notes what it is told, and after how many others.
#[derive(Default)]
struct Told {
    id: String,
    order: Arc<Mutex<Vec<String>>>,
    keys: Mutex<Option<KeySet>>,
    states: Mutex<Vec<NodeState>>,
    purges: Mutex<Vec<(u64, PurgeOrder)>>,
}

impl Node for Told {
    fn load(&self) -> Load {
        Load { egress_limit_bps: 1_000_000_000, ..Load::default() }
    }

    fn cache(&self) -> CacheLoad {
        CacheLoad::default()
    }

    fn sessions_started(&self) -> u64 {
        0
    }

    fn keys(&self, jwks: &Value) -> Result<(), String> {
        *self.keys.lock() = Some(KeySet::from_jwks(&jwks.to_string()).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn purge(&self, seq: u64, order: &PurgeOrder) -> Result<(), String> {
        self.order.lock().push(self.id.clone());
        self.purges.lock().push((seq, order.clone()));
        Ok(())
    }

    fn state(&self, state: NodeState) {
        self.states.lock().push(state);
    }

    async fn fetch_playlist(&self, _: &str, path: &str) -> Result<String, String> {
        match path {
            ASSET => Ok("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n720p/index.m3u8\n".to_owned()),
            _ => Ok("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n#EXTINF:4,\n2.ts\n#EXT-X-ENDLIST\n"
                .to_owned()),
        }
    }

    async fn warm(
        &self,
        _: &str,
        _: &str,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<u64, String> {
        progress(1_000);
        Ok(1_000)
    }

    async fn list(&self, _: &str, _: &str) -> Result<Vec<(String, u64)>, String> {
        Ok(vec![])
    }
}

/// Starts an agent that knows these selectors, and follows the feed of the first.
fn join(
    rigs: &[&Rig],
    folder: &Path,
    id: &str,
    role: NodeRole,
    order: &Arc<Mutex<Vec<String>>>,
) -> (AgentHandle, Arc<Told>) {
    let told = Arc::new(Told { id: id.into(), order: Arc::clone(order), ..Told::default() });
    let options = AgentOptions {
        identity: Identity {
            id: id.into(),
            role,
            site: id.into(),
            url: format!("http://{id}.example:8080/").parse().unwrap(),
            tls_url: None,
            addresses: vec![],
            alpn: vec![],
        },
        selectors: rigs.iter().map(|rig| rig.running.url.clone()).collect(),
        token: NODE.into(),
        interval: Duration::from_millis(200),
        state_dir: folder.join(id),
    };
    (Agent::start(options, Arc::clone(&told)).unwrap(), told)
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..300 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to this: {what}");
}

#[tokio::test]
async fn keys_purges_prewarms_and_drains_reach_agents_and_come_back_as_receipts() {
    // A fixed port, so that the agents find the selector again after its restart.
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut fixed = config(folder.path());
    fixed.listen.http = Some(free);
    let rig = Rig::with(fixed.clone(), folder).await;
    let order = Arc::default();
    let states = tempfile::tempdir().unwrap();
    let (shield_agent, shield) = join(&[&rig], states.path(), "shield", NodeRole::Origin, &order);
    let (edge_agent, edge) = join(&[&rig], states.path(), "edge-1", NodeRole::Edge, &order);
    eventually("both have the keys and are caught up", || {
        let keys = |told: &Told| told.keys.lock().is_some();
        keys(&shield) && keys(&edge) && shield_agent.caught_up() && edge_agent.caught_up()
    })
    .await;
    let api = Api::new(rig.running.url.clone(), Some(ALL.into()), ClientOptions::default()).unwrap();
    for _ in 0..100 {
        if api.nodes().await.unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let session = SessionRequest {
        service: "default".into(),
        asset: ASSET.into(),
        subject: "v".into(),
        client_ip: None,
        max_height: None,
        max_bitrate: None,
        duration_s: None,
        ttl_s: None,
        start_ttl_s: None,
        bind_ip: false,
    };
    let answer = api.sessions_create(&session).await.unwrap();
    let target = answer.master_url.strip_prefix("http://edge-1.example:8080").unwrap().to_owned();
    let token = kromka_hls::split(&target).unwrap().token.unwrap();
    let keys = edge.keys.lock().clone().unwrap();
    assert!(kromka_access::verify(&token, &keys, chrono::Utc::now().timestamp()).is_ok());

    let purge = PurgeRequest {
        service: "default".into(),
        mode: PurgeMode::Hard,
        urls: vec![],
        prefixes: vec!["/stream/".into()],
        tags: vec![],
        all: false,
    };
    let operation = api.purge(&purge).await.unwrap();
    let operation = api.wait(&operation.id, |_| {}).await.unwrap();
    assert_eq!(operation.state, OperationState::Succeeded);
    assert!(operation.nodes.iter().all(|share| share.applied_at.is_some()), "{operation:?}");
    assert_eq!(*order.lock(), ["shield", "edge-1"], "shields first");
    assert_eq!(shield.purges.lock()[0], edge.purges.lock()[0]);

    let folder = rig.folder;
    rig.running.drain().await;
    let rig = Rig::with(fixed, folder).await;
    assert_eq!(api.operation(&operation.id).await.unwrap().nodes, operation.nodes);
    let warm =
        PrewarmRequest { service: "default".into(), trees: vec![ASSET.into()], ..PrewarmRequest::default() };
    let operation = api.prewarm(&warm).await.unwrap();
    let operation = api.wait(&operation.id, |_| {}).await.unwrap();
    assert_eq!((operation.state, operation.nodes.len()), (OperationState::Succeeded, 2), "{operation:?}");
    assert!(operation.progress.objects_done >= 4 && operation.progress.bytes_done >= 4_000, "{operation:?}");

    let drained = api.drain("edge-1").await.unwrap();
    assert_eq!((drained.state, drained.drain.unwrap().confirmed), (NodeState::Draining, true));
    assert_eq!(edge.states.lock().last(), Some(&NodeState::Draining));
    assert_eq!(api.resume("edge-1").await.unwrap().state, NodeState::Up);
    eventually("and that it is back", || edge.states.lock().last() == Some(&NodeState::Up)).await;

    edge_agent.stop().await;
    let nodes = api.nodes().await.unwrap();
    assert_eq!(
        nodes.iter().find(|node| node.id == "edge-1").unwrap().state,
        NodeState::Down,
        "it said goodbye"
    );
    shield_agent.stop().await;
    rig.running.drain().await;
}

#[tokio::test]
async fn a_drain_that_is_answered_holds_at_every_selector_that_the_node_reaches() {
    let (asked, other) = (Rig::start().await, Rig::start().await);
    let states = tempfile::tempdir().unwrap();
    let (agent, _) = join(&[&asked, &other], states.path(), "edge-1", NodeRole::Edge, &Arc::default());
    let api =
        |rig: &Rig| Api::new(rig.running.url.clone(), Some(ALL.into()), ClientOptions::default()).unwrap();
    let (one, two) = (api(&asked), api(&other));
    let up = async |api: &Api| {
        for _ in 0..300 {
            if api.node("edge-1").await.is_ok_and(|node| node.state == NodeState::Up) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the edge is not up");
    };
    for _ in 0..5 {
        up(&one).await;
        up(&two).await;
        let drained = one.drain("edge-1").await.unwrap();
        assert!(drained.drain.unwrap().confirmed);
        let snapshot = other.running.app().roster.published();
        let edge = snapshot.edges().iter().find(|edge| *edge.called.id == *"edge-1").unwrap();
        assert!(edge.draining, "in what viewers are answered from");
        drop(snapshot);
        let there = two.node("edge-1").await.unwrap();
        assert_eq!((there.state, there.drain.unwrap().confirmed), (NodeState::Draining, true), "at once");
        one.resume("edge-1").await.unwrap();
    }
    up(&two).await;
    let not_followed = two.drain("edge-1").await.unwrap();
    assert_eq!((not_followed.state, not_followed.drain.unwrap().confirmed), (NodeState::Draining, false));

    other.running.drain().await;
    agent.stop().await;
    let gone = one.drain("edge-1").await.unwrap();
    assert_eq!((gone.state, gone.drain), (NodeState::Down, None));
    asked.running.drain().await;
}
