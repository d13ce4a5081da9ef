//! Checks of edges: a real object, through each edge's public listener, again and again.
//!
//! A ping would show the kernel of the machine; this shows what a viewer gets. The object is one of a service that
//! names it (`service.health`), opened with a token of this selector's own that lives for a minute, or else the edge's
//! own small object. What comes of it goes to the roster, which judges. An edge that is suspicious is asked again sooner.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::Utc;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{
    Request, StatusCode,
    header::{CONNECTION, RANGE},
};
use kromka_access::{Claims, Reach};
use kromka_config::{ChecksConfig, SelectorService};
use kromka_hls::encode_path;
use kromka_net::{Client, ClientOptions, NetError};
use uuid::Uuid;

use crate::{app::App, rank::outlier::Check};

/// Where every edge has an object of its own.
const BUILT_IN: &str = "/~health";

/// How often is looked which edge is due.
const TICK: Duration = Duration::from_millis(50);

/// Checks under way at once.
const AT_ONCE: usize = 128;

/// Bytes read of an object: what fits into a connection's first window (ten segments, RFC 6928), and so takes one round
/// trip. More would measure the line, and load it.
const BYTES: usize = 12 << 10;

/// How long a token of a check lives, and how long it is used, in seconds.
const TOKEN_LIFE_S: i64 = 60;
const TOKEN_USE: Duration = Duration::from_secs(20);

/// By how much the next check comes sooner while an edge is suspicious: a third of failures is seen in seconds.
const SOONER: u32 = 8;

/// What checks edges.
pub(crate) struct Checker {
    config: ChecksConfig,
    client: Client,
}

impl Checker {
    /// One that waits as the configuration says.
    ///
    /// # Errors
    /// When no client can be made.
    pub(crate) fn new(config: &ChecksConfig) -> Result<Checker, NetError> {
        let wait = *config.timeout;
        let user_agent = kromka_net::user_agent("selector check");
        let options = ClientOptions {
            connect: wait,
            first_byte: wait,
            stall: wait,
            user_agent,
            ..ClientOptions::default()
        };
        Ok(Checker { config: config.clone(), client: Client::new(options)? })
    }

    /// Checks edges until the selector stops.
    pub(crate) async fn run(self, app: Arc<App>) {
        if !self.config.enabled {
            return;
        }
        let mut due: HashMap<Arc<str>, Instant> = HashMap::new();
        let mut tokens = Tokens::default();
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                Some(ended) = running.next() => {
                    let (id, check, began): (Arc<str>, Check, Instant) = ended;
                    let took = began.elapsed();
                    app.roster.checked(&id, check, took);
                    app.metrics.checked(check, took);
                    continue;
                }
                () = app.stop.cancelled() => return,
            }
            let now = Instant::now();
            let edges = app.roster.to_check();
            // Edges that have left; each that is here gets its entry below.
            if due.len() > edges.len() {
                let here: HashSet<&str> = edges.iter().map(|edge| &*edge.id).collect();
                due.retain(|id, _| here.contains(&**id));
            }
            for (place, edge) in edges.iter().enumerate() {
                // New ones are spread over the interval, so that a fleet is not knocked at in step.
                let spread = self.config.interval.mul_f64(place as f64 / edges.len() as f64);
                let at = due.entry(Arc::clone(&edge.id)).or_insert(now + spread);
                let sooner = now + *self.config.interval / SOONER;
                if edge.suspicious && *at > sooner {
                    *at = sooner;
                }
                if *at > now || running.len() >= AT_ONCE {
                    continue;
                }
                *at = now + *self.config.interval;
                let target = tokens.target(&app, now);
                running.push(self.check(Arc::clone(&edge.id), format!("{}{target}", edge.url)));
            }
        }
    }

    async fn check(&self, id: Arc<str>, url: String) -> (Arc<str>, Check, Instant) {
        let began = Instant::now();
        let whole = tokio::time::timeout(*self.config.timeout, self.fetch(&url)).await;
        let check = match whole.ok().flatten() {
            Some((came, stood)) => {
                let ms = began.elapsed().saturating_sub(stood).as_secs_f64() * 1000.0;
                // TLS 1.3 has a handshake of its own after that of TCP.
                let handshakes = if url.starts_with("https:") { 2.0 } else { 1.0 };
                let way_ms = stood.as_secs_f64() * 1000.0 / handshakes;
                if came { Check::Passed { ms, way_ms } } else { Check::Refused { ms, way_ms } }
            }
            None => Check::Lost,
        };
        (id, check, began)
    }

    /// Whether the object came, and how long the connection took to stand; `None` where nothing came, or not all.
    async fn fetch(&self, url: &str) -> Option<(bool, Duration)> {
        // A connection of its own each time, as for a viewer who comes: what holds on to old ones sees no full listener,
        // and its handshake tells how long the way is just now.
        let request =
            Request::get(url).header(RANGE, format!("bytes=0-{}", BYTES - 1)).header(CONNECTION, "close");
        let (response, stood) = self.client.send_fresh(request.body(Bytes::new()).ok()?).await.ok()?;
        if !matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Some((false, stood));
        }
        // A server that knows no ranges sends all of it: what is read of that has to do.
        let (parts, mut body) = response.into_parts();
        let partial = parts.status == StatusCode::PARTIAL_CONTENT;
        let read = match partial || body.remaining().is_some_and(|length| length <= BYTES as u64) {
            true => body.whole(BYTES).await.is_ok(),
            false => body.next().await.is_some_and(|piece| piece.is_ok()),
        };
        read.then_some((true, stood))
    }
}

/// What is asked of edges, one service after the other.
#[derive(Default)]
struct Tokens {
    made: HashMap<String, (Instant, String)>,
    turn: usize,
}

impl Tokens {
    /// Path and token of the next object.
    fn target(&mut self, app: &App, now: Instant) -> String {
        let named: Vec<(&SelectorService, &String)> =
            app.services.iter().filter_map(|service| Some((service, service.health.as_ref()?))).collect();
        self.turn = self.turn.wrapping_add(1);
        let Some((service, path)) = named.get(self.turn % named.len().max(1)) else {
            return BUILT_IN.to_owned();
        };
        if let Some((_, target)) = self.made.get(&service.id).filter(|(made, _)| now - *made < TOKEN_USE) {
            return target.clone();
        }
        match token(app, service, path) {
            Some(token) => {
                let target = format!("/~{token}{}", encode_path(path));
                self.made.insert(service.id.clone(), (now, target.clone()));
                target
            }
            None => BUILT_IN.to_owned(),
        }
    }
}

fn token(app: &App, service: &SelectorService, path: &str) -> Option<String> {
    let now = Utc::now().timestamp();
    let claims = Claims {
        iss: app.sessions.issuer.clone(),
        sub: "kromka-check".to_owned(),
        sid: Uuid::now_v7().to_string(),
        aud: service.id.clone(),
        exp: now + TOKEN_LIFE_S,
        iat: Some(now),
        cdniuc: Reach::around(path).ok()?.to_string(),
        ..Claims::default()
    };
    app.keys.sign(&claims, "/service/health").ok()
}
