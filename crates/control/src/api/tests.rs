#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::fake_server::FakeServer;
use crate::operations::OperationState;
use crate::purge::PurgeMode;

fn api(server: &FakeServer) -> Api {
    Api::new(server.url(), Some("secret\n".into()), ClientOptions::default()).unwrap()
}

fn purge() -> PurgeRequest {
    PurgeRequest {
        service: "default".into(),
        mode: PurgeMode::Hard,
        urls: vec!["/a".into()],
        prefixes: vec![],
        tags: vec![],
        all: false,
    }
}

#[tokio::test]
async fn writes_carry_the_token_a_fresh_key_and_the_body() {
    let keys = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&keys);
    let server = FakeServer::start(move |ask| {
        assert_eq!((ask.method.as_str(), ask.url.path()), ("POST", "/v1/purge"));
        assert_eq!(ask.headers["authorization"], "Bearer secret");
        assert_eq!(ask.body["urls"], json!(["/a"]));
        seen.lock().insert(ask.headers["idempotency-key"].clone());
        async { (202, json!({"id": "op", "kind": "purge", "state": "pending", "new_field": 1})) }
    })
    .await;
    let api = api(&server);
    let operation = api.purge(&purge()).await.unwrap();
    assert_eq!((operation.id.as_str(), operation.state), ("op", OperationState::Pending));
    api.purge(&purge()).await.unwrap();
    assert_eq!(keys.lock().len(), 2);
}

#[tokio::test]
async fn a_problem_reaches_the_caller_in_words() {
    let server = FakeServer::start(|_| async {
        (403, json!({"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "scope purge:write is missing"}))
    })
    .await;
    let error = api(&server).purge(&purge()).await.unwrap_err();
    assert!(error.to_string().contains("scope purge:write is missing"), "{error}");
}

#[tokio::test]
async fn waiting_reports_progress_and_outlives_a_fault() {
    let looks = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&looks);
    let server = FakeServer::start(move |ask| {
        assert_eq!(ask.url.path(), "/v1/operations/op");
        let look = count.fetch_add(1, SeqCst);
        async move {
            if look == 1 {
                return (503, json!({"title": "starting", "status": 503}));
            }
            let state = if look < 3 { "running" } else { "failed" };
            let nodes = json!([{"node": "e1", "state": state, "error": "/a.ts: 404 Not Found"}]);
            let progress = json!({"objects_done": look, "objects_total": 3});
            (
                200,
                json!({"id": "op", "kind": "prewarm", "state": state, "progress": progress, "nodes": nodes}),
            )
        }
    })
    .await;
    let mut seen = Vec::new();
    let operation =
        api(&server).wait("op", |operation| seen.push(operation.progress.objects_done)).await.unwrap();
    assert_eq!(seen, [0, 2, 3]);
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(operation.nodes[0].error.as_deref(), Some("/a.ts: 404 Not Found"));
}

#[tokio::test]
async fn all_pages_of_nodes_are_read() {
    let server = FakeServer::start(|ask| async move {
        let node = |id: &str| {
            json!({"id": id, "role": "edge", "site": "a", "state": "up", "url": "http://e/", "feed_seq": 1,
                   "load": {"cpu": 0.5}, "version": "1"})
        };
        match ask.query("cursor").as_deref() {
            None => (200, json!({"items": [node("e1")], "next_cursor": "e1"})),
            Some("e1") => (200, json!({"items": [node("e2")]})),
            other => panic!("unknown cursor {other:?}"),
        }
    })
    .await;
    let ids: Vec<_> = api(&server).nodes().await.unwrap().into_iter().map(|node| node.id).collect();
    assert_eq!(ids, ["e1", "e2"]);
}

#[tokio::test]
async fn select_asks_with_path_and_address() {
    let server = FakeServer::start(|ask| async move {
        assert_eq!(ask.query("path").as_deref(), Some("/a b.m3u8"));
        assert_eq!(ask.query("client_ip").as_deref(), Some("2001:db8::1"));
        let edge = json!({"id": "e1", "url": "http://e/", "site": "a", "rtt_ms": 1.5, "cost_ms": 2, "utilisation": 0,
                          "role": "primary", "reasons": []});
        (200, json!({"decision_id": "d", "ttl_s": 30, "cell": "2001:db8::/48", "source": "geo", "edges": [edge],
                     "reason": "best"}))
    })
    .await;
    let query = SelectQuery { path: "/a b.m3u8".into(), client_ip: Some("2001:db8::1".parse().unwrap()) };
    assert_eq!(api(&server).select(&query).await.unwrap().edges[0].id, "e1");
}

#[test]
fn a_token_that_cannot_be_sent_is_refused_at_once() {
    let base = Url::parse("http://127.0.0.1:1/").unwrap();
    let api = Api::new(base, Some("a\u{1}b".into()), ClientOptions::default());
    assert!(matches!(api, Err(ApiError::Token)));
}
