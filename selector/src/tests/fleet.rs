//! Heartbeats, draining, the feed.

use std::time::{Duration, Instant};

use kromka_control::{CellRtt, FeedItem, Heartbeat, NodeState};
use serde_json::json;

use super::rig::{ALL, ASSET, Rig, config, node};

async fn chosen(rig: &Rig) -> String {
    let reply = rig.send("GET", &format!("/route{ASSET}"), &[], "").await;
    match reply.status.as_u16() {
        307 => reply.header("location")["http://".len()..].split('.').next().unwrap().to_owned(),
        status => status.to_string(),
    }
}

async fn state(rig: &Rig, id: &str) -> String {
    rig.get(&format!("/v1/nodes/{id}")).await.json["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nodes_are_listed_page_by_page() {
    let rig = Rig::start().await;
    rig.up(&["c-1", "a-1", "o-1", "b-1"]).await;
    let first = rig.get("/v1/nodes?limit=3").await;
    let ids = |reply: &super::rig::Reply| -> Vec<String> {
        let items = reply.json["items"].as_array().unwrap();
        items.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&first), ["a-1", "b-1", "c-1"]);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    assert_eq!(first.header("link"), format!("</v1/nodes?limit=3&cursor={cursor}>; rel=\"next\""));
    let last = rig.get(&format!("/v1/nodes?limit=3&cursor={cursor}")).await;
    assert_eq!(ids(&last), ["o-1"]);
    assert!(last.json.get("next_cursor").is_none() && last.header("link").is_empty());
    let node = &first.json["items"][0];
    for (member, value) in [
        ("role", json!("edge")),
        ("site", json!("a")),
        ("state", json!("up")),
        ("url", json!("http://a-1.example:8080/")),
        ("feed_seq", json!(0)),
        ("version", json!("0.1.0")),
    ] {
        assert_eq!(node[member], value, "{member}");
    }
    assert_eq!(node["load"]["egress_bps"], 100_000_000);
}

#[tokio::test]
async fn a_drained_node_gets_no_new_viewers_until_it_is_resumed_also_after_a_restart() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let first = chosen(&rig).await;
    let other = if first == "a-1" { "b-1" } else { "a-1" };
    let head = rig.feed("a-1", 0, 0).await.head;
    let reply = rig.post(&format!("/v1/nodes/{first}:drain"), json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.json["state"]), (200, &json!("draining")), "{reply:?}");
    assert_eq!(chosen(&rig).await, other);
    let entries = rig.feed("a-1", head, 0).await.entries;
    assert_eq!(entries[0].what, FeedItem::Node { id: first.clone(), state: NodeState::Draining });

    let rig = rig.restart().await;
    rig.up(&["a-1", "b-1"]).await;
    assert_eq!(state(&rig, &first).await, "draining");
    assert_eq!(chosen(&rig).await, other);
    rig.post(&format!("/v1/nodes/{other}:drain"), json!({})).await;
    assert_eq!(chosen(&rig).await, first, "draining is better than nothing");
    for id in [&first, other] {
        assert_eq!(rig.post(&format!("/v1/nodes/{id}:resume"), json!({})).await.json["state"], "up");
    }
    assert_eq!(chosen(&rig).await, first);
}

#[tokio::test]
async fn a_node_that_has_not_read_that_it_was_resumed_does_not_drain_itself() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let boot = node("a-1").boot;
    let feed_id = rig.feed("a-1", 0, 0).await.feed_id;
    let beat = async |boot: &str, feed_seq: u64, state: NodeState| {
        let (boot, feed_id) = (boot.to_owned(), feed_id.clone());
        let heartbeat = Heartbeat { boot, feed_id, feed_seq, state, ..node("a-1") };
        assert_eq!(rig.beat(&heartbeat).await.status, 200);
    };
    rig.post("/v1/nodes/a-1:drain", json!({})).await;
    let drained = rig.feed("a-1", 0, 0).await.head;
    beat(&boot, drained, NodeState::Draining).await;
    assert_eq!(rig.post("/v1/nodes/a-1:resume", json!({})).await.json["state"], "up");
    let resumed = rig.feed("a-1", 0, 0).await.head;
    beat(&boot, drained, NodeState::Draining).await;
    assert_eq!(state(&rig, "a-1").await, "up", "it was sent before it knew");
    let behind = Heartbeat {
        boot: boot.clone(),
        feed_id: feed_id.clone(),
        feed_seq: drained,
        state: NodeState::Draining,
        unready: true,
        ..node("a-1")
    };
    assert_eq!(rig.beat(&behind).await.status, 200);
    assert_eq!(state(&rig, "a-1").await, "draining", "it has a reason of its own");
    beat(&boot, resumed, NodeState::Draining).await;
    assert_eq!(state(&rig, "a-1").await, "draining", "it knows, and says so still");

    assert_eq!(rig.post("/v1/nodes/a-1:resume", json!({})).await.json["state"], "up");
    let later = format!("{boot}-later");
    beat(&later, resumed, NodeState::Draining).await;
    assert_eq!(state(&rig, "a-1").await, "draining", "it has started again, and is not ready");
}

#[tokio::test]
async fn a_decision_on_an_old_version_is_refused() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let tag = rig.get("/v1/nodes/a-1").await.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let drain = async |tag: &str| {
        let fields = [("authorization", &*format!("Bearer {ALL}")), ("if-match", tag)];
        rig.send("POST", "/v1/nodes/a-1:drain", &fields, "").await
    };
    let reply = drain(&tag).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("etag"), tag);
    let reply = drain(&tag).await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (412, "changed"));
    assert_eq!(drain("*").await.status, 200);
}

#[tokio::test]
async fn of_two_who_decide_upon_the_same_version_one_comes_too_late() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let tag = rig.get("/v1/nodes/a-1").await.header("etag").to_owned();
    let drain = async |_: usize| {
        let fields = [("authorization", &*format!("Bearer {ALL}")), ("if-match", tag.as_str())];
        rig.send("POST", "/v1/nodes/a-1:drain", &fields, "").await.status.as_u16()
    };
    let mut answers = futures_util::future::join_all((0..8).map(drain)).await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 412, 412, 412, 412, 412, 412, 412]);
}

#[tokio::test]
async fn a_decision_about_a_node_outlives_all_that_is_known_of_the_node() {
    let rig = Rig::start().await;
    rig.running.drain().await;
    let settings = config(rig.folder.path());
    // As it stands there after a version that wrote heartbeats which this one cannot read.
    let store = crate::store::Store::open(&settings.store.path).await.unwrap();
    for drained in [true, false, true] {
        store.set_drained("a-1", drained, |_| true).await.unwrap();
    }
    store.close().await;
    let rig = Rig::with(settings, rig.folder).await;
    assert_eq!(rig.get("/v1/nodes/a-1").await.status, 404, "not heard yet");
    rig.up(&["a-1", "b-1"]).await;
    let shown = rig.get("/v1/nodes/a-1").await;
    assert_eq!((&shown.json["state"], shown.header("etag")), (&json!("draining"), "\"r3\""), "{shown:?}");
    assert_eq!(chosen(&rig).await, "b-1");
}

#[tokio::test]
async fn what_an_edge_measured_counts_once_however_often_it_is_told() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let cell =
        |n: u64, ms: f64| CellRtt { cell: "203.0.113.0/24".into(), n, min_ms: ms, p50_ms: ms, loss: 0.0 };
    let rtt_of = async |site: &str| {
        let reply = rig.get(&format!("/v1/select?path={ASSET}&client_ip=203.0.113.9")).await;
        let edges = reply.json["edges"].as_array().unwrap().clone();
        let edge = edges.into_iter().find(|edge| edge["site"] == site).unwrap();
        (reply.json["source"].as_str().unwrap().to_owned(), edge["rtt_ms"].as_f64().unwrap())
    };
    assert_ne!(rtt_of("a").await.0, "rum");
    let told = Heartbeat { rtt: vec![cell(8, 10.0)], rtt_first: 3, ..node("a-1") };
    rig.beat(&told).await;
    let (source, once) = rtt_of("a").await;
    assert_eq!(source, "rum");
    for _ in 0..20 {
        rig.beat(&Heartbeat { seq: node("a-1").seq, ..told.clone() }).await;
    }
    assert_eq!(rtt_of("a").await.1, once, "the edge had not heard that it was heard");
    let more = Heartbeat { rtt: vec![cell(8, 10.0), cell(500, 10.0)], rtt_first: 3, ..node("a-1") };
    rig.beat(&more).await;
    let twice = rtt_of("a").await.1;
    assert!((twice - 10.0).abs() < (once - 10.0).abs() || twice == once && once == 10.0, "{once} {twice}");
    rig.beat(&Heartbeat { boot: "boot-2".into(), rtt: vec![cell(500, 90.0)], rtt_first: 0, ..node("a-1") })
        .await;
    assert!(rtt_of("a").await.1 > twice, "a restarted edge counts from 0");
}

#[tokio::test]
async fn silence_makes_a_node_suspect_then_down_and_a_goodbye_at_once() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    rig.beat(&Heartbeat { goodbye: true, ..node("b-1") }).await;
    assert_eq!(state(&rig, "b-1").await, "down");
    assert_eq!(chosen(&rig).await, "a-1");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(state(&rig, "a-1").await, "suspect");
    assert_eq!(chosen(&rig).await, "a-1", "nothing sounder is there");
    rig.up(&["b-1"]).await;
    assert_eq!(chosen(&rig).await, "b-1", "it is back");
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    assert_eq!(state(&rig, "a-1").await, "down");
    rig.beat(&Heartbeat { goodbye: true, ..node("b-1") }).await;
    assert_eq!(chosen(&rig).await, "503");
}

#[tokio::test]
async fn a_heartbeat_that_arrives_late_changes_nothing() {
    let rig = Rig::start().await;
    let early = node("a-1");
    rig.beat(&Heartbeat { version: "new".into(), ..node("a-1") }).await;
    let reply = rig.beat(&Heartbeat { version: "old".into(), ..early.clone() }).await;
    assert_eq!(reply.status, 200);
    assert_eq!(rig.get("/v1/nodes/a-1").await.json["version"], "new");
    rig.beat(&Heartbeat { version: "restarted".into(), boot: "next".into(), ..early }).await;
    assert_eq!(rig.get("/v1/nodes/a-1").await.json["version"], "restarted");
}

#[tokio::test]
async fn a_restarted_selector_routes_at_once_to_who_was_there() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let rig = rig.restart().await;
    assert_eq!(chosen(&rig).await, "a-1");
    assert!(rig.get("/v1/nodes/a-1").await.json.get("heartbeat_age_ms").is_none(), "not heard since");
}

#[tokio::test]
async fn the_feed_tells_the_keys_and_waits_for_what_is_new() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let feed = rig.feed("a-1", 0, 0).await;
    let keys = rig.send("GET", "/v1/keys", &[], "").await;
    let FeedItem::Keys { jwks } = &feed.entries[0].what else { panic!("{feed:?}") };
    assert_eq!(*jwks, keys.json);
    assert_eq!(jwks["keys"][0]["kty"], "OKP");
    assert_eq!((feed.entries.len(), feed.head), (1, feed.entries[0].seq));
    let answer = rig.beat(&node("a-1")).await;
    assert_eq!((&answer.json["feed_head"], &answer.json["interval_ms"]), (&json!(feed.head), &json!(500)));

    let began = Instant::now();
    let (seen, _) = tokio::join!(rig.feed("a-1", feed.head, 20_000), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        rig.post("/v1/purge", json!({"service": "default", "mode": "hard", "urls": ["/a.ts"]})).await
    });
    assert_eq!(seen.entries.len(), 1, "woken, not timed out");
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(rig.feed("a-1", seen.head, 100).await.entries.is_empty());

    let rig = rig.restart().await;
    let again = rig.feed("a-1", 0, 0).await;
    assert_eq!((again.feed_id, again.head), (feed.feed_id, seen.head));
    assert_eq!(rig.send("GET", "/v1/keys", &[], "").await.json, keys.json, "the same keys");
}

#[tokio::test]
async fn a_node_whose_line_ends_is_doubted_at_once_and_trusted_when_it_is_heard() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let first = chosen(&rig).await;
    // A process of its own: its connection ends with it.
    let line = rig.beat_on_a_line(&node(&first)).await;
    assert_eq!(state(&rig, &first).await, "up");
    drop(line);
    for _ in 0..200 {
        if state(&rig, &first).await == "suspect" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_ne!(chosen(&rig).await, first, "long before its silence would have told");
    rig.up(&[&first]).await;
    assert_eq!((state(&rig, &first).await.as_str(), chosen(&rig).await), ("up", first));
}

#[tokio::test]
async fn a_node_that_dials_anew_for_every_heartbeat_is_not_doubted() {
    let rig = Rig::start().await;
    for _ in 0..3 {
        let path = "/v1/nodes/a-1/heartbeat";
        let body = serde_json::to_string(&node("a-1")).unwrap();
        let bearer = format!("Bearer {}", super::rig::NODE);
        let fields = [("authorization", bearer.as_str()), ("connection", "close")];
        assert_eq!(rig.send("POST", path, &fields, &body).await.status, 200);
    }
    // What ends with the next connection comes after what ended with those.
    assert_eq!(rig.send("GET", "/v1/keys", &[("connection", "close")], "").await.status, 200);
    assert_eq!(state(&rig, "a-1").await, "up");
    let silent = rig.get("/v1/nodes/a-1").await.json["heartbeat_age_ms"].as_u64().unwrap();
    assert!(silent < 1_250, "{silent} ms");
}
