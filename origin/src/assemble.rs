//! Puts an origin together and takes it apart again; the only file that knows all its parts.
//!
//! Everything that can fail fails before the first edge is let in: ports, media, folders.

use std::sync::Arc;
use std::time::Instant;

use kromka_cache::Tier;
use kromka_config::OriginConfig;
use kromka_control::{Agent, AgentHandle, AgentOptions, Node, NodeRole};
use kromka_live::Live;
use kromka_net::Listeners;
use kromka_telemetry::{DiskTime, Health, RateMeter, Registry, RequestMeters, SourceMeters};
use url::Url;

use crate::api::Admin;
use crate::error::StartError;
use crate::heartbeat::OriginNode;
use crate::metrics;
use crate::service::Origin;
use crate::source::Sources;

/// An origin at work. Dropping it cuts all edges; [`drain`](Self::drain) is the kind way.
#[must_use = "dropping it stops the origin"]
pub struct Running {
    /// What edges put before a service and a path.
    pub url: Url,
    /// The same over TLS, where there is an https listener.
    pub tls_url: Option<Url>,
    /// Where metrics and health are.
    pub admin: Url,
    /// The node's name.
    pub id: String,
    listeners: Listeners,
    tier: Arc<Tier<Sources>>,
    node: Arc<OriginNode>,
    agent: AgentHandle,
    health: Health,
}

/// Starts an origin; must be called within a tokio runtime. When it returns, edges are served.
///
/// # Errors
/// [`StartError`]: a port in use, a folder that cannot be written, media that cannot be read; each says
/// what to do.
pub async fn start(config: OriginConfig) -> Result<Running, StartError> {
    let (node, limits) = (&config.node, &config.limits);
    let (url, tls_url) = (node.url.as_ref(), node.tls_url.as_ref());
    let mut listeners =
        Listeners::open(&config.listen, &config.tls, limits, &config.admin, url, tls_url).await?;

    let registry = Registry::new("origin", &config.node.id, &config.node.site);
    let health = Health::new();
    let meters =
        Arc::new(RequestMeters::new(&registry, "edges", config.service.iter().map(|one| one.id.as_str())));
    let live = Live::new(kromka_live::Limits::of(&config.live));
    let sources = Sources::open(&config, SourceMeters::new(&registry), Arc::clone(&live))?;
    let tier = Tier::open("kromka-shield", &config.cache, sources.clone()).await?;
    live.forget_in(&tier);
    let parts = (Arc::clone(&tier), sources.clone(), Arc::clone(&live));
    let origin = Arc::new(Origin::new(&config, parts, Arc::clone(&meters))?);

    listeners.serve(&origin);

    let node = Arc::new(OriginNode {
        tier: Arc::clone(&tier),
        sources,
        meters,
        traffic: listeners.traffic(),
        rates: RateMeter::default(),
        health: health.clone(),
        egress_limit_bps: kromka_telemetry::egress_bps(config.node.egress_bps),
        inflight_limit: config.node.inflight,
        disk_time: DiskTime::of(config.cache.disk.iter().map(|disk| disk.path.as_path())),
    });
    let (url, tls_url) = (listeners.url.clone(), listeners.tls_url.clone());
    let options = AgentOptions::of(&config.node, &config.selector, NodeRole::Origin, &url, tls_url.as_ref());
    let agent = Agent::start(options, Arc::clone(&node))?;
    metrics::watch(&registry, (Arc::clone(&tier), live), listeners.traffic(), agent.clone());
    listeners.serve_admin(Admin {
        registry,
        health: health.clone(),
        tier: Arc::clone(&tier),
        agent: agent.clone(),
        started: Instant::now(),
    });
    tracing::info!(id = config.node.id, %url, admin = %listeners.admin, "origin serves");
    Ok(Running {
        url,
        tls_url,
        admin: listeners.admin.clone(),
        id: config.node.id,
        listeners,
        tier,
        node,
        agent,
        health,
    })
}

impl Running {
    /// Paths and sizes (bytes) of all objects of a service whose path begins with `prefix`.
    ///
    /// # Errors
    /// The source cannot be listed, or has too many such objects; in words.
    pub async fn list(&self, service: &str, prefix: &str) -> Result<Vec<(String, u64)>, String> {
        Node::list(&*self.node, service, prefix).await
    }

    /// Stops the origin: says goodbye, is no longer ready, accepts nobody new, finishes what is under way
    /// within `limits.drain`, and closes the cache, so that the next start is warm.
    pub async fn drain(self) {
        self.health.set_draining();
        self.agent.stop().await;
        self.listeners.drain().await;
        self.tier.close().await;
        tracing::info!(id = self.id, "origin stopped");
    }
}
