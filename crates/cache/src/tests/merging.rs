//! What is missing of an object comes in few requests, whatever is here already.

use super::origin::pattern;
use super::*;
use crate::upstream::source::{Fetched, Source, SourceError, Want};
use futures_util::StreamExt;
use std::sync::atomic::{AtomicU64, Ordering};

async fn settled(tier: &Arc<Tier<Arc<Origin>>>) {
    until("the fills end", || tier.stats().fills_active == 0).await;
}

#[tokio::test]
async fn a_request_over_alternating_blocks_makes_one_fetch() {
    let origin = Origin::new();
    let body = pattern(40 * BLOCK as usize, 1);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    for block in (0..40).step_by(2) {
        let at = block * BLOCK;
        get(&tier, "/a.ts").with("range", &format!("bytes={at}-{at}")).whole().await;
        settled(&tier).await;
    }
    let before = origin.asked();
    assert_eq!(before, 20);
    assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
    assert_eq!(origin.asked() - before, 1, "the missing blocks with the small islands between them");
}

#[tokio::test]
async fn large_islands_are_not_fetched_again() {
    let origin = Origin::new();
    let blocks = 200;
    let body = pattern(blocks * BLOCK as usize, 2);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    // 100 blocks of 16 KiB in the middle: more than is worth fetching twice.
    let island = 50 * BLOCK..150 * BLOCK;
    get(&tier, "/a.ts").with("range", &format!("bytes={}-{}", island.start, island.end - 1)).whole().await;
    settled(&tier).await;
    assert_eq!(get(&tier, "/a.ts").whole().await.body, body);
    settled(&tier).await;
    assert_eq!(origin.asked(), 3);
    assert_eq!(origin.sent.load(Ordering::Relaxed), body.len(), "and no byte came twice");
}

#[tokio::test]
async fn ranges_that_lie_close_together_are_one_fetch() {
    let origin = Origin::new();
    let body = pattern(2_000_000, 3);
    origin.put("/a.ts", body.clone(), "\"1\"", "max-age=60");
    let tier = tier(&origin).await;
    get(&tier, "/a.ts").head().whole().await;
    let many: Vec<String> = (0..16).map(|n| format!("{}-{}", n * 20_000, n * 20_000 + 99)).collect();
    let got = get(&tier, "/a.ts").with("range", &format!("bytes={}", many.join(","))).whole().await;
    assert_eq!(got.status, StatusCode::PARTIAL_CONTENT);
    settled(&tier).await;
    assert_eq!(origin.asked(), 2, "a header and a run");
    get(&tier, "/a.ts").with("range", "bytes=400000-400009,1900000-1900009").whole().await;
    settled(&tier).await;
    assert_eq!(origin.asked(), 4, "far apart they are two");
}

/// Ten gigabytes that nobody has to hold, and a count of what of them was sent.
struct Vast {
    sent: Arc<AtomicU64>,
    asked: AtomicU64,
}

const VAST: u64 = 10_000_000_000;

impl Source for Vast {
    async fn fetch(&self, want: Want) -> Result<Fetched, SourceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        headers.insert("etag", "\"vast\"".parse().unwrap());
        headers.insert("cache-control", "max-age=60".parse().unwrap());
        let (status, range) = match want.range.filter(|range| range.start < VAST) {
            Some(range) => (StatusCode::PARTIAL_CONTENT, range.start..range.end.min(VAST)),
            None => (StatusCode::OK, 0..VAST),
        };
        if status == StatusCode::PARTIAL_CONTENT {
            let stated = format!("bytes {}-{}/{VAST}", range.start, range.end - 1);
            headers.insert("content-range", stated.parse().unwrap());
        }
        headers.insert("content-length", (range.end - range.start).into());
        let range = if want.head { 0..0 } else { range };
        let sent = self.sent.clone();
        let body = futures_util::stream::iter(range.step_by(4096)).map(move |at| {
            sent.fetch_add(4096, Ordering::Relaxed);
            Ok(Bytes::from(vec![(at >> 12) as u8; 4096]))
        });
        Ok(Fetched { status, headers, body: body.boxed() })
    }
}

#[tokio::test]
async fn one_byte_of_a_cold_object_of_ten_gigabytes_costs_two_blocks_at_most() {
    for range in ["bytes=-1", "bytes=9999999999-", "bytes=0-0", "bytes=5000000000-5000000000"] {
        let sent = Arc::new(AtomicU64::new(0));
        let tier = Tier::open("test", &config(), Vast { sent: sent.clone(), asked: AtomicU64::new(0) })
            .await
            .unwrap();
        let headers = HeaderMap::from_iter([(http::header::RANGE, range.parse().unwrap())]);
        let (key, now) = (key("/vast"), tier.now());
        let ask = Ask { key, method: &Method::GET, headers: &headers, web: false, fence: 0, now };
        let answer = tier.get(ask).await.unwrap();
        assert_eq!(answer.response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(drain(answer.response).await.unwrap().len(), 1, "{range}");
        until("the fill ends", || tier.stats().fills_active == 0).await;
        let sent = sent.load(Ordering::Relaxed);
        assert!((1..=2 * BLOCK).contains(&sent), "{range}: {sent} bytes");
        assert!(tier.source.asked.load(Ordering::Relaxed) <= 2);
    }
}
