//! A cache tier by itself, without sockets: on one disk, before a source that gives the same bytes for every name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kromka_cache::{Ask, CacheError, Fetched, Key, Source, SourceError, Tier, Verdict, Want};
use kromka_config::{ByteSize, CacheConfig, DiskConfig};

/// The service whose objects they are.
pub const SERVICE: &str = "bench";

/// Answers everything with the same bytes, and counts how often it was asked.
#[derive(Clone, Debug)]
pub struct Same {
    body: Bytes,
    tag: Option<&'static str>,
    asked: Arc<AtomicU64>,
}

impl Same {
    /// So many bytes, with a `Cache-Tag` if there is one.
    #[must_use]
    pub fn of(bytes: usize, tag: Option<&'static str>) -> Self {
        Self { body: vec![7; bytes].into(), tag, asked: Arc::default() }
    }

    /// Requests so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Source for Same {
    async fn fetch(&self, _: Want) -> Result<Fetched, SourceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("max-age=86400"));
        if let Some(tag) = self.tag {
            headers.insert("cache-tag", HeaderValue::from_static(tag));
        }
        headers.insert("content-length", self.body.len().into());
        let body = futures_util::stream::iter([Ok(self.body.clone())]).boxed();
        Ok(Fetched { status: StatusCode::OK, headers, body })
    }
}

/// One disk below `folder` that nothing here fills up.
#[must_use]
pub fn on_one_disk(folder: &std::path::Path) -> CacheConfig {
    let disk = DiskConfig { path: folder.join("disk"), size: ByteSize(1 << 45), weight: 100 };
    CacheConfig { disk: vec![disk], ..CacheConfig::default() }
}

/// Opens a tier, as soon as the one before has let go of its folder, which its threads do a moment after it is
/// dropped; and how long opening took.
///
/// # Errors
/// When it cannot be opened.
pub async fn open(config: &CacheConfig, source: &Same) -> Result<(Arc<Tier<Same>>, Duration)> {
    loop {
        let began = Instant::now();
        match Tier::open(SERVICE, config, source.clone()).await {
            Err(CacheError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return Ok((opened?, began.elapsed())),
        }
    }
}

/// Asks for an object by its number, reads it whole, and tells how it was come by.
///
/// # Errors
/// When there is no answer, or it breaks off.
pub async fn ask(tier: &Arc<Tier<Same>>, n: u64) -> Result<Verdict> {
    let headers = HeaderMap::new();
    let key = Key::new(SERVICE, &format!("/{n}.ts"), None);
    let ask = Ask { key, method: &Method::GET, headers: &headers, web: false, fence: 0, now: tier.now() };
    let answer = tier.get(ask).await.map_err(|failure| anyhow!("{failure}"))?;
    let verdict = answer.verdict;
    let mut body = std::pin::pin!(answer.response.into_body());
    while let Some(frame) = std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await {
        frame.map_err(|error| anyhow!("{error}"))?;
    }
    Ok(verdict)
}
