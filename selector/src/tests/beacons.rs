//! What players tell, through the API as any page would send it; and what a flood of it does.

use std::time::{Duration, Instant};

use kromka_access::{Claims, Signer};
use kromka_config::{NamedSecret, Secret};
use serde_json::{Value, json};

use super::rig::{ASSET, Reply, Rig, config, node};

async fn exploring() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.beacons.explore = 1.0;
    config.beacons.per_network = 300;
    let rig = Rig::with(config, folder).await;
    rig.up(&["a-1", "b-1", "c-1"]).await;
    rig
}

async fn session(rig: &Rig) -> (Value, String) {
    let body = json!({"service": "default", "asset": ASSET, "subject": "s", "client_ip": "203.0.113.9"});
    let session = rig.post("/v1/playback-sessions", body).await.json;
    let url = session["master_url"].as_str().unwrap();
    let token = url.split("/~").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (session, token)
}

async fn tell(rig: &Rig, beacon: &Value) -> Reply {
    rig.send("POST", "/v1/beacon", &[("content-type", "text/plain")], &beacon.to_string()).await
}

#[tokio::test]
async fn a_session_that_explores_is_told_whom_to_measure_and_what_it_tells_becomes_distance() {
    let rig = exploring().await;
    let (session, token) = session(&rig).await;
    let plan = &session["beacon"];
    let targets = plan["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);
    assert!(plan["url"].as_str().unwrap().ends_with("/v1/beacon"));
    for target in targets {
        assert_ne!(target["edge"], session["edge"], "the way to its own edge is measured anyway");
        assert!(target["url"].as_str().unwrap().ends_with(".example:8080/~health"));
    }
    let edge = targets[0]["edge"].as_str().unwrap();
    let beacon = json!({"token": token, "samples": [{"edge": edge, "ttfb_ms": 22.0, "connect_ms": 20.0}]});
    let reply = tell(&rig, &beacon).await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, "*"), "{reply:?}");

    // The network that told: this machine's.
    let begun = Instant::now();
    loop {
        let reply = rig.get(&format!("/v1/select?path={ASSET}&client_ip=127.0.0.9")).await;
        if reply.json["source"] == "rum" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{reply:?}");
        rig.up(&["a-1", "b-1", "c-1"]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_small_share_of_sessions_explores_and_between_them_every_edge_is_measured() {
    let rig = Rig::start().await;
    let edges = ["a-1", "b-1", "c-1", "d-1", "e-1", "f-1"];
    rig.up(&edges).await;
    let body = json!({"service": "default", "asset": ASSET, "subject": "s", "client_ip": "203.0.113.9"});
    let items: Vec<Value> = vec![body; 100];
    let (mut explore, mut measured) = (0, std::collections::BTreeSet::new());
    const SESSIONS: usize = 8_000;
    for _ in 0..SESSIONS / items.len() {
        rig.up(&edges).await;
        let reply = rig.post("/v1/playback-sessions:batch", json!({"items": items})).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        for session in reply.json["items"].as_array().unwrap() {
            let Some(targets) = session["beacon"]["targets"].as_array() else { continue };
            explore += 1;
            assert!((1..=2).contains(&targets.len()), "{targets:?}");
            for target in targets {
                assert_ne!(target["edge"], session["edge"]);
                measured.insert(target["edge"].as_str().unwrap().to_owned());
            }
        }
    }
    // Never more than one in fifty; 120 are to be expected.
    assert!((80..=160).contains(&explore), "{explore} of {SESSIONS}");
    assert!(measured.len() >= 5, "not the next ones alone: {measured:?}");
}

#[tokio::test]
async fn a_session_that_a_backend_signed_with_its_secret_is_believed_for_its_service_alone() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.service[0].secrets = vec![NamedSecret { kid: "backend-1".into(), secret: Secret::new(SECRET) }];
    let (service, other) = (config.service[0].id.clone(), config.service[1].id.clone());
    let rig = Rig::with(config, folder).await;
    rig.up(&["a-1", "b-1"]).await;
    let signer = Signer::hs256("backend-1", SECRET.as_bytes()).unwrap();
    let beacon = |aud: &str| {
        let claims = Claims {
            iss: "backend".into(),
            sub: "viewer".into(),
            sid: "session-1".into(),
            aud: aud.into(),
            exp: chrono::Utc::now().timestamp() + 600,
            cdniuc: "path:/".into(),
            ..Claims::default()
        };
        let token = signer.sign(&claims).unwrap();
        json!({"token": token, "samples": [{"edge": "a-1", "ttfb_ms": 22.0, "connect_ms": 20.0}]})
    };
    assert_eq!(tell(&rig, &beacon(&service)).await.status, 204);
    let refused = tell(&rig, &beacon(&other)).await;
    assert_eq!((refused.status.as_u16(), refused.slug()), (401, "token"), "{refused:?}");
    let keys = rig.get("/v1/keys").await.text;
    assert!(!keys.contains("backend-1"), "a secret is not published: {keys}");
}

#[tokio::test]
async fn what_a_session_of_one_service_tells_is_nothing_to_anothers_of_the_same_name() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let secret = NamedSecret { kid: "music-1".into(), secret: Secret::new(SECRET) };
    config.service[1].secrets = vec![secret];
    config.service[1].steering = true;
    let services = [config.service[0].id.clone(), config.service[1].id.clone()];
    let rig = Rig::with(config, folder).await;
    rig.up(&["a-1", "b-1"]).await;
    let claims = |sid: &str| Claims {
        iss: "backend".into(),
        sub: "viewer".into(),
        sid: sid.into(),
        aud: services[1].clone(),
        exp: chrono::Utc::now().timestamp() + 600,
        cdniuc: "path:/".into(),
        ..Claims::default()
    };
    let signer = Signer::hs256("music-1", SECRET.as_bytes()).unwrap();
    let told = |claims: Claims| {
        let token = signer.sign(&claims).unwrap();
        json!({"token": token, "errors": [{"edge": "a-1", "kind": "timeout"}]})
    };
    let id =
        |edge: &str| kromka_hls::steering::pathway_id(edge, &format!("http://{edge}.example:8080/"), None);
    assert_eq!(tell(&rig, &told(claims("s"))).await.status, 204);
    for (service, last) in [(&services[1], "a-1"), (&services[0], "b-1")] {
        let path =
            format!("/steer/{service}?sid=s&in={},{}&_HLS_pathway={}", id("a-1"), id("b-1"), id("a-1"));
        let document = rig.send("GET", &path, &[], "").await;
        let order = document.json["PATHWAY-PRIORITY"].as_array().unwrap().clone();
        assert_eq!(order.last().unwrap(), &json!(id(last)), "{service}: {document:?}");
    }

    // A token that is bound to an address tells from nowhere else.
    for (address, status) in [("127.0.0.1/32", 204), ("192.0.2.7/32", 401)] {
        let bound = Claims { cdniip: Some(address.parse().unwrap()), ..claims("t") };
        let reply = tell(&rig, &told(bound)).await;
        assert_eq!(reply.status, status, "{address}: {reply:?}");
    }
}

#[tokio::test]
async fn who_is_not_vouched_for_or_says_too_much_is_refused_in_words() {
    let rig = exploring().await;
    let (_, token) = session(&rig).await;
    let error = json!({"edge": "a-1", "kind": "timeout"});
    for (beacon, status, slug) in [
        (json!({"token": "a.b.c", "errors": []}), 401, "token"),
        (json!({"token": format!("{token}x"), "errors": []}), 401, "token"),
        (json!({"token": token, "errors": vec![&error; 33]}), 422, "invalid"),
        (json!({"token": token, "samples": [{"edge": "a-1", "ttfb_ms": -3.0}]}), 422, "invalid"),
        (json!({"token": token, "colour": "red"}), 422, "invalid"),
        (json!({"token": "x".repeat(20_000)}), 413, "too-large"),
    ] {
        let reply = tell(&rig, &beacon).await;
        assert_eq!((reply.status.as_u16(), reply.slug()), (status, slug), "{beacon}");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    let preflight = rig.send("OPTIONS", "/v1/beacon", &[("origin", "https://page.example")], "").await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
}

#[tokio::test]
async fn a_flood_ends_at_its_bound_poisons_nothing_and_others_are_still_answered() {
    let rig = exploring().await;
    let before = rig.get(&format!("/v1/select?path={ASSET}&client_ip=198.51.100.1")).await.json;
    let mut statuses = std::collections::BTreeMap::new();
    let (_, token) = session(&rig).await;
    let errors: Vec<Value> = (0..32).map(|_| json!({"edge": "a-1", "kind": "5xx"})).collect();
    let samples: Vec<Value> = (0..32).map(|_| json!({"edge": "a-1", "ttfb_ms": 599_999.0})).collect();
    let flood = json!({"token": token, "errors": errors, "samples": samples});
    for n in 0..400 {
        let reply = tell(&rig, &flood).await;
        *statuses.entry(reply.status.as_u16()).or_insert(0) += 1;
        if n % 100 == 99 {
            rig.up(&["a-1", "b-1", "c-1"]).await;
            assert_eq!(rig.get("/v1/nodes").await.status, 200, "the rest goes on");
        }
    }
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [204, 429], "{statuses:?}");
    assert!(statuses[&204] <= 300, "{statuses:?}");
    let late = tell(&rig, &flood).await;
    assert_eq!((late.slug(), late.header("retry-after")), ("too-many", "60"));
    rig.beat(&node("a-1")).await;
    let after = rig.get(&format!("/v1/select?path={ASSET}&client_ip=198.51.100.1")).await.json;
    assert_eq!(before["edges"][0]["id"], after["edges"][0]["id"]);
    assert_eq!(rig.get("/v1/nodes/a-1").await.json.get("ejected"), None, "one network does not condemn");
}

#[tokio::test]
async fn only_an_edge_that_probes_is_told_of_clients_and_of_each_network_once() {
    let rig = exploring().await;
    // Nobody is remembered for edges that do not probe.
    let first = rig.beat(&kromka_control::Heartbeat { probes: true, ..node("b-1") }).await;
    assert!(first.json.get("probe").is_none());
    for n in 0..6 {
        let client = format!("203.0.{n}.9");
        let body = json!({"service": "default", "asset": ASSET, "subject": "s", "client_ip": client});
        assert_eq!(rig.post("/v1/playback-sessions", body).await.status, 201);
    }
    assert!(rig.beat(&node("a-1")).await.json.get("probe").is_none());
    let mut told = Vec::new();
    for _ in 0..3 {
        let reply = rig.beat(&kromka_control::Heartbeat { probes: true, ..node("b-1") }).await;
        told.extend(reply.json["probe"].as_array().cloned().unwrap_or_default());
    }
    told.sort_by_key(ToString::to_string);
    let clients: Vec<Value> = (0..6).map(|n| json!(format!("203.0.{n}.9"))).collect();
    assert_eq!(told, clients);
}
