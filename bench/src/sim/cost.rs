//! What a viewer feels: waiting at an edge by its utilisation, and what one more viewer costs all.

/// Utilisation from which on waiting grows along a straight line: queues are finite.
const KNEE: f64 = 0.98;

/// How edges of the world slow down under load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// Milliseconds.
    pub scale_ms: f64,
    /// The exponent; 3 is what the policy under test assumes.
    pub power: f64,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { scale_ms: 10.0, power: 3.0 }
    }
}

impl Waiting {
    /// Milliseconds that one viewer waits at utilisation `rho`.
    pub fn wait_ms(&self, rho: f64) -> f64 {
        let curve = |rho: f64| self.scale_ms * rho.powf(self.power) / (1.0 - rho);
        if rho <= KNEE { curve(rho.max(0.0)) } else { curve(KNEE) + self.slope(KNEE) * (rho - KNEE) }
    }

    fn slope(&self, rho: f64) -> f64 {
        let free = 1.0 - rho;
        let power = self.power;
        self.scale_ms * (power * rho.powf(power - 1.0) * free + rho.powf(power)) / (free * free)
    }

    /// What one more viewer costs all together: the derivative of `rho * wait_ms(rho)`.
    pub fn marginal_ms(&self, rho: f64) -> f64 {
        let rho = rho.max(0.0);
        if rho <= KNEE {
            self.wait_ms(rho) + rho * self.slope(rho)
        } else {
            self.wait_ms(rho) + rho * self.slope(KNEE)
        }
    }
}

/// [`Waiting`] by a table, for what is asked many times a second.
#[derive(Clone, Debug)]
pub struct Curve {
    waiting: Waiting,
    wait: Vec<f64>,
    marginal: Vec<f64>,
}

/// Steps of the tables up to a utilisation of 1.
const STEPS: usize = 4_096;

impl Curve {
    /// Tables of that waiting.
    pub fn new(waiting: Waiting) -> Curve {
        let at =
            |of: &dyn Fn(f64) -> f64| (0..=STEPS + 1).map(|step| of(step as f64 / STEPS as f64)).collect();
        Curve {
            waiting,
            wait: at(&|rho| waiting.wait_ms(rho)),
            marginal: at(&|rho| waiting.marginal_ms(rho)),
        }
    }

    fn read(table: &[f64], rho: f64) -> Option<f64> {
        let place = rho.max(0.0) * STEPS as f64;
        let step = place as usize;
        let (low, high) = (table.get(step)?, table.get(step + 1)?);
        Some(low + (high - low) * (place - step as f64))
    }

    /// See [`Waiting::wait_ms`].
    pub fn wait_ms(&self, rho: f64) -> f64 {
        Curve::read(&self.wait, rho).unwrap_or_else(|| self.waiting.wait_ms(rho))
    }

    /// See [`Waiting::marginal_ms`].
    pub fn marginal_ms(&self, rho: f64) -> f64 {
        Curve::read(&self.marginal, rho).unwrap_or_else(|| self.waiting.marginal_ms(rho))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marginal_cost_is_the_derivative_of_the_whole() {
        for power in [2.0, 3.0, 5.0] {
            let waiting = Waiting { power, ..Waiting::default() };
            let whole = |rho: f64| rho * waiting.wait_ms(rho);
            for percent in [10, 50, 90, 97, 99, 120, 300] {
                let rho = f64::from(percent) / 100.0;
                let slope = (whole(rho + 1e-6) - whole(rho - 1e-6)) / 2e-6;
                assert!((waiting.marginal_ms(rho) / slope - 1.0).abs() < 1e-3, "{power} {rho}");
            }
        }
    }
}
