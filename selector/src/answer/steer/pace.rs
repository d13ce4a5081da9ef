//! When a player comes again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kromka_config::SteeringConfig;
use xxhash_rust::xxh3::xxh3_64;

/// Most that a crowd can stretch the time, so that it ends when the crowd has gone.
const CROWDING_MAX: f64 = 20.0;

/// How many documents are asked for.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    second: AtomicU64,
    count: AtomicU64,
    before: AtomicU64,
}

impl Pace {
    /// Counts one answer in `second`, any count of seconds that only grows. By how much players must come less
    /// often, so that all find an answer: 1 as long as there are at most `answers` a second.
    pub(super) fn crowding(&self, second: u64, answers: u32) -> f64 {
        let last = self.second.swap(second, Relaxed);
        if last != second {
            // Whoever comes first in a second closes the one before; a count that slips past does not matter.
            let counted = self.count.swap(0, Relaxed);
            self.before.store(if last + 1 == second { counted } else { 0 }, Relaxed);
        }
        let now = self.count.fetch_add(1, Relaxed) + 1;
        let rate = now.max(self.before.load(Relaxed));
        (rate as f64 / f64::from(answers.max(1))).clamp(1.0, CROWDING_MAX)
    }
}

/// Seconds between two looks, before crowding and spreading.
pub(super) fn usual(config: &SteeringConfig, vod: bool, hot: bool) -> f64 {
    let calm = if vod { config.vod } else { config.live }.as_secs_f64();
    if hot { calm.min(config.hot.as_secs_f64()) } else { calm }
}

/// A session's lot, 0..1: always the same for one, and evenly spread over all.
pub(super) fn lot(session: &str) -> f64 {
    (xxh3_64(session.as_bytes()) >> 11) as f64 / (1u64 << 53) as f64
}

/// Whole seconds until a player comes again: spread by a tenth to either side, so that players who came together
/// do not come together for ever.
pub(super) fn ttl_s(usual_s: f64, crowding: f64, lot: f64) -> u64 {
    (usual_s * crowding * (0.9 + 0.2 * lot)).round().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_spread_by_a_tenth() {
        let ttls: Vec<u64> = (0..1_000).map(|n| ttl_s(30.0, 1.0, lot(&n.to_string()))).collect();
        assert_eq!((ttls.iter().min(), ttls.iter().max()), (Some(&27), Some(&33)));
        assert_eq!(ttl_s(0.1, 1.0, lot("a")), 1);
    }

    #[test]
    fn live_vod_and_hot_have_their_times() {
        let config = SteeringConfig::default();
        assert_eq!((usual(&config, false, false), usual(&config, true, false)), (30.0, 60.0));
        assert_eq!((usual(&config, false, true), usual(&config, true, true)), (10.0, 10.0));
    }

    #[test]
    fn a_crowd_is_asked_to_come_less_often_until_it_has_gone() {
        let pace = Pace::default();
        for _ in 0..100 {
            assert_eq!(pace.crowding(7, 100), 1.0);
        }
        for _ in 0..100 {
            pace.crowding(7, 100);
        }
        assert_eq!(pace.crowding(8, 100), 2.0, "the second before counts until this one is over");
        assert_eq!(pace.crowding(9, 100), 1.0);
        for _ in 0..10_000 {
            pace.crowding(9, 100);
        }
        assert_eq!(pace.crowding(10, 100), CROWDING_MAX);
        assert_eq!(pace.crowding(12, 100), 1.0);
    }
}
