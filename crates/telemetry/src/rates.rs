//! How busy a process is: rates out of counters, without a task of their own.
//!
//! Every heartbeat looks at the counters; a rate is the difference to the look before, smoothed, so that a
//! single burst does not send all viewers elsewhere.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Looks closer together than this answer with the last rates: several selectors ask at once.
const APART: Duration = Duration::from_millis(200);

/// The weight of the newest second; three seconds later 5 % of an old rate are left.
const WEIGHT: f64 = 0.63;

/// Clock ticks per second in `/proc`: USER_HZ, 100 on every architecture that Linux has kept.
const TICKS: f64 = 100.0;

/// What the counters say at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Bytes sent to clients so far.
    pub sent: u64,
    /// Bytes fetched from the source so far.
    pub fetched: u64,
    /// Requests answered without the source so far.
    pub hits: u64,
    /// All requests so far.
    pub answered: u64,
    /// TCP segments sent so far.
    pub segments: u64,
    /// Of these, repeated because they seemed lost.
    pub repeated: u64,
}

/// The smoothed rates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Bits per second to clients.
    pub egress_bps: f64,
    /// Bits per second from the source.
    pub fill_bps: f64,
    /// Share of requests answered without the source.
    pub hit_ratio: f64,
    /// Share of all processors in use by this process, 0..1.
    pub cpu: f64,
    /// Share of sent segments that were repetitions.
    pub repeated: f64,
}

/// Turns readings into rates.
pub struct RateMeter {
    last: Mutex<Last>,
    cores: f64,
}

struct Last {
    at: Instant,
    reading: Reading,
    cpu_s: f64,
    rates: Rates,
}

impl Default for RateMeter {
    fn default() -> RateMeter {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let last = Last {
            at: Instant::now(),
            reading: Reading::default(),
            cpu_s: cpu_seconds(),
            rates: Rates::default(),
        };
        RateMeter { last: Mutex::new(last), cores: cores as f64 }
    }
}

impl RateMeter {
    /// The rates up to `now`, given what the counters say then.
    pub fn rates(&self, now: Instant, reading: Reading) -> Rates {
        let mut last = self.last.lock();
        let passed = now.saturating_duration_since(last.at);
        if passed < APART {
            return last.rates;
        }
        let seconds = passed.as_secs_f64();
        let keep = (1.0 - WEIGHT).powf(seconds);
        let smooth = |old: f64, new: f64| old * keep + new * (1.0 - keep);
        let per_second = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        let cpu_s = cpu_seconds();
        let before = last.reading;
        let rates = &mut last.rates;
        rates.egress_bps = smooth(rates.egress_bps, per_second(reading.sent, before.sent) * 8.0);
        rates.fill_bps = smooth(rates.fill_bps, per_second(reading.fetched, before.fetched) * 8.0);
        let answered = reading.answered.saturating_sub(before.answered);
        if answered > 0 {
            let hits = reading.hits.saturating_sub(before.hits);
            rates.hit_ratio = smooth(rates.hit_ratio, hits as f64 / answered as f64).clamp(0.0, 1.0);
        }
        let segments = reading.segments.saturating_sub(before.segments);
        if segments > 0 {
            let repeated = reading.repeated.saturating_sub(before.repeated);
            rates.repeated = smooth(rates.repeated, repeated as f64 / segments as f64).clamp(0.0, 1.0);
        }
        let rates = *rates;
        let busy = (cpu_s - last.cpu_s).max(0.0) / seconds / self.cores;
        *last = Last {
            at: now,
            reading,
            cpu_s,
            rates: Rates { cpu: smooth(rates.cpu, busy).clamp(0.0, 1.0), ..rates },
        };
        last.rates
    }
}

/// Seconds of processor time this process has used; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // The name in parentheses may hold spaces: count from behind it. utime and stime are fields 14 and 15.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks: u64 =
        rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_steady_rate_is_reached_and_a_burst_fades() {
        let meter = RateMeter::default();
        let start = Instant::now();
        let mut rates = Rates::default();
        for second in 1..=10 {
            let reading = Reading {
                sent: second * 1_000_000,
                hits: second * 9,
                answered: second * 10,
                segments: second * 100,
                repeated: second * 2,
                fetched: 0,
            };
            rates = meter.rates(start + Duration::from_secs(second), reading);
        }
        assert!((7.9e6..8.1e6).contains(&rates.egress_bps), "{rates:?}");
        assert!((0.89..0.91).contains(&rates.hit_ratio), "{rates:?}");
        assert!((0.019..0.021).contains(&rates.repeated), "{rates:?}");
        let still =
            Reading { sent: 10_000_000, hits: 90, answered: 100, segments: 1000, repeated: 20, fetched: 0 };
        let rates = meter.rates(start + Duration::from_secs(15), still);
        assert!(rates.egress_bps < 0.1e6, "{rates:?}");
        assert!((0.89..0.91).contains(&rates.hit_ratio), "no request says nothing about hits: {rates:?}");
    }

    #[test]
    fn looks_close_together_agree() {
        let meter = RateMeter::default();
        let start = Instant::now() + Duration::from_secs(1);
        let first = meter.rates(start, Reading { sent: 1000, ..Reading::default() });
        let again =
            meter.rates(start + Duration::from_millis(1), Reading { sent: 9_000_000, ..Reading::default() });
        assert_eq!(first.egress_bps, again.egress_bps);
    }
}
