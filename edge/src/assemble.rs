//! Puts an edge together and takes it apart again; the only file that knows all its parts.
//!
//! Everything that can fail fails before the first viewer is let in: ports, keys, folders.

use std::sync::Arc;
use std::time::Instant;

use kromka_cache::Tier;
use kromka_config::EdgeConfig;
use kromka_control::{Agent, AgentHandle, AgentOptions, NodeRole};
use kromka_live::Live;
use kromka_net::{Listeners, Prober};
use kromka_telemetry::{DiskTime, Health, RateMeter, Registry};
use url::Url;

use crate::api::Admin;
use crate::distances::Distances;
use crate::edge::Edge;
use crate::error::StartError;
use crate::heartbeat::EdgeNode;
use crate::keys::Keys;
use crate::metrics::{self, Meters};
use crate::pathways::Pathways;
use crate::respond::{self, Signature};
use crate::services::Services;
use crate::shield::Shields;
use crate::upload::Alone;

/// An edge at work. Dropping it cuts all viewers; [`drain`](Self::drain) is the kind way.
#[must_use = "dropping it stops the edge"]
pub struct Running {
    /// What viewers put before a path.
    pub url: Url,
    /// The same over TLS, where there is an https listener.
    pub tls_url: Option<Url>,
    /// Where metrics and health are.
    pub admin: Url,
    /// The node's name.
    pub id: String,
    pub(crate) listeners: Listeners,
    tier: Arc<Tier<Shields>>,
    agent: AgentHandle,
    health: Health,
}

/// Starts an edge; must be called within a tokio runtime. When it returns, viewers are served.
///
/// # Errors
/// [`StartError`]: a port in use, a folder that cannot be written, keys that cannot be read; each says what
/// to do.
pub async fn start(config: EdgeConfig) -> Result<Running, StartError> {
    let (node, limits) = (&config.node, &config.limits);
    let (url, tls_url) = (node.url.as_ref(), node.tls_url.as_ref());
    let mut listeners =
        Listeners::open(&config.listen, &config.tls, limits, &config.admin, url, tls_url).await?;

    let registry = Registry::new("edge", &config.node.id, &config.node.site);
    let health = Health::new();
    let meters = Arc::new(Meters::new(&registry, &config));
    let keys = Arc::new(Keys::open(&config)?);
    let limits = kromka_live::Limits::of(&config.live);
    let live = Live::new(limits);
    let shields = Shields::new(&config, &registry, Arc::clone(&live))?;
    let tier = Tier::open(respond::TIER, &config.cache, shields.clone()).await?;
    live.forget_in(&tier);
    let services = Services::new(&config.service);
    let needs_keys = !services.all_public();
    let signature = Signature::new(&config.node.id)?;
    let pathways = Arc::new(Pathways::new(&config.node.id, &listeners.url, listeners.tls_url.as_ref()));
    let edge = Arc::new(Edge {
        tier: Arc::clone(&tier),
        shields: shields.clone(),
        live: Arc::clone(&live),
        node_token: config.node.token.clone(),
        upload_limit: config.shield.request_body.0,
        alone: Alone::default(),
        services,
        keys: Arc::clone(&keys),
        meters: Arc::clone(&meters),
        pathways: Arc::clone(&pathways),
        signature,
    });

    let samples = listeners.measure();
    let distances = Distances::new(Arc::clone(&samples), &registry);
    shields.siblings().call(&listeners.url);
    listeners.serve(&edge);

    let siblings = Arc::clone(shields.siblings());
    let node = Arc::new(EdgeNode {
        tier: Arc::clone(&tier),
        shields,
        keys: Arc::clone(&keys),
        meters,
        traffic: listeners.traffic(),
        rates: RateMeter::default(),
        health: health.clone(),
        distances,
        prober: config
            .probe
            .enabled
            .then(|| Prober::start(config.probe.per_second, config.probe.port, samples)),
        disk_time: DiskTime::of(config.cache.disk.iter().map(|disk| disk.path.as_path())),
        egress_limit_bps: kromka_telemetry::egress_bps(config.node.egress_bps),
        inflight_limit: config.node.inflight,
        pathways,
    });
    let (url, tls_url) = (listeners.url.clone(), listeners.tls_url.clone());
    let options = AgentOptions::of(&config.node, &config.selector, NodeRole::Edge, &url, tls_url.as_ref());
    let agent = Agent::start(options, node)?;
    let held = (Arc::clone(&tier), live, siblings, Arc::clone(&keys));
    metrics::watch(&registry, held, listeners.traffic(), agent.clone());
    listeners.serve_admin(Admin {
        registry,
        health: health.clone(),
        tier: Arc::clone(&tier),
        keys,
        needs_keys,
        agent: agent.clone(),
        started: Instant::now(),
    });
    tracing::info!(id = config.node.id, %url, admin = %listeners.admin, "edge serves");
    Ok(Running {
        url,
        tls_url,
        admin: listeners.admin.clone(),
        id: config.node.id,
        listeners,
        tier,
        agent,
        health,
    })
}

impl Running {
    /// Stops the edge: says goodbye, is no longer ready, accepts nobody new, finishes what is under way
    /// within `limits.drain`, and closes the cache, so that the next start is warm.
    pub async fn drain(self) {
        self.health.set_draining();
        self.agent.stop().await;
        self.listeners.drain().await;
        self.tier.close().await;
        tracing::info!(id = self.id, "edge stopped");
    }
}
