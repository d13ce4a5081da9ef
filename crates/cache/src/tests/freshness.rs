//! Stored, fresh, stale: who is asked, and what the answer says of it.

use super::origin::{Mood, pattern};
use super::told::told;
use super::*;

#[tokio::test]
async fn fresh_is_a_hit_with_an_age_and_a_status() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let miss = get(&tier, "/a.ts").whole().await;
    assert_eq!(told(&miss), "fwd=miss; stored; fwd-status=200; fresh");
    let hit = get(&tier, "/a.ts").later(Duration::from_secs(20)).whole().await;
    assert_eq!(hit.headers["age"], "20");
    assert_eq!(told(&hit), "hit; fresh");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn one_conditional_request_revalidates_the_generation_whatever_range_was_asked() {
    let origin = Origin::new();
    let body = pattern(100_000, 2);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=1");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    let part = get(&tier, "/a.ts").later(Duration::from_secs(5)).with("range", "bytes=5-9").whole().await;
    assert_eq!((part.verdict, &part.body), (Verdict::Revalidated, &body.slice(5..10)));
    assert_eq!(told(&part), "fwd=stale; fwd-status=304; too old");
    let log = origin.log.lock();
    assert_eq!(log.len(), 2);
    assert_eq!(
        (log[1].range.clone(), log[1].revalidate.clone().unwrap().etag.unwrap()),
        (None, "\"1\"".into())
    );
}

#[tokio::test]
async fn a_changed_object_starts_a_new_generation_while_readers_finish_the_old_one() {
    let origin = Origin::new();
    let old = pattern(100_000, 3);
    origin.put("/a.ts", old.clone(), "\"1\"", "max-age=1");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    let reading = get(&tier, "/a.ts").ask().await.unwrap();
    let new = pattern(90_000, 4);
    origin.put("/a.ts", new.clone(), "\"2\"", "max-age=60");
    let fresh = get(&tier, "/a.ts").later(Duration::from_secs(5)).whole().await;
    assert_eq!((fresh.verdict, fresh.body), (Verdict::Expired, new));
    assert_eq!(drain(reading.response).await.unwrap(), old);
}

#[tokio::test]
async fn stale_while_revalidate_answers_at_once_and_asks_behind() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 5), "\"1\"", "max-age=1, stale-while-revalidate=60");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    let new = pattern(10, 6);
    origin.put("/a.ts", new.clone(), "\"2\"", "max-age=60");
    let stale = get(&tier, "/a.ts").later(Duration::from_secs(5)).whole().await;
    assert_eq!((stale.verdict, stale.body), (Verdict::Stale, pattern(10, 5)));
    until("it was revalidated", || origin.asked() == 2 && tier.stats().fills_active == 0).await;
    assert_eq!(get(&tier, "/a.ts").whole().await.body, new);
}

#[tokio::test]
async fn behind_the_viewers_back_too_one_conditional_request_renews_the_whole_generation() {
    let origin = Origin::new();
    let body = pattern(100_000, 5);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=1, stale-while-revalidate=60");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").whole().await;
    let sent = origin.sent.load(std::sync::atomic::Ordering::Relaxed);
    for range in ["bytes=0-9", "bytes=50000-50009", "bytes=-9"] {
        let part = get(&tier, "/a.ts").later(Duration::from_secs(5)).with("range", range).whole().await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    }
    until("it was revalidated", || origin.asked() >= 2 && tier.stats().fills_active == 0).await;
    tokio::task::yield_now().await;
    let log = origin.log.lock();
    assert!(log[1..].iter().all(|want| want.range.is_none() && want.revalidate.is_some()));
    assert_eq!(
        origin.sent.load(std::sync::atomic::Ordering::Relaxed),
        sent,
        "and not a byte of it came again"
    );
}

#[tokio::test]
async fn stale_if_error_stands_in_for_a_source_that_fails() {
    for mood in [Mood::Down, Mood::Says(503)] {
        let origin = Origin::new();
        origin.put("/a.ts", pattern(10, 7), "\"1\"", "max-age=1, stale-if-error=60");
        origin.put("/b.ts", pattern(10, 7), "\"1\"", "max-age=1");
        let tier = tier(&origin).await;
        for path in ["/a.ts", "/b.ts"] {
            get(&tier, path).whole().await;
        }
        origin.set(mood);
        let stale = get(&tier, "/a.ts").later(Duration::from_secs(5)).whole().await;
        assert_eq!((stale.verdict, stale.body), (Verdict::StaleOnError, pattern(10, 7)), "{mood:?}");
        let other = get(&tier, "/b.ts").later(Duration::from_secs(5)).ask().await;
        assert!(other.is_err() || other.is_ok_and(|answer| answer.response.status() == 503), "{mood:?}");
    }
}

#[tokio::test]
async fn what_must_not_be_stored_is_passed_on_to_each_without_queueing() {
    let origin = Origin::new();
    let body = pattern(30_000, 8);
    origin.put("/a.ts", body.clone(), "\"1\"", "private");
    let tier = tier(&origin).await;
    for n in 1..4 {
        let passed = get(&tier, "/a.ts").whole().await;
        assert_eq!((passed.verdict, passed.body), (Verdict::Pass, body.clone()));
        assert_eq!(origin.asked(), n);
    }
    origin.set(Mood::Short(100));
    assert!(drain(get(&tier, "/a.ts").ask().await.unwrap().response).await.is_err(), "cut short");
}

#[tokio::test]
async fn a_missing_object_is_remembered_as_long_as_configured() {
    let origin = Origin::new();
    let tier = tier(&origin).await;
    for _ in 0..3 {
        assert_eq!(get(&tier, "/none.ts").whole().await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(origin.asked(), 1);
    origin.put("/none.ts", pattern(10, 9), "\"1\"", "max-age=60");
    let later = get(&tier, "/none.ts").later(Duration::from_secs(120)).whole().await;
    assert_eq!((later.status, origin.asked()), (StatusCode::OK, 2));
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let origin = Origin::new();
    origin.put("/a.ts", Bytes::new(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    for _ in 0..2 {
        let empty = get(&tier, "/a.ts").whole().await;
        assert_eq!((empty.status, empty.body.len()), (StatusCode::OK, 0));
        assert_eq!(empty.headers["content-length"], "0");
    }
    assert_eq!(origin.asked(), 1);
}
