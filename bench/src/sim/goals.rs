//! What was to be reached, beside what was.

use serde::Serialize;

use super::gray::{Fault, Watch};
use super::suite::{Row, Spread};
use crate::table::{Table, number};

/// One goal.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// Its number and name.
    pub name: &'static str,
    /// What ours came to.
    pub ours: f64,
    /// The best of the others, and who that is; `None` where there is none.
    pub anchor: Option<(f64, &'static str)>,
    /// What ours must not exceed, or must reach where more is better.
    pub bar: f64,
    /// More is better.
    pub more: bool,
    /// What the numbers are.
    pub unit: &'static str,
}

impl Goal {
    /// Whether it is reached.
    pub fn met(&self) -> bool {
        if self.more { self.ours >= self.bar } else { self.ours <= self.bar }
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

/// The goals that rows and watches speak of.
pub fn goals(rows: &[Row], watches: &[Watch]) -> Vec<Goal> {
    let row = |scenario: &str, policy: &str| {
        rows.iter().find(|row| row.scenario == scenario && row.policy == policy)
    };
    let mut goals = Vec::new();
    let mut goal = |name, scenario: &str, policy: &str, of: &dyn Fn(&Row) -> f64, bar, more, unit| {
        let Some(ours) = row(scenario, policy).map(of) else { return };
        let others = ANCHORS.iter().filter_map(|anchor| Some((of(row(scenario, anchor)?), *anchor)));
        let better =
            |a: &(f64, &str), b: &(f64, &str)| if more { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
        goals.push(Goal { name, ours, anchor: others.min_by(better), bar, more, unit });
    };
    let regret = |row: &Row| row.regret.mean * 100.0;
    goal("1 regret, steady .65", "steady .65", OURS, &regret, 3.0, false, "%");
    goal("1 regret, peak .80", "peak .80", OURS, &regret, 5.0, false, "%");
    goal("2 regret, regional flash x1.8", "flash", OURS, &regret, 7.0, false, "%");
    goal("3 regret, flash, reports 15 s old", "flash, reports 15 s old", OURS, &regret, 8.0, false, "%");
    goal("4 regret, all mild errors", "flash, all mild errors", OURS, &regret, 15.0, false, "%");
    goal(
        "4 regret, capacity ±20 %, learnt",
        "flash, capacity ±20 %, learnt",
        OURS,
        &regret,
        12.0,
        false,
        "%",
    );
    let overload = |row: &Row| row.overloaded.mean * 100.0;
    goal("5 overloaded session time, steady .65", "steady .65", OURS, &overload, 0.001, false, "%");
    goal("5 overloaded session time, peak .80", "peak .80", OURS, &overload, 0.001, false, "%");
    goal("6 start p99, flash", "flash", OURS, &|row| row.start_p99_ms.mean, 400.0, false, "ms");
    goal(
        "6 median RTT beyond the oracle's, flash",
        "flash",
        OURS,
        &|row| row.p50_more_ms.mean,
        3.0,
        false,
        "ms",
    );
    if let Some(hash) = row("steady .65", "RTT-nearest, hash").map(|row| row.hits.mean) {
        goal(
            "7 cache hits relative to pure hashing",
            "steady .65",
            OURS,
            &|row| row.hits.mean / hash * 100.0,
            97.0,
            true,
            "%",
        );
    }
    goal("8 moves per session, flash", "flash", STEERED, &|row| row.moves.mean, 0.05, false, "");
    goal(
        "8 sessions moved there and back, flash",
        "flash",
        STEERED,
        &|row| row.back_and_forth.mean * 100.0,
        0.1,
        false,
        "%",
    );
    for (name, scenario, bar) in [
        ("9 until when a killed edge would get sessions", "a node is killed", 0.3),
        ("9 the same, its power cut", "a node loses its power", 1.5),
        ("9 the same, its whole site", "a site loses its power", 1.5),
        ("9 the same, cut off from selectors", "a node is cut off from selectors", 1.5),
        ("9 the same, drained, one selector", "a node is drained", 0.0),
    ] {
        goal(name, scenario, OURS, &|row| row.to_dead_s.max, bar, false, "s");
    }
    for (name, scenario) in [
        ("9 failures that viewers see, node killed", "a node is killed"),
        ("9 failures that viewers see, site without power", "a site loses its power"),
    ] {
        goal(name, scenario, OURS, &|row| row.failed.max, 0.0, false, "");
    }
    goal(
        "11 regret after a cold start, second half",
        "cold start from geography",
        OURS,
        &|row| row.late_regret.mean * 100.0,
        10.0,
        false,
        "%",
    );
    goal(
        "11 sessions that explore",
        "cold start from geography",
        OURS,
        &|row| row.explored.mean * 100.0,
        2.0,
        false,
        "%",
    );
    if !watches.is_empty() {
        let lying = found(watches, Fault::Lying);
        let false_ejections: usize = watches.iter().map(|watch| watch.false_ejections.len()).sum();
        let plain = |name, ours, bar, unit| Goal { name, ours, anchor: None, bar, more: false, unit };
        goals.push(plain("10 gray failure (503, slow, lying) ejected", lying.max, 5.0, "s"));
        goals.push(plain("10 false ejections, a day of each seed", false_ejections as f64, 0.0, ""));
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

/// How soon each kind of gray failure was found.
pub fn gray_table(watches: &[Watch]) -> String {
    let heads = ["gray failure", "failures", "ejected after s, mean", "least", "greatest", "others ejected"];
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
            of_it().map(|found| found.wrong).sum::<usize>().to_string(),
        ]);
    }
    table.markdown()
}

/// The goals as a table.
pub fn goal_table(goals: &[Goal]) -> String {
    let mut table = Table::new(&["goal", "ours", "bar", "met", "best of the others", "who"]);
    for goal in goals {
        let told = |value: f64| format!("{} {}", number(value), goal.unit).trim().to_owned();
        let (anchor, who) = goal.anchor.map_or((String::new(), ""), |(value, who)| (told(value), who));
        let bar = format!("{} {}", if goal.more { "≥" } else { "≤" }, told(goal.bar));
        let met = if goal.met() { "yes" } else { "no" };
        table.line([goal.name.to_owned(), told(goal.ours), bar, met.to_owned(), anchor, who.to_owned()]);
    }
    table.markdown()
}

/// What each policy came to in each scenario that all go through.
pub fn policy_table(rows: &[Row], scenarios: &[&str]) -> String {
    let mut heads = vec!["policy".to_owned()];
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
        let mut cells = vec![policy.to_owned()];
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
