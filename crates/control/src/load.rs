//! How busy a node is and how its cache does, as heartbeats say it and lists of nodes show it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How busy a node is. Used and limit stand side by side, so that the selector needs no config of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Load {
    /// Bits per second sent, recent mean.
    pub egress_bps: u64,
    /// Bits per second that the node may send; 0 = unlimited.
    pub egress_limit_bps: u64,
    /// Open viewer connections.
    pub connections: u64,
    /// Most connections it accepts; 0 = unlimited.
    pub connections_limit: u64,
    /// Requests being answered now.
    pub inflight: u64,
    /// Most requests it is meant to answer at once; 0 = unlimited.
    pub inflight_limit: u64,
    /// Sessions playing: their token was shown within the last minute. 0 where services are public.
    pub sessions: u64,
    /// Share of all CPUs in use, 0..1.
    pub cpu: f64,
    /// How busy the busiest disk of its cache is, 0..1; 0 without one, or where the system does not tell.
    pub disk_busy: f64,
    /// Bytes the disk tier holds.
    pub disk_used: u64,
    /// Bytes the disk tier may hold.
    pub disk_limit: u64,
    /// Median time to the first byte of cached objects, recent, milliseconds; 0 while unknown.
    pub ttfb_ms: f64,
    /// What only one in a hundred of them exceeds.
    pub ttfb_p99_ms: f64,
    /// The least that `ttfb_ms` has been lately: the service time without a queue. 0 while unknown.
    pub ttfb_idle_ms: f64,
    /// Share of sent TCP segments that had to be repeated, recent, 0..1.
    pub retransmit_ratio: f64,
}

impl Load {
    /// The tightest resource as used/limit, of egress, connections, requests in progress, CPU and disk time: 0 idle,
    /// 1 full, more when overloaded.
    ///
    /// Disk fill does not count: a cache's disk is always full.
    pub fn utilisation(&self) -> f64 {
        let share = |used: u64, limit: u64| if limit == 0 { 0.0 } else { used as f64 / limit as f64 };
        let busy = |ratio: f64| finite(ratio).max(0.0);
        share(self.egress_bps, self.egress_limit_bps)
            .max(share(self.connections, self.connections_limit))
            .max(share(self.inflight, self.inflight_limit))
            .max(busy(self.cpu))
            .max(busy(self.disk_busy))
    }

    /// With 0 for what is no number: JSON has no NaN, and one would cost the whole heartbeat.
    pub(crate) fn finite(self) -> Self {
        Self {
            cpu: finite(self.cpu),
            disk_busy: finite(self.disk_busy),
            ttfb_ms: finite(self.ttfb_ms),
            ttfb_p99_ms: finite(self.ttfb_p99_ms),
            ttfb_idle_ms: finite(self.ttfb_idle_ms),
            retransmit_ratio: finite(self.retransmit_ratio),
            ..self
        }
    }
}

/// How a node's cache does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CacheLoad {
    /// Share of requests answered without the source, recent, 0..1.
    pub hit_ratio: f64,
    /// Bits per second fetched from the source, recent.
    pub fill_bps: u64,
    /// Objects held.
    pub objects: u64,
}

impl CacheLoad {
    /// With 0 for what is no number, as [`Load`].
    pub(crate) fn finite(self) -> Self {
        Self { hit_ratio: finite(self.hit_ratio), ..self }
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
