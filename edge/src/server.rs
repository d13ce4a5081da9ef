//! One server that an edge fills from, a shield or a sibling, and whether it is away.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a server that could not be reached is asked last: long enough not to pay the connect timeout at
/// every miss, short enough to notice a restart.
const PASSED_OVER: Duration = Duration::from_secs(1);

pub(crate) struct Server {
    /// Without the slash at its end.
    pub(crate) url: String,
    /// Until when it is asked last.
    away_until: Mutex<Option<Instant>>,
}

impl Server {
    pub(crate) fn new(url: &str) -> Server {
        Server { url: url.trim_end_matches('/').to_owned(), away_until: Mutex::default() }
    }

    /// Whether it could not be reached a moment ago.
    pub(crate) fn is_away(&self, now: Instant) -> bool {
        self.away_until.lock().is_some_and(|until| now < until)
    }

    /// It could not be reached: others are asked before it for a moment.
    pub(crate) fn pass_over(&self, now: Instant) {
        *self.away_until.lock() = Some(now + PASSED_OVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_could_not_be_reached_is_away_for_a_moment_each_time() {
        let server = Server::new("http://a:1/");
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        assert!(server.url == "http://a:1" && !server.is_away(at(0)));
        for first in [0, 5_000, 5_900] {
            server.pass_over(at(first));
            assert!(server.is_away(at(first)) && server.is_away(at(first + 999)), "{first}");
            assert!(!server.is_away(at(first + 1_000)), "{first}");
        }
    }
}
