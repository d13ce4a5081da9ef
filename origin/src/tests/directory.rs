//! An origin in front of a directory: who may ask, what it answers, how long that lives.

use super::*;
use crate::StartError;

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000\nv/index.m3u8\n";
const LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:6,\n7.ts\n";

fn media() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("stream/a/master.m3u8", MASTER.as_bytes());
    write("stream/a/live.m3u8", LIVE.as_bytes());
    write("stream/a/vod.m3u8", format!("{LIVE}#EXT-X-ENDLIST\n").as_bytes());
    write("stream/a/empty.m3u8", b"");
    write("stream/a/7.ts", &vec![7; 700_000]);
    write("stream/a/poster.jpg", b"jpg");
    write("stream/with space ü.ts", b"spaced");
    folder
}

async fn site() -> (Site, TempDir) {
    let folder = media();
    (Site::start(SourceConfig::Dir(folder.path().into())).await, folder)
}

#[tokio::test]
async fn only_the_fleet_may_ask() {
    let (site, _folder) = site().await;
    let wrong = format!("Bearer {TOKEN}x");
    for fields in [vec![], vec![("authorization", wrong.as_str())], vec![("authorization", "Basic YTpi")]] {
        let got = site.send(Method::GET, "/default/stream/a/7.ts", &fields).await;
        assert_eq!((got.status, got.slug().as_str()), (StatusCode::UNAUTHORIZED, "node-token"));
        assert_eq!(got.header("www-authenticate"), "Bearer");
    }
    assert_eq!(site.get("/default/stream/a/7.ts").await.body.unwrap().len(), 700_000);
}

#[tokio::test]
async fn everything_has_its_lifetime_and_its_type() {
    let (site, _folder) = site().await;
    for (path, kind, control) in [
        ("7.ts", "video/mp2t", "public, max-age=31536000, immutable, stale-if-error=86400"),
        (
            "master.m3u8",
            "application/vnd.apple.mpegurl",
            "public, max-age=60, stale-while-revalidate=60, stale-if-error=86400",
        ),
        (
            "live.m3u8",
            "application/vnd.apple.mpegurl",
            "public, max-age=3, stale-while-revalidate=3, stale-if-error=18",
        ),
        (
            "vod.m3u8",
            "application/vnd.apple.mpegurl",
            "public, max-age=31536000, immutable, stale-if-error=86400",
        ),
        ("empty.m3u8", "application/vnd.apple.mpegurl", "public, max-age=1"),
        (
            "poster.jpg",
            "image/jpeg",
            "public, max-age=3600, stale-while-revalidate=3600, stale-if-error=86400",
        ),
    ] {
        let got = site.get(&format!("/default/stream/a/{path}")).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        assert_eq!(got.header("content-type"), kind, "{path}");
        assert_eq!(got.header("cache-control"), control, "{path}");
        assert!(got.header("etag").starts_with('"'), "{path}");
        assert_eq!(got.header("via"), "1.1 kromka-origin-o1", "{path}");
        assert!(got.header("cache-status").starts_with("kromka-shield; fwd=miss"), "{path}");
    }
    let got = site.get("/default/stream/a/none.ts").await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    assert_eq!(got.header("cache-control"), "public, max-age=1");
    assert_eq!(site.get("/default/stream/with%20space%20%C3%BC.ts").await.text(), "spaced");
    assert_eq!(site.get("/other/stream/a/7.ts").await.slug(), "no-service");
    assert_eq!(site.get("/default").await.slug(), "no-service");
}

#[tokio::test]
async fn ranges_come_through_and_the_second_is_a_hit() {
    let (site, _folder) = site().await;
    let got = site.ask("/default/stream/a/7.ts", &[("range", "bytes=0-262143")]).await;
    assert_eq!(
        (got.status, got.header("content-range")),
        (StatusCode::PARTIAL_CONTENT, "bytes 0-262143/700000")
    );
    let got = site.ask("/default/stream/a/7.ts", &[("range", "bytes=699990-")]).await;
    assert_eq!(got.body.as_ref().unwrap().len(), 10);
    let got = site.ask("/default/stream/a/7.ts", &[("range", "bytes=0-9")]).await;
    assert!(got.header("cache-status").starts_with("kromka-shield; hit"), "{:?}", got.headers);
    let got = site.ask("/default/stream/a/master.m3u8", &[("range", "bytes=0-6")]).await;
    assert_eq!((got.status, got.text()), (StatusCode::PARTIAL_CONTENT, "#EXTM3U"));
    let got = site.ask("/default/stream/a/7.ts", &[("range", "bytes=700000-")]).await;
    assert_eq!(
        (got.status, got.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */700000")
    );
}

#[tokio::test]
async fn a_fence_brings_the_new_file() {
    let (site, folder) = site().await;
    let path = "/default/stream/a/7.ts";
    assert_eq!(site.get(path).await.body.unwrap().len(), 700_000);
    std::fs::write(folder.path().join("stream/a/7.ts"), b"new").unwrap();
    assert_eq!(site.get(path).await.body.unwrap().len(), 700_000, "what is stored is still fresh");
    assert_eq!(site.ask(path, &[("kromka-fence", "5")]).await.text(), "new");
    assert_eq!(site.ask(path, &[("kromka-fence", "many")]).await.slug(), "bad-fence");
}

#[tokio::test]
async fn a_loop_and_a_foreign_method_are_refused() {
    let (site, _folder) = site().await;
    let got = site.ask("/default/stream/a/7.ts", &[("cdn-loop", "kromka; node=o1")]).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::LOOP_DETECTED, "loop"));
    let got = site.ask("/default/stream/a/7.ts", &[("cdn-loop", "kromka; node=e1")]).await;
    assert_eq!(got.status, StatusCode::OK);
    let got = site.send(Method::PUT, "/default/stream/a/7.ts", &[]).await;
    assert_eq!((got.status, got.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
}

#[tokio::test]
async fn a_listing_names_what_is_there() {
    let (site, _folder) = site().await;
    let got = site.get("/-/list?service=default&prefix=/stream/a/&after=/stream/a/empty.m3u8").await;
    let page: serde_json::Value = serde_json::from_str(got.text()).unwrap();
    let names: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["/stream/a/live.m3u8", "/stream/a/master.m3u8", "/stream/a/poster.jpg", "/stream/a/vod.m3u8"]
    );
    assert!(page.get("next").is_none());
    assert_eq!(site.get("/-/list?service=none&prefix=/").await.slug(), "no-service");
    let stranger = site.send(Method::GET, "/-/list?service=default&prefix=/", &[]).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn metrics_and_readiness_are_there() {
    let (site, _folder) = site().await;
    site.get("/default/stream/a/7.ts").await;
    let (_, text) = site.admin("/metrics").await;
    for start in ["kromka_requests_total{", "kromka_source_requests_total{", "kromka_cache_miss_cold_total{"]
    {
        assert!(text.lines().any(|line| line.starts_with(start) && line.ends_with(" 1")), "{start}\n{text}");
    }
    for start in ["kromka_feed_lag{", "kromka_connections_failed_total{reason=\"tls\","] {
        assert!(text.lines().any(|line| line.starts_with(start) && line.ends_with(" 0")), "{start}\n{text}");
    }
    assert_eq!(site.admin("/readyz").await.0, StatusCode::OK);
    let address = site.origin.url.socket_addrs(|| None).unwrap()[0];
    site.origin.drain().await;
    kromka_net::bind(address).await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_says_what_to_do() {
    let folder = media();
    let told = |error: StartError| error.to_string();
    let missing = config(folder.path(), SourceConfig::Dir("/nowhere/media".into()));
    let error = told(start(missing).await.err().unwrap());
    assert!(error.contains("/nowhere/media") && error.contains("exists"), "{error}");
    let taken = kromka_net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut config = config(folder.path(), SourceConfig::Dir(folder.path().into()));
    config.listen.http = Some(taken.addr());
    let error = told(start(config).await.err().unwrap());
    assert!(error.contains("in use"), "{error}");
}
