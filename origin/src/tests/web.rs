//! An origin in front of a web server.

use super::*;

fn source(serving: &Serving) -> SourceConfig {
    SourceConfig::Http(format!("http://{}/base/", serving.addr()).parse().unwrap())
}

#[tokio::test]
async fn a_web_server_is_asked_below_its_base_and_told_who_asks() {
    let (web, serving) = TestWeb::start(|_| text(200, "media")).await;
    let site = Site::start(source(&serving)).await;
    let got = site.ask("/default/stream/a%20b.ts?v=2", &[("cookie", "a=b"), ("kromka-fence", "3")]).await;
    assert_eq!(got.text(), "media");
    assert_eq!(got.header("content-type"), "video/mp2t");
    let (uri, fields) = web.seen.lock().remove(0);
    assert_eq!(uri, "/base/stream/a%20b.ts?v=2");
    assert_eq!(fields["cdn-loop"], "kromka; node=o1");
    assert_eq!(fields["via"], "1.1 kromka-origin-o1");
    assert_eq!(fields["accept-encoding"], "identity");
    for name in ["authorization", "cookie", "kromka-fence"] {
        assert!(!fields.contains_key(name), "{name} is nobody's business upstream");
    }
}

#[tokio::test]
async fn its_own_cache_control_wins_unless_told_otherwise() {
    let reply = |_: &Request<Incoming>| {
        let mut response = text(200, "media");
        response.headers_mut().insert("cache-control", "max-age=7".parse().unwrap());
        response
    };
    let (_web, serving) = TestWeb::start(reply).await;
    let site = Site::start(source(&serving)).await;
    assert_eq!(site.get("/default/a.ts").await.header("cache-control"), "max-age=7");
    let site =
        Site::start_with(source(&serving), |config| config.service[0].lifetimes.honour_source = false).await;
    let got = site.get("/default/a.ts").await;
    assert!(got.header("cache-control").contains("immutable"), "{}", got.header("cache-control"));
}

#[tokio::test]
async fn credentials_that_the_source_wants_are_not_the_node_token() {
    let (_web, serving) = TestWeb::start(|_| text(401, "who are you")).await;
    let site = Site::start(source(&serving)).await;
    let got = site.get("/default/a.ts").await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::BAD_GATEWAY, "source-credentials"));
}

#[tokio::test]
async fn a_source_that_is_away_or_dies_never_looks_complete() {
    let (_web, serving) = TestWeb::start(|_| broken(3_000_000, 400_000)).await;
    let site = Site::start(source(&serving)).await;
    let got = site.get("/default/a.ts").await;
    assert_eq!(got.header("content-length"), "3000000");
    assert!(got.body.is_err());
    serving.drain(std::time::Duration::ZERO).await;
    let got = site.get("/default/b.ts").await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::BAD_GATEWAY, "source-unreachable"));
    assert_eq!(got.header("retry-after"), "1");
    assert!(!got.text().contains("127.0.0.1"), "{}", got.text());
}

#[tokio::test]
async fn a_web_server_cannot_be_listed() {
    let (_web, serving) = TestWeb::start(|_| text(200, "media")).await;
    let site = Site::start(source(&serving)).await;
    let got = site.get("/-/list?service=default&prefix=/").await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::NOT_IMPLEMENTED, "no-listing"));
}

#[tokio::test]
async fn a_playlist_too_large_to_read_is_passed_on() {
    let (_web, serving) = TestWeb::start(|_| {
        let mut response = text(200, "");
        let body = Full::new(Bytes::from(vec![b'x'; 5 << 20])).map_err(|never| match never {});
        response.headers_mut().insert("content-length", (5 << 20).into());
        *response.body_mut() = body.boxed();
        response
    })
    .await;
    let site = Site::start(source(&serving)).await;
    let got = site.get("/default/a.m3u8").await;
    assert_eq!((got.status, got.body.as_ref().unwrap().len()), (StatusCode::OK, 5 << 20));
    assert_eq!(got.header("cache-control"), "public, max-age=1");
}
