//! What came of a run, and what the oracle would have made of the same viewers.

use super::{cost::Curve, oracle::Flow, world::World};

/// Mean length of a session in seconds.
pub(super) const SESSION_S: f64 = 240.0;

/// Seconds between two looks at the oracle.
pub(super) const ORACLE_S: usize = 60;

/// What the best could have done in the same world, by a run of the oracle.
#[derive(Clone, Debug, Default)]
pub struct Best {
    /// Viewers in each city each [`ORACLE_S`] seconds.
    pub(super) viewers: Vec<Vec<f64>>,
    /// Milliseconds that the free oracle would have made all of them pay together.
    pub free_ms: Vec<f64>,
    /// And the sticky one; nothing where sessions lost their node and had to move.
    pub sticky_ms: Vec<f64>,
    /// Median round trip of the free oracle.
    pub p50_ms: f64,
}

/// The world after what happened halfway.
pub(super) struct After {
    /// The period from which on it is so.
    pub(super) from: usize,
    /// How it is.
    pub(super) world: World,
    /// Nodes are gone: sessions had to move, and the sticky oracle has nothing to say.
    pub(super) lost: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Milliseconds that viewers paid per second, by periods of `ORACLE_S` seconds.
    pub paid_ms: Vec<f64>,
    /// Share of session time on nodes that were over their capacity.
    pub overloaded: f64,
    /// Median round trip of new sessions.
    pub p50_ms: f64,
    /// 99th percentile of round trip, waiting and miss of new sessions.
    pub start_p99_ms: f64,
    /// Share of new sessions that found their title at the node.
    pub hits: f64,
    /// Moves per session by steering.
    pub moves: f64,
    /// Share of sessions that were moved away and back within five minutes.
    pub back_and_forth: f64,
    /// New sessions sent first to a dead or leaving node after it went: the latest, in seconds; how many.
    pub to_dead_s: f64,
    /// How many those were.
    pub to_dead: u64,
    /// Sessions that no node of their list would serve.
    pub failed: u64,
    /// Share of sessions that measured other sites.
    pub explored: f64,
}

impl Outcome {
    /// How much more viewers paid than with the free oracle, as a share, between two shares of the run.
    pub fn regret(&self, best: &Best, from: f64, to: f64) -> f64 {
        self.beyond(&best.free_ms, from, to)
    }

    /// The same beyond the sticky oracle, where there is one.
    pub fn sticky_regret(&self, best: &Best) -> Option<f64> {
        (!best.sticky_ms.is_empty()).then(|| self.beyond(&best.sticky_ms, 0.0, 1.0))
    }

    fn beyond(&self, possible: &[f64], from: f64, to: f64) -> f64 {
        let periods = self.paid_ms.len() as f64;
        let range = (from * periods) as usize..((to * periods) as usize).min(possible.len());
        let paid: f64 = self.paid_ms[range.clone()].iter().sum();
        paid / possible[range].iter().sum::<f64>() - 1.0
    }
}

impl Best {
    /// What the oracles would have made of it, in a world that may change halfway.
    pub(super) fn solve(&mut self, whole: &World, curve: &Curve, after: Option<&After>) {
        let sites = whole.sites.len();
        let (mut free, mut sticky, mut placed) = (Flow::new(whole), Flow::new(whole), Flow::new(whole));
        let nobody = vec![0.0; sites];
        let stay = (-(ORACLE_S as f64) / SESSION_S).exp();
        let mut by_distance: Vec<(f64, f64)> = Vec::new();
        for (period, viewers) in self.viewers.iter().enumerate() {
            let world = after.filter(|after| period >= after.from).map_or(whole, |after| &after.world);
            free.solve(world, curve, &world.rtt_ms, viewers, &nobody);
            self.free_ms.push(free.cost_ms(world, curve));
            by_distance.extend(world.rtt_ms.iter().copied().zip(free.from.iter().copied()));
            if after.is_some_and(|after| after.lost) {
                continue;
            }
            if period == 0 {
                sticky = free.clone();
            } else {
                // Those who stayed are where they are; the others are placed.
                let mut arrivals = viewers.clone();
                for (city, wanted) in arrivals.iter_mut().enumerate() {
                    let row = &mut sticky.from[city * sites..(city + 1) * sites];
                    let kept: f64 = row.iter().sum::<f64>() * stay;
                    let shrink = if kept > *wanted { *wanted / kept.max(1e-9) } else { 1.0 };
                    row.iter_mut().for_each(|viewers| *viewers *= stay * shrink);
                    *wanted = (*wanted - kept).max(0.0);
                }
                let mut fixed = vec![0.0; sites];
                sticky.from.iter().enumerate().for_each(|(place, viewers)| fixed[place % sites] += viewers);
                placed.solve(world, curve, &world.rtt_ms, &arrivals, &fixed);
                sticky.from.iter_mut().zip(&placed.from).for_each(|(all, new)| *all += new);
                sticky.at.clone_from(&placed.at);
            }
            self.sticky_ms.push(sticky.cost_ms(world, curve));
        }
        by_distance.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half: f64 = by_distance.iter().map(|(_, viewers)| viewers).sum::<f64>() / 2.0;
        let mut seen = 0.0;
        self.p50_ms = by_distance
            .iter()
            .find(|(_, viewers)| {
                seen += viewers;
                seen >= half
            })
            .map_or(0.0, |(ms, _)| *ms);
    }
}

/// Buckets of times, growing by a hundredth each.
pub(super) fn bucket(ms: f64) -> usize {
    ((ms.max(0.1) * 10.0).ln() / 1.01f64.ln()) as usize
}

pub(super) fn quantile(buckets: &[u32], share: f64) -> f64 {
    let wanted = (buckets.iter().map(|count| f64::from(*count)).sum::<f64>() * share).ceil();
    let mut seen = 0.0;
    let place = buckets.iter().position(|count| {
        seen += f64::from(*count);
        seen >= wanted
    });
    1.01f64.powf(place.unwrap_or(0) as f64 + 0.5) / 10.0
}

pub(super) const BUCKETS: usize = 2_000;
