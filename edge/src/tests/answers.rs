//! What an answer looks like: fields, ranges, errors.

use http::{Method, StatusCode};

use super::*;

#[tokio::test]
async fn an_answer_says_who_served_it_and_keeps_internals() {
    let (_shield, serving) = TestShield::start(|_| {
        let mut response = segment("media");
        for (name, value) in [
            ("cdn-cache-control", "max-age=99"),
            ("surrogate-key", "a b"),
            ("cache-tag", "a"),
            ("kromka-anything", "x"),
            ("cache-status", "kromka-shield; hit"),
            ("via", "1.1 kromka-origin-o1"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await;
    let site = Site::start(&[&serving]).await;
    let path = site.signed("/stream/a.ts");
    let first = site.get(&path).await;
    let second = site.get(&path).await;
    assert_eq!(first.header("server-timing"), "edge;desc=\"e1\", cache;desc=\"miss\"");
    assert_eq!(second.header("server-timing"), "edge;desc=\"e1\", cache;desc=\"hit\"");
    for got in [&first, &second] {
        for name in ["cdn-cache-control", "surrogate-key", "cache-tag", "kromka-anything"] {
            assert!(!got.headers.contains_key(name), "{name}");
        }
        assert_eq!(got.header("access-control-allow-origin"), "*");
        assert_eq!(got.header("timing-allow-origin"), "*");
        assert!(got.header("access-control-expose-headers").contains("Cache-Status"));
        // Behind a token it is one viewer's.
        assert_eq!(got.header("cache-control"), "private, max-age=31536000, immutable");
        assert_eq!(got.header("etag"), "\"v1\"");
        let via: Vec<_> = got.headers.get_all("via").iter().collect();
        assert_eq!(via, ["1.1 kromka-origin-o1", "1.1 kromka-edge-e1"], "the way, hop by hop, also of a hit");
    }
    let status: Vec<_> = second.headers.get_all("cache-status").iter().collect();
    assert!(status.last().unwrap().to_str().unwrap().starts_with("kromka-edge; hit"), "{status:?}");
}

#[tokio::test]
async fn ranges_and_conditions_are_answered() {
    let media: Vec<u8> = (0..1000).map(|i| (i % 251) as u8).collect();
    let bytes = Bytes::from(media.clone());
    let (_shield, serving) = TestShield::start(move |_| segment(bytes.clone())).await;
    let site = Site::start(&[&serving]).await;
    let path = site.signed("/stream/a.ts");
    let got = site.ask(Method::GET, &path, &[("range", "bytes=100-199")]).await;
    assert_eq!(got.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.header("content-range"), "bytes 100-199/1000");
    assert_eq!(got.body.as_ref().unwrap(), &media[100..200]);
    let got = site.ask(Method::GET, &path, &[("range", "bytes=-5")]).await;
    assert_eq!(got.body.as_ref().unwrap(), &media[995..]);
    let got = site.ask(Method::GET, &path, &[("range", "bytes=2000-")]).await;
    assert_eq!(
        (got.status, got.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */1000")
    );
    assert_eq!(got.slug(), "range");
    let got = site.ask(Method::GET, &path, &[("if-none-match", "\"v1\"")]).await;
    assert_eq!(got.status, StatusCode::NOT_MODIFIED);
    assert_eq!(got.header("access-control-allow-origin"), "*");
    let got = site.ask(Method::HEAD, &path, &[]).await;
    assert_eq!((got.status, got.header("content-length")), (StatusCode::OK, "1000"));
    assert!(got.body.as_ref().unwrap().is_empty());
}

#[tokio::test]
async fn bad_paths_are_refused_before_anybody_is_asked() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    for path in [
        "/stream/../secret.ts",
        "/stream/%2e%2e/secret.ts",
        "/stream/%252e%252e/secret.ts",
        "/stream/a%2fb.ts",
        "/stream/a%5cb.ts",
        "/stream//a.ts",
        "/stream/a%00.ts",
        "/stream/%zz.ts",
    ] {
        let got = site.raw(&site.signed(path)).await;
        assert!(got.starts_with("HTTP/1.1 400 "), "{path}: {got}");
        assert!(got.contains("urn:kromka:problem:bad-path"), "{path}: {got}");
        assert!(got.contains("\r\naccess-control-allow-origin: *\r\n"), "{path}: {got}");
    }
    assert!(shield.seen().is_empty());
}

#[tokio::test]
async fn other_methods_are_told_which_ones_there_are() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let got = site.ask(Method::POST, &site.signed("/stream/a.ts"), &[]).await;
    assert_eq!((got.status, got.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS"));
    assert_eq!(got.slug(), "method");
}

#[tokio::test]
async fn a_preflight_needs_no_token() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| {
        config.service[0].cors_origins = vec!["https://play.example".into()];
    })
    .await;
    let asked = [("origin", "https://play.example"), ("access-control-request-method", "GET")];
    let got = site.ask(Method::OPTIONS, "/stream/a.ts", &asked).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT);
    assert_eq!(got.header("access-control-allow-origin"), "https://play.example");
    assert_eq!(got.header("access-control-allow-credentials"), "true");
    assert!(got.header("access-control-allow-headers").contains("Range"));
    assert!(!got.header("access-control-max-age").is_empty());
    let got = site.ask(Method::GET, "/stream/a.ts", &[("origin", "https://evil.example")]).await;
    assert_eq!(got.header("access-control-allow-origin"), "");
    assert_eq!(got.header("vary"), "Origin");
}

#[tokio::test]
async fn a_download_gets_its_name() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let token = site.token(|claims| claims.dl = Some("Mein Film.mp4".into()));
    let got = site.get(&format!("/~{token}/stream/a.ts")).await;
    let named = "attachment; filename=\"Mein Film.mp4\"; filename*=UTF-8''Mein%20Film.mp4";
    assert_eq!(got.header("content-disposition"), named);
}

#[tokio::test]
async fn a_wordless_error_of_the_source_gets_words_and_keeps_its_lifetime() {
    let (_shield, serving) = TestShield::start(|_| {
        let mut response = status(StatusCode::NOT_FOUND);
        response.headers_mut().insert("cache-control", "public, max-age=1".parse().unwrap());
        response
    })
    .await;
    let site = Site::start(&[&serving]).await;
    let got = site.get(&site.signed("/stream/a.ts")).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    assert_eq!(got.header("cache-control"), "private, max-age=1");
    assert_eq!(site.get("/~x.y.z/").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_request_that_comes_back_is_a_loop() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let path = site.signed("/stream/a.ts");
    for field in [("cdn-loop", "kromka; node=e1"), ("via", "1.1 kromka-edge-e1")] {
        let got = site.ask(Method::GET, &path, &[field]).await;
        assert_eq!((got.status, got.slug().as_str()), (StatusCode::LOOP_DETECTED, "loop"));
    }
    assert!(shield.seen().is_empty());
    assert_eq!(site.ask(Method::GET, &path, &[("cdn-loop", "other; node=e1")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_query_is_dropped_unless_it_is_listed() {
    let (shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start_with(&[&serving], |config| config.service[0].query = vec!["v".into()]).await;
    let path = site.signed("/stream/a%20b.ts");
    site.get(&format!("{path}?utm=1&v=2")).await;
    site.get(&format!("{path}?v=2&utm=2")).await;
    let asked: Vec<String> = shield.seen().into_iter().map(|(uri, _)| uri).collect();
    assert_eq!(asked, ["/default/stream/a%20b.ts?v=2"]);
}

#[tokio::test]
async fn what_the_server_refuses_in_the_edges_place_may_be_read_by_any_page_too() {
    let (_shield, serving) = TestShield::start(|_| segment("media")).await;
    let site = Site::start(&[&serving]).await;
    let long = site.get(&format!("/{}", "a".repeat(9000))).await;
    assert_eq!(long.status, StatusCode::URI_TOO_LONG);
    assert_eq!(long.header("access-control-allow-origin"), "*");
    let wide = site.ask(Method::GET, "/a.ts", &[("x-wide", "b".repeat(17_000).as_str())]).await;
    assert_eq!(wide.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(wide.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn everybody_may_ask_how_the_edge_serves_and_no_shield_is_needed_for_it() {
    let (shield, serving) = TestShield::start(|_| status(StatusCode::SERVICE_UNAVAILABLE)).await;
    let folder = tempfile::tempdir().unwrap();
    let disk = kromka_config::DiskConfig {
        path: folder.path().join("cache"),
        size: kromka_config::ByteSize::mib(64),
        weight: 100,
    };
    let site = Site::start_with(&[&serving], |config| config.cache.disk = vec![disk]).await;
    for label in ["miss", "hit"] {
        let got = site.get("/~health?x=1").await;
        assert_eq!((got.status, got.body.as_ref().unwrap().len()), (StatusCode::OK, 1024));
        assert_eq!(got.header("server-timing"), format!("edge;desc=\"e1\", cache;desc=\"{label}\""));
        assert_eq!(got.header("cache-control"), "no-store");
        assert_eq!(
            (got.header("timing-allow-origin"), got.header("access-control-allow-origin")),
            ("*", "*")
        );
    }
    assert_eq!(site.ask(Method::HEAD, "/~health", &[]).await.status, StatusCode::OK);
    assert_eq!(site.ask(Method::POST, "/~health", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(site.get("/~health/x").await.status, StatusCode::FORBIDDEN, "nothing lies below it");
    assert!(shield.seen().is_empty());
}
