//! What a hit costs in memory: how often it allocates, and that no byte of a body is copied.
//!
//! A binary of its own, because it counts every allocation of its process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use kromka_cache::{Ask, Fetched, Key, Source, SourceError, Tier, Verdict, Want};
use kromka_config::CacheConfig;

/// Largest number of allocations of a hit: the name, and the fields of the answer in two parts.
const ALLOCATIONS: u64 = 3;
/// What they may take together; a block takes a hundred times as much.
const ALLOCATED: u64 = 8 << 10;

struct Counting;

static ALLOCATIONS_SO_FAR: AtomicU64 = AtomicU64::new(0);
static BYTES_SO_FAR: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is the system's allocator's; counting changes nothing of it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS_SO_FAR.fetch_add(1, Ordering::Relaxed);
        BYTES_SO_FAR.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` came from `alloc`, and so from `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A source with one kind of object: a name that says its length.
struct Numbers;

impl Source for Numbers {
    async fn fetch(&self, want: Want) -> Result<Fetched, SourceError> {
        let length: usize = want.key.path()[1..].parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "video/mp2t"),
            ("etag", "\"1\""),
            ("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("cache-control", "public, max-age=31536000, immutable"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("content-length", length.into());
        let chunks = vec![Bytes::from(vec![7; length.min(10_000)]); length.div_ceil(10_000)];
        let mut left = length;
        let chunks = chunks.into_iter().map(move |mut chunk| {
            chunk.truncate(left);
            left -= chunk.len();
            Ok(chunk)
        });
        Ok(Fetched { status: StatusCode::OK, headers, body: Box::pin(futures_util::stream::iter(chunks)) })
    }
}

/// Where each piece of an answer's body lies.
async fn ask(
    tier: &Arc<Tier<Numbers>>,
    path: &str,
    fields: &HeaderMap,
    now: SystemTime,
    pieces: &mut Vec<Bytes>,
) -> Verdict {
    let key = Key::new("music", path, None);
    let answer = tier
        .get(Ask { key, method: &Method::GET, headers: fields, web: false, fence: 0, now })
        .await
        .unwrap();
    let mut body = answer.response.into_body();
    while let Some(frame) = body.frame().await {
        pieces.push(frame.unwrap().into_data().unwrap());
    }
    answer.verdict
}

#[tokio::test]
async fn a_hit_allocates_a_handful_of_times_and_copies_nothing() {
    let config = CacheConfig::default();
    let tier = Tier::open("edge", &config, Numbers).await.unwrap();
    let now = SystemTime::now();
    let mut part = HeaderMap::new();
    part.insert("range", "bytes=300000-365535".parse().unwrap());
    let whole = HeaderMap::new();
    for (path, fields, length, blocks, more) in [
        ("/2000", &whole, 2000, 1, 0),
        ("/400000", &whole, 400_000, 2, 0),
        ("/4000000", &whole, 4_000_000, 16, 0),
        // A range is parsed, selected, and told as `Content-Range`.
        ("/4000000", &part, 65_536, 1, 7),
    ] {
        let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::with_capacity(64));
        ask(&tier, path, fields, now, &mut first).await;
        let verdict = ask(&tier, path, fields, now, &mut second).await;
        assert_eq!((verdict, second.len()), (Verdict::Hit, blocks), "{path}");
        // The policy keeps its own books now and then, whatever is asked: the cheapest of some hits counts.
        let mut cost = (u64::MAX, u64::MAX);
        for _ in 0..20 {
            third.clear();
            let before = (ALLOCATIONS_SO_FAR.load(Ordering::Relaxed), BYTES_SO_FAR.load(Ordering::Relaxed));
            ask(&tier, path, fields, now, &mut third).await;
            let after = (ALLOCATIONS_SO_FAR.load(Ordering::Relaxed), BYTES_SO_FAR.load(Ordering::Relaxed));
            cost = cost.min((after.0 - before.0, after.1 - before.1));
        }
        assert!(cost.0 <= ALLOCATIONS + more, "{path}: {} allocations", cost.0);
        assert!(cost.1 <= ALLOCATED, "{path}: {} bytes allocated", cost.1);
        let places = |pieces: &[Bytes]| pieces.iter().map(|piece| piece.as_ptr().addr()).collect::<Vec<_>>();
        assert_eq!(places(&second), places(&third), "{path}: both hits got the same memory");
        assert_eq!(third.iter().map(Bytes::len).sum::<usize>(), length, "{path}");
    }
}
