//! What was seen of one edge within the last ten seconds, in bounded room.

use std::collections::VecDeque;

use super::{
    BUSY, Check, FAILURES, LOOK_MS, RATIO, SAMPLES, SERVICE_FLOOR_MS, SLOW_IDLE, SLOWING_MS, Seen,
    TURNS_FAILED, Took, best::Best,
};
use crate::rank::{
    Cell,
    score::{SCALE_MS, waiting_ms},
};

/// How far back evidence reaches, in milliseconds.
pub(super) const WINDOW_MS: u64 = 10_000;
/// Steps of a second for which answers and loads are kept: longer than checks are remembered, so that what the source did
/// wrong is still known when a check that it failed is judged.
const STEPS: usize = 12;
/// Length of a step, in milliseconds.
const STEP_MS: u64 = 1_000;
/// The last steps, which show what has just begun.
const RECENT_STEPS: u64 = 4;
/// Networks whose failures are told apart; what comes from more of them counts as from these.
const NETWORKS_MAX: usize = 32;
/// Failures of one network that count: a single broken network must not look like a broken edge.
const PER_NETWORK: u32 = 4;
/// Checks kept: as many as begin in the window when they come as fast as they can.
const CHECKS: usize = (WINDOW_MS / LOOK_MS) as usize;
/// How long a blip of the path lasts at most, in milliseconds: of what is lost meanwhile, all is one accident.
const BLIP_MS: u64 = 1_500;
/// Measurements kept of how long the edge takes.
const KEPT: usize = 6;
/// How long checks go on fast after one that failed, in milliseconds.
const SUSPICION_MS: u64 = 3_000;
/// Checks after which what a way loses is known for the better part, and the share of them that is no fault of the edge
/// however long it is lost.
const LEARNT: f64 = 4_096.0;
const LOST_MOST: f64 = 0.05;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Answers, failures and load, step by step; the last step, and all answers.
    steps: [Step; STEPS],
    last: u64,
    answers: Answers,
    /// Failures that clients report, by network.
    networks: Vec<Network>,
    /// The last checks, in the order in which they began: one that times out ends after others that began later.
    checks: VecDeque<Checked>,
    /// When the last that failed has ended.
    failed_ms: Option<u64>,
    /// Milliseconds that checks and clients found the edge to take, without the way.
    served: VecDeque<Served>,
    /// When the second was slow of those since which at most one of what is kept was quick.
    slow_since_ms: Option<u64>,
    /// What checks take at best: until one has passed it is not known that this selector can reach the edge at all.
    best: Option<Best>,
    /// The share of checks of which nothing came.
    lost: f64,
}

/// What the edge took.
#[derive(Clone, Copy, Debug)]
struct Served {
    at_ms: u64,
    ms: f64,
    /// It had reported overload.
    overload: bool,
}

impl Served {
    /// It is more than any rule lets pass.
    fn is_slow(&self) -> bool {
        self.ms > SLOW_IDLE * SERVICE_FLOOR_MS
    }
}

#[derive(Clone, Copy, Debug)]
struct Checked {
    began_ms: u64,
    check: Check,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    number: u64,
    answers: Answers,
    /// The highest load that the edge has reported.
    load: f64,
}

#[derive(Clone, Copy, Debug)]
struct Network {
    cell: Cell,
    failures: u32,
    last_ms: u64,
}

/// Checks that failed. A turn is a check, or a row of them of which nothing came within [`BLIP_MS`]: a path that blips
/// takes several with it. A spell is a row of failures without one between that passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spells {
    /// How many checks failed.
    pub(super) failed: usize,
    /// How many turns that were,
    pub(super) turns_failed: usize,
    /// of how many from the first failure to the last.
    pub(super) turns: usize,
    /// The longest spell, in milliseconds from the beginning of its first failure to that of its last,
    pub(super) longest_ms: u64,
    /// and how many turns failed in it.
    pub(super) in_a_row: usize,
    /// From the first failure of all to the last.
    pub(super) span_ms: u64,
}

/// What calls for a closer look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspicion {
    /// A check or answers have just failed.
    pub(super) fails: bool,
    /// The last check was slow, or all but one of the last few.
    pub(super) slow: bool,
}

/// Answers of an edge.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    /// How many,
    pub(super) count: u64,
    /// and how many failures of them.
    pub(super) failures: u64,
}

impl Answers {
    fn at_least(self, least: u64) -> Option<Answers> {
        (self.count >= least.max(1)).then_some(self)
    }

    fn add(&mut self, more: Answers) {
        self.count += more.count;
        self.failures += more.failures;
    }

    fn take(&mut self, less: Answers) {
        self.count -= less.count;
        self.failures -= less.failures;
    }

    /// The share of failures.
    pub(super) fn share(self) -> f64 {
        self.failures as f64 / self.count as f64
    }
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
        match check {
            Check::Passed(took) => self.pass(took, true, now_ms),
            Check::Refused(took) => self.pass(took, false, now_ms),
            Check::Lost => {}
        }
        if self.best.is_some() {
            if self.checks.len() >= CHECKS {
                self.checks.pop_front();
            }
            let place = self.checks.partition_point(|other| other.began_ms <= began_ms);
            self.checks.insert(place, Checked { began_ms, check });
            if check.failed() {
                self.failed_ms = Some(now_ms);
            }
        }
    }

    /// Something came. To refuse may be quick; where it takes long, it shows what any answer takes.
    fn pass(&mut self, took: Took, came: bool, now_ms: u64) {
        let known = self.best.as_ref().is_some_and(|best| best.is_of(took));
        if came && !known {
            self.best = Some(Best::new(took));
        }
        let Some(best) = self.best.as_mut().filter(|best| came || known && best.knows(took.object)) else {
            return;
        };
        let took_ms = best.beyond_ms(took, came);
        if came || took_ms > SLOW_IDLE * SERVICE_FLOOR_MS {
            self.serve(took_ms, now_ms);
        }
    }

    /// Milliseconds that a check takes at best, its connection included, where one has passed.
    pub(super) fn usual_ms(&self) -> Option<f64> {
        self.best.as_ref().map(Best::usual_ms)
    }

    /// Learns what the way to a sound edge loses: a long one takes whoever has to ask twice past the time that a check
    /// waits.
    pub(super) fn learn(&mut self, check: Check) {
        let lost = if check == Check::Lost { 1.0 } else { 0.0 };
        self.lost = (self.lost + (lost - self.lost) / LEARNT).min(LOST_MOST);
    }

    /// The share of checks of which nothing comes usually.
    pub(super) fn lost(&self) -> f64 {
        self.lost
    }

    /// The edge has gone away: what its checks have shown is the going.
    pub(super) fn away(&mut self) {
        self.checks.clear();
        self.failed_ms = None;
    }

    /// The edge says how busy it is.
    pub(super) fn load(&mut self, load: f64, now_ms: u64) {
        let step = self.step(now_ms);
        step.load = step.load.max(load);
    }

    /// Lets go of what is too old.
    pub(super) fn age(&mut self, now_ms: u64) {
        let old = |at: u64| now_ms.saturating_sub(at) > WINDOW_MS;
        self.networks.retain(|network| !old(network.last_ms));
        while self.checks.front().is_some_and(|checked| old(checked.began_ms)) {
            self.checks.pop_front();
        }
        while self.served.front().is_some_and(|served| old(served.at_ms)) {
            self.served.pop_front();
        }
        if self.served.is_empty() {
            self.slow_since_ms = None;
        }
        self.advance(now_ms / STEP_MS);
    }

    /// Goes on to the step of that number, and forgets those that are too old then.
    fn advance(&mut self, number: u64) {
        if number > self.last {
            for step in self.steps.iter_mut().filter(|step| step.number + STEPS as u64 <= number) {
                self.answers.take(std::mem::take(step).answers);
            }
            self.last = number;
        }
    }

    /// Failures that clients report, and from how many networks.
    pub(super) fn failures(&self) -> (f64, usize) {
        let failures: u32 = self.networks.iter().map(|network| network.failures).sum();
        (f64::from(failures), self.networks.len())
    }

    /// Answers and failures within the window, if there are that many answers.
    pub(super) fn answers(&self, least: u64) -> Option<Answers> {
        self.answers.at_least(least)
    }

    /// The same of the last seconds.
    pub(super) fn recently(&self, least: u64) -> Option<Answers> {
        let mut answers = Answers::default();
        self.recent().for_each(|step| answers.add(step.answers));
        answers.at_least(least)
    }

    fn recent(&self) -> impl Iterator<Item = &Step> {
        let numbers = self.last.saturating_sub(RECENT_STEPS - 1)..=self.last;
        numbers
            .filter_map(|number| self.steps.get(number as usize % STEPS).filter(|step| step.number == number))
    }

    /// How many checks failed.
    pub(super) fn failed(&self) -> usize {
        self.checks.iter().filter(|checked| checked.check.failed()).count()
    }

    /// Whether there is nothing that any rule could hold against the edge, whatever its peers show.
    pub(super) fn is_sound(&self) -> bool {
        self.failures().0 < FAILURES
            && self.failed() < TURNS_FAILED
            && self.answers(SAMPLES).is_none_or(|answers| answers.share() <= RATIO)
            && self.recently(SAMPLES).is_none_or(|answers| answers.share() <= RATIO)
            && self.slow_ms() < SLOWING_MS
    }

    /// For how many milliseconds all measurements but one of the last few have been slow.
    pub(super) fn slow_ms(&self) -> u64 {
        let last = self.served.back().map_or(0, |served| served.at_ms);
        self.slow_since_ms.map_or(0, |since_ms| last.saturating_sub(since_ms))
    }

    /// How checks failed.
    pub(super) fn spells(&self) -> Spells {
        let mut spells = Spells::default();
        let (mut first, mut passed) = (None, 0);
        // When the spell began, the turns that failed in it, and when the path may have blipped.
        let (mut spell, mut in_a_row, mut blip): (Option<u64>, usize, Option<u64>) = (None, 0, None);
        for Checked { began_ms: at, check, .. } in self.checks.iter().copied() {
            if !check.failed() {
                (spell, in_a_row, blip) = (None, 0, None);
                passed += usize::from(first.is_some());
                continue;
            }
            let same = check == Check::Lost && blip.is_some_and(|since| at - since < BLIP_MS);
            if check != Check::Lost {
                blip = None;
            } else if blip.is_none() {
                blip = Some(at);
            }
            spells.failed += 1;
            spells.turns_failed += usize::from(!same);
            spells.turns = spells.turns_failed + passed;
            in_a_row += usize::from(!same);
            let lasts_ms = at - *spell.get_or_insert(at);
            if lasts_ms >= spells.longest_ms {
                (spells.longest_ms, spells.in_a_row) = (lasts_ms, in_a_row);
            }
            spells.span_ms = at - *first.get_or_insert(at);
        }
        spells
    }

    /// The time that the edge takes all but once at least, if there are that many measurements: now and then one is slow
    /// because a packet was sent again, and not by the edge. Of one that is judged (not one of its peers), only those
    /// count that are not of a time of overload, which has its price.
    pub(super) fn service_ms(&self, least: usize, judged: bool) -> Option<f64> {
        let counts = |served: &&Served| !(judged && served.overload);
        let (mut lowest, mut second, mut count) = (f64::INFINITY, f64::INFINITY, 0);
        for Served { ms, .. } in self.served.iter().filter(counts) {
            count += 1;
            if *ms < lowest {
                (lowest, second) = (*ms, lowest);
            } else {
                second = second.min(*ms);
            }
        }
        (count >= least).then_some(if count == KEPT { second } else { lowest })
    }

    /// What makes the edge suspicious.
    pub(super) fn suspicion(&self, now_ms: u64) -> Suspicion {
        let fresh = self.failed_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) <= SUSPICION_MS);
        let fails = fresh || self.recently(1).is_some_and(|answers| answers.share() > RATIO);
        let slow = self.slow_since_ms.is_some() || self.served.back().is_some_and(Served::is_slow);
        Suspicion { fails, slow }
    }

    fn count(&mut self, answers: u64, failures: u64, now_ms: u64) {
        let more = Answers { count: answers, failures };
        self.step(now_ms).answers.add(more);
        self.answers.add(more);
    }

    /// The step of this second.
    fn step(&mut self, now_ms: u64) -> &mut Step {
        self.advance(now_ms / STEP_MS);
        let step = &mut self.steps[self.last as usize % STEPS];
        step.number = self.last;
        step
    }

    /// Keeps what the edge took, less what a load as it has reported lets expect.
    fn serve(&mut self, ms: f64, now_ms: u64) {
        let load = self.recent().map(|step| step.load).fold(0.0, f64::max);
        if ms.is_finite() {
            let priced_ms = waiting_ms(load.min(BUSY), SCALE_MS);
            if self.served.len() >= KEPT {
                self.served.pop_front();
            }
            let ms = (ms - priced_ms).max(0.0);
            self.served.push_back(Served { at_ms: now_ms, ms, overload: load >= BUSY });
            let mut slow = self.served.iter().filter(|served| served.is_slow()).map(|served| served.at_ms);
            // The first may have been slow by accident.
            let since_ms = self.slow_since_ms.or(slow.nth(1));
            let quick = self.served.iter().filter(|served| !served.is_slow()).count();
            self.slow_since_ms = since_ms.filter(|_| quick <= 1);
        }
    }
}
