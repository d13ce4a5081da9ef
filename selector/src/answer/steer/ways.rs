//! Pathways in order: those of the ranking, the player's own first while it is good enough; then those in doubt and
//! those that drain. What this very player had trouble with comes behind the others that stand as it does.
//!
//! Pure: data and `now` in, an order out.

use kromka_control::NodeState;
use kromka_hls::steering::{Host, node_of};
use serde::Serialize;

use super::Asked;
use crate::rank::{Candidate, Kept, Leave, Ranking, Snapshot, Worth};

/// What a document says; the words are those of the snapshot and of the question.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ways<'a> {
    /// Pathways, best first; every one is in the player's playlist, among the clones, or the one it is on.
    pub(super) priority: Vec<&'a str>,
    /// Pathways that the playlist does not list.
    pub(super) clones: Vec<Clone<'a>>,
    /// The place in the ranking of the edge that the player is asked to move to.
    pub(super) moves_to: Option<usize>,
    /// Something is wrong with the way that the player is on, or was on until it moved just now.
    pub(super) troubled: bool,
}

/// A pathway that is another one at another host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Clone<'a> {
    #[serde(rename = "BASE-ID")]
    pub(super) base: &'a str,
    #[serde(rename = "ID")]
    pub(super) id: &'a str,
    #[serde(rename = "URI-REPLACEMENT")]
    pub(super) replaced: Replaced<'a>,
}

/// What of a pathway's URIs is another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Replaced<'a> {
    #[serde(rename = "HOST")]
    pub(super) host: &'a str,
}

/// One edge that can be named to this player.
#[derive(std::clone::Clone, Copy)]
struct Way<'a> {
    id: &'a str,
    /// Its place in the ranking.
    at: usize,
    worth: Worth,
    blamed: bool,
}

/// Orders the pathways for one player; `kept` says whether it stays where it is, `blamed` which edges it had trouble
/// with.
pub(super) fn order<'a>(
    ranking: &Ranking<'a>,
    asked: &'a Asked<'_>,
    kept: Kept,
    blamed: &[String],
    now_ms: u64,
) -> Ways<'a> {
    let snapshot: &'a Snapshot = ranking.snapshot();
    // Another address is another pathway, which this player does not know under this name.
    let edge_of = |id: &str| -> Option<&'a Candidate> {
        let mut ranked = ranking.edges.iter().map(|ranked| ranked.edge);
        let node = node_of(id)?;
        let known = || snapshot.edges().get(snapshot.place_of(node)?);
        ranked
            .find(|edge| *edge.called.pathway == *id)
            .or_else(|| known().filter(|edge| *edge.called.pathway == *id))
    };
    let worth = |edge: &Candidate| edge.worth(snapshot.settings(), now_ms);
    let is_blamed = |id: &str| node_of(id).is_some_and(|node| blamed.iter().any(|edge| edge == node));
    // Those that were written out come before the player's own, which has the publisher's relative URIs: Shaka makes no
    // URL of a clone out of these.
    let host_of = |id: &'a str| Some((id, Host::of(address(edge_of(id)?, asked.tls)?)?));
    let bases: Vec<(&'a str, Host<'a>)> = match asked.listed.is_empty() {
        false => asked.listed.iter().rev().filter_map(|id| host_of(id)).collect(),
        true => asked.current.iter().filter_map(|id| host_of(id)).collect(),
    };
    let current = asked.current();
    // Who has no pathway of ours, as far as it says, cannot be offered a clone of one: it is told of all, and takes those
    // that it knows. A manifest of DASH that a packager wrote asks so.
    let unknown = asked.listed.is_empty() && current.is_none_or(|id| node_of(id).is_none());
    let edges = ranking.edges.len();
    let mut ways = Ways {
        priority: Vec::with_capacity(edges + 2),
        clones: Vec::with_capacity(edges),
        ..Ways::default()
    };
    let mut named: Vec<Way<'a>> = Vec::with_capacity(edges);
    for (at, ranked) in ranking.edges.iter().enumerate() {
        let edge: &'a Candidate = ranked.edge;
        let id: &'a str = &edge.called.pathway;
        let listed = asked.listed.iter().any(|listed| **listed == *id);
        let known = listed || bases.iter().any(|(base, _)| *base == id);
        let clone = bases.iter().filter(|_| !known).find_map(|(base, at)| {
            let host = at.other(address(edge, asked.tls)?)?;
            Some(Clone { base, id, replaced: Replaced { host } })
        });
        if listed || unknown || clone.is_some() || current == Some(id) {
            ways.clones.extend(clone);
            named.push(Way { id, at, worth: worth(edge), blamed: is_blamed(id) });
        }
    }
    if !blamed.is_empty() {
        put_blamed_behind(&mut named);
    }

    if let Some(place) = named.iter().position(|way| Some(way.id) == current).filter(|_| kept.leave.is_none())
    {
        named[..=place].rotate_right(1);
    }
    // Who is on none of ours, as far as it says, has been sent to the first one when it asked first; that it does not
    // say that it went there makes it no newcomer each time.
    let counted = asked.since.is_some() && current.and_then(node_of).is_none();
    ways.moves_to = named.first().filter(|way| !counted && Some(way.id) != current).map(|way| way.at);
    ways.priority.extend(named.into_iter().map(|way| way.id));

    // What the player knows and the ranking does not offer: good for when all else fails, if it is there at all.
    let mut left: Vec<(Worth, bool, &'a str)> = Vec::new();
    for id in asked.listed.iter().chain(&asked.current).map(|id| &**id) {
        let new = !ways.priority.contains(&id) && !left.iter().any(|(.., known)| *known == id);
        let found = if new { edge_of(id).map(worth) } else { None };
        if let Some(worth) = found.filter(|worth| *worth != Worth::Lost) {
            left.push((worth, is_blamed(id), id));
        }
    }
    left.sort_by_key(|(worth, blamed, _)| (*worth, *blamed));
    ways.priority.extend(left.into_iter().map(|(.., id)| id));
    // What is draining is well: whoever stays until the next look loses nothing.
    let is_well = |edge: &Candidate| {
        matches!(edge.standing(snapshot.settings(), now_ms), NodeState::Up | NodeState::Draining)
    };
    let lost = kept.leave == Some(Leave::Lost);
    ways.troubled =
        !unknown && (lost || current.is_some_and(|id| is_blamed(id) || !edge_of(id).is_some_and(is_well)));
    if ways.priority.is_empty() {
        // Nobody is up as far as is known here; whoever plays knows better, and stays.
        ways.priority.extend(current);
    }
    ways
}

/// Of those that stand alike, the blamed come last, in the places that these have among all.
fn put_blamed_behind(named: &mut [Way<'_>]) {
    let mut rest = named.to_vec();
    rest.sort_by_key(|way| way.blamed);
    for place in named {
        if let Some(next) = rest.iter().position(|way| way.worth == place.worth) {
            *place = rest.remove(next);
        }
    }
}

fn address(edge: &Candidate, tls: bool) -> Option<&str> {
    if tls { edge.called.tls_url.as_deref() } else { Some(&edge.called.url) }
}
