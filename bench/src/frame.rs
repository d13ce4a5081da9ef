//! What the programs of `src/bin/` have in common: options, rounds A B A B, and where evidence goes.
//!
//! A program flattens what it needs into its own arguments; what is left there is what it starts, what it asks, and
//! which rows and bars it has.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::load::Order;
use crate::measure::{Row, Run, Unit};
use crate::peers::kromka;
use crate::process;
use crate::report::{Report, today};
use crate::table::number;

/// Files that a program and its children have open beside the connections of the load.
const FILES: u64 = 2_048;

/// Which binary is measured, and on which cores.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The core of load tools, viewers and sources.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// The binary to measure; otherwise $KROMKA_BIN, target/dist/kromka, target/release/kromka.
    #[arg(long)]
    pub kromka: Option<PathBuf>,
    /// The cargo profile of the binary to measure: target/PROFILE/kromka and no other.
    #[arg(long, conflicts_with = "kromka")]
    pub profile: Option<String>,
}

impl Place {
    /// The binary to measure, with room for the files that `connections` take.
    ///
    /// # Errors
    /// There is no binary; servers and load would share a core; so many files are not permitted.
    pub fn begin(&self, connections: u32) -> Result<PathBuf> {
        ensure!(
            self.server_core != self.load_core,
            "servers and load must not share core {}",
            self.load_core
        );
        process::open_files(u64::from(connections) + FILES)?;
        kromka::binary(self.kromka.as_deref(), self.profile.as_deref())
    }
}

/// How long and how often each side of a row runs.
#[derive(Args, Clone, Copy, Debug)]
pub struct Rounds {
    /// Seconds of one run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Runs of each server and row; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
}

impl Rounds {
    /// A row: one run of a second of each side to settle down, then the rounds, ours and theirs in turn. `run` puts the
    /// load on one side of `pair` (ours is the first) for so many seconds.
    ///
    /// # Errors
    /// A run fails; the error says which row it was.
    pub fn row<P>(
        &self,
        name: &str,
        unit: Unit,
        bar: f64,
        pair: [P; 2],
        run: impl Fn(&P, u32) -> Result<Run>,
    ) -> Result<Row> {
        let [ours, theirs] = &pair;
        let run = |side, whose, seconds| run(side, seconds).with_context(|| format!("{name}, {whose}"));
        run(ours, "kromka", 1)?;
        run(theirs, "peer", 1)?;
        let mut row = Row { name: name.to_owned(), unit, bar, ours: Vec::new(), theirs: Vec::new() };
        for _ in 0..self.rounds {
            row.ours.push(run(ours, "kromka", self.seconds)?);
            row.theirs.push(run(theirs, "peer", self.seconds)?);
        }
        let summary = row.summary()?;
        eprintln!(
            "{name}: {} {}, the peer {}, ratio {:.2} (bar {bar})",
            number(summary.ours),
            unit.name(),
            number(summary.theirs),
            summary.ratio,
        );
        Ok(row)
    }

    /// These options as settings of a report.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("seconds of a run", self.seconds.to_string()), ("rounds", self.rounds.to_string())]
    }
}

/// Rounds of an HTTP load tool.
#[derive(Args, Clone, Copy, Debug)]
pub struct Http {
    /// Seconds and rounds.
    #[command(flatten)]
    pub rounds: Rounds,
    /// Connections of the load tool, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
}

impl Http {
    /// An order for `url` with these options, on the load's core of `place`.
    pub fn order(&self, url: String, seconds: u32, place: &Place) -> Order {
        Order { url, seconds, connections: self.connections, core: place.load_core, ..Order::default() }
    }

    /// These options as settings of a report.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.rounds.settings();
        settings.push(("connections, one request at a time each", self.connections.to_string()));
        settings
    }
}

/// Where the evidence goes.
#[derive(Args, Clone, Debug)]
pub struct Evidence {
    /// Folder for the evidence; otherwise bench/results/DATE.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write no evidence.
    #[arg(long)]
    pub dry: bool,
}

impl Evidence {
    /// Prints the report, and writes it unless the run is dry.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn tell<N: Serialize>(&self, report: &Report<'_, N>) -> Result<()> {
        println!("{}", report.markdown());
        self.keep(report)
    }

    /// Writes the report unless the run is dry, without printing it.
    ///
    /// # Errors
    /// As with [`tell`](Self::tell).
    pub fn keep<N: Serialize>(&self, report: &Report<'_, N>) -> Result<()> {
        if self.dry {
            return Ok(());
        }
        for file in report.write(&self.out.clone().unwrap_or_else(today))? {
            eprintln!("{}", file.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::cell::RefCell;

    use anyhow::bail;

    use super::*;

    fn run(cpu_s: f64) -> Run {
        Run { cpu_s, tool_cpu_s: 1.0, requests: 1_000_000, bytes: 1, seconds: 2.0 }
    }

    #[test]
    fn a_row_settles_both_sides_and_then_takes_them_in_turn() {
        let order = RefCell::new(Vec::new());
        let rounds = Rounds { seconds: 7, rounds: 2 };
        let row = rounds
            .row("work", Unit::Request, 0.5, ["ours", "theirs"], |side, seconds| {
                order.borrow_mut().push((*side, seconds));
                Ok(run(if *side == "ours" { 1.0 } else { 4.0 }))
            })
            .unwrap();
        let turns = [("ours", 1), ("theirs", 1), ("ours", 7), ("theirs", 7), ("ours", 7), ("theirs", 7)];
        assert_eq!(order.into_inner(), turns);
        assert_eq!((row.ours.len(), row.theirs.len(), row.summary().unwrap().ratio), (2, 2, 0.25));
    }

    #[test]
    fn a_run_that_fails_says_which_row_and_side_it_was() {
        let rounds = Rounds { seconds: 1, rounds: 1 };
        let fails = |side: &u32, _| if *side == 1 { bail!("no answer") } else { Ok(run(1.0)) };
        let error = rounds.row("work", Unit::Request, 1.0, [0, 1], fails).unwrap_err();
        assert_eq!(format!("{error:#}"), "work, peer: no answer");
    }
}
