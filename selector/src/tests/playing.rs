//! Sessions, signed URLs, redirects, rankings.

use chrono::{DateTime, Utc};
use kromka_access::{Ask, KeySet, Session, verify};
use kromka_control::{Heartbeat, Load};
use serde_json::{Value, json};

use super::rig::{ASSET, Rig, node};

/// The verified token of a signed URL, and its path.
async fn open(rig: &Rig, url: &str) -> (Session, String) {
    let keys = rig.send("GET", "/v1/keys", &[], "").await;
    let keys = KeySet::from_jwks(&keys.text).unwrap();
    let target = url.splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap();
    let split = kromka_hls::split(target.strip_prefix("/route").unwrap_or(&target)).unwrap();
    (verify(&split.token.unwrap(), &keys, Utc::now().timestamp()).unwrap(), split.path)
}

fn ask<'a>(path: &'a str, client: Option<&str>) -> Ask<'a> {
    Ask {
        service: "default",
        path,
        multivariant: false,
        client: client.map(|address| address.parse().unwrap()),
        now: Utc::now().timestamp(),
    }
}

fn seconds_from_now(time: &Value) -> i64 {
    let time: DateTime<Utc> = time.as_str().unwrap().parse().unwrap();
    (time - Utc::now()).num_seconds()
}

#[tokio::test]
async fn a_session_has_the_shape_of_the_contract_and_plays_on_every_edge() {
    let rig = Rig::start().await;
    rig.up(&["a-1", "a-2", "b-1", "o-1"]).await;
    let body = json!({"service": "default", "asset": ASSET, "subject": "viewer-1", "client_ip": "203.0.113.7",
                      "max_height": 720, "max_bitrate": 3_000_000, "duration_s": 3_600});
    let reply = rig.post("/v1/playback-sessions", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let mut members: Vec<&str> = reply.json.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    // A few sessions, by their names, are asked to explore as well.
    members.retain(|member| *member != "beacon");
    assert_eq!(
        members,
        [
            "alternates",
            "edge",
            "expires_at",
            "master_url",
            "route_url",
            "session_id",
            "start_expires_at",
            "steering_url"
        ]
    );
    assert!(
        reply.json["steering_url"].as_str().unwrap().contains(&format!("/steer/default?path={ASSET}&sid="))
    );
    assert!((295..=300).contains(&seconds_from_now(&reply.json["start_expires_at"])));
    assert!((4_495..=4_500).contains(&seconds_from_now(&reply.json["expires_at"])));

    let master = reply.json["master_url"].as_str().unwrap();
    let edge = reply.json["edge"].as_str().unwrap();
    assert!(
        master.starts_with(&format!("http://{edge}.example:8080/~")) && master.ends_with(ASSET),
        "{master}"
    );
    let alternates: Vec<&str> =
        reply.json["alternates"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert_eq!(alternates.len(), 2, "the other two edges, no shield");
    let site = |url: &str| url["http://".len()..].split('-').next().unwrap().to_owned();
    assert_ne!(site(alternates[0]), site(master), "the first alternate fails for other reasons");
    let route = reply.json["route_url"].as_str().unwrap();
    assert!(route.starts_with(&format!("{}route/~", rig.running.url)) && route.ends_with(ASSET), "{route}");

    for url in [master, route, alternates[0], alternates[1]] {
        let (session, path) = open(&rig, url).await;
        let claims = &session.claims;
        assert_eq!(path, ASSET);
        assert_eq!(
            (claims.iss.as_str(), claims.sub.as_str(), claims.aud.as_str()),
            ("kromka", "viewer-1", "default")
        );
        assert_eq!(claims.sid, reply.json["session_id"].as_str().unwrap());
        assert_eq!(claims.cdniuc, "path:/stream/demo/");
        assert_eq!((claims.maxh, claims.maxbr, claims.cdniip), (Some(720), Some(3_000_000), None));
        let (exp, kst) = (claims.exp, claims.kst.unwrap());
        let time =
            |name: &str| reply.json[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp();
        assert_eq!((exp, kst), (time("expires_at"), time("start_expires_at")));
        assert!(claims.jti.is_some() && claims.nbf == claims.iat);
        assert!(session.starts(ASSET));
        assert!(
            session.permits(&ask("/stream/demo/720p/1.ts", Some("198.51.100.1"))).is_ok(),
            "not bound to an address"
        );
        assert!(session.permits(&ask("/stream/other/720p/1.ts", None)).is_err());
    }
}

#[tokio::test]
async fn a_session_can_be_bound_shortened_and_given_longer_to_start() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let base = json!({"service": "default", "asset": ASSET, "subject": "v", "client_ip": "203.0.113.7"});
    let with = |extra: Value| {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    // A backend with one socket for both families knows the viewer by the longer name.
    for known_as in ["203.0.113.7", "::ffff:203.0.113.7"] {
        let bound = json!({"bind_ip": true, "client_ip": known_as});
        let reply = rig.post("/v1/playback-sessions", with(bound)).await;
        let (session, _) = open(&rig, reply.json["master_url"].as_str().unwrap()).await;
        for (client, admitted) in
            [("203.0.113.7", true), ("::ffff:203.0.113.7", true), ("203.0.113.8", false)]
        {
            let asked = session.permits(&ask("/stream/demo/1.ts", Some(client)));
            assert_eq!(asked.is_ok(), admitted, "{known_as}, {client}");
        }
    }

    let reply = rig.post("/v1/playback-sessions", with(json!({"ttl_s": 60}))).await;
    assert!((58..=60).contains(&seconds_from_now(&reply.json["expires_at"])));
    let reply = rig.post("/v1/playback-sessions", with(json!({"start_ttl_s": 7_200}))).await;
    assert!((7_195..=7_200).contains(&seconds_from_now(&reply.json["start_expires_at"])));
    for (extra, pointer) in [
        (json!({"ttl_s": 86_401}), "#/ttl_s"),
        (json!({"start_ttl_s": 86_401}), "#/start_ttl_s"),
        (json!({"asset": "/stream/demo/1.ts"}), "#/asset"),
        (json!({"asset": "/stream/../master.m3u8"}), "#/asset"),
        (json!({"asset": "/stream/demo/master.m3u8?x=1"}), "#/asset"),
        (json!({"asset": "http://elsewhere/stream/demo/master.m3u8"}), "#/asset"),
        (json!({"service": "nobody"}), "#/service"),
        (json!({"service": "music"}), "#/asset"),
        (json!({"client_ip": "here"}), "#/client_ip"),
        (json!({"colour": 1}), "#/colour"),
    ] {
        let reply = rig.post("/v1/playback-sessions", with(extra.clone())).await;
        assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec![pointer]), "{extra}: {reply:?}");
    }
}

#[tokio::test]
async fn names_that_need_escapes_survive() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let asset = "/stream/%D0%BA%D1%80%D0%BE%D0%BC%D0%BA%D0%B0%20%23%201/master.m3u8";
    let reply = rig
        .post("/v1/playback-sessions", json!({"service": "default", "asset": asset, "subject": "v"}))
        .await;
    let master = reply.json["master_url"].as_str().unwrap();
    assert!(master.ends_with(asset), "{master}");
    let (session, path) = open(&rig, master).await;
    assert_eq!(path, "/stream/кромка # 1/master.m3u8");
    assert!(session.starts(&path));
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let item = |subject: &str| json!({"service": "default", "asset": ASSET, "subject": subject});
    let reply = rig.post("/v1/playback-sessions:batch", json!({"items": [item("v1"), item("v2")]})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    for (index, subject) in ["v1", "v2"].into_iter().enumerate() {
        let (session, _) = open(&rig, reply.json["items"][index]["master_url"].as_str().unwrap()).await;
        assert_eq!(session.claims.sub, subject);
    }
    let reply = rig.post("/v1/playback-sessions:batch", json!({"items": [item("v1"), item("")]})).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/items/1/subject"]));
    let many: Vec<Value> = (0..101).map(|n| item(&n.to_string())).collect();
    let reply = rig.post("/v1/playback-sessions:batch", json!({"items": many})).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/items"]));
}

#[tokio::test]
async fn a_signed_url_opens_one_file_or_everything_below() {
    let rig = Rig::start().await;
    rig.up(&["a-1"]).await;
    let body = json!({"service": "default", "path": "/files/a.mp4", "ttl_s": 60, "client_ip": "203.0.113.7", "file_name": "film.mp4"});
    let reply = rig.post("/v1/sign", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!((58..=60).contains(&seconds_from_now(&reply.json["expires_at"])));
    let (session, path) = open(&rig, reply.json["url"].as_str().unwrap()).await;
    assert_eq!((path.as_str(), session.claims.dl.as_deref()), ("/files/a.mp4", Some("film.mp4")));
    assert!(session.claims.kst.is_none(), "a file has no start deadline");
    assert!(session.permits(&ask("/files/a.mp4", Some("203.0.113.7"))).is_ok());
    assert!(session.permits(&ask("/files/a.mp4", Some("203.0.113.8"))).is_err());
    assert!(session.permits(&ask("/files/b.mp4", Some("203.0.113.7"))).is_err());

    let reply = rig
        .post("/v1/sign", json!({"service": "default", "path": "/files", "prefix": true, "ttl_s": 60}))
        .await;
    let (session, path) = open(&rig, reply.json["url"].as_str().unwrap()).await;
    assert_eq!(path, "/files/");
    assert!(session.permits(&ask("/files/deep/b.mp4", None)).is_ok());
    assert!(session.permits(&ask("/filesystem", None)).is_err());
    let reply = rig.post("/v1/sign", json!({"service": "default", "path": "/files/", "ttl_s": 60})).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/path"]));
    let reply = rig.post("/v1/sign", json!({"service": "default", "path": "/a", "ttl_s": 90_000})).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (422, vec!["#/ttl_s"]));
}

#[tokio::test]
async fn a_player_is_redirected_with_token_and_query_and_never_for_a_segment() {
    let rig = Rig::start().await;
    let path = format!("/route/~tok.en{ASSET}?a=1&b=%20");
    let reply = rig.send("GET", &path, &[], "").await;
    assert_eq!((reply.status.as_u16(), reply.slug()), (503, "no-edge"));
    assert_eq!((reply.header("retry-after"), reply.header("access-control-allow-origin")), ("2", "*"));

    rig.up(&["a-1"]).await;
    for method in ["GET", "HEAD"] {
        let reply = rig.send(method, &path, &[("origin", "https://shop.example")], "").await;
        assert_eq!(reply.status, 307, "{reply:?}");
        assert_eq!(reply.header("location"), format!("http://a-1.example:8080/~tok.en{ASSET}?a=1&b=%20"));
        assert_eq!(
            (reply.header("cache-control"), reply.header("access-control-allow-origin")),
            ("no-store", "*")
        );
    }
    let reply = rig.send("OPTIONS", &path, &[("origin", "https://shop.example")], "").await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, "*"));
    for (path, status) in [
        ("/route/stream/demo/720p/1.ts", 404),
        ("/route/", 404),
        ("/route", 404),
        ("/route/a/../master.m3u8", 400),
        ("/route/a/%2e%2e/master.m3u8", 400),
        ("/route/a/%252e%252e/master.m3u8", 400),
        ("/route//evil.example/master.m3u8", 400),
        ("/route/~/master.m3u8", 400),
        ("/route/a%00/master.m3u8", 400),
        ("/route/%ff/master.m3u8", 400),
        ("/routed/master.m3u8", 404),
    ] {
        assert_eq!(rig.raw(path).await, status, "{path}");
    }
    assert_eq!(rig.send("POST", &path, &[], "").await.status, 405);
}

#[tokio::test]
async fn a_ranking_says_which_edge_and_why() {
    let rig = Rig::start().await;
    let reply = rig.send("GET", &format!("/v1/select?path={ASSET}"), &[], "").await;
    assert_eq!((reply.status.as_u16(), &reply.json["reason"]), (200, &json!("no-edge")));
    rig.up(&["a-1", "b-1", "c-1", "o-1"]).await;
    let load = Load { egress_bps: 950_000_000, egress_limit_bps: 1_000_000_000, ..Load::default() };
    rig.beat(&Heartbeat { load, ..node("b-1") }).await;

    let path = format!("/v1/select?path={ASSET}&service=default&client_ip=203.0.113.7");
    let reply = rig.send("GET", &path, &[("origin", "https://shop.example")], "").await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, "*"));
    assert_eq!((&reply.json["cell"], &reply.json["source"]), (&json!("203.0.113.0/24"), &json!("prior")));
    let edges = reply.json["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 3);
    assert_eq!(edges[2]["id"], "b-1", "the loaded one comes last");
    assert_eq!((edges[0]["role"].as_str(), edges[1]["role"].as_str()), (Some("primary"), Some("backup")));
    for edge in edges {
        assert!(edge["cost_ms"].as_f64().unwrap() >= edge["rtt_ms"].as_f64().unwrap());
        assert!(!edge["reasons"].as_array().unwrap().is_empty());
        assert!(edge["url"].as_str().unwrap().ends_with(".example:8080"), "no trailing slash: {edge}");
    }
    assert_eq!(edges[2]["utilisation"], 0.95);
    for (query, status) in [("path=/a/../b", 400), ("path=/a&client_ip=x", 400), ("path=/a&service=x", 422)] {
        assert_eq!(rig.send("GET", &format!("/v1/select?{query}"), &[], "").await.status, status, "{query}");
    }
}
