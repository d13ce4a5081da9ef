//! Who gets in: the ways to carry a token, and the ways to break one.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kromka_access::{Claims, Signer};
use reqwest::Method;

use crate::world::fleet::Plan;
use crate::world::tokens::{KID, claims, now, vector};
use crate::world::{Fleet, Got, Viewer, media};

#[tokio::test]
async fn path_query_and_cookie_carry_a_token_alike() {
    let fleet = Plan::sample().start().await;
    let (viewer, base, token) = (Viewer::new(), &fleet.edges[0].url, fleet.tokens.good());
    let cookie = format!("theme=dark; kromka_t={token}");
    let ways = [
        (format!("{base}/~{token}{}", media::SEGMENT), vec![]),
        (format!("{base}{}?kt={token}", media::SEGMENT), vec![]),
        (format!("{base}{}", media::SEGMENT), vec![("cookie", cookie.as_str())]),
    ];
    for (url, fields) in ways {
        let got = viewer.ask(Method::GET, &url, &fields).await;
        assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(got.bytes()));
        assert!(got.bytes() == media::file(media::SEGMENT));
    }
    // The token is no part of the object's name.
    assert_eq!(fleet.source_requests().await, 1.0);
}

struct Broken {
    how: &'static str,
    token: String,
    slug: &'static str,
}

/// The fourteen ways of the issue, and some more.
fn broken(fleet: &Fleet) -> Vec<Broken> {
    let tokens = &fleet.tokens;
    let good = tokens.good();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, body, signature) = (parts[0], parts[1], parts[2]);
    let head = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    let by = |kid: &str| Signer::generate(kid).unwrap().0.sign(&claims(|_| ())).unwrap();
    let other = tokens.sign(|claims| claims.sid = "another".into());
    let other = other.split('.').nth(1).unwrap();
    let make = |how, token: String, slug| Broken { how, token, slug };
    let changed = |change: fn(&mut Claims)| tokens.sign(change);
    vec![
        make("bad base64", vector("bad base64"), "malformed-token"),
        make(
            "wrong alg",
            format!("{}.{body}.{signature}", head(&format!("{{\"alg\":\"HS256\",\"kid\":\"{KID}\"}}"))),
            "wrong-algorithm",
        ),
        make(
            "none",
            format!("{}.{body}.", head(&format!("{{\"alg\":\"none\",\"kid\":\"{KID}\"}}"))),
            "wrong-algorithm",
        ),
        make("unknown kid", by("nobodys"), "unknown-key"),
        make("expired", changed(|claims| claims.exp = now() - 100), "expired"),
        make("before start", changed(|claims| claims.nbf = Some(now() + 100)), "not-yet-valid"),
        make("wrong path", changed(|claims| claims.cdniuc = "path:/other/".into()), "wrong-path"),
        make("wrong audience", changed(|claims| claims.aud = "other".into()), "wrong-audience"),
        make("tampered", format!("{header}.{other}.{signature}"), "bad-signature"),
        make("truncated", good[..good.len() - 2].to_owned(), "bad-signature"),
        make("doubled", format!("{good}.{good}"), "malformed-token"),
        make("wrong key", by(KID), "bad-signature"),
        make("missing claim", vector("missing claim exp"), "missing-claim"),
        make(
            "another address",
            changed(|claims| claims.cdniip = Some("192.0.2.0/24".parse().unwrap())),
            "wrong-address",
        ),
        make("no signature", format!("{header}.{body}"), "malformed-token"),
        make("empty signature", format!("{header}.{body}."), "bad-signature"),
        make("only dots", "..".to_owned(), "malformed-token"),
        make(
            "wrong alg of an asymmetric kind",
            vector("wrong alg: ES256 on an Ed25519 key"),
            "wrong-algorithm",
        ),
        make("critical claim", vector("unknown critical claim"), "critical-claim"),
        make("brings its own key", vector("brings its own key"), "unknown-key"),
        make("past start deadline", changed(|claims| claims.kst = Some(now() - 100)), "start-deadline"),
    ]
}

#[tokio::test]
async fn every_broken_token_is_refused_by_its_name_in_path_query_and_cookie_and_never_repeated() {
    let fleet = Plan::sample().start().await;
    let (viewer, base) = (Viewer::new(), &fleet.edges[0].url);
    let asset = media::DEMO;
    let cases = broken(&fleet);
    assert!(cases.len() >= 14);
    for Broken { how, token, slug } in cases {
        let cookie = format!("kromka_t={token}");
        let ways = [
            (format!("{base}/~{token}{asset}"), vec![]),
            (format!("{base}{asset}?kt={token}"), vec![]),
            (format!("{base}{asset}"), vec![("cookie", cookie.as_str())]),
        ];
        for (url, fields) in ways {
            let got = viewer.ask(Method::GET, &url, &fields).await;
            check(how, &got, slug, &token);
        }
        // Only a look at the playlist tells whether it begins a play or goes on with one.
        let upstream = if slug == "start-deadline" { 1.0 } else { 0.0 };
        assert!(fleet.source_requests().await <= upstream, "{how}: a refused request went upstream");
    }
}

fn check(how: &str, got: &Got, slug: &str, token: &str) {
    assert_eq!((got.status, got.slug().as_str()), (403, slug), "{how}: {}", got.text());
    assert_eq!(got.header("access-control-allow-origin"), "*", "{how}");
    assert_eq!(got.header("cache-control"), "no-store", "{how}");
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!got.text().contains(part), "{how}: the token is repeated: {}", got.text());
    }
}

#[tokio::test]
async fn the_refusal_of_an_expired_token_says_by_how_much() {
    let fleet = Plan::sample().start().await;
    let token = fleet.tokens.sign(|claims| claims.exp = now() - 3600);
    let got = Viewer::new().get(&format!("{}/~{token}{}", fleet.edges[0].url, media::SEGMENT)).await;
    let problem = got.json();
    let detail = problem["detail"].as_str().unwrap();
    let seconds = detail.split(' ').find_map(|word| word.parse::<i64>().ok()).unwrap_or_default();
    assert!((3600..3700).contains(&seconds), "{detail}");
}

#[tokio::test]
async fn no_token_is_401_and_two_different_ones_are_one_too_many() {
    let fleet = Plan::sample().start().await;
    let (viewer, base) = (Viewer::new(), &fleet.edges[0].url);
    let got = viewer.get(&format!("{base}{}", media::SEGMENT)).await;
    assert_eq!((got.status, got.slug().as_str()), (401, "missing-token"));
    assert_eq!(got.header("www-authenticate"), "Bearer");
    let (one, two) = (fleet.tokens.good(), fleet.tokens.sign(|claims| claims.sid = "two".into()));
    for target in [format!("/~{one}{}?kt={two}", media::SEGMENT), format!("/~{one}/~{two}{}", media::SEGMENT)]
    {
        let got = viewer.get(&format!("{base}{target}")).await;
        assert_eq!((got.status, got.slug().as_str()), (403, "doubled-token"), "{target}");
    }
}

#[tokio::test]
async fn past_the_start_deadline_what_plays_goes_on_and_nothing_new_begins() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    let token = fleet.tokens.sign(|claims| {
        claims.cdniuc = "path:/stream/demo/".into();
        claims.kst = Some(now() - 100);
    });
    let base = format!("{}/~{token}/stream/demo", fleet.edges[0].url);
    let got = viewer.get(&format!("{base}/master.m3u8")).await;
    assert_eq!((got.status, got.slug().as_str()), (403, "start-deadline"));
    for path in ["360p/index.m3u8", "360p/001.ts"] {
        assert_eq!(viewer.get(&format!("{base}/{path}")).await.status, 200, "{path}");
    }
    let early = fleet.tokens.sign(|claims| claims.kst = Some(now() + 100));
    let got = viewer.get(&format!("{}/~{early}{}", fleet.edges[0].url, media::DEMO)).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_secret_of_the_service_vouches_for_it_as_keys_do() {
    let secret = "a secret of the service, long enough";
    let fleet = Plan::sample()
        .with("edge", "service", &format!("secrets = [{{ kid = \"hs\", secret = {secret:?} }}]"))
        .start()
        .await;
    let (viewer, base) = (Viewer::new(), &fleet.edges[0].url);
    let signer = Signer::hs256("hs", secret.as_bytes()).unwrap();
    let good = signer.sign(&claims(|_| ())).unwrap();
    assert_eq!(viewer.get(&format!("{base}/~{good}{}", media::SEGMENT)).await.status, 200);
    let wrong = Signer::hs256("hs", b"another secret, also long enough!!").unwrap();
    let wrong = wrong.sign(&claims(|_| ())).unwrap();
    let got = viewer.get(&format!("{base}/~{wrong}{}", media::SEGMENT)).await;
    assert_eq!((got.status, got.slug().as_str()), (403, "bad-signature"));
}
