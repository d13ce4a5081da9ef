//! Every edge with every term of a decision, for people who ask why.

use kromka_control::NodeState;

use super::{
    Candidate, Question, Ranking, Source,
    choice::{decide, site_terms},
    ranking::Terms,
    rendezvous,
    snapshot::Snapshot,
    standing::{Mode, Standing, excluded},
};

/// Why an edge is not answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The question excludes it.
    Excluded,
    /// An operator denies its site to the client's network.
    Denied,
    /// It said goodbye or has been silent too long.
    Down,
    /// It is draining.
    Draining,
    /// It has been silent for a while.
    Suspect,
    /// It was seen to fail.
    Failing,
}

impl Barred {
    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Barred::Excluded => "excluded",
            Barred::Denied => "denied",
            Barred::Down => "down",
            Barred::Draining => "draining",
            Barred::Suspect => "suspect",
            Barred::Failing => "failing",
        }
    }
}

/// One edge and all that was reckoned of it.
#[derive(Clone, Debug)]
pub struct Explained<'s> {
    /// The edge.
    pub edge: &'s Candidate,
    /// How it stands, as nodes are listed.
    pub state: NodeState,
    /// Why it was not considered; `None` = it was.
    pub barred: Option<Barred>,
    /// Its place in the answer, from 0.
    pub place: Option<usize>,
    /// Milliseconds of silence.
    pub age_ms: u64,
    /// Believed distance in milliseconds.
    pub rtt_ms: f64,
    /// The price of its site's load in milliseconds.
    pub price_ms: f64,
    /// The operator's cost of its site in milliseconds.
    pub site_cost_ms: f64,
    /// What it costs in milliseconds that the operator prefers other sites for this client.
    pub zone_cost_ms: f64,
    /// All of these together.
    pub cost_ms: f64,
    /// Estimated utilisation of its site.
    pub site_load: f64,
    /// Its utilisation as last reported.
    pub reported: f64,
    /// Viewers sent since, and how many come for each of them.
    pub assigned: f64,
    /// See [`super::Gain`].
    pub gain: f64,
    /// Its estimated utilisation now.
    pub utilisation: f64,
    /// The utilisation past which the title is given to the next node of the site.
    pub bound: f64,
    /// The share of its capacity that it is given.
    pub share: f64,
    /// Its place in the title's order among the nodes of its site, from 0.
    pub order: usize,
}

/// A decision, explained.
#[derive(Clone, Debug)]
pub struct Explanation<'s> {
    /// The decision.
    pub ranking: Ranking<'s>,
    /// What the distances rest on.
    pub source: Source,
    /// Most of the fleet looks dead, and that is not believed.
    pub distrusted: bool,
    /// What is sound could not carry the load, and failing edges are used.
    pub panic: bool,
    /// All edges: those of the answer in its order, then the others by cost.
    pub candidates: Vec<Explained<'s>>,
}

/// Explains what [`decide`] answers to the same question.
pub fn explain<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Explanation<'s> {
    let ranking = decide(snapshot, question);
    let mode = Mode::of(snapshot, question.now_ms, question.exclude);
    let spill = snapshot.settings().spill;
    let explained = |(place, edge): (usize, &'s Candidate)| {
        let node = &snapshot.nodes[place];
        let site = node.site as usize;
        let standing = Standing::of(node, snapshot.settings(), question.now_ms);
        let terms = site_terms(snapshot, question, site);
        let barred = match standing {
            _ if excluded(snapshot, place, question.exclude) => Some(Barred::Excluded),
            _ if terms.is_some_and(|(_, denied)| denied) => Some(Barred::Denied),
            standing if mode.takes(standing) || (mode.distrusted && standing == Standing::Silent) => None,
            Standing::Gone | Standing::Silent => Some(Barred::Down),
            Standing::Draining => Some(Barred::Draining),
            Standing::Suspect => Some(Barred::Suspect),
            Standing::Ejected | Standing::Up => Some(Barred::Failing),
        };
        let terms = terms.map(|(terms, _)| terms).unwrap_or_default();
        let Terms { rtt_ms, price_ms, site_ms, zone_ms, load, .. } = terms;
        let draw = |place: usize| {
            let node = &snapshot.nodes[place];
            rendezvous::weighted(rendezvous::bits(question.content_key, node.seed), node.weight)
        };
        let order = snapshot.sites[site].nodes().filter(|other| draw(*other) > draw(place)).count();
        let load = f64::from(load);
        Explained {
            edge,
            state: edge.standing(snapshot.settings(), question.now_ms),
            barred,
            place: ranking.edges.iter().position(|ranked| ranked.number as usize == place),
            age_ms: edge.age_ms(question.now_ms),
            rtt_ms: f64::from(rtt_ms),
            price_ms: f64::from(price_ms),
            site_cost_ms: f64::from(site_ms),
            zone_cost_ms: f64::from(zone_ms),
            cost_ms: f64::from(rtt_ms + price_ms + site_ms + zone_ms),
            site_load: load,
            reported: edge.reported,
            assigned: edge.assigned.total(),
            gain: edge.gain,
            utilisation: node.utilisation(),
            bound: load + spill * (1.0 - load).max(0.0),
            share: snapshot.share(place),
            order,
        }
    };
    let mut candidates: Vec<_> = snapshot.edges().iter().enumerate().map(explained).collect();
    candidates.sort_by(|a, b| {
        let rank = |explained: &Explained<'_>| explained.place.unwrap_or(usize::MAX);
        (rank(a), a.barred.is_some())
            .cmp(&(rank(b), b.barred.is_some()))
            .then(a.cost_ms.total_cmp(&b.cost_ms))
            .then(a.order.cmp(&b.order))
            .then_with(|| a.edge.called.id.cmp(&b.edge.called.id))
    });
    Explanation {
        source: ranking.source,
        ranking,
        distrusted: mode.distrusted,
        panic: mode.panic,
        candidates,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::tests::{NOW, ask, edge, fleet, ids};
    use super::*;

    #[test]
    fn every_edge_is_explained_and_the_answer_comes_first() {
        let mut some = fleet(vec![
            edge("a1", "a", 0.2),
            edge("a2", "a", 0.9),
            edge("b1", "b", 0.5),
            edge("c1", "c", 0.0),
            edge("d1", "d", 0.0),
            edge("e1", "e", 0.0),
        ]);
        some.edges[3].draining = true;
        some.edges[4].heard_ms = NOW - 2_000;
        some.edges[5].gone = true;
        let snapshot = some.now();
        let exclude = ["b1".to_owned()];
        let question = Question { exclude: &exclude, ..ask("/t/") };
        let explanation = explain(&snapshot, &question);
        let listed: Vec<_> =
            explanation.candidates.iter().map(|one| one.edge.called.id.to_string()).collect();
        let answered = ids(&explanation.ranking);
        assert_eq!(listed.len(), 6);
        assert_eq!(listed[..answered.len()], answered[..]);
        let barred = |id: &str| {
            explanation.candidates.iter().find(|one| *one.edge.called.id == *id).and_then(|one| one.barred)
        };
        assert_eq!(barred("a1"), None);
        assert_eq!(barred("b1"), Some(Barred::Excluded));
        assert_eq!(barred("c1"), Some(Barred::Draining));
        assert_eq!(barred("d1"), Some(Barred::Suspect));
        assert_eq!(barred("e1"), Some(Barred::Down));
        let first = &explanation.candidates[0];
        let decided = &explanation.ranking.edges[0];
        assert!((first.cost_ms - decided.cost_ms).abs() < 0.01);
        assert_eq!(first.utilisation, decided.utilisation);
    }
}
