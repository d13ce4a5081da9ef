//! Which edges a client shall measure that it was not sent to.
//!
//! Edges see only the clients that were sent to them: a site believed to be far is never chosen, and so never found
//! to be near. A small share of the sessions therefore fetches a little from two others, one that is nearly as good
//! and one of the rest.

use super::{Candidate, Snapshot};
use super::{Question, decide, ranking::EDGES_MAX, rendezvous};

/// Alternates that count as nearly as good.
const NEARLY: usize = 3;

/// The edges that this session shall measure besides the one it plays from; nothing for most sessions: `share` of
/// them measure, 0..1, always the same ones. The two stand in different sites where there are as many.
pub fn explore<'s>(
    snapshot: &'s Snapshot,
    question: &Question<'_>,
    share: f64,
) -> [Option<&'s Candidate>; 2] {
    let Some(session) = question.session else { return [None; 2] };
    if rendezvous::bits(session, 1) as f64 / (1u64 << 53) as f64 >= share {
        return [None; 2];
    }
    let ranking = decide(snapshot, &Question { k: EDGES_MAX, ..question.clone() });
    let others = ranking.edges.len().saturating_sub(1);
    // One at least is left to the rest, if there are two.
    let near = 1..1 + others.saturating_sub(1).clamp(1, NEARLY).min(others);
    let rest = near.end..1 + others;
    let pick = |of: std::ops::Range<usize>, dice: u64| {
        let place = of.start + (dice % (of.len() as u64).max(1)) as usize;
        of.contains(&place).then(|| ranking.edges.get(place).map(|ranked| ranked.edge)).flatten()
    };
    let (first, second) = (rendezvous::bits(session, 3), rendezvous::bits(session, 2));
    // What is not even on the list is asked as often as what is.
    let sites = snapshot.sites.len();
    let beyond = (sites > EDGES_MAX && second.is_multiple_of(2))
        .then(|| {
            let site = &snapshot.sites[(second / 2 % sites as u64) as usize];
            let named = |place: usize| ranking.edges.iter().any(|ranked| ranked.number as usize == place);
            let fit = |place: &usize| snapshot.nodes[*place].fit && !named(*place);
            site.nodes().find(fit).map(|place| &snapshot.edges[place])
        })
        .flatten();
    [pick(near, first), beyond.or_else(|| pick(rest, second))]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;

    use super::super::tests::{ask, edge, fleet};
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
            let chosen = decide(&snapshot, &question).edges[0].edge.id.clone();
            for edge in plan.into_iter().flatten() {
                assert_ne!(edge.id, chosen);
                *seen.entry(edge.id.to_string()).or_insert(0) += 1;
            }
            if let [Some(one), Some(other)] = plan {
                assert_ne!(one.site, other.site);
            }
        }
        assert!((600..=1_000).contains(&asked), "{asked} of 50000");
        assert!(seen.len() >= 11, "{seen:?}");
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
