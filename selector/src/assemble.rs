//! Puts a selector together and takes it apart again; the only file that knows all its parts.
//!
//! Everything that can fail fails before the first request is let in: ports, certificates, the store, keys.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use kromka_config::SelectorConfig;
use kromka_net::{Bound, ServerOptions, Serving, Tls};
use kromka_telemetry::{Health, Registry};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    admin::Admin,
    answer::{self, dns},
    app::{App, STREAMS_MAX},
    auth::Gatekeeper,
    beacons::Beacons,
    checks::Checker,
    error::StartError,
    front::Front,
    geo::Geo,
    keys::Keyring,
    lines::Lines,
    metrics::Metrics,
    operations::Tracker,
    probes::Probes,
    roster::Roster,
    store::{Store, door::now_ms},
    upkeep,
};

/// How long the admin listener may take to finish its answers.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

/// A selector at work. Dropping it cuts all connections; [`drain`](Self::drain) is the kind way.
#[must_use = "dropping it stops the selector"]
pub struct Running {
    /// What viewers, nodes and the platform put before a path.
    pub url: Url,
    /// The same over TLS, where there is an https listener.
    pub tls_url: Option<Url>,
    /// Where metrics and health are.
    pub admin: Url,
    /// Where DNS is answered, over UDP and TCP; nowhere unless configured.
    pub dns: Vec<SocketAddr>,
    app: Arc<App>,
    listeners: Vec<Serving>,
    admin_listener: Serving,
    names: dns::Serving,
    upkeep: JoinHandle<()>,
    checks: JoinHandle<()>,
    health: Health,
    drain: Duration,
}

/// Starts a selector; must be called within a tokio runtime. When it returns, requests are served.
///
/// # Errors
/// [`StartError`]: a port in use, a store that cannot be written, a key that cannot be used; each says what to do.
pub async fn start(config: SelectorConfig) -> Result<Running, StartError> {
    let http = bind(config.listen.http).await?;
    let https = bind(config.listen.https).await?;
    let admin = kromka_net::bind(config.admin.listen).await?;
    let names = dns::Listening::open(&config.dns)?;
    let urls = Urls::of(&config, http.as_ref(), https.as_ref())?;
    let tls = match https {
        Some(bound) => Some((tls(&config, &urls)?, bound)),
        None => None,
    };

    let registry = Registry::new("selector", "", "");
    let health = Health::new();
    let gate = Gatekeeper::new(&config.token, &config.node_token)?;
    let store = Store::open(&config.store.path).await?;
    let now = now_ms();
    let geo = Arc::new(Geo::new(&config.geo));
    let checker = Checker::new(&config.checks)?;
    let answers = answer::kept_for(&config.dns);
    let roster = Roster::new(&config.routing, &config.site, *config.checks.hold, answers, Arc::clone(&geo));
    roster.restore(store.nodes().await?, now);
    let app = Arc::new(App {
        url: urls.plain.as_str().trim_end_matches('/').to_owned(),
        tls_url: urls.tls.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
        keys: Keyring::open(&store, &config.service, now).await?,
        tracker: Tracker::resume(store.clone(), now).await?,
        roster,
        lines: Lines::default(),
        geo,
        beacons: Beacons::new(&config.beacons),
        probes: Probes::default(),
        store,
        gate,
        metrics: Metrics::new(&registry),
        services: config.service.clone(),
        obeying: tokio::sync::Mutex::default(),
        obeyed: AtomicBool::new(false),
        sessions: config.sessions.clone(),
        steering: config.steering.clone(),
        pace: Default::default(),
        heartbeat_ms: config.routing.heartbeat.as_millis() as u64,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        stop: CancellationToken::new(),
    });
    app.obey().await?;
    upkeep::trim(&app, now, true).await?;

    let handler = Arc::new(Front::new(Arc::clone(&app), config.player));
    let mut listeners = Vec::with_capacity(2);
    if let Some(bound) = http {
        let options = ServerOptions { limits: config.limits.clone(), ..ServerOptions::default() };
        listeners.push(kromka_net::serve(bound, options, Arc::clone(&handler)));
    }
    if let Some((tls, bound)) = tls {
        let options = ServerOptions { limits: config.limits.clone(), tls: Some(tls), rtt: None };
        listeners.push(kromka_net::serve(bound, options, handler));
    }
    let counters = dns::Counters::new(&registry);
    let names = names.serve(&config.dns, Arc::clone(&app), counters, config.node_token.expose())?;
    let admin_url = base("http", admin.addr())?;
    let answers = Admin { app: Arc::clone(&app), registry, health: health.clone() };
    let admin_listener = kromka_net::serve(admin, ServerOptions::default(), Arc::new(answers));
    let upkeep = tokio::spawn(upkeep::run(Arc::clone(&app)));
    let checks = tokio::spawn(checker.run(Arc::clone(&app)));
    health.set_ready("store", Ok(()));
    let (dns, feed) = (names.addrs(), app.store.feed_id());
    tracing::info!(url = %urls.plain, admin = %admin_url, ?dns, feed, "selector serves");
    Ok(Running {
        url: urls.plain,
        tls_url: urls.tls,
        admin: admin_url,
        dns: names.addrs().to_owned(),
        app,
        listeners,
        admin_listener,
        names,
        upkeep,
        checks,
        health,
        drain: *config.limits.drain,
    })
}

impl Running {
    /// What its handlers have at hand.
    #[cfg(test)]
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Stops the selector: is no longer ready, ends long polls and event streams, finishes what is under way within
    /// `limits.drain`, writes what is unwritten and closes the store.
    pub async fn drain(self) {
        self.health.set_draining();
        self.app.stop.cancel();
        self.names.drain().await;
        let drains = self.listeners.into_iter().map(|listener| listener.drain(self.drain));
        let cut: usize = futures_util::future::join_all(drains).await.iter().map(|drained| drained.cut).sum();
        if cut > 0 {
            tracing::warn!(cut, "connections cut at limits.drain");
        }
        self.admin_listener.drain(ADMIN_DRAIN).await;
        for (what, task) in [("upkeep", self.upkeep), ("checks", self.checks)] {
            if let Err(error) = task.await {
                tracing::error!(%error, what, "a task ended badly");
            }
        }
        let now = now_ms();
        let saved = self.app.tracker.save(now, true).await;
        if let Err(error) = saved.and(upkeep::save_nodes(&self.app, now).await) {
            tracing::error!(%error, "the last changes cannot be written; heartbeats will bring them again");
        }
        self.app.store.close().await;
        tracing::info!("selector stopped");
    }
}

/// What this selector is called from outside.
struct Urls {
    plain: Url,
    tls: Option<Url>,
}

impl Urls {
    fn of(config: &SelectorConfig, http: Option<&Bound>, https: Option<&Bound>) -> Result<Urls, StartError> {
        let bound = |scheme, bound: Option<&Bound>| bound.map(|bound| base(scheme, bound.addr())).transpose();
        let tls = bound("https", https)?;
        let plain = match &config.url {
            Some(url) => Some(url.clone()),
            None => bound("http", http)?.or_else(|| tls.clone()),
        };
        let plain = plain.ok_or_else(|| {
            StartError::Config("no listener: set listen.http, listen.https or both".to_owned())
        })?;
        Ok(Urls { plain, tls })
    }
}

fn base(scheme: &str, addr: SocketAddr) -> Result<Url, StartError> {
    Url::parse(&format!("{scheme}://{addr}/"))
        .map_err(|error| StartError::Config(format!("listen: {addr}: {error}")))
}

async fn bind(addr: Option<SocketAddr>) -> Result<Option<Bound>, StartError> {
    match addr {
        Some(addr) => Ok(Some(kromka_net::bind(addr).await?)),
        None => Ok(None),
    }
}

fn tls(config: &SelectorConfig, urls: &Urls) -> Result<Tls, StartError> {
    let settings = &config.tls;
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        return Ok(Tls::from_files(certificate, key)?);
    }
    let Some(folder) = &settings.self_signed else {
        let why = "listen.https needs tls.certificate and tls.key, or tls.self_signed for a laboratory";
        return Err(StartError::Config(why.to_owned()));
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
