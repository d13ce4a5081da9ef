//! When which edge is checked, and with which object.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use super::*;
use crate::rank::outlier::{CHECK_MS, HOLD_MS, TIMEOUT_MS};

const SECOND: Duration = Duration::from_secs(1);

fn edges(count: usize) -> Vec<ToCheck> {
    let edge = |n| ToCheck {
        id: format!("e{n}").into(),
        url: "http://edge.example".into(),
        suspicious: false,
        usual: Duration::ZERO,
    };
    (0..count).map(edge).collect()
}

/// Who is checked how often while so much time goes by, and the turns of each.
fn checked(
    plan: &mut Plan,
    edges: &[ToCheck],
    most: usize,
    from: Instant,
    passes: Duration,
) -> BTreeMap<String, Vec<usize>> {
    let mut checked: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for tick in 0..passes.as_millis() / TICK.as_millis() {
        for (edge, turn) in plan.due(edges, most, from + TICK * tick as u32) {
            checked.entry(edge.id.to_string()).or_default().push(turn);
        }
    }
    checked
}

#[test]
fn each_edge_is_checked_at_its_interval_and_a_suspicious_one_sooner() {
    let (mut edges, mut plan, now) = (edges(4), Plan::new(SECOND), Instant::now());
    edges[2].suspicious = true;
    let checked = checked(&mut plan, &edges, AT_ONCE, now, 10 * SECOND);
    let counts: Vec<usize> = checked.values().map(Vec::len).collect();
    assert_eq!(counts[..2], [10, 10]);
    assert!(counts[2] > 60, "an eighth of the interval, in steps of a tick: {counts:?}");
}

#[test]
fn an_edge_whose_check_takes_longer_than_usual_is_checked_sooner_before_it_ends() {
    let (mut edges, mut plan, now) = (edges(1), Plan::new(SECOND), Instant::now());
    edges[0].usual = Duration::from_millis(100);
    let mut begun = Vec::new();
    for tick in 0..120 {
        let at = now + TICK * tick;
        // Each is over at once, but for the first, which takes two seconds.
        for _ in plan.due(&edges, AT_ONCE, at) {
            begun.push(tick);
            if tick > 0 {
                plan.ended("e0", at);
            }
        }
        if tick == 40 {
            plan.ended("e0", now);
        }
    }
    let between: Vec<_> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(between[..4], [11, 3, 3, 3], "{begun:?}");
    assert_eq!(between.last(), Some(&20), "as usual again: {begun:?}");
}

#[test]
fn a_new_fleet_is_not_knocked_at_in_step() {
    let (edges, mut plan, now) = (edges(10), Plan::new(SECOND), Instant::now());
    for tick in 0..20 {
        let due = plan.due(&edges, AT_ONCE, now + TICK * tick).len();
        assert!(due <= 1, "{due} at tick {tick}");
    }
}

#[test]
fn every_edge_shows_the_objects_of_all_services() {
    // Were the services counted over all edges, each of four edges would be shown the same of two for ever.
    let (edges, mut plan, now) = (edges(4), Plan::new(SECOND), Instant::now());
    for (edge, turns) in checked(&mut plan, &edges, AT_ONCE, now, 6 * SECOND) {
        let of_two: Vec<usize> = turns.iter().map(|turn| turn % 2).collect();
        assert!(of_two.windows(2).all(|pair| pair[0] != pair[1]), "{edge}: {turns:?}");
    }
}

#[test]
fn where_not_all_can_be_checked_at_once_those_that_wait_longest_are() {
    let (edges, mut plan, now) = (edges(40), Plan::new(SECOND), Instant::now());
    // One at a tick: twenty a second of forty.
    let checked = checked(&mut plan, &edges, 1, now, 20 * SECOND);
    assert_eq!(checked.len(), 40, "nobody is left out");
    for (edge, turns) in checked {
        assert!((8..=12).contains(&turns.len()), "{edge}: {}", turns.len());
    }
}

#[test]
fn who_has_left_is_forgotten() {
    let (edges, mut plan, now) = (edges(5), Plan::new(SECOND), Instant::now());
    plan.due(&edges, AT_ONCE, now);
    plan.due(&edges[..2], AT_ONCE, now);
    assert_eq!(plan.edges.len(), 2);
}

#[test]
fn what_is_usual_is_what_is_configured_by_itself() {
    let usual = ChecksConfig::default();
    let ms = [usual.interval, usual.timeout, usual.hold].map(|span| span.as_millis());
    assert_eq!(ms, [CHECK_MS, TIMEOUT_MS, HOLD_MS].map(u128::from));
}
