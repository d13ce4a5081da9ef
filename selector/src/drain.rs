//! How far the drain of a node is: since when, with how many sessions, and whether it may be stopped.

use chrono::DateTime;
use kromka_control::NodeDrain;

use crate::store::door::now_ms;

/// How long those on their way take to arrive and to stand in a heartbeat, in milliseconds: an edge that is drained
/// has been somebody's answer until that moment.
const ARRIVED_MS: u64 = 3_000;

/// A drain that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// Unix milliseconds, for people.
    since_ms: u64,
    sessions: u64,
}

impl Drain {
    /// It begins now, with so many sessions.
    pub(crate) fn begin(sessions: u64) -> Drain {
        Drain { since_ms: now_ms(), sessions }
    }

    /// As it stands with so many left.
    pub(crate) fn now(self, left: u64) -> NodeDrain {
        self.at(now_ms(), left)
    }

    fn at(self, now_ms: u64, left: u64) -> NodeDrain {
        let arrived = now_ms.saturating_sub(self.since_ms) >= ARRIVED_MS;
        NodeDrain {
            since: DateTime::from_timestamp_millis(self.since_ms as i64).unwrap_or_default(),
            sessions_then: self.sessions.max(left),
            sessions_left: left,
            // What stays of one in a hundred is a paused player that will be steered when it goes on.
            done: arrived && left * 100 <= self.sessions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_when_one_in_a_hundred_is_left() {
        let drain = Drain::begin(400);
        let told = |left| {
            let now = drain.at(drain.since_ms + ARRIVED_MS, left);
            (now.sessions_then, now.sessions_left, now.done)
        };
        assert_eq!(told(400), (400, 400, false));
        assert_eq!(told(5), (400, 5, false));
        assert_eq!(told(4), (400, 4, true));
        assert_eq!(told(500), (500, 500, false), "those who were on their way still came");
        let idle = Drain::begin(0);
        assert!(
            idle.at(idle.since_ms + ARRIVED_MS, 0).done && !idle.now(0).done,
            "somebody may be on the way"
        );
    }
}
