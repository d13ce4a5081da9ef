//! What was seen of one edge within the last ten seconds, in bounded room.

use std::collections::VecDeque;

use super::{Check, Seen};
use crate::rank::Cell;

/// How far back evidence reaches, in milliseconds.
const WINDOW_MS: u64 = 10_000;
/// Steps of a second for which answers are counted: longer than checks are remembered, so that what the source did
/// wrong is still known when a check that it failed is judged.
const STEPS: usize = 12;
/// Length of a step, in milliseconds.
const STEP_MS: u64 = 1_000;
/// The last steps, which show what has just begun,
const RECENT_STEPS: u64 = 3;
/// and the answers in them that it takes.
const RECENT_LEAST: u64 = 20;
/// Networks whose failures are told apart; what comes from more of them counts as from these.
const NETWORKS_MAX: usize = 32;
/// Failures of one network that count: a single broken network must not look like a broken edge.
const PER_NETWORK: u32 = 4;
/// Checks kept: as many as come in the window when they come fast.
const CHECKS: usize = 64;
/// Measurements kept of how long the edge takes.
const KEPT: usize = 7;
/// How long checks go on fast after one that failed, in milliseconds.
const SUSPICION_MS: u64 = 3_000;
/// By how much the best time of a check is forgotten with each check: routes change.
const FORGOTTEN: f64 = 1.000_2;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Answers and failures, step by step.
    answers: [Step; STEPS],
    /// Failures that clients report, by network.
    networks: Vec<Network>,
    /// The last checks, in the order in which they began: one that times out ends after others that began later.
    checks: VecDeque<Checked>,
    /// Milliseconds that checks and clients found the edge to take, without the way.
    served: VecDeque<(u64, f64)>,
    /// The best time of a check so far: the way there and back, and hardly more.
    best_ms: f64,
    /// A check has passed at least once: until then it is not known that this selector can reach the edge.
    reached: bool,
    /// Until when what was measured may stem from a time of known overload.
    busy_until_ms: u64,
    was_busy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Checked {
    began_ms: u64,
    ended_ms: u64,
    check: Check,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    number: u64,
    answers: u64,
    failures: u64,
}

#[derive(Clone, Copy, Debug)]
struct Network {
    cell: Cell,
    failures: u32,
    last_ms: u64,
}

/// Checks that failed: a spell is a row of them without one between that passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spells {
    /// How many spells.
    pub(super) count: usize,
    /// How many checks failed in all.
    pub(super) failed: usize,
    /// The longest spell, in milliseconds from the beginning of its first failure to that of its last,
    pub(super) longest_ms: u64,
    /// and how many failed in it.
    pub(super) in_a_row: usize,
    /// From the first failure of all to the last.
    pub(super) span_ms: u64,
}

impl Evidence {
    pub(super) fn client(&mut self, cell: Cell, seen: Seen, now_ms: u64) {
        match seen {
            Seen::Served { ms } => {
                self.count(1, 0, now_ms);
                self.serve(ms, now_ms);
            }
            Seen::Failed => {
                let full = self.networks.len() >= NETWORKS_MAX;
                match self.networks.iter_mut().find(|network| network.cell == cell) {
                    Some(network) => {
                        network.failures = (network.failures + 1).min(PER_NETWORK);
                        network.last_ms = now_ms;
                    }
                    None if !full => self.networks.push(Network { cell, failures: 1, last_ms: now_ms }),
                    None => {}
                }
            }
        }
    }

    pub(super) fn report(&mut self, requests: u64, failures: u64, now_ms: u64) {
        self.count(requests.max(failures), failures, now_ms);
    }

    pub(super) fn check(&mut self, check: Check, began_ms: u64, now_ms: u64) {
        if let Check::Passed { ms } = check
            && ms.is_finite()
        {
            self.reached = true;
            self.best_ms = if self.best_ms > 0.0 { ms.min(self.best_ms * FORGOTTEN) } else { ms };
            self.serve(ms - self.best_ms, now_ms);
        }
        if self.reached {
            if self.checks.len() >= CHECKS {
                self.checks.pop_front();
            }
            let place = self.checks.partition_point(|other| other.began_ms <= began_ms);
            self.checks.insert(place, Checked { began_ms, ended_ms: now_ms, check });
        }
    }

    /// The edge has gone away: what its checks have shown is the going.
    pub(super) fn away(&mut self) {
        self.checks.clear();
    }

    /// The best time of a check, in milliseconds: the way there and back, and hardly more. 0 before the first.
    pub(super) fn way_ms(&self) -> f64 {
        self.best_ms
    }

    /// The edge says that it is overloaded.
    pub(super) fn busy(&mut self, now_ms: u64) {
        self.busy_until_ms = now_ms + WINDOW_MS;
        self.was_busy = true;
    }

    /// Whether it has said so within the window.
    pub(super) fn was_busy(&self) -> bool {
        self.was_busy
    }

    /// Lets go of what is too old.
    pub(super) fn age(&mut self, now_ms: u64) {
        self.was_busy = self.busy_until_ms > now_ms;
        let recent = |at: u64| now_ms.saturating_sub(at) <= WINDOW_MS;
        self.networks.retain(|network| recent(network.last_ms));
        self.checks.retain(|checked| recent(checked.ended_ms));
        self.served.retain(|(at, _)| recent(*at));
        let oldest = (now_ms / STEP_MS).saturating_sub(STEPS as u64 - 1);
        for step in self.answers.iter_mut().filter(|step| step.number < oldest) {
            *step = Step::default();
        }
    }

    /// Failures that clients report, and from how many networks.
    pub(super) fn failures(&self) -> (f64, usize) {
        let failures: u32 = self.networks.iter().map(|network| network.failures).sum();
        (f64::from(failures), self.networks.len())
    }

    /// The share of failures and the number of answers, if there are that many.
    pub(super) fn share(&self, least: u64) -> Option<(f64, u64)> {
        let answers: u64 = self.answers.iter().map(|step| step.answers).sum();
        let failures: u64 = self.answers.iter().map(|step| step.failures).sum();
        (answers >= least).then(|| (failures as f64 / answers as f64, answers))
    }

    /// The share of failures of the last seconds, if there are answers enough.
    pub(super) fn recent_share(&self) -> Option<f64> {
        let newest = self.answers.iter().map(|step| step.number).max()?;
        let recent = || self.answers.iter().filter(|step| step.number + RECENT_STEPS > newest);
        let answers: u64 = recent().map(|step| step.answers).sum();
        let failures: u64 = recent().map(|step| step.failures).sum();
        (answers >= RECENT_LEAST).then(|| failures as f64 / answers as f64)
    }

    /// How checks failed.
    pub(super) fn spells(&self) -> Spells {
        let mut spells = Spells::default();
        let (mut spell, mut in_a_row, mut first) = (None, 0, None);
        for Checked { began_ms: at, check, .. } in self.checks.iter().copied() {
            match check {
                Check::Passed { .. } => spell = None,
                Check::Failed => {
                    spells.failed += 1;
                    if spell.is_none() {
                        spells.count += 1;
                        in_a_row = 0;
                    }
                    in_a_row += 1;
                    let lasts_ms = at - *spell.get_or_insert(at);
                    if lasts_ms >= spells.longest_ms {
                        (spells.longest_ms, spells.in_a_row) = (lasts_ms, in_a_row);
                    }
                    spells.span_ms = at - *first.get_or_insert(at);
                }
            }
        }
        spells
    }

    /// The time that the edge takes in two cases of three at least, if there are that many measurements: some are slow
    /// because a packet was sent again, and not by the edge.
    pub(super) fn service_ms(&self, least: usize) -> Option<f64> {
        if self.served.len() < least {
            return None;
        }
        let mut times: Vec<f64> = self.served.iter().map(|(_, ms)| *ms).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 3).copied()
    }

    pub(super) fn suspicious(&self, now_ms: u64) -> bool {
        let fresh = self.checks.iter().any(|checked| {
            checked.check == Check::Failed && now_ms.saturating_sub(checked.ended_ms) <= SUSPICION_MS
        });
        fresh || self.served.back().is_some_and(|(_, ms)| *ms > 5.0 * super::SERVICE_FLOOR_MS)
    }

    fn count(&mut self, answers: u64, failures: u64, now_ms: u64) {
        let number = now_ms / STEP_MS;
        let step = &mut self.answers[number as usize % STEPS];
        if step.number != number {
            *step = Step { number, ..Step::default() };
        }
        step.answers += answers;
        step.failures += failures;
    }

    fn serve(&mut self, ms: f64, now_ms: u64) {
        if ms.is_finite() {
            push(&mut self.served, (now_ms, ms.max(0.0)), KEPT);
        }
    }
}

fn push<T>(kept: &mut VecDeque<T>, new: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(new);
}
