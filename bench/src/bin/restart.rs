//! How long a cache takes to be warm again: opening a disk of a million objects, and the memory that its index
//! takes. The journal is written by the tier's own code for objects that have no files; beside them stand some
//! real ones, which must be hits at once.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use kromka_bench::facts::Facts;
use kromka_bench::frame::Evidence;
use kromka_bench::report::Report;
use kromka_bench::table::{Table, number};
use kromka_bench::tier::{Same, ask, on_one_disk, open};
use kromka_cache::{Verdict, seed_journal};
use serde::Serialize;

const WHAT: &str = "A tier opened on a disk whose journal knows so many objects: time until it answers a hit from \
    disk, and memory by resident set, before and after.";

/// Objects that have files.
const REAL: u64 = 100;

/// Time and memory of a warm restart.
#[derive(Parser)]
struct Args {
    /// Objects in the journal.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(REAL..=1 << 32))]
    objects: u64,
    /// How often it is opened.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
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

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let config = on_one_disk(folder.path());
    let source = Same::of(100_000, None);
    let (tier, _) = open(&config, &source).await?;
    for n in 0..REAL {
        ask(&tier, n).await?;
    }
    tier.close().await;
    drop(tier);
    seed_journal(&config.disk[0].path, args.objects - REAL)?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        let before = resident()?;
        let (tier, opened) = open(&config, &source).await?;
        let began = Instant::now();
        let verdict = ask(&tier, 7).await?;
        let first = opened + began.elapsed();
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
    ensure!(source.asked() == REAL, "the source was asked again");
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
