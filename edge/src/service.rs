//! The story of one request of a viewer.
//!
//! [`Edge::answer`] tells it from top to bottom: method, path, service, token, object, plan, answer. Whoever
//! may not go on leaves early, with a [`Denied`] that `error` puts into words.

use std::time::{Instant, SystemTime};

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use kromka_access::{Refusal, Session};
use kromka_cache::{Ask, Key, Verdict};
use kromka_hls::{Kind, Listed, Playlist, RequestPath};
use kromka_live::parts;
use kromka_net::{Counted, Handler, Incoming, Peer};

use crate::Content;
use crate::cors::Cors;
use crate::edge::{Edge, PLAYLIST_MAX, Visit, unix};
use crate::error::Denied;
use crate::health;
use crate::respond;
use crate::services::Service;
use crate::siblings;
use crate::tailor::Wish;
use crate::ticket;
use crate::upcoming::Answered;

impl Handler for Edge {
    type Body = Counted<Content>;

    async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<Counted<Content>> {
        let begun = Instant::now();
        let now = SystemTime::now();
        if siblings::of_sibling(self, request.headers()) {
            return self.beside(&request, begun).await;
        }
        let (path, service) = self.locate(&request);
        if let Some(service) = service.filter(|service| service.web) {
            return self.web(request, peer, service, begun).await;
        }
        let visit = Visit { request: &request, peer, now };
        let told = match &path {
            _ if request.uri().path() == health::PATH && !self.services.all_web() => {
                self.health(&visit).await
            }
            Ok(path) => self.answer(&visit, path, service).await,
            Err(denied) => Err(denied.clone()),
        };
        let (response, verdict) = match told {
            Ok((response, verdict)) => (response, verdict),
            Err(denied) => (denied.response(), None),
        };
        let label = respond::label(verdict);
        let (mut parts, content) = response.into_parts();
        self.signature.sign(&mut parts.headers, request.version(), label);
        // What belongs to no service is an error, and holds nothing of anybody's.
        service.map_or(&Cors::Any, |service| &service.cors).allow(&request, &mut parts.headers);
        let meters = self.meters.requests.at(service.map(|service| service.index));
        meters.answered(request.version(), parts.status, label, begun.elapsed());
        Response::from_parts(parts, Counted::new(content, meters.sent()))
    }

    /// What belongs to no service holds nothing of anybody's: any page may read why it was refused.
    fn dress(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

impl Edge {
    /// What the request names, and who publishes it: needed even to refuse it properly.
    fn locate(&self, request: &Request<Incoming>) -> (Result<RequestPath, Denied>, Option<&Service>) {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        if self.services.all_web() {
            let path = request.uri().path().to_owned();
            let service = self.services.of(&path);
            return (Ok(RequestPath { token: None, path, query: None }), service);
        }
        // Where no service knows tokens, `~name` and `kt` are names like any other.
        let split = if self.services.all_public() { kromka_hls::split_plain } else { kromka_hls::split };
        match split(target) {
            Ok(path) => {
                let service = self.services.of(&path.path);
                (Ok(path), service)
            }
            Err(error) => (Err(Denied::Path(error)), None),
        }
    }

    /// An answer to a sibling: with the fields for tiers, and counted as no viewer's.
    async fn beside(&self, request: &Request<Incoming>, begun: Instant) -> Response<Counted<Content>> {
        let (response, verdict) = match self.answer_sibling(request).await {
            Ok((response, verdict)) => (response, verdict),
            Err(denied) => (denied.response(), None),
        };
        let meters = self.meters.requests.at(None);
        meters.answered(request.version(), response.status(), respond::label(verdict), begun.elapsed());
        response.map(|content| Counted::new(content, meters.sent()))
    }

    /// The edge's own object, by the way of every other; nobody may keep it.
    async fn health(&self, visit: &Visit<'_>) -> Result<(Response<Content>, Option<Verdict>), Denied> {
        let method = visit.request.method();
        if method != Method::GET && method != Method::HEAD {
            return Err(Denied::Method);
        }
        let ask = Ask {
            key: health::key(),
            method,
            headers: &HeaderMap::new(),
            web: false,
            fence: 0,
            now: visit.now,
        };
        let answer = self.tier.get(ask).await.map_err(Denied::Tier)?;
        let mut response = answer.response.map(Either::Left);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok((response, Some(answer.verdict)))
    }

    async fn answer(
        &self,
        visit: &Visit<'_>,
        path: &RequestPath,
        service: Option<&Service>,
    ) -> Result<(Response<Content>, Option<Verdict>), Denied> {
        let method = visit.request.method();
        if method == Method::OPTIONS {
            return Ok((no_content(), None));
        }
        if method != Method::GET && method != Method::HEAD {
            return Err(Denied::Method);
        }
        let headers = visit.request.headers();
        if self.signature.stands_in(headers) {
            return Err(Denied::Loop);
        }
        let service = service.ok_or(Denied::NoService)?;
        let key = Key::new(&service.id, &path.path, service.key_query(path.query.as_deref()).as_deref());
        let session = match service.public {
            true => None,
            false => Some(self.admit(visit, path, service, &key).await?),
        };
        let playlist = kromka_hls::kind(&path.path) == Kind::Playlist;
        let wish = Wish::of(service, path, session.as_ref());
        let mut own = match wish.filter(|_| playlist) {
            Some(wish) => self.tailored(visit, path, &key, &wish).await?,
            None => None,
        };
        if own.is_none() && playlist {
            own = self.reload(visit.request, &key, path.query.as_deref(), service).await?;
        }
        let (mut response, verdict) = match own {
            Some((response, verdict)) => (response, verdict),
            None => {
                let (response, verdict) = self.stored(visit, &key).await?;
                let session = session.as_ref();
                self.look_ahead(&Answered { visit, path, service, session, key: &key, verdict }, &response);
                (response, Some(verdict))
            }
        };
        if kromka_net::wordless(method, &response) {
            let problem = Denied::Source(response.status()).response();
            kromka_net::explain(&mut response, problem);
        }
        if let Some(session) = session {
            respond::make_private(response.headers_mut());
            if let Some(name) = session.claims.dl.as_deref().filter(|_| response.status().is_success()) {
                respond::offer(response.headers_mut(), name);
            }
            if response.status().is_success() && session.starts(&path.path) {
                self.meters.sessions.inc();
            }
        }
        Ok((response, verdict))
    }

    /// What the tier has, or gets.
    async fn stored(&self, visit: &Visit<'_>, key: &Key) -> Result<(Response<Content>, Verdict), Denied> {
        self.announced(key).await;
        let (method, headers) = (visit.request.method(), visit.request.headers());
        let part = self.live.part(&self.tier, &self.shields, key, headers).await;
        let whole = part.as_ref().map(|_| parts::whole_part(headers));
        let ask = Ask {
            key: part.as_ref().map_or(key, |part| &part.key).clone(),
            method,
            headers: whole.as_ref().unwrap_or(headers),
            web: false,
            fence: 0,
            now: self.tier.now(),
        };
        let answer = self.tier.get(ask).await.map_err(Denied::Tier)?;
        let mut response = answer.response.map(Either::Left);
        if let Some(part) = &part {
            parts::as_range(&mut response, part);
        }
        Ok((response, answer.verdict))
    }

    /// The session that the request's token stands for, if it opens this path now.
    async fn admit(
        &self,
        visit: &Visit<'_>,
        path: &RequestPath,
        service: &Service,
        key: &Key,
    ) -> Result<Session, Denied> {
        let token = ticket::find(path, visit.request.headers()).map_err(Denied::Token)?;
        let now = unix(visit.now);
        let session = self.keys.session(token, now).map_err(Denied::Token)?;
        let playlist = kromka_hls::kind(&path.path) == Kind::Playlist;
        let ask = kromka_access::Ask {
            service: &service.id,
            path: &path.path,
            multivariant: playlist,
            client: Some(visit.peer.addr.ip()),
            now,
        };
        match session.permits(&ask) {
            Ok(()) => Ok(session),
            // Past the start deadline only the content tells: a multivariant playlist is a new start, a
            // media playlist is what a session needs for as long as it lives.
            Err(Refusal::StartDeadline { by_s }) if playlist => {
                session.permits(&kromka_access::Ask { multivariant: false, ..ask }).map_err(Denied::Token)?;
                match self.is_media_playlist(key).await? {
                    true => Ok(session),
                    false => Err(Denied::Token(Refusal::StartDeadline { by_s })),
                }
            }
            Err(refusal) => Err(Denied::Token(refusal)),
        }
    }

    /// A part that a live playlist only announces is waited for: asked of the source before it is there, it
    /// would be a 404 for everybody.
    async fn announced(&self, key: &Key) {
        if !self.live.any_hints() {
            return;
        }
        let place = self.live.place(key.service(), key.path());
        let Some(place) = place.filter(|place| place.listed == Listed::Hint) else { return };
        if self.live.is_coming(key) {
            return;
        }
        if self.live.appears(&self.tier, &self.shields, &place, key.path()).await {
            self.tier.invalidate(key);
        }
    }

    /// Whether the object is a playlist of segments.
    async fn is_media_playlist(&self, key: &Key) -> Result<bool, Denied> {
        let read = self.tier.read(key.clone(), PLAYLIST_MAX).await;
        let whole = read.map_err(Denied::Tier)?;
        let parsed = std::str::from_utf8(&whole.body).map(kromka_hls::parse);
        Ok(whole.status == StatusCode::OK && matches!(parsed, Ok(Ok(Playlist::Media(_)))))
    }
}

fn no_content() -> Response<Content> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
