//! Who decides. Each policy sees what its selectors see: reports that are old, distances and capacities that may be
//! wrong, and what they sent themselves.
//!
//! - [`ours`]: the production decision, `kromka_selector::rank`.
//! - [`simple`]: nearest, round robin, random, least loaded, power of two, and a model of Prequal's hot/cold rule.
//! - [`traffic_router`]: a model of Apache Traffic Router.
//! - [`split`]: a model of a periodic split table, as Taiji makes them.
//!
//! Models are ours, and not the code of those systems.

pub mod ours;
pub mod simple;
pub mod split;
pub mod traffic_router;

use super::{scenario::Scenario, world::World};

/// What a node reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Viewers by the capacity that it believes to have.
    pub load: f64,
    /// Sessions begun since it started.
    pub started: u64,
    /// Response time of cached objects in milliseconds.
    pub service_ms: f64,
    /// It wants no new viewers.
    pub draining: bool,
    /// Changes when it restarts.
    pub boot: u32,
}

/// What selectors hear of a node besides its reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Its connection has ended: its process died, and the kernel closed its sockets.
    Ended,
    /// An operator drains it here, or it says so itself with a heartbeat of its own.
    Drained,
}

/// A viewer who asks.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    /// Where.
    pub city: usize,
    /// What.
    pub title: usize,
    /// Number of the session.
    pub session: u32,
    /// A node that has just failed this viewer.
    pub exclude: Option<usize>,
    /// When, in milliseconds.
    pub now_ms: u64,
}

/// Nodes for a viewer, best first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    nodes: [u16; 3],
    count: usize,
}

impl Choice {
    /// One node.
    pub fn one(node: usize) -> Choice {
        Choice { nodes: [node as u16; 3], count: 1 }
    }

    /// Adds one, if there is room.
    pub fn push(&mut self, node: usize) {
        if let Some(place) = self.nodes.get_mut(self.count) {
            *place = node as u16;
            self.count += 1;
        }
    }

    /// The nodes in order.
    pub fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes[..self.count].iter().map(|node| usize::from(*node))
    }
}

/// A session that asks again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Who asks.
    pub viewer: Viewer,
    /// Where it plays.
    pub node: usize,
    /// Since when, in milliseconds.
    pub since_ms: u64,
    /// What the policy said the last time.
    pub memory: Memory,
}

/// What a policy is told of a session the next time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Its node was hot.
    pub hot: bool,
    /// Another was better by far.
    pub gained: bool,
}

/// What all policies know of the world.
#[derive(Clone, Debug)]
pub struct Knowledge<'w> {
    /// The world; capacities and distances in it are the true ones.
    pub world: &'w World,
    /// Believed milliseconds from each city to each site.
    pub rtt_ms: Vec<f64>,
    /// Configured capacities of nodes in viewers.
    pub capacity: Vec<f64>,
    /// The run.
    pub scenario: &'w Scenario,
    /// For chance.
    pub seed: u64,
}

impl Knowledge<'_> {
    /// Believed milliseconds from a city to a site.
    pub fn rtt(&self, city: usize, site: usize) -> f64 {
        self.rtt_ms[city * self.world.sites.len() + site]
    }
}

/// A policy with all its selectors.
pub trait Policy {
    /// A report reaches one selector.
    fn report(&mut self, selector: usize, node: usize, report: &Report, now_ms: u64);

    /// One selector hears something of a node besides its reports.
    fn told(&mut self, _selector: usize, _node: usize, _news: News, _now_ms: u64) {}

    /// A quarter of a second has passed.
    fn tick(&mut self, _now_ms: u64) {}

    /// Where a viewer would be sent, who is not; `None` of a policy that is not asked such questions.
    fn would_choose(&mut self, _selector: usize, _viewer: &Viewer) -> Option<usize> {
        None
    }

    /// Where a viewer goes.
    fn choose(&mut self, selector: usize, viewer: &Viewer) -> Choice;

    /// A session asks again; `Some` = it moves there.
    fn again(&mut self, _selector: usize, _again: &mut Again) -> Option<usize> {
        None
    }

    /// Whether sessions ask again.
    fn asks_again(&self) -> bool {
        false
    }

    /// The viewers in each city, for a policy that plans; it gets the truth, which no real one has.
    fn plan(&mut self, _viewers: &[f64]) {}

    /// Sites to which this viewer shall measure.
    fn explore(&mut self, _viewer: &Viewer) -> [Option<usize>; 2] {
        [None; 2]
    }

    /// A round trip was measured.
    fn measured(&mut self, _city: usize, _site: usize, _ms: f64, _now_ms: u64) {}
}

/// All policies, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    TwoChoices,
    /// The same among nodes within 30 ms of the nearest.
    TwoChoicesNear,
    /// Prequal's hot/cold rule over three probes.
    HotCold,
    /// The same among nodes within 30 ms of the nearest.
    HotColdNear,
    /// Traffic Router: nearest group by kilometres, a gate at 90 %, hash.
    TrafficRouter,
    /// The same with measured round trips.
    TrafficRouterRtt,
    /// A split table each second.
    Split,
    /// The production decision.
    Ours,
    /// The same, and sessions ask again each 30 s.
    OursSteering,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 15] = [
        Kind::GeoNearest,
        Kind::RttNearest,
        Kind::RttLeastLoaded,
        Kind::RoundRobin,
        Kind::Random,
        Kind::LeastLoaded,
        Kind::TwoChoices,
        Kind::TwoChoicesNear,
        Kind::HotCold,
        Kind::HotColdNear,
        Kind::TrafficRouter,
        Kind::TrafficRouterRtt,
        Kind::Split,
        Kind::Ours,
        Kind::OursSteering,
    ];

    /// Whether it is one of those that a routing policy has to be measured by, and goes through all seeds. The
    /// others are so far from the best that a few seeds tell.
    pub fn close(self) -> bool {
        use Kind::{Ours, OursSteering, RttNearest, Split, TrafficRouter, TrafficRouterRtt, TwoChoices};
        matches!(
            self,
            Ours | OursSteering | RttNearest | Split | TrafficRouter | TrafficRouterRtt | TwoChoices
        )
    }

    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::GeoNearest => "geo-nearest, hash",
            Kind::RttNearest => "RTT-nearest, hash",
            Kind::RttLeastLoaded => "RTT-nearest, least-loaded node",
            Kind::RoundRobin => "round robin",
            Kind::Random => "random",
            Kind::LeastLoaded => "least loaded, global",
            Kind::TwoChoices => "power of two, global",
            Kind::TwoChoicesNear => "power of two within +30 ms",
            Kind::HotCold => "Prequal-like (our model), global",
            Kind::HotColdNear => "Prequal-like (our model), +30 ms",
            Kind::TrafficRouter => "Traffic-Router-like (our model)",
            Kind::TrafficRouterRtt => "Traffic-Router-like (our model) with our RTT",
            Kind::Split => "split table each second (our model of Taiji's)",
            Kind::Ours => "kromka",
            Kind::OursSteering => "kromka, sessions steered each 30 s",
        }
    }

    /// Sets it up.
    pub fn build<'w>(self, known: &Knowledge<'w>) -> Box<dyn Policy + 'w> {
        use simple::{Rule, Simple};
        let simple = |rule| -> Box<dyn Policy + 'w> { Box::new(Simple::new(known.clone(), rule)) };
        match self {
            Kind::GeoNearest => simple(Rule::GeoNearest),
            Kind::RttNearest => simple(Rule::RttNearest),
            Kind::RttLeastLoaded => simple(Rule::RttLeastLoaded),
            Kind::RoundRobin => simple(Rule::RoundRobin),
            Kind::Random => simple(Rule::Random),
            Kind::LeastLoaded => simple(Rule::LeastLoaded),
            Kind::TwoChoices => simple(Rule::TwoChoices { near: false }),
            Kind::TwoChoicesNear => simple(Rule::TwoChoices { near: true }),
            Kind::HotCold => simple(Rule::HotCold { near: false }),
            Kind::HotColdNear => simple(Rule::HotCold { near: true }),
            Kind::TrafficRouter => Box::new(traffic_router::TrafficRouter::new(known.clone(), false)),
            Kind::TrafficRouterRtt => Box::new(traffic_router::TrafficRouter::new(known.clone(), true)),
            Kind::Split => Box::new(split::Split::new(known.clone())),
            Kind::Ours => Box::new(ours::Ours::new(known, false)),
            Kind::OursSteering => Box::new(ours::Ours::new(known, true)),
        }
    }
}

/// The order of a title over nodes: greatest first. Policies that hash all hash alike.
pub fn draw(title: usize, node: usize, capacity: f64) -> f64 {
    let mut dice = super::dice::Dice::new(title as u64 + 1, node as u64 + 1);
    -capacity / dice.unit().max(1e-300).ln()
}
