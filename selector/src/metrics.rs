//! What the selector counts.

use std::collections::BTreeSet;

use kromka_telemetry::{Counter, CounterVec, Gauge, GaugeVec, Histogram, LATENCY_BUCKETS, Registry};
use parking_lot::Mutex;

use crate::{
    geo::{Geo, Health},
    rank::{Verdict, outlier::Check},
    roster::Roster,
};

/// Buckets of the decision time in seconds: it takes microseconds.
const DECISION_BUCKETS: [f64; 10] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 1e-2];

/// Where an answer is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Surface {
    /// `/route/…`.
    Redirect,
    /// `/v1/select`.
    Select,
    /// `/steer/…`.
    Steer,
    /// `/v1/playback-sessions` and `/v1/sign`.
    Session,
    /// DNS.
    Dns,
}

impl Surface {
    const ALL: [Surface; 5] =
        [Surface::Redirect, Surface::Select, Surface::Steer, Surface::Session, Surface::Dns];

    fn as_str(self) -> &'static str {
        match self {
            Surface::Redirect => "redirect",
            Surface::Select => "select",
            Surface::Steer => "steer",
            Surface::Session => "session",
            Surface::Dns => "dns",
        }
    }
}

/// A counter for each way a decision can end, by surface: looked up once, since a decision takes less than that.
type Decisions = [[Counter; Verdict::ALL.len()]; Surface::ALL.len()];

/// Classes of answers.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one selector.
pub(crate) struct Metrics {
    decisions: Decisions,
    decision_seconds: Histogram,
    sessions: Counter,
    signed: Counter,
    heartbeats: Counter,
    requests: [Counter; 5],
    nodes: GaugeVec,
    feed_head: Gauge,
    feed_lag: GaugeVec,
    /// The nodes that it is shown of.
    lagging: Mutex<BTreeSet<String>>,
    operations_open: Gauge,
    distrusted: Gauge,
    ejections: CounterVec,
    ejected: Gauge,
    checks: CounterVec,
    check_seconds: Histogram,
    beacons: CounterVec,
    beacon_entries: CounterVec,
    geo_built: GaugeVec,
    geo_fault: GaugeVec,
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(registry: &Registry) -> Metrics {
        let decisions = registry.counter_vec(
            "kromka_route_decisions_total",
            "Routing decisions.",
            &["surface", "reason"],
        );
        let of = |surface: Surface| Verdict::ALL.map(|v| decisions.with(&[surface.as_str(), v.as_str()]));
        let requests = registry.counter_vec(
            "kromka_api_requests_total",
            "Requests by the class of their answer.",
            &["status_class"],
        );
        Metrics {
            decisions: Surface::ALL.map(of),
            decision_seconds: registry.histogram(
                "kromka_route_decision_seconds",
                "Time one ranking takes.",
                &DECISION_BUCKETS,
            ),
            sessions: registry.counter("kromka_sessions_created_total", "Playback sessions handed out."),
            signed: registry.counter("kromka_signed_urls_total", "URLs signed without a session."),
            heartbeats: registry.counter("kromka_heartbeats_total", "Heartbeats taken from nodes."),
            requests: CLASSES.map(|class| requests.with(&[class])),
            nodes: registry.gauge_vec("kromka_nodes", "Nodes by role and state.", &["role", "state"]),
            feed_head: registry.gauge("kromka_feed_head", "Number of the newest feed entry."),
            feed_lag: registry.gauge_vec(
                "kromka_feed_lag",
                "Feed entries a live node has not applied.",
                &["node"],
            ),
            lagging: Mutex::default(),
            operations_open: registry.gauge("kromka_operations_open", "Operations that wait for a node."),
            distrusted: registry.gauge(
                "kromka_roster_distrusted",
                "1 while more than half of the edges look dead and silence is not believed.",
            ),
            ejections: registry.counter_vec(
                "kromka_edge_ejections_total",
                "Edges held back because they were seen to fail, by what showed it.",
                &["reason"],
            ),
            ejected: registry.gauge("kromka_edges_ejected", "Edges held back now."),
            checks: registry.counter_vec("kromka_checks_total", "Checks of edges.", &["outcome"]),
            check_seconds: registry.histogram(
                "kromka_check_seconds",
                "From the beginning of a check, its name and connection included, to the last byte of its object.",
                &LATENCY_BUCKETS,
            ),
            beacons: registry.counter_vec("kromka_beacons_total", "Beacons of players.", &["outcome"]),
            beacon_entries: registry.counter_vec(
                "kromka_beacon_entries_total",
                "Samples and errors in beacons that were taken; `ignored` past a bound.",
                &["outcome"],
            ),
            geo_built: registry.gauge_vec(
                "kromka_geo_built_timestamp_seconds",
                "When the database in use was built; 0 without one.",
                &["database"],
            ),
            geo_fault: registry.gauge_vec(
                "kromka_geo_fault",
                "1 while the database's file cannot be read.",
                &["database"],
            ),
        }
    }

    /// One decision.
    pub(crate) fn decided(&self, surface: Surface, verdict: Verdict, seconds: f64) {
        let of_surface = self.decisions.get(surface as usize);
        if let Some(counter) = of_surface.and_then(|counters| counters.get(verdict as usize)) {
            counter.inc();
        }
        self.decision_seconds.observe(seconds);
    }

    /// Sessions handed out.
    pub(crate) fn sessions(&self, count: u64) {
        self.sessions.inc_by(count);
    }

    /// One URL signed.
    pub(crate) fn signed(&self) {
        self.signed.inc();
    }

    /// One heartbeat.
    pub(crate) fn heartbeat(&self) {
        self.heartbeats.inc();
    }

    /// Edges were held back, a word for each.
    pub(crate) fn ejected(&self, reasons: &[&'static str]) {
        reasons.iter().for_each(|reason| self.ejections.with(&[reason]).inc());
    }

    /// A check has ended.
    pub(crate) fn checked(&self, check: Check, took: std::time::Duration) {
        let outcome = match check {
            Check::Passed(_) => "passed",
            Check::Refused(_) => "refused",
            Check::Lost => "lost",
        };
        self.checks.with(&[outcome]).inc();
        if !check.failed() {
            self.check_seconds.observe(took.as_secs_f64());
        }
    }

    /// A beacon has come.
    pub(crate) fn beacon(&self, outcome: &'static str) {
        self.beacons.with(&[outcome]).inc();
    }

    /// What of it counts.
    pub(crate) fn beacon_entries(&self, counted: u64, ignored: u64) {
        self.beacon_entries.with(&["counted"]).inc_by(counted);
        self.beacon_entries.with(&["ignored"]).inc_by(ignored);
    }

    /// How the databases are that say where clients are.
    pub(crate) fn located(&self, geo: &Geo) {
        for Health { kind, built, fault } in geo.health() {
            self.geo_built.with(&[kind]).set(built as f64);
            self.geo_fault.with(&[kind]).set(f64::from(u8::from(fault.is_some())));
        }
    }

    /// One answer.
    pub(crate) fn answered(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.requests[class].inc();
    }

    /// Reads what is better read than counted.
    pub(crate) fn observe(&self, roster: &Roster, feed_head: u64, operations_open: usize) {
        for ((role, state), count) in roster.census() {
            self.nodes.with(&[role, state]).set(count as f64);
        }
        let mut live = BTreeSet::new();
        for (node, feed_seq) in roster.receipts() {
            self.feed_lag.with(&[&node]).set(feed_head.saturating_sub(feed_seq) as f64);
            live.insert(node);
        }
        // Who is down lags behind for ever, and who is gone would be shown for ever.
        let mut lagging = self.lagging.lock();
        lagging.difference(&live).for_each(|gone| self.feed_lag.forget(&[gone]));
        *lagging = live;
        self.feed_head.set(feed_head as f64);
        self.operations_open.set(operations_open as f64);
        self.ejected.set(roster.ejected() as f64);
        let distrusted = roster.snapshot().distrusted(roster.now_ms());
        self.distrusted.set(f64::from(u8::from(distrusted)));
    }
}
