//! The guard: what a source answers for a playlist, before the tier gets it.
//!
//! A tier behind which several sources stand (shields that lag, replicas of a bucket) would show a live stream
//! going back and forth. Here the newest version is known; an older one is answered with it instead, with a
//! lifetime of a second, so that the source is asked again soon.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, DATE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use kromka_cache::{Fetched, Key, SourceBody, SourceError, Want};
use kromka_hls::{Listing, Multivariant, Playlist};

use crate::Live;
use crate::counters::count;
use crate::stream::{Offered, Stream};
use crate::version::Version;

/// A playlist beyond this is passed on unread: ten hours of two-second segments take some 2 MB.
const PLAYLIST_MAX: usize = 4 << 20;

/// Segments of a stream that began anew which are forgotten; more than any player holds.
const FORGOTTEN: usize = 1000;

/// What a stream that stands still is given: asked again soon.
const SOON: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// An answer that went through the guard.
pub struct Passed {
    /// For the tier.
    pub fetched: Fetched,
    /// What it is.
    pub what: What,
}

/// What an answer of a source is.
pub enum What {
    /// No playlist's text: an error, or a 304 that confirms an object nothing is known of.
    Silent,
    /// A playlist of playlists.
    Multivariant(Multivariant),
    /// A media playlist, or a 304 that confirms one.
    Media {
        /// What the tier will hold.
        version: Arc<Version>,
        /// Whether the stream went on while it was known here.
        live: bool,
        /// Whether the source showed an older one. Then the answer has its lifetime already.
        kept: bool,
    },
    /// Neither: why, in words.
    Unreadable(String),
}

impl Live {
    /// Takes the answer of a source to a wish for a whole playlist.
    ///
    /// # Errors
    /// The body broke off.
    pub async fn pass(&self, want: &Want, fetched: Fetched) -> Result<Passed, SourceError> {
        match fetched.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(self.confirmed(want, fetched)),
            _ => return Ok(Passed { fetched, what: What::Silent }),
        }
        let (text, body) = peek(fetched.body).await?;
        let fetched = Fetched { body, ..fetched };
        let unreadable = |why: String, fetched| Ok(Passed { fetched, what: What::Unreadable(why) });
        let Some(text) = text else {
            return unreadable(format!("it has more than {PLAYLIST_MAX} bytes"), fetched);
        };
        let parsed = std::str::from_utf8(&text).map_err(|error| error.to_string());
        match parsed.and_then(|text| kromka_hls::parse(text).map_err(|error| error.to_string())) {
            Err(why) => unreadable(why, fetched),
            Ok(Playlist::Multivariant(playlist)) => {
                Ok(Passed { fetched, what: What::Multivariant(playlist) })
            }
            Ok(Playlist::Media(media)) if media.low_latency.skipped > 0 => {
                unreadable("it is an update without its beginning".to_owned(), fetched)
            }
            Ok(Playlist::Media(media)) => {
                if !media.low_latency.hints.is_empty() {
                    self.hints.store(true, Ordering::Relaxed);
                }
                let now = Instant::now();
                let version = Arc::new(Version {
                    headers: kromka_cache::end_to_end(&fetched.headers),
                    listing: Listing::new(&media, want.key.path()),
                    text,
                    media,
                    fence: want.fence,
                    since: now,
                });
                Ok(self.judged(want, fetched, version, now))
            }
        }
    }

    /// Learns a playlist from the tier, which has kept it since before this process, or outlived it here.
    pub fn learn(&self, key: &Key, headers: &HeaderMap, text: &Bytes) {
        let parsed = std::str::from_utf8(text).ok().map(kromka_hls::parse);
        let Some(Ok(Playlist::Media(media))) = parsed else { return };
        let version = Version {
            headers: kromka_cache::end_to_end(headers),
            listing: Listing::new(&media, key.path()),
            text: text.clone(),
            media,
            fence: 0,
            since: Instant::now(),
        };
        // Whoever came meanwhile knows it from a source.
        let _ = self.streams.insert(Stream::new(key.clone(), Arc::new(version)));
    }

    fn judged(&self, want: &Want, fetched: Fetched, version: Arc<Version>, now: Instant) -> Passed {
        let fresh = Stream::new(want.key.clone(), version.clone());
        let Some(stream) = self.streams.insert(fresh.clone()) else {
            let live = fresh.was_live();
            return Passed { fetched, what: What::Media { version, live, kept: false } };
        };
        let before = stream.newest();
        let offered = stream.offer(version, now);
        let newest = stream.newest();
        let live = stream.was_live();
        match offered {
            Offered::Refused => {
                count(&self.counters.refused);
                tracing::debug!(key = %want.key, "a source showed an older playlist");
                let what = What::Media { version: newest.clone(), live, kept: true };
                return Passed { fetched: answer(want, &newest), what };
            }
            Offered::Restarted => self.restarted(&want.key, &before, &newest),
            Offered::Adopted | Offered::Same => {}
        }
        self.streams.renew(&stream);
        Passed { fetched, what: What::Media { version: newest, live, kept: false } }
    }

    fn confirmed(&self, want: &Want, fetched: Fetched) -> Passed {
        let Some(stream) = self.streams.get(&want.key) else {
            return Passed { fetched, what: What::Silent };
        };
        let (version, live) = (stream.newest(), stream.was_live());
        if !is_of(want, &version) && !version.media.ended && want.fence <= version.fence {
            // The tier holds an older one than this node has seen; the source confirms that one.
            count(&self.counters.refused);
            let what = What::Media { version: version.clone(), live, kept: true };
            return Passed { fetched: answer(want, &version), what };
        }
        stream.confirm();
        Passed { fetched, what: What::Media { version, live, kept: false } }
    }

    /// Segments of the new stream that bear old names must not be answered with old bytes.
    fn restarted(&self, key: &Key, before: &Version, now: &Version) {
        count(&self.counters.restarts);
        tracing::info!(%key, from = before.media.position().segment, to = now.media.position().segment, "a stream began anew");
        let Some(forget) = self.forget.get() else { return };
        let segments = before.media.segments.iter().rev().map(|segment| &segment.uri);
        let parts = before.media.low_latency.parts.iter().map(|part| &part.uri);
        let maps = before.media.maps.iter();
        for uri in maps.chain(parts).chain(segments).take(FORGOTTEN) {
            if let Some(path) = before.listing.path(uri) {
                forget(&Key::new(key.service(), &path, None));
            }
        }
    }

    /// Held reloads, for the gauge.
    pub(crate) fn holds(&self, more: bool) {
        match more {
            true => self.counters.held_now.fetch_add(1, Ordering::Relaxed),
            false => self.counters.held_now.fetch_sub(1, Ordering::Relaxed),
        };
    }
}

/// Whether what the tier holds is this version.
fn is_of(want: &Want, version: &Version) -> bool {
    let Some(held) = &want.revalidate else { return true };
    let newest = version.validators();
    match (&held.etag, &newest.etag) {
        (Some(held), Some(newest)) => held == newest,
        _ => held.last_modified == newest.last_modified,
    }
}

/// The newest version in the source's place: 304 where the tier has it.
fn answer(want: &Want, version: &Version) -> Fetched {
    let mut headers = version.headers.clone();
    for name in [AGE, DATE] {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, SOON);
    let has = want.revalidate.as_ref().and_then(|known| known.etag.as_deref());
    if has.is_some() && has == version.headers.get(ETAG).and_then(|tag| tag.to_str().ok()) {
        return Fetched { status: StatusCode::NOT_MODIFIED, headers, body: Box::pin(stream::empty()) };
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(version.text.len()));
    let text = version.text.clone();
    Fetched { status: StatusCode::OK, headers, body: Box::pin(stream::iter([Ok(text)])) }
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
