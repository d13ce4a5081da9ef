//! What happens in a run: demand, crowds, reports, mistakes, accidents.

use super::cost::Waiting;

/// Something that goes wrong, or is done on purpose, at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accident {
    /// The process of the largest node dies: it serves nobody, and its kernel ends its connections.
    Kill,
    /// The host of the largest node loses its power: nobody is told anything.
    PowerCut,
    /// So does the whole site of the largest node.
    SiteCut,
    /// The largest node still serves, but no selector hears it.
    Partition,
    /// An operator drains the largest node.
    Drain,
    /// All nodes restart one after the other, two seconds apart; each is away for four seconds and comes back empty.
    Storm,
}

/// One kind of run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in the tables.
    pub name: &'static str,
    /// Load of the whole fleet at the busiest hour, as a share of its capacity.
    pub peak: f64,
    /// Factor by which a crowd in one region adds to the demand there; 1 = no crowd.
    pub crowd: f64,
    /// Seconds between reports of a node.
    pub report_s: f64,
    /// Share of reports that are lost.
    pub lost: f64,
    /// Selectors; the first of several gets half of the viewers more than the others.
    pub selectors: usize,
    /// How far believed distances are off, as a share; wrong for ever.
    pub distance_error: f64,
    /// How far configured capacities are off, as a share.
    pub capacity_error: f64,
    /// Selectors learn capacities.
    pub learn_capacity: bool,
    /// Factor of the price of load.
    pub price: f64,
    /// Distances are not known at first, only positions.
    pub cold: bool,
    /// How edges of the world slow down.
    pub waiting: Waiting,
    /// Exponent of the titles' popularity.
    pub popularity: f64,
    /// Routes change halfway: this share of all distances grow or shrink by half of themselves.
    pub rerouted: f64,
    /// Selectors learn distances in the course of the run.
    pub learn_distances: bool,
    /// How far selectors' clocks are off, in seconds; none runs at the right rate either.
    pub clock_error_s: f64,
    /// What goes wrong halfway.
    pub accident: Option<Accident>,
    /// Sites, of three nodes each.
    pub sites: usize,
    /// A world that is not that of the data.
    pub synthetic: bool,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            name: "steady .65",
            peak: 0.65,
            crowd: 1.0,
            report_s: 1.0,
            lost: 0.0,
            selectors: 2,
            distance_error: 0.0,
            capacity_error: 0.0,
            learn_capacity: true,
            price: 1.0,
            cold: false,
            waiting: Waiting::default(),
            popularity: 0.9,
            rerouted: 0.0,
            learn_distances: true,
            clock_error_s: 0.0,
            accident: None,
            sites: 12,
            synthetic: false,
        }
    }
}

impl Scenario {
    /// What goes wrong leaves sessions where nobody new would be sent, so that steering has something to do.
    pub fn moves_sessions(&self) -> bool {
        use Accident::{Drain, Partition, Storm};
        let steered = matches!(self.accident, Some(Drain | Partition | Storm));
        // One drain is enough.
        steered && !(self.accident == Some(Drain) && self.selectors > 1)
    }

    /// Distances are measured in the course of the run.
    pub(super) fn measures(&self) -> bool {
        self.learn_distances && (self.cold || self.rerouted > 0.0)
    }
}

/// The crowd of the flash scenarios.
const CROWD: f64 = 1.8;

/// Scenarios that all policies go through.
pub fn contests() -> Vec<Scenario> {
    let usual = Scenario::default();
    vec![
        usual.clone(),
        Scenario { name: "peak .80", peak: 0.80, ..usual.clone() },
        Scenario { name: "flash", crowd: CROWD, ..usual.clone() },
        Scenario { name: "flash, reports 15 s old", crowd: CROWD, report_s: 15.0, ..usual },
    ]
}

/// What is usual, a crowd, and what counts seconds: so nodes report as often as they do there.
fn bases() -> [Scenario; 3] {
    let usual = Scenario::default();
    let flash = Scenario { name: "flash", crowd: CROWD, ..usual.clone() };
    let prompt = Scenario { report_s: 0.5, ..usual.clone() };
    [usual, flash, prompt]
}

fn of(name: &'static str, base: &Scenario) -> Scenario {
    Scenario { name, ..base.clone() }
}

/// Scenarios that show what ours does when something is not as it should be, and that goals speak of.
pub fn trials() -> Vec<Scenario> {
    let [usual, flash, prompt] = bases();
    let accident = |name, accident| Scenario { accident: Some(accident), ..of(name, &prompt) };
    vec![
        Scenario { capacity_error: 0.2, ..of("flash, capacity ±20 %, learnt", &flash) },
        Scenario {
            price: 3.0,
            capacity_error: 0.1,
            distance_error: 0.2,
            report_s: 5.0,
            ..of("flash, all mild errors", &flash)
        },
        Scenario { cold: true, ..of("cold start from geography", &usual) },
        accident("a node is killed", Accident::Kill),
        accident("a node loses its power", Accident::PowerCut),
        accident("a site loses its power", Accident::SiteCut),
        accident("a node is cut off from selectors", Accident::Partition),
        Scenario { selectors: 1, ..accident("a node is drained", Accident::Drain) },
        accident("a node is drained, 2 selectors", Accident::Drain),
    ]
}

/// Further ones, of which no goal speaks.
pub fn further_trials() -> Vec<Scenario> {
    let [usual, flash, _] = bases();
    vec![
        Scenario { peak: 0.40, ..of("peak .40", &usual) },
        Scenario { peak: 0.80, learn_capacity: false, ..of("peak .80, capacity not learnt", &usual) },
        Scenario { peak: 0.90, ..of("peak .90", &usual) },
        Scenario { report_s: 0.5, ..of("flash, reports 0.5 s", &flash) },
        Scenario { report_s: 5.0, ..of("flash, reports 5 s", &flash) },
        Scenario { lost: 0.2, ..of("flash, a fifth of reports lost", &flash) },
        Scenario { selectors: 1, ..of("flash, 1 selector", &flash) },
        Scenario { selectors: 4, ..of("flash, 4 selectors", &flash) },
        Scenario { selectors: 4, report_s: 15.0, ..of("flash, 4 selectors, reports 15 s", &flash) },
        Scenario { distance_error: 0.2, ..of("flash, distances ±20 %", &flash) },
        Scenario { price: 3.0, ..of("flash, price x3", &flash) },
        Scenario { price: 0.3, ..of("flash, price x0.3", &flash) },
        Scenario {
            capacity_error: 0.1,
            learn_capacity: false,
            ..of("flash, capacity ±10 %, not learnt", &flash)
        },
        Scenario { capacity_error: 0.1, ..of("flash, capacity ±10 %, learnt", &flash) },
        Scenario {
            capacity_error: 0.2,
            learn_capacity: false,
            ..of("flash, capacity ±20 %, not learnt", &flash)
        },
        Scenario {
            waiting: Waiting { power: 2.0, scale_ms: 10.0 },
            ..of("flash, the world slows down earlier", &flash)
        },
        Scenario {
            waiting: Waiting { power: 6.0, scale_ms: 10.0 },
            ..of("flash, the world slows down later", &flash)
        },
        Scenario { popularity: 0.7, ..of("flash, popularity 0.7", &flash) },
        Scenario { popularity: 1.1, ..of("flash, popularity 1.1", &flash) },
        Scenario { rerouted: 0.2, ..of("a fifth of the routes change", &usual) },
        Scenario {
            rerouted: 0.2,
            learn_distances: false,
            ..of("a fifth of the routes change, not learnt", &usual)
        },
        Scenario { clock_error_s: 3_600.0, ..of("flash, clocks up to an hour off", &flash) },
        Scenario { accident: Some(Accident::Storm), ..of("all nodes restart", &usual) },
        Scenario { sites: 2, ..of("6 edges, flash", &flash) },
        Scenario { sites: 33, ..of("99 edges, flash", &flash) },
        Scenario { synthetic: true, ..of("synthetic, steady .65", &usual) },
        Scenario { synthetic: true, ..of("synthetic, flash", &flash) },
    ]
}
