//! Plan limits on playlists.

use http::{Method, StatusCode};

use super::*;

async fn site() -> (Site, Serving) {
    let (_shield, serving) = TestShield::start(|request| match request.uri().path() {
        "/default/stream/master.m3u8" => {
            let mut response = segment(MASTER);
            response.headers_mut().insert("content-type", "application/vnd.apple.mpegurl".parse().unwrap());
            response
        }
        "/default/stream/720/index.m3u8" => {
            segment("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n#EXT-X-ENDLIST\n")
        }
        _ => status(StatusCode::NOT_FOUND),
    })
    .await;
    (Site::start(&[&serving]).await, serving)
}

#[tokio::test]
async fn a_plan_sees_what_it_may_play() {
    let (site, _serving) = site().await;
    let all = site.get(&site.signed("/stream/master.m3u8")).await;
    assert_eq!(all.text(), MASTER);
    let token = site.token(|claims| claims.maxh = Some(480));
    let path = format!("/~{token}/stream/master.m3u8");
    let cut = site.get(&path).await;
    assert_eq!(cut.status, StatusCode::OK);
    assert!(cut.text().contains("360/index.m3u8") && cut.text().contains("audio/index.m3u8"));
    assert!(!cut.text().contains("720/index.m3u8"));
    assert_eq!(cut.header("content-length"), cut.text().len().to_string());
    assert_eq!(cut.header("content-type"), "application/vnd.apple.mpegurl");
    assert_ne!(cut.header("etag"), all.header("etag"));
    let again = site.ask(Method::GET, &path, &[("if-none-match", cut.header("etag"))]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    let other = site.ask(Method::GET, &path, &[("if-none-match", all.header("etag"))]).await;
    assert_eq!(other.status, StatusCode::OK);
    let head = site.ask(Method::HEAD, &path, &[]).await;
    assert_eq!(head.header("content-length"), cut.header("content-length"));
    let come_by = |got: &Got| got.header("server-timing").rsplit_once("desc=").map(|(_, by)| by.to_owned());
    let told = [&all, &cut, &head].map(come_by);
    assert_eq!(told, ["\"miss\"", "\"hit\"", "\"hit\""].map(|by| Some(by.to_owned())), "as any other");
}

#[tokio::test]
async fn what_is_below_and_what_is_missing_is_left_alone() {
    let (site, _serving) = site().await;
    let token = site.token(|claims| claims.maxh = Some(480));
    let media = site.get(&format!("/~{token}/stream/720/index.m3u8")).await;
    assert!(media.text().contains("1.ts"));
    assert_eq!(media.header("etag"), "\"v1\"");
    assert_eq!(site.get(&format!("/~{token}/stream/none.m3u8")).await.slug(), "not-found");
}

#[tokio::test]
async fn a_plan_that_leaves_nothing_says_so() {
    let (site, _serving) = site().await;
    let token = site.token(|claims| claims.maxbr = Some(1000));
    let got = site.get(&format!("/~{token}/stream/master.m3u8")).await;
    assert_eq!((got.status, got.slug().as_str()), (StatusCode::FORBIDDEN, "nothing-left"));
}
