//! The OpenAPI document, the player page, health, metrics, starting and stopping.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::Request;
use kromka_control::Heartbeat;
use kromka_net::{Client, ClientOptions};
use serde_json::{Value, json};

use super::rig::{ASSET, Rig, config, node};

/// Set it to write `openapi.json` anew instead of comparing.
const UPDATE: &str = "KROMKA_UPDATE_OPENAPI";

#[tokio::test]
async fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let rig = Rig::start().await;
    let served = rig.send("GET", "/v1/openapi.json", &[], "").await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "application/json"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, format!("{}\n", served.text)).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept.trim_end() == served.text,
        "openapi.json is old: {UPDATE}=1 cargo nextest run -p kromka-selector openapi document"
    );
    assert!(served.json["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[tokio::test]
async fn every_call_of_the_document_is_there() {
    let rig = Rig::start().await;
    let document = rig.send("GET", "/v1/openapi.json", &[], "").await.json;
    let mut calls = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let target =
                path.replace("{id}", "x").replace("{path}", "a/m.m3u8").replace("{service}", "default");
            let reply = rig.send(&method.to_uppercase(), &target, &[], "").await;
            let expected: &[u16] = match call.get("security") {
                Some(_) => &[401],
                None => &[200, 400, 503],
            };
            assert!(expected.contains(&reply.status.as_u16()), "{method} {path}: {reply:?}");
            calls += 1;
        }
    }
    assert_eq!(calls, 29);
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let found = document.pointer(&format!("/{reference}"));
        assert!(found.is_some(), "{reference} leads nowhere");
    }
    let request = document.pointer("/components/schemas/SessionRequest/properties").unwrap();
    assert!(
        request.get("asset").is_some()
            && request.get("start_ttl_s").is_some()
            && request.get("bind_ip").is_some()
    );
}

#[tokio::test]
async fn the_player_page_loads_and_can_be_left_out() {
    let rig = Rig::start().await;
    let reply = rig.send("GET", "/", &[], "").await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (307, "/player"));
    let page = rig.send("GET", "/player", &[], "").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let quoted = page.text.split('"').filter(|text| text.starts_with("/player/"));
    let files: Vec<&str> = quoted.collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(rig.send("GET", file, &[], "").await.status, 200, "{file}");
    }
    assert_eq!(rig.send("GET", "/player/secret.js", &[], "").await.status, 404);

    let folder = tempfile::tempdir().unwrap();
    let without = kromka_config::SelectorConfig { player: false, ..config(folder.path()) };
    let rig = Rig::with(without, folder).await;
    assert_eq!(rig.send("GET", "/player", &[], "").await.status, 404);
}

#[tokio::test]
async fn operators_see_health_and_numbers_on_their_own_listener() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "o-1"]).await;
    rig.post("/v1/playback-sessions", json!({"service": "default", "asset": ASSET, "subject": "v"})).await;
    rig.send("GET", &format!("/route{ASSET}"), &[], "").await;
    let client = Client::new(ClientOptions::default()).unwrap();
    let get = async |path: &str| {
        let request = Request::get(format!("{}{path}", rig.running.admin)).body(Bytes::new()).unwrap();
        let (parts, mut body) = client.send(request).await.unwrap().into_parts();
        (parts.status.as_u16(), String::from_utf8(body.whole(1 << 20).await.unwrap().to_vec()).unwrap())
    };
    assert_eq!(get("healthz").await.0, 200);
    assert_eq!(get("readyz").await.0, 200);
    assert_eq!(get("v1/nodes").await.0, 404, "the API is not there");
    let (_, metrics) = get("metrics").await;
    for line in [
        "kromka_build_info{",
        "kromka_nodes{role=\"edge\",state=\"up\"} 1",
        "kromka_nodes{role=\"origin\",state=\"up\"} 1",
        "kromka_nodes{role=\"edge\",state=\"down\"} 0",
        "kromka_route_decisions_total{reason=\"best\",surface=\"redirect\"} 1",
        "kromka_route_decisions_total{reason=\"best\",surface=\"session\"} 1",
        "kromka_sessions_created_total 1",
        "kromka_heartbeats_total 2",
        "kromka_feed_lag{node=\"a-1\"}",
        "kromka_roster_distrusted 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert_eq!(rig.send("GET", "/metrics", &[], "").await.status, 404, "viewers never reach it");
    rig.beat(&Heartbeat { goodbye: true, ..node("a-1") }).await;
    let (_, metrics) = get("metrics").await;
    assert!(metrics.contains("kromka_feed_lag{node=\"o-1\"}"), "{metrics}");
    assert!(!metrics.contains("a-1"), "who is gone lags behind nothing: {metrics}");
    let request = Request::post(format!("{}metrics", rig.running.admin)).body(Bytes::new()).unwrap();
    let refused = client.send(request).await.unwrap();
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn a_start_that_cannot_succeed_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start().await;
    let taken = rig.running.url.socket_addrs(|| None).unwrap()[0];
    let mut busy = config(folder.path());
    busy.listen.http = Some(taken);
    let error = crate::start(busy).await.err().unwrap().to_string();
    assert!(error.contains(&taken.to_string()) && error.contains("port"), "{error}");

    std::fs::write(folder.path().join("file"), b"").unwrap();
    let mut unwritable = config(folder.path());
    unwritable.store.path = folder.path().join("file/selector.db");
    let error = crate::start(unwritable).await.err().unwrap().to_string();
    assert!(error.contains("store.path"), "{error}");

    let mut nowhere = config(folder.path());
    nowhere.listen.http = None;
    let error = crate::start(nowhere).await.err().unwrap().to_string();
    assert!(error.contains("listen.http"), "{error}");
}

#[tokio::test]
async fn a_stop_ends_long_polls_and_streams_in_time() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let head = rig.feed("a-1", 0, 0).await.head;
    let url = format!("{}v1/feed?after={head}&node=a-1&wait_ms=60000", rig.running.url);
    let poll = tokio::spawn(async move {
        let request = Request::get(url).header("authorization", format!("Bearer {}", super::rig::NODE));
        let client = Client::new(ClientOptions::default()).unwrap();
        client
            .send_within(request.body(Bytes::new()).unwrap(), Duration::from_secs(60))
            .await
            .unwrap()
            .status()
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokio::time::timeout(Duration::from_secs(20), rig.running.drain()).await.expect("the stop hangs");
    assert_eq!(poll.await.unwrap(), 503, "an answer, not a cut");
}

#[tokio::test]
async fn over_tls_viewers_are_sent_to_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut over_tls = config(folder.path());
    over_tls.listen.https = Some("127.0.0.1:0".parse().unwrap());
    over_tls.tls.self_signed = Some(folder.path().join("tls"));
    let rig = Rig::with(over_tls, folder).await;
    let secure = Heartbeat { tls_url: Some("https://a-1.example:8443/".into()), ..node("a-1") };
    rig.beat(&secure).await;
    let certificate = std::fs::read_dir(rig.folder.path().join("tls"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .find(|text| text.contains("BEGIN CERTIFICATE"))
        .unwrap();
    let options = ClientOptions { extra_root_pem: Some(certificate), ..ClientOptions::default() };
    let url = format!("{}route{ASSET}", rig.running.tls_url.clone().unwrap());
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let response = Client::new(options).unwrap().send(request).await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], format!("https://a-1.example:8443{ASSET}"));
    let plain = rig.send("GET", &format!("/route{ASSET}"), &[], "").await;
    assert_eq!(plain.header("location"), format!("http://a-1.example:8080{ASSET}"));
    assert!(matches!(rig.get("/v1/nodes").await.json["items"][0]["tls_url"], Value::String(_)));
}
