//! What survives a selector that is killed and started again.

use serde_json::json;

use crate::world::fleet::Plan;
use crate::world::{Viewer, media, until};

#[tokio::test]
async fn nodes_keys_operations_and_drains_are_still_there_after_a_kill() {
    let mut fleet = Plan::sample().edges(2).selected().start().await;
    let operator = fleet.operator();
    let session = operator.session(media::DEMO).await;
    let master = session["master_url"].as_str().unwrap();
    let keys = operator.get("/v1/keys").await.json();
    let purge = json!({"service": "default", "mode": "hard", "urls": ["/stream/x.ts"]});
    let location = operator.begin("/v1/purge", purge).await;
    let operation = operator.end_of(&location).await;
    operator.post("/v1/nodes/edge-2:drain", json!({})).await;

    let selector = fleet.selector.as_mut().unwrap();
    selector.kill();
    // Edges need no selector to serve.
    assert_eq!(Viewer::new().get(master).await.status, 200);
    let selector = fleet.selector.as_mut().unwrap();
    selector.start().await;
    selector.ready().await;

    assert_eq!(operator.get("/v1/keys").await.json(), keys);
    let again = operator.end_of(&location).await;
    assert_eq!((&again["id"], &again["state"]), (&operation["id"], &operation["state"]));
    let receipts = |operation: &serde_json::Value| -> Vec<serde_json::Value> {
        let nodes = operation["nodes"].as_array().unwrap().iter();
        nodes.map(|node| json!([node["node"], node["state"], node["applied_at"].is_string()])).collect()
    };
    assert_eq!(receipts(&again), receipts(&operation), "receipts stay");
    for (node, state) in [("edge-1", "up"), ("edge-2", "draining"), ("shield-1", "up")] {
        operator.sees(node, state).await;
    }
    let new = operator.session(media::DEMO).await;
    assert!(new["master_url"].as_str().unwrap().starts_with(&fleet.edges[0].url), "the drain holds: {new:#}");
    for url in [master, new["master_url"].as_str().unwrap()] {
        assert_eq!(Viewer::new().get(url).await.status, 200, "old and new tokens are good");
    }
}

#[tokio::test]
async fn an_edge_started_while_the_selector_is_away_serves_with_what_it_knew() {
    let mut fleet = Plan::sample().selected().start().await;
    let session = fleet.operator().session(media::DEMO).await;
    let master = session["master_url"].as_str().unwrap().to_owned();
    fleet.selector.as_mut().unwrap().kill();
    assert!(fleet.edges[0].stop().await.success());
    fleet.edges[0].start().await;
    fleet.edges[0].ready().await;
    let got = Viewer::new().get(&master).await;
    assert_eq!((got.status, got.bytes()), (200, media::file(media::DEMO).as_slice()));

    fleet.selector.as_mut().unwrap().start().await;
    fleet.operator().sees("edge-1", "up").await;
    let operator = fleet.operator();
    until("it is routed to again", || async {
        (operator.route(media::DEMO).await.status == 307).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_selector_that_stops_in_order_exits_0() {
    let mut fleet = Plan::sample().selected().start().await;
    assert!(fleet.selector.as_mut().unwrap().stop().await.success());
    assert!(fleet.edges[0].stop().await.success());
    assert!(fleet.shield.stop().await.success());
}
