//! What was to be reached, beside what was.

use serde::Serialize;

use super::gray::{Fault, LATE_S, Watch};
use super::suite::{Row, Spread};
use crate::table::{Table, number};

/// One goal.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// Its number and name.
    pub name: &'static str,
    /// What ours came to, over the seeds.
    pub ours: Spread,
    /// What of it is judged.
    pub by: By,
    /// The best of the others by the same, and who that is; `None` where there is none.
    pub anchor: Option<(f64, &'static str)>,
    /// What ours must not exceed, or must reach where more is better.
    pub bar: f64,
    /// More is better.
    pub more: bool,
    /// What the numbers are.
    pub unit: &'static str,
}

/// What of the seeds is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Their mean.
    Mean,
    /// The worst of them.
    Worst,
}

impl By {
    fn of(self, spread: Spread) -> f64 {
        if self == By::Mean { spread.mean } else { spread.max }
    }
}

impl Goal {
    /// Whether it is reached.
    pub fn met(&self) -> bool {
        let ours = self.by.of(self.ours);
        if self.more { ours >= self.bar } else { ours <= self.bar }
    }
}

const OURS: &str = "kromka";
const STEERED: &str = "kromka, sessions steered each 30 s";
const ANCHORS: [&str; 4] = [
    "split table each second (our model of Taiji's)",
    "Traffic-Router-like (our model) with our RTT",
    "Traffic-Router-like (our model)",
    "power of two, global",
];

/// Name, scenario, what of a row counts, bar and unit of a goal that rows speak of.
type OfRows = (&'static str, &'static str, fn(&Row) -> Spread, f64, &'static str);

/// Goals that the mean of ours is judged by.
const MEANS: [OfRows; 12] = [
    ("1 regret, steady .65", "steady .65", regret, 3.0, "%"),
    ("1 regret, peak .80", "peak .80", regret, 5.0, "%"),
    ("2 regret, regional flash x1.8", "flash", regret, 7.0, "%"),
    ("3 regret, flash, reports 15 s old", "flash, reports 15 s old", regret, 8.0, "%"),
    ("4 regret, all mild errors", "flash, all mild errors", regret, 15.0, "%"),
    ("4 regret, capacity ±20 %, learnt", "flash, capacity ±20 %, learnt", regret, 12.0, "%"),
    ("5 overloaded session time, steady .65", "steady .65", overloaded, 0.001, "%"),
    ("5 overloaded session time, peak .80", "peak .80", overloaded, 0.001, "%"),
    ("6 start p99, flash", "flash", |row| row.start_p99_ms, 400.0, "ms"),
    ("6 median RTT beyond the oracle's, flash", "flash", |row| row.p50_more_ms, 3.0, "ms"),
    (
        "11 regret after a cold start, second half",
        "cold start from geography",
        |row| row.late_regret.times(100.0),
        10.0,
        "%",
    ),
    ("11 sessions that explore", "cold start from geography", |row| row.explored.times(100.0), 2.0, "%"),
];

/// Goals that steered sessions are judged by, by the mean as well.
const STEERING: [OfRows; 2] = [
    ("8 moves per session, flash", "flash", |row| row.moves, 0.05, ""),
    ("8 sessions moved there and back, flash", "flash", |row| row.back_and_forth.times(100.0), 0.1, "%"),
];

/// Goals that the worst seed of ours is judged by.
const WORST: [OfRows; 10] = [
    ("9 until when a killed edge would get sessions", "a node is killed", |row| row.to_dead_s, 0.3, "s"),
    ("9 the same, its power cut", "a node loses its power", |row| row.to_dead_s, 1.5, "s"),
    ("9 the same, its whole site", "a site loses its power", |row| row.to_dead_s, 1.5, "s"),
    ("9 the same, cut off from selectors", "a node is cut off from selectors", |row| row.to_dead_s, 1.5, "s"),
    ("9 the same, drained, one selector", "a node is drained", |row| row.to_dead_s, 0.0, "s"),
    (
        "9 the same, drain answered, two selectors",
        "a node is drained, 2 selectors",
        |row| row.to_drained_s,
        0.0,
        "s",
    ),
    ("9 until that drain is answered", "a node is drained, 2 selectors", |row| row.answered_s, 1.0, "s"),
    (
        "9 sessions that it got since the command",
        "a node is drained, 2 selectors",
        |row| row.to_dead,
        0.0,
        "",
    ),
    ("9 failures that viewers see, node killed", "a node is killed", |row| row.failed, 0.0, ""),
    ("9 failures that viewers see, site without power", "a site loses its power", |row| row.failed, 0.0, ""),
];

fn regret(row: &Row) -> Spread {
    row.regret.times(100.0)
}

fn overloaded(row: &Row) -> Spread {
    row.overloaded.times(100.0)
}

/// The goals that rows and watches speak of.
pub fn goals(rows: &[Row], watches: &[Watch]) -> Vec<Goal> {
    let row = |scenario: &str, policy: &str| {
        rows.iter().find(|row| row.scenario == scenario && row.policy == policy)
    };
    let mut goals = Vec::new();
    let mut goal = |by: By, policy: &str, more, (name, scenario, of, bar, unit): OfRows, scale: f64| {
        let of = |row: &Row| of(row).times(scale);
        let Some(ours) = row(scenario, policy).map(of) else { return };
        let others = ANCHORS.iter().filter_map(|anchor| Some((by.of(of(row(scenario, anchor)?)), *anchor)));
        let better =
            |a: &(f64, &str), b: &(f64, &str)| if more { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
        goals.push(Goal { name, ours, by, anchor: others.min_by(better), bar, more, unit });
    };
    MEANS.into_iter().for_each(|it| goal(By::Mean, OURS, false, it, 1.0));
    STEERING.into_iter().for_each(|it| goal(By::Mean, STEERED, false, it, 1.0));
    WORST.into_iter().for_each(|it| goal(By::Worst, OURS, false, it, 1.0));
    if let Some(hash) = row("steady .65", "RTT-nearest, hash").map(|row| row.hits.mean) {
        let hits: OfRows =
            ("7 cache hits relative to pure hashing", "steady .65", |row| row.hits.times(100.0), 97.0, "%");
        goal(By::Mean, OURS, true, hits, 1.0 / hash);
    }
    if !watches.is_empty() {
        let plain =
            |name, ours, bar, unit| Goal { name, ours, by: By::Worst, anchor: None, bar, more: false, unit };
        for (fault, name) in [
            (Fault::Errors, "10 edge ejected that answers 503 to 30 %"),
            (Fault::Slow, "10 the same, ten times slower"),
            (Fault::Lying, "10 the same, both, and it lies"),
        ] {
            goals.push(plain(name, found(watches, fault), LATE_S, "s"));
        }
        // All of them count, not the worst seed alone.
        let wrong: usize = watches.iter().map(Watch::wrong).sum();
        let wrong = Spread::of(std::iter::once(wrong as f64));
        goals.push(plain("10 sound edges ejected, in all days and trials", wrong, 0.0, ""));
    }
    let number = |goal: &Goal| goal.name.split(' ').next().and_then(|first| first.parse::<u32>().ok());
    goals.sort_by_key(number);
    goals
}

/// Seconds until failures of that kind were found.
fn found(watches: &[Watch], fault: Fault) -> Spread {
    let of = |watch: &'_ Watch| {
        watch.found.iter().filter(|found| found.fault == fault).cloned().collect::<Vec<_>>()
    };
    let after: Vec<f64> = watches.iter().flat_map(of).flat_map(|found| found.after_s).collect();
    Spread::of(after.into_iter())
}

/// How soon each kind of gray failure was found, and who was taken out for nothing.
pub fn gray_table(watches: &[Watch]) -> String {
    let heads = [
        "gray failure",
        "failures",
        "ejected after s, mean",
        "least",
        "greatest",
        "later than 5 s",
        "others ejected",
    ];
    let mut table = Table::new(&heads);
    for fault in Fault::ALL {
        let of_it = || watches.iter().flat_map(|watch| &watch.found).filter(|found| found.fault == fault);
        let spread = found(watches, fault);
        table.line([
            fault.name().to_owned(),
            of_it().map(|found| found.after_s.len()).sum::<usize>().to_string(),
            number(spread.mean),
            number(spread.min),
            number(spread.max),
            of_it().flat_map(|found| &found.after_s).filter(|after_s| **after_s > LATE_S).count().to_string(),
            of_it().map(|found| found.wrong.len()).sum::<usize>().to_string(),
        ]);
    }
    let days: f64 = watches.iter().map(|watch| watch.days).sum();
    let wrong: usize = watches.iter().map(|watch| watch.false_ejections.len()).sum();
    let edges = watches.iter().map(|watch| watch.edges).max().unwrap_or(0);
    let mut told = format!(
        "{}\n{wrong} sound edges were ejected in {} days of {edges} edges.\n",
        table.markdown(),
        number(days),
    );
    for (seed, watch) in watches.iter().enumerate() {
        for found in &watch.found {
            for line in &found.late {
                told.push_str(&format!("- late, seed {}, {}: {line}\n", seed + 1, found.fault.name()));
            }
        }
        let trials = watch.found.iter().flat_map(|found| &found.wrong);
        for line in watch.false_ejections.iter().chain(trials) {
            told.push_str(&format!("- for nothing, seed {}, {line}\n", seed + 1));
        }
    }
    told
}

/// The goals as a table.
pub fn goal_table(goals: &[Goal]) -> String {
    let heads = ["goal", "ours", "least", "greatest", "bar", "of the", "met", "best of the others", "who"];
    let mut table = Table::new(&heads);
    for goal in goals {
        let told = |value: f64| format!("{} {}", number(value), goal.unit).trim().to_owned();
        let (anchor, who) = goal.anchor.map_or((String::new(), ""), |(value, who)| (told(value), who));
        let bar = format!("{} {}", if goal.more { "≥" } else { "≤" }, told(goal.bar));
        let met = if goal.met() { "yes" } else { "no" };
        let by = if goal.by == By::Mean { "mean" } else { "greatest" };
        let Spread { mean, min, max } = goal.ours;
        table.line([
            goal.name.to_owned(),
            told(mean),
            number(min),
            number(max),
            bar,
            by.to_owned(),
            met.to_owned(),
            anchor,
            who.to_owned(),
        ]);
    }
    table.markdown()
}

/// What each policy came to in each scenario that all go through.
pub fn policy_table(rows: &[Row], scenarios: &[&str]) -> String {
    let mut heads = vec!["policy".to_owned(), "seeds".to_owned()];
    heads.extend(scenarios.iter().map(|name| format!("regret, {name}")));
    heads.extend(["overload %", "median RTT ms", "start p99 ms", "hits %"].map(str::to_owned));
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    let mut policies: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| scenarios.contains(&row.scenario)) {
        if !policies.contains(&row.policy) {
            policies.push(row.policy);
        }
    }
    for policy in policies {
        let of = |scenario: &str| rows.iter().find(|row| row.scenario == scenario && row.policy == policy);
        let seeds = scenarios.iter().find_map(|scenario| of(scenario)).map_or(0, |row| row.seeds);
        let mut cells = vec![policy.to_owned(), seeds.to_string()];
        cells.extend(
            scenarios.iter().map(|scenario| of(scenario).map_or(String::new(), |row| spread(row, 100.0))),
        );
        if let Some(row) = scenarios.iter().rev().find_map(|scenario| of(scenario)) {
            let flash = of("flash").unwrap_or(row);
            cells.extend([
                number(row.overloaded.mean * 100.0),
                number(flash.p50_ms.mean),
                number(flash.start_p99_ms.mean),
                number(flash.hits.mean * 100.0),
            ]);
        }
        table.line(cells);
    }
    table.markdown()
}

/// What ours came to where something is not as it should be.
pub fn trial_table(rows: &[Row], apart_from: &[&str]) -> String {
    let heads = [
        "trial",
        "world",
        "policy",
        "seeds",
        "regret",
        "beyond the sticky oracle",
        "second half",
        "overload %",
        "start p99 ms",
        "moves",
        "gone, and sent there for s",
        "failed",
    ];
    let mut table = Table::new(&heads);
    for row in rows.iter().filter(|row| !apart_from.contains(&row.scenario)) {
        table.line([
            row.scenario.to_owned(),
            row.world.to_owned(),
            row.policy.to_owned(),
            row.seeds.to_string(),
            spread(row, 100.0),
            row.sticky_regret.map_or(String::new(), |beyond| format!("{} %", number(beyond.mean * 100.0))),
            format!("{} %", number(row.late_regret.mean * 100.0)),
            number(row.overloaded.mean * 100.0),
            number(row.start_p99_ms.mean),
            number(row.moves.mean),
            if row.to_dead_s.max > 0.0 { number(row.to_dead_s.max) } else { String::new() },
            number(row.failed.max),
        ]);
    }
    table.markdown()
}

/// `5.2 % (4.1..6.0)`.
fn spread(row: &Row, scale: f64) -> String {
    let [mean, min, max] =
        [row.regret.mean, row.regret.min, row.regret.max].map(|value| number(value * scale));
    format!("{mean} % ({min}..{max})")
}
