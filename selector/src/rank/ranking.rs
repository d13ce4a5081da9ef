//! The answer of a decision, and its words.
//!
//! An answer is small, lives on the stack and borrows the snapshot; words are made of its terms only where somebody
//! reads them.

use std::{fmt, net::IpAddr, ops::Index};

use super::{
    Distances,
    cell::{Cell, Source},
    snapshot::{Candidate, Snapshot},
};

/// Most edges in one answer.
pub const EDGES_MAX: usize = 8;

/// The role of an edge in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first choice.
    Primary,
    /// The first choice, because the edge the title belongs to is loaded past its bound.
    Spill,
    /// To be taken when the ones before it fail.
    Backup,
}

impl Place {
    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Primary => "primary",
            Place::Spill => "spill",
            Place::Backup => "backup",
        }
    }
}

/// One term of the decision, for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The distance was measured.
    Measured {
        /// Milliseconds.
        rtt_ms: f64,
        /// Where.
        source: Source,
    },
    /// No measurement; reckoned from positions.
    Geography {
        /// Milliseconds.
        rtt_ms: f64,
    },
    /// No measurement: all sites count as equally far.
    EqualPrior,
    /// The site's utilisation and its price.
    Load {
        /// Share, 0..1 and above.
        site: f64,
        /// Milliseconds.
        price_ms: f64,
    },
    /// The operator's cost of the site.
    SiteCost {
        /// Milliseconds.
        cost_ms: f64,
    },
    /// The operator prefers other sites for this client.
    NotPreferred {
        /// Milliseconds.
        cost_ms: f64,
    },
    /// Equal sites; the title decided.
    Tie,
    /// The title belongs to this node.
    Affinity,
    /// The nodes before it in the title's order are loaded past the bound.
    Spilled {
        /// The bound that they exceed.
        bound: f64,
    },
    /// It stands in another failure domain than the ones before it.
    OtherSite,
    /// Loaded past its site's bound.
    OverBound {
        /// The bound that it exceeds.
        bound: f64,
    },
    /// It has been seen to fail, but nothing sounder could carry the load.
    Failing,
    /// It has been silent too long, but nothing sounder is there.
    Suspect {
        /// Milliseconds of silence.
        age_ms: u64,
    },
    /// It looks dead, but so does most of the fleet: the roster is distrusted.
    Distrust {
        /// Milliseconds of silence.
        age_ms: u64,
    },
    /// It is draining, but nothing else is there.
    Draining,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Measured { rtt_ms, source } => {
                let place = match source {
                    Source::Cell => "",
                    Source::Block => " near its network",
                    Source::Network => " in its autonomous system",
                    _ => " in its area",
                };
                write!(f, "distance {} ms, measured{place}", whole(*rtt_ms))
            }
            Reason::Geography { rtt_ms } => {
                write!(f, "distance {} ms, not measured, reckoned from positions", whole(*rtt_ms))
            }
            Reason::EqualPrior => f.write_str("distance not measured, equal for all sites"),
            Reason::Load { site, price_ms } => {
                let tenths = whole(price_ms * 10.0);
                write!(f, "site load {} %, priced {}.{} ms", whole(site * 100.0), tenths / 10, tenths % 10)
            }
            Reason::SiteCost { cost_ms } => write!(f, "operator's cost of the site {} ms", whole(*cost_ms)),
            Reason::NotPreferred { cost_ms } => {
                write!(f, "other sites are preferred for this network, {} ms", whole(*cost_ms))
            }
            Reason::Tie => f.write_str("sites cost the same, the title decided"),
            Reason::Affinity => f.write_str("the title belongs to this node"),
            Reason::Spilled { bound } => {
                write!(f, "spilled: nodes before it are loaded past {} %", whole(bound * 100.0))
            }
            Reason::OtherSite => f.write_str("other failure domain"),
            Reason::OverBound { bound } => write!(f, "loaded past its bound of {} %", whole(bound * 100.0)),
            Reason::Failing => f.write_str("seen to fail, but what is sound could not carry the load"),
            Reason::Suspect { age_ms } => {
                write!(f, "suspect: silent for {age_ms} ms, nothing sounder is there")
            }
            Reason::Distrust { age_ms } => {
                write!(f, "silent for {age_ms} ms, but so is most of the fleet")
            }
            Reason::Draining => f.write_str("draining, but nothing else is there"),
        }
    }
}

/// Rounded: whole numbers are written several times faster than others, and an answer has a dozen.
fn whole(number: f64) -> i64 {
    number.round() as i64
}

/// What is so about one edge of an answer, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u16);

impl Marks {
    pub(super) const TIE: Marks = Marks(1);
    pub(super) const AFFINITY: Marks = Marks(1 << 1);
    pub(super) const SPILLED: Marks = Marks(1 << 2);
    pub(super) const OTHER_SITE: Marks = Marks(1 << 3);
    pub(super) const OVER_BOUND: Marks = Marks(1 << 4);
    pub(super) const FAILING: Marks = Marks(1 << 5);
    pub(super) const SUSPECT: Marks = Marks(1 << 6);
    pub(super) const SILENT: Marks = Marks(1 << 7);
    pub(super) const DRAINING: Marks = Marks(1 << 8);

    pub(super) fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    pub(super) fn set(&mut self, mark: Marks, so: bool) {
        self.0 |= if so { mark.0 } else { 0 };
    }
}

/// What a site costs a client, term by term.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Terms {
    pub(super) rtt_ms: f32,
    pub(super) price_ms: f32,
    pub(super) site_ms: f32,
    pub(super) zone_ms: f32,
    pub(super) load: f32,
    pub(super) source: Source,
}

/// One edge of the answer.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'s> {
    /// The edge.
    pub edge: &'s Candidate,
    /// Believed distance in milliseconds.
    pub rtt_ms: f64,
    /// What its site costs in all, in milliseconds.
    pub cost_ms: f64,
    /// Its own estimated utilisation.
    pub utilisation: f64,
    /// Its role.
    pub place: Place,
    pub(super) number: u32,
    pub(super) bound: f32,
    pub(super) age_ms: u64,
    pub(super) terms: Terms,
    pub(super) marks: Marks,
}

impl Ranked<'_> {
    /// Why it stands where it stands, term by term.
    pub fn reasons(&self) -> impl Iterator<Item = Reason> + use<> {
        let bound = f64::from(self.bound);
        let Terms { rtt_ms, price_ms, site_ms, zone_ms, load, source } = self.terms;
        let distance = match source {
            Source::Geography => Reason::Geography { rtt_ms: f64::from(rtt_ms) },
            Source::Nothing => Reason::EqualPrior,
            source => Reason::Measured { rtt_ms: f64::from(rtt_ms), source },
        };
        let always = [distance, Reason::Load { site: f64::from(load), price_ms: f64::from(price_ms) }];
        let costs = [
            (site_ms != 0.0).then(|| Reason::SiteCost { cost_ms: f64::from(site_ms) }),
            (zone_ms != 0.0).then(|| Reason::NotPreferred { cost_ms: f64::from(zone_ms) }),
        ];
        let (marks, age_ms) = (self.marks, self.age_ms);
        let marked = [
            (Marks::TIE, Reason::Tie),
            (Marks::OVER_BOUND, Reason::OverBound { bound }),
            (Marks::SPILLED, Reason::Spilled { bound }),
            (Marks::AFFINITY, Reason::Affinity),
            (Marks::FAILING, Reason::Failing),
            (Marks::SILENT, Reason::Distrust { age_ms }),
            (Marks::SUSPECT, Reason::Suspect { age_ms }),
            (Marks::DRAINING, Reason::Draining),
            (Marks::OTHER_SITE, Reason::OtherSite),
        ];
        let marked = marked.into_iter().filter(move |(mark, _)| marks.has(*mark)).map(|(_, reason)| reason);
        always.into_iter().chain(costs.into_iter().flatten()).chain(marked)
    }

    /// Whether it looks dead, and only the distrust of the roster keeps it in play.
    pub fn is_silent(&self) -> bool {
        self.marks.has(Marks::SILENT)
    }

    /// The price of its site's load, in milliseconds.
    pub fn price_ms(&self) -> f64 {
        f64::from(self.terms.price_ms)
    }

    /// The estimated utilisation of its site.
    pub fn site_load(&self) -> f64 {
        f64::from(self.terms.load)
    }
}

/// In one word why the answer is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Least cost, and the node of the title.
    Best,
    /// Least cost, but the node of the title is too loaded.
    Spill,
    /// The first choice is in a zone of an operator.
    Zone,
    /// Only edges that fail or have been silent for a while are left.
    Suspect,
    /// The first choice looks dead or failing, but so does most of the fleet, and that is not believed.
    Distrust,
    /// Only draining edges are left.
    Draining,
    /// There is no edge to answer with.
    NoEdge,
}

impl Verdict {
    /// All of them, for metrics.
    pub const ALL: [Verdict; 7] = [
        Verdict::Best,
        Verdict::Spill,
        Verdict::Zone,
        Verdict::Suspect,
        Verdict::Distrust,
        Verdict::Draining,
        Verdict::NoEdge,
    ];

    /// As it stands in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Best => "best",
            Verdict::Spill => "spill",
            Verdict::Zone => "zone",
            Verdict::Suspect => "suspect",
            Verdict::Distrust => "panic",
            Verdict::Draining => "draining",
            Verdict::NoEdge => "no-edge",
        }
    }
}

/// The edges of an answer, best first, at most [`EDGES_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct Edges<'s> {
    list: [Option<Ranked<'s>>; EDGES_MAX],
    count: usize,
}

impl Default for Edges<'_> {
    fn default() -> Self {
        Edges { list: [const { None }; EDGES_MAX], count: 0 }
    }
}

impl<'s> Edges<'s> {
    pub(super) fn push(&mut self, ranked: Ranked<'s>) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = Some(ranked);
            self.count += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first choice.
    pub fn first(&self) -> Option<&Ranked<'s>> {
        self.get(0)
    }

    /// The one at `place`, from 0.
    pub fn get(&self, place: usize) -> Option<&Ranked<'s>> {
        self.list.get(place)?.as_ref()
    }

    /// All of them, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Ranked<'s>> + Clone {
        self.list[..self.count].iter().flatten()
    }
}

impl<'s> Index<usize> for Edges<'s> {
    type Output = Ranked<'s>;

    /// # Panics
    /// When there are not so many; [`Edges::get`] does not.
    fn index(&self, place: usize) -> &Ranked<'s> {
        match self.get(place) {
            Some(ranked) => ranked,
            None => panic!("{place} of {} edges", self.count),
        }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug)]
pub struct Ranking<'s> {
    /// The client it was made for, where it is known.
    pub client: Option<IpAddr>,
    /// What the distances rest on.
    pub source: Source,
    /// Best first; empty when no edge is fit.
    pub edges: Edges<'s>,
    /// In one word.
    pub verdict: Verdict,
    /// More than half of the fleet looks dead, see [`Snapshot::distrusted`].
    pub distrusted: bool,
    pub(super) snapshot: &'s Snapshot,
}

impl<'s> Ranking<'s> {
    /// One without edges.
    #[inline]
    pub(super) fn new(snapshot: &'s Snapshot, client: Option<IpAddr>) -> Ranking<'s> {
        let (edges, verdict, source) = (Edges::default(), Verdict::NoEdge, Source::Nothing);
        Ranking { client, source, edges, verdict, distrusted: false, snapshot }
    }

    /// The cell the client was taken to be in.
    pub fn cell(&self) -> Cell {
        Distances::cell(self.client)
    }

    /// What was known when it was made.
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// Notes that so many viewers will go to the first choice: later decisions count them before the edge reports
    /// them. One answer in DNS may stand for many, or for a part of one.
    pub fn assign(&self, viewers: f64) {
        if let Some(first) = self.edges.first() {
            self.assign_to(first, viewers);
        }
    }

    /// The same for another edge of the answer.
    pub fn assign_to(&self, ranked: &Ranked<'_>, viewers: f64) {
        self.snapshot.assign(ranked.number as usize, viewers);
    }
}
