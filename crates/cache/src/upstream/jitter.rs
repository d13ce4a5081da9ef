//! A little chance, so that what failed together does not come back together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// `base` and up to half as much again.
pub(crate) fn spread(base: Duration) -> Duration {
    // Every RandomState has keys of its own, so what it makes of nothing is a random number.
    let chance = u32::try_from(RandomState::new().hash_one(()) & 0xffff).unwrap_or(0);
    base + base / 2 * chance / 0x1_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn it_stays_within_its_bounds_and_differs() {
        let base = Duration::from_millis(100);
        let all: HashSet<Duration> = (0..100).map(|_| spread(base)).collect();
        assert!(all.len() > 50, "{}", all.len());
        assert!(all.iter().all(|one| (base..=base * 3 / 2).contains(one)));
        assert_eq!(spread(Duration::ZERO), Duration::ZERO);
    }
}
