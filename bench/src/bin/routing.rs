//! Routing policies in a simulated world: ours, which is the production decision, beside models of others.
//!
//! Everything is decided by seeds: two runs print the same numbers. The data of a real world (`cities.csv`,
//! `rtt_ms.csv`) is given by its folder and is not part of this repository.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Parser;
use kromka_bench::facts::Facts;
use kromka_bench::frame::Evidence;
use kromka_bench::report::Report;
use kromka_bench::sim::goals::{goal_table, goals, gray_table, policy_table, trial_table};
use kromka_bench::sim::gray::Watch;
use kromka_bench::sim::policies::Kind;
use kromka_bench::sim::run::Length;
use kromka_bench::sim::scenario::{Scenario, contests, further_trials, trials};
use kromka_bench::sim::suite::{Entry, Row, Suite};
use kromka_bench::sim::world::Globe;
use serde::Serialize;

const WHAT: &str = "Regret: what viewers pay (round trip and waiting, over session time) beyond an oracle that knows \
    the true demand and may move everybody each minute; mean (least..greatest) over the seeds. kromka is the \
    production decision; all others are models of ours, not the code of the systems they are named after.";

/// Routing policies in a simulated world.
#[derive(Parser)]
struct Args {
    /// Folder with cities.csv (city, lat, lon, population) and rtt_ms.csv (a square of milliseconds); without it
    /// the world is synthetic.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Seeds: 1 to this.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Trials that no goal speaks of go through seeds 1 to this only; without it, through all.
    #[arg(long)]
    trial_seeds: Option<u64>,
    /// Policies that are far from the best go through seeds 1 to this only; without it, through all.
    #[arg(long)]
    few_seeds: Option<u64>,
    /// Viewers at the busiest hour.
    #[arg(long, default_value_t = 5_000.0)]
    viewers: f64,
    /// Seconds of a run that count.
    #[arg(long, default_value_t = 2_400)]
    seconds: usize,
    /// Seeds whose fleet is watched for gray failures; 0 = none.
    #[arg(long, default_value_t = 10)]
    watched_seeds: u64,
    /// Of those the first, each of which is watched through a whole day besides, in which nothing but life happens.
    #[arg(long, default_value_t = 5)]
    days: u64,
    /// Only scenarios whose name has this in it, and the watching if `gray failures` has.
    #[arg(long)]
    only: Option<String>,
    /// Only ours.
    #[arg(long)]
    ours: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print the numbers as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    evidence: Evidence,
}

#[derive(Serialize)]
struct Numbers<'a> {
    goals: &'a [kromka_bench::sim::goals::Goal],
    rows: &'a [Row],
    watches: &'a [Watch],
}

fn main() -> Result<()> {
    let args = Args::parse();
    let began = Instant::now();
    let globe = args.data.as_deref().map(Globe::read).transpose()?;
    let ours = vec![Kind::Ours, Kind::OursSteering];
    let all = if args.ours { ours.clone() } else { Kind::ALL.to_vec() };
    let of_trial = |scenario: &Scenario| match scenario.moves_sessions() {
        true => ours.clone(),
        false => vec![Kind::Ours],
    };
    let few = |seeds: Option<u64>| seeds.unwrap_or(args.seeds).clamp(1, args.seeds);
    let (trial_seeds, few_seeds) = (few(args.trial_seeds), few(args.few_seeds));
    let mut entries: Vec<Entry> = Vec::new();
    entries.extend(contests().into_iter().map(|scenario| Entry::new(scenario, &all, args.seeds)));
    entries.extend(trials().into_iter().map(|it| Entry {
        kinds: of_trial(&it),
        seeds: args.seeds,
        scenario: it,
    }));
    entries.extend(further_trials().into_iter().map(|it| Entry {
        kinds: of_trial(&it),
        seeds: trial_seeds,
        scenario: it,
    }));
    if let Some(part) = &args.only {
        entries.retain(|entry| entry.scenario.name.contains(part.as_str()));
    }
    let length = Length { viewers: args.viewers, seconds: args.seconds, warm_up: 600 };
    let suite = Suite { globe, few_seeds, length, entries };
    let progress = |what: &'static str| {
        move |done: usize, of: usize| {
            if done.is_multiple_of(20) || done == of {
                eprintln!("{what}: {done} of {of} after {:.0} s", began.elapsed().as_secs_f64());
            }
        }
    };
    let rows = suite.run(args.threads, progress("scenarios"));
    let watched = args.only.as_ref().is_none_or(|part| "gray failures".contains(part.as_str()));
    let watched_seeds = if watched { args.watched_seeds } else { 0 };
    let watches = suite.watch(watched_seeds, args.days, args.threads, progress("watches"));
    let goals = goals(&rows, &watches);
    let names: Vec<&str> = contests().iter().map(|scenario| scenario.name).collect();
    let tables = [
        goal_table(&goals),
        policy_table(&rows, &names),
        trial_table(&rows, &names),
        if watches.is_empty() { String::new() } else { gray_table(&watches) },
    ]
    .join("\n");
    let numbers = Numbers { goals: &goals, rows: &rows, watches: &watches };
    let settings = [
        ("world", if suite.globe.is_some() { "cities of the data" } else { "synthetic" }.to_owned()),
        ("seeds", format!("1 to {}", args.seeds)),
        ("seeds of trials that no goal speaks of", format!("1 to {trial_seeds}")),
        ("seeds of policies that are far from the best", format!("1 to {few_seeds}")),
        ("viewers at the busiest hour", args.viewers.to_string()),
        ("seconds of a run that count, after 600 that do not", args.seconds.to_string()),
        ("seeds watched for gray failures", format!("1 to {watched_seeds}")),
        ("of which watched through a day besides", args.days.min(watched_seeds).to_string()),
        ("this run took", format!("{:.0} s on {} threads", began.elapsed().as_secs_f64(), args.threads)),
    ];
    let report = Report {
        name: "routing",
        what: WHAT,
        facts: &Facts::of_itself(),
        settings: &settings,
        tables: &tables,
        numbers: &numbers,
    };
    if !args.json {
        return args.evidence.tell(&report);
    }
    println!("{}", serde_json::to_string_pretty(&numbers)?);
    args.evidence.keep(&report)
}
