//! What requests for web content wish, what responses hold back, and what a source that is gone leaves.

use super::origin::{Mood, pattern};
use super::*;

async fn page(cache_control: &str) -> (Arc<Origin>, Arc<Tier<Arc<Origin>>>) {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", cache_control);
    let tier = tier(&origin).await;
    get(&tier, "/a").web().whole().await;
    (origin, tier)
}

#[tokio::test]
async fn a_request_may_want_to_be_sure_and_media_do_not_care() {
    let (origin, tier) = page("max-age=60").await;
    for wish in ["no-cache", "max-age=0, x", "min-fresh=61"] {
        let before = origin.asked();
        let later = Duration::from_secs(1);
        let got = get(&tier, "/a").web().later(later).with("cache-control", wish).whole().await;
        assert_eq!((got.verdict, origin.asked()), (Verdict::Revalidated, before + 1), "{wish}");
    }
    assert_eq!(get(&tier, "/a").web().with("pragma", "no-cache").whole().await.verdict, Verdict::Revalidated);
    let asked = origin.asked();
    assert_eq!(get(&tier, "/a").with("cache-control", "no-cache").whole().await.verdict, Verdict::Hit);
    assert_eq!(
        get(&tier, "/a").web().with("cache-control", "max-age=30").whole().await.verdict,
        Verdict::Hit
    );
    assert_eq!(origin.asked(), asked);
    origin.set(Mood::Down);
    assert!(get(&tier, "/a").web().with("cache-control", "no-cache").ask().await.is_err(), "sure or nothing");
}

#[tokio::test]
async fn a_request_may_be_content_with_less() {
    let (origin, tier) = page("max-age=10").await;
    let of = |wish: &str| get(&tier, "/a").web().later(Duration::from_secs(30)).with("cache-control", wish);
    assert_eq!(of("max-stale=25").whole().await.verdict, Verdict::Stale);
    assert_eq!(of("max-stale").whole().await.verdict, Verdict::Stale);
    assert_eq!(origin.asked(), 1);
    assert_eq!(of("max-stale=15").whole().await.verdict, Verdict::Revalidated);
    let (_, tier) = page("max-age=10, must-revalidate").await;
    let got = get(&tier, "/a")
        .web()
        .later(Duration::from_secs(30))
        .with("cache-control", "max-stale")
        .whole()
        .await;
    assert_eq!(got.verdict, Verdict::Revalidated, "not where it is forbidden");
}

#[tokio::test]
async fn only_if_cached_asks_nobody() {
    let (origin, tier) = page("max-age=10").await;
    let of = |path: &str, later| {
        get(&tier, path).web().later(Duration::from_secs(later)).with("cache-control", "only-if-cached")
    };
    assert_eq!(of("/a", 5).whole().await.verdict, Verdict::Hit);
    assert!(matches!(of("/a", 15).ask().await, Err(Failure::NotStored)));
    assert!(matches!(of("/b", 0).ask().await, Err(Failure::NotStored)));
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn no_store_in_a_request_keeps_the_answer_out() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let first = get(&tier, "/a").web().with("cache-control", "no-store").whole().await;
    assert_eq!((first.verdict, first.body), (Verdict::Pass, pattern(10, 1)));
    assert_eq!(get(&tier, "/a").web().whole().await.verdict, Verdict::Miss);
}

#[tokio::test]
async fn fields_wait_for_the_source_or_are_one_users_own() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 1), "\"1\"", "max-age=60, no-cache=\"x-turn\", private=\"set-cookie\"");
    origin.edit("/a", |thing| {
        thing.fields.push(("x-turn", "1".into()));
        thing.fields.push(("set-cookie", "a=b".into()));
    });
    let tier = tier(&origin).await;
    let shows = |got: &Whole| (got.headers.contains_key("x-turn"), got.headers.contains_key("set-cookie"));
    assert_eq!(shows(&get(&tier, "/a").web().whole().await), (true, true), "the one who made it come");
    let hit = get(&tier, "/a").web().whole().await;
    assert_eq!((hit.verdict, shows(&hit)), (Verdict::Hit, (false, false)));
    let confirmed = get(&tier, "/a").web().later(Duration::from_secs(90)).whole().await;
    assert_eq!((confirmed.verdict, shows(&confirmed)), (Verdict::Revalidated, (true, true)));
}

#[tokio::test]
async fn web_content_outlives_a_source_that_is_gone_unless_it_says_otherwise() {
    for (cache_control, stands_in) in [
        ("max-age=10", true),
        ("max-age=10, must-revalidate", false),
        ("max-age=10, proxy-revalidate", false),
        ("s-maxage=10", false),
        ("no-cache", false),
    ] {
        let (origin, tier) = page(cache_control).await;
        origin.set(Mood::Down);
        match get(&tier, "/a").web().later(Duration::from_secs(60)).ask().await {
            Ok(got) => assert!(stands_in && got.verdict == Verdict::StaleOnError, "{cache_control}"),
            Err(failure) => {
                assert!(
                    !stands_in && matches!(failure, Failure::Unconfirmed(_)),
                    "{cache_control}: {failure}"
                );
            }
        }
        let later = Duration::from_secs(2 * 24 * 3600);
        let failure = get(&tier, "/a").web().later(later).ask().await.err().expect("for a day");
        assert_eq!(matches!(failure, Failure::Unreachable(_)), stands_in, "{cache_control}: {failure}");
    }
}

#[tokio::test]
async fn a_servers_error_is_shown_and_a_gateways_is_none_and_neither_replaces_what_is_stored() {
    for (cache_control, says, stands_in) in [
        ("max-age=10", 500, false),
        ("max-age=10", 503, true),
        ("max-age=10, must-revalidate", 502, false),
        ("max-age=10, stale-if-error=90", 500, true),
    ] {
        let (origin, tier) = page(cache_control).await;
        origin.set(Mood::Says(says));
        let ask = || get(&tier, "/a").web().later(Duration::from_secs(60));
        // Its own words for one of those who ask together, its status for the others and for who comes next.
        let seen = |told: Result<Answer, Failure>| match told {
            Ok(answer) => (answer.response.status().as_u16(), Some(answer.verdict)),
            Err(failure) => (failure.answered().unwrap().as_u16(), None),
        };
        let (one, other) = tokio::join!(ask().ask(), ask().ask());
        let both = [seen(one), seen(other)];
        let expected = match stands_in {
            true => [(200, Some(Verdict::StaleOnError)); 2],
            false => [(says, Some(Verdict::Pass)), (says, None)],
        };
        assert_eq!(both, expected, "{cache_control}, {says}");
        // Nor does a reload of what is fresh throw it out.
        let reload = seen(get(&tier, "/a").web().with("cache-control", "no-cache").ask().await);
        assert_eq!(reload, (says, None), "{cache_control}, {says}");
        assert_eq!(get(&tier, "/a").web().whole().await.verdict, Verdict::Hit, "{cache_control}, {says}");
    }
}

#[tokio::test]
async fn an_error_behind_stale_while_revalidate_is_nobodys() {
    let (origin, tier) = page("max-age=10, stale-while-revalidate=60").await;
    origin.set(Mood::Says(500));
    for _ in 0..3 {
        let got = get(&tier, "/a").web().later(Duration::from_secs(30)).whole().await;
        assert_eq!((got.status, got.verdict), (StatusCode::OK, Verdict::Stale));
        until("the error has come", || origin.asked() > 1 && tier.openings.lock().is_empty()).await;
    }
}

#[tokio::test]
async fn a_fetch_that_an_unsafe_request_overtook_is_not_kept() {
    let origin = Origin::new();
    origin.put("/a", pattern(100_000, 1), "\"1\"", "max-age=60");
    let gate = origin.hold();
    let tier = tier(&origin).await;
    // Its header is here, its body is not: begun before the change.
    let early = get(&tier, "/a").web().ask().await.unwrap();
    tier.invalidate(&key("/a"));
    origin.put("/a", pattern(100_000, 2), "\"2\"", "max-age=60");
    gate.add_permits(10_000);
    assert_eq!(drain(early.response).await.unwrap(), pattern(100_000, 1));
    assert_eq!(get(&tier, "/a").web().whole().await.body, pattern(100_000, 2));
}

#[tokio::test]
async fn a_clock_that_jumps_makes_nothing_younger() {
    use std::sync::atomic::Ordering;
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 1), "\"1\"", "max-age=1");
    let tier = tier(&origin).await;
    let ask = |path: &str| {
        let mut request = get(&tier, path);
        request.now = tier.now();
        request
    };
    ask("/a.ts").whole().await;
    tier.clock.error_ms.store(-3_600_000, Ordering::Relaxed);
    assert_eq!(ask("/a.ts").whole().await.headers["age"], "0");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let later = ask("/a.ts").whole().await;
    assert_eq!(later.verdict, Verdict::Revalidated, "a second is a second, whatever the wall says");
    // What comes now is not taken for an hour old because the wall is behind.
    origin.put("/b.ts", pattern(10, 2), "\"1\"", "max-age=60");
    let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(3600));
    origin.edit("/b.ts", |thing| thing.fields.push(("date", date)));
    ask("/b.ts").whole().await;
    let hit = ask("/b.ts").whole().await;
    assert_eq!((hit.verdict, hit.headers["age"].to_str().unwrap()), (Verdict::Hit, "0"));
    tier.clock.error_ms.store(3_600_000, Ordering::Relaxed);
    assert_ne!(ask("/b.ts").whole().await.verdict, Verdict::Hit, "ahead, it may be old: ask");
}
