//! What a node tells every selector, each half second: `POST /v1/nodes/{id}/heartbeat`.
//!
//! Nothing is polled: load, receipts (`feed_seq`) and job progress all ride here. Authorized by the token that
//! nodes and selectors share.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::load::{CacheLoad, Load};
use crate::nodes::{NodeRole, NodeState};
use crate::operations::{OperationState, Progress};

/// One heartbeat. Unknown fields are tolerated: nodes and selectors are upgraded at different times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// The node's name, unique in the fleet; the same as in the request's path.
    pub id: String,
    /// The site (failure domain) it stands in.
    pub site: String,
    /// Where those whom it serves reach it: viewers an edge, edges a shield.
    pub url: String,
    /// The same over TLS, if it serves TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_url: Option<String>,
    /// The IPv4 and the IPv6 address viewers reach it at, for DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// What it speaks over TLS, by the names of ALPN (RFC 7301): `h2`, `h3`; empty where it serves no TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<String>,
    /// What it is.
    pub role: NodeRole,
    /// Changes at every start of the process, so that a restart is seen and `seq` may begin anew.
    pub boot: String,
    /// Grows with every heartbeat within a `boot` (with gaps, since all selectors share the count); an older
    /// one that arrives late is to be dropped.
    pub seq: u64,
    /// The node's clock, unix milliseconds. For display and skew detection, never for ordering.
    pub t_ms: u64,
    /// What the node says of itself: `up` or `draining`. `suspect` and `down` are the selector's to conclude.
    pub state: NodeState,
    /// It drains for a reason of its own, not because an operator wants it to: it has not applied what it missed
    /// yet, or is about to stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unready: bool,
    /// Every selector that answers it has heard its `state`, in this heartbeat or an earlier one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
    /// The kromka version it runs.
    pub version: String,
    /// How busy it is.
    pub load: Load,
    /// Sessions begun since the process started; grows only.
    #[serde(default)]
    pub sessions_started: u64,
    /// Mean bytes sent per session, recent; 0 while unknown.
    #[serde(default)]
    pub bytes_per_session: u64,
    /// How its cache does.
    #[serde(default)]
    pub cache: CacheLoad,
    /// The receipt: every feed entry up to this number has been applied.
    pub feed_seq: u64,
    /// Which feed `feed_seq` counts in; empty before the first answer.
    #[serde(default)]
    pub feed_id: String,
    /// Unfinished jobs, and finished ones for ten minutes.
    #[serde(default)]
    pub jobs: Vec<JobProgress>,
    /// Requests answered and failed since the process started.
    #[serde(default)]
    pub errors: Errors,
    /// Distance to clients by prefix: entries out of a log that each selector reads at its own pace. An entry that
    /// a selector has not confirmed comes again.
    #[serde(default)]
    pub rtt: Vec<CellRtt>,
    /// The number of the first of `rtt` in that log, which begins at 0 with each `boot`: what a selector has read
    /// before, it skips.
    #[serde(default)]
    pub rtt_first: u64,
    /// It measures the way to clients that it is told of, by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probes: bool,
    /// The last heartbeat of an orderly stop: the node is down from now on.
    #[serde(default)]
    pub goodbye: bool,
}

/// What the selector answers a heartbeat with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// The newest feed entry's number.
    pub feed_head: u64,
    /// How often the selector wants heartbeats, milliseconds. The node keeps it within 100 ms..60 s.
    pub interval_ms: u64,
    /// Clients that an edge which probes may measure the way to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub probe: Vec<IpAddr>,
    /// For an edge: a few others that a steering document cannot name for its viewers, because more than their
    /// host differs from its own. At most two, from other sites first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerEdge>,
    /// For an edge: where the other edges of its site are that are up, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<String>,
}

/// Another edge, as viewers reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerEdge {
    /// The node's name.
    pub id: String,
    /// Where viewers reach it.
    pub url: String,
    /// The same over TLS, if it serves TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_url: Option<String>,
}

/// What a node answered, since its process started: counters that only grow, so that a lost heartbeat loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Errors {
    /// Requests answered.
    pub requests: u64,
    /// Of these with a status of 5xx, or cut before their end.
    pub failures: u64,
}

/// How one job goes on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// The operation it belongs to.
    pub operation: String,
    /// Where it stands on this node.
    pub state: OperationState,
    /// Objects warmed.
    #[serde(default)]
    pub objects_done: u64,
    /// Objects known so far; grows while playlists are read.
    #[serde(default)]
    pub objects_total: u64,
    /// Bytes of the objects warmed.
    #[serde(default)]
    pub bytes_done: u64,
    /// Bytes known so far: those done plus the sizes that a listing told.
    #[serde(default)]
    pub bytes_total: u64,
    /// Why it failed, naming the first path that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl JobProgress {
    /// The counters alone.
    pub fn progress(&self) -> Progress {
        Progress {
            objects_done: self.objects_done,
            objects_total: self.objects_total,
            bytes_done: self.bytes_done,
            bytes_total: self.bytes_total,
        }
    }
}

/// Distance to the clients of one prefix, as connections showed it within a few seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CellRtt {
    /// The prefix, for example `203.0.113.0/24`.
    pub cell: String,
    /// Samples behind it: one for each connection, and for each ten seconds of a long one.
    pub n: u64,
    /// Least round trip of them all, milliseconds.
    pub min_ms: f64,
    /// Median over the samples of each connection's own least round trip, milliseconds: distance without the queue
    /// that the video itself makes.
    pub p50_ms: f64,
    /// Share of sent segments that had to be repeated, 0..1.
    #[serde(default)]
    pub loss: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilisation_is_the_tightest_resource() {
        let load = Load {
            egress_bps: 500,
            egress_limit_bps: 1000,
            connections: 90,
            connections_limit: 100,
            cpu: 0.3,
            ..Load::default()
        };
        assert_eq!(load.utilisation(), 0.9);
        assert_eq!(Load { disk_busy: 0.95, ..load.clone() }.utilisation(), 0.95);
        assert_eq!(Load { inflight: 30, inflight_limit: 20, ..load.clone() }.utilisation(), 1.5);
        assert_eq!(Load { inflight: 30, ..load }.utilisation(), 0.9, "no limit, no share");
    }

    #[test]
    fn utilisation_ignores_missing_limits_and_broken_cpu() {
        let load = Load { egress_bps: 500, connections: 9, cpu: f64::NAN, ..Load::default() };
        assert_eq!(load.utilisation(), 0.0);
        assert_eq!(load.finite().cpu, 0.0);
        let load = Load { cpu: -1.0, disk_busy: f64::INFINITY, ..Load::default() };
        assert_eq!(load.utilisation(), 0.0);
    }
}
