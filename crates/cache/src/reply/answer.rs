//! Turns a generation into an HTTP answer: 200, 206 (one part or several), 304 or 416, with the
//! fields that tell how it was come by (`Age`, and `Cache-Status` as `way` writes it).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::Key;
use crate::held::blocks;
use crate::held::generation::Generation;
use crate::held::meta::{self, Meta};
use crate::held::store::Store;
use crate::reply::body::{Body, Filler, Piece, Reader};
use crate::request::ask::Ask;
use crate::request::conditional;
use crate::request::range::{self, Selection, Spec};
use crate::rules::way::{CACHE_STATUS, Cause, Verdict, Way, behind};
use crate::stats::count;
use crate::upstream::fill::Attached;

/// Fields that tier, role and server add to the stored ones: `Age`, `Cache-Status`, `Content-Length`, `Via`,
/// and those of CORS and timing.
const OWN_FIELDS: usize = 12;

/// An answer, ready to be sent.
pub struct Answer {
    /// Status, fields and body. Fields for tiers only (`cdn-cache-control`, `surrogate-*`,
    /// `cache-tag`) are still there: the role that faces viewers takes them off.
    pub response: Response<Body>,
    /// How it was come by.
    pub verdict: Verdict,
}

/// An answer from what is stored, or is being stored.
pub(crate) fn stored(
    tier: &'static str,
    filler: Arc<dyn Filler>,
    ask: &Ask<'_>,
    generation: Arc<Generation>,
    following: Option<Arc<Attached>>,
    way: Way,
    upstream: Option<HeaderValue>,
) -> Answer {
    let meta = generation.meta();
    let length = generation.length();
    let selection = select(ask, &generation, &meta, length);
    let (way, first) = settle(way, filler.store(), &generation, &selection);
    let verdict = way.verdict;
    let mut headers = head(&meta);
    if !verdict.confirmed() {
        for name in &meta.withheld {
            headers.remove(name);
        }
    }
    let told = generation.told(tier, &meta, way, ask.now);
    headers.insert(AGE, told.age);
    if let Some(upstream) = upstream {
        headers.append(CACHE_STATUS, upstream);
    }
    headers.append(CACHE_STATUS, told.status);
    if conditional::not_modified(ask.headers, &meta) && meta.status == StatusCode::OK {
        for name in [CONTENT_TYPE, http::header::CONTENT_ENCODING] {
            headers.remove(name);
        }
        return respond(StatusCode::NOT_MODIFIED, headers, Body::empty(), verdict);
    }
    if meta.status == StatusCode::OK {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let mut later = VecDeque::new();
    let mut piece = Piece::Object(0, length);
    let status = match (selection, length) {
        (Selection::None, Some(length)) => {
            headers.insert(CONTENT_RANGE, value(format!("bytes */{length}")));
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            headers.remove(CONTENT_TYPE);
            StatusCode::RANGE_NOT_SATISFIABLE
        }
        (Selection::Parts(parts), Some(length)) => {
            match &parts[..] {
                [part] => {
                    headers.insert(
                        CONTENT_RANGE,
                        value(format!("bytes {}-{}/{length}", part.start, part.end - 1)),
                    );
                    headers.insert(CONTENT_LENGTH, (part.end - part.start).into());
                    piece = Piece::Object(part.start, Some(part.end));
                }
                parts => {
                    multipart(&mut headers, &mut later, parts, length, generation.id);
                    piece = later.pop_front().unwrap_or(piece);
                }
            }
            StatusCode::PARTIAL_CONTENT
        }
        // A part of a body that is still coming, and nobody knows how long it is.
        (Selection::Parts(parts), None) => {
            for part in parts {
                let stated = format!("bytes {}-{}/*", part.start, part.end - 1);
                headers.insert(CONTENT_RANGE, value(stated));
                headers.insert(CONTENT_LENGTH, (part.end - part.start).into());
                piece = Piece::Object(part.start, Some(part.end));
            }
            StatusCode::PARTIAL_CONTENT
        }
        (_, length) => {
            if let Some(length) = length {
                // Written once for all answers, unless the length became known just now.
                let written = told.length.filter(|_| told.of.length == Some(length));
                headers.insert(CONTENT_LENGTH, written.unwrap_or_else(|| length.into()));
            }
            meta.status
        }
    };
    if *ask.method == Method::HEAD || status == StatusCode::RANGE_NOT_SATISFIABLE || length == Some(0) {
        return respond(status, headers, Body::empty(), verdict);
    }
    let reader = Reader::new(filler, generation, piece, following).then(later);
    respond(status, headers, Body::stored(reader.beginning_with(first)), verdict)
}

/// An answer that is sent on without being stored.
pub(crate) fn passed(
    tier: &'static str,
    key: &Key,
    cause: Cause,
    status: StatusCode,
    came: &HeaderMap,
    length: Option<u64>,
    body: Body,
) -> Answer {
    let mut headers = meta::end_to_end(came);
    if let Some(age) = came.get(AGE) {
        headers.insert(AGE, age.clone());
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if let Some(upstream) = behind(came) {
        headers.append(CACHE_STATUS, upstream);
    }
    headers.append(CACHE_STATUS, Way::past(cause, status).member(tier, key, None));
    respond(status, headers, body, Verdict::Pass)
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body, verdict: Verdict) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Answer { response, verdict }
}

/// Which bytes are to be sent. Of a body whose length is not known yet that is a single range that has
/// arrived, or the whole.
pub(crate) fn select(ask: &Ask<'_>, generation: &Generation, meta: &Meta, length: Option<u64>) -> Selection {
    if meta.status != StatusCode::OK
        || *ask.method == Method::HEAD
        || !conditional::range_holds(ask.headers, meta)
    {
        return Selection::Whole;
    }
    match (range::wanted(ask.headers), length) {
        (None, _) => Selection::Whole,
        (Some(specs), Some(length)) => range::select(&specs, length),
        (Some(specs), None) => match specs[..] {
            [Spec::From(first, Some(last))]
                if generation.growing().is_some_and(|fill| fill.received() > last) =>
            {
                Selection::Parts(std::iter::once(first..last + 1).collect())
            }
            _ => Selection::Whole,
        },
    }
}

/// The stored fields, with room for those that tiers and roles add to every answer.
fn head(meta: &Meta) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(meta.headers.len() + OWN_FIELDS);
    for (name, value) in &meta.headers {
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// A hit whose first block is nowhere is a miss in part; counts what it is. Gives the first block if it is
/// in memory.
fn settle(
    mut way: Way,
    store: &Store,
    generation: &Generation,
    selection: &Selection,
) -> (Way, Option<(u32, Bytes)>) {
    let first = match selection {
        Selection::Parts(parts) => parts.first().map(|part| part.start),
        Selection::Whole => Some(0),
        Selection::None => None,
    };
    let first = first.filter(|_| generation.length() != Some(0));
    let first = first.map(|first| blocks::block_of(first, generation.block));
    let at_hand = first.and_then(|block| Some((block, store.memory.get(generation.id, block)?)));
    if let (Verdict::Hit, Some(block)) = (way.verdict, first)
        && at_hand.is_none()
        && !store.has(generation, block)
    {
        let collapsed = generation.is_coming(block, store.limits.read_ahead);
        let verdict = if collapsed { Verdict::Collapsed } else { Verdict::Partial };
        way = Way { verdict, cause: Some(Cause::Partial), collapsed, stored: true, ..way };
    }
    // Not what was undone, or purged, while it came.
    way.stored &= !generation.is_dead();
    let counters = &store.counters;
    count(match way.verdict {
        Verdict::Hit => &counters.hits,
        Verdict::Stale | Verdict::StaleOnError => &counters.stale,
        Verdict::Revalidated => &counters.revalidated,
        Verdict::Miss | Verdict::Partial => &counters.miss_cold,
        Verdict::Expired | Verdict::Asked => &counters.miss_expired,
        Verdict::Purged => &counters.miss_purged,
        Verdict::Collapsed => &counters.collapsed,
        Verdict::Pass => &counters.passed,
    });
    (way, at_hand)
}

/// multipart/byteranges (RFC 9110 §14.6).
fn multipart(
    headers: &mut HeaderMap,
    pieces: &mut VecDeque<Piece>,
    parts: &[std::ops::Range<u64>],
    length: u64,
    generation: u64,
) {
    let boundary = format!("kromka-{generation:016x}");
    let kind =
        headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/octet-stream");
    let mut total = 0;
    for (n, part) in parts.iter().enumerate() {
        let lead = if n == 0 { "" } else { "\r\n" };
        let (first, last) = (part.start, part.end - 1);
        let head = format!(
            "{lead}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n"
        );
        total += head.len() as u64 + part.end - part.start;
        pieces.push_back(Piece::Given(Bytes::from(head)));
        pieces.push_back(Piece::Object(part.start, Some(part.end)));
    }
    let tail = format!("\r\n--{boundary}--\r\n");
    total += tail.len() as u64;
    pieces.push_back(Piece::Given(Bytes::from(tail)));
    headers.insert(CONTENT_TYPE, value(format!("multipart/byteranges; boundary={boundary}")));
    headers.insert(CONTENT_LENGTH, total.into());
}

/// A field value made of our own ASCII text.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
