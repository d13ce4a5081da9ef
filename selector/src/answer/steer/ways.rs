//! Pathways in order: those of the ranking, the player's own first while it is good enough, drained ones last.
//!
//! Pure: data and `now` in, an order out.

use kromka_control::NodeState;
use kromka_hls::steering::{PathwayClone, UriReplacement, differ_in_host_alone, node_of, pathway_id};

use super::Asked;
use crate::rank::{Candidate, Ranked, Ranking, Snapshot};

/// Utilisation from which on an edge is hot: its players come sooner, and the next one is offered to them.
const HOT: f64 = 0.92;

/// Utilisation below which it no longer is.
const COOL: f64 = 0.80;

/// Utilisation that is left behind when the players of a hot edge have moved.
const RELIEVED: f64 = 0.85;

/// How much cheaper another edge must be before a player moves there, in milliseconds and as a share: moves cost
/// cache hits, and what is measured wavers.
const GAIN_MS: f64 = 15.0;
const GAIN_SHARE: f64 = 0.2;

/// What a document says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ways {
    /// Pathways, best first; every one is in the player's playlist, among the clones, or the one it is on.
    pub(super) priority: Vec<String>,
    /// Pathways that the playlist does not list.
    pub(super) clones: Vec<PathwayClone>,
    /// The place in the ranking of the edge that the player is asked to move to.
    pub(super) moves_to: Option<usize>,
    /// The player's edge is close to its limit.
    pub(super) hot: bool,
}

/// One edge that can be named to this player.
struct Way<'a> {
    id: String,
    ranked: &'a Ranked<'a>,
    at: usize,
}

/// Orders the pathways for one player. `lot` is the session's, 0..1: as many leave a hot edge as must, not all.
pub(super) fn order(
    ranking: &Ranking<'_>,
    snapshot: &Snapshot,
    asked: &Asked,
    lot: f64,
    now_ms: u64,
) -> Ways {
    let edge_of = |id: &str| {
        let node = node_of(id)?;
        let edge = snapshot.edges().iter().find(|edge| *edge.id == *node)?;
        // Another address is another pathway, which this player does not know under this name.
        (own_id(edge) == id).then_some(edge)
    };
    let base = asked.listed.iter().find_map(|id| Some((id, address(edge_of(id)?, asked.tls)?)));
    let mut ways = Ways::default();
    let mut named: Vec<Way<'_>> = Vec::with_capacity(ranking.edges.len());
    for (at, ranked) in ranking.edges.iter().enumerate() {
        let id = own_id(ranked.edge);
        let listed = asked.listed.contains(&id);
        let clone = base.filter(|_| !listed).and_then(|(base, url)| {
            let host = differ_in_host_alone(url, address(ranked.edge, asked.tls)?)?;
            let uris = UriReplacement { host: Some(host.to_owned()), ..UriReplacement::default() };
            Some(PathwayClone { base: base.clone(), id: id.clone(), uris })
        });
        if listed || clone.is_some() || asked.current.as_ref() == Some(&id) {
            ways.clones.extend(clone);
            named.push(Way { id, ranked, at });
        }
    }

    let current = asked.current.as_ref().or(asked.listed.first());
    if let Some(place) = named.iter().position(|way| Some(&way.id) == current) {
        let (own, best) = (named[place].ranked, named[0].ranked);
        let load = own.utilisation;
        ways.hot = load >= if asked.hot { COOL } else { HOT };
        let leaves = load >= HOT && lot < (load - RELIEVED) / load;
        if leaves {
            // The first of the ranking may be the hot edge itself, for it is priced as a site.
            if place == 0 && named.get(1).is_some_and(|next| next.ranked.utilisation < COOL) {
                named.swap(0, 1);
            }
        } else if !gains(own, best) {
            let way = named.remove(place);
            named.insert(0, way);
        }
    }
    ways.moves_to = named.first().filter(|way| Some(&way.id) != current).map(|way| way.at);
    ways.priority = named.into_iter().map(|way| way.id).collect();

    // What the player knows and the ranking does not offer: good for when all else fails, if it is there at all.
    let mut known: Vec<&String> = asked.listed.iter().chain(&asked.current).collect();
    known.dedup();
    let standing = |id: &String| edge_of(id).map(|edge| edge.standing(snapshot.settings(), now_ms));
    for wanted in [NodeState::Up, NodeState::Suspect, NodeState::Draining] {
        for id in &known {
            if standing(id) == Some(wanted) && !ways.priority.contains(id) {
                ways.priority.push((*id).clone());
            }
        }
    }
    if ways.priority.is_empty() {
        // Nobody is up as far as is known here; whoever plays knows better, and stays.
        ways.priority.extend(asked.current.clone().or_else(|| asked.listed.first().cloned()));
    }
    ways
}

/// Whether `best` is so much cheaper than `own` that a player shall move.
fn gains(own: &Ranked<'_>, best: &Ranked<'_>) -> bool {
    let gain = own.cost_ms - best.cost_ms;
    gain > GAIN_MS && gain > GAIN_SHARE * own.cost_ms
}

fn own_id(edge: &Candidate) -> String {
    pathway_id(&edge.id, &edge.url, edge.tls_url.as_deref())
}

fn address(edge: &Candidate, tls: bool) -> Option<&str> {
    if tls { edge.tls_url.as_deref() } else { Some(&edge.url) }
}
