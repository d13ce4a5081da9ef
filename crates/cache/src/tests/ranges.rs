//! Ranges and conditions, cold and hot; `property` is about all of them at once.

use super::origin::{Mood, pattern};
use super::*;
use crate::held::generation::MOST_FILLS;
use crate::held::records::Record;

/// A tier in which nobody waits for a fill that is more than two blocks behind.
async fn impatient(origin: &Arc<Origin>) -> Arc<Tier<Arc<Origin>>> {
    let mut config = config();
    config.read_ahead = ByteSize(2 * BLOCK);
    Tier::open("test", &config, origin.clone()).await.unwrap()
}

#[tokio::test]
async fn a_range_of_a_cold_object_fetches_its_blocks_only() {
    let origin = Origin::new();
    let body = pattern(1_000_000, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let part = get(&tier, "/a.ts").with("range", "bytes=500000-500009").whole().await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(500_000..500_010)));
    assert_eq!(part.headers["content-range"], "bytes 500000-500009/1000000");
    until("the fill ends", || tier.stats().fills_active == 0).await;
    assert_eq!(origin.sent.load(std::sync::atomic::Ordering::Relaxed) as u64, BLOCK);
}

#[tokio::test]
async fn the_last_byte_of_a_cold_object_costs_two_blocks_at_most() {
    let origin = Origin::new();
    let body = pattern(1_000_000, 2);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let part = get(&tier, "/a.ts").with("range", "bytes=-1").whole().await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(999_999..)));
    until("the fill ends", || tier.stats().fills_active == 0).await;
    assert!(origin.sent.load(std::sync::atomic::Ordering::Relaxed) as u64 <= 2 * BLOCK);
}

#[tokio::test]
async fn what_has_no_validator_is_whole_or_comes_anew() {
    let origin = Origin::new();
    let body = pattern(1_000_000, 2);
    let tier = tier(&origin).await;
    for (n, first) in ["", "bytes=-1", "bytes=500000-500009", "bytes=0-9, 700000-700009"].iter().enumerate() {
        let path = format!("/{n}");
        origin.put(&path, body.clone(), "", "max-age=60");
        origin.edit(&path, |thing| thing.etag = None);
        let begun = match first.is_empty() {
            true => get(&tier, &path).head().whole().await,
            false => get(&tier, &path).with("range", first).whole().await,
        };
        assert!(begun.status.is_success(), "{first}");
        let part = get(&tier, &path).with("range", "bytes=900000-900009").whole().await;
        assert_eq!((part.status.as_u16(), part.body), (206, body.slice(900_000..900_010)), "{first}");
        assert_eq!(get(&tier, &path).whole().await.body, body, "{first}");
        let asked = origin.asked();
        assert_eq!(get(&tier, &path).whole().await.verdict, Verdict::Hit, "{first}");
        // One block is lost, and no part may take its place.
        let Some(Record::Current(version)) = tier.store.records.get(&key(&path)) else { panic!() };
        tier.store.memory.forget(version.id, 7);
        assert_eq!(get(&tier, &path).whole().await.body, body, "{first}");
        assert_eq!(origin.asked(), asked + 1, "{first}");
    }
}

#[tokio::test]
async fn a_range_that_no_longer_holds_gets_the_whole_even_of_what_has_no_validator_or_is_not_kept() {
    let origin = Origin::new();
    let body = pattern(100, 2);
    let tier = tier(&origin).await;
    for (path, cache_control) in [("/a.ts", "max-age=60"), ("/b.ts", "no-store")] {
        origin.put(path, body.clone(), "", cache_control);
        origin.edit(path, |thing| thing.etag = None);
        for _ in 0..2 {
            for range in ["bytes=16384-16390", "bytes=5-9"] {
                let asked = get(&tier, path).with("range", range).with("if-range", "\"0\"");
                let got = asked.whole().await;
                assert_eq!((got.status, got.body), (StatusCode::OK, body.clone()), "{path} {range}");
            }
        }
    }
}

#[tokio::test]
async fn who_seeks_does_not_wait_for_what_another_has_before_him() {
    let origin = Origin::new();
    let body = pattern(2_000_000, 9);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = impatient(&origin).await;
    let gate = origin.hold();
    let first = get(&tier, "/a.ts").ask().await.unwrap();
    let seek = get(&tier, "/a.ts").with("range", "bytes=1500000-1500009").ask().await.unwrap();
    gate.add_permits(60);
    // The fill before it has come to a fraction of that.
    assert_eq!(drain(seek.response).await.unwrap(), body.slice(1_500_000..1_500_010));
    gate.add_permits(10_000);
    assert_eq!(drain(first.response).await.unwrap(), body);
    let sent = origin.sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 2_000_000 + 10 * BLOCK as usize, "{sent}");
}

#[tokio::test]
async fn a_fill_comes_to_who_waits_far_ahead_of_those_who_read_and_ends_where_all_is_here() {
    let origin = Origin::new();
    let body = pattern(2_000_000, 9);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::IgnoresRanges);
    let tier = impatient(&origin).await;
    // No disk: the fill keeps pace with its readers, and the only one waits near the end.
    let part = get(&tier, "/a.ts").with("range", "bytes=1900000-1900009").whole();
    let part = tokio::time::timeout(Duration::from_secs(60), part).await.expect("it hangs");
    assert_eq!(part.body, body.slice(1_900_000..1_900_010));
    // A viewer who reads nothing more holds nobody up either.
    origin.put("/b.ts", body.clone(), "\"2\"", "max-age=60");
    let _still = get(&tier, "/b.ts").ask().await.unwrap();
    let part = get(&tier, "/b.ts").with("range", "bytes=1900000-1900009").whole();
    let part = tokio::time::timeout(Duration::from_secs(60), part).await.expect("it hangs");
    assert_eq!(part.body, body.slice(1_900_000..1_900_010));
}

#[tokio::test]
async fn a_fill_ends_where_all_that_follows_is_here() {
    let origin = Origin::new();
    let body = pattern(4_000_000, 9);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = impatient(&origin).await;
    let gate = origin.hold();
    let first = get(&tier, "/a.ts").ask().await.unwrap();
    *origin.gate.lock() = None;
    // Far ahead, to the end.
    let rest = get(&tier, "/a.ts").with("range", "bytes=2000000-").whole().await;
    assert_eq!(rest.body, body.slice(2_000_000..));
    gate.add_permits(10_000);
    assert_eq!(drain(first.response).await.unwrap(), body);
    let sent = origin.sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 5_000_000, "{sent}");
}

#[tokio::test]
async fn a_fill_goes_on_over_small_islands_and_ends_at_large_ones() {
    // The blocks that are here, and how often the source is asked for the rest.
    for (block, held, asks) in
        [(BLOCK, 100..132, 1), (BLOCK, 100..133, 2), (1 << 20, 1..2, 1), (1 << 20, 1..3, 2)]
    {
        let origin = Origin::new();
        let body = pattern(4_500_000, 9);
        origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
        let mut config = config();
        (config.block, config.memory) = (ByteSize(block), ByteSize(64 << 20));
        let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
        let island = format!("bytes={}-{}", held.start * block, held.end * block - 1);
        get(&tier, "/a.ts").with("range", &island).whole().await;
        until("the fill ends", || tier.stats().fills_active == 0).await;
        assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
        assert_eq!(origin.asked(), 1 + asks, "{held:?} of {block} bytes");
    }
}

#[tokio::test]
async fn who_seeks_where_the_source_sends_the_whole_waits_for_what_is_on_its_way() {
    let origin = Origin::new();
    let body = pattern(2_000_000, 9);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = impatient(&origin).await;
    let gate = origin.hold();
    let first = get(&tier, "/a.ts").ask().await.unwrap();
    *origin.gate.lock() = None;
    origin.set(Mood::IgnoresRanges);
    let seek = |from: usize| {
        let (tier, range) = (tier.clone(), format!("bytes={from}-{}", from + 9));
        tokio::spawn(async move { get(&tier, "/a.ts").with("range", &range).whole().await.body })
    };
    let mut seekers = vec![seek(1_500_000)];
    until("one has found out", || origin.asked() == 2 && tier.stats().fills_active == 1).await;
    seekers.extend([500_000, 1_000_000, 1_800_000].map(seek));
    gate.add_permits(10_000);
    assert_eq!(drain(first.response).await.unwrap(), body);
    for (seeker, from) in seekers.into_iter().zip([1_500_000, 500_000, 1_000_000, 1_800_000]) {
        assert_eq!(seeker.await.unwrap(), body.slice(from..from + 10));
    }
    assert_eq!(origin.asked(), 2);
    let sent = origin.sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 2_100_000, "{sent}");
}

#[tokio::test]
async fn a_crowd_that_seeks_in_one_film_leaves_the_others_their_share() {
    let origin = Origin::new();
    let body = pattern(4_000_000, 9);
    origin.put("/film.ts", body.clone(), "\"1\"", "max-age=60");
    origin.put("/other.ts", body.clone(), "\"1\"", "max-age=60");
    let mut config = config();
    (config.read_ahead, config.memory) = (ByteSize(2 * BLOCK), ByteSize(64 << 20));
    config.service_fills = MOST_FILLS as u32 + 1;
    config.queue = span(Duration::from_millis(50));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let gate = origin.hold();
    let first = get(&tier, "/film.ts").ask().await.unwrap();
    let seekers: Vec<_> = (1..60)
        .map(|n| {
            let (tier, from) = (tier.clone(), n * 65_000);
            let range = format!("bytes={from}-{}", from + 9);
            tokio::spawn(
                async move { (from, get(&tier, "/film.ts").with("range", &range).whole().await.body) },
            )
        })
        .collect();
    until("as many as may have asked", || origin.asked() == MOST_FILLS).await;
    let other = get(&tier, "/other.ts").ask().await.unwrap();
    gate.add_permits(100_000);
    assert_eq!(drain(first.response).await.unwrap(), body);
    assert_eq!(drain(other.response).await.unwrap(), body);
    for seeker in seekers {
        let (from, got) = seeker.await.unwrap();
        assert_eq!(got, body.slice(from..from + 10), "{from}");
    }
}

#[tokio::test]
async fn who_skips_much_of_what_comes_only_once_cuts_nobody_off() {
    let origin = Origin::new();
    let body = pattern(6_000_000, 9);
    origin.put("/a.ts", body.clone(), "", "max-age=60");
    origin.edit("/a.ts", |thing| thing.etag = None);
    let mut config = config();
    (config.read_ahead, config.memory) = (ByteSize(2 * BLOCK), ByteSize(4 << 20));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let mut front = get(&tier, "/a.ts").ask().await.unwrap().response.into_body();
    let first = front.frame().await.unwrap().unwrap().into_data().unwrap();
    for from in [900_000, 5_900_000, 2_000_000] {
        let range = format!("bytes={from}-{}", from + 9);
        let part = get(&tier, "/a.ts").with("range", &range).whole().await;
        assert_eq!((part.status.as_u16(), part.body), (206, body.slice(from..from + 10)));
    }
    let rest = front.collect().await.unwrap().to_bytes();
    assert_eq!([first, rest].concat(), body);
}

#[tokio::test]
async fn a_range_beyond_the_end_is_416_cold_and_hot() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(1000, 3), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    for _ in 0..2 {
        let none = get(&tier, "/a.ts").with("range", "bytes=500000-500009").whole().await;
        assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(none.headers["content-range"], "bytes */1000");
    }
}

#[tokio::test]
async fn several_ranges_come_as_multipart() {
    let origin = Origin::new();
    let body = pattern(100_000, 4);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    for _ in 0..2 {
        let parts = get(&tier, "/a.ts").with("range", "bytes=0-9, 50000-50009").whole().await;
        assert_eq!(parts.status, StatusCode::PARTIAL_CONTENT);
        let boundary =
            parts.headers["content-type"].to_str().unwrap().split("boundary=").nth(1).unwrap().to_owned();
        let mut want =
            format!("--{boundary}\r\nContent-Type: video/mp2t\r\nContent-Range: bytes 0-9/100000\r\n\r\n")
                .into_bytes();
        want.extend_from_slice(&body[..10]);
        want.extend_from_slice(format!("\r\n--{boundary}\r\nContent-Type: video/mp2t\r\nContent-Range: bytes 50000-50009/100000\r\n\r\n").as_bytes());
        want.extend_from_slice(&body[50_000..50_010]);
        want.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert_eq!(parts.body, want);
    }
}

#[tokio::test]
async fn if_range_and_conditions() {
    let origin = Origin::new();
    let body = pattern(50_000, 5);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let of = |tag: &str| get(&tier, "/a.ts").with("range", "bytes=0-9").with("if-range", tag);
    assert_eq!(of("\"1\"").whole().await.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(of("\"0\"").whole().await.status, StatusCode::OK);
    let same = get(&tier, "/a.ts").with("if-none-match", "\"1\"").whole().await;
    assert_eq!((same.status, same.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(same.headers["etag"], "\"1\"");
}

#[tokio::test]
async fn head_tells_the_length_and_fetches_no_body() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(50_000, 6), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let head = get(&tier, "/a.ts").head().whole().await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers["content-length"], "50000");
    assert_eq!(origin.sent.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(get(&tier, "/a.ts").whole().await.body.len(), 50_000);
}

#[tokio::test]
async fn a_source_that_ignores_ranges_is_understood() {
    let origin = Origin::new();
    let body = pattern(100_000, 7);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::IgnoresRanges);
    let tier = tier(&origin).await;
    let part = get(&tier, "/a.ts").with("range", "bytes=40000-40009").whole().await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(40_000..40_010)));
    let head_first = get(&tier, "/a.ts").with("range", "bytes=-7").whole().await;
    assert_eq!(head_first.body, body.slice(99_993..));
}

#[tokio::test]
async fn a_source_that_lies_about_its_range_is_not_believed() {
    let origin = Origin::new();
    let body = pattern(100_000, 8);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").head().whole().await;
    origin.set(Mood::Lies);
    let answer = get(&tier, "/a.ts").with("range", "bytes=40000-40009").ask().await.unwrap();
    assert!(drain(answer.response).await.is_err());
    origin.set(Mood::Good);
    assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
}

#[tokio::test]
async fn a_cold_range_whose_answer_cannot_be_placed_is_asked_for_whole() {
    for mood in [Mood::Lies, Mood::Star] {
        let origin = Origin::new();
        let body = pattern(100_000, 9);
        origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
        origin.set(mood);
        let tier = tier(&origin).await;
        for _ in 0..2 {
            let part = get(&tier, "/a.ts").with("range", "bytes=40000-40009").whole().await;
            assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(40_000..40_010)));
            assert_eq!(part.headers["content-range"], "bytes 40000-40009/100000");
        }
        assert_eq!(origin.asked(), 2, "{mood:?}");
    }
}

#[tokio::test]
async fn a_range_of_what_must_not_be_stored_is_the_range_that_was_asked_for() {
    let origin = Origin::new();
    let body = pattern(100_000, 10);
    origin.put("/a.ts", body.clone(), "\"1\"", "private");
    let tier = tier(&origin).await;
    for _ in 0..2 {
        let part = get(&tier, "/a.ts").with("range", "bytes=40000-40009").whole().await;
        assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(40_000..40_010)));
    }
}

#[tokio::test]
async fn a_source_without_head_is_asked_with_get() {
    let origin = Origin::new();
    let body = pattern(100_000, 11);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::NoHead);
    let tier = tier(&origin).await;
    let part = get(&tier, "/a.ts").with("range", "bytes=-7").whole().await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(99_993..)));
}
