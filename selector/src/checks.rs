//! Checks of edges: a real object, through each edge's public listener, again and again.
//!
//! A ping would show the kernel of the machine; this shows what a viewer gets. The object is one of a service that
//! names it (`service.health`), opened with a token of this selector's own that lives for a minute, or else the edge's
//! own small object. What comes of it goes to the roster, which judges. An edge that is suspicious is asked again sooner.
//!
//! [`Plan`] is who is checked when; [`Tokens`] what is asked for; [`Checker`] asks.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::Utc;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use http::{Request, StatusCode, header::RANGE};
use kromka_access::{Claims, Reach};
use kromka_config::{ChecksConfig, SelectorService};
use kromka_hls::encode_path;
use kromka_net::{Client, ClientOptions, NetError, Stood};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::{
    app::App,
    rank::outlier::{
        Check, LOOK_MS, Took,
        asking::{are_most, is_late, next_ms, patience_ms},
    },
    roster::ToCheck,
};

#[cfg(test)]
mod tests;

/// Where every edge has an object of its own.
const BUILT_IN: &str = "/~health";

/// How often is looked which edge is due.
const TICK: Duration = Duration::from_millis(LOOK_MS);

/// Of an edge that fails so many checks before one passes, it is said.
const UNPROVEN: u32 = 10;

/// Checks under way at once.
const AT_ONCE: usize = 128;

/// Bytes read of an object: what fits into a connection's first window (ten segments, RFC 6928), and so takes one round
/// trip. More would measure the line, and load it.
const BYTES: usize = 12 << 10;

/// How long a token of a check lives, and how long it is used, in seconds.
const TOKEN_LIFE_S: i64 = 60;
const TOKEN_USE: Duration = Duration::from_secs(20);

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
        // Each check has a patience of its own, and none is longer.
        let options = ClientOptions {
            connect: 2 * wait,
            first_byte: 2 * wait,
            stall: 2 * wait,
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
        let mut plan = Plan::new(*self.config.interval);
        let mut tokens = Tokens::default();
        let mut running = FuturesUnordered::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(first) = running.next() => {
                    // Whatever has ended by now is judged at once.
                    let mut ended = vec![first];
                    while let Some(Some(more)) = running.next().now_or_never() {
                        ended.push(more);
                    }
                    app.roster.checked(&ended);
                    for Ended { edge, check, began } in &ended {
                        plan.ended(edge, *began);
                        app.metrics.checked(*check, began.elapsed());
                        if plan.has_never_passed(edge, *check) {
                            tracing::warn!(
                                %edge,
                                last = ?check,
                                "no check of an edge has passed yet, so checks tell nothing of it: see whether this \
                                 selector reaches its public listener within `checks.timeout`, and whether the objects \
                                 of `service.health` are there"
                            );
                        }
                    }
                    continue;
                }
                () = app.stop.cancelled() => return,
            }
            let now = Instant::now();
            let edges = app.roster.to_check();
            for (edge, turn) in plan.due(&edges, AT_ONCE.saturating_sub(running.len()), now) {
                let asked = tokens.asked(&app, turn, now);
                running.push(self.check(edge.clone(), asked, now));
            }
        }
    }

    /// How long a check of the edge is waited for.
    fn patience(&self, edge: &ToCheck) -> Duration {
        lasts(patience_ms(in_ms(*self.config.timeout), edge.usual_ms))
    }

    async fn check(&self, edge: ToCheck, asked: Asked, began: Instant) -> Ended {
        let Asked { object, target } = asked;
        let url = format!("{}{target}", edge.url);
        let whole = tokio::time::timeout(self.patience(&edge), self.fetch(&url)).await;
        let check = match whole.ok().flatten() {
            Some((came, stood)) => {
                // TLS 1.3 has a handshake of its own after that of TCP.
                let trips = if url.starts_with("https:") { 2 } else { 1 };
                let took = Took { ms: in_ms(stood.at.elapsed()), stood_ms: in_ms(stood.took), trips, object };
                if came { Check::Passed(took) } else { Check::Refused(took) }
            }
            None => Check::Lost,
        };
        Ended { edge: edge.id, check, began }
    }

    /// Whether the object came, and how the connection came to stand; `None` where nothing came, or not all.
    async fn fetch(&self, url: &str) -> Option<(bool, Stood)> {
        // A connection of its own each time, as for a viewer who comes: what holds on to old ones sees no full listener,
        // and its handshake tells how long the way is just now.
        let request = Request::get(url).header(RANGE, format!("bytes=0-{}", BYTES - 1));
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

/// A check that has ended.
pub(crate) struct Ended {
    /// Of which edge.
    pub(crate) edge: Arc<str>,
    /// How.
    pub(crate) check: Check,
    /// When it began.
    pub(crate) began: Instant,
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What lasts so many milliseconds; nothing where that is no number.
fn lasts(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

/// When each edge is checked next.
struct Plan {
    interval: Duration,
    edges: HashMap<Arc<str>, Next>,
}

struct Next {
    /// When the last one began, or would have.
    last: Instant,
    /// The how manieth the next one is.
    turn: usize,
    /// When those began that have not ended, the first one first: no more than are under way.
    running: VecDeque<Instant>,
    /// How many have failed, while none has passed.
    unproven: Option<u32>,
}

impl Plan {
    fn new(interval: Duration) -> Plan {
        Plan { interval, edges: HashMap::new() }
    }

    /// Those of `edges` that are checked now, at most so many, and which turn it is of each.
    fn due<'e>(&mut self, edges: &'e [ToCheck], most: usize, now: Instant) -> Vec<(&'e ToCheck, usize)> {
        // Edges that have left; each that is here gets its entry below.
        if self.edges.len() > edges.len() {
            let here: HashSet<&str> = edges.iter().map(|edge| &*edge.id).collect();
            self.edges.retain(|id, _| here.contains(&**id));
        }
        let is_late = |edge: &&ToCheck| self.edges.get(&edge.id).is_some_and(|next| next.is_late(edge, now));
        let most_late = are_most(edges.iter().filter(is_late).count(), edges.len());
        let mut due = Vec::new();
        for (place, edge) in edges.iter().enumerate() {
            // New ones are spread over the interval, so that a fleet is not knocked at in step.
            let spread = self.interval.mul_f64(place as f64 / edges.len() as f64);
            let last = || now.checked_sub(self.interval).unwrap_or(now) + spread;
            let new = || Next { last: last(), turn: place, running: VecDeque::new(), unproven: Some(0) };
            let next = self.edges.entry(Arc::clone(&edge.id)).or_insert_with(new);
            let soon = edge.suspicious || !most_late && next.is_late(edge, now);
            let at = next.last + lasts(next_ms(in_ms(self.interval), soon));
            if at <= now {
                due.push((at, edge));
            }
        }
        // Where not all may be, those that have waited longest are.
        due.sort_by_key(|(at, _)| *at);
        due.truncate(most);
        let begin = |(_, edge): (Instant, &'e ToCheck)| {
            let next = self.edges.get_mut(&edge.id)?;
            let turn = next.turn;
            (next.last, next.turn) = (now, turn.wrapping_add(1));
            next.running.push_back(now);
            Some((edge, turn))
        };
        due.into_iter().filter_map(begin).collect()
    }

    /// A check that began then has ended.
    fn ended(&mut self, edge: &str, began: Instant) {
        if let Some(next) = self.edges.get_mut(edge) {
            next.running.retain(|running| *running != began);
        }
    }

    /// Whether what a check shows makes an edge one of which no check has passed though several should have; once of each.
    fn has_never_passed(&mut self, edge: &str, check: Check) -> bool {
        let Some(next) = self.edges.get_mut(edge) else { return false };
        next.unproven = next.unproven.filter(|_| check.failed()).map(|failed| failed.saturating_add(1));
        next.unproven == Some(UNPROVEN)
    }
}

impl Next {
    /// One that takes longer than usual is suspicious before it ends.
    fn is_late(&self, edge: &ToCheck, now: Instant) -> bool {
        let waited = self.running.front().map(|began| now.saturating_duration_since(*began));
        waited.is_some_and(|waited| is_late(in_ms(waited), edge.usual_ms))
    }
}

/// What an edge is asked for.
struct Asked {
    /// Which object: 0 is the edge's own, and each service's has its number.
    object: usize,
    /// Path and token.
    target: String,
}

impl Asked {
    fn built_in() -> Asked {
        Asked { object: 0, target: BUILT_IN.to_owned() }
    }
}

/// What is asked of an edge, one service after the other.
#[derive(Default)]
struct Tokens {
    made: HashMap<String, (Instant, String)>,
}

impl Tokens {
    /// The object of that turn.
    fn asked(&mut self, app: &App, turn: usize, now: Instant) -> Asked {
        let named: Vec<(&SelectorService, &String)> =
            app.services.iter().filter_map(|service| Some((service, service.health.as_ref()?))).collect();
        let number = turn % named.len().max(1);
        let Some((service, path)) = named.get(number) else { return Asked::built_in() };
        let object = number + 1;
        if let Some((_, target)) = self.made.get(&service.id).filter(|(made, _)| now - *made < TOKEN_USE) {
            return Asked { object, target: target.clone() };
        }
        let Some(token) = token(app, service, path) else { return Asked::built_in() };
        let target = format!("/~{token}{}", encode_path(path));
        self.made.insert(service.id.clone(), (now, target.clone()));
        Asked { object, target }
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
