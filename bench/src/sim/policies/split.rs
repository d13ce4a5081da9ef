//! A model of a periodic split table, as Taiji makes them, not its code: a solver turns the present load into
//! fractions of each city for each site; new viewers are split by them. In a site it chooses as ours does. It is
//! told the true number of viewers in each city.

use super::{Choice, Knowledge, Policy, Report, Viewer, draw};
use crate::sim::{cost::Curve, cost::Waiting, dice::Dice, oracle::Flow};

/// How far a node may be loaded above its site, as a share of the site's free capacity.
const SPILL: f64 = 0.15;

/// The model.
pub struct Split<'w> {
    known: Knowledge<'w>,
    /// The world as it is configured.
    believed: crate::sim::world::World,
    curve: Curve,
    flow: Flow,
    dice: Dice,
    seen: Vec<Vec<Report>>,
    sent: Vec<Vec<f64>>,
}

impl<'w> Split<'w> {
    /// Has no plan yet.
    pub fn new(known: Knowledge<'w>) -> Split<'w> {
        let mut believed = known.world.clone();
        for site in 0..believed.sites.len() {
            believed.capacity[site] = believed.nodes_of(site).map(|node| known.capacity[node]).sum();
        }
        let (nodes, selectors) = (known.world.nodes.len(), known.scenario.selectors);
        Split {
            flow: Flow::new(known.world),
            curve: Curve::new(Waiting { scale_ms: 10.0 * known.scenario.price, ..Waiting::default() }),
            dice: Dice::new(known.seed, 12),
            seen: vec![vec![Report::default(); nodes]; selectors],
            sent: vec![vec![0.0; nodes]; selectors],
            believed,
            known,
        }
    }
}

impl Policy for Split<'_> {
    fn report(&mut self, selector: usize, node: usize, report: &Report, _now_ms: u64) {
        self.seen[selector][node] = *report;
        self.sent[selector][node] = 0.0;
    }

    fn plan(&mut self, viewers: &[f64]) {
        let fixed = vec![0.0; self.believed.sites.len()];
        self.flow.solve(&self.believed, &self.curve, &self.known.rtt_ms, viewers, &fixed);
    }

    fn choose(&mut self, selector: usize, viewer: &Viewer) -> Choice {
        let sites = self.believed.sites.len();
        let row = &self.flow.from[viewer.city * sites..(viewer.city + 1) * sites];
        let mut wanted = self.dice.unit() * row.iter().sum::<f64>();
        let drawn_site = row.iter().position(|viewers| {
            wanted -= viewers;
            wanted < 0.0
        });
        let nearest = || {
            (0..sites)
                .min_by(|a, b| self.known.rtt(viewer.city, *a).total_cmp(&self.known.rtt(viewer.city, *b)))
        };
        let site = drawn_site.or_else(nearest).unwrap_or(0);
        let nodes = || self.believed.nodes_of(site);
        let load = |node: usize| {
            self.seen[selector][node].load + self.sent[selector][node] / self.known.capacity[node]
        };
        let used: f64 = nodes().map(|node| load(node) * self.known.capacity[node]).sum();
        let mean = used / nodes().map(|node| self.known.capacity[node]).sum::<f64>();
        let bound = mean + SPILL * (1.0 - mean).max(0.0) + 1e-9;
        let drawn = |node: &usize| draw(viewer.title, *node, self.known.capacity[*node]);
        let within = nodes().filter(|node| load(*node) <= bound);
        let node = within.max_by(|a, b| drawn(a).total_cmp(&drawn(b))).unwrap_or(nodes().start);
        self.sent[selector][node] += 1.0;
        Choice::one(node)
    }
}
