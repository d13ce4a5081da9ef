//! What is counted elsewhere in an origin, and shown to operators.

use std::sync::Arc;

use kromka_cache::{DiskStats, Tier};
use kromka_control::AgentHandle;
use kromka_live::Live;
use kromka_net::Traffic;
use kromka_telemetry::Registry;

use crate::source::Sources;

/// Makes the registry look at it, at each scrape.
pub(crate) fn watch(
    registry: &Registry,
    (tier, live): (Arc<Tier<Sources>>, Arc<Live>),
    traffic: Traffic,
    agent: AgentHandle,
) {
    let (failures, help) =
        (traffic.clone(), "Connections ended by a failed TLS handshake or a stalled client.");
    registry.mirror_by("kromka_connections_failed_total", help, "reason", move || failures.failed());
    for (name, help, value) in DiskStats::METRICS {
        let tier = tier.clone();
        let read = move || tier.stats().disks.iter().map(value).collect();
        registry.mirror_numbered(name, help, "disk", read);
    }
    registry.mirror(move || {
        let mut all = tier.stats().metrics().to_vec();
        all.extend(live.metrics());
        all.extend(traffic.metrics());
        let lag = agent.feed_head().saturating_sub(agent.feed_seq());
        all.push(("kromka_feed_lag", "How far behind the feed's newest entry this node is.", lag));
        all
    });
}
