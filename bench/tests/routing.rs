//! The simulator guards the production decision: small runs of what the full table shows, as ratios.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use kromka_bench::sim::policies::Kind;
use kromka_bench::sim::run::Length;
use kromka_bench::sim::scenario::{Accident, Scenario};
use kromka_bench::sim::suite::{Row, Suite};

const SMALL: Length = Length { viewers: 3_000.0, seconds: 600, warm_up: 300 };

fn suite(scenarios: Vec<Scenario>, kinds: &[Kind]) -> Suite {
    let entries = scenarios.into_iter().map(|scenario| (scenario, kinds.to_vec())).collect();
    Suite { globe: None, seeds: 2, few_seeds: 2, length: SMALL, entries }
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
fn nobody_fails_when_a_node_dies_and_nobody_new_goes_to_one_that_drains() {
    let accident = |name, accident| Scenario { name, accident: Some(accident), ..Scenario::default() };
    let scenarios = vec![accident("kill", Accident::Kill), accident("drain", Accident::Drain)];
    let rows = suite(scenarios, &[Kind::Ours]).run(2, |_, _| ());
    assert_eq!(of(&rows, "kill", Kind::Ours).failed.max, 0.0);
    assert!(of(&rows, "kill", Kind::Ours).to_dead_s.max <= 3.0);
    assert!(of(&rows, "drain", Kind::Ours).to_dead_s.max <= 1.5);
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
