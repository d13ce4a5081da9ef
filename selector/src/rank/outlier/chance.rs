//! What accident explains: how rarely so many of so many fail though each fails as seldom as is usual.

use super::{CONFIDENCE, USUAL_LEAST, USUAL_MOST};

/// The logarithm of a bound on the chance that at least `failed` of `count` fail where each fails with the share
/// `usual` (no sound fleet fails less than [`USUAL_LEAST`]): as many ways as there are to choose them, times the chance
/// that just these fail. 0 where chance explains it.
pub(super) fn ln_chance(count: usize, failed: usize, usual: f64) -> f64 {
    let ways: f64 = (0..failed.min(count)).map(|n| ((count - n) as f64 / (failed - n) as f64).ln()).sum();
    (ways + failed as f64 * usual.clamp(USUAL_LEAST, USUAL_MOST).ln()).min(0.0)
}

/// The lower end of Wilson's interval for a share of `answers` seen.
pub(super) fn least_share(share: f64, answers: f64) -> f64 {
    let z2 = CONFIDENCE * CONFIDENCE;
    let middle = share + z2 / (2.0 * answers);
    let spread = CONFIDENCE * ((share * (1.0 - share) + z2 / (4.0 * answers)) / answers).sqrt();
    (middle - spread) / (1.0 + z2 / answers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn chance_is_bounded_from_above_and_not_by_much() {
        for (count, usual) in [(5usize, 0.002f64), (14, 0.002), (60, 0.01), (60, 0.2)] {
            for failed in 0..=count {
                let exactly = |k: usize| {
                    let ways: f64 = (0..k).map(|n| (count - n) as f64 / (k - n) as f64).product();
                    ways * usual.powi(k as i32) * (1.0 - usual).powi((count - k) as i32)
                };
                let chance: f64 = (failed..=count).map(exactly).sum();
                let bound = ln_chance(count, failed, usual).exp();
                assert!(bound >= chance.min(1.0) * (1.0 - 1e-9), "{failed} of {count}: {bound} {chance}");
                if failed as f64 > 4.0 * usual * count as f64 && usual < 0.1 {
                    assert!(bound < 3.0 * chance, "{failed} of {count}: {bound} {chance}");
                }
            }
        }
        assert_eq!(ln_chance(10, 0, 0.5), 0.0);
        assert_eq!(ln_chance(0, 0, 0.5), 0.0);
    }
}
