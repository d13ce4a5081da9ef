//! How long an answer of a source lives: the shield's decision, written into Cache-Control.
//!
//! A source that speaks for itself is heard first (`honour_source`); then a playlist is asked, since its
//! target duration is the only true measure of a live stream; the rest goes by kind.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA};
use http::{HeaderMap, StatusCode};
use kromka_cache::{Fetched, SourceBody, SourceError};
use kromka_config::LifetimesConfig;
use kromka_hls::{Kind, Lifetime, Lifetimes};

use crate::source::put;

/// A playlist beyond this is passed through unread: ten hours of two-second segments take some 2 MB.
const PLAYLIST_MAX: usize = 4 << 20;

/// What else a source may use to speak about lifetimes (RFC 9213 and its forerunner).
const TARGETED: [&str; 3] = ["kromka-cache-control", "cdn-cache-control", "surrogate-control"];

/// Gives an answer its Cache-Control and, where the source named none, its Content-Type.
pub(crate) async fn settle(
    mut fetched: Fetched,
    path: &str,
    config: &LifetimesConfig,
) -> Result<Fetched, SourceError> {
    if !config.honour_source {
        forget(&mut fetched.headers);
    }
    let spoken = speaks(&fetched.headers);
    let kind = kromka_hls::kind(path);
    match fetched.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            if !fetched.headers.contains_key(CONTENT_TYPE) {
                put(&mut fetched.headers, CONTENT_TYPE, kromka_hls::content_type(path));
            }
            if spoken {
                return Ok(fetched);
            }
            let lifetime = match kind {
                Kind::Playlist => {
                    let (text, body) = peek(fetched.body).await?;
                    fetched.body = body;
                    playlist(text.as_deref(), path, config)
                }
                kind => kromka_hls::object_lifetime(kind, &defaults(config)),
            };
            put(&mut fetched.headers, CACHE_CONTROL, &lifetime.cache_control());
        }
        // A playlist's 304 has no text to read; the stored Cache-Control stays true with the stored text.
        StatusCode::NOT_MODIFIED if !spoken && kind != Kind::Playlist => {
            let lifetime = kromka_hls::object_lifetime(kind, &defaults(config));
            put(&mut fetched.headers, CACHE_CONTROL, &lifetime.cache_control());
        }
        StatusCode::NOT_FOUND | StatusCode::GONE if !spoken => {
            put(&mut fetched.headers, CACHE_CONTROL, &short(*config.missing).cache_control());
        }
        _ => {}
    }
    Ok(fetched)
}

/// Whether the source has said how long its answer lives.
fn speaks(headers: &HeaderMap) -> bool {
    headers.contains_key(CACHE_CONTROL)
        || headers.contains_key(EXPIRES)
        || TARGETED.iter().any(|name| headers.contains_key(*name))
}

fn forget(headers: &mut HeaderMap) {
    for name in [CACHE_CONTROL, EXPIRES, PRAGMA] {
        headers.remove(name);
    }
    for name in TARGETED {
        headers.remove(name);
    }
}

/// A playlist that cannot be read is the publisher's mistake, not a reason to stop the viewers: it is passed
/// on, told in the log, and asked for again soon.
fn playlist(text: Option<&[u8]>, path: &str, config: &LifetimesConfig) -> Lifetime {
    let Some(text) = text else {
        tracing::warn!(path, limit = PLAYLIST_MAX, "playlist too large to read: short lifetime");
        return short(*config.missing);
    };
    let parsed = match std::str::from_utf8(text) {
        Ok(text) => kromka_hls::parse(text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match parsed {
        Ok(playlist) => kromka_hls::playlist_lifetime(&playlist, &defaults(config)),
        Err(error) => {
            tracing::warn!(path, error, "playlist cannot be read: passed on with a short lifetime");
            short(*config.missing)
        }
    }
}

fn defaults(config: &LifetimesConfig) -> Lifetimes {
    Lifetimes { segment: *config.segment, multivariant: *config.multivariant, other: *config.other }
}

/// For what is true only for a moment.
fn short(max_age: Duration) -> Lifetime {
    Lifetime {
        max_age,
        immutable: false,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
    }
}

/// The whole text if it fits, and a body that begins with what was read.
async fn peek(mut body: SourceBody) -> Result<(Option<Bytes>, SourceBody), SourceError> {
    let mut read = BytesMut::new();
    while let Some(piece) = body.next().await {
        read.extend_from_slice(&piece?);
        if read.len() > PLAYLIST_MAX {
            let first = stream::iter([Ok(read.freeze())]);
            return Ok((None, Box::pin(first.chain(body))));
        }
    }
    let text = read.freeze();
    Ok((Some(text.clone()), Box::pin(stream::iter([Ok(text)]))))
}
