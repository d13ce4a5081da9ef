//! All policies, scenarios and seeds, summed up.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde::Serialize;

use super::{
    best::{Asked, Best, Solved},
    cost::Curve,
    dice::Dice,
    gray::{self, Watch},
    outcome::Outcome,
    policies::{Kind, Knowledge},
    run::{Length, run},
    scenario::Scenario,
    titles::Popularity,
    world::{Globe, World},
};

/// Cities of the synthetic world.
pub const SYNTHETIC_CITIES: usize = 200;

/// What is to be run.
pub struct Suite {
    /// The world of the data; without it all runs are in the synthetic one.
    pub globe: Option<Globe>,
    /// Policies that are not [`Kind::close`] go through seeds 1 to this.
    pub few_seeds: u64,
    /// How long a run is.
    pub length: Length,
    /// What is run.
    pub entries: Vec<Entry>,
}

/// A scenario, and who goes through it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The scenario.
    pub scenario: Scenario,
    /// The policies.
    pub kinds: Vec<Kind>,
    /// Seeds 1 to this.
    pub seeds: u64,
}

impl Entry {
    /// These policies through this scenario.
    pub fn new(scenario: Scenario, kinds: &[Kind], seeds: u64) -> Entry {
        Entry { scenario, kinds: kinds.to_vec(), seeds }
    }
}

/// Mean, least and greatest over all seeds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl Spread {
    /// Sums up.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Spread {
        let count = values.clone().count().max(1) as f64;
        Spread {
            mean: values.clone().sum::<f64>() / count,
            min: values.clone().fold(f64::INFINITY, f64::min),
            max: values.fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// In another unit.
    pub fn times(self, scale: f64) -> Spread {
        Spread { mean: self.mean * scale, min: self.min * scale, max: self.max * scale }
    }
}

/// One policy in one scenario, over all seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static str,
    /// The policy.
    pub policy: &'static str,
    /// The world.
    pub world: &'static str,
    /// Runs, each with a seed of its own.
    pub seeds: usize,
    /// What viewers paid beyond the free oracle, as a share.
    pub regret: Spread,
    /// Beyond the sticky oracle, where there is one.
    pub sticky_regret: Option<Spread>,
    /// Beyond the free oracle in the second half of the run.
    pub late_regret: Spread,
    /// Share of session time on nodes over their capacity.
    pub overloaded: Spread,
    /// Median round trip in milliseconds, and how much more than the oracle's.
    pub p50_ms: Spread,
    /// See above.
    pub p50_more_ms: Spread,
    /// 99th percentile of the start of a session in milliseconds.
    pub start_p99_ms: Spread,
    /// Share of sessions whose title was at the node.
    pub hits: Spread,
    /// Moves per session.
    pub moves: Spread,
    /// Sessions moved away and back within five minutes, as a share.
    pub back_and_forth: Spread,
    /// Seconds after an accident until the last new session was sent there.
    pub to_dead_s: Spread,
    /// The same after a drain was answered.
    pub to_drained_s: Spread,
    /// Seconds until a drain was answered.
    pub answered_s: Spread,
    /// Sessions that no node of their list would serve.
    pub failed: Spread,
    /// Share of sessions that measured other sites.
    pub explored: Spread,
    /// Sessions of the run that were sent to a dead or leaving node first.
    pub to_dead: Spread,
}

impl Row {
    fn of(scenario: &Scenario, kind: Kind, world: &'static str, runs: &[(Outcome, Arc<Best>)]) -> Row {
        let spread =
            |of: &dyn Fn(&Outcome, &Best) -> f64| Spread::of(runs.iter().map(|(run, best)| of(run, best)));
        Row {
            scenario: scenario.name,
            policy: kind.name(),
            world,
            seeds: runs.len(),
            regret: spread(&|run, best| run.regret(best, 0.0, 1.0)),
            sticky_regret: runs
                .iter()
                .all(|(_, best)| !best.sticky_ms.is_empty())
                .then(|| spread(&|run, best| run.sticky_regret(best).unwrap_or(0.0))),
            late_regret: spread(&|run, best| run.regret(best, 0.5, 1.0)),
            overloaded: spread(&|run, _| run.overloaded),
            p50_ms: spread(&|run, _| run.p50_ms),
            p50_more_ms: spread(&|run, best| run.p50_ms - best.p50_ms),
            start_p99_ms: spread(&|run, _| run.start_p99_ms),
            hits: spread(&|run, _| run.hits),
            moves: spread(&|run, _| run.moves),
            back_and_forth: spread(&|run, _| run.back_and_forth),
            to_dead_s: spread(&|run, _| run.to_dead_s),
            to_drained_s: spread(&|run, _| run.to_drained_s),
            answered_s: spread(&|run, _| run.answered_s),
            failed: spread(&|run, _| run.failed as f64),
            explored: spread(&|run, _| run.explored),
            to_dead: spread(&|run, _| run.to_dead as f64),
        }
    }
}

impl Suite {
    /// Runs everything on `threads` threads. The result does not depend on their number. `progress` hears how many
    /// of how many jobs are done.
    pub fn run(&self, threads: usize, progress: impl Fn(usize, usize) + Sync) -> Vec<Row> {
        let of = |(number, entry): (usize, &Entry)| (1..=entry.seeds).map(move |seed| (number, seed));
        let jobs: Vec<(usize, u64)> = self.entries.iter().enumerate().flat_map(of).collect();
        let solved = Solved::default();
        let done = side_by_side(&jobs, threads, progress, |(entry, seed)| {
            (*entry, *seed, self.job(*entry, *seed, &solved))
        });
        let mut rows = Vec::new();
        for (number, Entry { scenario, kinds, .. }) in self.entries.iter().enumerate() {
            let world = self.world_name(scenario);
            for (place, kind) in kinds.iter().enumerate() {
                let runs: Vec<(Outcome, Arc<Best>)> = done
                    .iter()
                    .filter(|(entry, ..)| *entry == number)
                    .filter_map(|(_, _, (best, outcomes))| Some((outcomes[place].clone()?, Arc::clone(best))))
                    .collect();
                rows.push(Row::of(scenario, *kind, world, &runs));
            }
        }
        rows
    }

    /// Watches for gray failures with seeds 1 to `seeds`, in order; with those up to `days` through a whole day besides.
    pub fn watch(
        &self,
        seeds: u64,
        days: u64,
        threads: usize,
        progress: impl Fn(usize, usize) + Sync,
    ) -> Vec<Watch> {
        let usual = Scenario::default();
        let jobs: Vec<u64> = (1..=seeds).collect();
        side_by_side(&jobs, threads, progress, |seed| {
            let synthetic;
            let globe = match &self.globe {
                Some(globe) => globe,
                None => {
                    synthetic = Globe::synthetic(*seed, SYNTHETIC_CITIES);
                    &synthetic
                }
            };
            let world = World::new(globe, usual.sites, self.length.viewers / usual.peak, *seed);
            gray::watch(&world, *seed, if *seed <= days { 24 } else { 0 })
        })
    }

    fn world_name(&self, scenario: &Scenario) -> &'static str {
        match &self.globe {
            Some(globe) if !scenario.synthetic => globe.name,
            _ => "synthetic",
        }
    }

    /// One scenario with one seed: all its policies meet the same viewers. `None` for who skips the seed.
    fn job(&self, entry: usize, seed: u64, solved: &Solved) -> (Arc<Best>, Vec<Option<Outcome>>) {
        let Entry { scenario, kinds, .. } = &self.entries[entry];
        let synthetic;
        let globe = match &self.globe {
            Some(globe) if !scenario.synthetic => globe,
            _ => {
                synthetic = Globe::synthetic(seed, SYNTHETIC_CITIES);
                &synthetic
            }
        };
        let world = World::new(globe, scenario.sites, self.length.viewers / scenario.peak, seed);
        let mut dice = Dice::new(seed, 31);
        let mut off = |value: &f64, error: f64| value * dice.between(1.0 - error, 1.0 + error);
        let rtt_ms = world.rtt_ms.iter().map(|ms| off(ms, scenario.distance_error)).collect();
        let capacity = world.nodes.iter().map(|node| off(&node.capacity, scenario.capacity_error)).collect();
        let known = Knowledge { world: &world, rtt_ms, capacity, scenario, seed };
        let (curve, popularity) = (Curve::new(scenario.waiting), Popularity::new(scenario.popularity));
        let mut best = None;
        let outcomes = kinds.iter().map(|kind| {
            let takes_part = kind.close() || seed <= self.few_seeds;
            takes_part.then(|| {
                let (outcome, seen) = run(*kind, &known, &curve, &popularity, self.length);
                let asked = || Asked { seen, world: world.clone(), waiting: scenario.waiting };
                best.get_or_insert_with(|| solved.best(asked(), &curve));
                outcome
            })
        });
        let outcomes = outcomes.collect();
        (best.unwrap_or_default(), outcomes)
    }
}

/// Does all jobs on `threads` threads; results are in the order of the jobs. `progress` hears how many of how many are
/// done.
fn side_by_side<J: Sync, R: Send>(
    jobs: &[J],
    threads: usize,
    progress: impl Fn(usize, usize) + Sync,
    does: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number) else { break };
                    let result = does(job);
                    let mut done = done.lock().unwrap_or_else(|broken| broken.into_inner());
                    done.push((number, result));
                    progress(done.len(), jobs.len());
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|broken| broken.into_inner());
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
