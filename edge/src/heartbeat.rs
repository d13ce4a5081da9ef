//! The edge as its agent sees it: what it reports, and what the feed may ask of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use kromka_cache::{Key, Purge, Tier};
use kromka_control::{CacheLoad, CellRtt, Errors, Load, Node, NodeState, PeerEdge, PurgeMode, PurgeOrder};
use kromka_net::{Prober, Traffic};
use kromka_telemetry::{DiskTime, Health, RateMeter, Rates, Reading};

use crate::distances::Distances;
use crate::edge::unix;
use crate::keys::Keys;
use crate::metrics::Meters;
use crate::pathways::Pathways;
use crate::shield::Shields;

/// Largest playlist that a warm job reads.
const PLAYLIST_MAX: usize = 4 << 20;

/// What the agent talks to.
pub(crate) struct EdgeNode {
    pub(crate) tier: Arc<Tier<Shields>>,
    pub(crate) shields: Shields,
    pub(crate) keys: Arc<Keys>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) traffic: Traffic,
    pub(crate) rates: RateMeter,
    pub(crate) health: Health,
    pub(crate) distances: Distances,
    /// Where this edge probes.
    pub(crate) prober: Option<Prober>,
    pub(crate) disk_time: DiskTime,
    /// Bits per second this edge may send.
    pub(crate) egress_limit_bps: u64,
    /// Requests it is meant to answer at once; 0 = any number.
    pub(crate) inflight_limit: u64,
    pub(crate) pathways: Arc<Pathways>,
}

impl EdgeNode {
    fn rates(&self) -> Rates {
        let (stats, segments) = (self.tier.stats(), self.distances.segments());
        let reading = Reading {
            sent: self.traffic.sum(|stats| &stats.sent_bytes),
            fetched: stats.source_bytes,
            hits: stats.answered_here(),
            answered: stats.answered(),
            segments: segments.sent,
            repeated: segments.repeated,
        };
        self.rates.rates(Instant::now(), reading)
    }
}

impl Node for EdgeNode {
    fn load(&self) -> Load {
        let now = Instant::now();
        let stats = self.tier.stats();
        let rates = self.rates();
        let times = self.meters.requests.service_time(now);
        Load {
            egress_bps: rates.egress_bps as u64,
            egress_limit_bps: self.egress_limit_bps,
            connections: self.traffic.sum(|stats| &stats.active),
            connections_limit: self.traffic.connections_limit,
            inflight: self.traffic.sum(|stats| &stats.in_flight),
            sessions: self.keys.playing(unix(SystemTime::now())) as u64,
            cpu: rates.cpu,
            disk_used: stats.disk_bytes,
            disk_limit: stats.disk_limit,
            inflight_limit: self.inflight_limit,
            disk_busy: self.disk_time.busy(now),
            ttfb_ms: times.p50_ms,
            ttfb_p99_ms: times.p99_ms,
            ttfb_idle_ms: times.idle_ms,
            retransmit_ratio: rates.repeated,
        }
    }

    fn cache(&self) -> CacheLoad {
        let rates = self.rates();
        let objects = self.tier.stats().objects;
        CacheLoad { hit_ratio: rates.hit_ratio, fill_bps: rates.fill_bps as u64, objects }
    }

    fn sessions_started(&self) -> u64 {
        self.meters.sessions.get()
    }

    fn bytes_per_session(&self) -> u64 {
        self.traffic.sum(|stats| &stats.sent_bytes).checked_div(self.meters.sessions.get()).unwrap_or(0)
    }

    fn errors(&self) -> Errors {
        let (requests, failed) = self.meters.requests.answered();
        Errors { requests, failures: failed + self.traffic.sum(|stats| &stats.body_errors) }
    }

    fn rtt(&self, from: u64, most: usize) -> (u64, Vec<CellRtt>) {
        self.distances.read(from, most, Instant::now())
    }

    fn probes(&self) -> bool {
        self.prober.is_some()
    }

    fn probe(&self, clients: &[IpAddr]) {
        if let Some(prober) = &self.prober {
            prober.aim(clients);
        }
    }

    fn keys(&self, jwks: &serde_json::Value) -> Result<(), String> {
        self.keys.replace(jwks)
    }

    fn purge(&self, seq: u64, order: &PurgeOrder) -> Result<(), String> {
        let purge = Purge {
            fence: seq,
            service: order.service.clone(),
            mode: match order.mode {
                PurgeMode::Hard => kromka_cache::PurgeMode::Hard,
                PurgeMode::Soft => kromka_cache::PurgeMode::Soft,
            },
            // As written, for a name with a question mark in it; and as a path, for one with a query.
            urls: order.urls.iter().flat_map(|url| [url.clone(), path(url).to_owned()]).collect(),
            prefixes: order.prefixes.clone(),
            tags: order.tags.clone(),
        };
        // Until it is durable it does not count as applied: the agent comes again.
        self.tier.purge(&purge).map_err(|error| format!("the purge cannot be written down: {error}"))
    }

    fn siblings(&self, urls: &[String]) {
        self.shields.siblings().learn(urls);
    }

    fn state(&self, state: NodeState) {
        match state {
            NodeState::Draining => self.health.set_draining(),
            _ => self.health.resume(),
        }
    }

    fn peers(&self, peers: &[PeerEdge]) {
        self.pathways.heard(peers);
    }

    async fn fetch_playlist(&self, service: &str, path: &str) -> Result<String, String> {
        self.tier.read_text(Key::written(service, path), PLAYLIST_MAX).await
    }

    async fn warm(
        &self,
        service: &str,
        path: &str,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<u64, String> {
        let warmed = self.tier.warm(Key::written(service, path), progress).await;
        let warmed = warmed.map_err(|failure| failure.to_string())?;
        match warmed.status.is_success() {
            true => Ok(warmed.bytes),
            false => Err(format!("the source answered {}", warmed.status)),
        }
    }

    async fn list(&self, service: &str, prefix: &str) -> Result<Vec<(String, u64)>, String> {
        self.shields.list(service, prefix).await.map_err(|error| error.to_string())
    }
}

/// The path of an object, as operators write it.
fn path(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}
