//! The story of one request of an edge: `GET /<service>/<path>`, or `GET /-/list` for warm jobs.
//!
//! [`Origin::answer`] tells it from top to bottom. What the tier says goes back whole: the edge reads the
//! fields that a viewer will not see.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, VIA};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Either;
use kromka_cache::{Failure, Key, Tier, Verdict};
use kromka_config::{OriginConfig, Secret};
use kromka_hls::position::DIRECTIVE_PREFIX;
use kromka_hls::{Directives, Kind, Listed, Wanted};
use kromka_live::{Held, Live};
use kromka_net::{Counted, Handler, Incoming, Peer};
use kromka_telemetry::RequestMeters;
use serde::Serialize;
use url::form_urlencoded;

use crate::Content;
use crate::error::{Denied, StartError};
use crate::source::Sources;

/// Where edges ask for names.
const LIST: &str = "/-/list";

/// Names on a page of a listing.
const PAGE: usize = 1000;

/// What answers edges.
pub(crate) struct Origin {
    tier: Arc<Tier<Sources>>,
    sources: Sources,
    live: Arc<Live>,
    meters: Arc<RequestMeters>,
    token: Secret,
    id: String,
    via: HeaderValue,
}

/// A page of a listing.
#[derive(Serialize)]
struct Page {
    items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Item {
    path: String,
    /// Bytes.
    size: u64,
}

impl Handler for Origin {
    type Body = Counted<Content>;

    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<Counted<Content>> {
        let begun = Instant::now();
        let (response, verdict) = match self.answer(&request, self.tier.now()).await {
            Ok((response, verdict)) => (response, verdict),
            Err(denied) => (denied.response(), None),
        };
        let (mut parts, content) = response.into_parts();
        parts.headers.append(VIA, self.via.clone());
        let meters = self.meters.named(request.uri().path().split('/').nth(1).unwrap_or_default());
        let cache = verdict.map_or("none", Verdict::as_str);
        meters.answered(request.version(), parts.status, cache, begun.elapsed());
        Response::from_parts(parts, Counted::new(content, meters.sent()))
    }
}

impl Origin {
    pub(crate) fn new(
        config: &OriginConfig,
        (tier, sources, live): (Arc<Tier<Sources>>, Sources, Arc<Live>),
        meters: Arc<RequestMeters>,
    ) -> Result<Origin, StartError> {
        let id = config.node.id.clone();
        let via =
            HeaderValue::from_str(&format!("1.1 kromka-origin-{id}")).map_err(|_| StartError::Setting {
                key: "node.id",
                why: "it holds a character that no HTTP header may hold".to_owned(),
            })?;
        Ok(Origin { tier, sources, live, meters, token: config.node.token.clone(), id, via })
    }

    async fn answer(
        &self,
        request: &Request<Incoming>,
        now: SystemTime,
    ) -> Result<(Response<Content>, Option<Verdict>), Denied> {
        let (method, headers) = (request.method(), request.headers());
        if method != Method::GET && method != Method::HEAD {
            return Err(Denied::Method);
        }
        if kromka_net::looped(headers, &self.id) {
            return Err(Denied::Loop);
        }
        if !self.knows(headers) {
            return Err(Denied::Stranger);
        }
        let uri = request.uri();
        if uri.path() == LIST {
            return Ok((self.list(uri.query().unwrap_or_default()).await?, None));
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        // The edge has taken the token off: a `~` here belongs to the name.
        let asked = kromka_hls::split_plain(target).map_err(Denied::Path)?;
        let (service, path) = halves(&asked.path).ok_or(Denied::NoService)?;
        if !self.sources.knows(service) {
            return Err(Denied::NoService);
        }
        let playlist = kromka_hls::kind(path) == Kind::Playlist;
        let (query, wanted) = match playlist {
            true => directives(asked.query.as_deref())?,
            false => (asked.query, None),
        };
        let key = Key::new(service, path, query.as_deref());
        if let Some(wanted) = wanted
            && let Some(news) = self.hold(&key, wanted).await?
        {
            return Ok((news, Some(Verdict::Revalidated)));
        }
        self.announced(&key).await;
        let fence = fence(headers)?;
        let ask = kromka_cache::Ask { key: key.clone(), method, headers, web: false, fence, now };
        let answer = match self.tier.get(ask).await {
            Ok(answer) => answer,
            Err(failure) => return Err(failed(service, path, failure)),
        };
        let (ahead, verdict) = (self.sources.ahead(service), answer.verdict);
        if method == Method::GET && answer.response.status().is_success() && ahead > 0 {
            match playlist {
                true => self.live.playlist_asked(&self.tier, &key, verdict, ahead),
                false => self.live.segment_asked(&self.tier, &key, verdict, ahead, Vec::new),
            }
        }
        let mut response = answer.response.map(Either::Left);
        // What the source wants of the shield, an edge would take for its own.
        let misread = [StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED]
            .contains(&response.status());
        if misread || kromka_net::wordless(method, &response) {
            let problem = Denied::Status(response.status()).response();
            kromka_net::explain(&mut response, problem);
        }
        Ok((response, Some(answer.verdict)))
    }

    /// Holds a reload until there is news; nothing where the playlist as it is will do.
    async fn hold(&self, key: &Key, wanted: Wanted) -> Result<Option<Response<Content>>, Denied> {
        let held = self.live.hold(&self.tier, &self.sources, key, wanted).await;
        match held.map_err(|failure| failed(key.service(), key.path(), failure))? {
            Held::Now => Ok(None),
            Held::News(version) => {
                let mut response = Response::new(Either::Right(version.text.clone().into()));
                *response.headers_mut() = self.sources.dress(key, &version);
                let length = HeaderValue::from(version.text.len());
                response.headers_mut().insert(CONTENT_LENGTH, length);
                Ok(Some(response))
            }
            Held::TooFar => Err(Denied::TooFar),
            Held::Late | Held::Full => Err(Denied::NoNews),
        }
    }

    /// A part that a live playlist only announces is waited for.
    async fn announced(&self, key: &Key) {
        if !self.live.any_hints() {
            return;
        }
        let place = self.live.place(key.service(), key.path());
        let Some(place) = place.filter(|place| place.listed == Listed::Hint) else { return };
        if self.live.appears(&self.tier, &self.sources, &place, key.path()).await {
            self.tier.invalidate(key);
        }
    }

    /// Whether the request carries the fleet's token; the time it takes tells nothing about the token.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        bearer.is_some_and(|bearer| {
            kromka_access::constant_time_eq(bearer.trim_ascii(), self.token.expose().as_bytes())
        })
    }

    async fn list(&self, query: &str) -> Result<Response<Content>, Denied> {
        let (mut service, mut prefix, mut after) = (String::new(), "/".to_owned(), String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "service" => service = value.into_owned(),
                "prefix" => prefix = value.into_owned(),
                "after" => after = value.into_owned(),
                _ => {}
            }
        }
        if !self.sources.knows(&service) {
            return Err(Denied::NoService);
        }
        let listed = self.sources.list(&service, &prefix, &after, PAGE).await;
        let listed =
            listed.map_err(|error| failed(&service, &prefix, error.into()))?.ok_or(Denied::NoListing)?;
        let (names, next) = listed.page();
        let items = names.into_iter().map(|(path, size)| Item { path, size }).collect();
        // Names and numbers have no way to fail.
        let text = serde_json::to_vec(&Page { items, next }).unwrap_or_default();
        let mut response = Response::new(Either::Right(text.into()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

/// What a playlist's query names, and what a reload waits for.
fn directives(query: Option<&str>) -> Result<(Option<String>, Option<Wanted>), Denied> {
    let Some(query) = query else { return Ok((None, None)) };
    let asked = Directives::read(Some(query)).map_err(Denied::Directive)?;
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(DIRECTIVE_PREFIX)).collect();
    Ok((Some(kept.join("&")).filter(|kept| !kept.is_empty()), asked.wanted))
}

/// The operator reads the whole story here; the edge gets a short one.
fn failed(service: &str, path: &str, failure: Failure) -> Denied {
    tracing::warn!(service, path, %failure, "no answer from the source");
    Denied::Source(failure)
}

/// `/<service>/<path>` as service and path, which keeps its slash.
fn halves(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix('/')?;
    let slash = rest.find('/')?;
    Some(rest.split_at(slash))
}

/// The purge fence that the edge has reached; none is 0.
fn fence(headers: &HeaderMap) -> Result<u64, Denied> {
    let Some(value) = headers.get("kromka-fence") else { return Ok(0) };
    value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(Denied::Fence)
}
