//! Sources in trouble: who takes over, how often is asked again, and when they are left alone.

use super::origin::{Mood, pattern};
use super::*;

#[tokio::test]
async fn a_fill_that_breaks_hands_over_to_one_of_its_followers() {
    let origin = Origin::new();
    let body = pattern(200_000, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::Breaks(70_000));
    let tier = tier(&origin).await;
    let viewers: Vec<_> = (0..500)
        .map(|_| {
            let tier = tier.clone();
            tokio::spawn(async move { get(&tier, "/a.ts").whole().await.body })
        })
        .collect();
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap(), body);
    }
    let log = origin.log.lock();
    let ranges: Vec<_> = log.iter().map(|want| want.range.clone()).collect();
    // 70 000 bytes each time: the rest is asked for once each time it breaks, by one for all.
    assert_eq!(ranges, [None, Some(65_536..200_000), Some(131_072..200_000)]);
}

#[tokio::test]
async fn a_source_that_gives_no_answer_is_not_asked_by_everyone_who_comes() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 2), "\"1\"", "max-age=60");
    origin.set(Mood::Down);
    let mut config = config();
    config.negative = span(Duration::from_millis(150));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    for _ in 0..50 {
        assert!(get(&tier, "/a.ts").ask().await.is_err());
    }
    assert_eq!(origin.asked(), 2, "one try and one again, for all");
    origin.set(Mood::Good);
    until("the source is asked again", || {
        origin.asked() > 2 || {
            let (tier, origin) = (tier.clone(), origin.clone());
            tokio::spawn(async move { drop((get(&tier, "/a.ts").ask().await, origin)) });
            false
        }
    })
    .await;
    assert_eq!(get(&tier, "/a.ts").whole().await.body, pattern(10, 2));
}

#[tokio::test]
async fn tries_again_are_a_tenth_of_what_is_asked() {
    let origin = Origin::new();
    origin.set(Mood::Down);
    let tier = tier(&origin).await;
    let asks: Vec<_> = (0..200)
        .map(|n| {
            let tier = tier.clone();
            tokio::spawn(async move { get(&tier, &format!("/{n}.ts")).ask().await.is_err() })
        })
        .collect();
    for ask in asks {
        assert!(ask.await.unwrap());
    }
    // Ten were saved up.
    assert!((210..=230).contains(&origin.asked()), "{} requests for 200 objects", origin.asked());
    assert_eq!(tier.stats().source_retries as usize, origin.asked() - 200);
}

#[tokio::test]
async fn a_source_that_asks_for_a_rest_gets_it_and_what_is_stale_stands_in() {
    for mood in [Mood::Busy, Mood::Says(503), Mood::Says(429)] {
        let origin = Origin::new();
        origin.put("/stale.ts", pattern(10, 3), "\"1\"", "max-age=1, stale-if-error=60");
        let mut config = config();
        config.queue = span(Duration::from_millis(20));
        let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
        get(&tier, "/stale.ts").whole().await;
        origin.set(mood);
        for n in 0..3 {
            let _ = get(&tier, &format!("/{n}.ts")).ask().await;
        }
        let asked = origin.asked();
        for n in 3..40 {
            let refused = get(&tier, &format!("/{n}.ts")).ask().await;
            assert!(
                matches!(refused, Err(Failure::Busy { retry_after, .. }) if !retry_after.is_zero()),
                "{mood:?}"
            );
        }
        let stale = get(&tier, "/stale.ts").later(Duration::from_secs(5)).whole().await;
        assert_eq!((stale.verdict, stale.body), (Verdict::StaleOnError, pattern(10, 3)), "{mood:?}");
        assert_eq!(origin.asked(), asked, "{mood:?}: it is left alone");
        origin.set(Mood::Good);
        origin.put("/new.ts", pattern(10, 4), "\"1\"", "max-age=60");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(get(&tier, "/new.ts").whole().await.body, pattern(10, 4), "{mood:?}: and asked again");
    }
}

#[tokio::test]
async fn one_refusal_is_tried_again_and_many_are_not() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(10, 8), "\"1\"", "max-age=60");
    origin.set(Mood::BusyOnce);
    let mut config = config();
    config.queue = span(Duration::from_millis(20));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    assert_eq!(get(&tier, "/a.ts").whole().await.body, pattern(10, 8));
    assert_eq!((origin.asked(), tier.stats().source_retries), (2, 1));
    origin.set(Mood::Busy);
    let asks = (0..60).map(|n| {
        let tier = tier.clone();
        tokio::spawn(async move { get(&tier, &format!("/{n}.ts")).ask().await.is_err() })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert!(ask.await.unwrap());
    }
    // The third refusal in a row begins the rest, in which nobody tries again.
    assert!(origin.asked() - 2 <= 62, "{} requests for 60 objects", origin.asked() - 2);
}

#[tokio::test]
async fn a_short_rest_is_waited_for() {
    let origin = Origin::new();
    origin.set(Mood::Busy);
    let tier = tier(&origin).await;
    for n in 0..3 {
        assert!(get(&tier, &format!("/{n}.ts")).ask().await.is_err());
    }
    origin.set(Mood::Good);
    origin.put("/a.ts", pattern(10, 5), "\"1\"", "max-age=60");
    assert_eq!(get(&tier, "/a.ts").whole().await.body, pattern(10, 5));
}

#[tokio::test]
async fn what_one_page_says_of_being_busy_is_its_own_affair() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 6), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    origin.set(Mood::Says(503));
    for n in 0..10 {
        assert_eq!(get(&tier, &format!("/{n}")).web().whole().await.status, 503);
    }
    origin.set(Mood::Good);
    assert_eq!(get(&tier, "/a").web().whole().await.body, pattern(10, 6));
}

#[tokio::test]
async fn one_hears_of_the_trouble_with_a_stored_page_for_all() {
    let origin = Origin::new();
    origin.put("/a", pattern(10, 6), "\"1\"", "max-age=1");
    let tier = tier(&origin).await;
    get(&tier, "/a").web().whole().await;
    origin.set(Mood::Says(500));
    let ask = || get(&tier, "/a").web().later(Duration::from_secs(5)).ask();
    let told = futures_util::future::join_all((0..20).map(|_| ask())).await;
    let first_hand = told.iter().flatten().filter(|answer| answer.response.status() == 500).count();
    let second_hand =
        told.iter().filter(|told| matches!(told, Err(Failure::Answered(status)) if *status == 500));
    assert_eq!((first_hand, second_hand.count()), (1, 19));
    assert!(matches!(ask().await, Err(Failure::Answered(_))), "and for who comes a moment later");
    assert_eq!(origin.asked(), 2);
    origin.set(Mood::Good);
    for _ in 0..500 {
        if ask().await.is_ok_and(|answer| answer.verdict == Verdict::Revalidated) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not asked again");
}

#[tokio::test]
async fn one_service_in_trouble_leaves_the_others_their_share() {
    let origin = Origin::new();
    for path in ["/a.ts", "/b.ts", "/c.ts"] {
        origin.put(path, pattern(100_000, 7), "\"1\"", "max-age=60");
    }
    let _gate = origin.hold();
    let mut config = config();
    (config.fills, config.service_fills) = (3, 2);
    config.queue = span(Duration::from_millis(30));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let _held = [get(&tier, "/a.ts").ask().await.unwrap(), get(&tier, "/b.ts").ask().await.unwrap()];
    assert!(matches!(get(&tier, "/c.ts").ask().await, Err(Failure::Busy { .. })));
    let headers = HeaderMap::new();
    let key = Key::new("other", "/c.ts", None);
    let now = tier.now();
    let ask = Ask { key, method: &Method::GET, headers: &headers, web: false, fence: 0, now };
    assert!(tier.get(ask).await.is_ok());
}
