//! One server that an edge fills from, a shield or a sibling, and whether it is away.

use std::time::{Duration, Instant};

use kromka_cache::SourceFault;
use parking_lot::Mutex;

/// How long a server that could not be reached is asked last: at least and at most, and between them so many times what
/// it took to find out that no connection comes. One that refuses is soon asked again, to notice a restart; one that does
/// not answer at all costs its viewers a small part of their time.
const PASSED_OVER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(20)];
const TIMES: u32 = 10;

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

    /// It failed at `now` in that way, having been asked at `asked`: others are asked before it for a moment. What took
    /// its time over a connection that stood may have been held, or have waited for its source.
    pub(crate) fn pass_over(&self, fault: SourceFault, asked: Instant, now: Instant) {
        let [least, most] = PASSED_OVER;
        let silent = match fault {
            SourceFault::Unreachable => now.saturating_duration_since(asked),
            _ => Duration::ZERO,
        };
        let rest = (silent * TIMES).clamp(least, most);
        *self.away_until.lock() = Some(now + rest);
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
        for (asked, told, rest) in
            [(0, 0, 1_000), (5_000, 5_001, 1_000), (5_000, 5_900, 9_000), (20_000, 28_000, 20_000)]
        {
            server.pass_over(SourceFault::Unreachable, at(asked), at(told));
            assert!(server.is_away(at(told)) && server.is_away(at(told + rest - 1)), "{told}");
            assert!(!server.is_away(at(told + rest)), "{told}");
        }
        for late in [SourceFault::Broken, SourceFault::TimedOut] {
            server.pass_over(late, at(30_000), at(38_000));
            assert!(server.is_away(at(38_999)) && !server.is_away(at(39_000)), "{late:?}");
        }
    }
}
