//! The tier against a source that does as it is told: well, late, short, wrong, or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adopt;
mod disk;
mod disks;
mod faults;
mod fills;
mod freshness;
mod killed;
mod merging;
mod origin;
mod property;
mod purge;
mod ranges;
mod reading;
mod told;
mod trouble;
mod unmeasured;
mod web;
mod wishes;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use kromka_config::{ByteSize, CacheConfig, Span};

use super::{Ask, Tier};
use crate::{Answer, Body, Failure, Key, Verdict};
use origin::Origin;

/// Small blocks, so that small bodies have many.
const BLOCK: u64 = 16 << 10;

fn config() -> CacheConfig {
    CacheConfig { block: ByteSize(BLOCK), memory: ByteSize(8 << 20), ..CacheConfig::default() }
}

async fn tier(origin: &Arc<Origin>) -> Arc<Tier<Arc<Origin>>> {
    Tier::open("test", &config(), origin.clone()).await.unwrap()
}

fn key(path: &str) -> Key {
    Key::new("s", path, None)
}

/// A request in the making.
struct Get<'a> {
    tier: &'a Arc<Tier<Arc<Origin>>>,
    path: String,
    method: Method,
    headers: HeaderMap,
    web: bool,
    fence: u64,
    now: SystemTime,
}

fn get<'a>(tier: &'a Arc<Tier<Arc<Origin>>>, path: &str) -> Get<'a> {
    Get {
        tier,
        path: path.to_owned(),
        method: Method::GET,
        headers: HeaderMap::new(),
        web: false,
        fence: 0,
        now: SystemTime::now(),
    }
}

impl Get<'_> {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// Any HTTP content rather than media.
    fn web(mut self) -> Self {
        self.web = true;
        self
    }

    fn head(mut self) -> Self {
        self.method = Method::HEAD;
        self
    }

    fn fence(mut self, fence: u64) -> Self {
        self.fence = fence;
        self
    }

    /// As if so much time had passed.
    fn later(mut self, by: Duration) -> Self {
        self.now += by;
        self
    }

    async fn ask(self) -> Result<Answer, Failure> {
        let ask = Ask {
            key: key(&self.path),
            method: &self.method,
            headers: &self.headers,
            web: self.web,
            fence: self.fence,
            now: self.now,
        };
        self.tier.get(ask).await
    }

    /// The whole answer; panics if its body breaks off.
    async fn whole(self) -> Whole {
        let answer = self.ask().await.unwrap();
        let verdict = answer.verdict;
        let (parts, body) = answer.response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if let Some(length) = parts.headers.get("content-length").filter(|_| !body.is_empty()) {
            assert_eq!(length.to_str().unwrap(), body.len().to_string());
        }
        Whole { status: parts.status, headers: parts.headers, body, verdict }
    }
}

struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    verdict: Verdict,
}

async fn drain(response: Response<Body>) -> Result<Bytes, crate::BodyError> {
    Ok(response.into_body().collect().await?.to_bytes())
}

/// Waits until something is so; the bound only keeps a broken test from hanging.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

fn span(duration: Duration) -> Span {
    Span(duration)
}
