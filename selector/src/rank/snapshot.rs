//! What the selector knows about the edges at one instant.
//!
//! A snapshot is never changed; the roster replaces it a few times a second. All that a decision can be spared is
//! reckoned when it is built: sites with their nodes side by side, what each site carries and can carry, the hashes
//! of names, who is sound. The one thing that moves under it is the count of viewers sent out since.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kromka_control::NodeState;

use super::{
    Assigned, Cell, Distances, Settings, Zones,
    distance::Column,
    rendezvous,
    standing::{Mode, Standing, Worth},
    stripes::Table,
    zones::Resolved,
};

/// Sites and edges of one snapshot; more would not fit their numbers.
const EDGES_MAX: usize = 16_384;

/// What a node that has just come back is given at once, as a share of its capacity.
const SLOW_START_SHARE: f64 = 0.1;

/// What a thread may keep to itself of the viewers that it sent to a node or a site, as a share of the capacity: with
/// eight threads the others are wrong by less than a heartbeat's noise.
const HELD_SHARE: f64 = 0.001;

/// The same in viewers, where one is next to nothing.
const HELD_VIEWERS: f64 = 256.0;

/// Least share of its capacity that a node counts with.
const SHARE_MIN: f64 = 0.01;

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

/// How any edge is reached at all: who asks for what none has need not look for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// At an IPv4 address.
    pub v4: bool,
    /// At an IPv6 address.
    pub v6: bool,
    /// Over TLS.
    pub tls: bool,
}

/// What an edge is called: made when it is new or has moved, and shared by all snapshots.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// The node's name.
    pub id: Arc<str>,
    /// The failure domain it stands in.
    pub site: Arc<str>,
    /// What viewers use, without a trailing slash.
    pub url: Arc<str>,
    /// The same over TLS, where the edge has it.
    pub tls_url: Option<Arc<str>>,
    /// What content steering calls it at these addresses.
    pub pathway: Arc<str>,
}

/// One edge as the roster sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its names.
    pub called: Arc<Called>,
    /// How it is reached without asking DNS, for answers that are DNS.
    pub reach: Reach,
    /// When it was last heard, in the milliseconds of [`super::Question::now_ms`].
    pub heard_ms: u64,
    /// It, or an operator, wants no new viewers.
    pub draining: bool,
    /// It said goodbye, or has been silent for so long that it no longer counts as part of the fleet.
    pub gone: bool,
    /// Viewers, peers or checks have seen it fail: no new viewers while enough others are sound.
    pub ejected: bool,
    /// Utilisation of its binding resource in the last report, 0..1 and above when overloaded.
    pub reported: f64,
    /// Capacity in bits per second; the weight in hashing and in the site's mean.
    pub capacity_bps: u64,
    /// What one more viewer adds to its utilisation.
    pub session_load: f64,
    /// Viewers that come for each one sent from here, see [`super::Gain`].
    pub gain: f64,
    /// The share of its capacity that the operator gives it, 0..1.
    pub share: f64,
    /// When it came back after having been away, if it has; it is then given its share slowly.
    pub returned_ms: Option<u64>,
    /// Viewers sent since.
    pub assigned: Arc<Assigned>,
}

impl Candidate {
    /// An edge that there is not yet, idle, as forecasts suppose it.
    pub fn supposed(id: &str, site: &str, capacity_bps: u64) -> Candidate {
        Candidate {
            called: Arc::new(Called { id: id.into(), site: site.into(), ..Called::default() }),
            reach: Reach::default(),
            heard_ms: 0,
            draining: false,
            gone: false,
            ejected: false,
            reported: 0.0,
            capacity_bps,
            session_load: 0.0,
            gain: 1.0,
            share: 1.0,
            returned_ms: None,
            assigned: Arc::default(),
        }
    }

    /// Milliseconds of silence.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }

    /// What may be done with it at `now_ms`, as nodes are listed.
    pub fn standing(&self, settings: &Settings, now_ms: u64) -> NodeState {
        let age = self.age_ms(now_ms);
        if self.gone || age > settings.down_after_ms {
            NodeState::Down
        } else if self.draining || self.share <= 0.0 {
            NodeState::Draining
        } else if age > settings.suspect_after_ms {
            NodeState::Suspect
        } else {
            NodeState::Up
        }
    }

    /// How good it is at `now_ms` for who has it already, or has to choose among what is left.
    pub fn worth(&self, settings: &Settings, now_ms: u64) -> Worth {
        match self.standing(settings, now_ms) {
            NodeState::Up if !self.ejected => Worth::Sound,
            NodeState::Up | NodeState::Suspect => Worth::Doubted,
            NodeState::Draining => Worth::Draining,
            NodeState::Down => Worth::Lost,
        }
    }

    /// The share of its capacity that counts where the fleet together has `begun` that far, 0..1: the operator's,
    /// and less just after a return. What many have in common is no reason to spare one.
    fn share_of(&self, settings: &Settings, now_ms: u64, begun: f64) -> f64 {
        let share = if self.share.is_finite() { self.share.clamp(0.0, 1.0) } else { 1.0 };
        (share * (self.begun(settings, now_ms) / begun).min(1.0)).max(SHARE_MIN)
    }

    /// How far it is through its slow start, 0.1..1.
    fn begun(&self, settings: &Settings, now_ms: u64) -> f64 {
        self.returned_ms.map_or(1.0, |returned| {
            let passed = now_ms.saturating_sub(returned) as f64 / settings.slow_start_ms.max(1) as f64;
            SLOW_START_SHARE + (1.0 - SLOW_START_SHARE) * passed.min(1.0)
        })
    }
}

/// What decisions read of an edge.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) heard_ms: u64,
    pub(super) site: u32,
    pub(super) gone: bool,
    pub(super) draining: bool,
    pub(super) ejected: bool,
    /// Takes viewers at the time the snapshot was built.
    pub(super) fit: bool,
    pub(super) seed: u64,
    /// Capacity times share.
    pub(super) weight: f64,
    /// Utilisation per reported utilisation: 1 / share.
    pub(super) scale: f64,
    reported: f64,
    /// Utilisation per viewer sent since, gain included.
    per_viewer: f64,
    capacity: f64,
    /// Viewers that a thread may keep to itself.
    hold: f64,
    assigned: Arc<Assigned>,
}

impl Node {
    /// Estimated utilisation of what it is given: the report, and what was sent there since.
    #[inline]
    pub(super) fn utilisation(&self) -> f64 {
        (self.reported + self.assigned.count() * self.per_viewer) * self.scale
    }

    /// The same, with all that any thread knows.
    fn whole_utilisation(&self) -> f64 {
        (self.reported + self.assigned.total() * self.per_viewer) * self.scale
    }
}

/// What decisions read of every site, in the order of the sites.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    /// Its column in the table of distances; past any row where it has none.
    pub(super) column: u32,
    /// What it costs besides distance and load; infinite where none of its nodes is fit.
    pub(super) cost_ms: f32,
    /// The same with the price of the load that it had when the snapshot was built: it only becomes dearer.
    pub(super) floor_ms: f32,
}

/// What decisions read of a site that may be chosen. Its load is that of its fit nodes. It has cache lines of its
/// own, since its count moves.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Site {
    pub(super) first: u32,
    pub(super) after: u32,
    pub(super) cost_ms: f32,
    pub(super) column: Column,
    pub(super) seed: u64,
    /// Sum of the weights of its fit nodes; 0 when it has none.
    pub(super) weight: f64,
    inverse: f64,
    used: f64,
    /// Load in bits per second sent there since the snapshot was built, but for what threads hold back.
    sent: AtomicU64,
}

impl Site {
    /// Estimated utilisation of its fit nodes together; `own` is what this thread holds back of its load.
    #[inline]
    pub(super) fn load(&self, own: u64) -> f64 {
        let sent = self.sent.load(Ordering::Relaxed).wrapping_add(own);
        (self.used + sent as i64 as f64) * self.inverse
    }

    /// The places of its nodes.
    #[inline]
    pub(super) fn nodes(&self) -> std::ops::Range<usize> {
        self.first as usize..self.after as usize
    }
}

/// All edges at one instant.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows with every rebuild.
    pub version: u64,
    /// When it was built.
    pub built_ms: u64,
    pub(super) edges: Vec<Candidate>,
    pub(super) nodes: Vec<Node>,
    pub(super) sites: Vec<Site>,
    pub(super) outlines: Vec<Outline>,
    /// What threads hold back of each site's load.
    pub(super) held: Table,
    pub(super) names: Vec<Arc<str>>,
    pub(super) distances: Arc<Distances>,
    pub(super) zones: Arc<Resolved>,
    pub(super) settings: Arc<Settings>,
    /// Distances differ from network to network.
    measured: bool,
    reached: Reached,
    pub(super) mode: Mode,
    /// From when on some edge stands otherwise than when it was built.
    pub(super) valid_until_ms: u64,
}

/// What a snapshot is built of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The edges, in any order.
    pub edges: Vec<Candidate>,
    /// Round-trip times.
    pub distances: Arc<Distances>,
    /// What operators decided by prefix.
    pub zones: Arc<Zones>,
    /// The constants.
    pub settings: Arc<Settings>,
}

impl Snapshot {
    /// Builds a snapshot at `now_ms`. What has not changed is taken over from the one before. Edges past 16,384
    /// are left out.
    pub fn build(parts: Parts, before: Option<&Snapshot>, now_ms: u64) -> Snapshot {
        let Parts { mut edges, distances, zones, settings } = parts;
        edges.sort_by(|a, b| (&a.called.site, &a.called.id).cmp(&(&b.called.site, &b.called.id)));
        edges.truncate(EDGES_MAX);
        let mut names: Vec<Arc<str>> = edges.iter().map(|edge| Arc::clone(&edge.called.site)).collect();
        names.dedup();
        let zones = match before.filter(|before| before.zones.of(&zones) && before.names == names) {
            Some(before) => Arc::clone(&before.zones),
            None => Arc::new(Resolved::new(zones, &names)),
        };
        let mut snapshot = Snapshot {
            version: before.map_or(0, |before| before.version) + 1,
            built_ms: now_ms,
            nodes: Vec::with_capacity(edges.len()),
            sites: Vec::with_capacity(names.len()),
            outlines: Vec::with_capacity(names.len()),
            held: Table::new(names.len()),
            edges,
            names,
            measured: !distances.is_empty(),
            reached: Reached::default(),
            distances,
            zones,
            settings,
            mode: Mode::default(),
            valid_until_ms: u64::MAX,
        };
        snapshot.lay_out(now_ms);
        snapshot.mode = Mode::of(&snapshot, now_ms, &[]);
        snapshot.judge(now_ms);
        snapshot
    }

    /// Nodes and sites in the order of their edges.
    fn lay_out(&mut self, now_ms: u64) {
        let settings = Arc::clone(&self.settings);
        let usual = super::SiteSettings::default();
        // How far the fleet is through its slow start, by capacity: after a power cut all of it is.
        let (mut capacity, mut ready) = (0.0, 0.0);
        for edge in self.edges.iter().filter(|edge| !edge.gone && !edge.draining) {
            capacity += edge.capacity_bps.max(1) as f64;
            ready += edge.capacity_bps.max(1) as f64 * edge.begun(&settings, now_ms);
        }
        let begun = if capacity > 0.0 { ready / capacity } else { 1.0 };
        let mut last: Option<&Arc<str>> = None;
        for (place, edge) in self.edges.iter().enumerate() {
            if last != Some(&edge.called.site) {
                let site = settings.sites.get(&*edge.called.site).unwrap_or(&usual);
                let mut column = self.distances.column(&edge.called.site);
                let trusted = site.position.filter(super::Position::trusted);
                column.vector = column.vector.or_else(|| trusted.map(|position| position.vector()));
                self.sites.push(Site {
                    first: place as u32,
                    after: place as u32,
                    cost_ms: site.cost_ms as f32,
                    column,
                    seed: rendezvous::seed(&edge.called.site),
                    weight: 0.0,
                    inverse: 0.0,
                    used: 0.0,
                    sent: AtomicU64::new(0),
                });
                last = Some(&edge.called.site);
            }
            if let Some(site) = self.sites.last_mut() {
                site.after += 1;
            }
            self.reached.v4 |= edge.reach.v4.is_some();
            self.reached.v6 |= edge.reach.v6.is_some();
            self.reached.tls |= edge.reach.tls_port.is_some();
            let finite = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
            let share = edge.share_of(&settings, now_ms, begun);
            let capacity = edge.capacity_bps.max(1) as f64;
            let per_viewer = finite(edge.session_load) * finite(edge.gain).max(1.0);
            self.nodes.push(Node {
                heard_ms: edge.heard_ms,
                site: self.sites.len() as u32 - 1,
                gone: edge.gone,
                draining: edge.draining || edge.share <= 0.0,
                ejected: edge.ejected,
                fit: false,
                seed: rendezvous::seed(&edge.called.id),
                weight: (capacity * share).max(1.0),
                scale: 1.0 / share,
                reported: finite(edge.reported),
                per_viewer,
                capacity,
                hold: (HELD_SHARE / per_viewer).min(HELD_VIEWERS),
                assigned: Arc::clone(&edge.assigned),
            });
        }
    }

    /// Who takes viewers now, and what the sites carry.
    fn judge(&mut self, now_ms: u64) {
        let mode = self.mode;
        for node in &mut self.nodes {
            let standing = Standing::of(node, &self.settings, now_ms);
            node.fit = mode.takes(standing);
            self.valid_until_ms =
                self.valid_until_ms.min(Standing::holds_until(node, &self.settings, now_ms));
        }
        for site in &mut self.sites {
            let nodes = &self.nodes[site.nodes()];
            let fit = || nodes.iter().filter(|node| node.fit);
            site.weight = fit().map(|node| node.weight).sum();
            site.used = fit().map(|node| node.whole_utilisation() * node.weight).sum();
            site.inverse = if site.weight > 0.0 { 1.0 / site.weight } else { 0.0 };
            let cost_ms = if site.weight > 0.0 { site.cost_ms } else { f32::INFINITY };
            self.outlines.push(Outline {
                column: site.column.column.map_or(u32::MAX, u32::from),
                cost_ms,
                floor_ms: cost_ms + self.settings.prices.at(site.load(0) as f32),
            });
        }
    }

    /// The edges, ordered by site and id.
    pub fn edges(&self) -> &[Candidate] {
        &self.edges
    }

    /// Where the edge of that id stands among [`Snapshot::edges`].
    pub fn place_of(&self, id: &str) -> Option<usize> {
        // Hashes lie side by side; names do not.
        let seed = rendezvous::seed(id);
        let mut named = self.nodes.iter().zip(&self.edges);
        named.position(|(node, edge)| node.seed == seed && *edge.called.id == *id)
    }

    /// The round-trip times.
    pub fn distances(&self) -> &Distances {
        &self.distances
    }

    /// How any of the edges is reached.
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// The constants.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of the sites, in order.
    pub fn sites(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Whether more than half of the fleet looks dead. Then it is likelier that this selector cannot hear than
    /// that the fleet died, so silence alone no longer condemns an edge. It takes three edges for a majority to
    /// mean anything: with fewer, one dead machine would be "half of the fleet".
    pub fn distrusted(&self, now_ms: u64) -> bool {
        Mode::of(self, now_ms, &[]).distrusted
    }

    /// How many bits of a client's address an answer depends on: who shares them is answered the same (RFC 7871 calls
    /// it scope). 0 only where nothing is known that tells clients apart; `located` = a database knows where they are.
    pub fn scope(&self, client: IpAddr, located: bool) -> u8 {
        let cell = if self.measured || located { Cell::of(client).prefix_len() } else { 0 };
        cell.max(self.zones.width(client))
    }

    /// The share of its capacity that the edge at `place` is given.
    pub(super) fn share(&self, place: usize) -> f64 {
        self.nodes.get(place).map_or(1.0, |node| 1.0 / node.scale)
    }

    /// Estimated utilisation of the edge of that id.
    pub fn utilisation(&self, id: &str) -> Option<f64> {
        self.nodes.get(self.place_of(id)?).map(Node::utilisation)
    }

    /// Counts viewers sent to the edge at `place`, for this snapshot and the next ones.
    pub(super) fn assign(&self, place: usize, viewers: f64) {
        let Some(node) = self.nodes.get(place) else { return };
        node.assigned.add(viewers, node.hold);
        if let Some(site) = self.sites.get(node.site as usize) {
            let load = node.per_viewer * node.capacity * viewers.clamp(0.0, 1e6);
            let hold = HELD_SHARE * site.weight;
            self.held.add(node.site as usize, &site.sent, load as u64, hold as u64);
        }
    }
}
