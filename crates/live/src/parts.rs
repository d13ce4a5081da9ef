//! Parts that are byte ranges of a file which is still being written (`EXT-X-PART` with `BYTERANGE`).
//!
//! Such a file has no length and no version yet, so it cannot be one object. Each part of it is an object of its
//! own while its segment is not complete: named by the file and its bytes, fetched as that range, and never
//! changed. Once the playlist names the whole segment, the file is an object like any other.

use std::ops::Range;
use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use kromka_cache::{Fetched, Key, SourceError, SourceFault, Tier, Want};
use kromka_hls::{Listed, Media};

use crate::{Held, Live, Place, Reload, Version};

/// Names the bytes in a key; no service's query can hold it, since `/` ends no parameter's name.
const BYTES: &str = "/bytes=";

/// A part of a growing file, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part as an object.
    pub key: Key,
    /// Its place in the file, end exclusive.
    pub bytes: Range<u64>,
}

impl Live {
    /// The part that a request for a range of a growing file asks for; none where it asks for anything else.
    /// One that is only announced is waited for, at most one target duration.
    pub async fn part<S: Reload>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        source: &S,
        key: &Key,
        headers: &HeaderMap,
    ) -> Option<Part> {
        if !self.any_hints() {
            return None;
        }
        let (start, end) = single_range(headers)?;
        let path = key.path();
        let place = self.place(key.service(), path)?;
        if !place.grows && place.listed != Listed::Hint {
            return None;
        }
        if let Some(part) = Part::at(&place.version, key, start, end) {
            return Some(part);
        }
        let hints = &place.version.media.low_latency.hints;
        let announced = |hint: &kromka_hls::Hint| {
            hint.start == start && place.version.listing.path(&hint.uri).as_deref() == Some(path)
        };
        if !hints.iter().any(announced) {
            return None;
        }
        let there = |version: &Version| {
            Part::at(version, key, start, end).is_some()
                || !version
                    .listing
                    .find(path)
                    .is_some_and(|listed| matches!(listed, Listed::Part | Listed::Hint))
        };
        let held = self.wait(tier, source, &place.stream, place.version.target(), there).await;
        match held {
            Ok(Held::News(version)) => Part::at(&version, key, start, end),
            _ => None,
        }
    }
}

impl Part {
    /// The part that begins at `start` and, if the request says where to end, ends there.
    fn at(version: &Version, key: &Key, start: u64, end: Option<u64>) -> Option<Part> {
        let parts = version.media.low_latency.parts.iter().rev().filter(|part| !part.gap);
        let mut at = parts.filter_map(|part| {
            let bytes = part.byte_range.clone()?;
            let fits = bytes.start == start && end.is_none_or(|end| end == bytes.end);
            (fits && version.listing.path(&part.uri)? == key.path()).then_some(bytes)
        });
        let bytes = at.next()?;
        let query = format!("{}{BYTES}{}-{}", key.query().unwrap_or_default(), bytes.start, bytes.end);
        Some(Part { key: Key::new(key.service(), key.path(), Some(&query)), bytes })
    }
}

impl Place {
    /// Whether the file is still being written: parts of it are byte ranges, and its segment is not complete.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        self.grows
    }
}

/// Whether the parts at a path are ranges of one file.
pub(crate) fn grows(media: &Media, listing: &kromka_hls::Listing, path: &str) -> bool {
    let mut ranged = media.low_latency.parts.iter().rev().filter(|part| part.byte_range.is_some());
    ranged.any(|part| listing.path(&part.uri).as_deref() == Some(path))
}

/// `bytes=1-2` or `bytes=1-`, end exclusive.
fn single_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (first, last) = headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let last = match last.trim() {
        "" => None,
        last => Some(last.parse::<u64>().ok()?.checked_add(1)?),
    };
    Some((first.trim().parse().ok()?, last))
}

/// The request of a part without what would be applied to it once more.
#[must_use]
pub fn whole_part(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [RANGE, IF_RANGE] {
        headers.remove(name);
    }
    headers
}

/// A part's answer as that of a range of its file, whose length nobody knows yet (RFC 9110, section 14.4).
pub fn as_range<B>(response: &mut Response<B>, part: &Part) {
    if response.status() != StatusCode::OK {
        return;
    }
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let (first, last) = (part.bytes.start, part.bytes.end.saturating_sub(1));
    if let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/*")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
}

/// For a source: the wish for a part as one for a range of its file; none for any other wish.
#[must_use]
pub fn wish(want: &Want) -> Option<Want> {
    let (query, bytes) = want.key.query()?.rsplit_once(BYTES)?;
    let (start, end) = bytes.split_once('-')?;
    let (start, end) = (start.parse::<u64>().ok()?, end.parse::<u64>().ok()?);
    let key = Key::new(want.key.service(), want.key.path(), Some(query));
    Some(Want { key, range: Some(start..end), pin: None, revalidate: None, head: false, ..want.clone() })
}

/// For a source: the answer to such a wish as the part's own.
///
/// # Errors
/// The source gave something else than the range.
pub fn granted(wish: &Want, mut fetched: Fetched) -> Result<Fetched, SourceError> {
    match fetched.status {
        StatusCode::PARTIAL_CONTENT => {
            let range = wish.range.clone().unwrap_or_default();
            let stated = fetched.headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let expected = format!("bytes {}-{}/", range.start, range.end.saturating_sub(1));
            if !stated.is_some_and(|stated| stated.starts_with(&expected)) {
                return Err(SourceError::new(SourceFault::Broken, "another range than the part's"));
            }
            fetched.status = StatusCode::OK;
            // These speak of a file that changes with every part.
            for name in [CONTENT_RANGE, ACCEPT_RANGES, ETAG, LAST_MODIFIED] {
                fetched.headers.remove(name);
            }
            Ok(fetched)
        }
        StatusCode::OK => Err(SourceError::new(SourceFault::Broken, "the whole file instead of a part")),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            fetched.status = StatusCode::NOT_FOUND;
            fetched.headers.remove(CONTENT_RANGE);
            Ok(fetched)
        }
        _ => Ok(fetched),
    }
}
