//! Puts an origin together and takes it apart again; the only file that knows all its parts.
//!
//! Everything that can fail fails before the first edge is let in: ports, media, folders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kromka_cache::Tier;
use kromka_config::{Limits, OriginConfig};
use kromka_control::{Agent, AgentHandle, AgentOptions, Identity, Node, NodeRole};
use kromka_net::{Bound, ServerOptions, Serving, Tls};
use kromka_telemetry::{Health, Registry};
use url::Url;

use crate::api::Admin;
use crate::error::StartError;
use crate::heartbeat::OriginNode;
use crate::load::{Gauge, Listeners};
use crate::metrics::{self, Meters, SourceMeters};
use crate::service::Origin;
use crate::source::Sources;

/// How long the admin listener may take to finish its answers.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

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
    listeners: Vec<Serving>,
    admin_listener: Serving,
    tier: Arc<Tier<Sources>>,
    node: Arc<OriginNode>,
    agent: AgentHandle,
    health: Health,
    drain: Duration,
}

/// Starts an origin; must be called within a tokio runtime. When it returns, edges are served.
///
/// # Errors
/// [`StartError`]: a port in use, a folder that cannot be written, media that cannot be read; each says
/// what to do.
pub async fn start(config: OriginConfig) -> Result<Running, StartError> {
    let http = bind(config.listen.http).await?;
    let https = bind(config.listen.https).await?;
    let admin = kromka_net::bind(config.admin.listen).await?;
    let urls = Urls::of(&config, http.as_ref(), https.as_ref())?;

    let registry = Registry::new("origin", &config.node.id, &config.node.site);
    let health = Health::new();
    let meters = Arc::new(Meters::new(&registry, &config));
    let sources = Sources::open(&config, SourceMeters::new(&registry))?;
    let tier = Tier::open("kromka-shield", &config.cache, sources.clone()).await?;
    let origin = Arc::new(Origin::new(&config, Arc::clone(&tier), sources.clone(), Arc::clone(&meters))?);

    let tls = match https {
        Some(bound) => Some((tls(&config, &urls)?, bound)),
        None => None,
    };
    let mut listeners = Vec::with_capacity(2);
    if let Some(bound) = http {
        let options = ServerOptions { limits: config.limits.clone(), tls: None };
        listeners.push(kromka_net::serve(bound, options, Arc::clone(&origin)));
    }
    if let Some((tls, bound)) = tls {
        let options = ServerOptions { limits: config.limits.clone(), tls: Some(tls) };
        listeners.push(kromka_net::serve(bound, options, origin));
    }
    let counted =
        || Listeners::new(listeners.iter().map(Serving::stats).collect(), config.limits.connections);
    metrics::watch(&registry, Arc::clone(&tier), counted());

    let node = Arc::new(OriginNode {
        tier: Arc::clone(&tier),
        sources,
        meters,
        listeners: counted(),
        gauge: Gauge::new(),
        health: health.clone(),
        egress_limit_bps: config.node.egress_bps,
    });
    let agent = Agent::start(agent_options(&config, &urls), Arc::clone(&node))?;
    let admin_url = base("http", admin.addr())?;
    let answers = Admin {
        registry,
        health: health.clone(),
        tier: Arc::clone(&tier),
        agent: agent.clone(),
        started: Instant::now(),
    };
    let options = ServerOptions { limits: Limits::default(), tls: None };
    let admin_listener = kromka_net::serve(admin, options, Arc::new(answers));
    tracing::info!(id = config.node.id, url = %urls.plain, admin = %admin_url, "origin serves");
    Ok(Running {
        url: urls.plain,
        tls_url: urls.tls,
        admin: admin_url,
        id: config.node.id,
        listeners,
        admin_listener,
        tier,
        node,
        agent,
        health,
        drain: *config.limits.drain,
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
        let drains = self.listeners.into_iter().map(|listener| listener.drain(self.drain));
        let cut: usize = futures_util::future::join_all(drains).await.iter().map(|drained| drained.cut).sum();
        if cut > 0 {
            tracing::warn!(cut, "connections cut at limits.drain");
        }
        self.admin_listener.drain(ADMIN_DRAIN).await;
        self.tier.close().await;
        tracing::info!(id = self.id, "origin stopped");
    }
}

/// What this origin is called from outside.
struct Urls {
    plain: Url,
    tls: Option<Url>,
}

impl Urls {
    fn of(config: &OriginConfig, http: Option<&Bound>, https: Option<&Bound>) -> Result<Urls, StartError> {
        let bound = |scheme, bound: Option<&Bound>| bound.map(|bound| base(scheme, bound.addr())).transpose();
        let tls = match &config.node.tls_url {
            Some(url) => Some(url.clone()),
            None => bound("https", https)?,
        };
        let plain = match &config.node.url {
            Some(url) => Some(url.clone()),
            None => bound("http", http)?.or_else(|| tls.clone()),
        };
        let plain = plain.ok_or_else(|| StartError::Setting {
            key: "listen",
            why: "no listener: set listen.http, listen.https or both".to_owned(),
        })?;
        Ok(Urls { plain, tls })
    }
}

fn base(scheme: &str, addr: SocketAddr) -> Result<Url, StartError> {
    Url::parse(&format!("{scheme}://{addr}/"))
        .map_err(|error| StartError::Setting { key: "listen", why: format!("{addr}: {error}") })
}

async fn bind(addr: Option<SocketAddr>) -> Result<Option<Bound>, StartError> {
    match addr {
        Some(addr) => Ok(Some(kromka_net::bind(addr).await?)),
        None => Ok(None),
    }
}

fn tls(config: &OriginConfig, urls: &Urls) -> Result<Tls, StartError> {
    let settings = &config.tls;
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        return Ok(Tls::from_files(certificate, key)?);
    }
    let Some(folder) = &settings.self_signed else {
        return Err(StartError::Setting {
            key: "tls",
            why: "listen.https needs tls.certificate and tls.key, or tls.self_signed for a laboratory"
                .to_owned(),
        });
    };
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let own = [Some(&urls.plain), urls.tls.as_ref()].into_iter().flatten().filter_map(Url::host_str);
    for name in own {
        let name = name.trim_matches(['[', ']']);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(Tls::self_signed(folder, &names)?)
}

fn agent_options(config: &OriginConfig, urls: &Urls) -> AgentOptions {
    AgentOptions {
        identity: Identity {
            id: config.node.id.clone(),
            role: NodeRole::Origin,
            site: config.node.site.clone(),
            url: urls.plain.clone(),
            tls_url: urls.tls.clone(),
        },
        selectors: config.selector.urls.clone(),
        token: config.node.token.expose().to_owned(),
        interval: *config.selector.heartbeat,
        state_dir: config.node.data.clone(),
    }
}
