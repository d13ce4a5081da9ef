//! The roster as others see it: operators, operations, metrics, the nodes themselves.

use std::collections::{BTreeMap, BTreeSet};

use kromka_control::{Heartbeat, NodeInfo, NodeRole, NodeState};

use super::{CLOCK_BEGINS_MS, Entry, Nodes, PATIENCE_MS, Roster};
use crate::store::nodes::Decided;

/// Most edges that an edge is told of in its site.
const BESIDE: usize = 64;

impl Roster {
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

    /// Of these names of nodes and of sites, the first places of such as no node has.
    pub(crate) fn unknown(&self, ids: &[String], sites: &[String]) -> (Option<usize>, Option<usize>) {
        let nodes = self.nodes.lock();
        let id = ids.iter().position(|id| !nodes.entries.contains_key(id));
        let known: BTreeSet<&str> = match sites {
            [] => BTreeSet::new(),
            _ => nodes.entries.values().map(|entry| &*entry.heartbeat.site).collect(),
        };
        (id, sites.iter().position(|site| !known.contains(site.as_str())))
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

    /// Whether a node that is heard will soon tell that it has applied a decision, and has not yet.
    pub(crate) fn awaits(&self, id: &str, decided: &Decided) -> bool {
        let now_ms = self.now_ms();
        let nodes = self.nodes.lock();
        nodes.entries.get(id).is_some_and(|entry| {
            let silent_ms = now_ms.saturating_sub(entry.judged_ms);
            let heard = entry.heard_here && !entry.gone && silent_ms <= self.settings.suspect_after_ms;
            heard && entry.will_read(decided)
        })
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
        let state = nodes.state(&self.settings, entry, now_ms);
        let draining = entry.drain.filter(|_| state == NodeState::Draining);
        NodeInfo {
            id: heartbeat.id.clone(),
            role: heartbeat.role,
            site: heartbeat.site.clone(),
            state,
            url: heartbeat.url.clone(),
            tls_url: heartbeat.tls_url.clone(),
            load: heartbeat.load.clone(),
            feed_seq: heartbeat.feed_seq,
            version: heartbeat.version.clone(),
            ejected: nodes.outliers.held(&heartbeat.id).map(|held| held.why.to_string()),
            heartbeat_age_ms: entry.heard_here.then(|| now_ms.saturating_sub(entry.heard_ms)),
            drain: draining
                .map(|begun| begun.at(now_ms, heartbeat.load.sessions, self.answers_ms, entry.drained)),
        }
    }
}
