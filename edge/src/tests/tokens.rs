//! Who gets in: the ways to carry a token, and the ways to break one.

use http::{Method, StatusCode};
use kromka_access::{Claims, Signer};

use super::*;

#[tokio::test]
async fn path_query_and_cookie_carry_a_token_alike() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let token = site.token(|_| ());
    let cookie = format!("theme=dark; kromka_t={token}");
    for (path, fields) in [
        (format!("/~{token}/stream/a.ts"), vec![]),
        (format!("/stream/a.ts?utm=1&kt={token}"), vec![]),
        ("/stream/a.ts".to_owned(), vec![("cookie", cookie.as_str())]),
    ] {
        let got = site.ask(Method::GET, &path, &fields).await;
        assert_eq!((got.status, got.text()), (StatusCode::OK, "media"), "{path}");
    }
    // One object for all three: the token is no part of its name.
    let asked: Vec<String> = shield.seen().into_iter().map(|(uri, _)| uri).collect();
    assert_eq!(asked, ["/default/stream/a.ts"]);
}

#[tokio::test]
async fn fourteen_broken_tokens_are_refused_each_by_its_name() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let good = site.token(|_| ());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let stranger = Signer::generate("k1").unwrap().0;
    let unknown = Signer::generate("k9").unwrap().0;
    let with = |signer: &Signer| {
        let claims = Claims {
            iss: "t".into(),
            sub: "v".into(),
            sid: "s".into(),
            aud: "default".into(),
            ..good_claims()
        };
        signer.sign(&claims).unwrap()
    };
    // {"alg":"none","kid":"k1"} and {"alg":"HS256","kid":"k1"}, base64url.
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{claims}.");
    let wrong = format!("eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.{claims}.{signature}");
    let other = site.token(|claims| claims.sid = "s2".into());
    let tampered = format!("{header}.{}.{signature}", other.split('.').nth(1).unwrap());
    let cases = [
        ("bad base64", format!("{header}.{claims}A!.{signature}"), "malformed-token"),
        ("wrong alg", wrong, "wrong-algorithm"),
        ("none", none, "wrong-algorithm"),
        ("unknown kid", with(&unknown), "unknown-key"),
        ("expired", site.token(|claims| claims.exp = now() - 100), "expired"),
        ("before start", site.token(|claims| claims.nbf = Some(now() + 100)), "not-yet-valid"),
        ("wrong path", site.token(|claims| claims.cdniuc = "path:/other/".into()), "wrong-path"),
        ("wrong audience", site.token(|claims| claims.aud = "other".into()), "wrong-audience"),
        ("tampered", tampered, "bad-signature"),
        ("truncated", good[..good.len() - 2].to_owned(), "bad-signature"),
        ("doubled", format!("{good}.{good}"), "malformed-token"),
        ("wrong key", with(&stranger), "bad-signature"),
        ("missing signature", format!("{header}.{claims}"), "malformed-token"),
        (
            "wrong address",
            site.token(|claims| claims.cdniip = Some("192.0.2.1/32".parse().unwrap())),
            "wrong-address",
        ),
    ];
    for (name, token, slug) in cases {
        let got = site.get(&format!("/~{token}/stream/a.ts")).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{name}: {}", got.text());
        assert_eq!(got.slug(), slug, "{name}");
        assert!(!got.text().contains(signature), "{name}: the token is echoed");
        assert_eq!(got.header("access-control-allow-origin"), "*", "{name}");
    }
    assert!(shield.seen().is_empty(), "a refused request went upstream");
    let late = site.token(|claims| claims.kst = Some(now() - 100));
    let got = site.get(&format!("/~{late}/stream/master.m3u8")).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::FORBIDDEN, "start-deadline"));
    let got = site.get(&format!("/~{good}/stream/a.ts?kt={other}")).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::FORBIDDEN, "doubled-token"));
    let got = site.get("/stream/a.ts").await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::UNAUTHORIZED, "missing-token"));
    assert_eq!(got.header("www-authenticate"), "Bearer");
}

/// Every vector whose verdict does not hang on the clock, by cookie: some hold what no path may.
#[tokio::test]
async fn the_vectors_of_all_languages_are_refused_by_their_names() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../crates/access/vectors.json")).unwrap();
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| {
        std::fs::write(config.keys.as_ref().unwrap(), vectors["jwks"].to_string()).unwrap();
        for secret in vectors["secrets"].as_array().unwrap().iter().filter(|one| one["service"] == "default")
        {
            let (kid, secret) = (secret["kid"].as_str().unwrap(), secret["secret"].as_str().unwrap());
            config.service[0]
                .secrets
                .push(kromka_config::NamedSecret { kid: kid.into(), secret: secret.into() });
        }
    })
    .await;
    let timeless = [
        "malformed-token",
        "wrong-algorithm",
        "bad-signature",
        "critical-claim",
        "missing-claim",
        "unsupported-container",
        "token-too-long",
    ];
    let mut tried = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let (name, expect) = (vector["name"].as_str().unwrap(), vector["expect"].as_str().unwrap());
        if !timeless.contains(&expect) || vector["service"] != "default" {
            continue;
        }
        let cookie = format!("kromka_t={}", vector["token"].as_str().unwrap());
        let got = site.ask(Method::GET, "/stream/demo/720p/seg-3.ts", &[("cookie", &cookie)]).await;
        assert_eq!((got.status, got.slug().as_str()), (StatusCode::FORBIDDEN, expect), "{name}");
        tried += 1;
    }
    assert!(tried >= 30, "{tried}");
    assert!(shield.seen().is_empty());
}

fn good_claims() -> Claims {
    Claims { exp: now() + 3600, cdniuc: "path:/stream/".into(), ..Claims::default() }
}

#[tokio::test]
async fn a_remembered_session_still_ends_in_time() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    // The leeway is 30 s: this one has a second left.
    let token = site.token(|claims| claims.exp = now() - 29);
    let path = format!("/~{token}/stream/a.ts");
    assert_eq!(site.get(&path).await.status, StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    assert_eq!(site.get(&path).await.slug(), "expired");
}

#[tokio::test]
async fn a_public_service_asks_for_nothing() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site =
        Site::start_with(&[&serving], |config| config.service[0].access = kromka_config::Access::Public)
            .await;
    let got = site.get("/~tilde/a.ts").await;
    assert_eq!((got.status, got.text()), (StatusCode::OK, "media"));
    assert_eq!(got.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(shield.seen()[0].0, "/default/~tilde/a.ts");
}

#[tokio::test]
async fn an_hs256_secret_vouches_for_its_own_service() {
    let secret = "a secret of the service, long enough";
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| {
        let named = kromka_config::NamedSecret { kid: "hs".into(), secret: secret.into() };
        config.service[0].secrets.push(named);
    })
    .await;
    let signer = Signer::hs256("hs", secret.as_bytes()).unwrap();
    let claims = |aud: &str| Claims { aud: aud.into(), sid: "s".into(), ..good_claims() };
    let good = signer.sign(&claims("default")).unwrap();
    assert_eq!(site.get(&format!("/~{good}/stream/a.ts")).await.status, StatusCode::OK);
    let other = signer.sign(&claims("other")).unwrap();
    assert_eq!(site.get(&format!("/~{other}/stream/a.ts")).await.slug(), "wrong-audience");
}

#[tokio::test]
async fn past_the_start_deadline_a_media_playlist_beside_the_master_still_comes() {
    let (_shield, serving) = TestShield::start(|request| {
        let text = match request.uri().path() {
            "/default/stream/master.m3u8" | "/default/stream/deep/below/master.m3u8" => {
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p.m3u8\n"
            }
            _ => "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n",
        };
        segment(text)
    })
    .await;
    let site = Site::start(&[&serving]).await;
    let late = site.token(|claims| claims.kst = Some(now() - 100));
    for master in ["/stream/master.m3u8", "/stream/deep/below/master.m3u8"] {
        let refused = site.get(&format!("/~{late}{master}")).await;
        assert_eq!((refused.status, refused.slug().as_str()), (StatusCode::FORBIDDEN, "start-deadline"));
    }
    assert_eq!(site.get(&format!("/~{late}/stream/720p.m3u8")).await.status, StatusCode::OK);
    let ended = site.token(|claims| {
        claims.kst = Some(now() - 200);
        claims.exp = now() - 100;
    });
    let refused = site.get(&format!("/~{ended}/stream/720p.m3u8")).await;
    assert_eq!(refused.slug(), "expired");
}
