//! The origin as its agent sees it: what it reports, and what the feed may ask of it.

use std::sync::Arc;
use std::time::Instant;

use kromka_cache::{Key, Purge, Tier};
use kromka_control::{CacheLoad, Load, Node, NodeState, PurgeMode, PurgeOrder};
use kromka_net::Traffic;
use kromka_telemetry::{DiskTime, Health, RateMeter, Rates, Reading, RequestMeters};

use crate::source::Sources;

/// Largest playlist that a warm job reads.
const PLAYLIST_MAX: usize = 4 << 20;

/// Most objects that one prefix may name for a warm job.
const LISTED_MAX: usize = 200_000;

/// Objects per page of a listing.
const PAGE: usize = 10_000;

/// What the agent talks to.
pub(crate) struct OriginNode {
    pub(crate) tier: Arc<Tier<Sources>>,
    pub(crate) sources: Sources,
    pub(crate) meters: Arc<RequestMeters>,
    pub(crate) traffic: Traffic,
    pub(crate) rates: RateMeter,
    pub(crate) health: Health,
    /// Bits per second this origin may send.
    pub(crate) egress_limit_bps: u64,
    /// Requests it is meant to answer at once; 0 = any number.
    pub(crate) inflight_limit: u64,
    pub(crate) disk_time: DiskTime,
}

impl OriginNode {
    fn rates(&self) -> Rates {
        let stats = self.tier.stats();
        let reading = Reading {
            sent: self.traffic.sum(|stats| &stats.sent_bytes),
            fetched: stats.source_bytes,
            hits: stats.answered_here(),
            answered: stats.answered(),
            ..Reading::default()
        };
        self.rates.rates(Instant::now(), reading)
    }
}

impl Node for OriginNode {
    fn load(&self) -> Load {
        let stats = self.tier.stats();
        let rates = self.rates();
        let times = self.meters.service_time(Instant::now());
        Load {
            egress_bps: rates.egress_bps as u64,
            egress_limit_bps: self.egress_limit_bps,
            connections: self.traffic.sum(|stats| &stats.active),
            connections_limit: self.traffic.connections_limit,
            inflight: self.traffic.sum(|stats| &stats.in_flight),
            sessions: 0,
            cpu: rates.cpu,
            disk_used: stats.disk_bytes,
            disk_limit: stats.disk_limit,
            inflight_limit: self.inflight_limit,
            disk_busy: self.disk_time.busy(Instant::now()),
            ttfb_ms: times.p50_ms,
            ttfb_p99_ms: times.p99_ms,
            ttfb_idle_ms: times.idle_ms,
            ..Load::default()
        }
    }

    fn cache(&self) -> CacheLoad {
        let rates = self.rates();
        let objects = self.tier.stats().objects;
        CacheLoad { hit_ratio: rates.hit_ratio, fill_bps: rates.fill_bps as u64, objects }
    }

    /// Sessions are the edges' affair.
    fn sessions_started(&self) -> u64 {
        0
    }

    /// No token of a viewer comes here.
    fn keys(&self, _: &serde_json::Value) -> Result<(), String> {
        Ok(())
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

    fn state(&self, state: NodeState) {
        match state {
            NodeState::Draining => self.health.set_draining(),
            _ => self.health.resume(),
        }
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
        let mut listed = Vec::new();
        let mut after = String::new();
        while listed.len() < LISTED_MAX {
            let page =
                self.sources.list(service, prefix, &after, PAGE).await.map_err(|error| error.to_string())?;
            let Some(page) = page else {
                return Err(format!("the source of {service} cannot be listed; name trees or urls instead"));
            };
            let (names, next) = page.page();
            listed.extend(names);
            match next {
                Some(next) => after = next,
                None => return Ok(listed),
            }
        }
        Err(format!("more than {LISTED_MAX} objects begin with {prefix}: name a longer prefix"))
    }
}

/// The path of an object, as operators write it.
fn path(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}
