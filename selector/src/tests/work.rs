//! Purges and pre-warms to the last receipt, across a restart.

use std::time::Duration;

use kromka_control::{FeedItem, Heartbeat, OperationState};
use serde_json::{Value, json};

use super::rig::{ASSET, Reply, Rig, node};

async fn purge(rig: &Rig) -> (String, u64) {
    let body = json!({"service": "default", "mode": "soft", "urls": ["http://e.example/~t.o.k/stream/a%20b.ts?x=1"],
                      "prefixes": ["/stream/demo/"], "tags": ["film-7"]});
    let reply = rig.post("/v1/purge", body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    (id_of(&reply), rig.feed("o-1", 0, 0).await.head)
}

fn id_of(reply: &Reply) -> String {
    let id = reply.json["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("/v1/operations/{id}"));
    id
}

fn share<'a>(operation: &'a Value, node: &str) -> &'a Value {
    operation["nodes"].as_array().unwrap().iter().find(|share| share["node"] == node).unwrap()
}

#[tokio::test]
async fn a_purge_goes_to_shields_first_and_succeeds_with_the_last_receipt() {
    let rig = Rig::start().await;
    rig.up(&["o-1", "a-1", "b-1"]).await;
    let (id, seq) = purge(&rig).await;
    let to_shield = rig.feed("o-1", seq - 1, 0).await.entries;
    let FeedItem::Purge(order) = &to_shield[0].what else { panic!("{to_shield:?}") };
    assert_eq!((to_shield[0].seq, order.operation.as_str()), (seq, id.as_str()));
    assert_eq!(order.urls, ["/stream/a b.ts"], "a path, decoded, whoever asked for it how");
    assert_eq!(
        (order.prefixes.as_slice(), order.tags.as_slice()),
        (&["/stream/demo/".into()][..], &["film-7".into()][..])
    );
    assert!(rig.feed("a-1", seq - 1, 0).await.entries.is_empty(), "not before the shield");

    let (to_edge, ()) = tokio::join!(rig.feed("a-1", seq - 1, 1_500), rig.applied("o-1", seq));
    assert_eq!(to_edge.entries.len(), 1, "woken by the shield's receipt");
    let operation = rig.until(&id, |operation| operation["state"] == "running").await;
    assert_eq!(share(&operation, "o-1")["state"], "succeeded");
    assert!(share(&operation, "o-1")["applied_at"].is_string());
    assert_eq!(share(&operation, "a-1")["state"], "pending");
    rig.applied("a-1", seq).await;
    rig.applied("b-1", seq + 5).await;
    let operation = rig.until(&id, |operation| operation["state"] == "succeeded").await;
    assert_eq!(operation["kind"], "purge");
    assert_eq!(
        (&operation["progress"]["objects_done"], &operation["progress"]["objects_total"]),
        (&json!(3), &json!(3))
    );
}

#[tokio::test]
async fn a_shield_that_does_not_answer_holds_edges_for_two_seconds_at_most() {
    let rig = Rig::start().await;
    rig.up(&["o-1", "a-1"]).await;
    let (_, seq) = purge(&rig).await;
    let seen = rig.feed("a-1", seq - 1, 10_000).await;
    assert_eq!(seen.entries.len(), 1);
    let waited = seen.entries[0].at;
    assert!((chrono::Utc::now() - waited).num_milliseconds() >= 2_000, "it was held");
}

#[tokio::test]
async fn a_node_that_goes_down_does_not_hold_a_purge_up_and_its_receipt_comes_late() {
    let rig = Rig::start().await;
    rig.up(&["o-1", "a-1", "b-1"]).await;
    let (id, seq) = purge(&rig).await;
    rig.applied("o-1", seq).await;
    rig.applied("a-1", seq).await;
    rig.beat(&Heartbeat { goodbye: true, ..node("b-1") }).await;
    let operation = rig.until(&id, |operation| operation["state"] == "succeeded").await;
    assert!(share(&operation, "b-1")["error"].as_str().unwrap().starts_with("missed"), "{operation}");

    let rig = rig.restart().await;
    rig.applied("b-1", seq).await;
    let operation = rig.until(&id, |operation| share(operation, "b-1")["state"] == "succeeded").await;
    assert!(share(&operation, "b-1").get("error").is_none());
}

#[tokio::test]
async fn receipts_count_after_a_restart_and_those_of_another_feed_do_not() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let (id, seq) = purge(&rig).await;
    rig.applied("a-1", seq).await;
    rig.beat(&Heartbeat { feed_seq: seq + 1_000, feed_id: "another".into(), ..node("b-1") }).await;
    rig.until(&id, |operation| operation["state"] == "running").await;
    let rig = rig.restart().await;
    let operation = rig.get(&format!("/v1/operations/{id}")).await.json;
    assert_eq!(share(&operation, "a-1")["state"], "succeeded", "{operation}");
    assert_eq!(operation["state"], "running");
    rig.up(&["a-1"]).await;
    rig.applied("b-1", seq).await;
    rig.until(&id, |operation| operation["state"] == "succeeded").await;
}

#[tokio::test]
async fn a_prewarm_shows_progress_per_node_and_goes_on_after_a_restart() {
    let rig = Rig::start().await;
    rig.up(&["o-1", "a-1", "b-1"]).await;
    let head = rig.feed("a-1", 0, 0).await.head;
    let reply =
        rig.post("/v1/prewarm", json!({"service": "default", "trees": [ASSET], "max_bps": 8_000_000})).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let id = id_of(&reply);
    assert_eq!((&reply.json["kind"], &reply.json["state"]), (&json!("prewarm"), &json!("pending")));
    let entry = rig.feed("a-1", head, 0).await.entries.remove(0);
    let FeedItem::Prewarm(order) = entry.what else { panic!("{entry:?}") };
    assert_eq!((order.operation.as_str(), order.trees.as_slice()), (id.as_str(), &[ASSET.to_owned()][..]));
    assert_eq!(
        (order.nodes.as_slice(), order.max_bps),
        (&["a-1".into(), "b-1".into(), "o-1".into()][..], Some(8_000_000))
    );

    rig.job("a-1", &id, OperationState::Running, 4).await;
    let operation = rig.until(&id, |operation| operation["state"] == "running").await;
    assert_eq!(
        operation["progress"],
        json!({"objects_done": 4, "objects_total": 10, "bytes_done": 4_000, "bytes_total": 10_000})
    );
    let rig = rig.restart().await;
    rig.up(&["b-1", "o-1"]).await;
    assert_eq!(
        share(&rig.get(&format!("/v1/operations/{id}")).await.json, "a-1")["progress"]["objects_done"],
        4
    );
    for node in ["a-1", "b-1", "o-1"] {
        rig.job(node, &id, OperationState::Succeeded, 10).await;
    }
    let operation = rig.until(&id, |operation| operation["state"] == "succeeded").await;
    assert_eq!(operation["progress"]["bytes_done"], 30_000);
    assert!(operation["finished_at"].is_string());
}

#[tokio::test]
async fn a_target_is_nodes_sites_or_so_many_where_viewers_would_go() {
    let rig = Rig::start().await;
    rig.up(&["o-1", "a-1", "a-2", "b-1"]).await;
    let nodes = async |target: Value| {
        let reply =
            rig.post("/v1/prewarm", json!({"service": "default", "trees": [ASSET], "target": target})).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        let shares = reply.json["nodes"].as_array().unwrap().clone();
        shares.iter().map(|share| share["node"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(nodes(json!({"nodes": ["b-1", "o-1"]})).await, ["b-1", "o-1"]);
    assert_eq!(nodes(json!({"sites": ["a"]})).await, ["a-1", "a-2"]);
    let one = nodes(json!({"replicas": 1})).await;
    let ranking = rig.send("GET", &format!("/v1/select?path={ASSET}"), &[], "").await;
    assert_eq!(one, [ranking.json["edges"][0]["id"].as_str().unwrap()]);
    assert_eq!(nodes(json!({"replicas": 2})).await.len(), 2);
    assert_eq!(nodes(json!({"sites": ["b"], "replicas": 2})).await, ["b-1"]);
}

#[tokio::test]
async fn a_prewarm_can_be_cancelled_and_a_purge_cannot() {
    let rig = Rig::start().await;
    let reply = rig.post("/v1/prewarm", json!({"service": "default", "trees": [ASSET]})).await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (503, "no-node"));
    rig.up(&["a-1", "b-1"]).await;
    let id = id_of(&rig.post("/v1/prewarm", json!({"service": "default", "prefixes": ["/stream/"]})).await);
    rig.job("a-1", &id, OperationState::Succeeded, 10).await;
    rig.job("b-1", &id, OperationState::Running, 3).await;
    let head = rig.feed("a-1", 0, 0).await.head;
    let reply = rig.post(&format!("/v1/operations/{id}:cancel"), json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.json["state"]), (200, &json!("cancelled")), "{reply:?}");
    assert_eq!(share(&reply.json, "a-1")["state"], "succeeded", "what is done is done");
    assert_eq!(rig.feed("a-1", head, 0).await.entries[0].what, FeedItem::Cancel { operation: id.clone() });
    rig.job("b-1", &id, OperationState::Running, 4).await;
    assert_eq!(rig.get(&format!("/v1/operations/{id}")).await.json["state"], "cancelled");
    assert_eq!(
        rig.post(&format!("/v1/operations/{id}:cancel"), json!({})).await.status,
        200,
        "once more is harmless"
    );
    let (purge, _) = purge(&rig).await;
    let reply = rig.post(&format!("/v1/operations/{purge}:cancel"), json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (409, "conflict"));
}

#[tokio::test]
async fn a_failed_node_fails_the_operation_and_says_why() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "b-1"]).await;
    let id = id_of(&rig.post("/v1/prewarm", json!({"service": "default", "urls": ["/a.ts"]})).await);
    rig.job("a-1", &id, OperationState::Failed, 1).await;
    rig.job("b-1", &id, OperationState::Succeeded, 10).await;
    let operation = rig.until(&id, |operation| operation["state"] == "failed").await;
    assert_eq!(share(&operation, "a-1")["error"], "/a.ts: gone");
}

#[tokio::test]
async fn an_operation_can_be_followed_by_events_to_its_end() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let id = id_of(&rig.post("/v1/prewarm", json!({"service": "default", "urls": ["/a.ts"]})).await);
    let path = format!("/v1/operations/{id}/stream");
    let (stream, ()) = tokio::join!(rig.get(&path), async {
        for (state, done) in [(OperationState::Running, 3), (OperationState::Succeeded, 10)] {
            tokio::time::sleep(Duration::from_millis(300)).await;
            rig.job("a-1", &id, state, done).await;
        }
    });
    assert_eq!((stream.status.as_u16(), stream.header("content-type")), (200, "text/event-stream"));
    let events: Vec<(&str, Value)> = stream
        .text
        .split("\n\n")
        .filter_map(|block| {
            let event = block.lines().find_map(|line| line.strip_prefix("event: "))?;
            let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
            Some((event, serde_json::from_str(data).unwrap()))
        })
        .collect();
    let seen: Vec<_> = events.iter().map(|(event, data)| (*event, data["state"].as_str().unwrap())).collect();
    assert_eq!(seen, [("progress", "pending"), ("progress", "running"), ("done", "succeeded")]);
}

#[tokio::test]
async fn operations_are_listed_newest_first() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(purge(&rig).await.0);
    }
    ids.reverse();
    let page = rig.get("/v1/operations?limit=2").await;
    let listed = |reply: &Reply| -> Vec<String> {
        let items = reply.json["items"].as_array().unwrap();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&page), ids[..2]);
    let cursor = page.json["next_cursor"].as_str().unwrap();
    assert_eq!(listed(&rig.get(&format!("/v1/operations?limit=2&cursor={cursor}")).await), ids[2..]);
}
