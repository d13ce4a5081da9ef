//! What the oracles would have made of the viewers of a run.
//!
//! Many scenarios differ only in what selectors know: their viewers, sites and capacities are the same, and so is the
//! best. It is reckoned once for all of them.

use std::sync::{Arc, Mutex, OnceLock};

use super::{
    cost::{Curve, Waiting},
    oracle::Flow,
    world::World,
};

/// Mean length of a session in seconds.
pub(super) const SESSION_S: f64 = 240.0;

/// Seconds between two looks at the oracle.
pub(super) const ORACLE_S: usize = 60;

/// What the best could have done in the same world.
#[derive(Clone, Debug, Default)]
pub struct Best {
    /// Milliseconds that the free oracle would have made all of them pay together, minute by minute.
    pub free_ms: Vec<f64>,
    /// And the sticky one; nothing where sessions lost their node and had to move.
    pub sticky_ms: Vec<f64>,
    /// Median round trip of the free oracle.
    pub p50_ms: f64,
}

/// The world after what happened halfway.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct After {
    /// The period from which on it is so.
    pub(super) from: usize,
    /// How it is.
    pub(super) world: World,
    /// Nodes are gone: sessions had to move, and the sticky oracle has nothing to say.
    pub(super) lost: bool,
}

/// What happened in a run whatever a policy did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Viewers in each city each [`ORACLE_S`] seconds.
    pub(super) viewers: Vec<Vec<f64>>,
    /// The world after what happened halfway.
    pub(super) after: Option<After>,
}

/// What oracles are asked.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) seen: Seen,
    /// The world at first.
    pub(super) world: World,
    /// How edges slow down.
    pub(super) waiting: Waiting,
}

/// A question, and its answer as soon as somebody has found it.
type Solution = (Arc<Asked>, Arc<OnceLock<Arc<Best>>>);

/// What has been asked before. Threads may ask at once; who asks what another reckons waits for it.
#[derive(Debug, Default)]
pub struct Solved(Mutex<Vec<Solution>>);

impl Solved {
    /// The answer.
    pub(super) fn best(&self, asked: Asked, curve: &Curve) -> Arc<Best> {
        let asked = Arc::new(asked);
        let place = {
            let mut known = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
            match known.iter().find(|(before, _)| *before == asked) {
                Some((_, place)) => Arc::clone(place),
                None => {
                    known.push((Arc::clone(&asked), Arc::default()));
                    known.last().map(|(_, place)| Arc::clone(place)).unwrap_or_default()
                }
            }
        };
        Arc::clone(place.get_or_init(|| Arc::new(Best::of(&asked, curve))))
    }
}

impl Best {
    fn of(asked: &Asked, curve: &Curve) -> Best {
        let (whole, after) = (&asked.world, asked.seen.after.as_ref());
        let mut best = Best::default();
        let sites = whole.sites.len();
        let (mut free, mut sticky, mut placed) = (Flow::new(whole), Flow::new(whole), Flow::new(whole));
        let nobody = vec![0.0; sites];
        let stay = (-(ORACLE_S as f64) / SESSION_S).exp();
        let mut by_distance: Vec<(f64, f64)> = Vec::new();
        for (period, viewers) in asked.seen.viewers.iter().enumerate() {
            let world = after.filter(|after| period >= after.from).map_or(whole, |after| &after.world);
            let mut rests = free.solve(world, curve, &world.rtt_ms, viewers, &nobody);
            best.free_ms.push(free.cost_ms(world, curve));
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
                rests &= placed.solve(world, curve, &world.rtt_ms, &arrivals, &fixed);
                sticky.from.iter_mut().zip(&placed.from).for_each(|(all, new)| *all += new);
                sticky.at.clone_from(&placed.at);
            }
            debug_assert!(rests, "what is called the best is not");
            best.sticky_ms.push(sticky.cost_ms(world, curve));
        }
        by_distance.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half: f64 = by_distance.iter().map(|(_, viewers)| viewers).sum::<f64>() / 2.0;
        let mut seen = 0.0;
        best.p50_ms = by_distance
            .iter()
            .find(|(_, viewers)| {
                seen += viewers;
                seen >= half
            })
            .map_or(0.0, |(ms, _)| *ms);
        best
    }
}
