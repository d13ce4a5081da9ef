#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::fake_node::FakeNode;
use super::*;
use crate::fake_server::{Ask, FakeServer};
use crate::feed::{Feed, FeedEntry, FeedItem, PurgeOrder, WarmOrder};
use crate::heartbeat::Heartbeat;
use crate::operations::OperationState;
use crate::purge::PurgeMode;

/// A selector's nodes' side: a feed that tests write, and the heartbeats that came.
#[derive(Default)]
struct Script {
    feed_id: String,
    entries: Vec<FeedEntry>,
    /// Answer entries in this order whatever `after` says, as a broken selector might.
    shuffled: bool,
    polls: Vec<u64>,
    beats: Vec<Heartbeat>,
    /// Heartbeats that are heard and yet not confirmed.
    unconfirmed: usize,
    /// Heartbeats are answered when this is over.
    held: bool,
}

type Context = Arc<Mutex<Script>>;

fn script(items: Vec<(u64, FeedItem)>) -> Context {
    let script = Arc::new(Mutex::new(Script { feed_id: "one".into(), ..Script::default() }));
    write(&script, items);
    script
}

fn write(script: &Context, items: Vec<(u64, FeedItem)>) {
    let entries = items.into_iter().map(|(seq, what)| FeedEntry { seq, at: Utc::now(), what });
    script.lock().entries.extend(entries);
}

async fn selector(script: &Context) -> FakeServer {
    selector_at("127.0.0.1:0".parse().unwrap(), script).await
}

async fn selector_at(addr: SocketAddr, script: &Context) -> FakeServer {
    let script = Arc::clone(script);
    FakeServer::start_at(addr, move |ask| answer(Arc::clone(&script), ask)).await
}

async fn answer(script: Context, ask: Ask) -> (u16, serde_json::Value) {
    if ask.headers.get("authorization").map(String::as_str) != Some("Bearer t0ken") {
        return (401, json!({"title": "no token"}));
    }
    if ask.url.path() == "/v1/nodes/e1/heartbeat" {
        let confirmed = {
            let mut script = script.lock();
            script.beats.push(serde_json::from_value(ask.body).unwrap());
            script.beats.len() > script.unconfirmed
        };
        while script.lock().held {
            sleep(Duration::from_millis(5)).await;
        }
        if !confirmed {
            return (503, json!({"title": "lost"}));
        }
        return (200, json!({"feed_head": 0, "interval_ms": 100}));
    }
    assert_eq!((ask.url.path(), ask.query("node").as_deref()), ("/v1/feed", Some("e1")));
    let after: u64 = ask.query("after").unwrap().parse().unwrap();
    let until = Instant::now() + Duration::from_millis(ask.query("wait_ms").unwrap().parse().unwrap());
    script.lock().polls.push(after);
    loop {
        {
            let script = script.lock();
            let head = script.entries.iter().map(|entry| entry.seq).max().unwrap_or(0);
            if head != after || Instant::now() >= until {
                let new = |entry: &&FeedEntry| entry.seq > after || script.shuffled;
                let entries = script.entries.iter().filter(new).cloned().collect();
                let feed = Feed { feed_id: script.feed_id.clone(), head, entries };
                return (200, serde_json::to_value(feed).unwrap());
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

fn purge(operation: &str) -> FeedItem {
    FeedItem::Purge(PurgeOrder {
        operation: operation.into(),
        service: "default".into(),
        mode: PurgeMode::Hard,
        urls: vec!["/a".into()],
        prefixes: vec![],
        tags: vec![],
    })
}

fn prewarm(operation: &str, nodes: &[&str]) -> FeedItem {
    FeedItem::Prewarm(WarmOrder {
        operation: operation.into(),
        service: "default".into(),
        trees: vec!["/s/master.m3u8".into()],
        urls: vec![],
        prefixes: vec![],
        nodes: nodes.iter().map(|&node| node.into()).collect(),
        max_bps: None,
        window: None,
    })
}

fn start(selectors: &[Url], dir: &Path, node: &Arc<FakeNode>) -> AgentHandle {
    let identity = Identity {
        id: "e1".into(),
        role: NodeRole::Edge,
        site: "here".into(),
        url: Url::parse("http://127.0.0.1:1/").unwrap(),
        tls_url: None,
        addresses: Vec::new(),
        alpn: Vec::new(),
    };
    let options = AgentOptions {
        identity,
        selectors: selectors.to_vec(),
        token: "t0ken".into(),
        interval: Duration::from_millis(100),
        state_dir: dir.to_owned(),
    };
    assert!(!format!("{options:?}").contains("t0ken"));
    Agent::start(options, Arc::clone(node)).unwrap()
}

/// Waits for something that must come; ten seconds are for a machine that does much else.
async fn until(what: &str, mut come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn entries_are_applied_in_order_once_and_receipts_ride_on_heartbeats() {
    let keys = FeedItem::Keys { jwks: json!({"keys": [1]}) };
    let script = script(vec![(100, keys), (101, purge("p1")), (102, FeedItem::Unknown)]);
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let agent = start(&[server.url()], dir.path(), &node);
    until("the head", || agent.caught_up()).await;
    assert_eq!((agent.feed_seq(), agent.fence()), (102, 101));

    write(&script, vec![(105, purge("p2"))]);
    until("the second purge", || agent.feed_seq() == 105).await;
    assert_eq!(
        *node.diary.lock(),
        [r#"keys {"keys":[1]}"#, "try 101", "purge 101 p1", "try 105", "purge 105 p2"]
    );
    until("the receipt", || script.lock().beats.iter().any(|beat| beat.feed_seq == 105)).await;

    let beat = script.lock().beats.last().unwrap().clone();
    assert_eq!((beat.id.as_str(), beat.site.as_str(), beat.feed_id.as_str()), ("e1", "here", "one"));
    assert_eq!((beat.load.connections, beat.sessions_started, beat.state), (7, 3, NodeState::Up));
    let beats: Vec<_> = script.lock().beats.iter().map(|beat| beat.seq).collect();
    assert!(beats.windows(2).all(|pair| pair[0] < pair[1]), "{beats:?}");

    agent.stop().await;
    let last = script.lock().beats.last().unwrap().clone();
    assert!(last.goodbye && last.state == NodeState::Draining);
}

#[tokio::test]
async fn duplicates_and_disorder_change_nothing() {
    let script = script(vec![(3, purge("c")), (1, purge("a")), (2, purge("b"))]);
    script.lock().shuffled = true;
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let agent = start(&[server.url()], dir.path(), &node);
    until("the head", || agent.caught_up()).await;
    write(&script, vec![(4, purge("d"))]);
    until("the last", || agent.feed_seq() == 4).await;
    assert_eq!(node.did("purge"), ["purge 1 a", "purge 2 b", "purge 3 c", "purge 4 d"]);
}

#[tokio::test]
async fn a_purge_that_fails_is_tried_until_it_applies_and_nothing_overtakes_it() {
    let script = script(vec![(1, purge("a")), (2, purge("b"))]);
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    node.fail("purge", 2);
    let agent = start(&[server.url()], dir.path(), &node);
    until("the first failure", || node.did("try").len() == 1).await;
    assert_eq!((agent.feed_seq(), agent.feed_head()), (0, 2), "not applied, not claimed");
    until("the head", || agent.caught_up()).await;
    assert_eq!((agent.feed_seq(), agent.feed_head()), (2, 2));
    assert_eq!(*node.diary.lock(), ["try 1", "try 1", "try 1", "purge 1 a", "try 2", "purge 2 b"]);
}

#[tokio::test]
async fn the_state_survives_a_restart_without_any_selector() {
    let drain = |state| FeedItem::Node { id: "e1".into(), state };
    let script = script(vec![
        (7, FeedItem::Keys { jwks: json!({"keys": [2]}) }),
        (8, purge("a")),
        (9, drain(NodeState::Draining)),
        (10, FeedItem::Node { id: "other".into(), state: NodeState::Up }),
    ]);
    let server = selector(&script).await;
    let (addr, url) = (server.addr, server.url());
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let agent = start(std::slice::from_ref(&url), dir.path(), &node);
    until("the head", || agent.caught_up()).await;
    agent.stop().await;
    drop(server);

    let node = Arc::new(FakeNode::new());
    let agent = start(&[url], dir.path(), &node);
    assert_eq!(*node.diary.lock(), [r#"keys {"keys":[2]}"#, "state draining"], "served from the last state");
    assert_eq!((agent.feed_seq(), agent.fence(), agent.state()), (10, 8, NodeState::Draining));
    sleep(Duration::from_millis(300)).await;
    assert!(!agent.caught_up(), "nobody has said so");
    assert_eq!(agent.feed_head(), 10, "as far as is known");
    assert!(agent.ready(Duration::ZERO).is_err() && agent.ready(PATIENCE).is_ok());

    write(&script, vec![(11, drain(NodeState::Up)), (12, purge("b"))]);
    let _server = selector_at(addr, &script).await;
    until("the head", || agent.caught_up()).await;
    assert_eq!(node.did("purge"), ["purge 12 b"], "what was applied before is not applied again");
    assert_eq!(agent.state(), NodeState::Up);
    assert!(!script.lock().polls.contains(&7), "{:?}", script.lock().polls);
}

#[tokio::test]
async fn a_new_feed_is_applied_from_its_beginning() {
    let script = script(vec![(5, purge("a"))]);
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let agent = start(&[server.url()], dir.path(), &node);
    until("the head", || agent.caught_up()).await;
    {
        let mut script = script.lock();
        script.feed_id = "two".into();
        script.entries.clear();
    }
    write(&script, vec![(1, purge("x")), (9, purge("y"))]);
    until("the new head", || agent.feed_seq() == 9).await;
    assert_eq!(node.did("purge"), ["purge 5 a", "purge 1 x", "purge 9 y"]);
    assert_eq!(agent.fence(), 9);
}

#[tokio::test]
async fn a_dead_selector_delays_nothing_while_another_lives() {
    let script = script(vec![(1, purge("a"))]);
    let server = selector(&script).await;
    let dead = Url::parse("http://127.0.0.1:9/").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let agent = start(&[dead, server.url()], dir.path(), &node);
    until("the head", || agent.caught_up()).await;
    until("heartbeats", || script.lock().beats.len() > 2).await;
}

#[tokio::test]
async fn each_selector_reads_the_log_of_distances_once_and_what_it_did_not_confirm_again() {
    let (quick, slow) = (script(vec![]), script(vec![]));
    slow.lock().unconfirmed = 2;
    let servers = [selector(&quick).await, selector(&slow).await];
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let _agent = start(&[servers[0].url(), servers[1].url()], dir.path(), &node);
    for script in [&quick, &slow] {
        until("the whole log", || script.lock().beats.iter().any(|beat| beat.rtt_first == 250)).await;
        let (mut next, mut cells) = (0, vec![]);
        for beat in &script.lock().beats {
            // As a selector reads: what was told before is skipped.
            let told = usize::try_from(next.max(beat.rtt_first) - beat.rtt_first).unwrap();
            cells.extend(beat.rtt.iter().skip(told).map(|rtt| rtt.cell.clone()));
            next = next.max(beat.rtt_first + beat.rtt.len() as u64);
            assert!(beat.rtt.len() <= 200, "a heartbeat is bounded");
        }
        assert_eq!(cells, (3..250).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    let told: Vec<u64> = slow.lock().beats.iter().take(4).map(|beat| beat.rtt_first).collect();
    assert_eq!(told, [3, 3, 3, 203]);
}

#[tokio::test]
async fn a_drain_is_applied_when_all_selectors_that_answer_have_heard_of_it() {
    let (followed, other) = (script(vec![]), script(vec![]));
    let servers = [selector(&followed).await, selector(&other).await];
    let silent = Url::parse("http://127.0.0.1:9/").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    let agent = start(&[servers[0].url(), servers[1].url(), silent], dir.path(), &node);
    let draining =
        |script: &Context| script.lock().beats.last().is_some_and(|beat| beat.state == NodeState::Draining);
    until("both hear it", || {
        [&followed, &other].iter().all(|script| script.lock().beats.len() > 1 && !draining(script))
    })
    .await;
    other.lock().held = true;
    let seen = other.lock().beats.len();
    until("a heartbeat that is not answered", || other.lock().beats.len() > seen).await;
    write(
        &followed,
        vec![(5, FeedItem::Node { id: "e1".into(), state: NodeState::Draining }), (6, purge("a"))],
    );
    until("one of them to know", || draining(&followed)).await;
    assert!(!draining(&other), "it has a heartbeat to answer");
    assert_eq!((agent.feed_seq(), node.did("purge").len()), (0, 0));
    other.lock().held = false;
    until("the receipt", || agent.feed_seq() == 6).await;
    assert!(draining(&other));
    let receipts: Vec<_> = followed.lock().beats.iter().map(|beat| (beat.feed_seq, beat.state)).collect();
    assert!(receipts.contains(&(0, NodeState::Draining)), "{receipts:?}");
    until("it to say that all know", || {
        let knows = |script: &Context| script.lock().beats.last().is_some_and(|beat| beat.known);
        knows(&followed) && knows(&other)
    })
    .await;

    // Who does not answer any more is not waited for.
    write(&followed, vec![(7, FeedItem::Node { id: "e1".into(), state: NodeState::Up })]);
    until("it is back", || !draining(&followed) && !draining(&other)).await;
    other.lock().held = true;
    write(&followed, vec![(8, FeedItem::Node { id: "e1".into(), state: NodeState::Draining })]);
    until("the next receipt", || agent.feed_seq() == 8).await;
    assert!(other.lock().held);
}

#[tokio::test]
async fn a_node_alone_is_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let agent = start(&[], dir.path(), &Arc::new(FakeNode::new()));
    assert!(agent.caught_up());
    agent.drain();
    assert_eq!(agent.state(), NodeState::Draining);
    agent.stop().await;
}

#[tokio::test]
async fn a_broken_key_set_does_not_hold_up_purges() {
    let keys = FeedItem::Keys { jwks: json!({"keys": "no"}) };
    let script = script(vec![(1, keys), (2, purge("a"))]);
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::new());
    node.fail("keys", 1000);
    let agent = start(&[server.url()], dir.path(), &node);
    until("the head", || agent.caught_up()).await;
    assert_eq!(node.did("purge"), ["purge 2 a"]);
    assert!(!dir.path().join(KEYS).exists(), "a set that was refused is not kept");
}

#[tokio::test]
async fn warm_jobs_run_are_reported_and_resume_after_a_restart() {
    let script = script(vec![(1, prewarm("w1", &["e1", "e2"])), (2, prewarm("w2", &["e2"]))]);
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let mut node = FakeNode::with_tree(5);
    node.permits = tokio::sync::Semaphore::new(7);
    let node = Arc::new(node);
    let agent = start(&[server.url()], dir.path(), &node);
    until("half of it", || node.did("warm ").len() == 7).await;
    let told = |state, done| {
        let script = Arc::clone(&script);
        move || {
            let script = script.lock();
            let job = script.beats.last().and_then(|beat| beat.jobs.first());
            job.is_some_and(|job| job.state == state && job.objects_done >= done && job.objects_total == 19)
        }
    };
    until("its progress", told(OperationState::Running, 11)).await;
    agent.stop().await;
    assert_eq!(node.did("warm ").len(), 7);

    let node = Arc::new(FakeNode::with_tree(5));
    let agent = start(&[server.url()], dir.path(), &node);
    until("its end", told(OperationState::Succeeded, 19)).await;
    let jobs = script.lock().beats.last().unwrap().jobs.clone();
    assert_eq!(jobs.len(), 1, "the job of another node is none of ours: {jobs:?}");
    assert_eq!(node.did("warm ").len(), 15);
    assert_eq!(agent.feed_seq(), 2);
}

#[tokio::test]
async fn a_cancelled_job_stops() {
    let script = script(vec![(1, prewarm("w1", &["e1"])), (2, prewarm("w2", &["e1"]))]);
    let server = selector(&script).await;
    let dir = tempfile::tempdir().unwrap();
    let mut node = FakeNode::with_tree(5);
    node.permits = tokio::sync::Semaphore::new(3);
    let node = Arc::new(node);
    let _agent = start(&[server.url()], dir.path(), &node);
    until("some of it", || node.did("warm ").len() == 3).await;
    let cancel = |operation: &str| FeedItem::Cancel { operation: operation.into() };
    write(&script, vec![(3, cancel("w2")), (4, cancel("w1")), (5, cancel("unheard of"))]);
    until("the cancel", || script.lock().beats.last().is_some_and(|beat| beat.feed_seq == 5)).await;
    node.permits.add_permits(1000);
    until("the end", || {
        let script = script.lock();
        script.beats.last().is_some_and(|beat| {
            beat.jobs.len() == 2 && beat.jobs.iter().all(|job| job.state == OperationState::Cancelled)
        })
    })
    .await;
    assert!(node.did("warm ").len() <= 3 + 4, "only what was under way was finished");
}

#[tokio::test]
async fn an_unusable_folder_or_token_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let identity = Identity {
        id: "e1".into(),
        role: NodeRole::Edge,
        site: "here".into(),
        url: Url::parse("http://127.0.0.1:1/").unwrap(),
        tls_url: None,
        addresses: Vec::new(),
        alpn: Vec::new(),
    };
    let options = |token: &str, state_dir: &Path| AgentOptions {
        identity: identity.clone(),
        selectors: vec![],
        token: token.into(),
        interval: Duration::from_millis(100),
        state_dir: state_dir.to_owned(),
    };
    let node = Arc::new(FakeNode::new());
    let error = Agent::start(options("t", &file), Arc::clone(&node)).unwrap_err();
    assert!(matches!(error, AgentError::StateDir { .. }), "{error}");
    let error = Agent::start(options("a\nb", dir.path()), node).unwrap_err();
    assert!(matches!(error, AgentError::Token), "{error}");
}
