//! What the selector knows about the edges at one instant.
//!
//! A snapshot is never changed; the roster replaces it. The one thing that moves under it is [`Assigned`], the
//! count of viewers sent to an edge since its last report: reports are old the moment they arrive, and a crowd
//! sent to the edge that looked idle half a second ago would overload it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kromka_control::NodeState;

use super::Distances;

/// The constants of ranking, as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence in milliseconds after which an edge gets no new viewers while another is sound.
    pub suspect_after_ms: u64,
    /// Silence in milliseconds after which an edge is taken to be dead.
    pub down_after_ms: u64,
    /// Scale of the congestion price in milliseconds.
    pub price_ms: f64,
    /// How far a node may be loaded above its site, as a share (0..1) of the site's free capacity.
    pub spill: f64,
    /// Sites whose costs differ by no more than this many milliseconds count as equal.
    pub tie_ms: f64,
    /// The operator's cost per site in milliseconds (traffic price, contract); a site not named costs 0.
    pub site_cost_ms: BTreeMap<String, f64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            suspect_after_ms: 1_250,
            down_after_ms: 3_000,
            price_ms: 10.0,
            spill: 0.15,
            tie_ms: 2.0,
            site_cost_ms: BTreeMap::new(),
        }
    }
}

/// Viewers sent to one edge and not yet visible in its reports: those since the last report and those of the
/// interval before it, because a viewer needs a moment to arrive and another to show as traffic.
#[derive(Debug, Default)]
pub struct Assigned {
    since: AtomicU64,
    before: AtomicU64,
}

impl Assigned {
    /// One more viewer was sent there.
    pub fn add(&self) {
        self.add_many(1);
    }

    /// That many more viewers were sent there.
    pub fn add_many(&self, viewers: u64) {
        self.since.fetch_add(viewers, Ordering::Relaxed);
    }

    /// A report has arrived.
    pub fn reported(&self) {
        self.before.store(self.since.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Viewers that the last report cannot have counted.
    pub fn count(&self) -> u64 {
        self.since.load(Ordering::Relaxed) + self.before.load(Ordering::Relaxed)
    }
}

/// How an edge is reached: what an answer needs that names addresses instead of URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// The port of its TLS listener, as viewers reach it.
    pub tls_port: Option<u16>,
    /// Whether it speaks HTTP/3 there.
    pub h3: bool,
}

/// One edge as the roster sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node's name.
    pub id: Arc<str>,
    /// The failure domain it stands in.
    pub site: Arc<str>,
    /// What viewers use, without a trailing slash.
    pub url: Arc<str>,
    /// The same over TLS, where the edge has it.
    pub tls_url: Option<Arc<str>>,
    /// How it is reached without asking DNS, for answers that are DNS.
    pub reach: Reach,
    /// When it was last heard, in the milliseconds of [`super::Question::now_ms`].
    pub heard_ms: u64,
    /// It, or an operator, wants no new viewers.
    pub draining: bool,
    /// It said goodbye, or has been silent for so long that it no longer counts as part of the fleet.
    pub gone: bool,
    /// Utilisation of its binding resource in the last report, 0..1 and above when overloaded.
    pub reported: f64,
    /// Capacity in bits per second; the weight in hashing and in the site's mean.
    pub capacity_bps: u64,
    /// What one viewer takes, in bits per second.
    pub session_bps: u64,
    /// Viewers sent since.
    pub assigned: Arc<Assigned>,
}

impl Candidate {
    /// Milliseconds of silence.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }

    /// What may be done with it at `now_ms`.
    pub fn standing(&self, settings: &Settings, now_ms: u64) -> NodeState {
        let age = self.age_ms(now_ms);
        if self.gone || age > settings.down_after_ms {
            NodeState::Down
        } else if self.draining {
            NodeState::Draining
        } else if age > settings.suspect_after_ms {
            NodeState::Suspect
        } else {
            NodeState::Up
        }
    }

    /// Estimated utilisation now: the report plus what was sent there since.
    pub fn utilisation(&self) -> f64 {
        let reported = if self.reported.is_finite() { self.reported.max(0.0) } else { 0.0 };
        reported + self.assigned.count() as f64 * self.session_bps as f64 / self.capacity_bps.max(1) as f64
    }
}

/// All edges at one instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every rebuild.
    pub version: u64,
    /// The edges, ordered by id.
    pub edges: Vec<Candidate>,
    /// Round-trip times.
    pub distances: Arc<Distances>,
    /// The constants.
    pub settings: Arc<Settings>,
}

impl Snapshot {
    /// Whether more than half of the fleet looks dead. Then it is likelier that this selector cannot hear than
    /// that the fleet died, so silence alone no longer condemns an edge. It takes three edges for a majority to
    /// mean anything: with fewer, one dead machine would be "half of the fleet".
    pub fn distrusted(&self, now_ms: u64) -> bool {
        let fleet = self.edges.iter().filter(|edge| !edge.gone);
        let (mut all, mut silent) = (0usize, 0usize);
        for edge in fleet {
            all += 1;
            silent += usize::from(edge.standing(&self.settings, now_ms) == NodeState::Down);
        }
        all >= 3 && silent * 2 > all
    }
}
