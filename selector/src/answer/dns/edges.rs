//! Which addresses are answered: asks the ranking, takes two edges of the best site and one of the next.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{crowds::Crowds, networks, zones::Service};
use crate::{
    app::App,
    metrics::Surface,
    rank::{EDGES_MAX, Question, Ranked, Ranking, Reach, Reached, decide_pair},
};

/// Edges in an answer.
pub(super) const EDGES: usize = 3;

/// Which of an edge's addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Either, of edges that serve TLS.
    Tls,
}

/// What is asked.
pub(super) struct Ask<'a> {
    /// The service.
    pub(super) service: &'a Service,
    /// The key that titles are placed by: the service's, or that of a shard.
    pub(super) key: &'a str,
    /// Where the viewers are.
    pub(super) client: IpAddr,
    /// What is wanted.
    pub(super) family: Family,
    /// How long the answer will be kept, in milliseconds.
    pub(super) ttl_ms: u64,
}

/// What is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// How the edges are reached, best first; none twice.
    reach: [Reach; EDGES],
    len: usize,
    /// Whether there is any edge to name: without one nothing true can be said.
    pub(super) any: bool,
    /// For how long a prefix of the client's address the choice holds; 0 if it did not matter.
    pub(super) scope: u8,
}

impl Chosen {
    /// No edge yet.
    pub(super) fn new(any: bool, scope: u8) -> Chosen {
        Chosen { any, scope, ..Chosen::default() }
    }

    /// The edges.
    pub(super) fn edges(&self) -> &[Reach] {
        self.reach.get(..self.len).unwrap_or_default()
    }

    /// IPv4 addresses.
    pub(super) fn v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.edges().iter().filter_map(|reach| reach.v4)
    }

    /// IPv6 addresses.
    pub(super) fn v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.edges().iter().filter_map(|reach| reach.v6)
    }

    /// Adds an edge; false if one is reached the same way, or there is no room.
    pub(super) fn push(&mut self, reach: Reach) -> bool {
        if self.edges().contains(&reach) {
            return false;
        }
        let Some(free) = self.reach.get_mut(self.len) else { return false };
        *free = reach;
        self.len += 1;
        true
    }
}

/// Whoever chooses.
pub(super) trait Edges: Send + Sync + 'static {
    /// Chooses.
    fn choose(&self, ask: &Ask<'_>) -> Chosen;
}

/// The ranking of the selector.
pub(super) struct Fleet {
    pub(super) app: Arc<App>,
    pub(super) crowds: Crowds,
}

impl Edges for Fleet {
    fn choose(&self, ask: &Ask<'_>) -> Chosen {
        let question =
            Question { client: Some(ask.client), content_key: ask.key, k: EDGES, ..Question::default() };
        self.app.decide(Surface::Dns, question, false, |ranking: &Ranking<'_>, question: &Question<'_>| {
            let scope = ranking.snapshot().scope(ask.client, !self.app.geo.is_empty());
            let picked = pick(ranking, ask.family);
            let enough = picked.iter().all(Option::is_some) || ranking.edges.len() < EDGES;
            if enough || !some_have(ranking.snapshot().reached(), ask.family) {
                return self.answer(ask, ranking, &picked, scope, question.now_ms);
            }
            // Some of them are not reached this way: others may be.
            let more = decide_pair(ranking.snapshot(), &Question { k: EDGES_MAX, ..question.clone() });
            self.answer(ask, &more, &pick(&more, ask.family), scope, question.now_ms)
        })
    }
}

impl Fleet {
    /// The answer that names the edges which were picked, and what it will bring them.
    fn answer(
        &self,
        ask: &Ask<'_>,
        ranking: &Ranking<'_>,
        picked: &[Option<&Ranked<'_>>; EDGES],
        scope: u8,
        now_ms: u64,
    ) -> Chosen {
        let any = ranking.edges.iter().any(|ranked| wanted(&ranked.edge.reach, None));
        let mut chosen = Chosen::new(any, scope);
        for ranked in picked.iter().flatten() {
            chosen.push(only(ranked.edge.reach, ask.family));
        }
        let edges = picked.iter().flatten().count() as u64;
        if edges == 0 {
            return chosen;
        }
        // The viewers that this answer will send count: resolvers rotate addresses, so each edge gets its share.
        let viewers = self.crowds.weigh(network(ask), now_ms, ask.ttl_ms);
        for (at, ranked) in (0u64..).zip(picked.iter().flatten()) {
            let share = viewers / edges + u64::from(at < viewers % edges);
            if share > 0 {
                ranking.assign_to(ranked, share as f64);
            }
        }
        chosen
    }
}

/// Two of the first one's site, one of another; where there are not so many, the next best.
fn pick<'r, 's>(ranking: &'r Ranking<'s>, family: Family) -> [Option<&'r Ranked<'s>>; EDGES] {
    // All addresses of an answer are used alike: one that looks dead stands beside none that does not.
    let distrusted = ranking.edges.first().is_some_and(Ranked::is_silent);
    let fit = || {
        ranking.edges.iter().filter(move |ranked| {
            wanted(&ranked.edge.reach, Some(family)) && ranked.is_silent() == distrusted
        })
    };
    let Some(first) = fit().next() else { return [None; EDGES] };
    let others = || fit().filter(|ranked| ranked.edge.called.id != first.edge.called.id);
    let beside = others().find(|ranked| ranked.edge.called.site == first.edge.called.site);
    let away = others().find(|ranked| ranked.edge.called.site != first.edge.called.site);
    let mut picked = if beside.is_some() { [Some(first), beside, away] } else { [Some(first), away, None] };
    if beside.is_none() || away.is_none() {
        let taken = beside.or(away).map(|ranked| &ranked.edge.called.id);
        let mut rest = others().filter(|ranked| Some(&ranked.edge.called.id) != taken);
        for empty in picked.iter_mut().filter(|place| place.is_none()) {
            *empty = rest.next();
        }
    }
    picked
}

/// Whether the edge has what is wanted; any address at all if nothing in particular is.
fn wanted(reach: &Reach, family: Option<Family>) -> bool {
    match family {
        Some(Family::V4) => reach.v4.is_some(),
        Some(Family::V6) => reach.v6.is_some(),
        Some(Family::Tls) => reach.tls_port.is_some() && wanted(reach, None),
        None => reach.v4.is_some() || reach.v6.is_some(),
    }
}

/// Whether any edge has what is wanted.
fn some_have(reached: Reached, family: Family) -> bool {
    match family {
        Family::V4 => reached.v4,
        Family::V6 => reached.v6,
        Family::Tls => reached.tls,
    }
}

/// What of an edge tells it from others in an answer.
fn only(reach: Reach, family: Family) -> Reach {
    match family {
        Family::V4 => Reach { v4: reach.v4, ..Reach::default() },
        Family::V6 => Reach { v6: reach.v6, ..Reach::default() },
        Family::Tls => reach,
    }
}

/// The network that asks, and for which service, as a hash: a /24 or /48, whatever the ranking knows it by.
fn network(ask: &Ask<'_>) -> u64 {
    xxh3_64_with_seed(&networks::number(ask.client, 48).to_le_bytes(), ask.service.number)
}
