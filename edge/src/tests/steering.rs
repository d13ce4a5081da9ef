//! Multivariant playlists that name where they may be played from.

use http::{Method, StatusCode};
use kromka_config::Access;

use super::*;

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n#EXT-X-ENDLIST\n";

async fn site(change: impl FnOnce(&mut ServiceConfig)) -> (Site, Serving) {
    let (_shield, serving) = TestShield::start(|request| match request.uri().path() {
        "/default/stream/master.m3u8" => segment(MASTER),
        "/default/stream/360/index.m3u8" => segment(MEDIA),
        _ => status(StatusCode::NOT_FOUND),
    })
    .await;
    let site = Site::start_with(&[&serving], |config| {
        config.service[0].steering = Some("https://cdn.example/steer/default".parse().unwrap());
        change(&mut config.service[0]);
    })
    .await;
    (site, serving)
}

/// The steering document that a playlist names.
fn document(text: &str) -> Url {
    let line = text.lines().find(|line| line.starts_with("#EXT-X-CONTENT-STEERING:")).unwrap();
    line.split('"').nth(1).unwrap().parse().unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The playlist without what steering added.
fn undone(text: &str) -> String {
    let kept = text.split_inclusive('\n').filter(|line| !line.starts_with("#EXT-X-CONTENT-STEERING:"));
    kept.map(|line| match line.find(",PATHWAY-ID=") {
        Some(at) => format!("{}\n", &line[..at]),
        None => line.to_owned(),
    })
    .collect()
}

#[tokio::test]
async fn a_playlist_names_its_pathway_and_its_document_and_is_the_publishers_otherwise() {
    let (site, _serving) = site(|_| ()).await;
    let got = site.get(&site.signed("/stream/master.m3u8")).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(undone(got.text()), MASTER);
    assert_eq!(got.header("content-length"), got.text().len().to_string());
    let document = document(got.text());
    assert!(
        document
            .as_str()
            .starts_with("https://cdn.example/steer/default?path=/stream/master.m3u8&sid=s1&in=e1.")
    );
    let pathway = parameter(&document, "in").unwrap();
    assert_eq!(got.text().matches(&format!("PATHWAY-ID=\"{pathway}\"")).count(), 4, "{}", got.text());
    // The object itself is the same for everybody, and so are all others.
    let media = site.get(&site.signed("/stream/360/index.m3u8")).await;
    assert_eq!((media.text(), media.header("etag")), (MEDIA, "\"v1\""));
    assert_eq!(site.get(&site.signed("/stream/none.m3u8")).await.slug(), "not-found");
}

#[tokio::test]
async fn what_is_written_has_a_tag_of_its_own_and_answers_conditions() {
    let (site, _serving) = site(|_| ()).await;
    // The same bytes again only once it is known whether the content has ended.
    site.get(&site.signed("/stream/360/index.m3u8")).await;
    let path = site.signed("/stream/master.m3u8");
    let first = site.get(&path).await;
    let tag = first.header("etag").to_owned();
    assert_ne!(tag, "\"v1\"");
    let again = site.ask(Method::GET, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, tag.as_str()));
    let head = site.ask(Method::HEAD, &path, &[]).await;
    assert_eq!((head.text(), head.header("content-length")), ("", first.header("content-length")));
    // A range of bytes that nobody stored is not promised, and not given.
    let range = site.ask(Method::GET, &path, &[("range", "bytes=0-3")]).await;
    assert_eq!((range.status, range.text()), (StatusCode::OK, first.text()));
    assert_eq!(range.header("accept-ranges"), "");
    // Another session has another document, so another text, so another tag.
    let token = site.token(|claims| claims.sid = "s 2\"".into());
    let other =
        site.ask(Method::GET, &format!("/~{token}/stream/master.m3u8"), &[("if-none-match", &tag)]).await;
    assert_eq!(other.status, StatusCode::OK);
    assert_eq!(parameter(&document(other.text()), "sid").as_deref(), Some("s 2\""));
}

#[tokio::test]
async fn a_plan_and_steering_go_together() {
    let (site, _serving) = site(|_| ()).await;
    let token = site.token(|claims| claims.maxh = Some(480));
    let got = site.get(&format!("/~{token}/stream/master.m3u8")).await;
    assert_eq!(undone(got.text()), kromka_hls::filter(MASTER, Some(480), None).unwrap());
    assert!(got.text().contains("PATHWAY-ID") && !got.text().contains("720/"));
}

#[tokio::test]
async fn what_lets_a_viewer_in_must_come_along_to_another_edge() {
    let (site, _serving) = site(|_| ()).await;
    let token = site.token(|_| ());
    let in_query = site.get(&format!("/stream/master.m3u8?kt={token}")).await;
    assert_eq!(in_query.text(), MASTER);
    let cookie = format!("kromka_t={token}");
    let in_cookie = site.ask(Method::GET, "/stream/master.m3u8", &[("cookie", &cookie)]).await;
    assert_eq!((in_cookie.text(), in_cookie.header("etag")), (MASTER, "\"v1\""));
}

#[tokio::test]
async fn where_everybody_may_look_nobody_has_a_session() {
    let (site, _serving) = site(|service| service.access = Access::Public).await;
    let got = site.get("/stream/master.m3u8").await;
    assert_eq!(undone(got.text()), MASTER);
    let document = document(got.text());
    assert_eq!((parameter(&document, "sid"), parameter(&document, "tls")), (None, None));
}

#[tokio::test]
async fn once_the_first_variant_is_here_the_document_knows_that_it_has_ended() {
    let (site, _serving) = site(|_| ()).await;
    let path = site.signed("/stream/master.m3u8");
    // The first look fetches the variant without waiting for it.
    let mut vod = None;
    for _ in 0..500 {
        vod = parameter(&document(site.get(&path).await.text()), "vod");
        if vod.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(vod.as_deref(), Some("1"));
}
