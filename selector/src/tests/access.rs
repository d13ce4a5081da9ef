//! Who may do what, idempotency, malformed requests.

use std::sync::Arc;

use serde_json::json;

use super::rig::{ALL, ASSET, BACKEND, NODE, Rig, node};

fn session() -> String {
    json!({"service": "default", "asset": ASSET, "subject": "viewer-1"}).to_string()
}

#[tokio::test]
async fn every_call_needs_its_scope() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    for (method, path, scope) in [
        ("POST", "/v1/playback-sessions", "sessions:write"),
        ("POST", "/v1/playback-sessions:batch", "sessions:write"),
        ("POST", "/v1/sign", "sessions:write"),
        ("POST", "/v1/prewarm", "content:write"),
        ("POST", "/v1/purge", "purge:write"),
        ("GET", "/v1/operations", "read"),
        ("GET", "/v1/operations/x", "read"),
        ("GET", "/v1/operations/x/stream", "read"),
        ("POST", "/v1/operations/x:cancel", "content:write"),
        ("GET", "/v1/nodes", "read"),
        ("GET", "/v1/nodes/a-1", "read"),
        ("POST", "/v1/nodes/a-1:drain", "nodes:write"),
        ("POST", "/v1/nodes/a-1:resume", "nodes:write"),
    ] {
        for token in ["", "Bearer wrong-token-000001", &format!("Bearer {NODE}"), &format!("Basic {ALL}")] {
            let reply = rig.send(method, path, &[("authorization", token)], "{}").await;
            assert_eq!(
                (reply.status.as_u16(), reply.slug()),
                (401, "unauthorized"),
                "{method} {path} {token}"
            );
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
        }
        if scope != "sessions:write" {
            let token = format!("Bearer {BACKEND}");
            let reply = rig.send(method, path, &[("authorization", &token)], "{}").await;
            assert_eq!((reply.status.as_u16(), reply.slug()), (403, "forbidden"), "{method} {path}");
            assert!(reply.json["detail"].as_str().unwrap().contains(scope), "{reply:?}");
        }
    }
    for (method, path) in [("POST", "/v1/nodes/a-1/heartbeat"), ("GET", "/v1/feed?node=a-1")] {
        for token in ["", &format!("Bearer {ALL}")] {
            let reply = rig.send(method, path, &[("authorization", token)], "{}").await;
            assert_eq!(reply.status, 401, "{method} {path}: nodes only");
        }
    }
    let reply = rig
        .send("POST", "/v1/playback-sessions", &[("authorization", &format!("Bearer {BACKEND}"))], &session())
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

#[tokio::test]
async fn a_repeated_write_gets_the_same_answer_and_another_one_is_refused() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let token = format!("Bearer {ALL}");
    let fields = [("authorization", token.as_str()), ("idempotency-key", "key-1")];
    let first = rig.send("POST", "/v1/playback-sessions", &fields, &session()).await;
    let again = rig.send("POST", "/v1/playback-sessions", &fields, &session()).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.text, again.text, "the same session, byte for byte");
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));

    let other = session().replace("viewer-1", "viewer-2");
    let reply = rig.send("POST", "/v1/playback-sessions", &fields, &other).await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (422, "idempotency-key-reused"));
    let reply = rig.send("POST", "/v1/purge", &fields, &session()).await;
    assert_eq!(reply.status, 422, "another path is another request");

    let other_caller = [("authorization", &*format!("Bearer {BACKEND}")), ("idempotency-key", "key-1")];
    let reply = rig.send("POST", "/v1/playback-sessions", &other_caller, &other).await;
    assert_eq!(reply.status, 201, "keys belong to their caller");

    let purge = json!({"service": "default", "mode": "hard", "prefixes": ["/"]}).to_string();
    let fields = [("authorization", token.as_str()), ("idempotency-key", "key-2")];
    let first = rig.send("POST", "/v1/purge", &fields, &purge).await;
    let rig = rig.restart().await;
    let again = rig.send("POST", "/v1/purge", &fields, &purge).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
    assert_eq!(first.header("location"), again.header("location"), "after a restart, too");
    assert_eq!(rig.get("/v1/operations").await.json["items"].as_array().unwrap().len(), 1);

    let long = "k".repeat(256);
    let reply =
        rig.send("POST", "/v1/purge", &[("authorization", &token), ("idempotency-key", &long)], &purge).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn of_many_writes_with_one_key_one_is_done() {
    let rig = Arc::new(Rig::start().await);
    let body = json!({"service": "default", "mode": "hard", "urls": ["/a.ts"]}).to_string();
    let mut tries = Vec::new();
    for _ in 0..16 {
        let (rig, body) = (Arc::clone(&rig), body.clone());
        tries.push(tokio::spawn(async move {
            let fields = [("authorization", &*format!("Bearer {ALL}")), ("idempotency-key", "same")];
            rig.send("POST", "/v1/purge", &fields, &body).await
        }));
    }
    for reply in tries {
        let reply = reply.await.unwrap();
        match reply.status.as_u16() {
            202 => {}
            409 => assert_eq!(reply.slug(), "idempotency-key-in-flight"),
            other => panic!("{other}: {reply:?}"),
        }
    }
    assert_eq!(rig.get("/v1/operations").await.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_failed_for_now_may_be_tried_again_with_its_key() {
    let rig = Rig::start().await;
    let fields = [("authorization", &*format!("Bearer {ALL}")), ("idempotency-key", "later")];
    let reply = rig.send("POST", "/v1/playback-sessions", &fields, &session()).await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (503, "no-edge"));
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    rig.up(&["a-1"]).await;
    assert_eq!(rig.send("POST", "/v1/playback-sessions", &fields, &session()).await.status, 201);
}

#[tokio::test]
async fn malformed_requests_are_told_what_is_wrong_and_where() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let token = format!("Bearer {ALL}");
    let post =
        async |path: &str, body: &str| rig.send("POST", path, &[("authorization", &token)], body).await;

    let reply = post("/v1/purge", "{\n  \"service\": }").await;
    assert_eq!((reply.status.as_u16(), reply.slug(), reply.pointers()), (400, "not-json", vec!["#"]));
    assert!(reply.json["detail"].as_str().unwrap().contains("line 2 column 14"), "{reply:?}");
    assert_eq!(post("/v1/purge", "").await.status, 400);

    let reply = post("/v1/purge", r#"{"service": "default", "mode": "gentle", "urls": []}"#).await;
    assert_eq!((reply.status.as_u16(), reply.slug(), reply.pointers()), (422, "invalid", vec!["#/mode"]));
    let reply = post("/v1/purge", r#"{"service": "nobody", "mode": "hard", "urls": ["/a"]}"#).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/service"]));
    assert!(reply.json["detail"].as_str().unwrap().contains("default, music"));
    let reply =
        post("/v1/purge", r#"{"service": "music", "mode": "hard", "urls": ["/music/a", "/video/a"]}"#).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/urls/1"]));
    let reply =
        post("/v1/purge", r#"{"service": "default", "mode": "hard", "urls": ["/a/../../etc/passwd"]}"#).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/urls/0"]));
    let reply = post("/v1/prewarm", r#"{"service": "default", "trees": ["/a.m3u8?x=1"]}"#).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/trees/0"]));
    let reply =
        post("/v1/prewarm", r#"{"service": "default", "trees": ["/a.m3u8"], "target": {"nodes": ["x"]}}"#)
            .await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/target/nodes/0"]));

    let big = format!("{{\"service\": \"{}\"}}", "x".repeat(1 << 20));
    let reply = post("/v1/purge", &big).await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (413, "too-large"));

    for (method, path, status) in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/operations/none", 404),
        ("POST", "/v1/nodes/a-1:explode", 404),
        ("POST", "/v1/nodes/nobody:drain", 404),
        ("DELETE", "/v1/nodes", 405),
        ("GET", "/v1/purge", 405),
        ("GET", "/v1/nodes?limit=0", 400),
        ("GET", "/v1/nodes?limit=many", 400),
        ("GET", "/v1/nodes?colour=red", 400),
        ("GET", "/v1/select", 400),
    ] {
        let reply = rig.send(method, path, &[("authorization", &token)], "").await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        assert!(!reply.slug().is_empty());
    }
    let reply = rig.send("DELETE", "/v1/nodes", &[("authorization", &token)], "").await;
    assert!(reply.header("allow").contains("GET"), "{reply:?}");
}

#[tokio::test]
async fn a_thing_and_what_is_done_with_it_have_each_their_own_methods() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    for (method, path, allowed) in [
        ("POST", "/v1/nodes/a-1", "GET,HEAD"),
        ("DELETE", "/v1/nodes/a-1", "GET,HEAD"),
        ("GET", "/v1/nodes/a-1:drain", "POST"),
        ("HEAD", "/v1/nodes/a-1%3Aresume", "POST"),
        ("PUT", "/v1/nodes/a-1:drain", "POST"),
        ("POST", "/v1/operations/x", "GET,HEAD"),
        ("GET", "/v1/operations/x:cancel", "POST"),
    ] {
        let reply = rig.send(method, path, &[("authorization", &format!("Bearer {ALL}"))], "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("allow")),
            (405, allowed),
            "{method} {path}: {reply:?}"
        );
    }
    assert_eq!(rig.post("/v1/nodes/a-1%3adrain", json!({})).await.json["state"], "draining");
    assert_eq!(rig.get("/v1/nodes/a-1").await.status, 200);
    assert_eq!(rig.get("/v1/nodes/a-1:explode").await.status, 404, "there is no such thing");
}

#[tokio::test]
async fn a_node_cannot_slip_in_what_is_none() {
    let rig = Rig::start().await;
    for (pointer, change) in [
        ("#/id", json!({"id": "b-1"})),
        ("#/site", json!({"site": "Moscow\n"})),
        ("#/url", json!({"url": "javascript:alert(1)"})),
        ("#/url", json!({"url": "somewhere"})),
        ("#/tls_url", json!({"tls_url": "file:///etc/passwd"})),
        ("#/url", json!({"url": "http://user:word@a-1.example/"})),
        ("#/url", json!({"url": "http://a-1.example/?x="})),
        ("#/url", json!({"url": format!("http://a-1.example/{}", "x".repeat(1_024))})),
        ("#/role", json!({"role": "king"})),
        ("#/version", json!({"version": "9".repeat(129)})),
        ("#/boot", json!({"boot": "b".repeat(129)})),
        ("#/addresses", json!({"addresses": vec!["192.0.2.1"; 17]})),
        ("#/jobs", json!({"jobs": vec![json!({"operation": "x", "state": "running"}); 1_001]})),
        ("#/load/egress_bps", json!({"load": {"egress_bps": -1}})),
    ] {
        let mut body = serde_json::to_value(node("a-1")).unwrap();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let fields = [("authorization", &*format!("Bearer {NODE}"))];
        let reply = rig.send("POST", "/v1/nodes/a-1/heartbeat", &fields, &body.to_string()).await;
        assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec![pointer]), "{change}");
    }
    assert_eq!(rig.get("/v1/nodes").await.json["items"].as_array().unwrap().len(), 0);
}
