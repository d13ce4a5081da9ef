//! The tier's clock: wall time that never runs backwards, so that nothing stored becomes younger.
//!
//! It follows the monotonic clock. A wall clock that jumps ahead takes it along: what is stored then is
//! too old and is asked about again, which is slow and right. One that jumps back does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock may be ahead by so much before it counts as a jump: the resolution of HTTP dates.
const STEP: u64 = 1_000_000_000;

/// The moment at which an answer came: on the tier's clock, and on the wall's, which is what `Date` is
/// held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub at: SystemTime,
    pub wall: SystemTime,
}

impl From<SystemTime> for Moment {
    fn from(at: SystemTime) -> Self {
        Self { at, wall: at }
    }
}

/// A line through time that only goes up.
pub(crate) struct Clock {
    start: Instant,
    /// Where the line stood at `start`, nanoseconds since 1970.
    origin: AtomicU64,
    /// How wrong the wall is, for tests, milliseconds.
    #[cfg(test)]
    pub error_ms: std::sync::atomic::AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            origin: AtomicU64::new(nanos(SystemTime::now())),
            #[cfg(test)]
            error_ms: Default::default(),
        }
    }

    /// Now, for how long something has been here.
    pub(crate) fn now(&self) -> SystemTime {
        self.at(self.wall(), Instant::now())
    }

    /// Now, on both clocks.
    pub(crate) fn moment(&self) -> Moment {
        let wall = self.wall();
        Moment { at: self.at(wall, Instant::now()), wall }
    }

    fn wall(&self) -> SystemTime {
        let wall = SystemTime::now();
        #[cfg(test)]
        let wall = {
            let error = self.error_ms.load(Ordering::Relaxed);
            let by = Duration::from_millis(error.unsigned_abs());
            if error < 0 { wall - by } else { wall + by }
        };
        wall
    }

    fn at(&self, wall: SystemTime, now: Instant) -> SystemTime {
        let passed = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let told = nanos(wall).saturating_sub(passed);
        let mut origin = self.origin.load(Ordering::Relaxed);
        if told > origin.saturating_add(STEP) {
            origin = self.origin.fetch_max(told, Ordering::Relaxed).max(told);
        }
        UNIX_EPOCH + Duration::from_nanos(origin.saturating_add(passed))
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_passes_at_the_pace_of_time_whatever_the_wall_says() {
        let clock = Clock::new();
        let (start, wall) =
            (clock.start, UNIX_EPOCH + Duration::from_nanos(clock.origin.load(Ordering::Relaxed)));
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let hour = Duration::from_secs(3600);
        let at = |wall_then: SystemTime, seconds: u64| {
            clock.at(wall_then, after(seconds)).duration_since(wall).unwrap().as_secs()
        };
        assert_eq!(at(wall + Duration::from_secs(10), 10), 10);
        assert_eq!(at(wall - hour, 20), 20, "a wall clock that jumped back");
        assert_eq!(at(wall - hour, 30), 30);
        assert_eq!(at(wall + hour, 40), 3600, "one that jumped ahead");
        assert_eq!(at(wall + Duration::from_secs(50), 50), 3610, "and came back: nothing gets younger");
    }
}
