//! The shields as the edge's source.
//!
//! Every object has an order of shields of its own (rendezvous hashing), the same on all edges, so that one
//! shield fetches it from the store for all of them. A shield that cannot be reached is passed over for a
//! moment. Answers go to the tier untouched.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{AUTHORIZATION, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, VIA};
use http::{HeaderValue, Method, Request, StatusCode};
use kromka_cache::{Fetched, Key, Source, SourceError, SourceFault, Want};
use kromka_config::{Content, EdgeConfig, TagRule};
use kromka_hls::{Kind, Listed, Wanted};
use kromka_live::{Live, Place, Reload, parts};
use kromka_net::{BoxError, Client, ClientError, ClientOptions};
use kromka_telemetry::{Registry, SourceMeters};
use serde::Deserialize;
use url::form_urlencoded;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StartError;
use crate::server::Server;
use crate::siblings::{SIBLING, Siblings, settles};

/// Most objects that one prefix may name for a warm job.
const LISTED_MAX: usize = 200_000;

/// What `GET /-/list` of a shield answers.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    path: String,
    size: u64,
}

/// The shields of an edge; a clone is another handle to the same ones.
#[derive(Clone)]
pub(crate) struct Shields(Arc<Inner>);

struct Inner {
    shields: Vec<Server>,
    siblings: Arc<Siblings>,
    /// They are HTTP servers that hold the content themselves.
    plain: bool,
    client: Client,
    authorization: HeaderValue,
    cdn_loop: HeaderValue,
    via: HeaderValue,
    meters: SourceMeters,
    live: Arc<Live>,
    /// Services whose content is anything: nothing is read into it.
    web: Vec<String>,
    /// By service, where there are any.
    tags: HashMap<String, Vec<TagRule>>,
}

impl Shields {
    pub(crate) fn new(
        config: &EdgeConfig,
        registry: &Registry,
        live: Arc<Live>,
    ) -> Result<Shields, StartError> {
        let options = ClientOptions {
            connect: *config.shield.connect,
            first_byte: *config.shield.first_byte,
            stall: *config.shield.stall,
            ..ClientOptions::default()
        };
        let id = &config.node.id;
        let siblings = Siblings::new(&config.siblings, field("node.id", id)?);
        let mut authorization = field("node.token", &format!("Bearer {}", config.node.token.expose()))?;
        authorization.set_sensitive(true);
        Ok(Shields(Arc::new(Inner {
            shields: config.shield.urls.iter().map(|url| Server::new(url.as_str())).collect(),
            siblings,
            plain: config.shield.plain,
            client: Client::new(options).map_err(StartError::Net)?,
            authorization,
            cdn_loop: field("node.id", &format!("kromka; node={id}"))?,
            via: field("node.id", &format!("1.1 kromka-edge-{id}"))?,
            meters: SourceMeters::new(registry),
            live,
            web: config
                .service
                .iter()
                .filter(|one| one.content == Content::Web)
                .map(|one| one.id.clone())
                .collect(),
            tags: config
                .service
                .iter()
                .filter(|service| !service.tags.is_empty())
                .map(|service| (service.id.clone(), service.tags.clone()))
                .collect(),
        })))
    }

    /// The edges beside this one.
    pub(crate) fn siblings(&self) -> &Arc<Siblings> {
        &self.0.siblings
    }

    /// Names and sizes of all objects of a service whose path begins with `prefix`.
    pub(crate) async fn list(&self, service: &str, prefix: &str) -> Result<Vec<(String, u64)>, SourceError> {
        let mut listed = Vec::new();
        let mut after = String::new();
        while listed.len() < LISTED_MAX {
            let page = self.0.page(service, prefix, &after).await?;
            listed.extend(page.items.into_iter().map(|item| (item.path, item.size)));
            match page.next {
                Some(next) if next > after => after = next,
                _ => return Ok(listed),
            }
        }
        let message = format!("more than {LISTED_MAX} objects begin with {prefix}: name a longer prefix");
        Err(SourceError::new(SourceFault::Broken, message))
    }
}

impl Shields {
    /// Whether a request for a part that is only announced is held behind until the part is there.
    pub(crate) fn holds_parts(&self) -> bool {
        !self.0.plain
    }

    /// Sends a viewer's request to the server behind, as it is; its answer is nobody else's.
    pub(crate) async fn pass_on<B>(&self, request: Request<B>) -> Result<Fetched, SourceError>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
    {
        let inner = &self.0;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        // Not asked again elsewhere: what an unsafe request did, it must not do twice.
        let shield = inner.shields.first();
        let uri = shield.and_then(|shield| format!("{}{target}", shield.url).parse().ok());
        let uri = uri.ok_or_else(|| SourceError::new(SourceFault::Broken, "the target makes no URL"))?;
        let (mut parts, body) = request.into_parts();
        parts.uri = uri;
        parts.version = http::Version::HTTP_11;
        parts.headers = kromka_cache::end_to_end(&parts.headers);
        parts.headers.remove(HOST);
        parts.headers.append("cdn-loop", inner.cdn_loop.clone());
        parts.headers.append(VIA, inner.via.clone());
        let answer = inner.client.send_body(Request::from_parts(parts, body)).await.map_err(fault)?;
        let (parts, body) = answer.into_parts();
        let body = Box::pin(body.map(|piece| piece.map_err(fault)));
        Ok(Fetched { status: parts.status, headers: parts.headers, body })
    }
}

impl Inner {
    /// The shields in the order in which this object asks them.
    fn order(&self, key: &Key) -> Vec<&Server> {
        let now = Instant::now();
        let rank = |shield: &&Server| {
            (
                shield.is_away(now),
                std::cmp::Reverse(xxh3_64_with_seed(shield.url.as_bytes(), key.hash() as u64)),
            )
        };
        let mut shields: Vec<_> = self.shields.iter().collect();
        shields.sort_by_cached_key(rank);
        shields
    }

    async fn ask(&self, shield: &Server, want: &Want) -> Result<Fetched, SourceError> {
        let request = self.request(shield, want).ok_or_else(|| {
            SourceError::new(SourceFault::Broken, format!("{} cannot be written as a request", want.key))
        })?;
        let (parts, body) = self.client.send(request).await.map_err(fault)?.into_parts();
        if parts.status == StatusCode::UNAUTHORIZED && !self.plain {
            let message = format!(
                "shield {} refused the node token: set the same node.token on this edge and on the origin",
                shield.url
            );
            tracing::error!("{message}");
            return Err(SourceError::new(SourceFault::Refused, message));
        }
        let body = Box::pin(body.map(|piece| piece.map_err(fault)));
        Ok(Fetched { status: parts.status, headers: parts.headers, body })
    }

    /// Whether an object is a playlist that must not go backwards.
    fn guards(&self, key: &Key) -> bool {
        kromka_hls::kind(key.path()) == Kind::Playlist && !self.web.iter().any(|web| web == key.service())
    }

    /// Whether a known playlist says that the object exists.
    fn is_listed(&self, key: &Key) -> bool {
        let place = self.live.place(key.service(), key.path());
        place.is_some_and(|place| place.listed.exists())
    }

    /// What a low-latency playlist says of an object that does not exist yet.
    fn announced(&self, key: &Key) -> Option<Place> {
        let place = self.live.any_hints().then(|| self.live.place(key.service(), key.path()))?;
        place.filter(|place| place.listed == Listed::Hint)
    }

    /// What the first shield says that can be reached, of those that `owner` asks. One whose connection breaks before it
    /// has said anything is none; one that is late may wait for its source, as the next one would. One that lacks what
    /// its own playlist names lags: then the next one is asked, too.
    async fn first(&self, want: &Want, owner: &Key) -> Result<Fetched, SourceError> {
        let mut last = SourceError::new(SourceFault::Unreachable, "no shield is configured");
        let mut lacking: Option<Fetched> = None;
        for shield in self.order(owner) {
            let asked = Instant::now();
            match self.ask(shield, want).await {
                Err(error) if error.kind != SourceFault::TimedOut => {
                    tracing::warn!(shield = %shield.url, %error, "shield unreachable");
                    shield.pass_over(error.kind, asked, Instant::now());
                    last = error;
                }
                Err(error) => {
                    tracing::warn!(shield = %shield.url, key = %want.key, %error, "no answer from the shield");
                    return lacking.ok_or(error);
                }
                Ok(answer) if lacks(answer.status) => match lacking {
                    Some(lacking) => return Ok(lacking),
                    None if self.shields.len() > 1 && self.is_listed(&want.key) => lacking = Some(answer),
                    None => return Ok(answer),
                },
                answer => return answer,
            }
        }
        lacking.ok_or(last)
    }

    /// What the sibling that owns an object says; none where a shield is to be asked.
    async fn beside(&self, want: &Want) -> Option<Fetched> {
        if self.plain {
            return None;
        }
        let owner = self.siblings.owner(&want.key)?;
        if owner.is_away(Instant::now()) {
            return None;
        }
        let mut request = self.request(&owner, want)?;
        request.headers_mut().insert(SIBLING, self.siblings.name.clone());
        let counters = &self.siblings.counters;
        let asked = Instant::now();
        match self.client.send_within(request, self.siblings.wait).await {
            Ok(answer) if settles(answer.status()) => {
                counters.filled.fetch_add(1, Ordering::Relaxed);
                let (parts, body) = answer.into_parts();
                let body = Box::pin(body.map(|piece| piece.map_err(fault)));
                Some(Fetched { status: parts.status, headers: parts.headers, body })
            }
            other => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                let status = other.as_ref().map_or(0, |answer| answer.status().as_u16());
                tracing::debug!(sibling = %owner.url, key = %want.key, status, "a sibling does not answer");
                let fault = other.map_err(fault).err().map_or(SourceFault::Broken, |error| error.kind);
                owner.pass_over(fault, asked, Instant::now());
                None
            }
        }
    }

    /// Asks for a playlist as it will be when it holds `next`.
    async fn reload(&self, want: &Want, next: Wanted, limit: Duration) -> Result<Fetched, SourceError> {
        let mut query = want.key.query().map(|query| format!("{query}&")).unwrap_or_default();
        query.push_str(&next.query());
        let asked = Want { key: Key::new(want.key.service(), want.key.path(), Some(&query)), ..want.clone() };
        let mut last = SourceError::new(SourceFault::Unreachable, "no shield is configured");
        // The shield that fetches the playlist for all edges is the one that waits for it.
        for shield in self.order(&want.key) {
            let Some(request) = self.request(shield, &asked) else { continue };
            let begun = Instant::now();
            match self.client.send_within(request, limit).await.map_err(fault) {
                Err(error) if error.kind != SourceFault::TimedOut => {
                    shield.pass_over(error.kind, begun, Instant::now());
                    last = error;
                }
                Err(error) => return Err(error),
                Ok(answer) => {
                    let (parts, body) = answer.into_parts();
                    let body = Box::pin(body.map(|piece| piece.map_err(fault)));
                    return Ok(Fetched { status: parts.status, headers: parts.headers, body });
                }
            }
        }
        Err(last)
    }

    fn request(&self, shield: &Server, want: &Want) -> Option<Request<Bytes>> {
        let Want { key, .. } = want;
        let mut url = match self.plain {
            true => format!("{}{}", shield.url, key.path()),
            false => format!("{}/{}{}", shield.url, key.service(), kromka_hls::encode_path(key.path())),
        };
        if let Some(query) = key.query() {
            url.push('?');
            url.push_str(query);
        }
        let mut request =
            Request::builder().method(if want.head { Method::HEAD } else { Method::GET }).uri(url);
        if let Some(headers) = request.headers_mut() {
            *headers = want.headers.clone();
        }
        request = request.header("cdn-loop", &self.cdn_loop).header(VIA, &self.via);
        if !self.plain {
            request = request.header(AUTHORIZATION, &self.authorization);
            if want.fence > 0 {
                request = request.header("kromka-fence", want.fence);
            }
        }
        if let Some(range) = &want.range {
            let mut bytes = String::with_capacity(32);
            write!(bytes, "bytes={}-{}", range.start, range.end.checked_sub(1)?).ok()?;
            request = request.header(RANGE, bytes);
            if let Some(pin) = &want.pin {
                request = request.header(IF_RANGE, pin);
            }
        }
        if let Some(known) = &want.revalidate {
            if let Some(etag) = &known.etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            if let Some(date) = &known.last_modified {
                request = request.header(IF_MODIFIED_SINCE, date);
            }
        }
        request.body(Bytes::new()).ok()
    }

    /// One page of a listing, from the first shield that can be reached.
    async fn page(&self, service: &str, prefix: &str, after: &str) -> Result<Page, SourceError> {
        let mut last = SourceError::new(SourceFault::Unreachable, "no shield is configured");
        let pairs = [("service", service), ("prefix", prefix), ("after", after)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        for shield in &self.shields {
            let request = Request::builder()
                .uri(format!("{}/-/list?{query}", shield.url))
                .header(AUTHORIZATION, &self.authorization)
                .body(Bytes::new())
                .map_err(|error| SourceError::new(SourceFault::Broken, error.to_string()))?;
            match self.client.json(request).await {
                Ok(page) => return Ok(page),
                Err(error) => last = fault(error),
            }
        }
        Err(last)
    }
}

impl Source for Shields {
    async fn fetch(&self, mut want: Want) -> Result<Fetched, SourceError> {
        if let Some(own) = crate::health::object(&want.key) {
            return Ok(own);
        }
        let guarded = self.0.guards(&want.key);
        let head = want.head;
        if guarded {
            // It is read here, so it is fetched whole; it is small.
            want.range = None;
            want.pin = None;
            want.head = false;
        }
        // What is only announced is held where its playlist came from: others know nothing of it.
        let announced = self.0.announced(&want.key);
        if !guarded
            && announced.is_none()
            && let Some(fetched) = self.0.beside(&want).await
        {
            return Ok(fetched);
        }
        // A shield knows the names of parts; a server of content knows ranges.
        let part = if self.0.plain { parts::wish(&want) } else { None };
        let begun = Instant::now();
        let wish = part.as_ref().unwrap_or(&want);
        let owner = announced.as_ref().map_or(&wish.key, Place::playlist);
        let mut answer = self.0.first(wish, owner).await;
        self.0.meters.count(want.key.service(), begun, kromka_cache::outcome(&answer));
        if let (Ok(fetched), Some(rules)) = (&mut answer, self.0.tags.get(want.key.service())) {
            fetched.tag(rules, want.key.path());
        }
        if let Some(part) = part {
            return parts::granted(&part, answer?);
        }
        if !guarded {
            return answer;
        }
        let mut fetched = self.0.live.pass(&want, answer?).await?.fetched;
        if head {
            fetched.body = Box::pin(stream::empty());
        }
        Ok(fetched)
    }
}

impl Reload for Shields {
    async fn reload(&self, want: Want, next: Wanted, limit: Duration) -> Result<Fetched, SourceError> {
        let begun = Instant::now();
        let answer = self.0.reload(&want, next, limit).await;
        self.0.meters.count(want.key.service(), begun, kromka_cache::outcome(&answer));
        Ok(self.0.live.pass(&want, answer?).await?.fetched)
    }
}

/// Whether an answer may be another shield's to give better.
fn lacks(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) || status.is_server_error()
}

fn fault(error: ClientError) -> SourceError {
    let kind = match &error {
        ClientError::Unreachable { .. } => SourceFault::Unreachable,
        ClientError::TimedOut { .. } => SourceFault::TimedOut,
        _ => SourceFault::Broken,
    };
    SourceError::new(kind, error.to_string())
}

fn field(key: &'static str, value: &str) -> Result<HeaderValue, StartError> {
    let why = || "it holds a character that no HTTP header may hold".to_owned();
    HeaderValue::from_str(value).map_err(|_| StartError::Setting { key, why: why() })
}
