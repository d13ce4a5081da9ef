//! How many answers a network of strangers gets in a second, so that nobody's server is flooded with ours.
//!
//! Each network (/24, IPv6 /56) draws on one of a fixed number of allowances, found by a keyed hash. Networks that
//! meet in one share it: the bound holds whatever the number of networks, memory does not grow, and the worst that
//! happens to an innocent one is that it is sent to TCP. An allowance is one number (GCRA: the time at which it
//! would be full again), so it needs no lock and no sweep.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::networks;

/// Bits of a network of IPv6 that is rationed as one.
pub(super) const V6: u32 = 56;

/// Allowances: half a megabyte.
const SLOTS: usize = 1 << 16;

/// What may be used up at once, in microseconds of the rate: a second's answers.
const BURST_US: u64 = 1_000_000;

/// The allowances of all networks.
pub(super) struct Rates {
    slots: Box<[AtomicU64]>,
    /// Microseconds that an answer costs; 0 = there is no bound.
    cost_us: u64,
    seed: u64,
}

impl Rates {
    /// `rate` answers a second; 0 = no bound. `seed` keeps strangers from choosing whom they meet.
    pub(super) fn new(rate: u32, seed: u64) -> Rates {
        let slots = if rate == 0 { 0 } else { SLOTS };
        let cost_us = if rate == 0 { 0 } else { (BURST_US / u64::from(rate)).max(1) };
        Rates { slots: (0..slots).map(|_| AtomicU64::new(0)).collect(), cost_us, seed }
    }

    /// Takes one answer to `peer` out of its allowance; false when it is used up. `now_us` never goes back.
    pub(super) fn admit(&self, peer: IpAddr, now_us: u64) -> bool {
        if self.cost_us == 0 {
            return true;
        }
        let hash = xxh3_64_with_seed(&networks::number(peer, V6).to_le_bytes(), self.seed);
        // The length is a power of two, so this is in bounds.
        let Some(slot) = self.slots.get(hash as usize & (SLOTS - 1)) else { return true };
        spend(slot, self.cost_us, BURST_US, now_us)
    }
}

/// Takes `cost` out of an allowance that refills with time and holds at most `burst`; false when it has less.
pub(super) fn spend(allowance: &AtomicU64, cost: u64, burst: u64, now: u64) -> bool {
    let taken = allowance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
        let after = full_at.max(now) + cost;
        (after <= now + burst).then_some(after)
    });
    taken.is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_of_ipv4_have_their_own_allowances_on_a_socket_for_both_families() {
        let rates = Rates::new(10, 7);
        let used_up = |peer: &str| (0..100).filter(|_| rates.admit(ip(peer), 0)).count() < 100;
        assert!(used_up("::ffff:192.0.2.1"));
        assert!(!rates.admit(ip("192.0.2.9"), 0), "the same network");
        assert!(rates.admit(ip("::ffff:198.51.100.1"), 0), "another");
    }

    #[test]
    fn a_network_gets_its_rate_and_no_more_however_it_asks() {
        let rates = Rates::new(200, 7);
        // A thousand a second, from all of its addresses, for ten seconds.
        let admitted = (0..10_000u64)
            .filter(|n| rates.admit(ip(&format!("192.0.2.{}", n % 250)), 5_000_000 + n * 1_000))
            .count();
        assert!((2_190..=2_210).contains(&admitted), "{admitted}: ten seconds and the burst");
        let mut neighbours = (0..100).filter(|n| rates.admit(ip(&format!("198.51.{n}.1")), 15_000_000));
        assert!(neighbours.by_ref().count() >= 99, "others are not touched, but for a rare meeting");
    }

    #[test]
    fn after_a_pause_a_second_of_answers_is_there_at_once() {
        let rates = Rates::new(50, 7);
        for now_us in [1_000_000, 9_000_000] {
            assert_eq!((0..500).filter(|_| rates.admit(ip("2001:db8::1"), now_us)).count(), 50);
        }
        assert!(!rates.admit(ip("2001:db8:0:ff::9"), 9_000_000), "the same /56");
    }

    #[test]
    fn zero_is_no_bound() {
        let rates = Rates::new(0, 7);
        assert!((0..100_000).all(|_| rates.admit(ip("192.0.2.1"), 1)));
    }

    #[test]
    fn a_flood_of_forged_networks_needs_no_memory() {
        let rates = Rates::new(1, 7);
        let held = rates.slots.len();
        for n in 0..300_000u32 {
            rates.admit(IpAddr::V4(n.wrapping_mul(65_537).into()), 1_000_000);
        }
        assert_eq!(rates.slots.len(), held);
    }
}
