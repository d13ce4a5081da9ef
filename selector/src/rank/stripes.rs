//! Counts that many threads add to at once, so that none waits for another's cache line.
//!
//! What a thread adds stays in a line of its own until it is worth telling, and is then handed to the sum that all
//! read. So a thread knows at once what it has added itself, and of each other line at most so much too little as
//! its owner may hold back. Nothing is lost: whoever needs the exact sum asks for all lines.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Lines; threads past so many share one, which costs them time and no accuracy.
pub(super) const STRIPES: usize = 8;

/// The line of the thread that asks.
#[inline]
pub(super) fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
    OWN.with(|own| match own.get() {
        usize::MAX => {
            let stripe = NEXT.fetch_add(1, Relaxed) % STRIPES;
            own.set(stripe);
            stripe
        }
        stripe => stripe,
    })
}

/// One count that is held back.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Held(AtomicU64);

/// One count, striped.
#[derive(Debug, Default)]
pub(super) struct Striped {
    told: AtomicU64,
    held: [Held; STRIPES],
}

impl Striped {
    /// Adds; at most `hold` stay untold.
    #[inline]
    pub(super) fn add(&self, amount: u64, hold: u64) {
        add(&self.held[own()].0, &self.told, amount, hold);
    }

    /// The sum, as this thread knows it.
    #[inline]
    pub(super) fn known(&self) -> u64 {
        self.told.load(Relaxed).wrapping_add(self.held[own()].0.load(Relaxed))
    }

    /// The whole sum.
    pub(super) fn sum(&self) -> u64 {
        self.held.iter().fold(self.told.load(Relaxed), |sum, held| sum.wrapping_add(held.0.load(Relaxed)))
    }

    /// The whole sum, which begins anew; what is added meanwhile belongs to one of both.
    pub(super) fn take(&self) -> u64 {
        let held = self.held.iter().map(|held| held.0.swap(0, Relaxed));
        held.fold(self.told.swap(0, Relaxed), u64::wrapping_add)
    }
}

/// As many counts as fill a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Line([AtomicU64; 8]);

/// What is held back of many counts: the lines of each thread side by side, since it reads most of them together.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: Box<[Line]>,
    per_stripe: usize,
}

impl Table {
    /// For so many counts.
    pub(super) fn new(counts: usize) -> Table {
        let per_stripe = counts.div_ceil(8);
        Table { lines: (0..per_stripe * STRIPES).map(|_| Line::default()).collect(), per_stripe }
    }

    /// What the thread that asks holds back.
    #[inline]
    pub(super) fn row(&self) -> Row<'_> {
        let first = own() * self.per_stripe;
        Row(self.lines.get(first..first + self.per_stripe).unwrap_or_default())
    }

    /// Adds to one of the counts, whose told sum is `told`; at most `hold` stay untold.
    #[inline]
    pub(super) fn add(&self, count: usize, told: &AtomicU64, amount: u64, hold: u64) {
        if let Some(line) = self.row().0.get(count / 8) {
            add(&line.0[count % 8], told, amount, hold);
        }
    }
}

/// What one thread holds back of each count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'t>(&'t [Line]);

impl Row<'_> {
    /// Of one of them.
    #[inline]
    pub(super) fn of(self, count: usize) -> u64 {
        self.0.get(count / 8).map_or(0, |line| line.0[count % 8].load(Relaxed))
    }
}

#[inline]
fn add(held: &AtomicU64, told: &AtomicU64, amount: u64, hold: u64) {
    if held.fetch_add(amount, Relaxed).wrapping_add(amount) > hold {
        told.fetch_add(held.swap(0, Relaxed), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn nothing_is_lost_and_each_knows_its_own_at_once() {
        const THREADS: u64 = 12;
        const TIMES: u64 = 20_000;
        const HOLD: u64 = 50;
        let (one, table, told) = (Striped::default(), Table::new(20), AtomicU64::new(0));
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for n in 0..TIMES {
                        one.add(3, HOLD);
                        table.add(17, &told, 3, HOLD);
                        if n % 1_000 == 0 {
                            taken.fetch_add(one.take(), Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(one.sum() + taken.load(Relaxed), 3 * THREADS * TIMES);
        let held: u64 = table.lines.iter().flat_map(|line| &line.0).map(|count| count.load(Relaxed)).sum();
        assert_eq!(told.load(Relaxed) + held, 3 * THREADS * TIMES);
        assert!(held <= STRIPES as u64 * HOLD, "{held} held back");
        let before = one.known();
        one.add(7, HOLD);
        assert_eq!(one.known(), before + 7);
        assert_eq!(Table::new(0).row().of(3), 0);
    }

    #[test]
    fn what_may_not_be_held_back_is_told_at_once() {
        let one = Striped::default();
        one.add(5, 0);
        assert_eq!(std::thread::scope(|scope| scope.spawn(|| one.known()).join().unwrap()), 5);
        one.add(5, 5);
        assert_eq!((one.sum(), one.take(), one.take()), (10, 10, 0));
    }
}
