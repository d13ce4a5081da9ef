//! The edge as its agent sees it: what it reports, and what the feed may ask of it.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use kromka_cache::{Key, Purge, Tier};
use kromka_control::{CacheLoad, Load, Node, NodeState, PurgeMode, PurgeOrder};
use kromka_telemetry::Health;

use crate::keys::Keys;
use crate::load::{Gauge, Listeners, Rates, Reading};
use crate::metrics::Meters;
use crate::shield::Shields;

/// Largest playlist that a warm job reads.
const PLAYLIST_MAX: usize = 4 << 20;

/// What the agent talks to.
pub(crate) struct EdgeNode {
    pub(crate) tier: Arc<Tier<Shields>>,
    pub(crate) shields: Shields,
    pub(crate) keys: Arc<Keys>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) listeners: Listeners,
    pub(crate) gauge: Gauge,
    pub(crate) health: Health,
    /// Bits per second this edge may send.
    pub(crate) egress_limit_bps: u64,
}

impl EdgeNode {
    fn rates(&self) -> Rates {
        let stats = self.tier.stats();
        let hits = stats.hits + stats.stale + stats.revalidated + stats.collapsed;
        let misses = stats.miss_cold + stats.miss_purged + stats.miss_expired + stats.passed + stats.failed;
        let reading = Reading {
            sent: self.listeners.sent(),
            fetched: stats.source_bytes,
            hits,
            answered: hits + misses,
        };
        self.gauge.rates(Instant::now(), reading)
    }
}

impl Node for EdgeNode {
    fn load(&self) -> Load {
        let stats = self.tier.stats();
        let rates = self.rates();
        Load {
            egress_bps: rates.egress_bps as u64,
            egress_limit_bps: self.egress_limit_bps,
            cpu: rates.cpu,
            disk_used: stats.disk_bytes,
            disk_limit: stats.disk_limit,
            ttfb_ms: self.meters.hit_ms(),
            ..self.listeners.load()
        }
    }

    fn cache(&self) -> CacheLoad {
        let rates = self.rates();
        let objects = self.tier.stats().objects;
        CacheLoad { hit_ratio: rates.hit_ratio, fill_bps: rates.fill_bps as u64, objects }
    }

    fn sessions_started(&self) -> u64 {
        self.meters.sessions()
    }

    fn bytes_per_session(&self) -> u64 {
        self.listeners.sent().checked_div(self.meters.sessions()).unwrap_or(0)
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
            urls: order.urls.iter().flat_map(|url| [url.clone(), object(url).0.to_owned()]).collect(),
            prefixes: order.prefixes.clone(),
            tags: order.tags.clone(),
        };
        // Until it is durable it does not count as applied: the agent comes again.
        self.tier.purge(&purge).map_err(|error| format!("the purge cannot be written down: {error}"))
    }

    fn state(&self, state: NodeState) {
        match state {
            NodeState::Draining => self.health.set_draining(),
            _ => self.health.resume(),
        }
    }

    async fn fetch_playlist(&self, service: &str, path: &str) -> Result<String, String> {
        let (path, query) = object(path);
        let read = self.tier.read(Key::new(service, path, query), PLAYLIST_MAX).await;
        let (status, _, text) = read.map_err(|failure| failure.to_string())?;
        if status != StatusCode::OK {
            return Err(format!("{path}: the source answered {status}"));
        }
        String::from_utf8(text.into()).map_err(|_| format!("{path} is not a text"))
    }

    async fn warm(
        &self,
        service: &str,
        path: &str,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<u64, String> {
        let (path, query) = object(path);
        let warmed = self.tier.warm(Key::new(service, path, query), progress).await;
        let warmed = warmed.map_err(|failure| failure.to_string())?;
        match warmed.status.is_success() {
            true => Ok(warmed.bytes),
            false => Err(format!("{path}: the source answered {}", warmed.status)),
        }
    }

    async fn list(&self, service: &str, prefix: &str) -> Result<Vec<(String, u64)>, String> {
        self.shields.list(service, prefix).await.map_err(|error| error.to_string())
    }
}

/// Path and query of an object, as operators write them.
fn object(url: &str) -> (&str, Option<&str>) {
    match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    }
}
