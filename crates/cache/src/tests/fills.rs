//! Many viewers, one fetch; and what happens when it goes wrong.

use super::origin::{Mood, pattern};
use super::*;

#[tokio::test]
async fn many_viewers_of_a_cold_object_make_one_request() {
    let origin = Origin::new();
    let body = pattern(100_000, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let viewers: Vec<_> = (0..2000)
        .map(|_| {
            let tier = tier.clone();
            tokio::spawn(async move { get(&tier, "/a.ts").whole().await })
        })
        .collect();
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap().body, body);
    }
    assert_eq!(origin.asked(), 1);
    let stats = tier.stats();
    assert_eq!(stats.hits + stats.collapsed + stats.miss_cold, 2000);
    assert_eq!(stats.miss_cold, 1);
}

#[tokio::test]
async fn followers_read_while_it_fills_and_a_leaver_harms_nobody() {
    let origin = Origin::new();
    let body = pattern(100_000, 2);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let gate = origin.hold();
    let tier = tier(&origin).await;
    let leader = get(&tier, "/a.ts").ask().await.unwrap();
    gate.add_permits(3);
    let follower = get(&tier, "/a.ts").ask().await.unwrap();
    assert_eq!(follower.verdict, Verdict::Collapsed);
    let mut follower = follower.response.into_body();
    let first = follower.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, body.slice(..first.len()), "the first bytes are there while the rest is not");
    drop(leader);
    gate.add_permits(1000);
    let rest = follower.collect().await.unwrap().to_bytes();
    assert_eq!([first, rest].concat(), body);
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn who_waited_together_gets_a_first_piece_before_anybody_gets_a_second() {
    let origin = Origin::new();
    let body = pattern(100_000, 15);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    let (first, second) = tokio::join!(get(&tier, "/a.ts").ask(), get(&tier, "/a.ts").ask());
    until("the fill ends", || tier.stats().fills_active == 0).await;
    let (mut first, second) = (first.unwrap().response.into_body(), second.unwrap().response.into_body());
    let piece = first.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece, body.slice(..16 << 10));
    let next = tokio::time::timeout(Duration::from_millis(50), first.frame()).await;
    assert!(next.is_err(), "the other has nothing yet");
    let (rest, whole) = tokio::join!(first.collect(), second.collect());
    assert_eq!([piece, rest.unwrap().to_bytes()].concat(), body);
    assert_eq!(whole.unwrap().to_bytes(), body);
    // One that has left is not waited for, and one that is stuck not for long.
    origin.put("/b.ts", body.clone(), "\"1\"", "max-age=60");
    let (first, second) = tokio::join!(get(&tier, "/b.ts").ask(), get(&tier, "/b.ts").ask());
    drop(second);
    assert_eq!(drain(first.unwrap().response).await.unwrap(), body);
    origin.put("/c.ts", body.clone(), "\"1\"", "max-age=60");
    let (first, _stuck) = tokio::join!(get(&tier, "/c.ts").ask(), get(&tier, "/c.ts").ask());
    assert_eq!(drain(first.unwrap().response).await.unwrap(), body);
}

#[tokio::test]
async fn a_fill_nobody_reads_is_finished_for_the_cache() {
    let origin = Origin::new();
    let body = pattern(100_000, 3);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    drop(get(&tier, "/a.ts").ask().await.unwrap());
    until("the fill ends", || tier.stats().fills_active == 0).await;
    let again = get(&tier, "/a.ts").whole().await;
    assert_eq!((again.verdict, again.body, origin.asked()), (Verdict::Hit, body, 1));
}

#[tokio::test]
async fn a_fill_nobody_reads_is_given_up_when_much_is_left() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(1_000_000, 3), "\"1\"", "max-age=60");
    let mut config = config();
    config.finish = ByteSize(100_000);
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    drop(get(&tier, "/a.ts").ask().await.unwrap());
    until("the fill ends", || tier.stats().fills_active == 0).await;
    assert!(origin.sent.load(std::sync::atomic::Ordering::Relaxed) < 500_000);
    assert_eq!(get(&tier, "/a.ts").whole().await.body.len(), 1_000_000, "and taken up again when wanted");
}

#[tokio::test]
async fn a_source_that_breaks_off_is_asked_for_the_rest() {
    let origin = Origin::new();
    let body = pattern(100_000, 4);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::Breaks(70_000));
    let tier = tier(&origin).await;
    assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
    let log = origin.log.lock();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].range, Some(65_536..100_000), "whole blocks that had come are kept");
    assert_eq!(log[1].pin.as_deref(), Some("\"1\""), "and the rest must be of the same version");
}

#[tokio::test]
async fn a_body_that_cannot_be_completed_breaks_off_for_the_viewer() {
    for mood in [Mood::Breaks(10_000), Mood::Short(10_000)] {
        let origin = Origin::new();
        origin.put("/a.ts", pattern(100_000, 5), "\"1\"", "max-age=60");
        origin.set(mood);
        let tier = tier(&origin).await;
        let answer = get(&tier, "/a.ts").ask().await.unwrap();
        assert!(drain(answer.response).await.is_err(), "{mood:?}");
        assert!(origin.asked() <= 8, "retries are bounded, not {}", origin.asked());
    }
}

#[tokio::test]
async fn without_a_validator_a_broken_body_is_not_continued() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(100_000, 6), "\"1\"", "max-age=60");
    origin.edit("/a.ts", |thing| thing.etag = None);
    origin.set(Mood::Breaks(70_000));
    let tier = tier(&origin).await;
    let answer = get(&tier, "/a.ts").ask().await.unwrap();
    assert!(drain(answer.response).await.is_err());
    origin.set(Mood::Good);
    assert_eq!(get(&tier, "/a.ts").whole().await.body.len(), 100_000, "the next request starts over");
}

#[tokio::test]
async fn an_object_that_changes_amid_reading_is_never_mixed() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(100_000, 7), "\"1\"", "max-age=60");
    origin.set(Mood::Breaks(70_000));
    let tier = tier(&origin).await;
    let answer = get(&tier, "/a.ts").ask().await.unwrap();
    let newer = pattern(100_000, 8);
    origin.put("/a.ts", newer.clone(), "\"2\"", "max-age=60");
    assert!(drain(answer.response).await.is_err());
    origin.set(Mood::Good);
    assert_eq!(get(&tier, "/a.ts").whole().await.body, newer);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_streamed_and_stored() {
    let origin = Origin::new();
    let body = pattern(100_000, 9);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::NoLength);
    let tier = tier(&origin).await;
    let first = get(&tier, "/a.ts").whole().await;
    assert_eq!((first.body, first.headers.get("content-length")), (body.clone(), None));
    let part = get(&tier, "/a.ts").with("range", "bytes=-10").whole().await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(99_990..)));
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn a_source_that_panics_breaks_the_body_and_leaves_nobody_waiting() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(100_000, 10), "\"1\"", "max-age=60");
    let gate = origin.hold();
    origin.set(Mood::NoLength);
    let tier = tier(&origin).await;
    let answer = get(&tier, "/a.ts").ask().await.unwrap();
    gate.close();
    // The closed gate panics the source's stream, as a bug in a source would: the viewer must not
    // take the body for whole.
    assert!(tokio::time::timeout(Duration::from_secs(30), drain(answer.response)).await.unwrap().is_err());
    *origin.gate.lock() = None;
    assert_eq!(get(&tier, "/a.ts").whole().await.body.len(), 100_000);
}

#[tokio::test]
async fn a_source_that_is_down_fails_all_who_wait_and_is_asked_twice() {
    let origin = Origin::new();
    origin.set(Mood::Down);
    let tier = tier(&origin).await;
    let (a, b) = tokio::join!(get(&tier, "/a.ts").ask(), get(&tier, "/a.ts").ask());
    assert!(matches!(a, Err(Failure::Unreachable(_))) && matches!(b, Err(Failure::Unreachable(_))));
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn a_stalled_source_is_given_up() {
    let origin = Origin::new();
    origin.put("/a.ts", pattern(100_000, 11), "\"1\"", "max-age=60");
    let _gate = origin.hold();
    let mut config = config();
    config.stall = span(Duration::from_millis(50));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let answer = get(&tier, "/a.ts").ask().await.unwrap();
    assert!(matches!(drain(answer.response).await, Err(error) if matches!(error.0, Failure::TimedOut(_))));
}

#[tokio::test]
async fn too_many_fills_are_turned_away_with_a_time_to_come_back() {
    let origin = Origin::new();
    for path in ["/a.ts", "/b.ts"] {
        origin.put(path, pattern(100_000, 12), "\"1\"", "max-age=60");
    }
    let _gate = origin.hold();
    let mut config = config();
    config.fills = 1;
    config.queue = span(Duration::from_millis(30));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let _first = get(&tier, "/a.ts").ask().await.unwrap();
    assert!(matches!(get(&tier, "/b.ts").ask().await, Err(Failure::Busy { .. })));
}

#[tokio::test]
async fn without_a_disk_a_fill_does_not_run_away_from_a_slow_reader() {
    let origin = Origin::new();
    let body = pattern(4_000_000, 13);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let mut config = config();
    config.memory = ByteSize(1 << 20);
    config.read_ahead = ByteSize(1 << 18);
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let answer = get(&tier, "/a.ts").ask().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sent = origin.sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 600_000, "{sent} bytes came though nobody read");
    assert_eq!(drain(answer.response).await.unwrap(), body);
    assert_eq!(origin.asked(), 1, "and nothing had to be fetched twice");
}

#[tokio::test]
async fn a_body_of_unknown_length_that_breaks_off_breaks_off_for_the_viewer_and_is_not_kept() {
    for with_disk in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new();
        origin.put("/a.ts", pattern(100_000, 14), "\"1\"", "max-age=60");
        origin.set(Mood::NoLengthBreaks(70_000));
        let mut config = config();
        if with_disk {
            config.disk = vec![kromka_config::DiskConfig {
                path: folder.path().into(),
                size: ByteSize(1 << 20),
                weight: 100,
            }];
        }
        let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
        let answer = get(&tier, "/a.ts").ask().await.unwrap();
        let body = tokio::time::timeout(Duration::from_secs(30), drain(answer.response)).await;
        assert!(body.expect("it hangs").is_err());
        origin.set(Mood::Good);
        assert_eq!(get(&tier, "/a.ts").whole().await.body.len(), 100_000);
        tier.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_just_as_the_fetch_ends_does_not_fetch_again() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new();
    let mut config = config();
    // Too little memory to rely on.
    config.memory = ByteSize(64 << 10);
    config.disk = vec![kromka_config::DiskConfig {
        path: folder.path().into(),
        size: ByteSize(100 << 20),
        weight: 100,
    }];
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    for n in 0..100u8 {
        let path = format!("/{n}.ts");
        origin.put(&path, pattern(60_000, n), "\"1\"", "max-age=60");
        let viewers: Vec<_> = (0..6)
            .map(|after| {
                let (tier, path) = (tier.clone(), path.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_micros(after * 150)).await;
                    get(&tier, &path).whole().await.body
                })
            })
            .collect();
        for viewer in viewers {
            assert_eq!(viewer.await.unwrap(), pattern(60_000, n));
        }
    }
    // A block that the disk was too slow for is the only one that may have to come again.
    let skipped = tier.stats().disk_skipped as usize;
    let stats = tier.stats();
    assert!(origin.asked() <= 100 + skipped, "{} fetches, {stats:?}", origin.asked());
    tier.close().await;
}

#[tokio::test]
async fn who_falls_behind_gets_all_of_what_cannot_be_asked_for_again() {
    let origin = Origin::new();
    let body = pattern(1_000_000, 15);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    // Nothing proves that another answer would be of this version.
    origin.edit("/a.ts", |thing| thing.etag = None);
    let mut config = config();
    config.memory = ByteSize(200_000);
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let slow = get(&tier, "/a.ts").ask().await.unwrap();
    assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
    assert_eq!(drain(slow.response).await.unwrap(), body);
    assert_eq!(origin.asked(), 1);
}
