//! How long a node takes to answer what it holds: quantiles of the recent past, and what they are at rest.
//!
//! Each answer costs one atomic addition; quantiles are taken when somebody asks. What is counted is the time
//! within the node alone, so that a rise above the time at rest is queueing: load as it is felt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Each power of two is cut into this many steps: a quantile is within 7 % of the truth.
const STEPS: usize = 8;
/// Powers of two of a microsecond: the last is 18 minutes.
const POWERS: usize = 31;
/// Looks closer together than this answer alike: several selectors ask at once.
const APART: Duration = Duration::from_secs(1);
/// Fewer answers than this say nothing about their hundredth; they are kept until more have come, or until
const TELLING: u64 = 20;
/// so much time has passed.
const PATIENCE: Duration = Duration::from_secs(10);
/// By how much the time at rest is forgotten each minute: a machine may become another one.
const FORGOTTEN: f64 = 0.01;

/// What it takes to the first byte of what is cached, in milliseconds; 0 while unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceTime {
    /// Median of the recent past.
    pub p50_ms: f64,
    /// What one in a hundred exceeds.
    pub p99_ms: f64,
    /// The least that the median has been lately: the time at rest.
    pub idle_ms: f64,
}

/// Counts answers by how long they took.
pub(crate) struct Pace {
    counts: [AtomicU64; STEPS * POWERS],
    told: Mutex<Told>,
}

struct Told {
    at: Option<Instant>,
    seen: [u64; STEPS * POWERS],
    times: ServiceTime,
}

impl Default for Pace {
    fn default() -> Self {
        let told = Told { at: None, seen: [0; STEPS * POWERS], times: ServiceTime::default() };
        Self { counts: [const { AtomicU64::new(0) }; STEPS * POWERS], told: Mutex::new(told) }
    }
}

impl Pace {
    /// One answer.
    pub(crate) fn took(&self, after: Duration) {
        if let Some(count) = self.counts.get(step(after)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The quantiles of the answers since the look before.
    pub(crate) fn times(&self, now: Instant) -> ServiceTime {
        let mut told = self.told.lock();
        let passed = told.at.map(|at| now.saturating_duration_since(at));
        if passed.is_some_and(|passed| passed < APART) {
            return told.times;
        }
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let new: Vec<u64> = counts.iter().zip(&told.seen).map(|(now, then)| now - then).collect();
        let all: u64 = new.iter().sum();
        if all == 0 || all < TELLING && passed.is_some_and(|passed| passed < PATIENCE) {
            return told.times;
        }
        let p50_ms = quantile(&new, all.div_ceil(2));
        let minutes = passed.unwrap_or_default().as_secs_f64() / 60.0;
        let remembered = told.times.idle_ms * (1.0 + FORGOTTEN * minutes);
        told.times = ServiceTime {
            p50_ms,
            p99_ms: quantile(&new, (all * 99).div_ceil(100)),
            idle_ms: if remembered > 0.0 { remembered.min(p50_ms) } else { p50_ms },
        };
        told.seen.copy_from_slice(&counts);
        told.at = Some(now);
        told.times
    }
}

fn step(after: Duration) -> usize {
    let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2() as usize;
    // The three bits behind the first one.
    let within = ((micros << 3) >> power) as usize & (STEPS - 1);
    (power * STEPS + within).min(STEPS * POWERS - 1)
}

/// Milliseconds in the middle of the step that holds the answer of that rank.
fn quantile(counts: &[u64], rank: u64) -> f64 {
    let mut below = 0;
    let reached = counts.iter().position(|count| {
        below += count;
        below >= rank
    });
    let step = reached.unwrap_or(counts.len().saturating_sub(1));
    let begin = f64::from(1u32 << (step / STEPS)) * (1.0 + (step % STEPS) as f64 / STEPS as f64);
    let width = f64::from(1u32 << (step / STEPS)) / STEPS as f64;
    (begin + width / 2.0) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_the_truth_over_the_whole_scale() {
        for ms in [0.01, 0.4, 4.0, 37.0, 900.0, 60_000.0] {
            let pace = Pace::default();
            pace.took(Duration::from_secs_f64(ms / 1000.0));
            let told = pace.times(Instant::now()).p50_ms;
            assert!((told / ms - 1.0).abs() < 0.07, "{told} for {ms}");
        }
        let pace = Pace::default();
        pace.took(Duration::MAX);
        pace.took(Duration::ZERO);
        assert!(pace.times(Instant::now()).p99_ms > 1e6);
    }

    #[test]
    fn the_past_is_forgotten_and_the_time_at_rest_is_not() {
        let (pace, start) = (Pace::default(), Instant::now());
        let answers = |count: u64, ms: u64| (0..count).for_each(|_| pace.took(Duration::from_millis(ms)));
        answers(98, 1);
        answers(2, 80);
        let first = pace.times(start);
        assert!(first.p50_ms < 1.1 && first.p99_ms > 70.0, "{first:?}");
        answers(100, 20);
        assert_eq!(pace.times(start + Duration::from_millis(1)), first, "looks at once agree");
        let loaded = pace.times(start + Duration::from_secs(2));
        assert!((18.0..22.0).contains(&loaded.p50_ms) && loaded.idle_ms < 1.1, "{loaded:?}");
        answers(3, 500);
        assert_eq!(pace.times(start + Duration::from_secs(4)), loaded, "three answers say nothing yet");
        assert!(pace.times(start + Duration::from_secs(14)).p50_ms > 400.0);
        assert_eq!(pace.times(start + Duration::from_secs(60)).idle_ms, pace.told.lock().times.idle_ms);
    }
}
