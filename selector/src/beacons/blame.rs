//! Which edges a session had trouble with of late, as it told itself: its own steering document names them behind the
//! others that are as sound.
//!
//! One report is enough, since it moves nobody but who sent it. What is remembered is bounded by two halves: a full
//! or aged young one becomes the old one.

use std::{collections::HashMap, sync::Arc};

/// How long an edge stays blamed, in milliseconds: as long as hls.js itself avoids a pathway that failed it.
pub(super) const PENALTY_MS: u64 = 300_000;
/// Sessions in one half.
pub(super) const SESSIONS: usize = 50_000;
/// Edges that one session can blame.
const EDGES: usize = 4;

/// An edge that was blamed, and when.
type Blamed = Vec<(Arc<str>, u64)>;

/// Sessions, by the hash of their id, and whom they blame.
#[derive(Debug, Default)]
pub(super) struct Blame {
    young: HashMap<u64, Blamed>,
    old: HashMap<u64, Blamed>,
    turned_ms: u64,
}

impl Blame {
    /// A session had trouble with an edge.
    pub(super) fn add(&mut self, session: u64, edge: &str, now_ms: u64) {
        if self.young.len() >= SESSIONS || now_ms.saturating_sub(self.turned_ms) >= PENALTY_MS {
            self.old = std::mem::take(&mut self.young);
            self.turned_ms = now_ms;
        }
        let old = &mut self.old;
        let blamed = self.young.entry(session).or_insert_with(|| old.remove(&session).unwrap_or_default());
        blamed.retain(|(known, _)| **known != *edge);
        if blamed.len() >= EDGES {
            blamed.remove(0);
        }
        blamed.push((edge.into(), now_ms));
    }

    /// Whom a session blames, the latest first.
    pub(super) fn of(&self, session: u64, now_ms: u64) -> Vec<String> {
        let blamed = self.young.get(&session).or_else(|| self.old.get(&session));
        let still = |(_, at): &&(Arc<str>, u64)| now_ms.saturating_sub(*at) < PENALTY_MS;
        blamed.into_iter().flatten().rev().filter(still).map(|(edge, _)| edge.to_string()).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_blamed_for_a_while_and_a_few_at_most() {
        let mut blame = Blame::default();
        blame.add(1, "a", 1_000);
        blame.add(1, "b", 2_000);
        blame.add(1, "a", 3_000);
        assert_eq!(blame.of(1, 3_000), ["a", "b"]);
        assert_eq!(blame.of(2, 3_000), [""; 0], "others do not suffer");
        assert_eq!(blame.of(1, 2_000 + PENALTY_MS), ["a"]);
        for edge in ["c", "d", "e"] {
            blame.add(1, edge, PENALTY_MS + 1_000);
        }
        assert_eq!(blame.of(1, PENALTY_MS + 1_000), ["e", "d", "c", "a"], "it outlives a turn");
    }

    #[test]
    fn a_flood_of_sessions_takes_bounded_room() {
        let mut blame = Blame::default();
        for session in 0..250_000 {
            blame.add(session, "a", 1_000);
        }
        assert!(blame.len() <= 2 * SESSIONS);
        assert_eq!(blame.of(249_999, 1_000), ["a"]);
    }
}
