//! Who wants to watch: a day that goes round the earth, and a crowd that gathers in one region.

use super::{scenario::Scenario, world::World};

/// Seconds of a day: the sun goes round quickly.
const DAY_S: f64 = 7_200.0;

/// How much demand swings around its mean in the course of a day.
const SWING: f64 = 0.35;

/// When the crowd comes and goes, as a share of the run.
const CROWD: (f64, f64) = (0.4, 0.65);

/// Demand by city at one time.
pub(super) struct Demand<'w> {
    pub(super) world: &'w World,
    pub(super) scenario: &'w Scenario,
    /// Viewers together when the day is at its mean.
    pub(super) mean: f64,
    pub(super) phase: f64,
}

impl Demand<'_> {
    /// Viewers that each city wants at `second` of a run, without the crowd.
    pub(super) fn usual(&self, second: f64) -> Vec<f64> {
        let of_city = |(city, weight): (usize, &f64)| {
            let local = second / DAY_S + self.world.cities[city].longitude / 360.0 + self.phase;
            self.mean * weight * (1.0 + SWING * (std::f64::consts::TAU * local).sin())
        };
        self.world.weights.iter().enumerate().map(of_city).collect()
    }

    /// Viewers that the crowd adds in each city.
    pub(super) fn crowd(&self, usual: &[f64], share_of_run: f64) -> Vec<f64> {
        let there = (CROWD.0..CROWD.1).contains(&share_of_run);
        let more = if there { self.scenario.crowd - 1.0 } else { 0.0 };
        let of_city = |(city, viewers): (usize, &f64)| {
            if self.world.cities[city].in_region { viewers * more } else { 0.0 }
        };
        usual.iter().enumerate().map(of_city).collect()
    }
}
