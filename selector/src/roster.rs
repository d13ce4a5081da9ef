//! The roster: every node, as its heartbeats show it.
//!
//! Heartbeats come in, an immutable [`Snapshot`] of the edges goes out: it is replaced with every tick, at once when
//! something happened that matters, and with other heartbeats as often as is cheap; it is read without a lock.
//! Silence needs no timer: how old a report is gets judged against `now` by whoever asks.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;
use kromka_config::{RoutingConfig, SiteConfig};
use kromka_control::{Errors, Heartbeat, NodeInfo, NodeRole, NodeState};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    drain::Drain,
    geo::Geo,
    policy::Policy,
    rank::{
        Assigned, Candidate, Capacity, Cell, Distances, Gain, Learner, Parts, Position, Reach, Settings,
        SiteSettings, Snapshot, outlier::Outliers, score::Prices,
    },
    store::nodes::{Decided, StoredNode},
};

mod called;
mod judging;
#[cfg(test)]
mod tests;

use called::Called;
pub(crate) use judging::Hearing;

/// Nodes that may be known at once.
const NODES_MAX: usize = 4_096;

/// Past this silence, in milliseconds, a node no longer counts as part of the fleet: one hour.
const LEFT_MS: u64 = 3_600_000;

/// Where this process's clock begins, in milliseconds: late enough that silences from before can be expressed.
const CLOCK_BEGINS_MS: u64 = 1 << 40;

/// Most edges that an edge is told of in its site.
const BESIDE: usize = 64;

/// How long a selector that has just started waits for the nodes it knows, in milliseconds, before it tells
/// operations that they are down.
const PATIENCE_MS: u64 = 10_000;

/// What one viewer takes, in bits per second, while an edge serves too few to tell: a 1080p rendition.
const SESSION_BPS: u64 = 4_000_000;

/// Connections from which on an edge's mean per connection is believed.
const TELLING_CONNECTIONS: u64 = 8;

/// Capacity in bits per second of an edge that names no limit.
const UNLIMITED_BPS: u64 = 10_000_000_000;

/// Edges for whose sake snapshots are a millisecond apart where nothing notable happened: building one takes a
/// microsecond for every few edges, and that is to be a small share of all time. A tick makes up for what was left out.
const EDGES_PER_MS: u64 = 20;

/// The same for tables of distances and the cells in them.
const CELLS_PER_MS: u64 = 1_000;

/// Selectors that may share a fleet; it bounds what is made of the viewers that others send.
const SELECTORS_MAX: u32 = 8;

/// Why a heartbeat was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The roster is full, and this node is new.
    Full,
}

/// What a heartbeat changed that others care about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The node was not known, came back, said goodbye or moved: worth keeping at once.
    pub notable: bool,
    /// It is newer than the one before; an old one that arrives late changes nothing.
    pub newer: bool,
}

/// All nodes.
#[derive(Debug)]
pub(crate) struct Roster {
    settings: Arc<Settings>,
    geo: Arc<Geo>,
    began: Instant,
    nodes: Mutex<Nodes>,
    published: ArcSwap<Snapshot>,
    receipts: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Nodes {
    entries: BTreeMap<String, Entry>,
    learner: Learner,
    distances: Arc<Distances>,
    policy: Policy,
    /// The constants, with what operators decided of them.
    settings: Arc<Settings>,
    published_ms: u64,
    outliers: Outliers,
    /// Why edges were held back, until somebody has counted it; a word for each time.
    changes: Vec<&'static str>,
    tabled_ms: u64,
}

impl Nodes {
    /// Takes over what was learnt of distances.
    fn table(&mut self, now_ms: u64) {
        self.tabled_ms = now_ms;
        self.distances = Arc::new(self.learner.table(now_ms));
    }
}

#[derive(Debug)]
struct Entry {
    heartbeat: Heartbeat,
    heard_ms: u64,
    /// Heard by this process, not only read from the store.
    heard_here: bool,
    /// How far its log of distances has been read, in the numbers of its `boot`.
    rtt_read: u64,
    /// How much it had answered at its last heartbeat.
    errors_read: Errors,
    gone: bool,
    drained: bool,
    revision: u64,
    /// The start of the process that an operator resumed, and by which entry of the feed it learns of that.
    resumed: Option<(String, Decided)>,
    /// Since when it drains, if it does.
    drain: Option<Drain>,
    /// When it came back, see [`Candidate::returned_ms`].
    returned_ms: Option<u64>,
    assigned: Arc<Assigned>,
    called: Called,
    reach: Reach,
    gain: Gain,
    capacity: Capacity,
}

impl Roster {
    /// An empty roster.
    pub(crate) fn new(
        routing: &RoutingConfig,
        sites: &[SiteConfig],
        hold: Duration,
        geo: Arc<Geo>,
    ) -> Roster {
        let of_site = |site: &SiteConfig| {
            let position = site.latitude.zip(site.longitude);
            let position = position.map(|(latitude, longitude)| Position::exact(latitude, longitude));
            (site.id.clone(), SiteSettings { cost_ms: f64::from(site.cost_ms), position })
        };
        let settings = Arc::new(Settings {
            suspect_after_ms: routing.suspect_after.as_millis() as u64,
            down_after_ms: routing.down_after.as_millis() as u64,
            prices: Prices::new(f64::from(routing.price_ms)),
            spill: routing.spill,
            tie_ms: f64::from(routing.tie_ms),
            sites: sites.iter().map(of_site).collect(),
            ..Settings::default()
        });
        let outliers = Outliers::new(hold.as_millis() as u64);
        let mut nodes = Nodes { outliers, settings: Arc::clone(&settings), ..Nodes::default() };
        for (site, known) in &settings.sites {
            nodes.learner.site(site, known.position);
        }
        let roster = Roster {
            settings,
            geo,
            began: Instant::now(),
            nodes: Mutex::new(nodes),
            published: ArcSwap::default(),
            receipts: watch::Sender::new(0),
        };
        roster.publish(&mut roster.nodes.lock());
        roster
    }

    /// Takes up nodes as they were kept. They count as suspect until they are heard: better than nothing just
    /// after a restart, and down soon if they stay silent. `now_ms` is Unix time.
    pub(crate) fn restore(&self, stored: Vec<StoredNode>, now_ms: u64) {
        let mut nodes = self.nodes.lock();
        for node in stored.into_iter().take(NODES_MAX) {
            let silent_ms = now_ms.saturating_sub(node.heard_ms).min(CLOCK_BEGINS_MS);
            let known_ms = if silent_ms > LEFT_MS { silent_ms } else { self.settings.suspect_after_ms + 1 };
            let entry = Entry {
                heard_ms: CLOCK_BEGINS_MS - known_ms,
                heard_here: false,
                rtt_read: 0,
                errors_read: node.heartbeat.errors,
                gone: node.gone,
                drained: node.drained,
                revision: node.revision,
                resumed: None,
                drain: None,
                returned_ms: None,
                assigned: Arc::default(),
                called: Called::of(&node.heartbeat),
                reach: called::reach(&node.heartbeat),
                gain: Gain::new(SELECTORS_MAX),
                capacity: Capacity::default(),
                heartbeat: node.heartbeat,
            };
            nodes.entries.insert(entry.heartbeat.id.clone(), entry);
        }
        self.publish(&mut nodes);
    }

    /// The roster's clock, in milliseconds; it never goes back.
    pub(crate) fn now_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }

    /// That clock at an instant.
    pub(crate) fn ms_at(&self, instant: Instant) -> u64 {
        CLOCK_BEGINS_MS + instant.saturating_duration_since(self.began).as_millis() as u64
    }

    /// Takes in a heartbeat.
    ///
    /// # Errors
    /// When the node is new and the roster full.
    pub(crate) fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<Heard, Refused> {
        let now_ms = self.now_ms();
        // Before the lock: a database takes its time.
        let located: Vec<_> = heartbeat
            .rtt
            .iter()
            .map(|rtt| Cell::parse(&rtt.cell).map(|cell| (cell, self.geo.of_network(cell.net()))))
            .collect();
        let mut guard = self.nodes.lock();
        let nodes = &mut *guard;
        let known = nodes.entries.len();
        let heard = match nodes.entries.get_mut(&heartbeat.id) {
            Some(entry) => {
                let before = &entry.heartbeat;
                if entry.heard_here && entry.is_late(heartbeat, now_ms, self.settings.down_after_ms) {
                    return Ok(Heard { notable: false, newer: false });
                }
                let moved = (&before.url, &before.tls_url, &before.site, before.role)
                    != (&heartbeat.url, &heartbeat.tls_url, &heartbeat.site, heartbeat.role);
                let notable = moved || entry.gone != heartbeat.goodbye || !entry.heard_here;
                let elapsed_ms = now_ms.saturating_sub(entry.heard_ms);
                let sent = entry.assigned.reported(elapsed_ms, self.settings.settle_ms);
                entry.gain.learn(heartbeat.sessions_started, sent, elapsed_ms);
                let was_away = entry.gone || elapsed_ms > self.settings.down_after_ms;
                if entry.heard_here && (was_away || before.boot != heartbeat.boot) {
                    entry.returned_ms = Some(now_ms);
                }
                let restarted = before.boot != heartbeat.boot;
                let first = !entry.heard_here;
                if restarted {
                    entry.rtt_read = 0;
                    entry.capacity = Capacity::default();
                }
                entry.capacity.observe(heartbeat.load.utilisation(), heartbeat.load.ttfb_ms, now_ms);
                entry.heartbeat = heartbeat.clone();
                if moved {
                    entry.called = Called::of(heartbeat);
                }
                entry.reach = called::reach(heartbeat);
                entry.heard_ms = now_ms;
                entry.heard_here = true;
                entry.gone = heartbeat.goodbye;
                let (requests, failures) = entry.news(restarted, first);
                nodes.outliers.report(&heartbeat.id, requests, failures, now_ms);
                Heard { notable, newer: true }
            }
            None if known >= NODES_MAX => return Err(Refused::Full),
            None => {
                let entry = Entry {
                    heartbeat: heartbeat.clone(),
                    heard_ms: now_ms,
                    heard_here: true,
                    rtt_read: 0,
                    errors_read: heartbeat.errors,
                    gone: heartbeat.goodbye,
                    drained: false,
                    revision: 1,
                    resumed: None,
                    drain: None,
                    // Among others that are at work it is the one that is cold; together they all are.
                    returned_ms: Some(now_ms)
                        .filter(|now| *now > CLOCK_BEGINS_MS + self.settings.slow_start_ms),
                    assigned: Arc::default(),
                    called: Called::of(heartbeat),
                    reach: called::reach(heartbeat),
                    gain: Gain::new(SELECTORS_MAX),
                    capacity: Capacity::default(),
                };
                nodes.entries.insert(heartbeat.id.clone(), entry);
                Heard { notable: true, newer: true }
            }
        };
        let news = nodes.entries.get_mut(&heartbeat.id).map_or(&[][..], Entry::unread).to_vec();
        // What is unread stands at the end.
        let read = located.len().saturating_sub(news.len());
        for (rtt, located) in news.iter().zip(located.iter().skip(read)) {
            if let Some((cell, place)) = located {
                nodes.learner.learn(*cell, place, &heartbeat.site, rtt.n, rtt.p50_ms, now_ms);
            }
        }
        if !news.is_empty() && now_ms >= nodes.tabled_ms + nodes.learner.len() as u64 / CELLS_PER_MS {
            nodes.table(now_ms);
        }
        if heard.notable || now_ms >= nodes.published_ms + nodes.entries.len() as u64 / EDGES_PER_MS {
            self.publish(nodes);
        }
        drop(guard);
        self.receipts.send_modify(|version| *version += 1);
        Ok(heard)
    }

    /// The connection that a node reported over has ended: as if it had been silent for a while, until it is heard.
    pub(crate) fn doubt(&self, id: &str) {
        let silent_since = self.now_ms().saturating_sub(self.settings.suspect_after_ms + 1);
        let mut nodes = self.nodes.lock();
        if let Some(entry) = nodes.entries.get_mut(id) {
            entry.heard_ms = entry.heard_ms.min(silent_since);
            self.publish(&mut nodes);
        }
    }

    /// Replaces the snapshot and lets go of nodes that have been silent for an hour and are not drained: what an
    /// operator decided is not forgotten.
    pub(crate) fn tick(&self) {
        let now_ms = self.now_ms();
        let mut nodes = self.nodes.lock();
        nodes
            .entries
            .retain(|_, entry| entry.drained || now_ms.saturating_sub(entry.heard_ms) < 24 * LEFT_MS);
        nodes.table(now_ms);
        self.judge(&mut nodes, now_ms);
        self.publish(&mut nodes);
    }

    /// The edges, as known now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// The same, to be looked at and let go at once.
    pub(crate) fn published(&self) -> Guard<Arc<Snapshot>> {
        self.published.load()
    }

    /// Tells when a node has been heard, and so may have applied more of the feed.
    pub(crate) fn watch_receipts(&self) -> watch::Receiver<u64> {
        self.receipts.subscribe()
    }

    /// Marks a node as drained or resumed by an operator; false when it is unknown.
    pub(crate) fn set_drained(&self, id: &str, drained: bool, decided: &Decided) -> bool {
        let mut nodes = self.nodes.lock();
        let Some(entry) = nodes.entries.get_mut(id) else { return false };
        if decided.revision < entry.revision {
            // A later decision has come here first.
            return true;
        }
        entry.drained = drained;
        entry.revision = decided.revision;
        entry.resumed = (!drained).then(|| (entry.heartbeat.boot.clone(), decided.clone()));
        self.publish(&mut nodes);
        true
    }

    /// Obeys what operators decided about routing, from the next decision on.
    pub(crate) fn obey(&self, policy: Policy) {
        let mut settings = Settings::clone(&self.settings);
        for (site, cost_ms) in &policy.costs {
            settings.sites.entry(site.clone()).or_default().cost_ms = *cost_ms;
        }
        let mut nodes = self.nodes.lock();
        nodes.settings = Arc::new(settings);
        nodes.policy = policy;
        self.publish(&mut nodes);
    }

    /// The prefix of the zone that holds an address.
    pub(crate) fn zone_of(&self, address: IpAddr) -> Option<IpNet> {
        let zones = Arc::clone(&self.nodes.lock().policy.zones);
        zones.of(address).map(|(net, _)| *net)
    }

    /// One node with the revision of what operators decided about it.
    pub(crate) fn node(&self, id: &str) -> Option<(NodeInfo, u64)> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        nodes.entries.get(id).map(|entry| (self.info(&nodes, entry, now_ms), entry.revision))
    }

    /// Up to `limit` nodes ordered by id, those after the one named `after` if one is named.
    pub(crate) fn list(&self, limit: usize, after: Option<&str>) -> Vec<NodeInfo> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let later = nodes.entries.iter().filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        later.take(limit).map(|(_, entry)| self.info(&nodes, entry, now_ms)).collect()
    }

    /// The last heartbeat of every node that this process has heard, its silence in milliseconds, and whether it
    /// said goodbye.
    pub(crate) fn heard(&self) -> Vec<(Heartbeat, u64, bool)> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let heard = nodes.entries.values().filter(|entry| entry.heard_here);
        heard
            .map(|entry| (entry.heartbeat.clone(), now_ms.saturating_sub(entry.heard_ms), entry.gone))
            .collect()
    }

    /// Nodes that are down, with their silence in milliseconds. While the roster is distrusted, and for nodes that
    /// had no time yet to find a selector that has just started, silence says nothing.
    pub(crate) fn down(&self) -> Vec<(String, u64)> {
        let now_ms = self.now_ms();
        let distrusted = self.snapshot().distrusted(now_ms);
        let nodes = self.nodes.lock();
        let down = nodes.entries.values().filter(|entry| {
            let believed = !distrusted && (entry.heard_here || now_ms >= CLOCK_BEGINS_MS + PATIENCE_MS);
            nodes.state(&self.settings, entry, now_ms) == NodeState::Down && (entry.gone || believed)
        });
        down.map(|entry| (entry.heartbeat.id.clone(), now_ms.saturating_sub(entry.heard_ms))).collect()
    }

    /// Where the other edges are that are up in the site of this one; at most [`BESIDE`].
    pub(crate) fn beside(&self, edge: &Heartbeat) -> Vec<String> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let beside = nodes.entries.values().filter(|entry| {
            let other = &entry.heartbeat;
            other.role == NodeRole::Edge
                && other.site == edge.site
                && other.id != edge.id
                && nodes.state(&self.settings, entry, now_ms) == NodeState::Up
        });
        beside.take(BESIDE).map(|entry| entry.heartbeat.url.clone()).collect()
    }

    /// What a node is; `None` when it was never heard.
    pub(crate) fn role_of(&self, id: &str) -> Option<NodeRole> {
        self.nodes.lock().entries.get(id).map(|entry| entry.heartbeat.role)
    }

    /// The least feed number that every live shield has applied in the feed named `feed_id`; `None` when there is
    /// no live shield.
    pub(crate) fn shields_at(&self, feed_id: &str) -> Option<u64> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let live = |entry: &&Entry| {
            entry.heartbeat.role == NodeRole::Origin
                && nodes.state(&self.settings, entry, now_ms) != NodeState::Down
        };
        let applied =
            |entry: &Entry| if entry.heartbeat.feed_id == feed_id { entry.heartbeat.feed_seq } else { 0 };
        nodes.entries.values().filter(live).map(applied).min()
    }

    /// How many nodes there are of each role and state.
    pub(crate) fn census(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let now_ms = self.now_ms();
        let mut census = BTreeMap::new();
        for role in ["edge", "origin"] {
            for state in ["up", "draining", "suspect", "down"] {
                census.insert((role, state), 0);
            }
        }
        let nodes = self.nodes.lock();
        for entry in nodes.entries.values() {
            let role = if entry.heartbeat.role == NodeRole::Edge { "edge" } else { "origin" };
            let state = match nodes.state(&self.settings, entry, now_ms) {
                NodeState::Up => "up",
                NodeState::Draining => "draining",
                NodeState::Suspect => "suspect",
                NodeState::Down => "down",
            };
            *census.entry((role, state)).or_insert(0) += 1;
        }
        census
    }

    /// What every live node has applied of the feed.
    pub(crate) fn receipts(&self) -> Vec<(String, u64)> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let live = nodes
            .entries
            .values()
            .filter(|entry| nodes.state(&self.settings, entry, now_ms) != NodeState::Down);
        live.map(|entry| (entry.heartbeat.id.clone(), entry.heartbeat.feed_seq)).collect()
    }

    fn info(&self, nodes: &Nodes, entry: &Entry, now_ms: u64) -> NodeInfo {
        let heartbeat = &entry.heartbeat;
        NodeInfo {
            id: heartbeat.id.clone(),
            role: heartbeat.role,
            site: heartbeat.site.clone(),
            state: nodes.state(&self.settings, entry, now_ms),
            url: heartbeat.url.clone(),
            tls_url: heartbeat.tls_url.clone(),
            load: heartbeat.load.clone(),
            feed_seq: heartbeat.feed_seq,
            version: heartbeat.version.clone(),
            ejected: nodes.outliers.held(&heartbeat.id).map(|held| held.why.to_string()),
            heartbeat_age_ms: entry.heard_here.then(|| now_ms.saturating_sub(entry.heard_ms)),
            drain: entry.drain.map(|begun| begun.now(heartbeat.load.sessions)),
        }
    }

    fn publish(&self, nodes: &mut Nodes) {
        let now_ms = self.now_ms();
        nodes.note_drains(&self.settings, now_ms);
        nodes.published_ms = now_ms;
        let edges = nodes.entries.values().filter(|entry| entry.heartbeat.role == NodeRole::Edge);
        let parts = Parts {
            edges: edges
                .map(|entry| Candidate {
                    ejected: nodes.outliers.held(&entry.heartbeat.id).is_some(),
                    ..entry.candidate(&nodes.policy, now_ms)
                })
                .collect(),
            distances: Arc::clone(&nodes.distances),
            zones: Arc::clone(&nodes.policy.zones),
            settings: Arc::clone(&nodes.settings),
        };
        let before = self.published.load();
        self.published.store(Arc::new(Snapshot::build(parts, Some(&before), now_ms)));
    }
}

impl Nodes {
    fn state(&self, settings: &Settings, entry: &Entry, now_ms: u64) -> NodeState {
        entry.candidate(&self.policy, now_ms).standing(settings, now_ms)
    }

    /// Notes when a node begins to drain and with how many sessions, whoever wants it to.
    fn note_drains(&mut self, settings: &Settings, now_ms: u64) {
        for entry in self.entries.values_mut() {
            let draining =
                entry.candidate(&self.policy, now_ms).standing(settings, now_ms) == NodeState::Draining;
            match draining {
                true => drop(entry.drain.get_or_insert_with(|| Drain::begin(entry.heartbeat.load.sessions))),
                false => entry.drain = None,
            }
        }
    }
}

impl Entry {
    fn candidate(&self, policy: &Policy, now_ms: u64) -> Candidate {
        let (heartbeat, called) = (&self.heartbeat, &self.called);
        let load = &heartbeat.load;
        let per_viewer = match load.connections {
            few if few < TELLING_CONNECTIONS => SESSION_BPS,
            many => (load.egress_bps / many).clamp(64_000, 50_000_000),
        };
        // The share of the configured limit that it has shown it can carry.
        let factor = self.capacity.factor();
        let capacity_bps = if load.egress_limit_bps == 0 { UNLIMITED_BPS } else { load.egress_limit_bps };
        // Where another resource than the line is the tightest, a viewer takes of it as of the line.
        let reported = load.utilisation();
        let session_load = match load.egress_bps {
            telling if telling >= TELLING_CONNECTIONS * per_viewer => {
                per_viewer as f64 * (reported / telling as f64).max(1.0 / capacity_bps as f64)
            }
            _ => per_viewer as f64 / capacity_bps as f64,
        };
        Candidate {
            id: Arc::clone(&called.id),
            site: Arc::clone(&called.site),
            url: Arc::clone(&called.url),
            tls_url: called.tls_url.clone(),
            pathway: Arc::clone(&called.pathway),
            reach: self.reach,
            heard_ms: self.heard_ms,
            draining: self.drained || heartbeat.state == NodeState::Draining && !self.echoes(),
            gone: self.gone || now_ms.saturating_sub(self.heard_ms) > LEFT_MS,
            ejected: false,
            reported: reported / factor,
            capacity_bps: (capacity_bps as f64 * factor) as u64,
            session_load: session_load / factor,
            gain: self.gain.value(),
            share: policy.share(&heartbeat.id, &heartbeat.site),
            returned_ms: self.returned_ms,
            assigned: Arc::clone(&self.assigned),
        }
    }
}
