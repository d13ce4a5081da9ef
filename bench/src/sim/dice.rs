//! Chance that is the same in every run: SplitMix64.

/// A generator; equal seeds give equal sequences.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each `seed` and `stream`.
    pub fn new(seed: u64, stream: u64) -> Dice {
        let mut dice = Dice(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        dice.bits();
        dice
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Between two bounds.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// 0..`count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// Exponential with that mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// How many of rare events happen when `mean` are to be expected.
    pub fn poisson(&mut self, mean: f64) -> usize {
        if mean > 60.0 {
            // Near enough to a normal distribution.
            let (a, b) = (self.unit().max(1e-12), self.unit());
            let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
            return (mean + mean.sqrt() * normal).round().max(0.0) as usize;
        }
        let (mut count, mut product, limit) = (0, self.unit(), (-mean).exp());
        while product > limit {
            count += 1;
            product *= self.unit();
        }
        count
    }
}

/// Draws from a list of weights.
#[derive(Clone, Debug)]
pub struct Weighted {
    /// Sums of the weights up to each place.
    sums: Vec<f64>,
    /// The places at which equal parts of the whole begin, so that a search stays in few lines of memory.
    parts: Vec<u32>,
}

/// Weights of one part, about.
const PART: usize = 8;

impl Weighted {
    /// Weights that are not negative.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Weighted {
        let mut sum = 0.0;
        let sums = weights.into_iter().map(|weight| {
            sum += weight;
            sum
        });
        let sums: Vec<f64> = sums.collect();
        let count = sums.len() / PART;
        let step = sum / count.max(1) as f64;
        let begins = |part: usize| sums.partition_point(|sum| *sum <= step * part as f64) as u32;
        Weighted { parts: (0..=count).map(begins).collect(), sums }
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.sums.last().copied().unwrap_or(0.0)
    }

    /// One place, as likely as its weight.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        let unit = dice.unit();
        let wanted = unit * self.total();
        let part = (unit * (self.parts.len() - 1) as f64) as usize;
        // One more at each end: where parts begin is rounded.
        let from = self.parts.get(part).map_or(0, |place| (*place as usize).saturating_sub(1));
        let to = self.parts.get(part + 1).map_or(self.sums.len(), |place| *place as usize + 1);
        let within = &self.sums[from..to.min(self.sums.len())];
        (from + within.partition_point(|sum| *sum <= wanted)).min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_what_a_search_through_all_finds() {
        let mut dice = Dice::new(1, 1);
        for count in [1, 2, 7, 8, 40, 1_000] {
            let weighted = Weighted::new((0..count).map(|n| if n % 3 == 0 { 0.0 } else { dice.unit() }));
            for seed in 0..2_000 {
                let (mut one, mut other) = (Dice::new(seed, 2), Dice::new(seed, 2));
                let wanted = one.unit() * weighted.total();
                let found = weighted.sums.partition_point(|sum| *sum <= wanted).min(count - 1);
                assert_eq!(weighted.draw(&mut other), found, "{count} {seed}");
            }
        }
    }
}
