//! How many viewers stand behind one answer.
//!
//! A resolver asks again when its copy has expired *and* the next viewer comes: between two questions pass the
//! TTL and, on average, one pause between viewers. So `TTL / (gap - TTL)` viewers used the copy, besides the one
//! that fetched it. The gap is remembered per network and service and smoothed; the answer is bounded, and a network
//! counts once in a TTL, however many questions (A, AAAA, HTTPS) it asks.
//!
//! Anyone can pretend to be many networks. So all answers together count for no more than a twentieth of what the
//! fleet can serve in a second: beyond it answers are given and not counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::rates::spend;

/// Networks remembered: 128 KiB. Two that meet in one slot forget each other, which costs accuracy alone.
const SLOTS: usize = 1 << 14;

/// Most viewers that one answer may stand for.
const CROWD_MAX: u64 = 256;

/// Longest gap that is told apart, in milliseconds.
const GAP_MAX_MS: u64 = (1 << 20) - 1;

/// Viewers of a fleet that nobody knows the size of.
const SMALL_FLEET: u64 = 2_000;

/// What is known about the networks that ask.
pub(super) struct Crowds {
    /// From the top: 12 bits that tell networks apart, 32 of the time in milliseconds, 20 of the gap.
    slots: Box<[AtomicU64]>,
    allowance: AtomicU64,
    /// Microseconds of the allowance that one viewer takes.
    cost_us: AtomicU64,
}

impl Crowds {
    /// Nobody is known yet.
    pub(super) fn new() -> Crowds {
        let crowds = Crowds {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            allowance: AtomicU64::new(0),
            cost_us: AtomicU64::new(0),
        };
        crowds.fleet(0);
        crowds
    }

    /// Says how many viewers the fleet can serve at once.
    pub(super) fn fleet(&self, viewers: u64) {
        let per_second = (viewers / 20).max(SMALL_FLEET / 20);
        self.cost_us.store((1_000_000 / per_second).max(1), Ordering::Relaxed);
    }

    /// For how many viewers an answer counts that is given now; 0 when its network has been counted, or all of them
    /// together for as much as they may. `network` is a hash that tells networks and services apart.
    pub(super) fn weigh(&self, network: u64, now_ms: u64, ttl_ms: u64) -> u64 {
        let Some(slot) = self.slots.get(network as usize & (SLOTS - 1)) else { return 0 };
        let (tag, now) = (network >> 52, now_ms & 0xFFFF_FFFF);
        let known = slot.load(Ordering::Relaxed);
        let mut gap = GAP_MAX_MS;
        if known != 0 && known >> 52 == tag {
            let passed = now.wrapping_sub(known >> 20) & 0xFFFF_FFFF;
            // A copy does not expire before its time: another question of the same viewers, or another resolver of
            // theirs, whose viewers make the gap of both shorter.
            if passed < ttl_ms {
                return 0;
            }
            let before = known & GAP_MAX_MS;
            gap = match before {
                GAP_MAX_MS => passed.min(GAP_MAX_MS),
                before => (3 * before + passed.min(GAP_MAX_MS)) / 4,
            };
        }
        slot.store(tag << 52 | now << 20 | gap, Ordering::Relaxed);
        let pause = gap.saturating_sub(ttl_ms).max(1);
        let crowd = (1 + ttl_ms / pause).min(CROWD_MAX);
        let cost = crowd * self.cost_us.load(Ordering::Relaxed);
        let counted = spend(&self.allowance, cost, 1_000_000.max(cost), now_ms * 1_000);
        if counted { crowd } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u64 = 20_000;

    /// A resolver whose viewers come every `pause` ms; what its answers count for once it is known.
    fn learned(crowds: &Crowds, network: u64, pause: u64) -> u64 {
        (1..50).map(|n| crowds.weigh(network, n * (TTL + pause), TTL)).last().unwrap_or(0)
    }

    #[test]
    fn the_busier_a_resolver_the_more_viewers_an_answer_stands_for() {
        for (pause, viewers) in [(20_000, 2), (2_000, 11), (200, 101), (1, 256), (900_000, 1)] {
            let crowds = Crowds::new();
            crowds.fleet(10_000_000);
            assert_eq!(learned(&crowds, 1 << 60 | 5, pause), viewers, "a viewer every {pause} ms");
        }
    }

    #[test]
    fn a_network_counts_once_in_a_ttl() {
        let crowds = Crowds::new();
        let counted: u64 = (0..1_000).map(|n| crowds.weigh(9 << 52 | 9, 1_000_000 + n, TTL)).sum();
        assert_eq!(counted, 1);
    }

    #[test]
    fn forged_networks_cannot_fill_the_fleet() {
        let crowds = Crowds::new();
        crowds.fleet(100_000);
        // Half a million networks within a second.
        let counted: u64 = (0..500_000u64)
            .map(|n| crowds.weigh(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), 5_000_000 + n / 500, TTL))
            .sum();
        assert!(counted <= 2 * 100_000 / 20 + 1, "{counted} viewers of 100000 were believed");
    }
}
