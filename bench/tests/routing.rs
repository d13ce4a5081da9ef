//! The simulator guards the production decision: small runs of what the full table shows, as ratios.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use kromka_bench::sim::gray;
use kromka_bench::sim::policies::Kind;
use kromka_bench::sim::run::Length;
use kromka_bench::sim::scenario::{Accident, Scenario};
use kromka_bench::sim::suite::{Entry, Row, Suite};
use kromka_bench::sim::world::{Globe, World};

const SMALL: Length = Length { viewers: 3_000.0, seconds: 600, warm_up: 300 };

fn suite(scenarios: Vec<Scenario>, kinds: &[Kind]) -> Suite {
    let entries = scenarios.into_iter().map(|scenario| Entry::new(scenario, kinds, 2)).collect();
    Suite { globe: None, few_seeds: 2, length: SMALL, entries }
}

fn of<'r>(rows: &'r [Row], scenario: &str, kind: Kind) -> &'r Row {
    rows.iter().find(|row| row.scenario == scenario && row.policy == kind.name()).unwrap()
}

#[test]
fn ours_is_near_the_optimum_and_far_ahead_of_binary_gates() {
    let flash = Scenario { name: "flash", crowd: 1.8, ..Scenario::default() };
    let old = Scenario { name: "old", crowd: 1.8, report_s: 15.0, ..Scenario::default() };
    let kinds = [Kind::RttNearest, Kind::TwoChoices, Kind::TrafficRouterRtt, Kind::Ours, Kind::OursSteering];
    let rows = suite(vec![flash, old], &kinds).run(2, |_, _| ());
    for scenario in ["flash", "old"] {
        let regret = |kind| of(&rows, scenario, kind).regret.mean;
        assert!(regret(Kind::Ours) < 0.12, "{scenario}: {}", regret(Kind::Ours));
        assert!(regret(Kind::Ours) * 3.0 < regret(Kind::TrafficRouterRtt), "{scenario}");
        assert!(regret(Kind::Ours) * 10.0 < regret(Kind::TwoChoices), "{scenario}");
        assert!(of(&rows, scenario, Kind::Ours).overloaded.max < 0.001, "{scenario}");
        assert!(of(&rows, scenario, Kind::OursSteering).moves.mean < 0.1, "{scenario}");
    }
    let hits = |kind| of(&rows, "flash", kind).hits.mean;
    assert!(
        hits(Kind::Ours) > 0.9 * hits(Kind::RttNearest),
        "{} {}",
        hits(Kind::Ours),
        hits(Kind::RttNearest)
    );
}

#[test]
fn nobody_fails_when_a_node_dies_and_nobody_new_goes_to_one_that_is_gone_or_drains() {
    let accident = |name, accident, selectors| Scenario {
        name,
        accident: Some(accident),
        selectors,
        report_s: 0.5,
        ..Scenario::default()
    };
    let scenarios = vec![
        accident("kill", Accident::Kill, 2),
        accident("power", Accident::PowerCut, 2),
        accident("site", Accident::SiteCut, 2),
        accident("drain", Accident::Drain, 1),
        accident("drain by two", Accident::Drain, 2),
    ];
    let mut suite = suite(scenarios, &[Kind::Ours]);
    // Whether somebody would have been sent there in those milliseconds is a matter of chance.
    suite.entries.last_mut().unwrap().seeds = 6;
    let rows = suite.run(2, |_, _| ());
    let row = |name| of(&rows, name, Kind::Ours);
    assert!(rows.iter().all(|row| row.failed.max == 0.0));
    // Half a round trip to who is killed, 2.5 reports to who falls silent, nothing once the operator is answered.
    assert!((0.02..0.4).contains(&row("kill").to_dead_s.max), "{:?}", row("kill").to_dead_s);
    for silent in ["power", "site"] {
        assert!((0.5..1.7).contains(&row(silent).to_dead_s.max), "{:?}", row(silent).to_dead_s);
    }
    assert_eq!(row("drain").to_dead_s.max, 0.0);
    let by_two = row("drain by two");
    assert_eq!(by_two.to_drained_s.max, 0.0);
    assert!((0.02..0.8).contains(&by_two.to_dead_s.max), "{:?}", by_two.to_dead_s);
    assert!((0.04..1.0).contains(&by_two.answered_s.max), "{:?}", by_two.answered_s);
}

#[test]
fn clocks_that_are_off_change_nothing_and_routes_that_change_are_found() {
    let scenarios = vec![
        Scenario { name: "right", ..Scenario::default() },
        Scenario { name: "off", clock_error_s: 3_600.0, ..Scenario::default() },
        Scenario { name: "rerouted", rerouted: 0.2, ..Scenario::default() },
    ];
    let rows = suite(scenarios, &[Kind::Ours]).run(2, |_, _| ());
    let regret = |name| of(&rows, name, Kind::Ours).regret.mean;
    assert!((regret("right") - regret("off")).abs() < 0.01, "{} {}", regret("right"), regret("off"));
    assert!(regret("rerouted") < 0.3, "{}", regret("rerouted"));
}

#[test]
fn a_gray_edge_is_found_soon() {
    let world = World::new(&Globe::synthetic(1, 40), 4, SMALL.viewers, 1);
    let watch = gray::watch(&world, 1, 2);
    for found in &watch.found {
        assert!(found.after_s.iter().all(|after_s| *after_s <= gray::LATE_S), "{found:?}");
    }
    assert_eq!(watch.wrong(), 0, "{watch:?}");
}

#[test]
fn distances_are_learnt_from_a_cold_start_and_wrong_capacities_found_out() {
    let cold = Scenario { name: "cold", cold: true, ..Scenario::default() };
    let wrong =
        |name, learn_capacity| Scenario { name, capacity_error: 0.2, learn_capacity, ..Scenario::default() };
    let scenarios = vec![cold, wrong("learnt", true), wrong("not learnt", false)];
    let rows = suite(scenarios, &[Kind::Ours]).run(2, |_, _| ());
    let late = |name| of(&rows, name, Kind::Ours).late_regret.mean;
    assert!(late("cold") < 0.15, "{}", late("cold"));
    assert!(of(&rows, "cold", Kind::Ours).explored.mean < 0.03);
    assert!(late("learnt") < late("not learnt") + 0.02, "{} {}", late("learnt"), late("not learnt"));
}

#[test]
fn equal_seeds_give_equal_results_on_any_number_of_threads() {
    let length = Length { viewers: 800.0, seconds: 120, warm_up: 60 };
    let scenarios = vec![Scenario { selectors: 4, lost: 0.2, ..Scenario::default() }];
    let suite = Suite { length, ..suite(scenarios, &[Kind::Ours, Kind::Split, Kind::HotCold]) };
    let told = |threads| serde_json::to_string(&suite.run(threads, |_, _| ())).unwrap();
    assert_eq!(told(1), told(3));
}
