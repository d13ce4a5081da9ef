//! The price of congestion, in milliseconds.
//!
//! Waiting grows as `W(rho) = S * rho^3 / (1 - rho)`. Charging each viewer the *marginal* price, the derivative of
//! `rho * W(rho)`, makes choices that are selfish one by one add up to the best whole (Pigou); charging the plain
//! delay does not.

/// Above this utilisation the curve is replaced by a straight line, so that the price stays finite and still grows.
const KNEE: f64 = 0.98;

/// Price per percent of utilisation past the knee, in milliseconds.
const OVERLOAD_MS_PER_PERCENT: f64 = 20.0;

/// Steps of the table between idle and full.
const STEPS: usize = 1_024;

/// The `S` above where nobody says otherwise, in milliseconds.
pub const SCALE_MS: f64 = 10.0;

/// The `W` above: what a viewer waits at a utilisation `rho` below 1, in milliseconds.
pub fn waiting_ms(rho: f64, scale_ms: f64) -> f64 {
    scale_ms * rho.powi(3) / (1.0 - rho)
}

/// The marginal price in milliseconds of one more viewer at utilisation `rho`, with `scale_ms` the `S` above.
/// Never decreases in `rho`; a `rho` that is negative or not a number counts as 0 (nothing is known against it).
pub fn price_ms(rho: f64, scale_ms: f64) -> f64 {
    if rho.is_nan() || rho <= 0.0 {
        return 0.0;
    }
    if rho <= KNEE {
        return curve(rho, scale_ms);
    }
    curve(KNEE, scale_ms) + (rho.min(100.0) - KNEE) * 100.0 * OVERLOAD_MS_PER_PERCENT
}

/// d/drho of `S * rho^4 / (1 - rho)`.
fn curve(rho: f64, scale_ms: f64) -> f64 {
    let free = 1.0 - rho;
    scale_ms * (4.0 * rho.powi(3) - 3.0 * rho.powi(4)) / (free * free)
}

/// The same price from a table of 1,025 entries, which a decision reads instead of dividing.
#[derive(Clone, Debug)]
pub struct Prices {
    scale_ms: f64,
    table: Box<[f32]>,
}

impl Prices {
    /// Prices of that scale, in milliseconds.
    pub fn new(scale_ms: f64) -> Prices {
        let table = (0..=STEPS).map(|step| price_ms(step as f64 / STEPS as f64, scale_ms) as f32).collect();
        Prices { scale_ms, table }
    }

    /// The scale, in milliseconds.
    pub fn scale_ms(&self) -> f64 {
        self.scale_ms
    }

    /// [`price_ms`] between the table's entries by a straight line; never decreases.
    #[inline]
    pub fn at(&self, rho: f32) -> f32 {
        // What is not a number, or below 0, is idle: `max` takes the other.
        let rho = rho.max(0.0);
        let place = rho * STEPS as f32;
        let step = place as usize;
        match self.table.get(step..) {
            Some([low, high, ..]) => low + (high - low) * (place - step as f32),
            _ => price_ms(f64::from(rho), self.scale_ms) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_edge_costs_nothing_and_the_curve_is_the_derivative() {
        assert_eq!(price_ms(0.0, 10.0), 0.0);
        assert_eq!(price_ms(f64::NAN, 10.0), 0.0);
        assert!((price_ms(0.5, 10.0) - 12.5).abs() < 1e-9);
        let total = |rho: f64| rho * waiting_ms(rho, 10.0);
        let step = 1e-6;
        for percent in 1..98 {
            let rho = f64::from(percent) / 100.0;
            let slope = (total(rho + step) - total(rho - step)) / (2.0 * step);
            assert!((price_ms(rho, 10.0) - slope).abs() / slope < 1e-3, "at {rho}");
        }
    }

    #[test]
    fn the_price_never_falls_and_stays_finite() {
        let prices = Prices::new(10.0);
        let (mut last, mut last_read) = (0.0, 0.0);
        for step in 0..30_000 {
            let rho = f64::from(step) / 10_000.0;
            let (price, read) = (price_ms(rho, 10.0), prices.at(rho as f32));
            assert!(price >= last && price.is_finite(), "at {rho}");
            assert!(read >= last_read && read.is_finite(), "at {rho}");
            (last, last_read) = (price, read);
        }
        assert!(price_ms(f64::INFINITY, 10.0).is_finite());
        assert!(prices.at(f32::INFINITY).is_finite());
        assert_eq!((prices.at(f32::NAN), prices.at(-1.0)), (0.0, 0.0));
    }

    #[test]
    fn the_table_is_the_curve() {
        let prices = Prices::new(10.0);
        for step in 1..=970 {
            let rho = f64::from(step) / 1_000.0;
            let (price, read) = (price_ms(rho, 10.0), f64::from(prices.at(rho as f32)));
            assert!((price - read).abs() <= 0.01 + price * 0.005, "{rho}: {price} {read}");
        }
    }
}
