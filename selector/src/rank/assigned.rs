//! Viewers that this selector has sent somewhere, and that no report shows yet.
//!
//! Reports are old the moment they arrive; a crowd sent to the edge that looked idle half a second ago would
//! overload it. So what was sent since is added to what was reported, times a [`Gain`]: how many viewers come in
//! all for each one that this selector sends, since other selectors send there too.

use std::sync::atomic::{AtomicU64, Ordering};

use super::stripes::Striped;

/// Parts that a viewer is counted in, since an answer in DNS may stand for a fraction of one.
const PARTS: f64 = 256.0;

/// Most viewers that are counted between two reports; far past any bound on what an edge could carry.
const VIEWERS_MAX: u64 = 1 << 24;

/// Viewers sent to one edge and not yet visible in its reports. Threads count apart, so that they do not wait for
/// each other; what one has not told the others is bounded by whoever adds.
#[derive(Debug, Default)]
pub struct Assigned {
    since: Striped,
    before: AtomicU64,
}

impl Assigned {
    /// So many more viewers were sent there, in all likelihood. Other threads may learn of at most `hold` viewers
    /// later, when there are more or the next report comes.
    #[inline]
    pub fn add(&self, viewers: f64, hold: f64) {
        if self.since.known() < VIEWERS_MAX * PARTS as u64 {
            self.since.add((viewers.clamp(0.0, 1e6) * PARTS) as u64, (hold * PARTS) as u64);
        }
    }

    /// A report has arrived, `elapsed_ms` after the one before it. Viewers need `settle_ms` to arrive and to show
    /// as traffic: those sent within that time still count. Returns how many were sent since the last report, to
    /// the last one.
    pub fn reported(&self, elapsed_ms: u64, settle_ms: u64) -> f64 {
        let sent = self.since.take();
        let before = self.before.load(Ordering::Relaxed);
        let elapsed = elapsed_ms.max(1) as f64;
        let settle = settle_ms as f64;
        let fresh = sent as f64 * (settle / elapsed).min(1.0);
        let older = if settle > elapsed { before as f64 * (1.0 - elapsed / settle) } else { 0.0 };
        self.before.store((fresh + older) as u64, Ordering::Relaxed);
        sent as f64 / PARTS
    }

    /// Viewers that the last report cannot have counted, as this thread knows them.
    #[inline]
    pub fn count(&self) -> f64 {
        let parts = self.since.known() + self.before.load(Ordering::Relaxed);
        parts as i64 as f64 * (1.0 / PARTS)
    }

    /// All of them.
    pub fn total(&self) -> f64 {
        let parts = self.since.sum() + self.before.load(Ordering::Relaxed);
        parts as i64 as f64 * (1.0 / PARTS)
    }
}

/// Half-life of what a [`Gain`] remembers, in milliseconds.
const GAIN_HALF_LIFE_MS: f64 = 30_000.0;

/// How many viewers a gain of 1 is worth before anything is seen.
const GAIN_PRIOR: f64 = 2.0;

/// How many viewers come to an edge for each one that this selector sends there. Learned from the edge's own count
/// of sessions, so that several selectors make up for each other without talking.
#[derive(Clone, Debug)]
pub struct Gain {
    started: f64,
    sent: f64,
    total: Option<u64>,
    most: f64,
}

impl Gain {
    /// Knows nothing; never more than twice the number of selectors.
    pub fn new(selectors_max: u32) -> Gain {
        Gain { started: 0.0, sent: 0.0, total: None, most: 2.0 * f64::from(selectors_max.max(1)) }
    }

    /// A report: the sessions begun since the edge's process started, how many of them this selector `sent` since
    /// the last report, and the milliseconds since then. A count that went back is that of a new process.
    pub fn learn(&mut self, sessions_started: u64, sent: f64, elapsed_ms: u64) {
        let last = self.total.replace(sessions_started);
        let Some(started) = last.and_then(|last| sessions_started.checked_sub(last)) else { return };
        let keep = 0.5f64.powf(elapsed_ms as f64 / GAIN_HALF_LIFE_MS);
        self.started = self.started * keep + started as f64;
        self.sent = self.sent * keep + sent.max(0.0);
    }

    /// The factor, 1 to twice the number of selectors.
    pub fn value(&self) -> f64 {
        ((self.started + GAIN_PRIOR) / (self.sent + GAIN_PRIOR)).clamp(1.0, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_lately_counts_until_it_has_settled() {
        let assigned = Assigned::default();
        (0..10).for_each(|_| assigned.add(1.0, 0.0));
        assert_eq!(assigned.count(), 10.0);
        assert_eq!(assigned.reported(500, 1_000), 10.0);
        assert_eq!(assigned.count(), 10.0, "none has settled");
        assert_eq!(assigned.reported(500, 1_000), 0.0);
        assert_eq!(assigned.count(), 5.0);
        assigned.add(0.5, 3.0);
        assigned.reported(10_000, 1_000);
        assert!(assigned.count() < 0.1, "a long interval settles all but its end");
        assigned.add(f64::NAN, 0.0);
        assigned.add(-3.0, 0.0);
        assert!(assigned.count() < 0.1);
    }

    #[test]
    fn other_threads_learn_late_and_reports_count_all() {
        let assigned = Assigned::default();
        let elsewhere = |viewers: u32| {
            std::thread::scope(|scope| {
                let _ = scope.spawn(|| (0..viewers).for_each(|_| assigned.add(1.0, 4.0))).join();
            });
        };
        elsewhere(4);
        assert_eq!((assigned.count(), assigned.total()), (0.0, 4.0), "not worth telling yet");
        elsewhere(7);
        assert!(assigned.total() == 11.0 && assigned.count() >= 5.0, "{assigned:?}");
        assert_eq!(assigned.reported(500, 1_000), 11.0);
        assert_eq!((assigned.count(), assigned.total()), (11.0, 11.0));
    }

    #[test]
    fn the_share_of_other_selectors_is_learnt() {
        let mut gain = Gain::new(4);
        assert_eq!(gain.value(), 1.0);
        let mut total = 100;
        for _ in 0..200 {
            gain.learn(total, 10.0, 500);
            total += 30;
        }
        assert!((gain.value() - 3.0).abs() < 0.1, "{}", gain.value());
        gain.learn(5, 10.0, 500);
        assert!((gain.value() - 3.0).abs() < 0.1, "a restart teaches nothing");
        total = 5;
        for _ in 0..200 {
            total += 10;
            gain.learn(total, 10.0, 500);
        }
        assert!(gain.value() < 1.25, "{}", gain.value());
        for _ in 0..200 {
            total += 1_000;
            gain.learn(total, 1.0, 500);
        }
        assert_eq!(gain.value(), 8.0);
    }
}
