//! A bandwidth limit: what has come is owed, and the next object waits until the debt is paid off.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Longest single wait; a larger debt is looked at again.
const LOOK: Duration = Duration::from_secs(60);

/// Bytes against time. Objects are not cut into pieces: the mean rate is kept, a single object comes as fast
/// as it can.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes_per_s: Option<f64>,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    owed: f64,
    at: Instant,
}

impl Bucket {
    /// In bits per second; `None` = no limit.
    pub(super) fn new(max_bps: Option<u64>, now: Instant) -> Self {
        let bytes_per_s = max_bps.map(|bps| bps.max(1) as f64 / 8.0);
        Self { bytes_per_s, level: Mutex::new(Level { owed: 0.0, at: now }) }
    }

    /// So many bytes have come.
    pub(super) fn took(&self, bytes: u64, now: Instant) {
        if let Some(rate) = self.bytes_per_s {
            let mut level = self.level.lock();
            level.pay(rate, now);
            level.owed += bytes as f64;
        }
    }

    /// Waits until nothing is owed.
    pub(super) async fn turn(&self) {
        // Others may add to the debt during the wait.
        while let Some(wait) = self.debt(Instant::now()) {
            sleep(wait.min(LOOK)).await;
        }
    }

    /// How long to wait; `None` = go ahead.
    fn debt(&self, now: Instant) -> Option<Duration> {
        let rate = self.bytes_per_s?;
        let mut level = self.level.lock();
        level.pay(rate, now);
        let seconds = level.owed / rate;
        // Less than a millisecond is below what a timer can do.
        (seconds > 0.001).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LOOK))
    }
}

impl Level {
    fn pay(&mut self, rate: f64, now: Instant) {
        self.owed = (self.owed - now.duration_since(self.at).as_secs_f64() * rate).max(0.0);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_mean_rate_is_kept() {
        let start = Instant::now();
        let bucket = Bucket::new(Some(8000), start);
        let mut now = start;
        for _ in 0..10 {
            now += bucket.debt(now).unwrap_or_default();
            bucket.took(500, now);
        }
        now += bucket.debt(now).unwrap_or_default();
        let took = now - start;
        assert!(took > SECOND * 49 / 10 && took < SECOND * 51 / 10, "5000 bytes at 1000 bytes/s: {took:?}");
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let start = Instant::now();
        let bucket = Bucket::new(Some(8000), start);
        let later = start + SECOND * 100;
        bucket.took(1000, later);
        let debt = bucket.debt(later).unwrap_or_default();
        assert!(debt > SECOND * 99 / 100, "{debt:?}");
    }

    #[test]
    fn no_limit_never_waits_and_an_absurd_debt_does_not_panic() {
        let now = Instant::now();
        let free = Bucket::new(None, now);
        free.took(u64::MAX, now);
        assert_eq!(free.debt(now), None);
        let slow = Bucket::new(Some(1), now);
        slow.took(u64::MAX, now);
        assert!(slow.debt(now).is_some());
    }
}
