//! What condemns an edge and what does not: each rule alone, and random evidence.
//!
//! - `asking`: how often and how long. `pace`: what is slow, and what only the way. `noisy`: a whole day of a noisy fleet, and gray edges in it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

mod asking;
mod noisy;
mod pace;

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn chance(&mut self, odds: f64) -> bool {
        self.roll() < odds
    }

    /// How many of so many happen, roughly.
    fn of(&mut self, count: f64, odds: f64) -> u64 {
        let mean = count * odds;
        let noise = (self.roll() + self.roll() + self.roll() - 1.5) * 2.0 * mean.sqrt();
        (mean + noise + self.roll()).max(0.0) as u64
    }
}

fn cell(n: u64) -> Cell {
    Cell::of(std::net::Ipv4Addr::from((10 << 24) | ((n as u32 & 0xffff) << 8)).into())
}

fn member(n: usize, reported: f64) -> Member {
    Member { id: format!("e{n}").into(), capacity: 1.0, reported, live: true }
}

fn fleet(count: usize) -> Vec<Member> {
    (0..count).map(|n| member(n, 0.5)).collect()
}

fn known(fleet: &[Member]) -> Outliers {
    let mut outliers = Outliers::default();
    assert_eq!(outliers.judge(fleet, 0), []);
    outliers
}

/// A check over a way of 10 ms, of which the edge took so long.
fn passed(ms: f64) -> Check {
    over(10.0, ms)
}

/// The same, refused.
fn refused(ms: f64) -> Check {
    Check::Refused(Took { ms: 10.0 + ms, stood_ms: 10.0, trips: 1, object: 0 })
}

/// One that passed over another way.
fn over(way_ms: f64, ms: f64) -> Check {
    Check::Passed(Took { ms: way_ms + ms, stood_ms: way_ms, trips: 1, object: 0 })
}

fn ejected(changes: &[Change]) -> Vec<(&str, &'static str)> {
    let one = |change| match change {
        &Change::Ejected(ref id, held) => Some((&**id, Held::why(&held).as_str())),
        Change::Returned(_) => None,
    };
    changes.iter().filter_map(one).collect()
}

impl Held {
    fn why(&self) -> Why {
        self.why
    }
}

#[test]
fn five_failures_of_three_networks_condemn_and_many_of_one_do_not() {
    let fleet = fleet(4);
    let mut outliers = known(&fleet);
    for n in 0..200 {
        outliers.client("e1", cell(n % 2), Seen::Failed, 1_000 + n);
    }
    assert_eq!(outliers.judge(&fleet, 2_000), [], "two networks may both be broken");
    outliers.client("e1", cell(7), Seen::Failed, 2_100);
    assert_eq!(ejected(&outliers.judge(&fleet, 2_200)), [("e1", "clients")]);
    // What is older than ten seconds has gone.
    let mut outliers = known(&fleet);
    for n in 0..5 {
        outliers.client("e1", cell(n), Seen::Failed, n * 4_000);
    }
    assert_eq!(outliers.judge(&fleet, 16_000), []);
}

#[test]
fn what_all_show_is_not_the_edges_fault() {
    let fleet = fleet(4);
    let mut outliers = known(&fleet);
    for now in (1_000..9_000).step_by(500) {
        for n in 0..4u64 {
            let id = format!("e{n}");
            outliers.report(&id, 100, 30, now);
            outliers.check(&id, if now < 2_000 { passed(5.0) } else { Check::Lost }, now, now);
            outliers.client(&id, cell(now / 500 + n), Seen::Failed, now);
        }
        assert_eq!(outliers.judge(&fleet, now), []);
    }
}

#[test]
fn a_share_condemns_when_it_is_more_than_chance() {
    let fleet = fleet(3);
    for (answers, failures, condemned) in [
        (49, 40, false),
        (50, 3, false),
        (50, 15, true),
        (2_000, 110, false),
        (2_000, 160, true),
        (50, 0, false),
    ] {
        let mut outliers = known(&fleet);
        outliers.report("e2", answers, failures, 1_000);
        let found = ejected(&outliers.judge(&fleet, 1_500)) == [("e2", "ratio")];
        assert_eq!(found, condemned, "{failures} of {answers}");
    }
}

#[test]
fn where_the_source_fails_an_edge_that_adds_to_it_is_found() {
    let fleet = fleet(9);
    // Shares in percent: of the usual peer, of one that has more to ask of the source, and of the one in question.
    for (usual, other, own, condemned) in
        [(20, 20, 45, true), (20, 20, 30, false), (20, 33, 45, true), (40, 40, 70, true), (3, 3, 16, true)]
    {
        let mut outliers = known(&fleet);
        for now in (500..5_000).step_by(500) {
            for n in 0..9 {
                let share = [own, other].get(n).copied().unwrap_or(usual);
                outliers.report(&format!("e{n}"), 100, share, now);
            }
        }
        let found = ejected(&outliers.judge(&fleet, 5_000)) == [("e0", "ratio")];
        assert_eq!(found, condemned, "{own} % beside {usual} and {other} %");
    }
    // What a quarter of the fleet shows is how its edges differ.
    let mut outliers = known(&fleet);
    for n in 0..9 {
        outliers.report(&format!("e{n}"), 900, if n < 4 { 405 } else { 180 }, 1_000);
    }
    assert_eq!(outliers.judge(&fleet, 1_000), []);
}

#[test]
fn checks_condemn_when_failures_last_and_the_edge_was_reached_before() {
    let fleet = fleet(3);
    let mut outliers = known(&fleet);
    for now in [1_000, 2_000, 3_000, 4_000] {
        outliers.check("e0", Check::Lost, now, now);
        assert_eq!(outliers.judge(&fleet, now), [], "never reached from here: no fault of the edge");
    }
    outliers.check("e0", passed(3.0), 5_000, 5_000);
    outliers.check("e0", Check::Lost, 6_000, 6_000);
    assert!(outliers.suspicious("e0", 6_100) && !outliers.suspicious("e1", 6_100));
    for now in [6_300, 6_600, 6_900] {
        outliers.check("e0", Check::Lost, now, now);
        assert_eq!(outliers.judge(&fleet, now), [], "a blip");
    }
    for (now, condemned) in [(8_000, false), (8_200, false), (8_400, true)] {
        outliers.check("e0", Check::Lost, now, now);
        assert_eq!(ejected(&outliers.judge(&fleet, now)) == [("e0", "checks")], condemned, "{now}");
    }
}

#[test]
fn timeouts_that_end_among_later_checks_are_one_spell() {
    let fleet = fleet(3);
    let mut outliers = known(&fleet);
    // The path is gone for a second: two checks time out while those that began after them pass.
    let checks = [
        (500, 510, true),
        (1_500, 3_500, false),
        (2_000, 4_000, false),
        (3_000, 3_200, true),
        (3_600, 3_700, true),
        (3_800, 4_300, true),
        (4_500, 4_600, false),
        (4_700, 4_800, true),
        (9_000, 9_100, false),
    ];
    let mut ends = checks.map(|(began, ended, passed)| (ended, began, passed));
    ends.sort_unstable();
    for (ended, began, good) in ends {
        outliers.check("e0", if good { passed(10.0) } else { Check::Lost }, began, ended);
        assert_eq!(outliers.judge(&fleet, ended), [], "at {ended} ms");
    }
}

#[test]
fn a_blip_and_a_chance_failure_in_a_row_are_no_reason() {
    let fleet = fleet(3);
    for (failed, condemned) in [(4, false), (5, true)] {
        let mut outliers = known(&fleet);
        outliers.check("e0", passed(10.0), 500, 510);
        for (began, ended) in [(1_500, 3_500), (2_500, 4_500), (3_500, 3_510), (3_700, 3_710), (3_900, 3_910)]
            .into_iter()
            .take(failed)
        {
            outliers.check("e0", Check::Lost, began, ended);
        }
        assert_eq!(ejected(&outliers.judge(&fleet, 4_600)) == [("e0", "checks")], condemned, "{failed}");
    }
}

#[test]
fn a_row_of_failures_is_measured_by_what_the_source_fails() {
    let fleet = fleet(5);
    // The source fails a fifth of all answers, and has just begun to: four in a row are chance, sixteen are not.
    for (failed, condemned) in [(4, false), (16, true)] {
        let mut outliers = known(&fleet);
        for n in 0..5 {
            let id = format!("e{n}");
            for now in (0..10_000).step_by(500) {
                outliers.report(&id, 100, if now < 8_000 { 0 } else { 20 }, now);
            }
            outliers.check(&id, passed(10.0), 7_000, 7_010);
        }
        for n in 0..failed {
            let now = 8_000 + n * 500;
            outliers.check("e0", Check::Lost, now, now);
        }
        let found = ejected(&outliers.judge(&fleet, 8_000 + failed * 500)) == [("e0", "checks")];
        assert_eq!(found, condemned, "{failed} in a row");
    }
}

#[test]
fn a_restart_condemns_nobody() {
    let mut fleet = fleet(3);
    let mut outliers = known(&fleet);
    for now in (0..20_000u64).step_by(250) {
        // Away for four seconds; its silence is noticed after 1.25 s.
        let away = (5_000..9_000).contains(&now);
        fleet[0].live = !(6_250..9_000).contains(&now);
        for (n, id) in ["e0", "e1", "e2"].into_iter().enumerate() {
            let check = if away && n == 0 { Check::Lost } else { passed(5.0) };
            outliers.check(id, check, now, now);
        }
        assert_eq!(outliers.judge(&fleet, now), [], "at {now} ms");
    }
}

#[test]
fn a_check_that_began_while_the_edge_was_away_tells_nothing_of_what_came_back() {
    let mut fleet = fleet(3);
    let mut outliers = known(&fleet);
    outliers.check("e0", passed(5.0), 500, 505);
    fleet[0].live = false;
    outliers.judge(&fleet, 1_000);
    fleet[0].live = true;
    outliers.judge(&fleet, 5_500);
    // Each is waited for two seconds, and ends when the edge is heard again.
    for began in (2_600..5_500).step_by(200) {
        outliers.check("e0", Check::Lost, began, (began + 2_000).max(5_501));
        assert_eq!(outliers.judge(&fleet, began + 3_000), [], "began at {began} ms");
    }
    assert!(!outliers.suspicious("e0", 7_500));
    for began in (5_500..8_500).step_by(500) {
        outliers.check("e0", Check::Lost, began, began);
    }
    assert_eq!(ejected(&outliers.judge(&fleet, 8_500)), [("e0", "checks")], "what fails now does");
}

#[test]
fn a_small_edge_is_found_by_its_few_answers_and_checks_together() {
    let fleet = fleet(6);
    // Of ten answers a second none fails elsewhere. Answers alone are too few, checks alone go on for too short.
    for (answers_fail, checks_fail, condemned) in
        [(true, false, false), (false, true, false), (true, true, true)]
    {
        let mut outliers = known(&fleet);
        for now in (0..5_000u64).step_by(250) {
            for (n, id) in ["e0", "e1", "e2", "e3", "e4", "e5"].into_iter().enumerate() {
                let gray = n == 0 && now >= 2_000;
                outliers.report(id, 2, u64::from(gray && answers_fail && now % 500 == 0), now);
                let fails = gray && checks_fail && now % 750 == 0;
                outliers.check(id, if fails { Check::Lost } else { passed(3.0) }, now, now);
            }
        }
        assert_eq!(
            ejected(&outliers.judge(&fleet, 5_000)) == [("e0", "ratio")],
            condemned,
            "{answers_fail} {checks_fail}"
        );
    }
}

#[test]
fn chance_failures_far_apart_are_no_relapses() {
    let fleet = fleet(3);
    // Five begin anew within ten checks, or among fifty.
    for (every, condemned) in [(2, true), (10, false)] {
        let mut outliers = known(&fleet);
        for n in 0..every * 4 + 1 {
            let now = 1_000 + n * 9_000 / (every * 4);
            for id in ["e0", "e1", "e2"] {
                outliers.check(id, passed(3.0), now - 1, now - 1);
            }
            if n % every == 0 {
                outliers.check("e0", refused(3.0), now, now);
            }
        }
        assert_eq!(ejected(&outliers.judge(&fleet, 10_000)) == [("e0", "checks")], condemned, "{every}");
    }
}

#[test]
fn few_answers_that_fail_make_the_next_check_come_soon() {
    let fleet = fleet(3);
    let mut outliers = known(&fleet);
    outliers.report("e0", 12, 0, 1_000);
    outliers.report("e1", 12, 1, 1_000);
    outliers.report("e2", 400, 2, 1_000);
    assert_eq!(["e0", "e1", "e2"].map(|id| outliers.suspicious(id, 1_100)), [false, true, false]);
}

#[test]
fn where_most_look_suspicious_nobody_is_asked_sooner() {
    let fleet = fleet(4);
    let mut outliers = known(&fleet);
    let suspects = |outliers: &Outliers| ["e0", "e1", "e2", "e3"].map(|id| outliers.suspicious(id, 1_200));
    for (failing, soon) in [(1, 1), (2, 2), (3, 0), (4, 0)] {
        outliers.report(&format!("e{}", failing - 1), 20, 5, 1_000);
        outliers.judge(&fleet, 1_100);
        assert_eq!(suspects(&outliers).iter().filter(|it| **it).count(), soon, "{failing} fail");
    }
}

#[test]
fn it_is_held_longer_each_time_returns_alone_and_is_forgiven() {
    let fleet = fleet(4);
    let mut outliers = known(&fleet);
    let mut now = 1_000;
    for times in 1..=3 {
        for n in 0..5 {
            outliers.client("e1", cell(n), Seen::Failed, now);
        }
        assert_eq!(ejected(&outliers.judge(&fleet, now)), [("e1", "clients")]);
        let held = outliers.held("e1").unwrap();
        assert_eq!((held.times, held.until_ms), (times, now + HOLD_MS * u64::from(times)));
        assert_eq!(outliers.judge(&fleet, held.until_ms - 1), []);
        assert_eq!(outliers.judge(&fleet, held.until_ms), [Change::Returned("e1".into())]);
        now = held.until_ms + 1_000;
    }
    for minute in 0..60 {
        outliers.judge(&fleet, now + minute * 60_000);
    }
    assert_eq!(outliers.edges["e1"].times, 0);
}

#[test]
fn what_still_fails_its_checks_stays_away() {
    let fleet = fleet(3);
    let mut outliers = known(&fleet);
    outliers.check("e0", passed(3.0), 500, 500);
    let mut returned = 0;
    for now in (1_000..300_000).step_by(500) {
        outliers.check("e0", Check::Lost, now, now);
        returned += outliers.judge(&fleet, now).iter().filter(|c| matches!(c, Change::Returned(_))).count();
    }
    assert_eq!(returned, 0);
    assert!(outliers.held("e0").unwrap().times >= 4);
}

#[test]
fn the_last_edge_is_never_taken_and_of_two_one_may_be() {
    for (count, most) in [(1, 0), (2, 1), (3, 1), (6, 2), (9, 3)] {
        let fleet = fleet(count);
        let mut outliers = known(&fleet);
        for n in 0..count {
            for network in 0..9 {
                // Far more than any peer's, in an order that leaves no doubt which is the worst.
                for _ in 0..=n {
                    outliers.client(&format!("e{n}"), cell(network), Seen::Failed, 1_000);
                }
            }
            outliers.judge(&fleet, 1_000);
        }
        assert!(outliers.count() <= most, "{} of {count}", outliers.count());
    }
}

proptest! {
    /// Whatever comes in: never more than a third of the capacity or one edge, never the last, nothing grows.
    #[test]
    fn bounds_hold_for_any_evidence(
        seed in any::<u64>(),
        count in 1usize..9,
        capacities in proptest::collection::vec(0.1f64..10.0, 9),
    ) {
        let mut dice = Dice(seed);
        let mut fleet: Vec<Member> = fleet(count);
        for (member, capacity) in fleet.iter_mut().zip(&capacities) {
            member.capacity = *capacity;
        }
        let mut outliers = Outliers::default();
        for step in 0..200u64 {
            let now = step * 250;
            for member in &mut fleet {
                member.live = dice.chance(0.95);
                member.reported = dice.roll() * 1.2;
            }
            for _ in 0..20 {
                let id = format!("e{}", (dice.roll() * 10.0) as u32);
                match (dice.roll() * 4.0) as u32 {
                    0 => outliers.client(&id, cell((dice.roll() * 100.0) as u64), Seen::Failed, now),
                    1 => outliers.client(&id, cell(1), Seen::Served { ms: dice.roll() * 1e4 - 10.0 }, now),
                    2 => outliers.report(&id, (dice.roll() * 100.0) as u64, (dice.roll() * 120.0) as u64, now),
                    _ => {
                        let check = [Check::Lost, passed(dice.roll() * 1e3)][usize::from(dice.chance(0.5))];
                        outliers.check(&id, check, now, now);
                    }
                }
            }
            let before: BTreeMap<_, _> = fleet.iter().map(|member| (member.id.clone(), outliers.held(&member.id))).collect();
            let all: f64 = fleet.iter().filter(|member| member.live).map(|member| member.capacity).sum();
            let changes = outliers.judge(&fleet, now);
            for change in &changes {
                let Change::Ejected(id, held) = change else { continue };
                prop_assert!(before[id].is_none_or(|before| before.until_ms <= now));
                prop_assert!(held.until_ms >= now + HOLD_MS);
                let held: Vec<_> =
                    fleet.iter().filter(|member| member.live && outliers.held(&member.id).is_some()).collect();
                let sum: f64 = held.iter().map(|member| member.capacity).sum();
                prop_assert!(held.len() <= 1 || sum <= all / 3.0 + 1e-9);
                prop_assert!(fleet.iter().filter(|member| member.live).count() > held.len());
            }
            prop_assert!(outliers.edges.len() <= count);
        }
    }
}
