//! Chromium plays with its own HLS and moves when its edge is drained; hls.js plays over TLS and h2;
//! hls.js is steered to another edge.
//!
//! The scenarios in the page are in tests/browser; here they meet the real roles.

use std::path::Path;
use std::process::Command;

use crate::world::command::run;
use crate::world::{Ran, Up, until};

async fn node(script: &str, args: &[&str]) -> Ran {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(folder.join("node_modules").exists(), "run `npm ci` in tests/browser, or tests/run");
    let mut command = Command::new("node");
    command.arg(script).args(args).current_dir(folder);
    run(command).await
}

#[tokio::test]
#[ignore = "needs Chromium and tests/browser/node_modules, which tests/run installs"]
async fn the_player_page_plays_and_moves_when_its_edge_is_drained() {
    let up = Up::start(&[]).await;
    let ran = node("native.mjs", &[&up.text("/player")]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let facts = ran.json();
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
    let ran = node("hlsjs.mjs", &[&secure, certificate.to_str().unwrap()]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let facts = ran.json();
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
    let ran = node("steering.mjs", &[&master, &selector, &token]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let facts = ran.json();
    assert_eq!(facts["edges"].as_object().unwrap().len(), 2, "{facts:#}");
    assert_eq!(facts["priority"].as_array().unwrap().len(), 3, "{facts:#}");
    assert_eq!(facts["errors"], serde_json::json!([]), "{facts:#}");
}
