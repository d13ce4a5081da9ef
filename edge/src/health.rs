//! `GET /~health`: a small object of the edge's own, for whoever wants to know how it serves.
//!
//! It takes the way of every object: accept, tier, answer. From memory mostly; each minute it is stale, and comes
//! anew through a fill and, where there is one, onto the disk. So it is slow where the edge is slow, and fails where
//! the edge fails, but needs neither token nor shield: what a selector checks when no real object is configured, and
//! what players measure the way to an edge with. Nobody may keep it on the way.

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use kromka_cache::{Fetched, Key};

/// Where it is. No token looks like it, and a service that knows tokens has no such path.
pub(crate) const PATH: &str = "/~health";

/// What it belongs to; no service is called so.
const SERVICE: &str = "~";

/// Bytes of it: one packet's worth would measure the way alone, and more than a few the line.
const SIZE: usize = 1024;

/// The name of the object in the tier.
pub(crate) fn key() -> Key {
    Key::new(SERVICE, PATH, None)
}

/// The object, as a source gives it; nothing where another one is asked for.
pub(crate) fn object(key: &Key) -> Option<Fetched> {
    if key.service() != SERVICE {
        return None;
    }
    let body = Bytes::from_static(&[b'.'; SIZE]);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, SIZE.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    headers.insert(ETAG, HeaderValue::from_static("\"health\""));
    Some(Fetched { status: StatusCode::OK, headers, body: Box::pin(stream::iter([Ok(body)])) })
}
