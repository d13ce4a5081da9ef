//! Edges that a playlist must write out, because no steering document can name them.
//!
//! A document names an edge by its host. Where more than that differs, the port in a laboratory or the scheme, the
//! edge that answers has to put whole URLs into the playlist, so it is told about a few others with its heartbeat. So
//! it is where the operator has players that take no clones (`steering.in_full`).

use std::cmp::Ordering;

use kromka_control::{Heartbeat, NodeState};
use kromka_hls::steering::Host;

use crate::rank::{Called, Candidate, Snapshot, rendezvous::draw};

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
        let Called { id, site, url, tls_url, .. } = &*edge.called;
        Own { id, site, url, tls_url: tls_url.as_deref() }
    }
}

/// The peers of an edge, at most two: with the own one there are three, as many as fail for different reasons. They are
/// from other sites first, each from one of its own, the same ones as long as they are there, others for others, so that
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
    let (plain, secure) = (Host::of(own.url), own.tls_url.map(Host::of));
    let clonable = |peer: &Candidate| {
        let by = |host: Option<Host<'_>>, url: &str| host.is_some_and(|host| host.other(url).is_some());
        by(plain, &peer.called.url)
            && secure.is_none_or(|own| peer.called.tls_url.as_ref().is_some_and(|url| by(own, url)))
    };
    let others = snapshot.edges().iter();
    let others =
        others.filter(|peer| *peer.called.id != *own.id && serves(peer) && (in_full || !clonable(peer)));
    let others: Vec<Peer<'s>> = others
        .map(|edge| Peer {
            edge,
            away: *edge.called.site != *own.site,
            draw: draw(own.id, &edge.called.id, 1),
        })
        .collect();
    let Some(first) = others.iter().max_by(|a, b| a.order(b)) else { return Vec::new() };
    let of_new_site = |peer: &Peer<'_>| peer.edge.called.site != first.edge.called.site;
    let rest = others.iter().filter(|peer| peer.edge.called.id != first.edge.called.id);
    let second = rest.max_by(|a, b| of_new_site(a).cmp(&of_new_site(b)).then_with(|| a.order(b)));
    [Some(first), second].into_iter().flatten().map(|peer| peer.edge).collect()
}

/// One that may be told of.
struct Peer<'s> {
    edge: &'s Candidate,
    /// It stands in another site.
    away: bool,
    draw: f64,
}

impl Peer<'_> {
    fn order(&self, other: &Peer<'_>) -> Ordering {
        self.away.cmp(&other.away).then_with(|| self.draw.total_cmp(&other.draw))
    }
}
