//! How far the drain of a node is: since when, with how many sessions, and whether it may be stopped.

use chrono::{DateTime, SubsecRound, Utc};
use kromka_control::NodeDrain;

/// How long those on their way take to arrive and to stand in a heartbeat, in milliseconds, once they have been sent.
const ARRIVED_MS: u64 = 3_000;

/// A drain that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// For people.
    since: DateTime<Utc>,
    /// On the roster's clock, which nobody sets.
    since_ms: u64,
    /// When the node confirmed it, if it has.
    confirmed_ms: Option<u64>,
    sessions: u64,
}

impl Drain {
    /// It begins now, at `now_ms` of the roster's clock, with so many sessions.
    pub(crate) fn begin(sessions: u64, now_ms: u64) -> Drain {
        Drain { since: Utc::now().trunc_subsecs(3), since_ms: now_ms, confirmed_ms: None, sessions }
    }

    /// The node says that all selectors know.
    pub(crate) fn confirm(&mut self, now_ms: u64) {
        self.confirmed_ms.get_or_insert(now_ms);
    }

    /// As it stands at `now_ms` with so many left, where an answer may lead there for `answers_ms` after it was given.
    /// What an operator `ordered` ends no answer before the node has confirmed it: another selector may not know.
    pub(crate) fn at(self, now_ms: u64, left: u64, answers_ms: u64, ordered: bool) -> NodeDrain {
        let from_ms = if ordered { self.confirmed_ms } else { Some(self.since_ms) };
        let passed_ms = from_ms.map(|from_ms| now_ms.saturating_sub(from_ms));
        let arrived = passed_ms.is_some_and(|passed_ms| passed_ms >= answers_ms.saturating_add(ARRIVED_MS));
        NodeDrain {
            since: self.since,
            sessions_then: self.sessions.max(left),
            sessions_left: left,
            confirmed: self.confirmed_ms.is_some(),
            // What stays of one in a hundred is a paused player that will be steered when it goes on.
            done: arrived && left.saturating_mul(100) <= self.sessions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_when_one_in_a_hundred_is_left() {
        let drain = Drain::begin(400, 7_000);
        let told = |left| {
            let now = drain.at(7_000 + ARRIVED_MS, left, 0, false);
            (now.sessions_then, now.sessions_left, now.done)
        };
        assert_eq!(told(400), (400, 400, false));
        assert_eq!(told(5), (400, 5, false));
        assert_eq!(told(4), (400, 4, true));
        assert_eq!(told(500), (500, 500, false), "those who were on their way still came");
        assert_eq!(told(u64::MAX), (u64::MAX, u64::MAX, false), "whatever an edge says");
    }

    #[test]
    fn it_is_not_done_while_an_answer_that_led_there_may_be_used() {
        let drain = Drain::begin(0, 7_000);
        let done = |after_ms| drain.at(7_000 + after_ms, 0, 20_000, false).done;
        assert!(!done(0) && !done(ARRIVED_MS) && !done(20_000 + ARRIVED_MS - 1));
        assert!(done(20_000 + ARRIVED_MS));
    }

    #[test]
    fn what_an_operator_ordered_is_done_no_sooner_than_all_selectors_know() {
        let mut drain = Drain::begin(0, 7_000);
        let told = |drain: Drain, after_ms| {
            let now = drain.at(7_000 + after_ms, 0, 20_000, true);
            (now.confirmed, now.done)
        };
        assert_eq!(told(drain, 100_000), (false, false));
        for after_ms in [4_000, 9_000] {
            drain.confirm(7_000 + after_ms);
            assert_eq!(told(drain, 4_000 + 20_000 + ARRIVED_MS - 1), (true, false));
            assert_eq!(told(drain, 4_000 + 20_000 + ARRIVED_MS), (true, true));
        }
    }
}
