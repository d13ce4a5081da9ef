//! What an edge counts besides requests, and what is counted elsewhere and shown with it.

use std::sync::Arc;

use kromka_cache::{DiskStats, Tier};
use kromka_config::EdgeConfig;
use kromka_control::AgentHandle;
use kromka_live::Live;
use kromka_net::Traffic;
use kromka_telemetry::{Counter, Registry, RequestMeters};

use crate::keys::Keys;
use crate::shield::Shields;
use crate::siblings::Siblings;

/// The numbers of an edge.
pub(crate) struct Meters {
    /// In the order of the configuration.
    pub(crate) requests: RequestMeters,
    /// Playbacks begun since the start.
    pub(crate) sessions: Counter,
}

impl Meters {
    pub(crate) fn new(registry: &Registry, config: &EdgeConfig) -> Meters {
        let services = config.service.iter().map(|service| service.id.as_str());
        Meters {
            requests: RequestMeters::new(registry, "viewers", services),
            sessions: registry.counter("kromka_sessions_started_total", "Playbacks begun."),
        }
    }
}

/// Makes the registry look at what is counted elsewhere, at each scrape.
pub(crate) fn watch(
    registry: &Registry,
    (tier, live, siblings, keys): (Arc<Tier<Shields>>, Arc<Live>, Arc<Siblings>, Arc<Keys>),
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
        all.extend(siblings.metrics());
        all.extend(traffic.metrics());
        let lag = agent.feed_head().saturating_sub(agent.feed_seq());
        all.push(("kromka_feed_lag", "How far behind the feed's newest entry this node is.", lag));
        all.push(("kromka_sessions", "Sessions whose token is remembered.", keys.sessions() as u64));
        all
    });
}
