//! How far the drain of a node is: since when, with how many sessions, and whether it may be stopped.

use chrono::DateTime;
use kromka_control::NodeDrain;

use crate::store::door::now_ms;

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
        NodeDrain {
            since: DateTime::from_timestamp_millis(self.since_ms as i64).unwrap_or_default(),
            sessions_then: self.sessions.max(left),
            sessions_left: left,
            // What stays of one in a hundred is a paused player that will be steered when it goes on.
            done: left * 100 <= self.sessions,
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
            let now = drain.now(left);
            (now.sessions_then, now.sessions_left, now.done)
        };
        assert_eq!(told(400), (400, 400, false));
        assert_eq!(told(5), (400, 5, false));
        assert_eq!(told(4), (400, 4, true));
        assert_eq!(told(500), (500, 500, false), "those who were on their way still came");
        assert!(Drain::begin(0).now(0).done);
    }
}
