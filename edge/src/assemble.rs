//! Puts an edge together and takes it apart again; the only file that knows all its parts.
//!
//! Everything that can fail fails before the first viewer is let in: ports, keys, folders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kromka_cache::Tier;
use kromka_config::{EdgeConfig, Limits};
use kromka_control::{Agent, AgentHandle, AgentOptions, Identity, NodeRole};
use kromka_net::{Bound, ServerOptions, Serving, Tls};
use kromka_telemetry::{Health, Registry};
use url::Url;

use crate::api::Admin;
use crate::error::StartError;
use crate::heartbeat::EdgeNode;
use crate::keys::Keys;
use crate::load::{Gauge, Listeners};
use crate::metrics::{self, Meters};
use crate::respond::Signature;
use crate::service::Edge;
use crate::services::Services;
use crate::shield::Shields;

/// How long the admin listener may take to finish its answers.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

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
    listeners: Vec<Serving>,
    admin_listener: Serving,
    tier: Arc<Tier<Shields>>,
    agent: AgentHandle,
    health: Health,
    drain: Duration,
}

/// Starts an edge; must be called within a tokio runtime. When it returns, viewers are served.
///
/// # Errors
/// [`StartError`]: a port in use, a folder that cannot be written, keys that cannot be read; each says what
/// to do.
pub async fn start(config: EdgeConfig) -> Result<Running, StartError> {
    let http = bind(config.listen.http).await?;
    let https = bind(config.listen.https).await?;
    let admin = kromka_net::bind(config.admin.listen).await?;
    let urls = Urls::of(&config, http.as_ref(), https.as_ref())?;

    let registry = Registry::new("edge", &config.node.id, &config.node.site);
    let health = Health::new();
    let meters = Arc::new(Meters::new(&registry, &config));
    let keys = Arc::new(Keys::open(&config)?);
    let shields = Shields::new(&config, &registry)?;
    let tier = Tier::open("kromka-edge", &config.cache, shields.clone()).await?;
    let services = Services::new(&config.service);
    let needs_keys = !services.all_public();
    let signature = Signature::new(&config.node.id)?;
    let edge = Arc::new(Edge {
        tier: Arc::clone(&tier),
        services,
        keys: Arc::clone(&keys),
        meters: Arc::clone(&meters),
        signature,
    });

    let tls = match https {
        Some(bound) => Some((tls(&config, &urls)?, bound)),
        None => None,
    };
    let mut listeners = Vec::with_capacity(2);
    if let Some(bound) = http {
        let options = ServerOptions { limits: config.limits.clone(), tls: None };
        listeners.push(kromka_net::serve(bound, options, Arc::clone(&edge)));
    }
    if let Some((tls, bound)) = tls {
        let options = ServerOptions { limits: config.limits.clone(), tls: Some(tls) };
        listeners.push(kromka_net::serve(bound, options, edge));
    }
    let counted =
        || Listeners::new(listeners.iter().map(Serving::stats).collect(), config.limits.connections);
    metrics::watch(&registry, Arc::clone(&tier), counted(), Arc::clone(&keys));

    let node = Arc::new(EdgeNode {
        tier: Arc::clone(&tier),
        shields,
        keys: Arc::clone(&keys),
        meters,
        listeners: counted(),
        gauge: Gauge::new(),
        health: health.clone(),
        egress_limit_bps: config.node.egress_bps,
    });
    let agent = Agent::start(agent_options(&config, &urls), node)?;
    let admin_url = base("http", admin.addr())?;
    let answers = Admin {
        registry,
        health: health.clone(),
        tier: Arc::clone(&tier),
        keys,
        needs_keys,
        agent: agent.clone(),
        started: Instant::now(),
    };
    let options = ServerOptions { limits: Limits::default(), tls: None };
    let admin_listener = kromka_net::serve(admin, options, Arc::new(answers));
    tracing::info!(id = config.node.id, url = %urls.plain, admin = %admin_url, "edge serves");
    Ok(Running {
        url: urls.plain,
        tls_url: urls.tls,
        admin: admin_url,
        id: config.node.id,
        listeners,
        admin_listener,
        tier,
        agent,
        health,
        drain: *config.limits.drain,
    })
}

impl Running {
    /// Stops the edge: says goodbye, is no longer ready, accepts nobody new, finishes what is under way
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
        tracing::info!(id = self.id, "edge stopped");
    }
}

/// What this edge is called from outside.
struct Urls {
    plain: Url,
    tls: Option<Url>,
}

impl Urls {
    fn of(config: &EdgeConfig, http: Option<&Bound>, https: Option<&Bound>) -> Result<Urls, StartError> {
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

fn tls(config: &EdgeConfig, urls: &Urls) -> Result<Tls, StartError> {
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

fn agent_options(config: &EdgeConfig, urls: &Urls) -> AgentOptions {
    AgentOptions {
        identity: Identity {
            id: config.node.id.clone(),
            role: NodeRole::Edge,
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
