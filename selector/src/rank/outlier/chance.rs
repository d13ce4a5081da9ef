//! What accident explains: how rarely so many of so many fail though each fails as seldom as is usual.

use super::{CONFIDENCE, USUAL_LEAST, USUAL_MOST};

/// Failures up to which the ways to choose them are counted: what takes time by their number has to have a bound, and an edge
/// may answer a hundred thousand times within the window.
const COUNTED: usize = 64;

/// The logarithm of a bound on the chance that at least `failed` of `count` fail where each fails with the share
/// `usual` (no sound fleet fails less than [`USUAL_LEAST`]). 0 where chance explains it. The lower of two: as many ways
/// as there are to choose them, times the chance that just these fail; and Chernoff's, which is lower where much fails
/// usually, and the only one of many failures.
pub(super) fn ln_chance(count: usize, failed: usize, usual: f64) -> f64 {
    let usual = usual.clamp(USUAL_LEAST, USUAL_MOST);
    let failed = failed.min(count);
    let share = failed as f64 / count.max(1) as f64;
    if share <= usual {
        return 0.0;
    }
    let part = |share: f64, usual: f64| if share > 0.0 { share * (share / usual).ln() } else { 0.0 };
    let chernoff = -(count as f64) * (part(share, usual) + part(1.0 - share, 1.0 - usual));
    if failed > COUNTED {
        return chernoff;
    }
    let ways: f64 = (0..failed).map(|n| ((count - n) as f64 / (failed - n) as f64).ln()).sum();
    chernoff.min(ways + failed as f64 * usual.ln())
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
                if failed as f64 > 4.0 * usual * count as f64 {
                    let off = if usual < 0.1 { 3.0 } else { 10.0 };
                    assert!(bound < off * chance, "{failed} of {count}: {bound} {chance}");
                }
            }
        }
        assert_eq!(ln_chance(10, 0, 0.5), 0.0);
        assert_eq!(ln_chance(0, 0, 0.5), 0.0);
    }

    #[test]
    fn more_failures_are_never_less_rare_however_many_there_are() {
        for (count, usual) in [(100usize, 0.002f64), (1_000, 0.05), (100_000, 0.3)] {
            let rarity: Vec<f64> =
                (0..=200).map(|part| ln_chance(count, count * part / 200, usual)).collect();
            assert!(rarity.windows(2).all(|pair| pair[1] <= pair[0]), "of {count}: {rarity:?}");
            let all = count as f64 * usual.ln();
            assert!((rarity[200] / all - 1.0).abs() < 1e-9, "all of {count}: {} {all}", rarity[200]);
        }
    }
}
