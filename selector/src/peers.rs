//! Edges that a playlist must write out, because no steering document can name them.
//!
//! A document names an edge by its host. Where more than that differs, the port in a laboratory or the scheme, the
//! edge that answers has to put whole URLs into the playlist, so it is told about a few others with its heartbeat. So
//! it is where the operator has players that take no clones (`steering.in_full`).

use kromka_control::{Heartbeat, NodeState};
use kromka_hls::steering::differ_in_host_alone;

use crate::rank::{Candidate, Snapshot, rendezvous::draw};

/// Edges told of: with the own one there are three, as many as fail for different reasons.
const PEERS: usize = 2;

/// The edge whose peers are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    id: &'a str,
    site: &'a str,
    url: &'a str,
    tls_url: Option<&'a str>,
}

impl<'a> From<&'a Heartbeat> for Own<'a> {
    fn from(heartbeat: &'a Heartbeat) -> Own<'a> {
        let Heartbeat { id, site, url, tls_url, .. } = heartbeat;
        Own { id, site, url, tls_url: tls_url.as_deref() }
    }
}

impl<'a> From<&'a Candidate> for Own<'a> {
    fn from(edge: &'a Candidate) -> Own<'a> {
        let Candidate { id, site, url, tls_url, .. } = edge;
        Own { id, site, url, tls_url: tls_url.as_deref() }
    }
}

/// The peers of an edge: from other sites first, the same ones as long as they are there, others for others, so that
/// no edge is everybody's second. Those that a clone can name only if `in_full`.
pub(crate) fn peers<'s>(
    snapshot: &'s Snapshot,
    own: Own<'_>,
    in_full: bool,
    now_ms: u64,
) -> Vec<&'s Candidate> {
    let serves = |peer: &Candidate| {
        matches!(peer.standing(snapshot.settings(), now_ms), NodeState::Up | NodeState::Suspect)
    };
    let clonable = |peer: &Candidate| {
        let plain = differ_in_host_alone(own.url, &peer.url).is_some();
        let secure = match (own.tls_url, &peer.tls_url) {
            (Some(own), Some(other)) => differ_in_host_alone(own, other).is_some(),
            (None, _) => true,
            (Some(_), None) => false,
        };
        plain && secure
    };
    let mut others: Vec<&Candidate> = snapshot
        .edges()
        .iter()
        .filter(|peer| *peer.id != *own.id && serves(peer) && (in_full || !clonable(peer)))
        .collect();
    others.sort_by(|a, b| {
        let elsewhere = |peer: &Candidate| *peer.site != *own.site;
        let draw_of = |peer: &Candidate| draw(own.id, &peer.id, 1);
        elsewhere(b).cmp(&elsewhere(a)).then_with(|| draw_of(b).total_cmp(&draw_of(a)))
    });
    // One of each site in turn.
    let mut chosen: Vec<&Candidate> = Vec::with_capacity(PEERS);
    for new_sites in [true, false] {
        for peer in &others {
            let known = chosen.iter().any(|taken| taken.id == peer.id);
            let same_site = chosen.iter().any(|taken| taken.site == peer.site);
            if chosen.len() < PEERS && !known && (!new_sites || !same_site) {
                chosen.push(peer);
            }
        }
    }
    chosen
}
