//! The roster's judgement: what checks, players and edges themselves tell becomes edges that are held back for a
//! while, or a selector that says of itself that it hears too little.

use std::{collections::HashMap, sync::Arc};

use kromka_control::{CellRtt, Heartbeat, NodeRole, NodeState};

use super::{Entry, LEFT_MS, Nodes, Roster};
use crate::{
    beacons::{Median, Told},
    checks::Ended,
    rank::{
        Cell,
        outlier::{Change, Held, Member},
    },
    store::nodes::Decided,
};

/// An edge that is to be checked.
#[derive(Clone, Debug)]
pub(crate) struct ToCheck {
    /// Its name.
    pub(crate) id: Arc<str>,
    /// Where viewers reach it, without a trailing slash.
    pub(crate) url: Arc<str>,
    /// Its last check failed or was slow.
    pub(crate) suspicious: bool,
    /// Milliseconds that a check of it takes at best, where one has passed.
    pub(crate) usual_ms: Option<f64>,
}

/// How much of the fleet is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hearing {
    /// Edges that are heard.
    pub(crate) heard: usize,
    /// Edges that are known and have not said goodbye.
    pub(crate) known: usize,
}

impl Hearing {
    /// Whether so little is heard that the fault is more likely here.
    pub(crate) fn isolated(self) -> bool {
        self.known >= 3 && self.heard * 2 < self.known
    }

    /// Whether viewers are better sent to another selector, where there is one.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(crate) fn ready(self) -> Result<(), String> {
        match self.isolated() {
            true => Err(format!(
                "hears {} of {} edges: routes by their last state; see whether heartbeats reach this selector",
                self.heard, self.known
            )),
            false => Ok(()),
        }
    }
}

impl Roster {
    /// The edges that are worth a check: all that are heard, those that drain or are held back too.
    pub(crate) fn to_check(&self) -> Vec<ToCheck> {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let heard = nodes.entries.values().filter(|entry| {
            entry.heartbeat.role == NodeRole::Edge && self.hears(entry, now_ms) && !entry.gone
        });
        heard
            .map(|entry| ToCheck {
                id: Arc::clone(&entry.called.id),
                url: Arc::clone(&entry.called.url),
                suspicious: nodes.outliers.suspicious(&entry.heartbeat.id, now_ms),
                usual_ms: nodes.outliers.usual_ms(&entry.heartbeat.id),
            })
            .collect()
    }

    /// Checks have ended.
    pub(crate) fn checked(&self, ended: &[Ended]) {
        let now_ms = self.now_ms();
        let mut nodes = self.nodes.lock();
        let mut suspicious = false;
        for Ended { edge, check, began } in ended {
            let began_ms = now_ms.saturating_sub(began.elapsed().as_millis() as u64);
            suspicious |= nodes.outliers.check(edge, *check, began_ms, now_ms);
        }
        if suspicious {
            self.judge(&mut nodes, now_ms);
        }
    }

    /// Players of a network have told of edges.
    pub(crate) fn told(&self, cell: Cell, told: Vec<Told>) {
        let now_ms = self.now_ms();
        let mut nodes = self.nodes.lock();
        for Told { edge, seen } in told {
            nodes.outliers.client(&edge, cell, seen, now_ms);
        }
    }

    /// What players measured of the way to sites.
    pub(crate) fn measured(&self, medians: Vec<Median>) {
        let now_ms = self.now_ms();
        for Median { cell, site, count, ms } in medians {
            let place = self.geo.of_network(cell.net());
            self.nodes.lock().learner.learn(cell, &place, &site, count, ms, now_ms);
        }
    }

    /// The sites of those of these names that are edges.
    pub(crate) fn sites_of<'e>(&self, edges: impl Iterator<Item = &'e str>) -> HashMap<&'e str, Arc<str>> {
        let nodes = self.nodes.lock();
        let site = |edge: &'e str| {
            let entry = nodes.entries.get(edge).filter(|entry| entry.heartbeat.role == NodeRole::Edge)?;
            Some((edge, Arc::clone(&entry.called.site)))
        };
        edges.filter_map(site).collect()
    }

    /// Edges held back.
    pub(crate) fn ejected(&self) -> usize {
        self.nodes.lock().outliers.count()
    }

    /// How much of the fleet is heard.
    pub(crate) fn hearing(&self) -> Hearing {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        let left = |entry: &Entry| entry.gone || now_ms.saturating_sub(entry.heard_ms) > LEFT_MS;
        let edges =
            nodes.entries.values().filter(|entry| entry.heartbeat.role == NodeRole::Edge && !left(entry));
        let (mut heard, mut known) = (0, 0);
        for entry in edges {
            known += 1;
            heard += usize::from(self.hears(entry, now_ms));
        }
        Hearing { heard, known }
    }

    fn hears(&self, entry: &Entry, now_ms: u64) -> bool {
        now_ms.saturating_sub(entry.judged_ms) <= self.settings.down_after_ms
    }

    /// Judges the fleet; what changes is said in the log, and kept for [`changes`](Self::changes).
    pub(super) fn judge(&self, nodes: &mut Nodes, now_ms: u64) {
        let edges = nodes.entries.values().filter(|entry| entry.heartbeat.role == NodeRole::Edge);
        let fleet: Vec<Member> = edges
            .map(|entry| {
                let edge = entry.candidate(&nodes.policy, now_ms);
                Member {
                    capacity: edge.capacity_bps as f64,
                    reported: edge.reported,
                    live: edge.standing(&self.settings, now_ms) == NodeState::Up,
                    id: Arc::clone(&edge.called.id),
                }
            })
            .collect();
        let changes = nodes.outliers.judge(&fleet, now_ms);
        for change in &changes {
            match change {
                Change::Ejected(id, Held { why, since_ms, until_ms, times }) => {
                    let seconds = (until_ms - since_ms) / 1000;
                    tracing::warn!(edge = %id, %why, seconds, times, "an edge gets no new viewers for a while");
                }
                Change::Returned(id) => {
                    tracing::info!(edge = %id, "an edge gets new viewers again, few at first");
                    if let Some(entry) = nodes.entries.get_mut(&**id) {
                        entry.returned_ms = Some(now_ms);
                    }
                }
            }
        }
        if !changes.is_empty() {
            nodes.changes.extend(changes.iter().filter_map(|change| match change {
                Change::Ejected(_, held) => Some(held.why.as_str()),
                Change::Returned(_) => None,
            }));
            self.publish(nodes);
        }
    }

    /// Why edges were held back since the last call, a word for each time.
    pub(crate) fn changes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.nodes.lock().changes)
    }
}

impl Entry {
    /// Whether its heartbeats still tell of a drain that an operator has ended since: it has not read that yet. One that
    /// is not ready for a reason of its own, has started again or follows another selector's feed means what it says.
    pub(super) fn echoes(&self) -> bool {
        let heartbeat = &self.heartbeat;
        let unread = |(boot, decided): &(String, Decided)| heartbeat.boot == *boot && self.will_read(decided);
        !self.drained && !heartbeat.unready && self.decided.as_ref().is_some_and(unread)
    }

    /// Whether it follows the feed that tells of a decision and has not come so far.
    pub(super) fn will_read(&self, decided: &Decided) -> bool {
        self.heartbeat.feed_id == decided.feed_id && self.heartbeat.feed_seq < decided.feed_seq
    }

    /// Whether it says itself that it drains for an operator, and that all selectors that it reaches know.
    pub(super) fn confirms(&self) -> bool {
        let Heartbeat { state, unready, known, .. } = &self.heartbeat;
        let read = !self.decided.as_ref().is_some_and(|(_, decided)| self.will_read(decided));
        read && *state == NodeState::Draining && *known && !unready
    }

    /// Whether a heartbeat is older than the last one: by its number, or of a process before the one that is heard
    /// now. Boots are named by the time they began (UUIDv7); where a clock was set back between two of them, the newer
    /// one is believed as soon as the older is silent.
    pub(super) fn is_late(&self, heartbeat: &Heartbeat, now_ms: u64, down_after_ms: u64) -> bool {
        let before = &self.heartbeat;
        match before.boot == heartbeat.boot {
            true => heartbeat.seq <= before.seq,
            false => heartbeat.boot < before.boot && now_ms.saturating_sub(self.judged_ms) <= down_after_ms,
        }
    }

    /// What a heartbeat of the process that is heard tells of distances and no earlier one has told.
    pub(super) fn unread<'h>(&mut self, heartbeat: &'h Heartbeat) -> &'h [CellRtt] {
        let Heartbeat { rtt, rtt_first, .. } = heartbeat;
        let told = usize::try_from(self.rtt_read.saturating_sub(*rtt_first)).unwrap_or(usize::MAX);
        self.rtt_read = self.rtt_read.max(rtt_first.saturating_add(rtt.len() as u64));
        rtt.get(told..).unwrap_or_default()
    }

    /// What its last heartbeat tells of requests and failures and no earlier one has told.
    pub(super) fn news(&mut self, restarted: bool, first: bool) -> (u64, u64) {
        let now = self.heartbeat.errors;
        // What it answered before this selector listened is no news.
        let before = match (first, restarted) {
            (true, _) => now,
            (false, true) => Default::default(),
            (false, false) => self.errors_read,
        };
        self.errors_read = now;
        (now.requests.saturating_sub(before.requests), now.failures.saturating_sub(before.failures))
    }
}
