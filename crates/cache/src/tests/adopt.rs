//! What comes into a tier without a request: a newer version from outside, bytes ahead of their viewer.

use super::origin::pattern;
use super::*;

const PLAYLIST: &str = "/live.m3u8";

fn fields(etag: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("cache-control", "max-age=60".parse().unwrap());
    fields.insert("etag", etag.parse().unwrap());
    fields
}

#[tokio::test]
async fn a_version_from_outside_is_what_is_answered_next() {
    let origin = Origin::new();
    origin.put(PLAYLIST, Bytes::from_static(b"old"), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    assert_eq!(get(&tier, PLAYLIST).whole().await.body, "old");
    let newer = pattern(50_000, 7);
    let outside = tier.outside(key(PLAYLIST));
    assert!(tier.adopt(outside, &fields("\"2\""), newer.clone()).await);
    assert_eq!(get(&tier, PLAYLIST).whole().await.body, newer);
    assert_eq!(origin.log.lock().len(), 1, "from memory");
}

#[tokio::test]
async fn a_fetch_under_way_does_not_replace_a_version_from_outside() {
    let origin = Origin::new();
    origin.put(PLAYLIST, Bytes::from_static(b"old"), "\"1\"", "max-age=60");
    let gate = origin.hold();
    let tier = tier(&origin).await;
    let reading = tokio::spawn({
        let tier = tier.clone();
        async move { get(&tier, PLAYLIST).whole().await.body }
    });
    while origin.log.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let outside = tier.outside(key(PLAYLIST));
    gate.add_permits(100);
    assert!(tier.adopt(outside, &fields("\"2\""), Bytes::from_static(b"new")).await);
    reading.await.unwrap();
    assert_eq!(get(&tier, PLAYLIST).whole().await.body, "new");
}

#[tokio::test]
async fn a_purge_after_the_fetch_began_forbids_what_it_brought() {
    let origin = Origin::new();
    origin.put(PLAYLIST, Bytes::from_static(b"after"), "\"3\"", "max-age=60");
    let tier = tier(&origin).await;
    let outside = tier.outside(key(PLAYLIST));
    let purge = crate::Purge {
        fence: 9,
        service: "s".into(),
        mode: crate::PurgeMode::Hard,
        urls: vec![PLAYLIST.into()],
        prefixes: vec![],
        tags: vec![],
    };
    tier.purge(&purge).unwrap();
    assert!(tier.adopt(outside, &fields("\"2\""), Bytes::from_static(b"purged")).await);
    assert_eq!(get(&tier, PLAYLIST).whole().await.body, "after");
    assert_eq!(tier.outside(key(PLAYLIST)).fence(), 9);
}

#[tokio::test]
async fn bytes_taken_in_ahead_are_hits_and_counted_as_nobodys_request() {
    let origin = Origin::new();
    let body = pattern(100_000, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let part = 20_000..40_000;
    let fetched = tier.ahead(key("/a.ts"), Some(part.clone())).await.unwrap().unwrap();
    // The two blocks that hold them.
    assert_eq!(fetched, 2 * BLOCK);
    assert_eq!(tier.ahead(key("/a.ts"), Some(part)).await.unwrap(), Some(0));
    assert_eq!(tier.stats().answered(), 0);
    let got = get(&tier, "/a.ts").with("range", "bytes=20000-39999").whole().await.body;
    assert_eq!(got, body.slice(20_000..40_000));
    assert_eq!((tier.stats().hits, origin.log.lock().len()), (1, 1));
    assert_eq!(tier.ahead(key("/a.ts"), None).await.unwrap(), Some(100_000 - 2 * BLOCK));
    assert_eq!(tier.ahead(key("/none.ts"), None).await.unwrap(), None);
}
