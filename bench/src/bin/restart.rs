//! How long a cache takes to be warm again: opening a disk of a million objects, and the memory that its index
//! takes. The journal is written by the tier's own code for objects that have no files; beside them stand some
//! real ones, which must be hits at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use clap::Parser;
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use kromka_bench::facts::Facts;
use kromka_bench::frame::Evidence;
use kromka_bench::report::Report;
use kromka_bench::table::{Table, number};
use kromka_cache::{Ask, CacheError, Fetched, Key, Source, SourceError, Tier, Verdict, Want, seed_journal};
use kromka_config::{ByteSize, CacheConfig, DiskConfig};
use serde::Serialize;

const WHAT: &str = "A tier opened on a disk whose journal knows so many objects: time until it answers a hit from \
    disk, and memory by resident set, before and after.";

/// Objects that have files.
const REAL: u64 = 100;

/// Time and memory of a warm restart.
#[derive(Parser)]
struct Args {
    /// Objects in the journal.
    #[arg(long, default_value_t = 1_000_000)]
    objects: u64,
    /// How often it is opened.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    #[command(flatten)]
    evidence: Evidence,
}

#[derive(Serialize)]
struct Round {
    open_ms: f64,
    first_hit_ms: f64,
    bytes_per_object: f64,
}

/// A source that is asked once for each real object.
#[derive(Clone, Copy)]
struct Small<'a>(&'a AtomicU64);

impl Source for Small<'static> {
    async fn fetch(&self, _: Want) -> Result<Fetched, SourceError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", http::HeaderValue::from_static("max-age=86400"));
        headers.insert("content-length", 100_000.into());
        let body = futures_util::stream::iter([Ok(Bytes::from(vec![7; 100_000]))]).boxed();
        Ok(Fetched { status: StatusCode::OK, headers, body })
    }
}

static ASKED: AtomicU64 = AtomicU64::new(0);

async fn ask(tier: &std::sync::Arc<Tier<Small<'static>>>, n: u64) -> Result<Verdict> {
    let headers = HeaderMap::new();
    let key = Key::new("bench", &format!("/{n}.ts"), None);
    let ask = Ask {
        key,
        method: &Method::GET,
        headers: &headers,
        web: false,
        fence: 0,
        now: std::time::SystemTime::now(),
    };
    let answer = tier.get(ask).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let verdict = answer.verdict;
    let mut body = std::pin::pin!(answer.response.into_body());
    while let Some(frame) = std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await {
        frame.map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    Ok(verdict)
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let mut config = CacheConfig::default();
    let path = folder.path().join("disk");
    config.disk = vec![DiskConfig { path: path.clone(), size: ByteSize(1 << 45), weight: 100 }];
    let tier = Tier::open("bench", &config, Small(&ASKED)).await?;
    for n in 0..REAL {
        ask(&tier, n).await?;
    }
    tier.close().await;
    drop(tier);
    seed_journal(&path, args.objects - REAL)?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        let before = resident()?;
        let (tier, began) = loop {
            let began = Instant::now();
            match Tier::open("bench", &config, Small(&ASKED)).await {
                // The last one's threads let go of the folder a moment after it is dropped.
                Err(CacheError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                opened => break (opened?, began),
            }
        };
        let opened = began.elapsed();
        let verdict = ask(&tier, 7).await?;
        let first = began.elapsed();
        ensure!(verdict == Verdict::Hit, "a stored object was no hit: {verdict:?}");
        ensure!(tier.stats().disk_objects >= args.objects, "{} objects", tier.stats().disk_objects);
        let grown = resident()?.saturating_sub(before);
        rounds.push(Round {
            open_ms: opened.as_secs_f64() * 1000.0,
            first_hit_ms: first.as_secs_f64() * 1000.0,
            bytes_per_object: grown as f64 / args.objects as f64,
        });
        tier.close().await;
        drop(tier);
    }
    ensure!(ASKED.load(Ordering::Relaxed) == REAL, "the source was asked again");
    let mut table = Table::new(&["round", "open, ms", "first hit, ms", "resident, bytes an object"]);
    for (n, round) in rounds.iter().enumerate() {
        let cells = [
            (n + 1).to_string(),
            number(round.open_ms),
            number(round.first_hit_ms),
            number(round.bytes_per_object),
        ];
        table.line(cells);
    }
    let facts = Facts::of_itself();
    let report = Report {
        name: "restart",
        what: WHAT,
        facts: &facts,
        settings: &[("objects", args.objects.to_string())],
        tables: &table.markdown(),
        numbers: &rounds,
    };
    args.evidence.tell(&report)
}

/// Bytes of this process in memory. Later rounds reuse what earlier ones gave back to the allocator: the first
/// tells most.
fn resident() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    Ok(pages * rustix::param::page_size() as u64)
}
