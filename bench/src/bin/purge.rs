//! What it costs to make a tag over a million objects invisible: the call that purges it, durable when it
//! returns, and the first look-up behind it. The objects are real: they came through the tier, and lie on disk
//! with their headers.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use kromka_bench::facts::Facts;
use kromka_bench::frame::Evidence;
use kromka_bench::report::Report;
use kromka_bench::table::{Table, number};
use kromka_bench::tier::{SERVICE, Same, ask, on_one_disk, open};
use kromka_cache::{Purge, PurgeMode, Verdict};
use serde::Serialize;

const WHAT: &str = "Objects of 64 bytes that all have one tag, on disk, none in memory. A hard purge of the tag: how \
    long the call takes (it is in the disk's ledger when it returns), how long the first look-up behind it, and \
    how many of those looked at behind the purge were still answered from what was stored (must be 0).";

/// Objects that are looked at behind a purge.
const LOOKED_AT: u64 = 1000;

/// Cost of a purge by tag.
#[derive(Parser)]
struct Args {
    /// Objects with the tag; a second tier has a thousandth of them.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=16_000_000))]
    objects: u64,
    /// How often the tag is purged.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    #[command(flatten)]
    evidence: Evidence,
}

#[derive(Serialize)]
struct Cost {
    /// On disk, with the tag.
    objects: u64,
    fill_s: f64,
    purge_ms: f64,
    slowest_purge_ms: f64,
    first_look_ms: f64,
    looked_at: u64,
    still_visible: u64,
}

async fn measure(objects: u64, rounds: u64) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let config = on_one_disk(folder.path());
    let source = Same::of(64, Some("film"));
    let (tier, _) = open(&config, &source).await?;
    let began = Instant::now();
    for n in 0..objects {
        ask(&tier, n).await?;
    }
    tier.close().await;
    let fill_s = began.elapsed().as_secs_f64();
    drop(tier);

    let (tier, _) = open(&config, &source).await?;
    // A disk that cannot follow goes without an object now and then, which is a miss below.
    let stored = tier.stats().disk_objects;
    ensure!(stored >= objects - objects / 100, "the disk kept {stored} of {objects}");
    let (mut purges, mut firsts, mut taken_back, mut still_visible, mut looked_at) =
        (Vec::new(), Vec::new(), 0, 0, 0);
    for round in 1..=rounds {
        let purge = Purge {
            fence: round,
            service: SERVICE.into(),
            mode: PurgeMode::Hard,
            urls: Vec::new(),
            prefixes: Vec::new(),
            tags: vec!["film".into()],
        };
        let began = Instant::now();
        tier.purge(&purge)?;
        purges.push(began.elapsed().as_secs_f64() * 1000.0);
        // Others in each round, that no look-up has touched since the start.
        let step = (objects / LOOKED_AT / rounds).max(1) * rounds;
        for (n, object) in (round - 1..objects).step_by(usize::try_from(step)?).enumerate() {
            let began = Instant::now();
            let verdict = ask(&tier, object).await?;
            if n == 0 {
                firsts.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            looked_at += 1;
            taken_back += u64::from(verdict == Verdict::Purged);
            still_visible += u64::from(!matches!(verdict, Verdict::Purged | Verdict::Miss));
        }
    }
    ensure!(still_visible == 0, "{still_visible} of {looked_at} were still answered");
    // What was never there cannot be seen either.
    ensure!(
        looked_at > 0 && taken_back >= looked_at - looked_at / 100,
        "{taken_back} of {looked_at} were there"
    );
    tier.close().await;
    purges.sort_by(f64::total_cmp);
    firsts.sort_by(f64::total_cmp);
    let middle = |all: &[f64]| all.get(all.len() / 2).copied().unwrap_or(0.0);
    Ok(Cost {
        objects: stored,
        fill_s,
        purge_ms: middle(&purges),
        slowest_purge_ms: purges.last().copied().unwrap_or(0.0),
        first_look_ms: middle(&firsts),
        looked_at,
        still_visible,
    })
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let costs = [measure(args.objects / 1000, args.rounds).await?, measure(args.objects, args.rounds).await?];
    let mut table = Table::new(&[
        "objects on disk",
        "filled in, s",
        "purge, ms",
        "slowest, ms",
        "first look-up, ms",
        "looked at",
        "still visible",
    ]);
    for cost in &costs {
        table.line([
            cost.objects.to_string(),
            number(cost.fill_s),
            number(cost.purge_ms),
            number(cost.slowest_purge_ms),
            number(cost.first_look_ms),
            cost.looked_at.to_string(),
            cost.still_visible.to_string(),
        ]);
    }
    let facts = Facts::of_itself();
    let report = Report {
        name: "purge",
        what: WHAT,
        facts: &facts,
        settings: &[("rounds", args.rounds.to_string())],
        tables: &table.markdown(),
        numbers: &costs,
    };
    args.evidence.tell(&report)
}
