//! What came of a run.

use super::best::Best;

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
    /// Seconds after a node went until the last new session was, or would have been, sent there.
    pub to_dead_s: f64,
    /// The same after the operator was answered who drained it.
    pub to_drained_s: f64,
    /// New sessions sent first to a dead or leaving node, from the moment it went.
    pub to_dead: u64,
    /// Seconds until an operator was answered who drained a node.
    pub answered_s: f64,
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
