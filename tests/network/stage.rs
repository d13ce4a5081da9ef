//! A fleet across a wide-area network: a selector, shields, edges and viewers, each on a host of its own.

use std::time::Duration;

use tempfile::TempDir;

use super::cloud::Cloud;
use crate::world::role::Role;
use crate::world::settings::{self, API_TOKEN, Additions, Places};
use crate::world::{Operator, media, until};

/// The edges of every stage.
pub(super) const EDGES: [&str; 3] = ["edge-1", "edge-2", "edge-3"];

/// The shields of every stage.
pub(super) const SHIELDS: [&str; 2] = ["shield-1", "shield-2"];

/// A fleet at work. Fields are dropped in order: first the processes, then what they run on.
pub(super) struct Stage {
    pub(super) selector: Role,
    pub(super) edges: Vec<Role>,
    pub(super) shields: Vec<Role>,
    pub(super) cloud: Cloud,
    _folder: TempDir,
}

/// What has every playlist of a stage steered; players look again after a second.
pub(super) fn steered() -> Additions {
    let (at, text) = ("http://10.77.2.1:8080", "live = \"1s\"\nvod = \"1s\"\nhot = \"1s\"");
    vec![
        ("edge", "service", format!("steering = \"{at}/steer/default\"")),
        ("selector", "steering", text.to_owned()),
    ]
}

/// Plays a scenario on a stage; `play` sees the network as the viewer does.
pub(super) fn on_stage<F: Future<Output = ()>>(
    additions: Additions,
    play: impl FnOnce(Stage) -> F + Send + 'static,
) {
    let hosts: Vec<&str> =
        ["viewer", "selector", "far-viewer"].into_iter().chain(SHIELDS).chain(EDGES).collect();
    let cloud = Cloud::of(&hosts);
    // A thread of its own: which host a thread is on is a property of the thread.
    let scenario = std::thread::spawn(move || {
        cloud.host("viewer").enter();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { play(Stage::start(cloud, additions).await).await });
    });
    if let Err(panic) = scenario.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Stage {
    async fn start(cloud: Cloud, additions: Additions) -> Stage {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let places = |name: &str| {
            let address = cloud.host(name).address;
            let at = |port: u16| format!("{address}:{port}");
            Places { http: at(8080), https: at(8443), admin: at(9100) }
        };
        let role = |verb, name: &str, text: &str| {
            let inside = cloud.host(name).namespace.clone();
            Role::new(verb, name, &places(name), &folder.path().join(name), text).inside(&inside)
        };
        let place = |name: &str| folder.path().join(name);
        let source = format!("{{ dir = {:?} }}", media::root());
        let text = settings::selector(&places("selector"), &place("selector"), &additions);
        let selector = role("selector", "selector", &text);
        let told = Some(selector.url.as_str());
        let shield = |name: &&str| {
            let text = settings::origin(name, &places(name), &place(name), told, &source, &additions);
            role("origin", name, &text)
        };
        let shields: Vec<Role> = SHIELDS.iter().map(shield).collect();
        let urls: Vec<&str> = shields.iter().map(|shield| shield.url.as_str()).collect();
        let edge = |name: &&str| {
            let text = settings::edge(name, &places(name), &place(name), told, &urls, None, &additions);
            role("edge", name, &text)
        };
        let edges = EDGES.iter().map(edge).collect();
        let mut stage = Stage { selector, edges, shields, cloud, _folder: folder };
        stage.selector.start().await;
        for node in stage.shields.iter_mut().chain(&mut stage.edges) {
            node.start().await;
        }
        let operator = stage.operator();
        until("all nodes are up", || async {
            let up = operator.nodes().await.iter().filter(|node| node["state"] == "up").count();
            (up == EDGES.len() + SHIELDS.len()).then_some(())
        })
        .await;
        stage
    }

    pub(super) fn operator(&self) -> Operator {
        Operator::new(&self.selector.url, API_TOKEN)
    }

    /// The name of the edge that a URL leads to.
    pub(super) fn edge_at(&self, url: &str) -> &'static str {
        let found = self.edges.iter().position(|edge| url.starts_with(&edge.url));
        EDGES[found.unwrap_or_else(|| panic!("{url} leads to no edge"))]
    }

    /// How many of `count` viewers who ask for titles of all kinds are sent to an edge.
    pub(super) async fn sent_to(&self, edge: &str, count: usize) -> usize {
        let (operator, mut sent) = (self.operator(), 0);
        for n in 0..count {
            let got = operator.route(&format!("/stream/title-{n}/master.m3u8")).await;
            assert_eq!(got.status, 307, "{}", got.text());
            sent += usize::from(self.edge_at(&got.header("location")) == edge);
        }
        sent
    }
}

/// Half a second: a heartbeat's interval, which nothing here asserts.
pub(super) const BEAT: Duration = Duration::from_millis(500);
