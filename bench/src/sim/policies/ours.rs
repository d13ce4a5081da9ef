//! The production decision: `kromka_selector::rank`, fed as the selector's roster feeds it.

use std::{net::IpAddr, net::Ipv4Addr, sync::Arc};

use kromka_selector::rank::{
    self, Candidate, Capacity, Cell, Distances, Gain, Kept, Learner, Parts, Position, Question, Settings,
    Snapshot, Stay, Whereabouts, score::Prices,
};

use super::{Again, Choice, Knowledge, News, Policy, Report, Viewer};
use crate::sim::dice::Dice;

/// Bits per second of one viewer.
const VIEWER_BPS: f64 = 4_000_000.0;

/// Samples of each distance where distances are known from the start.
const SAMPLES: u64 = 120;

/// Sessions whose names are kept; more share them.
const SESSIONS: usize = 4_096;

/// Selectors that a gain reckons with.
const SELECTORS_MAX: u32 = 8;

/// Ticks between two tables of distances: five seconds, where production makes one with each tick.
const TABLE_EVERY: u64 = 20;

/// By how much clocks that are off go too fast or too slow.
const CLOCK_RATE: f64 = 2e-4;

struct Selector {
    edges: Vec<Candidate>,
    capacities: Vec<Capacity>,
    gains: Vec<Gain>,
    boots: Vec<u32>,
    heard: Vec<bool>,
    /// By an operator; what the node itself says does not undo it.
    drained: Vec<bool>,
    /// What its clock shows at the beginning, in milliseconds, and how fast it goes.
    clock: (f64, f64),
    snapshot: Snapshot,
    /// Something has changed since the snapshot was built.
    dirty: bool,
    /// A snapshot is due since then; it is built when somebody asks, and as it would have been built at that time.
    due_ms: Option<u64>,
}

impl Selector {
    /// What its clock shows.
    fn clock_ms(&self, now_ms: u64) -> u64 {
        (self.clock.0 + now_ms as f64 * self.clock.1) as u64
    }
}

/// All selectors of the production decision.
pub struct Ours<'w> {
    known: Knowledge<'w>,
    selectors: Vec<Selector>,
    learner: Learner,
    distances: Arc<Distances>,
    settings: Arc<Settings>,
    addresses: Vec<IpAddr>,
    places: Vec<Whereabouts>,
    titles: Vec<String>,
    sessions: Vec<String>,
    sites: Vec<String>,
    steering: bool,
    ticks: u64,
}

impl<'w> Ours<'w> {
    /// Selectors that have just started, with distances known or, in a cold start, only positions.
    pub fn new(known: &Knowledge<'w>, steering: bool) -> Ours<'w> {
        let world = known.world;
        let position =
            |city: usize| Position::exact(world.cities[city].latitude, world.cities[city].longitude);
        let cities = 0..world.weights.len();
        let addresses: Vec<IpAddr> = cities
            .clone()
            .map(|city| IpAddr::V4(Ipv4Addr::from(0x0A00_0001 | (city as u32) << 12)))
            .collect();
        let places: Vec<Whereabouts> = cities
            .clone()
            .map(|city| Whereabouts { asn: Some(city as u32), country: None, position: Some(position(city)) })
            .collect();
        let sites: Vec<String> = (0..world.sites.len()).map(|site| format!("s{site:03}")).collect();
        let mut learner = Learner::default();
        for (site, name) in sites.iter().enumerate() {
            learner.site(name, Some(position(world.sites[site])));
        }
        let settings = Settings {
            prices: Prices::new(10.0 * known.scenario.price),
            // Reports of the simulation show every viewer who has arrived.
            settle_ms: 0,
            suspect_after_ms: (known.scenario.report_s * 2_500.0) as u64,
            down_after_ms: (known.scenario.report_s * 6_000.0) as u64,
            ..Settings::default()
        };
        if !known.scenario.cold {
            for city in cities {
                for (site, name) in sites.iter().enumerate() {
                    let cell = Cell::of(addresses[city]);
                    learner.learn(cell, &places[city], name, SAMPLES, known.rtt(city, site), 0);
                }
            }
        }
        let edges: Vec<Candidate> = (0..world.nodes.len())
            .map(|node| Candidate {
                session_load: 1.0 / known.capacity[node],
                ..Candidate::supposed(
                    &format!("n{node:04}"),
                    &sites[world.nodes[node].site],
                    (known.capacity[node] * VIEWER_BPS) as u64,
                )
            })
            .collect();
        let mut dice = Dice::new(known.seed, 13);
        let error = known.scenario.clock_error_s;
        let mut selector = || Selector {
            clock: match error > 0.0 {
                true => {
                    (dice.between(0.0, error * 1_000.0), dice.between(1.0 - CLOCK_RATE, 1.0 + CLOCK_RATE))
                }
                false => (0.0, 1.0),
            },
            edges: edges.iter().map(|edge| Candidate { assigned: Arc::default(), ..edge.clone() }).collect(),
            drained: vec![false; edges.len()],
            capacities: vec![Capacity::default(); edges.len()],
            gains: vec![Gain::new(SELECTORS_MAX); edges.len()],
            boots: vec![0; edges.len()],
            heard: vec![false; edges.len()],
            snapshot: Snapshot::default(),
            dirty: true,
            due_ms: None,
        };
        let mut ours = Ours {
            selectors: (0..known.scenario.selectors).map(|_| selector()).collect(),
            distances: Arc::new(learner.whole_table(0)),
            settings: Arc::new(settings),
            titles: (0..crate::sim::titles::TITLES).map(|title| format!("default/stream/{title}/")).collect(),
            sessions: (0..SESSIONS).map(|session| format!("019d-{session:x}")).collect(),
            known: known.clone(),
            learner,
            addresses,
            places,
            sites,
            steering,
            ticks: 0,
        };
        for selector in &mut ours.selectors {
            let now_ms = selector.clock_ms(0);
            selector.edges.iter_mut().for_each(|edge| edge.heard_ms = now_ms);
        }
        ours.publish(0);
        ours
    }

    /// A snapshot of each selector that has news is due now.
    fn publish(&mut self, now_ms: u64) {
        for selector in self.selectors.iter_mut().filter(|selector| selector.dirty) {
            (selector.dirty, selector.due_ms) = (false, Some(now_ms));
        }
    }

    /// Builds the snapshot of a selector that is due, before it is asked or hears more.
    fn build(&mut self, selector: usize) {
        let selector = &mut self.selectors[selector];
        let Some(now_ms) = selector.due_ms.take() else { return };
        for (edge, gain) in selector.edges.iter_mut().zip(&selector.gains) {
            edge.gain = gain.value();
        }
        let parts = Parts {
            edges: selector.edges.clone(),
            distances: Arc::clone(&self.distances),
            zones: Arc::default(),
            settings: Arc::clone(&self.settings),
        };
        let now_ms = selector.clock_ms(now_ms);
        selector.snapshot = Snapshot::build(parts, Some(&selector.snapshot), now_ms);
    }

    fn question<'a>(
        &'a self,
        selector: usize,
        viewer: &Viewer,
        exclude: &'a [String],
        k: usize,
    ) -> Question<'a> {
        Question {
            client: Some(self.addresses[viewer.city]),
            place: self.places[viewer.city],
            content_key: &self.titles[viewer.title],
            session: Some(&self.sessions[viewer.session as usize % SESSIONS]),
            exclude,
            k,
            now_ms: self.selectors[selector].clock_ms(viewer.now_ms),
        }
    }

    /// The number in the name of an edge.
    fn node_of(edge: &Candidate) -> Option<usize> {
        edge.called.id.strip_prefix('n')?.parse().ok()
    }

    fn excluded(viewer: &Viewer) -> Vec<String> {
        viewer.exclude.map(|node| format!("n{node:04}")).into_iter().collect()
    }
}

impl Policy for Ours<'_> {
    fn report(&mut self, selector: usize, node: usize, report: &Report, now_ms: u64) {
        let selector = &mut self.selectors[selector];
        let now_ms = selector.clock_ms(now_ms);
        let edge = &mut selector.edges[node];
        let elapsed_ms = now_ms.saturating_sub(edge.heard_ms);
        let sent = edge.assigned.reported(elapsed_ms, self.settings.settle_ms);
        selector.gains[node].learn(report.started, sent, elapsed_ms);
        let was_away = elapsed_ms > self.settings.down_after_ms || selector.boots[node] != report.boot;
        if selector.heard[node] && was_away {
            edge.returned_ms = Some(now_ms);
        }
        selector.boots[node] = report.boot;
        selector.heard[node] = true;
        edge.heard_ms = now_ms;
        edge.draining = report.draining || selector.drained[node];
        let capacity = &mut selector.capacities[node];
        if self.known.scenario.learn_capacity {
            capacity.observe(report.load, report.service_ms, now_ms);
        }
        let factor = capacity.factor();
        edge.reported = report.load / factor;
        edge.capacity_bps = (self.known.capacity[node] * VIEWER_BPS * factor) as u64;
        edge.session_load = 1.0 / (self.known.capacity[node] * factor);
        selector.dirty = true;
    }

    fn told(&mut self, selector: usize, node: usize, news: News, now_ms: u64) {
        let selector = &mut self.selectors[selector];
        // What production does as well: `Roster::doubt`, `Roster::set_drained`; both publish at once.
        let doubted_ms = selector.clock_ms(now_ms).saturating_sub(self.settings.suspect_after_ms + 1);
        let edge = &mut selector.edges[node];
        match news {
            News::Ended => edge.heard_ms = edge.heard_ms.min(doubted_ms),
            News::Drained => (edge.draining, selector.drained[node]) = (true, true),
        }
        (selector.dirty, selector.due_ms) = (false, Some(now_ms));
    }

    fn tick(&mut self, now_ms: u64) {
        self.ticks += 1;
        if self.known.scenario.measures() && self.ticks.is_multiple_of(TABLE_EVERY) {
            self.distances = Arc::new(self.learner.table(now_ms));
            self.selectors.iter_mut().for_each(|selector| selector.dirty = true);
        }
        self.publish(now_ms);
    }

    fn would_choose(&mut self, selector: usize, viewer: &Viewer) -> Option<usize> {
        self.build(selector);
        let question = self.question(selector, viewer, &[], 1);
        let ranking = rank::decide(&self.selectors[selector].snapshot, &question);
        ranking.edges.first().and_then(|ranked| Ours::node_of(ranked.edge))
    }

    fn choose(&mut self, selector: usize, viewer: &Viewer) -> Choice {
        self.build(selector);
        let exclude = Ours::excluded(viewer);
        let question = self.question(selector, viewer, &exclude, 3);
        let ranking = rank::decide(&self.selectors[selector].snapshot, &question);
        ranking.assign(1.0);
        let mut choice = Choice::default();
        for ranked in ranking.edges.iter() {
            if let Some(node) = Ours::node_of(ranked.edge) {
                choice.push(node);
            }
        }
        choice
    }

    fn asks_again(&self) -> bool {
        self.steering
    }

    fn again(&mut self, selector: usize, again: &mut Again) -> Option<usize> {
        self.build(selector);
        let snapshot = &self.selectors[selector].snapshot;
        let question = self.question(selector, &again.viewer, &[], 3);
        let stay = Stay {
            edge: &self.selectors[selector].edges[again.node].called.id,
            since_ms: self.selectors[selector].clock_ms(again.since_ms),
            gained: again.memory.gained,
            hot: again.memory.hot,
            blamed: &[],
        };
        let Kept { leave, hot, gains } = rank::keep(snapshot, &question, &stay);
        (again.memory.hot, again.memory.gained) = (hot, gains);
        leave?;
        let ranking = rank::decide(snapshot, &question);
        ranking.assign(1.0);
        Ours::node_of(ranking.edges.first()?.edge)
    }

    fn explore(&mut self, viewer: &Viewer) -> [Option<usize>; 2] {
        let share = kromka_config::BeaconsConfig::default().explore;
        self.build(0);
        let session = format!("{:x}", viewer.session);
        let question = Question { session: Some(&session), ..self.question(0, viewer, &[], 8) };
        rank::explore(&self.selectors[0].snapshot, &question, share)
            .map(|edge| edge.and_then(Ours::node_of).map(|node| self.known.world.nodes[node].site))
    }

    fn measured(&mut self, city: usize, site: usize, ms: f64, now_ms: u64) {
        let cell = Cell::of(self.addresses[city]);
        self.learner.learn(cell, &self.places[city], &self.sites[site], 1, ms, now_ms);
    }
}
