//! Plan limits: a session with `maxh` or `maxbr` sees only the renditions it may play.
//!
//! The tier keeps one playlist for all; what is left of it for one plan is cut here, with an entity tag of
//! its own, so that a change of plan is a change of the resource.

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use kromka_access::Session;
use kromka_hls::{Playlist, PlaylistError};

use crate::error::Denied;
use crate::respond::Content;

/// What a session may play at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Picture lines.
    pub(crate) height: Option<u32>,
    /// Bits per second.
    pub(crate) bitrate: Option<u64>,
}

impl Limits {
    /// A session's limits, if it has any.
    pub(crate) fn of(session: &Session) -> Option<Limits> {
        let limits = Limits { height: session.claims.maxh, bitrate: session.claims.maxbr };
        (limits.height.is_some() || limits.bitrate.is_some()).then_some(limits)
    }
}

/// The multivariant playlist `text` within the limits; nothing if it is another kind of playlist, which any
/// session may have whole.
pub(crate) fn cut(
    limits: Limits,
    asked: &HeaderMap,
    mut headers: HeaderMap,
    text: &[u8],
    head: bool,
) -> Result<Option<Response<Content>>, Denied> {
    let Ok(text) = std::str::from_utf8(text) else { return Ok(None) };
    // An unreadable playlist names no rendition that could be refused.
    let Ok(Playlist::Multivariant(_)) = kromka_hls::parse(text) else { return Ok(None) };
    let left = match kromka_hls::filter(text, limits.height, limits.bitrate) {
        Ok(left) => left,
        Err(PlaylistError::NoVariantLeft { .. }) => return Err(Denied::NothingLeft),
        Err(_) => return Ok(None),
    };
    // Its own bytes: nothing that speaks of the bytes of the original may stay.
    for name in [CONTENT_LENGTH, CONTENT_RANGE, ACCEPT_RANGES, LAST_MODIFIED] {
        headers.remove(name);
    }
    if let Some(tag) =
        headers.get(ETAG).and_then(|tag| tag.to_str().ok()).and_then(|tag| derived(tag, limits))
    {
        headers.insert(ETAG, tag);
    }
    let unchanged = headers.get(ETAG).is_some_and(|tag| matches(asked, tag));
    let mut response = Response::new(if head || unchanged {
        Either::Right(Full::default())
    } else {
        Either::Right(left.clone().into())
    });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(left.len()));
    }
    *response.headers_mut() = headers;
    Ok(Some(response))
}

/// The original's tag and the limits: changes when either does.
fn derived(tag: &str, limits: Limits) -> Option<HeaderValue> {
    let inner = tag.trim_start_matches("W/").trim_matches('"');
    let Limits { height, bitrate } = limits;
    let tag = format!("\"{inner}-h{}-b{}\"", height.unwrap_or(0), bitrate.unwrap_or(0));
    HeaderValue::from_str(&tag).ok()
}

/// `If-None-Match` by weak comparison (RFC 9110 section 13.1.2).
fn matches(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let lines = asked.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.trim_start_matches("W/") == tag.trim_start_matches("W/"))
}
