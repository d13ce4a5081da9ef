//! The space a disk may take. Every byte is reserved here before it is written and given back after it is
//! gone, so that what lies on the disk is never more than this says, and this never more than the limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The unit that disk space is counted in, bytes; what a block costs on most file systems.
pub(super) const PAGE: u64 = 4096;
/// Eviction runs ahead of the writer by a part of the limit, but by no more than this.
const MOST_AHEAD: u64 = 256 << 20;

/// What so many bytes of a file take.
pub(super) fn space(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

/// The account of one disk.
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
    /// Told when something was given back.
    freed: (Mutex<()>, Condvar),
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), freed: (Mutex::new(()), Condvar::new()) }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Takes so many bytes if they are free.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|&used| used <= self.limit);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Takes them in any case: they lie on the disk already.
    pub(super) fn force(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn release(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        // The closure never refuses.
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        let _held = self.freed.0.lock();
        self.freed.1.notify_all();
    }

    /// Waits for so many bytes; whether they were taken.
    pub(super) fn reserve_within(&self, bytes: u64, patience: Duration) -> bool {
        let until = std::time::Instant::now() + patience;
        let mut held = self.freed.0.lock();
        while !self.reserve(bytes) {
            if self.freed.1.wait_until(&mut held, until).timed_out() {
                return self.reserve(bytes);
            }
        }
        true
    }

    /// How far eviction keeps ahead of the writer, bytes.
    fn ahead(&self) -> u64 {
        (self.limit / 32).clamp(4 * PAGE, MOST_AHEAD)
    }

    /// Above it, the sweeper makes room...
    pub(super) fn high(&self) -> u64 {
        self.limit.saturating_sub(self.ahead())
    }

    /// ...until this is left.
    pub(super) fn low(&self) -> u64 {
        self.limit.saturating_sub(2 * self.ahead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn never_more_than_the_limit_whoever_reserves() {
        let budget = Arc::new(Budget::new(1000 * PAGE));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let budget = budget.clone();
                std::thread::spawn(move || {
                    for _ in 0..10_000 {
                        if budget.reserve(300 * PAGE) {
                            assert!(budget.used() <= budget.limit());
                            budget.release(300 * PAGE);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn who_waits_is_told() {
        let budget = Arc::new(Budget::new(10 * PAGE));
        assert!(budget.reserve(10 * PAGE));
        assert!(!budget.reserve_within(PAGE, Duration::ZERO));
        let other = budget.clone();
        let waiting = std::thread::spawn(move || other.reserve_within(PAGE, Duration::from_secs(60)));
        budget.release(PAGE);
        assert!(waiting.join().unwrap());
    }
}
