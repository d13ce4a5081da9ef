//! A multivariant playlist as one viewer gets it: cut to the plan, with the ways in that may be taken.
//!
//! The tier keeps one playlist for all; what is made of it here has an entity tag of its own, so that a change
//! of plan or of pathways is a change of the resource.

use futures_util::FutureExt;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{Either, Full};
use kromka_access::Session;
use kromka_cache::{Key, Verdict, Whole};
use kromka_hls::{Playlist, RequestPath, steering};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use crate::Content;
use crate::edge::{Edge, PLAYLIST_MAX, Visit};
use crate::error::Denied;
use crate::pathways::Steered;
use crate::services::Service;
use crate::variants::{self, Limits};

/// What is to be made of a viewer's multivariant playlist.
pub(crate) struct Wish<'a> {
    limits: Option<Limits>,
    /// The steering document and the session's name.
    steering: Option<(&'a Url, Option<&'a str>)>,
    service: &'a Service,
}

impl<'a> Wish<'a> {
    /// Nothing where the playlist is to be as it is.
    ///
    /// A viewer is steered only where what lets it in stands in the path, or is not needed: a cookie or a query
    /// does not come along to another edge.
    pub(crate) fn of(
        service: &'a Service,
        path: &'a RequestPath,
        session: Option<&'a Session>,
    ) -> Option<Wish<'a>> {
        let limits = session.and_then(Limits::of);
        let moves = service.public || path.token.is_some();
        let steering = service.steering.as_ref().filter(|_| moves);
        let steering =
            steering.map(|document| (document, session.map(|session| session.claims.sid.as_str())));
        (limits.is_some() || steering.is_some()).then_some(Wish { limits, steering, service })
    }
}

impl Edge {
    /// The playlist as wished; nothing if it is no multivariant playlist, or if nothing is to be changed.
    pub(crate) async fn tailored(
        &self,
        visit: &Visit<'_>,
        path: &RequestPath,
        key: &Key,
        wish: &Wish<'_>,
    ) -> Result<Option<(Response<Content>, Option<Verdict>)>, Denied> {
        let read = self.tier.read(key.clone(), PLAYLIST_MAX).await;
        let Whole { status, headers, body, verdict } = read.map_err(Denied::Tier)?;
        if status != StatusCode::OK || !steering::is_multivariant(&body) {
            return Ok(None);
        }
        let Ok(text) = std::str::from_utf8(&body) else { return Ok(None) };
        let Ok(playlist @ Playlist::Multivariant(_)) = kromka_hls::parse(text) else { return Ok(None) };
        let cut = wish.limits.map(|limits| variants::cut(limits, text)).transpose()?;
        let left = cut.as_deref().unwrap_or(text);
        let target = visit.request.uri().path();
        // A token that came in the query is not in the path that other pathways repeat.
        let moves = wish.service.public || target.starts_with("/~");
        let steered = match wish.steering.filter(|_| moves) {
            None => None,
            Some((document, session)) => {
                let (asset, tls) = (path.path.as_str(), visit.peer.tls);
                let ended = self.ended(wish.service, asset, &playlist).await;
                self.pathways.write(left, &Steered { document, asset, target, session, tls, ended })
            }
        };
        let tailored = steered.or(cut).filter(|tailored| tailored != text);
        let head = visit.request.method() == Method::HEAD;
        let respond = |tailored| respond(visit.request.headers(), headers, tailored, head);
        Ok(tailored.map(|tailored| (respond(tailored), Some(verdict))))
    }

    /// Whether the first variant is here and has ended. What is not here is on its way from now on: the player
    /// asks for it next, and is not kept waiting for the answer to this.
    async fn ended(&self, service: &Service, asset: &str, playlist: &Playlist) -> bool {
        let Some(first) = playlist.children(asset).into_iter().next() else { return false };
        let key = Key::new(&service.id, &first, None);
        let Some(Ok(whole)) = self.tier.read(key, PLAYLIST_MAX).now_or_never() else { return false };
        if whole.status != StatusCode::OK {
            return false;
        }
        let parsed = std::str::from_utf8(&whole.body).map(kromka_hls::parse);
        matches!(parsed, Ok(Ok(Playlist::Media(media))) if media.ended)
    }
}

/// An answer with a text of our own and what of the original's header is true of it.
pub(crate) fn respond(
    asked: &HeaderMap,
    mut headers: HeaderMap,
    text: String,
    head: bool,
) -> Response<Content> {
    // Nothing that speaks of the bytes of the original may stay.
    for name in [CONTENT_LENGTH, CONTENT_RANGE, ACCEPT_RANGES, LAST_MODIFIED] {
        headers.remove(name);
    }
    let original = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    let original = original.trim_start_matches("W/").trim_matches('"');
    let tag = format!("\"{original}-{:016x}\"", xxh3_64(text.as_bytes()));
    let unchanged = kromka_cache::none_match(asked, Some(&tag));
    // What the original's tag is made of can stand in a header, and so can digits.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    let mut response = Response::new(Either::Right(Full::default()));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        if !head {
            *response.body_mut() = Either::Right(text.into());
        }
    }
    *response.headers_mut() = headers;
    response
}
