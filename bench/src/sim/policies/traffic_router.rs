//! A model of Apache Traffic Router, not its code: the nearest cache group by great circle, consistent hashing of
//! the content in it over the caches that are available, and the next nearest group when none is. A cache is
//! available while its last report is below a threshold.

use super::{Choice, Knowledge, Policy, Report, Viewer, draw};

/// Load from which on a cache is taken out.
const GATE: f64 = 0.90;

/// The model.
pub struct TrafficRouter<'w> {
    known: Knowledge<'w>,
    seen: Vec<Vec<Report>>,
    /// Sites from near to far, by city.
    order: Vec<Vec<usize>>,
}

impl<'w> TrafficRouter<'w> {
    /// With distances by kilometres, or by round trip, which the real one does not know.
    pub fn new(known: Knowledge<'w>, by_rtt: bool) -> TrafficRouter<'w> {
        let sites = known.world.sites.len();
        let far = |city: usize, site: usize| match by_rtt {
            true => known.rtt(city, site),
            false => known.world.km[city * sites + site],
        };
        let order = (0..known.world.weights.len()).map(|city| {
            let mut order: Vec<usize> = (0..sites).collect();
            order.sort_by(|a, b| far(city, *a).total_cmp(&far(city, *b)));
            order
        });
        let seen = vec![vec![Report::default(); known.world.nodes.len()]; known.scenario.selectors];
        TrafficRouter { order: order.collect(), seen, known }
    }
}

impl Policy for TrafficRouter<'_> {
    fn report(&mut self, selector: usize, node: usize, report: &Report, _now_ms: u64) {
        self.seen[selector][node] = *report;
    }

    fn choose(&mut self, selector: usize, viewer: &Viewer) -> Choice {
        let seen = &self.seen[selector];
        let drawn = |node: &usize| draw(viewer.title, *node, self.known.capacity[*node]);
        for site in &self.order[viewer.city] {
            let nodes = self.known.world.nodes_of(*site);
            let available = nodes.filter(|node| seen[*node].load < GATE && !seen[*node].draining);
            if let Some(node) = available.max_by(|a, b| drawn(a).total_cmp(&drawn(b))) {
                return Choice::one(node);
            }
        }
        let nodes = self.known.world.nodes_of(self.order[viewer.city][0]);
        Choice::one(nodes.max_by(|a, b| drawn(a).total_cmp(&drawn(b))).unwrap_or(0))
    }
}
