//! What the handlers of one selector have at hand.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use kromka_config::{SelectorService, SessionsConfig, SteeringConfig};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    answer::steer::Pace,
    auth::Gatekeeper,
    beacons::Beacons,
    error::ApiError,
    geo::Geo,
    keys::Keyring,
    lines::Lines,
    metrics::{Metrics, Surface},
    operations::Tracker,
    policy::Policy,
    probes::Probes,
    rank::{Cell, Question, Ranking, decide, decide_pair},
    roster::Roster,
    store::{Store, StoreError},
};

/// Server-sent event streams that may be open at once; each holds a connection.
pub(crate) const STREAMS_MAX: usize = 256;

/// One selector, as its handlers see it.
pub(crate) struct App {
    /// What viewers put before `/route`, without a trailing slash.
    pub(crate) url: String,
    /// The same over TLS, where it is not `url` already.
    pub(crate) tls_url: Option<String>,
    /// The state that lasts.
    pub(crate) store: Store,
    /// The nodes.
    pub(crate) roster: Roster,
    /// Over which connections they report.
    pub(crate) lines: Lines,
    /// Where clients are.
    pub(crate) geo: Arc<Geo>,
    /// What players tell.
    pub(crate) beacons: Beacons,
    /// Whom edges may probe.
    pub(crate) probes: Probes,
    /// The long work.
    pub(crate) tracker: Tracker,
    /// Signs.
    pub(crate) keys: Keyring,
    /// Lets in.
    pub(crate) gate: Gatekeeper,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// What it hands out sessions for.
    pub(crate) services: Vec<SelectorService>,
    /// Held while it is read what operators decided, and obeyed.
    pub(crate) obeying: tokio::sync::Mutex<()>,
    /// It is obeyed as it stands in the store.
    pub(crate) obeyed: AtomicBool,
    /// How long tokens live.
    pub(crate) sessions: SessionsConfig,
    /// How often players ask which edge to take.
    pub(crate) steering: SteeringConfig,
    /// How many of them ask.
    pub(crate) pace: Pace,
    /// How often nodes are to report, in milliseconds.
    pub(crate) heartbeat_ms: u64,
    /// Bounds event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Ends long polls and event streams when the selector stops.
    pub(crate) stop: CancellationToken,
}

impl App {
    /// What a viewer who came over TLS, or without, puts before a path: a page loaded over TLS may fetch nothing
    /// without.
    pub(crate) fn base(&self, tls: bool) -> &str {
        let secure = self.tls_url.as_ref().filter(|_| tls && !self.url.starts_with("https:"));
        secure.unwrap_or(&self.url)
    }

    /// The service of that name, or what is wrong at `/service`.
    pub(crate) fn service(&self, id: &str) -> Result<&SelectorService, ApiError> {
        self.services.iter().find(|service| service.id == id).ok_or_else(|| {
            let known: Vec<_> = self.services.iter().map(|service| service.id.as_str()).collect();
            ApiError::field("/service", format!("unknown service; known: {}", known.join(", ")))
        })
    }

    /// The service that publishes `path`: the one with the longest prefix.
    pub(crate) fn service_of(&self, path: &str) -> Option<&SelectorService> {
        let owners = self.services.iter().filter(|service| kromka_config::owns(&service.prefix, path));
        owners.max_by_key(|service| service.prefix.len())
    }

    /// The question as it is asked now.
    pub(crate) fn now<'a>(&self, question: Question<'a>) -> Question<'a> {
        let place = question.client.map_or_else(Default::default, |client| self.geo.whereabouts(client));
        Question { now_ms: self.roster.now_ms(), place, ..question }
    }

    /// Has the roster obey what operators decided, as it stands in the store.
    ///
    /// # Errors
    /// When it cannot be read; [`catch_up`](Self::catch_up) tries again.
    pub(crate) async fn obey(&self) -> Result<(), StoreError> {
        // One after the other, or an older policy could be obeyed last.
        let _one = self.obeying.lock().await;
        self.obeyed.store(false, Relaxed);
        self.roster.obey(Policy::load(&self.store).await?);
        self.obeyed.store(true, Relaxed);
        Ok(())
    }

    /// Does so after a decision that is kept already: whoever decided is not told that it failed, or would decide twice.
    pub(crate) async fn obey_soon(&self) {
        if let Err(error) = self.obey().await {
            tracing::error!(%error, "what was decided is kept, and obeyed as soon as it can be read");
        }
    }

    /// Does so if it could not be read the last time.
    ///
    /// # Errors
    /// When it still cannot.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        if self.obeyed.load(Relaxed) { Ok(()) } else { self.obey().await }
    }

    /// Asks the ranking and counts the decision. `render` gets the snapshot's own words, so that nothing is copied
    /// that is not needed, and the question as it was asked; the edge that comes first counts as assigned when
    /// `assign` says so.
    pub(crate) fn decide<T>(
        &self,
        surface: Surface,
        question: Question<'_>,
        assign: bool,
        render: impl FnOnce(&Ranking<'_>, &Question<'_>) -> T,
    ) -> T {
        let snapshot = self.roster.published();
        // An answer in DNS holds for a network: all of it is taken to be in one place.
        let located = |client| match surface {
            Surface::Dns => self.geo.of_network(Cell::of(client).net()),
            _ => self.geo.whereabouts(client),
        };
        // Whose distances are measured need not be looked up: a database takes longer than the ranking.
        let unmeasured = |client: &IpAddr| !self.geo.is_empty() && !snapshot.distances().knows(*client);
        let place = question.client.filter(unmeasured).map_or_else(Default::default, located);
        let began = Instant::now();
        let question = Question { now_ms: self.roster.ms_at(began), place, ..question };
        let ranking = match surface {
            Surface::Dns => decide_pair(&snapshot, &question),
            _ => decide(&snapshot, &question),
        };
        self.metrics.decided(surface, ranking.verdict, began.elapsed().as_secs_f64());
        if assign {
            if let Some(client) = question.client {
                self.probes.asked(client, question.now_ms);
            }
            ranking.assign(1.0);
        }
        render(&ranking, &question)
    }
}

/// What a title is placed by: its service and the directory it lies in, so that all of it lands on one node.
pub(crate) fn content_key(service: &str, path: &str) -> String {
    let directory = path.rfind('/').map_or("/", |end| &path[..=end]);
    [service, directory].concat()
}
