//! The fleet as operators see and steer it.
//!
//! `GET /v1/nodes` answers a [`NodeList`]; `POST /v1/nodes/{id}:drain` and `POST /v1/nodes/{id}:resume` answer
//! 200 with the [`NodeInfo`] as it then is.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::load::Load;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Serves viewers.
    Edge,
    /// Serves edges: the shield in front of the source.
    Origin,
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NodeRole::Edge => "edge",
            NodeRole::Origin => "origin",
        })
    }
}

/// How a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Takes new sessions.
    #[default]
    Up,
    /// Finishes what it has, takes nothing new.
    Draining,
    /// Heartbeats are late: no new sessions unless nothing else is left. Concluded by the selector.
    Suspect,
    /// Heartbeats have stopped, or it said goodbye. Concluded by the selector.
    Down,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NodeState::Up => "up",
            NodeState::Draining => "draining",
            NodeState::Suspect => "suspect",
            NodeState::Down => "down",
        })
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// Its name.
    pub id: String,
    /// What it is.
    pub role: NodeRole,
    /// The site it stands in.
    pub site: String,
    /// How it is, as the selector sees it.
    pub state: NodeState,
    /// Where those whom it serves reach it.
    pub url: String,
    /// The same over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_url: Option<String>,
    /// The last load it reported.
    #[serde(default)]
    pub load: Load,
    /// The last feed entry it has applied.
    pub feed_seq: u64,
    /// The kromka version it runs.
    pub version: String,
    /// Why it gets no new viewers although it is heard: it was seen to fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected: Option<String>,
    /// How old the last heartbeat is, milliseconds; absent when none came since the selector started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_age_ms: Option<u64>,
    /// How far its drain is, while it drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<NodeDrain>,
}

/// How far a drain is. Players are steered away first, so the count falls by itself; whoever is left at the end has
/// a player that knows no steering, and goes on until the node is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeDrain {
    /// When it began.
    pub since: DateTime<Utc>,
    /// Sessions that were playing there then.
    pub sessions_then: u64,
    /// Sessions that are playing there now.
    pub sessions_left: u64,
    /// The node says itself that it drains, and that every selector that it reaches knows: none of them sends anybody
    /// there. Otherwise it has not read so far, or follows the feed of a selector that has another store, or only a
    /// maintenance window here takes it out; then another selector may still send viewers there.
    #[serde(default)]
    pub confirmed: bool,
    /// It is confirmed where an operator decided it, at most one in a hundred is left, no answer of DNS or of `GET /v1/select` that led there before the drain may
    /// still be used, and who came by the last of them has been counted: it may be stopped. A session that was handed
    /// out before and is not started yet still names the node, until its `start_expires_at`.
    pub done: bool,
}

/// A page of nodes, ordered by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// The nodes.
    pub items: Vec<NodeInfo>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
