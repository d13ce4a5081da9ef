//! Rounds A B A B of two servers on one piece of work, and the row they make.

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::cpu;
use crate::load::Load;
use crate::quantile::{median, quantile};
use crate::table::{Table, number};

/// What CPU time is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// An answer: the cost is in microseconds of CPU.
    Request,
    /// 10^9 bytes on the wire above TCP and TLS, heads included: the cost is in seconds of CPU.
    Gigabyte,
}

impl Unit {
    /// The unit of the cost, for tables.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Request => "µs/request",
            Unit::Gigabyte => "s/GB",
        }
    }

    /// The unit of what is done in a second, for tables.
    fn rate(self) -> &'static str {
        match self {
            Unit::Request => "requests/s",
            Unit::Gigabyte => "GB/s",
        }
    }
}

/// One run of one server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run {
    /// CPU time of the server, user and system, in seconds.
    pub cpu_s: f64,
    /// The same of the load tool, in seconds.
    pub tool_cpu_s: f64,
    /// Answers.
    pub requests: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Run {
    /// Puts `load` on the server of process `pid` and notes the CPU time this took it.
    ///
    /// # Errors
    /// The load fails, the server is gone, or an answer was an error: such a run would measure errors.
    pub fn of(pid: u32, load: impl FnOnce() -> Result<Load>) -> Result<Run> {
        let (before, tools) = (cpu::of_tree(pid)?, cpu::of_tools()?);
        let load = load()?;
        let used = cpu::of_tree(pid)?.saturating_sub(before);
        let tools = cpu::of_tools()?.saturating_sub(tools);
        if load.failed > 0 {
            bail!("{} of {} answers were failures", load.failed, load.requests);
        }
        if load.requests == 0 {
            bail!(
                "no answer came whole within {:.1} s: take more seconds or fewer connections",
                load.seconds
            );
        }
        Ok(Run {
            cpu_s: used.as_secs_f64(),
            tool_cpu_s: tools.as_secs_f64(),
            requests: load.requests,
            bytes: load.bytes,
            seconds: load.seconds,
        })
    }

    /// What a unit of the work cost.
    pub fn cost(&self, unit: Unit) -> f64 {
        self.per(unit, self.cpu_s)
    }

    /// What a unit cost server and load tool together.
    pub fn cost_of_both(&self, unit: Unit) -> f64 {
        self.per(unit, self.cpu_s + self.tool_cpu_s)
    }

    fn per(&self, unit: Unit, cpu_s: f64) -> f64 {
        match unit {
            Unit::Request => cpu_s * 1e6 / self.requests as f64,
            Unit::Gigabyte => cpu_s * 1e9 / self.bytes as f64,
        }
    }

    /// Units in a second of wall time: what the load tool's core allowed, so not to be compared.
    pub fn rate(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Request => self.requests as f64 / self.seconds,
            Unit::Gigabyte => self.bytes as f64 / 1e9 / self.seconds,
        }
    }

    /// Share of the core that the server used.
    pub fn busy(&self) -> f64 {
        self.cpu_s / self.seconds
    }
}

/// The rounds of two servers on one piece of work.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The work.
    pub name: String,
    /// What the CPU time is divided by.
    pub unit: Unit,
    /// The ratio to reach.
    pub bar: f64,
    /// Our runs, in order of the rounds.
    pub ours: Vec<Run>,
    /// The peer's.
    pub theirs: Vec<Run>,
}

/// A row in a nutshell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Median of our cost.
    pub ours: f64,
    /// Median of the peer's.
    pub theirs: f64,
    /// Ours by theirs; less than 1 is better than the peer.
    pub ratio: f64,
    /// The lowest ratio of a round.
    pub lowest: f64,
    /// The highest ratio of a round.
    pub highest: f64,
    /// The ratio with the load tool's CPU time added to both. On loopback the kernel does part of a server's
    /// sending while the client reads, the more of it the fuller the socket, and books it as the client's:
    /// this ratio misses nothing, but is drawn towards 1.
    pub both: f64,
}

impl Row {
    /// Sums the rounds up.
    ///
    /// # Errors
    /// There is none, or a run used no CPU time that the clock could see.
    pub fn summary(&self) -> Result<Summary> {
        let costs = |runs: &[Run]| runs.iter().map(|run| run.cost(self.unit)).collect::<Vec<_>>();
        let (ours, theirs) = (costs(&self.ours), costs(&self.theirs));
        let rounds: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        if rounds.iter().any(|ratio| !ratio.is_finite()) {
            bail!("{}: a run too short to see its CPU time", self.name);
        }
        let both = |runs: &[Run]| runs.iter().map(|run| run.cost_of_both(self.unit)).collect::<Vec<_>>();
        let both = || Some(median(&both(&self.ours))? / median(&both(&self.theirs))?);
        let told =
            || Some((median(&ours)?, median(&theirs)?, quantile(&rounds, 0.0)?, quantile(&rounds, 1.0)?));
        let (ours, theirs, lowest, highest) = told().with_context(|| format!("{}: no round", self.name))?;
        Ok(Summary { ours, theirs, ratio: ours / theirs, lowest, highest, both: both().unwrap_or(f64::NAN) })
    }
}

/// A column of one program's own: its head, and its cell for a row.
pub type Column<'a> = (&'a str, &'a dyn Fn(&Row, &Summary) -> String);

/// The table of `rows` beside `peer`, with `more` columns at its end.
///
/// # Errors
/// A row cannot be summed up.
pub fn table(peer: &str, rows: &[Row], more: &[Column<'_>]) -> Result<String> {
    let heads = ["row", "kromka", peer, "unit", "ratio", "rounds", "bar", "with tool"];
    let rates = ["kromka rate".to_owned(), format!("{peer} rate")];
    let mut heads: Vec<&str> = heads.to_vec();
    heads.extend(rates.iter().map(String::as_str));
    heads.extend(["rate in", "busy"]);
    heads.extend(more.iter().map(|(head, _)| *head));
    let mut table = Table::new(&heads);
    for row in rows {
        let summary = row.summary()?;
        let rate = |runs: &[Run]| {
            let rates: Vec<f64> = runs.iter().map(|run| run.rate(row.unit)).collect();
            number(median(&rates).unwrap_or_default())
        };
        let busy = |runs: &[Run]| runs.iter().map(Run::busy).sum::<f64>() * 100.0 / runs.len().max(1) as f64;
        let cells = [
            row.name.clone(),
            number(summary.ours),
            number(summary.theirs),
            row.unit.name().to_owned(),
            format!("{:.2}", summary.ratio),
            format!("{:.2}–{:.2}", summary.lowest, summary.highest),
            format!("{:.2}", row.bar),
            format!("{:.2}", summary.both),
            rate(&row.ours),
            rate(&row.theirs),
            row.unit.rate().to_owned(),
            format!("{:.0}/{:.0} %", busy(&row.ours), busy(&row.theirs)),
        ];
        table.line(cells.into_iter().chain(more.iter().map(|(_, cell)| cell(row, &summary))));
    }
    Ok(table.markdown())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn run(cpu_s: f64) -> Run {
        Run { cpu_s, tool_cpu_s: 4.0, requests: 1_000_000, bytes: 2_000_000_000, seconds: 4.0 }
    }

    #[test]
    fn costs_are_per_unit() {
        assert_eq!(run(2.0).cost(Unit::Request), 2.0);
        assert_eq!(run(2.0).cost(Unit::Gigabyte), 1.0);
        assert_eq!(run(2.0).cost_of_both(Unit::Gigabyte), 3.0);
        assert_eq!(run(2.0).busy(), 0.5);
    }

    #[test]
    fn a_row_is_the_ratio_of_medians_with_the_range_of_its_rounds() {
        let row = Row {
            name: "work".to_owned(),
            unit: Unit::Request,
            bar: 0.5,
            ours: [1.0, 2.0, 9.0].map(run).into(),
            theirs: [2.0, 4.0, 3.0].map(run).into(),
        };
        let summary = row.summary().unwrap();
        assert_eq!((summary.ours, summary.theirs), (2.0, 3.0));
        assert_eq!((summary.lowest, summary.highest, summary.both), (0.5, 3.0, 6.0 / 7.0));
        assert!(Row { ours: vec![], ..row.clone() }.summary().is_err());
        assert!(Row { theirs: vec![run(0.0)], ..row }.summary().is_err());
    }

    #[test]
    fn a_table_has_a_programs_own_columns_at_its_end() {
        let row = Row {
            name: "work".to_owned(),
            unit: Unit::Gigabyte,
            bar: 0.5,
            ours: vec![run(1.0)],
            theirs: vec![run(2.0)],
        };
        let text =
            table("nginx", &[row], &[("more", &|row, summary| format!("{} {}", row.name, summary.ratio))]);
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = text.unwrap().lines().map(cells).collect();
        assert_eq!(lines[0][1..4], ["row", "kromka", "nginx"]);
        assert_eq!(lines[2][9..14], ["0.500", "0.500", "GB/s", "25/50 %", "work 0.5"]);
    }

    #[test]
    fn a_run_with_failures_is_none() {
        let load = |failed, requests| Load { requests, bytes: 1, seconds: 1.0, failed };
        let pid = std::process::id();
        assert!(Run::of(pid, || Ok(load(0, 5))).is_ok());
        assert!(Run::of(pid, || Ok(load(1, 5))).is_err());
        assert!(Run::of(pid, || Ok(load(0, 0))).is_err());
    }
}
