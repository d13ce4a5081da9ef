//! When a disk has failed often enough to be left alone, and when it is tried again. Pure: given the time.

use std::time::{Duration, Instant};

/// So many failures within [`WINDOW`] take a disk out.
const FAILURES: usize = 5;
const WINDOW: Duration = Duration::from_secs(10);
/// The first probe of a disk that is out; each that fails doubles the wait.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The failures of a disk that is in.
#[derive(Default)]
pub(super) struct Circuit {
    /// The last ones, oldest first.
    failures: Vec<Instant>,
}

impl Circuit {
    /// Notes a failure; returns whether that was one too many.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.failures.retain(|at| now.duration_since(*at) < WINDOW);
        self.failures.push(now);
        self.failures.len() >= FAILURES
    }
}

/// The waits of a disk that is out.
pub(super) struct Probing {
    pub next: Instant,
    wait: Duration,
}

impl Probing {
    pub(super) fn since(now: Instant) -> Self {
        Self { next: now + FIRST, wait: FIRST }
    }

    /// A probe failed.
    pub(super) fn again(&mut self, now: Instant) {
        self.wait = (self.wait * 2).min(LONGEST);
        self.next = now + self.wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_failures_are_forgiven_and_many_are_not() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        for n in 0..20 {
            assert!(!circuit.failed(start + WINDOW / 4 * n), "one now and then");
        }
        let now = start + WINDOW * 100;
        let tripped: Vec<bool> = (0..FAILURES).map(|_| circuit.failed(now)).collect();
        assert_eq!(tripped, [false, false, false, false, true]);
    }

    #[test]
    fn probes_become_rare() {
        let start = Instant::now();
        let mut probing = Probing::since(start);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let before = probing.next;
            probing.again(before);
            waits.push((probing.next - before).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
    }
}
