//! How long an answer of a source lives: the shield's decision, written into Cache-Control.
//!
//! A source that speaks for itself is heard first (`honour_source`); then a playlist is asked, since its
//! target duration is the only true measure of a live stream; the rest goes by kind, and by what a live
//! playlist says of it. No source makes a live playlist live longer than half its target duration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA};
use http::{HeaderMap, StatusCode};
use kromka_cache::Fetched;
use kromka_config::LifetimesConfig;
use kromka_hls::{Kind, Lifetime, Lifetimes, Listed};
use kromka_live::{Place, Version, What};

use crate::backing::{plain, put};

/// What stands still is asked for again after this.
const SOON: Duration = Duration::from_secs(1);

/// What else a source may use to speak about lifetimes (RFC 9213 and its forerunner).
const TARGETED: [&str; 3] = ["kromka-cache-control", "cdn-cache-control", "surrogate-control"];

/// What the shield knows of what it answers with.
pub(crate) enum Known<'a> {
    /// A playlist, as it came through the guard.
    Playlist(&'a What),
    /// Anything else, and what it is to a stream that went by here lately.
    Object(Option<&'a Place>),
    /// A file that is still being written.
    Growing,
}

/// Segments of a stream that goes on live this many target durations, and are asked for again (appendix B.1 of
/// draft-pantos-hls-rfc8216bis): an encoder that starts anew may use a name again.
const LIVE_SEGMENT_TARGETS: u32 = 6;

/// Gives an answer its Cache-Control and, where the source named none, its Content-Type.
pub(crate) fn settle(fetched: &mut Fetched, path: &str, config: &LifetimesConfig, known: &Known<'_>) {
    let headers = &mut fetched.headers;
    if let Known::Playlist(What::Media { kept: true, .. }) = known {
        // The guard's own answer, to be asked for again soon.
        return;
    }
    if !config.honour_source {
        forget(headers);
    }
    match fetched.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            if !headers.contains_key(CONTENT_TYPE) {
                put(headers, CONTENT_TYPE, kromka_hls::content_type(path));
            }
            let lifetime = lifetime(known, path, config);
            if !speaks(headers) || is_longer(headers, &lifetime, known) {
                forget(headers);
                put(headers, CACHE_CONTROL, &lifetime.cache_control());
            }
        }
        StatusCode::NOT_MODIFIED => {
            // The stored Cache-Control stays true with the stored text, but for a stream that stands still. What the
            // source says beside it must not make a playlist live longer than with the text.
            let lifetime = lifetime(known, path, config);
            let settled = match known {
                Known::Playlist(What::Media { .. }) => {
                    is_overdue(known) || speaks(headers) && is_longer(headers, &lifetime, known)
                }
                Known::Playlist(_) => {
                    forget(headers);
                    false
                }
                _ => !speaks(headers),
            };
            if settled {
                forget(headers);
                put(headers, CACHE_CONTROL, &lifetime.cache_control());
            }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE if !speaks(headers) => {
            put(headers, CACHE_CONTROL, &short(missing(known, config)).cache_control());
        }
        _ => {}
    }
}

/// The fields of a version of a live playlist, as [`settle`] would have them.
pub(crate) fn dress(version: &Arc<Version>, path: &str, config: &LifetimesConfig) -> HeaderMap {
    let mut fetched = plain(StatusCode::OK);
    fetched.headers = version.headers.clone();
    let what = What::Media { version: version.clone(), live: true, kept: false };
    settle(&mut fetched, path, config, &Known::Playlist(&what));
    fetched.headers
}

fn lifetime(known: &Known<'_>, path: &str, config: &LifetimesConfig) -> Lifetime {
    let defaults = defaults(config);
    match known {
        Known::Playlist(What::Multivariant(_)) => kromka_hls::object_lifetime(Kind::Playlist, &defaults),
        Known::Playlist(What::Media { .. }) if is_overdue(known) => short(SOON),
        Known::Playlist(What::Media { version, live, .. }) => {
            let lifetime = kromka_hls::media_lifetime(&version.media, &defaults);
            // One that was seen going on may go on again under its name.
            if version.media.ended && *live { of_live(version, &defaults) } else { lifetime }
        }
        Known::Playlist(What::Unreadable(why)) => {
            tracing::warn!(path, why, "playlist cannot be read: passed on with a short lifetime");
            short(*config.missing)
        }
        Known::Playlist(What::Silent) => short(*config.missing),
        Known::Object(Some(place)) if place.is_live() && place.listed != Listed::Map => {
            of_live(&place.version, &defaults)
        }
        Known::Growing => short(SOON),
        Known::Object(_) => kromka_hls::object_lifetime(kromka_hls::kind(path), &defaults),
    }
}

fn of_live(version: &Version, defaults: &Lifetimes) -> Lifetime {
    let max_age = (version.target() * LIVE_SEGMENT_TARGETS).min(defaults.segment);
    Lifetime { max_age, immutable: false, stale_while_revalidate: max_age, stale_if_error: max_age }
}

/// Whether a live stream should have been updated by now: asked for again as soon as may be.
fn is_overdue(known: &Known<'_>) -> bool {
    matches!(known, Known::Playlist(What::Media { version, live: true, .. }) if version.is_overdue(Instant::now()))
}

/// Whether a source that speaks for itself lets a live playlist live for longer than players can bear.
fn is_longer(headers: &HeaderMap, lifetime: &Lifetime, known: &Known<'_>) -> bool {
    let live = matches!(known, Known::Playlist(What::Media { version, .. }) if !version.media.ended);
    live && spoken_lifetime(headers).is_none_or(|spoken| spoken > lifetime.max_age)
}

/// What a source says in the field that counts; none where it says it in another way.
fn spoken_lifetime(headers: &HeaderMap) -> Option<Duration> {
    let field =
        TARGETED.into_iter().find_map(|name| headers.get(name)).or_else(|| headers.get(CACHE_CONTROL));
    let mut longest = None;
    for directive in field?.to_str().ok()?.split([',', ';']) {
        let (name, value) = directive.trim().split_once('=').unwrap_or((directive.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" | "private" => return Some(Duration::ZERO),
            "s-maxage" => return value.trim_matches('"').parse().ok().map(Duration::from_secs),
            "max-age" => longest = value.trim_matches('"').parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    longest
}

/// For how long something is not there: what a stream is about to bring, at most one target duration.
fn missing(known: &Known<'_>, config: &LifetimesConfig) -> Duration {
    match known {
        Known::Object(Some(place)) if place.is_live() => (*config.missing).min(place.version.target()),
        _ => *config.missing,
    }
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
