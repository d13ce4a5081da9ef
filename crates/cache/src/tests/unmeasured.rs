//! Bodies whose length nobody knows before their end: ranges of them, HEAD, and what is made of them.

use super::origin::{Mood, pattern};
use super::*;

async fn unmeasured(length: usize, seed: u8) -> (Arc<Origin>, Bytes, Arc<Tier<Arc<Origin>>>) {
    let origin = Origin::new();
    let body = pattern(length, seed);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::Unmeasured);
    let tier = tier(&origin).await;
    (origin, body, tier)
}

#[tokio::test]
async fn a_range_is_answered_as_soon_as_it_has_come() {
    let (origin, body, tier) = unmeasured(100_000, 1).await;
    let gate = origin.hold();
    let whole = get(&tier, "/a.ts").ask().await.unwrap();
    gate.add_permits(9);
    let part = get(&tier, "/a.ts").with("range", "bytes=20000-29999").whole().await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(20_000..30_000)));
    assert_eq!(part.headers["content-range"], "bytes 20000-29999/*", "nobody knows of how much");
    gate.add_permits(1000);
    assert_eq!(drain(whole.response).await.unwrap(), body);
    let part = get(&tier, "/a.ts").with("range", "bytes=20000-29999").whole().await;
    assert_eq!(part.headers["content-range"], "bytes 20000-29999/100000");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn what_only_the_end_tells_waits_for_it() {
    for (range, from) in [("bytes=-10", 99_990), ("bytes=60000-", 60_000), ("bytes=90000-1000000", 90_000)] {
        let (origin, body, tier) = unmeasured(100_000, 2).await;
        let gate = origin.hold();
        let asking = {
            let tier = tier.clone();
            tokio::spawn(async move { get(&tier, "/a.ts").with("range", range).whole().await })
        };
        until("it is asked for", || origin.asked() > 0).await;
        gate.add_permits(1000);
        let part = asking.await.unwrap();
        assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, body.slice(from..)), "{range}");
        let gone = get(&tier, "/a.ts").with("range", "bytes=100000-").whole().await;
        assert_eq!(gone.status, StatusCode::RANGE_NOT_SATISFIABLE);
        let whole = origin.log.lock().iter().filter(|want| !want.head).count();
        assert_eq!(whole, 1, "{range}: the body came once");
    }
}

#[tokio::test]
async fn a_range_of_a_body_without_end_is_the_whole_after_a_while() {
    let origin = Origin::new();
    let body = pattern(100_000, 3);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::Unmeasured);
    let gate = origin.hold();
    let mut config = config();
    config.first_byte = span(Duration::from_millis(100));
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    gate.add_permits(2);
    for range in ["bytes=-5", "bytes=60000-60009"] {
        let answer = get(&tier, "/a.ts").with("range", range).ask().await.unwrap();
        assert_eq!(answer.response.status(), StatusCode::OK, "{range}");
        let mut answer = answer.response.into_body();
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, body.slice(..first.len()));
    }
    let answer = get(&tier, "/a.ts").with("range", "bytes=0-").ask().await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::OK, "all of it, at once");
}

#[tokio::test]
async fn head_is_answered_without_a_length_and_remembered_as_nothing() {
    let (origin, body, tier) = unmeasured(100_000, 4).await;
    for _ in 0..2 {
        let head = get(&tier, "/a.ts").head().whole().await;
        assert_eq!(
            (head.status, head.headers.get("content-length"), head.body.len()),
            (StatusCode::OK, None, 0)
        );
        assert_eq!(head.headers["etag"], "\"1\"");
    }
    assert_eq!(get(&tier, "/a.ts").whole().await.verdict, Verdict::Miss, "it is still worth storing");
    assert_eq!(get(&tier, "/a.ts").whole().await.verdict, Verdict::Hit);
    let head = get(&tier, "/a.ts").head().whole().await;
    assert_eq!((head.verdict, head.headers["content-length"].to_str().unwrap()), (Verdict::Hit, "100000"));
    assert_eq!(origin.sent.load(std::sync::atomic::Ordering::Relaxed), body.len());
}

#[tokio::test]
async fn who_waits_for_a_range_holds_nobody_up_without_a_disk() {
    let origin = Origin::new();
    let body = pattern(1_500_000, 5);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    origin.set(Mood::Unmeasured);
    let mut config = config();
    config.read_ahead = ByteSize(1 << 18);
    let tier = Tier::open("test", &config, origin.clone()).await.unwrap();
    let slow = get(&tier, "/a.ts").ask().await.unwrap();
    let end = get(&tier, "/a.ts").with("range", "bytes=-9").whole().await;
    assert_eq!((end.status, end.body), (StatusCode::PARTIAL_CONTENT, body.slice(1_499_991..)));
    assert_eq!(drain(slow.response).await.unwrap(), body);
    assert_eq!(origin.asked(), 1);
}
