//! The textbook: nearest, in turn, at random, least loaded, power of two; and a model of Prequal's hot/cold rule.

use super::{Choice, Knowledge, Policy, Report, Viewer, draw};
use crate::sim::dice::Dice;

/// How much farther than the nearest a node may be where policies keep near, in milliseconds.
const NEAR_MS: f64 = 30.0;

/// Probes that the hot/cold rule compares.
const PROBES: usize = 3;

/// The quantile of load above which a node is hot: 2^-0.25.
const HOT: f64 = 0.84;

/// Which rule.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Nearest site by kilometres, hash in it.
    GeoNearest,
    /// Nearest site by round trip, hash in it.
    RttNearest,
    /// Nearest site by round trip, least loaded node in it.
    RttLeastLoaded,
    /// Each node in turn.
    RoundRobin,
    /// Any node.
    Random,
    /// The node that reported the least load.
    LeastLoaded,
    /// The less loaded of two.
    TwoChoices {
        /// Among those that are near.
        near: bool,
    },
    /// Of three probes the cold one with the least latency; if all are hot, the least loaded.
    HotCold {
        /// Among those that are near.
        near: bool,
    },
}

/// A simple policy.
pub struct Simple<'w> {
    known: Knowledge<'w>,
    rule: Rule,
    dice: Dice,
    next: usize,
    /// The last report of each node, by selector.
    seen: Vec<Vec<Report>>,
    /// Load above which a node is hot, by selector.
    hot: Vec<f64>,
    /// Nodes within the limit, by city.
    near: Vec<Vec<usize>>,
    nearest: Vec<usize>,
}

impl<'w> Simple<'w> {
    /// Knows no load yet.
    pub fn new(known: Knowledge<'w>, rule: Rule) -> Simple<'w> {
        let (world, sites) = (known.world, known.world.sites.len());
        let cities = 0..world.weights.len();
        let by = |city: usize, site: usize| match rule {
            Rule::GeoNearest => world.km[city * sites + site],
            _ => known.rtt(city, site),
        };
        let best = |city: usize| (0..sites).min_by(|a, b| by(city, *a).total_cmp(&by(city, *b))).unwrap_or(0);
        let nearest: Vec<usize> = cities.clone().map(best).collect();
        let near = cities.map(|city| {
            let limit = known.rtt(city, nearest[city]) + NEAR_MS;
            let keeps = |node: &usize| known.rtt(city, world.nodes[*node].site) <= limit;
            (0..world.nodes.len()).filter(keeps).collect()
        });
        let selectors = known.scenario.selectors;
        Simple {
            near: near.collect(),
            nearest,
            seen: vec![vec![Report::default(); world.nodes.len()]; selectors],
            hot: vec![f64::INFINITY; selectors],
            dice: Dice::new(known.seed, 11),
            next: 0,
            rule,
            known,
        }
    }

    fn hashed(&self, site: usize, title: usize) -> usize {
        let drawn = |node: &usize| draw(title, *node, self.known.capacity[*node]);
        let nodes = self.known.world.nodes_of(site);
        nodes.max_by(|a, b| drawn(a).total_cmp(&drawn(b))).unwrap_or(0)
    }

    fn some(&mut self, near: bool, city: usize) -> usize {
        match near {
            true => self.near[city][self.dice.below(self.near[city].len())],
            false => self.dice.below(self.known.world.nodes.len()),
        }
    }

    fn least(&self, selector: usize, nodes: impl Iterator<Item = usize>) -> usize {
        let load = |node: &usize| self.seen[selector][*node].load;
        nodes.min_by(|a, b| load(a).total_cmp(&load(b))).unwrap_or(0)
    }
}

impl Policy for Simple<'_> {
    fn report(&mut self, selector: usize, node: usize, report: &Report, _now_ms: u64) {
        self.seen[selector][node] = *report;
        if node == 0 && matches!(self.rule, Rule::HotCold { .. }) {
            let mut loads: Vec<f64> = self.seen[selector].iter().map(|seen| seen.load).collect();
            loads.sort_by(f64::total_cmp);
            self.hot[selector] = loads[((loads.len() - 1) as f64 * HOT) as usize];
        }
    }

    fn choose(&mut self, selector: usize, viewer: &Viewer) -> Choice {
        let nodes = self.known.world.nodes.len();
        Choice::one(match self.rule {
            Rule::GeoNearest | Rule::RttNearest => self.hashed(self.nearest[viewer.city], viewer.title),
            Rule::RttLeastLoaded => {
                self.least(selector, self.known.world.nodes_of(self.nearest[viewer.city]))
            }
            Rule::RoundRobin => {
                self.next = (self.next + 1) % nodes;
                self.next
            }
            Rule::Random => self.dice.below(nodes),
            Rule::LeastLoaded => self.least(selector, 0..nodes),
            Rule::TwoChoices { near } => {
                let two = [self.some(near, viewer.city), self.some(near, viewer.city)];
                self.least(selector, two.into_iter())
            }
            Rule::HotCold { near } => {
                let probes: [usize; PROBES] = std::array::from_fn(|_| self.some(near, viewer.city));
                let seen = |node: usize| &self.seen[selector][node];
                let latency = |node: &usize| {
                    seen(*node).service_ms + self.known.rtt(viewer.city, self.known.world.nodes[*node].site)
                };
                let cold = probes.into_iter().filter(|node| seen(*node).load < self.hot[selector]);
                cold.min_by(|a, b| latency(a).total_cmp(&latency(b)))
                    .unwrap_or_else(|| self.least(selector, probes.into_iter()))
            }
        })
    }
}
