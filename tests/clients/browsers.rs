//! Chromium plays with its own HLS and moves when its edge is drained; hls.js plays over TLS and h2;
//! hls.js and Shaka are steered to another edge; the page's beacons reach the selector.
//!
//! The scenarios in the page are in tests/browser; here they meet the real roles.

use crate::world::fleet::Plan;
use crate::world::settings::API_TOKEN;
use crate::world::{Up, Viewer, browser, media, until};

#[tokio::test]
#[ignore = "needs Chromium and tests/browser/node_modules, which tests/run installs"]
async fn the_player_page_plays_and_moves_when_its_edge_is_drained() {
    let up = Up::start(&[]).await;
    let facts = browser("native.mjs", &[&up.text("/player")]).await;
    assert_ne!(facts["first_edge"], facts["then_edge"], "{facts:#}");
    // It left the fleet as it found it.
    for edge in ["edge-1", "edge-2"] {
        up.operator().sees(edge, "up").await;
    }
}

#[tokio::test]
#[ignore = "needs Chromium and tests/browser/node_modules, which tests/run installs"]
async fn hls_js_plays_and_switches_quality_over_tls_and_h2() {
    let up = Up::start(&[]).await;
    let master = up.text("/master_url");
    let edges = up.ready["edges"].as_array().unwrap();
    let base =
        |edge: &serde_json::Value, key: &str| edge[key].as_str().unwrap().trim_end_matches('/').to_owned();
    let edge = edges.iter().find(|edge| master.starts_with(&base(edge, "url"))).unwrap();
    let secure = master.replacen(&base(edge, "url"), &base(edge, "tls_url"), 1);
    let certificate = up.certificate();
    let facts = browser("hlsjs.mjs", &[&secure, certificate.to_str().unwrap()]).await;
    assert_eq!(facts["protocols"], serde_json::json!(["h2"]), "{facts:#}");
    until("the edge has counted a session", || async {
        let admin = base(edge, "admin");
        (crate::world::role::metric(&admin, "kromka_sessions").await >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Chromium and tests/browser/node_modules, which tests/run installs"]
async fn hls_js_follows_its_steering_document_away_from_a_drained_edge_and_loses_no_segment() {
    let up = Up::start(&["--edges", "3"]).await;
    let (master, selector, token) = (up.text("/master_url"), up.text("/selector"), up.text("/api_token"));
    let facts = browser("steering.mjs", &[&master, &selector, &token]).await;
    assert_eq!(facts["edges"].as_object().unwrap().len(), 2, "{facts:#}");
    assert_eq!(facts["priority"].as_array().unwrap().len(), 3, "{facts:#}");
    assert_eq!(facts["errors"], serde_json::json!([]), "{facts:#}");
}

#[tokio::test]
#[ignore = "needs Chromium and tests/browser/node_modules, which tests/run installs"]
async fn shaka_follows_its_steering_document_where_the_playlist_has_the_pathways_in_full() {
    // Edges that differ in their port, which no clone can name.
    let plan = Plan::sample().edges(3).selected().steered();
    let plan = plan.with("selector", "steering", "live = \"1s\"\nvod = \"1s\"\nhot = \"1s\"");
    let fleet = plan.start().await;
    let session = fleet.operator().session("/stream/demo-fmp4/master.m3u8").await;
    let master = session["master_url"].as_str().unwrap();
    let viewer = Viewer::new();
    until("the playlist names all edges", || async {
        (viewer.get(master).await.text().matches("#EXT-X-STREAM-INF").count() == 3).then_some(())
    })
    .await;
    let selector = &fleet.selector.as_ref().unwrap().url;
    let facts = browser("shaka.mjs", &[master, selector, API_TOKEN]).await;
    assert_eq!(facts["first"], session["edge"], "{facts:#}");
    assert_eq!(facts["edges"].as_object().unwrap().len(), 2, "{facts:#}");
    assert_eq!(facts["errors"], serde_json::json!([]), "{facts:#}");
}

#[tokio::test]
#[ignore = "needs node and tests/browser/node_modules, which tests/run installs"]
async fn a_player_with_the_companion_asks_again_only_where_there_is_nowhere_else_to_go() {
    let facts = browser("companion.mjs", &[]).await;
    assert_eq!(facts["result"], "passed");
}

#[tokio::test]
#[ignore = "needs Chromium and tests/browser/node_modules, which tests/run installs"]
async fn what_the_player_page_tells_of_edges_is_what_the_selector_knows() {
    let plan = Plan::sample().edges(3).selected();
    let fleet = plan.with("selector", "beacons", "explore = 1.0").start().await;
    let (operator, selector) = (fleet.operator(), fleet.selector.as_ref().unwrap());
    let page =
        format!("{}/player#token={API_TOKEN}&service=default&asset={}&samples=1", selector.url, media::DEMO);
    let facts = browser("beacon.mjs", &[&page]).await;
    let told = |list: &str| -> Vec<&serde_json::Value> {
        let beacons = facts["beacons"].as_array().unwrap().iter();
        beacons.flat_map(|beacon| beacon[list].as_array().unwrap()).collect()
    };
    let samples = told("samples");
    assert!(samples.len() >= 2, "{facts:#}");
    for sample in &samples[..2] {
        assert_ne!(sample["edge"], facts["first"], "the two it does not play from: {facts:#}");
        assert!(sample["connect_ms"].as_f64().unwrap() > 0.0, "{facts:#}");
    }
    let errors = told("errors");
    assert!(!errors.is_empty() && errors.iter().all(|error| error["edge"] == facts["first"]), "{facts:#}");
    assert!(facts["statuses"].as_array().unwrap().iter().all(|status| status == 204), "{facts:#}");
    let counted = selector.metric("kromka_beacon_entries_total").await;
    assert!(counted >= (samples.len() + errors.len()) as f64, "{counted}: {facts:#}");
    // The network of this browser was unknown; now its distance is a measured one.
    let explain = format!("/v1/select/explain?path={}&client_ip=127.0.0.1", media::DEMO);
    until("what it told is learnt", || async {
        (operator.get(&explain).await.json()["source"] == "rum").then_some(())
    })
    .await;
    // Nobody else is sent away for the word of one viewer.
    operator.sees(facts["first"].as_str().unwrap(), "up").await;
}
