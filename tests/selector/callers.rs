//! Who may do what, once, and what the API says about itself.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::fleet::Plan;
use crate::world::settings::{NODE_TOKEN, SCOPES};
use crate::world::{Operator, Viewer, media};

/// Every guarded call, and the scope that opens it.
fn calls() -> Vec<(&'static str, Method, &'static str, Value)> {
    let session = json!({"service": "default", "asset": media::DEMO, "subject": "v"});
    let sign = json!({"service": "default", "path": media::SEGMENT, "ttl_s": 60});
    let purge = json!({"service": "default", "mode": "hard", "urls": ["/stream/x.ts"]});
    let prewarm = json!({"service": "default", "urls": [media::SEGMENT]});
    vec![
        ("sessions:write", Method::POST, "/v1/playback-sessions", session),
        ("sessions:write", Method::POST, "/v1/sign", sign),
        ("purge:write", Method::POST, "/v1/purge", purge),
        ("content:write", Method::POST, "/v1/prewarm", prewarm),
        ("nodes:write", Method::POST, "/v1/nodes/edge-1:drain", json!({})),
        ("nodes:write", Method::POST, "/v1/nodes/edge-1:resume", json!({})),
        ("read", Method::GET, "/v1/nodes", Value::Null),
        ("read", Method::GET, "/v1/operations", Value::Null),
    ]
}

async fn call(operator: &Operator, method: &Method, path: &str, body: &Value) -> crate::world::Got {
    match *method {
        Method::GET => operator.get(path).await,
        _ => operator.post(path, body.clone()).await,
    }
}

#[tokio::test]
async fn each_call_wants_its_scope_and_an_unknown_token_opens_none() {
    let fleet = Plan::sample().selected().start().await;
    let base = &fleet.selector.as_ref().unwrap().url;
    for (scope, method, path, body) in calls() {
        for (held, token) in SCOPES {
            let got = call(&Operator::new(base, token), &method, path, &body).await;
            match held == scope {
                true => assert!(got.status < 300, "{held} at {path}: {} {}", got.status, got.text()),
                false => {
                    assert_eq!((got.status, got.slug().as_str()), (403, "forbidden"), "{held} at {path}");
                    assert!(got.text().contains(scope), "which scope is missing: {}", got.text());
                }
            }
        }
        for unknown in ["", "nobodys-token-0123456789", NODE_TOKEN] {
            let got = call(&Operator::new(base, unknown), &method, path, &body).await;
            assert_eq!((got.status, got.slug().as_str()), (401, "unauthorized"), "{unknown:?} at {path}");
            assert!(got.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
    }
    // What is for nodes is not for callers.
    for path in ["/v1/feed?after=0&node=edge-1&wait_ms=0", "/v1/nodes/edge-9/heartbeat"] {
        let method = if path.ends_with("heartbeat") { Method::POST } else { Method::GET };
        let got = call(&fleet.operator(), &method, path, &json!({})).await;
        assert_eq!(got.status, 401, "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn a_write_that_is_sent_twice_is_done_once() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    let body = json!({"service": "default", "mode": "hard", "urls": ["/stream/x.ts"]});
    let key = [("idempotency-key", "one-purge")];
    let first = operator.post_with("/v1/purge", &key, body.clone()).await;
    let second = operator.post_with("/v1/purge", &key, body.clone()).await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(first.json()["id"], second.json()["id"]);
    let operations = operator.get("/v1/operations").await.json();
    assert_eq!(operations["items"].as_array().unwrap().len(), 1, "{operations:#}");

    let other = json!({"service": "default", "mode": "soft", "urls": ["/stream/x.ts"]});
    let got = operator.post_with("/v1/purge", &key, other).await;
    assert_eq!((got.status, got.slug().as_str()), (422, "idempotency-key-reused"));
    // A key belongs to its caller.
    let base = &fleet.selector.as_ref().unwrap().url;
    let purger = Operator::new(base, SCOPES[2].1);
    let got = purger.post_with("/v1/purge", &key, body).await;
    assert_eq!(got.status, 202);
    assert_ne!(got.header("location"), first.header("location"));
}

#[tokio::test]
async fn sessions_with_one_key_are_one_session() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    let body = json!({"service": "default", "asset": media::DEMO, "subject": "v"});
    let key = [("idempotency-key", "one-session")];
    let first = operator.post_with("/v1/playback-sessions", &key, body.clone()).await;
    let second = operator.post_with("/v1/playback-sessions", &key, body.clone()).await;
    assert_eq!(first.json(), second.json());
    let third = operator.post("/v1/playback-sessions", body).await;
    assert_ne!(first.json()["session_id"], third.json()["session_id"]);
}

#[tokio::test]
async fn the_api_describes_itself_and_every_call_stands_in_it() {
    let fleet = Plan::sample().selected().start().await;
    let base = &fleet.selector.as_ref().unwrap().url;
    let got = Viewer::new().get(&format!("{base}/v1/openapi.json")).await;
    assert_eq!(got.status, 200);
    let document = got.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    for (path, method) in [
        ("/v1/playback-sessions", "post"),
        ("/v1/sign", "post"),
        ("/v1/keys", "get"),
        ("/v1/prewarm", "post"),
        ("/v1/purge", "post"),
        ("/v1/operations/{id}", "get"),
        ("/v1/nodes", "get"),
        ("/v1/nodes/{id}:drain", "post"),
        ("/v1/nodes/{id}:resume", "post"),
        ("/v1/select", "get"),
        ("/route/{path}", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path} is not described");
    }
}

#[tokio::test]
async fn what_the_api_does_not_have_is_a_problem_in_words() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    for (path, status) in [
        ("/v1/none", 404),
        ("/nothing", 404),
        ("/v1/operations/none", 404),
        ("/v1/nodes/none", 404),
        ("/v1/purge", 405),
    ] {
        let got = operator.get(path).await;
        assert_eq!(got.status, status, "{path}: {}", String::from_utf8_lossy(got.bytes()));
        assert!(!got.slug().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_by_its_own_word_is_refused_before_it_comes() {
    let fleet = Plan::sample().selected().start().await;
    let base = &fleet.selector.as_ref().unwrap().url;
    let large = format!(
        "POST /v1/purge HTTP/1.1\r\nhost: s\r\nauthorization: Bearer {}\r\ncontent-length: 99999999\r\nconnection: close\r\n\r\n",
        crate::world::settings::API_TOKEN
    );
    let answer = crate::world::wire::send(base, large.as_bytes()).await.expect("no answer to a large body");
    assert_eq!(answer.status, 413, "{}", answer.head);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let fleet = Plan::sample().edges(3).selected().start().await;
    let operator = fleet.operator();
    let mut seen = Vec::new();
    let mut next = "/v1/nodes?limit=2".to_owned();
    loop {
        let page = operator.get(&next).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let json = page.json();
        let items = json["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = json["next_cursor"].as_str() else { break };
        assert!(page.header("link").contains("rel=\"next\""), "{}", page.header("link"));
        next = format!("/v1/nodes?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["edge-1", "edge-2", "edge-3", "shield-1"]);
}
