//! Waiting that grows, with jitter, so that a fleet does not knock in step.

use std::time::Duration;

use uuid::Uuid;

/// Doubles from `first` to `most`.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.most);
        jitter(wait)
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// `span`, give or take a tenth.
pub(super) fn jitter(span: Duration) -> Duration {
    // The low bits of a UUIDv7 are random; no further crate is needed for a tenth of a wait.
    let random = Uuid::now_v7().as_u128() as u16;
    span.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_over() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        for expected in [100, 200, 350, 350] {
            let wait = backoff.next();
            assert!(wait >= ms(expected).mul_f64(0.89) && wait <= ms(expected).mul_f64(1.11), "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= ms(111));
    }

    #[test]
    fn jitter_spreads() {
        let span = Duration::from_secs(1);
        let waits: std::collections::HashSet<_> = (0..50).map(|_| jitter(span)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
