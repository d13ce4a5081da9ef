//! Pathways in order: those of the ranking, the player's own first while it is good enough; then those in doubt, those
//! that drain, and last those that this very player had trouble with.
//!
//! Pure: data and `now` in, an order out.

use kromka_control::NodeState;
use kromka_hls::steering::{PathwayClone, UriReplacement, differ_in_host_alone, node_of, pathway_id};

use super::Asked;
use crate::rank::{Candidate, Kept, Leave, Ranking, Snapshot};

/// What a document says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ways {
    /// Pathways, best first; every one is in the player's playlist, among the clones, or the one it is on.
    pub(super) priority: Vec<String>,
    /// Pathways that the playlist does not list.
    pub(super) clones: Vec<PathwayClone>,
    /// The place in the ranking of the edge that the player is asked to move to.
    pub(super) moves_to: Option<usize>,
    /// Something is wrong with the way that the player is on, or was on until it moved just now.
    pub(super) troubled: bool,
}

/// One edge that can be named to this player.
struct Way {
    id: String,
    /// Its place in the ranking.
    at: usize,
}

/// Orders the pathways for one player; `kept` says whether it stays where it is, `blamed` which edges it had trouble
/// with.
pub(super) fn order(
    ranking: &Ranking<'_>,
    snapshot: &Snapshot,
    asked: &Asked,
    kept: Kept,
    blamed: &[String],
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
    let mut named: Vec<Way> = Vec::with_capacity(ranking.edges.len());
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
            named.push(Way { id, at });
        }
    }

    let current = asked.current();
    if let Some(place) =
        named.iter().position(|way| Some(&way.id) == current).filter(|_| kept.leave.is_none())
    {
        let way = named.remove(place);
        named.insert(0, way);
    }
    ways.moves_to = named.first().filter(|way| Some(&way.id) != current).map(|way| way.at);
    ways.priority = named.into_iter().map(|way| way.id).collect();

    // What the player knows and the ranking does not offer: good for when all else fails, if it is there at all.
    let mut known: Vec<&String> = asked.listed.iter().chain(&asked.current).collect();
    known.dedup();
    let standing = |id: &String| edge_of(id).map(|edge| edge.standing(snapshot.settings(), now_ms));
    let is_blamed = |id: &String| node_of(id).is_some_and(|node| blamed.iter().any(|edge| edge == node));
    let usable = [NodeState::Up, NodeState::Suspect, NodeState::Draining];
    let turns = usable.map(|wanted| (wanted, false)).into_iter().chain(usable.map(|wanted| (wanted, true)));
    for (wanted, at_fault) in turns {
        for id in &known {
            let fits = standing(id) == Some(wanted) && is_blamed(id) == at_fault;
            if fits && !ways.priority.contains(id) {
                ways.priority.push((*id).clone());
            }
        }
    }
    // What is draining is well: whoever stays until the next look loses nothing.
    let is_well = |id: &String| matches!(standing(id), Some(NodeState::Up | NodeState::Draining));
    ways.troubled =
        kept.leave == Some(Leave::Lost) || current.is_some_and(|id| is_blamed(id) || !is_well(id));
    if ways.priority.is_empty() {
        // Nobody is up as far as is known here; whoever plays knows better, and stays.
        ways.priority.extend(current.cloned());
    }
    ways
}

fn own_id(edge: &Candidate) -> String {
    pathway_id(&edge.id, &edge.url, edge.tls_url.as_deref())
}

fn address(edge: &Candidate, tls: bool) -> Option<&str> {
    if tls { edge.tls_url.as_deref() } else { Some(&edge.url) }
}
