//! One copy comes over the wide-area network for all edges of a site.

use futures_util::future::join_all;

use crate::world::fleet::Plan;
use crate::world::settings::NODE_TOKEN;
use crate::world::{Fleet, Source, Viewer, media, until};

const OBJECTS: usize = 12;

fn path(number: usize) -> String {
    format!("/stream/site/{number}.ts")
}

/// Three edges of one site that fill from one another; the selector tells them who is there.
async fn site(source: &Source) -> Fleet {
    for number in 0..OBJECTS {
        source.put(&path(number), media::noise(number as _, 40_000));
    }
    let fleet = Plan::web(&source.url)
        .edges(3)
        .selected()
        .with("edge", "siblings", "fill = true")
        .with("edge", "service", "access = \"public\"")
        .one_site()
        .start()
        .await;
    for edge in &fleet.edges {
        until("each edge knows the two others", || async {
            (edge.metric("kromka_siblings").await == 2.0).then_some(())
        })
        .await;
    }
    fleet
}

#[tokio::test]
async fn three_edges_of_a_site_make_one_request_for_each_object() {
    let source = Source::start().await;
    let fleet = site(&source).await;
    let viewer = Viewer::new();
    let before = fleet.shield.metric("kromka_requests_total").await;
    for number in 0..OBJECTS {
        let all = fleet.edges.iter().map(|edge| {
            let (viewer, url) = (viewer.clone(), format!("{}{}", edge.url, path(number)));
            async move { viewer.get(&url).await }
        });
        for got in join_all(all).await {
            assert_eq!((got.status, got.bytes()), (200, &media::noise(number as _, 40_000)[..]));
        }
    }
    assert_eq!(fleet.shield.metric("kromka_requests_total").await - before, OBJECTS as f64);
    let mut filled = 0.0;
    for edge in &fleet.edges {
        filled += edge.metric("kromka_sibling_fills_total").await;
        assert_eq!(edge.metric("kromka_sibling_failures_total").await, 0.0);
    }
    assert_eq!(filled, 2.0 * OBJECTS as f64);
}

#[tokio::test]
async fn a_dead_sibling_costs_a_request_and_no_answer() {
    let source = Source::start().await;
    let mut fleet = site(&source).await;
    fleet.edges[2].kill();
    let viewer = Viewer::new();
    for number in 0..OBJECTS {
        for edge in &fleet.edges[..2] {
            let got = viewer.get(&format!("{}{}", edge.url, path(number))).await;
            assert_eq!((got.status, got.bytes()), (200, &media::noise(number as _, 40_000)[..]));
        }
    }
    for edge in &fleet.edges[..2] {
        until("the selector takes it off the list", || async {
            (edge.metric("kromka_siblings").await == 1.0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_purge_reaches_what_a_sibling_has() {
    let source = Source::start().await;
    let fleet = site(&source).await;
    let viewer = Viewer::new();
    for edge in &fleet.edges {
        viewer.get(&format!("{}{}", edge.url, path(3))).await;
    }
    source.put(&path(3), media::noise(99, 40_000));
    let operator = fleet.operator();
    let order = serde_json::json!({ "service": "default", "mode": "hard", "urls": [path(3)] });
    operator.done("/v1/purge", order).await;
    for edge in &fleet.edges {
        let got = viewer.get(&format!("{}{}", edge.url, path(3))).await;
        assert_eq!(got.bytes(), media::noise(99, 40_000));
    }
}

#[tokio::test]
async fn nobody_without_the_node_token_is_taken_for_a_sibling() {
    let source = Source::start().await;
    let fleet = site(&source).await;
    let viewer = Viewer::new();
    let url = format!("{}/default{}", fleet.edges[0].url, path(1));
    for token in ["", "Bearer wrong", "Basic abc"] {
        let fields = [("kromka-sibling", "edge-2"), ("authorization", token)];
        // A path like any other, which holds nothing.
        assert_eq!(viewer.ask(reqwest::Method::GET, &url, &fields).await.status, 404, "{token}");
    }
    let bearer = format!("Bearer {NODE_TOKEN}");
    let fields = [("kromka-sibling", "edge-2"), ("authorization", bearer.as_str())];
    let mut answers = Vec::new();
    for edge in &fleet.edges {
        let url = format!("{}/default{}", edge.url, path(1));
        answers.push(viewer.ask(reqwest::Method::GET, &url, &fields).await.status);
    }
    answers.sort_unstable();
    // Its owner answers, the others refuse.
    assert_eq!(answers, [200, 421, 421]);
}
