//! The roster: every node, as its heartbeats show it.
//!
//! Heartbeats come in, an immutable [`Snapshot`] of the edges goes out: it is replaced with every tick, at once when
//! something happened that matters, and with other heartbeats as often as is cheap; it is read without a lock.
//! Silence needs no timer: how old a report is gets judged against `now` by whoever asks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use kromka_config::{RoutingConfig, SiteConfig};
use kromka_control::{Errors, Heartbeat, NodeRole, NodeState};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    drain::Drain,
    geo::Geo,
    policy::Policy,
    rank::{
        Assigned, Called, Candidate, Capacity, Cell, Distances, Gain, Learner, Parts, Position, Reach,
        Settings, SiteSettings, Snapshot, outlier::Outliers, score::Prices,
    },
    store::nodes::{Decided, StoredNode},
};

mod called;
mod judging;
mod orders;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use judging::{Hearing, ToCheck};

/// Nodes that may be known at once.
const NODES_MAX: usize = 4_096;

/// Past this silence, in milliseconds, a node no longer counts as part of the fleet: one hour.
const LEFT_MS: u64 = 3_600_000;

/// Past this silence, in milliseconds, it is let go: one day.
const FORGOTTEN_MS: u64 = 24 * LEFT_MS;

/// Where this process's clock begins, in milliseconds: late enough that silences from before can be expressed.
const CLOCK_BEGINS_MS: u64 = 1 << 40;

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
    /// For how long an answer may lead to an edge, in milliseconds.
    answers_ms: u64,
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
    /// When it is judged to have been heard last: earlier than it was, where its connection has ended since.
    judged_ms: u64,
    /// Heard by this process, not only read from the store.
    heard_here: bool,
    /// How far its log of distances has been read, in the numbers of its `boot`.
    rtt_read: u64,
    /// How much it had answered at its last heartbeat.
    errors_read: Errors,
    gone: bool,
    drained: bool,
    /// Of what operators decided, as the store counts; 0 until that is known.
    revision: u64,
    /// What an operator decided last, by this process, and the node's start then: by which entry of the feed it learns
    /// of that.
    decided: Option<(String, Decided)>,
    /// Since when it drains, if it does.
    drain: Option<Drain>,
    /// When it came back, see [`Candidate::returned_ms`].
    returned_ms: Option<u64>,
    assigned: Arc<Assigned>,
    called: Arc<Called>,
    reach: Reach,
    gain: Gain,
    capacity: Capacity,
}

impl Roster {
    /// An empty roster. Edges seen to fail are held back for `hold` at first; what viewers were answered may lead to an edge
    /// for as long as `answers`.
    pub(crate) fn new(
        routing: &RoutingConfig,
        sites: &[SiteConfig],
        hold: Duration,
        answers: Duration,
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
            answers_ms: answers.as_millis() as u64,
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
                judged_ms: CLOCK_BEGINS_MS - known_ms,
                heard_here: false,
                rtt_read: 0,
                errors_read: node.heartbeat.errors,
                gone: node.gone,
                drained: node.drained,
                revision: node.revision,
                decided: None,
                drain: None,
                returned_ms: None,
                assigned: Arc::default(),
                called: called::called(&node.heartbeat),
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
        // What is only of the moment is read now and not kept: of a large fleet it would be most of the roster.
        let lasting = Heartbeat { jobs: Vec::new(), rtt: Vec::new(), ..heartbeat.clone() };
        let mut guard = self.nodes.lock();
        let nodes = &mut *guard;
        let known = nodes.entries.len();
        // Whether it may be sent viewers is otherwise than before: what is answered here must hold from now on.
        let mut turned = false;
        let heard = match nodes.entries.get_mut(&heartbeat.id) {
            Some(entry) => {
                let before = &entry.heartbeat;
                if entry.heard_here && entry.is_late(heartbeat, now_ms, self.settings.down_after_ms) {
                    return Ok(Heard { notable: false, newer: false });
                }
                let moved = (&before.url, &before.tls_url, &before.site, before.role)
                    != (&heartbeat.url, &heartbeat.tls_url, &heartbeat.site, heartbeat.role);
                let said = |heartbeat: &Heartbeat| (heartbeat.state, heartbeat.unready, heartbeat.known);
                turned = said(before) != said(heartbeat);
                let notable = moved || entry.gone != heartbeat.goodbye || !entry.heard_here;
                let elapsed_ms = now_ms.saturating_sub(entry.heard_ms);
                let sent = entry.assigned.reported(elapsed_ms, self.settings.settle_ms);
                entry.gain.learn(heartbeat.sessions_started, sent, elapsed_ms);
                let judged_silent_ms = now_ms.saturating_sub(entry.judged_ms);
                let was_away = entry.gone || judged_silent_ms > self.settings.down_after_ms;
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
                entry.heartbeat = lasting;
                if moved {
                    entry.called = called::called(heartbeat);
                }
                entry.reach = called::reach(heartbeat);
                entry.heard_ms = now_ms;
                entry.judged_ms = now_ms;
                entry.heard_here = true;
                entry.gone = heartbeat.goodbye;
                let (requests, failures) = entry.news(restarted, first);
                nodes.outliers.report(&heartbeat.id, requests, failures, now_ms);
                Heard { notable, newer: true }
            }
            None if known >= NODES_MAX => return Err(Refused::Full),
            None => {
                let entry = Entry {
                    heartbeat: lasting,
                    heard_ms: now_ms,
                    judged_ms: now_ms,
                    heard_here: true,
                    rtt_read: 0,
                    errors_read: heartbeat.errors,
                    gone: heartbeat.goodbye,
                    drained: false,
                    revision: 0,
                    decided: None,
                    drain: None,
                    // Among others that are at work it is the one that is cold; together they all are.
                    returned_ms: Some(now_ms)
                        .filter(|now| *now > CLOCK_BEGINS_MS + self.settings.slow_start_ms),
                    assigned: Arc::default(),
                    called: called::called(heartbeat),
                    reach: called::reach(heartbeat),
                    gain: Gain::new(SELECTORS_MAX),
                    capacity: Capacity::default(),
                };
                nodes.entries.insert(heartbeat.id.clone(), entry);
                Heard { notable: true, newer: true }
            }
        };
        let news = nodes.entries.get_mut(&heartbeat.id).map_or(&[][..], |entry| entry.unread(heartbeat));
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
        if heard.notable || turned || nodes.may_publish(now_ms) {
            self.publish(nodes);
        }
        drop(guard);
        self.receipts.send_modify(|version| *version += 1);
        Ok(heard)
    }

    /// The connection that a node reported over has ended: it is judged as if it had been silent for a while, until it
    /// is heard.
    pub(crate) fn doubt(&self, id: &str) {
        let now_ms = self.now_ms();
        let silent_since = now_ms.saturating_sub(self.settings.suspect_after_ms + 1);
        let mut nodes = self.nodes.lock();
        let Some(entry) = nodes.entries.get_mut(id) else { return };
        entry.judged_ms = entry.judged_ms.min(silent_since);
        // A network that breaks ends the connections of a whole fleet: not a snapshot for each.
        if nodes.may_publish(now_ms) {
            self.publish(&mut nodes);
        }
    }

    /// Replaces the snapshot and lets go of nodes that have been silent for a day. What an operator decided of them stands
    /// in the store, and is taken up when they are heard.
    pub(crate) fn tick(&self) {
        let now_ms = self.now_ms();
        let mut nodes = self.nodes.lock();
        nodes.entries.retain(|_, entry| now_ms.saturating_sub(entry.heard_ms) < FORGOTTEN_MS);
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
    /// Whether the last snapshot was long enough ago for one more where nothing notable happened.
    fn may_publish(&self, now_ms: u64) -> bool {
        now_ms >= self.published_ms + self.entries.len() as u64 / EDGES_PER_MS
    }

    fn state(&self, settings: &Settings, entry: &Entry, now_ms: u64) -> NodeState {
        entry.candidate(&self.policy, now_ms).standing(settings, now_ms)
    }

    /// Notes when a node begins to drain and with how many sessions, whoever wants it to. One that is silent for a moment
    /// meanwhile does not begin anew.
    fn note_drains(&mut self, settings: &Settings, now_ms: u64) {
        for entry in self.entries.values_mut() {
            let (sessions, confirms) = (entry.heartbeat.load.sessions, entry.confirms());
            match entry.candidate(&self.policy, now_ms).standing(settings, now_ms) {
                NodeState::Draining => {
                    let drain = entry.drain.get_or_insert_with(|| Drain::begin(sessions, now_ms));
                    if confirms {
                        drain.confirm(now_ms);
                    }
                }
                NodeState::Down => {}
                NodeState::Up | NodeState::Suspect => entry.drain = None,
            }
        }
    }
}

impl Entry {
    fn candidate(&self, policy: &Policy, now_ms: u64) -> Candidate {
        let heartbeat = &self.heartbeat;
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
            called: Arc::clone(&self.called),
            reach: self.reach,
            heard_ms: self.judged_ms,
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
