//! Playback sessions, signed URLs and the keys behind them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::fleet::Plan;
use crate::world::tokens::now;
use crate::world::{Viewer, media, player};

/// The claims of a signed URL.
fn claims(url: &str) -> Value {
    let token = url.split("/~").nth(1).unwrap().split('/').next().unwrap();
    let body = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn seconds(time: &Value) -> i64 {
    let text = time.as_str().unwrap();
    assert!(text.ends_with('Z'), "not UTC: {text}");
    chronological(text)
}

/// Seconds since 1970 of an RFC 3339 time in UTC.
fn chronological(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from civil, by Howard Hinnant's public-domain formula.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719_468;
    days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)
}

#[tokio::test]
async fn a_session_has_exactly_the_shape_of_the_contract_and_plays_on_every_edge_it_names() {
    let fleet = Plan::sample().edges(3).selected().start().await;
    let operator = fleet.operator();
    let wanted =
        json!({"service": "default", "asset": media::DEMO, "subject": "viewer-1", "duration_s": 600});
    let got = operator.post("/v1/playback-sessions", wanted).await;
    assert_eq!(got.status, 201, "{}", got.text());
    let session = got.json();
    for key in ["session_id", "master_url", "alternates", "steering_url", "start_expires_at", "expires_at"] {
        assert!(session.get(key).is_some(), "no {key} in {session:#}");
    }
    let master = session["master_url"].as_str().unwrap();
    let alternates = session["alternates"].as_array().unwrap();
    assert_eq!(alternates.len(), 2, "{session:#}");
    let (starts, ends) = (seconds(&session["start_expires_at"]), seconds(&session["expires_at"]));
    assert!((1..=300).contains(&(starts - now())), "five minutes to press play: {session:#}");
    assert!(ends - now() >= 590, "{session:#}");

    let claims = claims(master);
    assert_eq!(
        json!([claims["aud"], claims["sub"], claims["sid"], claims["kst"], claims["exp"], claims["cdniuc"]]),
        json!(["default", "viewer-1", session["session_id"], starts, ends, "path:/stream/demo/"])
    );
    for url in alternates.iter().map(|url| url.as_str().unwrap()).chain([master]) {
        let played = player::play(&Viewer::new(), url).await;
        assert_eq!(played.len(), media::files(media::DEMO).len(), "{url}");
    }
    // It opens its asset and no other.
    let other = master.replace("/stream/demo/", "/stream/track/");
    assert_eq!(Viewer::new().get(&other).await.slug(), "wrong-path");
}

#[tokio::test]
async fn a_sessions_limits_hold_at_the_edge() {
    let fleet = Plan::sample().selected().start().await;
    let wanted = json!({"service": "default", "asset": media::DEMO, "subject": "v", "max_height": 200});
    let session = fleet.operator().post("/v1/playback-sessions", wanted).await.json();
    let got = Viewer::new().get(session["master_url"].as_str().unwrap()).await;
    assert_eq!(player::references(got.text()), ["180p/index.m3u8", "audio/index.m3u8"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_field_by_field() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    let wrong = json!({"service": "default", "asset": "master.m3u8", "subject": "", "ttl_s": 0});
    let got = operator.post("/v1/playback-sessions", wrong).await;
    assert_eq!((got.status, got.slug().as_str()), (422, "invalid"));
    let problem = got.json();
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["#/asset", "#/subject", "#/ttl_s"]);
    for (body, status) in [
        (json!({"service": "nobodys", "asset": media::DEMO, "subject": "v"}), 422),
        (json!({"service": "default", "asset": media::SEGMENT, "subject": "v"}), 422),
        (json!({"service": "default", "asset": "/stream/../x.m3u8", "subject": "v"}), 422),
        (json!({"service": "default", "asset": media::DEMO}), 422),
        (json!({"service": "default", "asset": media::DEMO, "subject": "v", "subjekt": 1}), 422),
        (json!([]), 422),
    ] {
        let got = operator.post("/v1/playback-sessions", body.clone()).await;
        assert_eq!(got.status, status, "{body}: {}", got.text());
        assert!(!got.slug().is_empty());
    }
}

#[tokio::test]
async fn a_signed_url_opens_one_file_or_one_prefix_and_names_the_download() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    let viewer = Viewer::new();
    let wanted = json!({"service": "default", "path": media::SEGMENT, "ttl_s": 60, "file_name": "clip.ts"});
    let got = operator.post("/v1/sign", wanted).await;
    assert_eq!(got.status, 201, "{}", got.text());
    let signed = got.json();
    assert!((30..=60).contains(&(seconds(&signed["expires_at"]) - now())), "{signed:#}");
    let url = signed["url"].as_str().unwrap();
    let got = viewer.get(url).await;
    assert!(got.status == 200 && got.bytes() == media::file(media::SEGMENT));
    assert!(got.header("content-disposition").contains("clip.ts"), "{}", got.header("content-disposition"));
    assert_eq!(viewer.get(&url.replace("001.ts", "002.ts")).await.slug(), "wrong-path");

    let wanted = json!({"service": "default", "path": "/stream/track/", "prefix": true, "ttl_s": 60});
    let signed = operator.post("/v1/sign", wanted).await.json();
    let base = signed["url"].as_str().unwrap().trim_end_matches('/').to_owned();
    assert_eq!(viewer.get(&format!("{base}/96k/000.ts")).await.status, 200);
    let outside = base.replace("/stream/track", "/stream/demo/360p/001.ts");
    assert_eq!(viewer.get(&outside).await.slug(), "wrong-path");

    let wanted = json!({"service": "default", "path": media::SEGMENT, "ttl_s": 60, "client_ip": "192.0.2.9"});
    let signed = operator.post("/v1/sign", wanted).await.json();
    assert_eq!(viewer.get(signed["url"].as_str().unwrap()).await.slug(), "wrong-address");
}

#[tokio::test]
async fn the_keys_are_public_and_are_those_that_sign() {
    let fleet = Plan::sample().selected().start().await;
    let base = &fleet.selector.as_ref().unwrap().url;
    let got = Viewer::new().get(&format!("{base}/v1/keys")).await;
    assert_eq!(got.status, 200);
    let keys = got.json();
    let session = fleet.operator().session(media::DEMO).await;
    let token = session["master_url"].as_str().unwrap().split("/~").nth(1).unwrap().to_owned();
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "EdDSA");
    let kids: Vec<&Value> = keys["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert!(kids.contains(&&header["kid"]), "{keys:#}");
    assert!(!got.text().contains("\"d\""), "a private key: {}", got.text());
    // What anybody may read is enough to verify.
    let set = kromka_access::KeySet::from_jwks(got.text()).unwrap();
    let token = token.split('/').next().unwrap();
    assert_eq!(kromka_access::verify(token, &set, now()).unwrap().claims.sub, "viewer-1");
}
