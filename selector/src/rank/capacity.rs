//! What an edge can really carry, learnt from how long it takes to answer.
//!
//! A configured limit is a guess, and a guess that is a fifth too high costs more than anything else in routing:
//! the edge drowns while it is believed to have room. Response times of cached objects tell: they have nothing to
//! wait for but the edge itself. At utilisation `rho` a single queue would make them `1 / (1 - rho)` times as long as
//! when it idles, and real edges do better. Where they are half as long again as that, and three times the idle ones
//! at least, the edge is fuller than it is believed to be, and the limit is lowered; while all is quiet it is raised
//! again, slowly, never above what is configured.

/// Response times that are less than so many times the idle one prove nothing.
const KNEE: f64 = 3.0;

/// How much longer than in a single queue response times are when a limit is wrong.
const BEYOND_QUEUE: f64 = 1.5;

/// Past this utilisation slow answers are what is expected.
const EXPECTED: f64 = 0.9;

/// Milliseconds by which response times exceed the idle one at least, or they prove nothing: memory answers in
/// microseconds, and three times that is still nothing.
const PROOF_MS: f64 = 5.0;

/// What is left of the limit after it is lowered once.
const LOWERED: f64 = 0.95;

/// Least time between two lowerings, in milliseconds: what the last one did must show first.
const LOWER_EVERY_MS: u64 = 5_000;

/// Share of the limit by which it grows in a quiet minute.
const RAISED_PER_MINUTE: f64 = 0.01;

/// Response times below so many times the idle one are quiet.
const QUIET: f64 = 2.0;

/// The limit is never believed to be less than this share of what is configured.
const LEAST: f64 = 0.3;

/// Up to this utilisation an edge counts as idle.
const IDLE: f64 = 0.5;

/// Share by which the idle response time rises in an hour while larger ones are seen: machines change.
const IDLE_RISES_PER_HOUR: f64 = 0.1;

/// Least response time that is told from none, in milliseconds. What memory answers in microseconds is the noise of a
/// machine's scheduler, and however often it multiplies, nobody waits for the edge.
const RESOLUTION_MS: f64 = 1.0;

/// What is learnt of one edge.
#[derive(Clone, Debug)]
pub struct Capacity {
    factor: f64,
    idle_ms: Option<f64>,
    seen_ms: Option<u64>,
    lowered_ms: u64,
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity { factor: 1.0, idle_ms: None, seen_ms: None, lowered_ms: 0 }
    }
}

impl Capacity {
    /// The share of the configured limit that the edge can carry, 0.3..1.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// A report: the utilisation of the *configured* limit, and the median response time of cached objects in
    /// milliseconds; 0 = nothing was answered.
    pub fn observe(&mut self, utilisation: f64, service_ms: f64, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.seen_ms.unwrap_or(now_ms)) as f64;
        self.seen_ms = Some(now_ms);
        if !service_ms.is_finite() || service_ms <= 0.0 || !utilisation.is_finite() {
            return;
        }
        let service_ms = service_ms.max(RESOLUTION_MS);
        self.learn_idle(utilisation, service_ms, passed_ms);
        let Some(idle_ms) = self.idle_ms else { return };
        let utilisation = utilisation / self.factor;
        let usual = (BEYOND_QUEUE / (1.0 - utilisation).max(0.01)).max(KNEE);
        let slow = service_ms > usual * idle_ms && service_ms > idle_ms + PROOF_MS;
        if slow && utilisation < EXPECTED {
            if now_ms.saturating_sub(self.lowered_ms) >= LOWER_EVERY_MS {
                self.factor = (self.factor * LOWERED).max(LEAST);
                self.lowered_ms = now_ms;
            }
        } else if service_ms < (QUIET * idle_ms).max(idle_ms + PROOF_MS) {
            self.factor = (self.factor + RAISED_PER_MINUTE * passed_ms / 60_000.0).min(1.0);
        }
    }

    fn learn_idle(&mut self, utilisation: f64, service_ms: f64, passed_ms: f64) {
        self.idle_ms = match self.idle_ms {
            Some(idle_ms) if service_ms < idle_ms => Some(service_ms),
            Some(idle_ms) => {
                let risen = idle_ms * (1.0 + IDLE_RISES_PER_HOUR * passed_ms / 3_600_000.0);
                Some(risen.min(service_ms))
            }
            // An edge that was busy when it was first seen has not shown what it does when it idles.
            None => (utilisation < IDLE).then_some(service_ms),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Response time of an edge with that true utilisation.
    fn service(rho: f64) -> f64 {
        10.0 + 10.0 * rho.powi(3) / (1.0 - rho).max(0.01)
    }

    fn run(edge: &mut Capacity, from_ms: u64, seconds: u64, configured: f64, truth: f64) {
        for second in 0..seconds {
            edge.observe(configured, service(truth), from_ms + second * 1_000);
        }
    }

    #[test]
    fn a_limit_that_is_too_high_is_found_out() {
        let mut edge = Capacity::default();
        run(&mut edge, 0, 60, 0.2, 0.25);
        assert_eq!(edge.factor(), 1.0);
        // Configured for a quarter more than it carries: it is full at four fifths.
        run(&mut edge, 60_000, 120, 0.76, 0.95);
        assert!((0.78..0.90).contains(&edge.factor()), "{}", edge.factor());
        assert!(0.76 / edge.factor() > 0.84);
    }

    #[test]
    fn a_limit_that_is_right_is_left_alone() {
        let mut edge = Capacity::default();
        run(&mut edge, 0, 60, 0.1, 0.1);
        for rho in [0.3, 0.5, 0.65, 0.75, 0.8, 0.85, 0.89, 0.92, 0.97] {
            run(&mut edge, 100_000, 600, rho, rho);
            assert_eq!(edge.factor(), 1.0, "at {rho}");
        }
    }

    #[test]
    fn what_was_lowered_comes_back_slowly_and_never_past_the_configured() {
        let mut edge = Capacity::default();
        run(&mut edge, 0, 60, 0.2, 0.2);
        run(&mut edge, 60_000, 120, 0.76, 0.95);
        let lowered = edge.factor();
        run(&mut edge, 180_000, 600, 0.3, 0.3);
        assert!((edge.factor() - lowered - 0.1).abs() < 0.02);
        run(&mut edge, 780_000, 3_600, 0.3, 0.3);
        assert_eq!(edge.factor(), 1.0);
    }

    #[test]
    fn microseconds_prove_nothing() {
        let mut edge = Capacity::default();
        edge.observe(0.1, 0.05, 0);
        for second in 0..600 {
            edge.observe(0.3, 2.0, second * 1_000);
        }
        assert_eq!(edge.factor(), 1.0);
    }

    #[test]
    fn the_noise_of_answers_from_memory_makes_no_knee() {
        // A median of some ten microseconds when it idles; when it is busy, eight milliseconds now and then.
        let busy = |second: u64| if second.is_multiple_of(3) { 8.0 } else { 0.3 };
        let mut edge = Capacity::default();
        for second in 0..60 {
            edge.observe(0.1, 0.01 + 0.1 * (second % 5) as f64, second * 1_000);
        }
        for second in 60..3_600 {
            edge.observe(0.85, busy(second), second * 1_000);
        }
        assert_eq!(edge.factor(), 1.0);
        // Twice as much all the time is no noise, however quick it is when it idles.
        for second in 3_600..3_660 {
            edge.observe(0.85, 16.0, second * 1_000);
        }
        assert!(edge.factor() < 0.96, "{}", edge.factor());
    }

    #[test]
    fn it_is_bounded_and_nonsense_teaches_nothing() {
        let mut edge = Capacity::default();
        edge.observe(0.1, 1.0, 0);
        for second in 0..10_000 {
            edge.observe(0.1, 1_000.0, second * 1_000);
        }
        assert_eq!(edge.factor(), LEAST);
        let before = edge.factor();
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            edge.observe(0.1, value, 20_000_000);
            edge.observe(value, f64::NAN, 20_000_000);
        }
        assert_eq!(edge.factor(), before);
    }
}
