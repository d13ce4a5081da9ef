//! Which edges a client shall measure that it was not sent to.
//!
//! Edges see only the clients that were sent to them: a site believed to be far is never chosen, and so never found
//! to be near. A small share of the sessions therefore fetches a little from two others, one that is nearly as good
//! and one of the rest.

use super::{
    Candidate, Question, Snapshot,
    choice::{decide, site_cost_ms, takes},
    ranking::EDGES_MAX,
    rendezvous,
};

/// Alternates that count as nearly as good.
const NEARLY: usize = 3;

/// Whether this session measures at all: `share` of them do, 0..1, always the same ones.
pub fn explores(session: &str, share: f64) -> bool {
    (rendezvous::bits(session, 1) as f64 / (1u64 << 53) as f64) < share
}

/// The edges that this session shall measure besides the one it plays from; nothing for sessions that do not
/// [explore](explores). The two stand in different sites where there are as many.
pub fn explore<'s>(
    snapshot: &'s Snapshot,
    question: &Question<'_>,
    share: f64,
) -> [Option<&'s Candidate>; 2] {
    let Some(session) = question.session.filter(|session| explores(session, share)) else { return [None; 2] };
    let ranking = decide(snapshot, &Question { k: EDGES_MAX, ..question.clone() });
    let others = ranking.edges.len().saturating_sub(1);
    // One at least is left to the rest, if there are two.
    let near = 1..1 + others.saturating_sub(1).clamp(1, NEARLY).min(others);
    let rest = near.end..1 + others;
    let pick = |of: std::ops::Range<usize>, dice: u64| {
        let place = of.start + (dice % (of.len() as u64).max(1)) as usize;
        of.contains(&place).then(|| ranking.edges.get(place).map(|ranked| ranked.edge)).flatten()
    };
    let [second, first, far] = [2, 3, 4].map(|dice| rendezvous::bits(session, dice));
    // What is not even on the list is asked as often as what is.
    let sites = snapshot.sites.len();
    let beyond = (sites > EDGES_MAX && far.is_multiple_of(2))
        .then(|| {
            let site = (second % sites as u64) as usize;
            // What an operator keeps from this viewer is not measured either.
            site_cost_ms(snapshot, question, site)?;
            let named = |place: usize| ranking.edges.iter().any(|ranked| ranked.number as usize == place);
            let fit = |place: &usize| takes(snapshot, question, *place) && !named(*place);
            snapshot.sites[site].nodes().find(fit).map(|place| &snapshot.edges[place])
        })
        .flatten();
    [pick(near, first), beyond.or_else(|| pick(rest, second))]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::{BTreeMap, BTreeSet};

    use super::super::tests::{Fleet, NOW, ask, edge, fleet};
    use super::super::{Zone, Zones};
    use super::*;

    #[test]
    fn at_most_one_session_in_fifty_measures_two_others_and_all_are_measured() {
        let edges = (0..12).map(|n| edge(&format!("e{n:02}"), &format!("s{n:02}"), f64::from(n) / 30.0));
        let snapshot = fleet(edges.collect()).now();
        let (mut asked, mut seen) = (0, BTreeMap::new());
        for n in 0..50_000 {
            if n % 10_000 == 0 {
                assert!(asked * 50 <= n, "{asked} of {n}");
            }
            let session = format!("s{n}");
            let question = Question { session: Some(&session), ..ask("/t/") };
            let plan = explore(&snapshot, &question, 0.015);
            asked += usize::from(plan[0].is_some());
            let chosen = decide(&snapshot, &question).edges[0].edge.called.id.clone();
            for edge in plan.into_iter().flatten() {
                assert_ne!(edge.called.id, chosen);
                *seen.entry(edge.called.id.to_string()).or_insert(0) += 1;
            }
            if let [Some(one), Some(other)] = plan {
                assert_ne!(one.called.site, other.called.site);
            }
        }
        assert!((600..=1_000).contains(&asked), "{asked} of 50000");
        assert!(seen.len() >= 11, "{seen:?}");
    }

    #[test]
    fn what_a_viewer_may_not_use_is_not_measured() {
        let client = "203.0.113.9".parse().unwrap();
        let edges: Vec<_> =
            (0..12).map(|n| edge(&format!("e{n:02}"), &format!("s{n:02}"), f64::from(n) / 30.0)).collect();
        let mut fleet = fleet(edges);
        let zone = Zone { deny: vec!["s11".into()], ..Zone::default() };
        fleet.zones = Zones::new([("203.0.113.0/24".parse().unwrap(), zone)]);
        let measured = |fleet: &Fleet, now_ms: u64| {
            let snapshot = fleet.now();
            let mut seen = BTreeSet::new();
            for n in 0..2_000 {
                let session = format!("s{n}");
                let question =
                    Question { session: Some(&session), client: Some(client), now_ms, ..ask("/t/") };
                seen.extend(
                    explore(&snapshot, &question, 1.0)
                        .into_iter()
                        .flatten()
                        .map(|edge| edge.called.id.to_string()),
                );
            }
            seen
        };
        let seen = measured(&fleet, NOW);
        assert!(!seen.contains("e11") && seen.contains("e10"), "its site is denied: {seen:?}");
        // It has been silent since the snapshot was built.
        fleet.edges[10].heard_ms -= 1_000;
        let later = NOW + fleet.settings.suspect_after_ms - 600;
        let seen = measured(&fleet, later);
        assert!(!seen.contains("e10") && seen.contains("e08"), "{seen:?}");
    }

    #[test]
    fn where_there_is_nothing_else_nothing_is_measured() {
        let snapshot = fleet(vec![edge("a1", "a", 0.0)]).now();
        for n in 0..200 {
            let session = format!("s{n}");
            assert_eq!(
                explore(&snapshot, &Question { session: Some(&session), ..ask("/t/") }, 1.0)
                    .iter()
                    .flatten()
                    .count(),
                0
            );
        }
        assert!(
            explore(&snapshot, &ask("/t/"), 1.0).iter().flatten().next().is_none(),
            "nor without a session"
        );
    }
}
