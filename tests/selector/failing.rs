//! Edges that are heard and yet fail, and ways that are measured by those who take them.

use std::cell::RefCell;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::world::fleet::Plan;
use crate::world::{Viewer, media, until};

/// The node as the selector shows it.
async fn node(operator: &crate::world::Operator, id: &str) -> Value {
    operator.get(&format!("/v1/nodes/{id}")).await.json()
}

#[tokio::test]
async fn an_edge_that_answers_errors_gets_no_new_viewers_and_comes_back_when_it_is_well() {
    let checks = "interval = \"200ms\"\nhold = \"1s\"";
    let plan = Plan::sample().edges(3).selected().with("selector", "checks", checks);
    let fleet = plan.with("edge", "limits", "connections = 24\nheader_timeout = \"5m\"").start().await;
    let operator = fleet.operator();
    let checked = || async {
        let passed = fleet.selector.as_ref().unwrap().metric("kromka_checks_total").await;
        (passed >= 9.0).then_some(())
    };
    until("each edge was reached once", checked).await;

    // Somebody takes all connections of one edge and says nothing: plain ones get 503, heartbeats go on.
    let failing = &fleet.edges[1];
    let address = failing.url.trim_start_matches("http://");
    // A place that a check still had is taken when it is free.
    let taken = RefCell::new(Vec::new());
    until("it is found out", || async {
        if taken.borrow().len() < 400 {
            let more = (0..24).filter_map(|_| TcpStream::connect(address).ok());
            taken.borrow_mut().extend(more);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        node(&operator, &failing.id).await["ejected"].is_string().then_some(())
    })
    .await;
    let found = node(&operator, &failing.id).await;
    assert_eq!(found["state"], "up", "its heartbeats say that all is well: {found:#}");
    assert!(found["ejected"].as_str().unwrap().contains("checks failed"), "{found:#}");
    for n in 0..50 {
        let location = operator.route(&format!("/stream/title-{n}/master.m3u8")).await.header("location");
        assert!(!location.starts_with(&failing.url), "{location}");
    }
    for other in [&fleet.edges[0], &fleet.edges[2]] {
        assert!(node(&operator, &other.id).await["ejected"].is_null(), "only that one");
    }
    let selector = fleet.selector.as_ref().unwrap();
    until("it is counted", || async {
        let counted = selector.metric("kromka_edge_ejections_total").await >= 1.0;
        (counted && selector.metric("kromka_edges_ejected").await == 1.0).then_some(())
    })
    .await;

    drop(taken);
    until("it is well and has its time behind it", || async {
        node(&operator, &failing.id).await["ejected"].is_null().then_some(())
    })
    .await;
    // Few viewers at first: among many titles some are placed there again.
    until("it gets viewers again", || async {
        for n in 0..50 {
            let location = operator.route(&format!("/stream/title-{n}/master.m3u8")).await.header("location");
            if location.starts_with(&failing.url) {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn the_way_of_a_viewers_connection_becomes_the_distance_of_the_network() {
    let plan = Plan::sample().edges(2).selected().with("selector", "checks", "enabled = false");
    let fleet = plan.start().await;
    let operator = fleet.operator();
    let ask = || async {
        let got = operator.get(&format!("/v1/select?path={}&client_ip=127.0.0.77", media::DEMO)).await;
        assert_eq!(got.status, 200, "{}", got.text());
        got.json()
    };
    let before = ask().await;
    assert_eq!((&before["cell"], &before["source"]), (&"127.0.0.0/24".into(), &"prior".into()), "{before:#}");

    let session = operator.session(media::DEMO).await;
    let viewer = Viewer::new();
    assert_eq!(viewer.get(session["master_url"].as_str().unwrap()).await.status, 200);
    // The connection ends with its viewer.
    drop(viewer);
    let after = until("its distance is known", || async {
        let answer = ask().await;
        (answer["source"] == "rum").then_some(answer)
    })
    .await;
    let edges = after["edges"].as_array().unwrap();
    let served = edges.iter().find(|edge| edge["id"] == session["edge"]).unwrap();
    let other = edges.iter().find(|edge| edge["id"] != session["edge"]).unwrap();
    assert!(served["rtt_ms"].as_f64() < other["rtt_ms"].as_f64(), "loopback is near: {after:#}");
    let edge = fleet.edges.iter().find(|edge| session["edge"] == edge.id.as_str()).unwrap();
    assert!(edge.metric("kromka_client_rtt_seconds_count").await >= 1.0);
}
