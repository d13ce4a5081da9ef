//! What `Cache-Status` says (RFC 9211): why the source was asked, what it answered, and what became of that.

use super::origin::{Mood, pattern};
use super::*;

/// The tier's member without its name and key, and of its `ttl` the sign: seconds pass while a test runs.
pub(super) fn told(got: &Whole) -> String {
    let last = got.headers.get_all("cache-status").iter().next_back().unwrap().to_str().unwrap();
    let rest = last.strip_prefix("test; ").unwrap();
    let (before, key) = rest.split_once("; key=\"").unwrap();
    let (key, after) = key.split_once('"').unwrap();
    assert!(key.len() == 32 && key.bytes().all(|digit| digit.is_ascii_hexdigit()), "{last}");
    let (before, ttl) = before.split_once("; ttl=").unwrap_or((before, ""));
    let ttl = ttl.parse::<i64>().map_or("", |ttl| if ttl < 0 { "; too old" } else { "; fresh" });
    format!("{before}{ttl}{after}")
}

async fn stand(cache_control: &str) -> (Arc<Origin>, Arc<Tier<Arc<Origin>>>) {
    let origin = Origin::new();
    origin.put("/a", pattern(100_000, 1), "\"1\"", cache_control);
    let tier = tier(&origin).await;
    (origin, tier)
}

#[tokio::test]
async fn what_came_for_whom() {
    let (origin, tier) = stand("max-age=60").await;
    let (first, second) = tokio::join!(get(&tier, "/a").whole(), get(&tier, "/a").whole());
    assert_eq!(told(&first), "fwd=miss; stored; fwd-status=200; fresh");
    assert_eq!(told(&second), "fwd=miss; stored; collapsed; fwd-status=200; fresh");
    assert_eq!(told(&get(&tier, "/a").whole().await), "hit; fresh");
    origin.put("/b", pattern(100_000, 2), "\"1\"", "max-age=60");
    let part = get(&tier, "/b").with("range", "bytes=0-9").whole().await;
    assert_eq!(told(&part), "fwd=miss; stored; fwd-status=206; fresh");
    let other = get(&tier, "/b").with("range", "bytes=90000-90009").whole().await;
    assert_eq!(told(&other), "fwd=partial; stored; fresh", "its fetch has not begun");
    assert_eq!(told(&get(&tier, "/none").whole().await), "fwd=miss; stored; fwd-status=404; fresh");
    assert_eq!(told(&get(&tier, "/a").head().whole().await), "hit; fresh");
}

#[tokio::test]
async fn what_was_too_old() {
    let (origin, tier) = stand("max-age=10, stale-while-revalidate=10, stale-if-error=600").await;
    let later = |seconds| get(&tier, "/a").later(Duration::from_secs(seconds));
    get(&tier, "/a").whole().await;
    assert_eq!(told(&later(15).whole().await), "hit; too old", "it is revalidated behind the viewer's back");
    until("it is", || origin.asked() == 2).await;
    let (first, second) = tokio::join!(later(30).whole(), later(30).whole());
    assert_eq!(told(&first), "fwd=stale; fwd-status=304; too old");
    assert_eq!(told(&second), "fwd=stale; collapsed; fwd-status=304; too old");
    origin.set(Mood::Says(503));
    assert_eq!(told(&later(30).whole().await), "fwd=stale; fwd-status=503; too old; detail=stale-if-error");
    let again = later(30).whole().await;
    assert_eq!(told(&again), "fwd=stale; collapsed; fwd-status=503; too old; detail=stale-if-error");
    origin.set(Mood::Good);
    origin.put("/a", pattern(10, 2), "\"2\"", "max-age=10");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(told(&later(30).whole().await), "fwd=stale; stored; fwd-status=200; too old");
    let (origin, tier) = stand("max-age=10, stale-if-error=600").await;
    get(&tier, "/a").whole().await;
    origin.set(Mood::Down);
    let got = get(&tier, "/a").later(Duration::from_secs(15)).whole().await;
    assert_eq!(told(&got), "fwd=stale; too old; detail=stale-if-error", "there was no answer");
}

#[tokio::test]
async fn what_requests_and_purges_wanted() {
    let (_, tier) = stand("max-age=60").await;
    get(&tier, "/a").web().whole().await;
    let sure = get(&tier, "/a").web().with("cache-control", "no-cache").whole().await;
    assert_eq!(told(&sure), "fwd=request; fwd-status=304; fresh");
    let past = get(&tier, "/none").web().with("cache-control", "no-store").whole().await;
    assert_eq!(told(&past), "fwd=miss; fwd-status=404; detail=uncacheable");
    let urls = vec!["/a".to_owned()];
    let order = crate::Purge {
        fence: 7,
        service: "s".into(),
        mode: crate::PurgeMode::Hard,
        urls,
        prefixes: vec![],
        tags: vec![],
    };
    tier.purge(&order).unwrap();
    let anew = get(&tier, "/a").web().whole().await;
    assert_eq!(told(&anew), "fwd=miss; stored; fwd-status=200; fresh; detail=purged");
}

#[tokio::test]
async fn what_is_not_kept() {
    let (origin, tier) = stand("private").await;
    for _ in 0..2 {
        let got = get(&tier, "/a").whole().await;
        assert_eq!(told(&got), "fwd=miss; fwd-status=200; detail=uncacheable");
    }
    origin.put("/b", pattern(10, 1), "\"1\"", "max-age=1");
    get(&tier, "/b").whole().await;
    origin.put("/b", pattern(10, 2), "\"2\"", "no-store");
    let got = get(&tier, "/b").later(Duration::from_secs(5)).whole().await;
    assert_eq!(told(&got), "fwd=stale; fwd-status=200; detail=uncacheable");
}

#[tokio::test]
async fn the_key_is_of_the_object_and_the_caches_behind_come_first() {
    let (origin, tier) = stand("max-age=60").await;
    origin.edit("/a", |thing| {
        thing.fields.push(("cache-status", "far; hit".into()));
        thing.fields.push(("cache-status", "near; fwd=miss".into()));
    });
    let got = get(&tier, "/a").whole().await;
    let lines: Vec<_> = got.headers.get_all("cache-status").iter().collect();
    assert_eq!((lines.len(), lines[0].to_str().unwrap()), (2, "far; hit, near; fwd=miss"));
    assert!(lines[1].to_str().unwrap().contains(&format!("key=\"{:032x}\"", key("/a").hash())));
}
