//! The choice: who is eligible, which site, which node, and why.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use kromka_control::NodeState;

use super::{
    distance::Cell,
    rendezvous::draw,
    score::price_ms,
    snapshot::{Candidate, Snapshot},
};

/// What an edge costs more, in milliseconds, when only the distrust of the roster keeps it in play. It equals the
/// price of an edge that is nine tenths full: the ones that answer carry the load until they are about to break.
const SILENT_MS: f64 = 950.0;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The viewer's address, where it is known.
    pub client: Option<IpAddr>,
    /// What is played: service and directory of the asset, never a segment.
    pub content_key: &'a str,
    /// Edges not to answer with, by id.
    pub exclude: &'a [String],
    /// How many edges are wanted.
    pub k: usize,
    /// Now, on the clock of [`Candidate::heard_ms`].
    pub now_ms: u64,
}

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
            Reason::Measured { rtt_ms } => write!(f, "distance {rtt_ms:.0} ms, measured"),
            Reason::EqualPrior => f.write_str("distance not measured, equal for all sites"),
            Reason::Load { site, price_ms } => {
                write!(f, "site load {:.0} %, priced {price_ms:.1} ms", site * 100.0)
            }
            Reason::SiteCost { cost_ms } => write!(f, "operator's cost of the site {cost_ms:.0} ms"),
            Reason::Tie => f.write_str("sites cost the same, the title decided"),
            Reason::Affinity => f.write_str("the title belongs to this node"),
            Reason::Spilled { bound } => {
                write!(f, "spilled: nodes before it are loaded past {:.0} %", bound * 100.0)
            }
            Reason::OtherSite => f.write_str("other failure domain"),
            Reason::OverBound { bound } => write!(f, "loaded past its bound of {:.0} %", bound * 100.0),
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

/// One edge of the answer.
#[derive(Clone, Debug)]
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
    /// Term by term.
    pub reasons: Vec<Reason>,
}

/// In one word why the answer is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Least cost, and the node of the title.
    Best,
    /// Least cost, but the node of the title is too loaded.
    Spill,
    /// Only edges that have been silent for a while are left.
    Suspect,
    /// The first choice is an edge that looks dead in a roster that is distrusted.
    Distrust,
    /// Only draining edges are left.
    Draining,
    /// There is no edge to answer with.
    NoEdge,
}

impl Verdict {
    /// All of them, for metrics.
    pub const ALL: [Verdict; 6] = [
        Verdict::Best,
        Verdict::Spill,
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
            Verdict::Suspect => "suspect",
            Verdict::Distrust => "panic",
            Verdict::Draining => "draining",
            Verdict::NoEdge => "no-edge",
        }
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Ranking<'s> {
    /// The cell the client was taken to be in.
    pub cell: Cell,
    /// Whether any distance in the answer was measured.
    pub measured: bool,
    /// Best first; empty when no edge is fit.
    pub edges: Vec<Ranked<'s>>,
    /// In one word.
    pub verdict: Verdict,
}

/// Ranks the edges of `snapshot` for one question. Same data in, same answer out.
pub fn rank<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Ranking<'s> {
    let cell = question.client.map_or_else(Cell::unknown, Cell::of);
    let (fit, tier) = eligible(snapshot, question);
    let mut groups = group_by_site(snapshot, cell, fit);
    let tied = order_groups(&mut groups, question.content_key, snapshot.settings.tie_ms);
    for group in &mut groups {
        group.order_nodes(question.content_key, snapshot.settings.spill);
    }
    let edges = interleave(&groups, tier, tied, question);
    let verdict = match edges.first() {
        None => Verdict::NoEdge,
        Some(first) if tier == NodeState::Draining => {
            debug_assert!(first.edge.draining);
            Verdict::Draining
        }
        Some(first) if first.reasons.iter().any(|r| matches!(r, Reason::Distrust { .. })) => {
            Verdict::Distrust
        }
        Some(_) if tier == NodeState::Suspect => Verdict::Suspect,
        Some(first) if first.place == Place::Spill => Verdict::Spill,
        Some(_) => Verdict::Best,
    };
    let measured = groups.iter().any(|group| group.measured);
    Ranking { cell, measured, edges, verdict }
}

/// The edges that may be answered with, and the standing they share. Sound ones; else suspects; else draining
/// ones. While the roster is distrusted the silent ones stay in play beside the sound and the suspect.
fn eligible<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> (Vec<Fit<'s>>, NodeState) {
    let distrusted = snapshot.distrusted(question.now_ms);
    let mut by_standing: [Vec<Fit<'s>>; 4] = Default::default();
    for edge in &snapshot.edges {
        if question.exclude.iter().any(|id| **id == *edge.id) {
            continue;
        }
        let age_ms = edge.age_ms(question.now_ms);
        let fit = Fit { edge, age_ms, silent: false, utilisation: edge.utilisation() };
        match edge.standing(&snapshot.settings, question.now_ms) {
            NodeState::Up => by_standing[0].push(fit),
            NodeState::Suspect => by_standing[1].push(fit),
            NodeState::Draining => by_standing[2].push(fit),
            NodeState::Down if distrusted && !edge.gone && !edge.draining => {
                by_standing[3].push(Fit { silent: true, ..fit });
            }
            NodeState::Down => {}
        }
    }
    let [up, suspect, draining, silent] = by_standing;
    let (mut fit, tier) = match (up.is_empty(), suspect.is_empty() && silent.is_empty()) {
        (false, _) => (up, NodeState::Up),
        (true, false) => (suspect, NodeState::Suspect),
        (true, true) => return (draining, NodeState::Draining),
    };
    fit.extend(silent);
    (fit, tier)
}

/// An edge that may be answered with.
#[derive(Clone, Debug)]
struct Fit<'s> {
    edge: &'s Candidate,
    age_ms: u64,
    silent: bool,
    utilisation: f64,
}

/// The eligible nodes of one site; those that are silent make a group of their own.
struct Group<'s> {
    site: &'s str,
    silent: bool,
    rtt_ms: f64,
    measured: bool,
    load: f64,
    price_ms: f64,
    site_cost_ms: f64,
    cost_ms: f64,
    capacity: u64,
    bound: f64,
    /// The node that the title belongs to was passed over.
    spilled: bool,
    nodes: Vec<Fit<'s>>,
}

fn group_by_site<'s>(snapshot: &Snapshot, cell: Cell, fit: Vec<Fit<'s>>) -> Vec<Group<'s>> {
    let mut sites: BTreeMap<(&'s str, bool), Vec<Fit<'s>>> = BTreeMap::new();
    for node in fit {
        sites.entry((&node.edge.site, node.silent)).or_default().push(node);
    }
    let settings = &snapshot.settings;
    let group = |((site, silent), nodes): ((&'s str, bool), Vec<Fit<'s>>)| {
        let capacity: u64 = nodes.iter().map(|node| node.edge.capacity_bps.max(1)).sum();
        let used: f64 =
            nodes.iter().map(|node| node.utilisation * node.edge.capacity_bps.max(1) as f64).sum();
        let load = used / capacity as f64;
        let distance = snapshot.distances.estimate(cell, site);
        let price_ms = price_ms(load, settings.price_ms);
        let site_cost_ms = settings.site_cost_ms.get(site).copied().unwrap_or(0.0);
        let silence_ms = if silent { SILENT_MS } else { 0.0 };
        let cost_ms = distance.ms + price_ms + site_cost_ms + silence_ms;
        Group {
            site,
            silent,
            rtt_ms: distance.ms,
            measured: distance.measured,
            load,
            price_ms,
            site_cost_ms,
            cost_ms,
            capacity,
            bound: load + settings.spill * (1.0 - load).max(0.0),
            spilled: false,
            nodes,
        }
    };
    sites.into_iter().map(group).collect()
}

/// Orders sites by cost. Among those that cost the same as the cheapest, the title decides, so that it stays where
/// it is cached. Returns whether it did.
fn order_groups(groups: &mut Vec<Group<'_>>, key: &str, tie_ms: f64) -> bool {
    groups.sort_by(|a, b| a.cost_ms.total_cmp(&b.cost_ms).then_with(|| a.site.cmp(b.site)));
    let Some(best) = groups.first().map(|group| group.cost_ms) else { return false };
    let equals = groups.iter().take_while(|group| group.cost_ms <= best + tie_ms).count();
    let draw_of = |group: &Group<'_>| draw(key, group.site, group.capacity);
    let chosen =
        (0..equals).max_by(|a, b| draw_of(&groups[*a]).total_cmp(&draw_of(&groups[*b]))).unwrap_or(0);
    let first = groups.remove(chosen);
    groups.insert(0, first);
    equals > 1
}

impl Group<'_> {
    /// The title's order of nodes, those past the bound last and by load. The bound is additive: a multiple of the
    /// mean would allow a full node at a mean of four fifths. One node is always within it, for none can all be
    /// above their mean.
    fn order_nodes(&mut self, key: &str, spill: f64) {
        debug_assert!((0.0..=1.0).contains(&spill));
        let bound = self.bound;
        // A hair of tolerance: the mean of equal loads may round to just below them.
        let over = |node: &Fit<'_>| node.utilisation > bound + 1e-9;
        let draw_of = |node: &Fit<'_>| draw(key, &node.edge.id, node.edge.capacity_bps);
        let by_title = |a: &Fit<'_>, b: &Fit<'_>| {
            draw_of(b).total_cmp(&draw_of(a)).then_with(|| a.edge.id.cmp(&b.edge.id))
        };
        self.nodes.sort_by(by_title);
        self.spilled = self.nodes.first().is_some_and(over);
        self.nodes.sort_by(|a, b| match (over(a), over(b)) {
            (false, false) => std::cmp::Ordering::Equal,
            (true, true) => a.utilisation.total_cmp(&b.utilisation),
            (a, b) => a.cmp(&b),
        });
    }

    fn describe(&self, node: &Fit<'_>, first_of_site: bool, tied: bool, tier: NodeState) -> Vec<Reason> {
        let mut reasons = Vec::with_capacity(6);
        reasons.push(match self.measured {
            true => Reason::Measured { rtt_ms: self.rtt_ms },
            false => Reason::EqualPrior,
        });
        reasons.push(Reason::Load { site: self.load, price_ms: self.price_ms });
        if self.site_cost_ms != 0.0 {
            reasons.push(Reason::SiteCost { cost_ms: self.site_cost_ms });
        }
        if tied {
            reasons.push(Reason::Tie);
        }
        if node.utilisation > self.bound + 1e-9 {
            reasons.push(Reason::OverBound { bound: self.bound });
        } else if first_of_site && self.spilled {
            reasons.push(Reason::Spilled { bound: self.bound });
        } else if first_of_site {
            reasons.push(Reason::Affinity);
        }
        if node.silent {
            reasons.push(Reason::Distrust { age_ms: node.age_ms });
        } else if tier == NodeState::Suspect {
            reasons.push(Reason::Suspect { age_ms: node.age_ms });
        } else if tier == NodeState::Draining {
            reasons.push(Reason::Draining);
        }
        reasons
    }
}

/// One node of each site in turn, so that what comes second fails for other reasons than what comes first.
fn interleave<'s>(
    groups: &[Group<'s>],
    tier: NodeState,
    tied: bool,
    question: &Question<'_>,
) -> Vec<Ranked<'s>> {
    let deepest = groups.iter().map(|group| group.nodes.len()).max().unwrap_or(0);
    // The sites in the order of their cost; what is silent comes after everything that answers.
    let rounds = [false, true].into_iter().flat_map(|silent| {
        (0..deepest).flat_map(move |depth| groups.iter().map(move |group| (silent, depth, group)))
    });
    let first_is_silent = groups.first().is_some_and(|group| group.silent);
    let mut ranked: Vec<Ranked<'s>> = Vec::with_capacity(question.k);
    let mut push = |depth: usize, group: &Group<'s>, node: &Fit<'s>| {
        if ranked.len() >= question.k || ranked.iter().any(|taken| taken.edge.id == node.edge.id) {
            return;
        }
        let is_first = ranked.is_empty();
        let other_site = !is_first && ranked.iter().all(|taken| taken.edge.site != node.edge.site);
        let mut reasons = group.describe(node, depth == 0, tied && is_first, tier);
        if other_site {
            reasons.push(Reason::OtherSite);
        }
        ranked.push(Ranked {
            edge: node.edge,
            rtt_ms: group.rtt_ms,
            cost_ms: group.cost_ms,
            utilisation: node.utilisation,
            place: match (is_first, group.spilled) {
                (true, false) => Place::Primary,
                (true, true) => Place::Spill,
                (false, _) => Place::Backup,
            },
            reasons,
        });
    };
    if first_is_silent && let Some((group, node)) = groups.first().and_then(|g| Some((g, g.nodes.first()?))) {
        push(0, group, node);
    }
    for (silent, depth, group) in rounds {
        if group.silent == silent
            && let Some(node) = group.nodes.get(depth)
        {
            push(depth, group, node);
        }
    }
    ranked
}
