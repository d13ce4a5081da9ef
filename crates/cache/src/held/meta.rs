//! The header of a stored response: its status, its fields, its validators, its terms of use.

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::request::values;
use crate::rules::cache_control::Directives;
use crate::rules::clock::Moment;
use crate::rules::freshness::{Policy, Terms};
use crate::upstream::source::Validators;

/// What is known of a generation besides its body.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    /// 200 where the header came with a 206.
    pub status: StatusCode,
    /// End-to-end fields, without the ones that every answer states anew.
    pub headers: HeaderMap,
    pub terms: Terms,
    /// Fields that only answers which the source has just confirmed may carry (`no-cache="…"`).
    pub withheld: Vec<HeaderName>,
    /// The tags a purge may name it by (`Cache-Tag`, `Surrogate-Key`), in any order.
    pub tags: Vec<Box<str>>,
}

/// Fields that belong to one connection (RFC 9110 §7.6.1), or to one answer rather than to the object.
fn is_own(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH, AGE].contains(name)
        || matches!(
            name.as_str(),
            "keep-alive"
                | "proxy-authenticate"
                | "proxy-connection"
                | "proxy-authentication-info"
                | "cache-status"
        )
}

/// A record may be so much ahead of the clock: what times are rounded by.
const SKEW: Duration = Duration::from_secs(2);

/// Fields that say what the stored bytes are; a 304 that says otherwise does not change them.
const OF_THE_BYTES: [HeaderName; 3] = [CONTENT_ENCODING, CONTENT_RANGE, ETAG];

impl Meta {
    /// Takes a response's header in, or `None` if it must not be stored.
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        now: impl Into<Moment>,
        policy: Policy,
    ) -> Option<Self> {
        let now = now.into();
        let terms = Terms::of(status, headers, now, policy)?;
        let Directives { no_cache_fields: withheld, private_fields, .. } = Directives::of(headers);
        let mut headers = end_to_end(headers);
        for name in private_fields {
            headers.remove(name);
        }
        // RFC 9110 §6.6.1: who keeps it says when it came, or everyone behind would take it for new.
        if !headers.contains_key(DATE) {
            date(&mut headers, now);
        }
        let mut status = status;
        if status == StatusCode::PARTIAL_CONTENT {
            headers.remove(CONTENT_RANGE);
            status = StatusCode::OK;
        }
        let headers = owned(&headers);
        let tags = tags(&headers);
        Some(Self { status, headers, terms, withheld, tags })
    }

    /// The fields of a response that are for the one who asked, and not stored (`private="…"`).
    pub(crate) fn personal(headers: &HeaderMap) -> HeaderMap {
        let mut personal = HeaderMap::new();
        for name in Directives::of(headers).private_fields {
            for value in headers.get_all(&name).iter().filter(|_| !is_own(&name)) {
                personal.append(name.clone(), value.clone());
            }
        }
        personal
    }

    /// What a 304 makes of this header (RFC 9111 §3.2): its fields replace the stored ones, but for
    /// those that describe the bytes that are stored.
    pub(crate) fn updated(&self, from: &HeaderMap, now: impl Into<Moment>, policy: Policy) -> Option<Self> {
        let mut headers = self.headers.clone();
        for name in from.keys().filter(|name| !is_own(name) && !OF_THE_BYTES.contains(name)) {
            headers.remove(name);
            for value in from.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let now = now.into();
        // When it was made and how old it is are the 304's own to say, not the stored one's.
        if !from.contains_key(DATE) {
            date(&mut headers, now);
        }
        let mut judged = headers.clone();
        if let Some(age) = from.get(AGE) {
            judged.insert(AGE, age.clone());
        }
        let terms = Terms::of(self.status, &judged, now, policy)?;
        let Directives { no_cache_fields: withheld, private_fields, .. } = Directives::of(&judged);
        for name in private_fields {
            headers.remove(name);
        }
        let headers = owned(&headers);
        let tags = tags(&headers);
        Some(Self { status: self.status, headers, terms, withheld, tags })
    }

    /// The entity tag, quoted, as it came.
    pub(crate) fn etag(&self) -> Option<&str> {
        self.headers.get(ETAG)?.to_str().ok()
    }

    /// The entity tag if it is strong: the only thing a range may be pinned to (RFC 9110 §13.1.5).
    pub(crate) fn strong_etag(&self) -> Option<&str> {
        self.etag().filter(|etag| etag.starts_with('"'))
    }

    /// When the object last changed, as it came.
    pub(crate) fn last_modified(&self) -> Option<&str> {
        self.headers.get(LAST_MODIFIED)?.to_str().ok()
    }

    /// What to ask "has it changed?" with.
    pub(crate) fn validators(&self) -> Validators {
        Validators {
            etag: self.etag().map(str::to_owned),
            last_modified: self.last_modified().map(str::to_owned),
        }
    }
}

/// What tells one version of an object from another, the strongest first.
const VALIDATORS: [HeaderName; 2] = [ETAG, LAST_MODIFIED];

/// Whether something tells this version of an object from others: without it no two parts can be put together.
pub(crate) fn is_named(headers: &HeaderMap) -> bool {
    VALIDATORS.iter().any(|name| headers.contains_key(name))
}

/// Whether blocks under these two headers may stand side by side: the strongest validator that the
/// stored one has must be the same; without any, nothing proves it.
pub(crate) fn same_version(stored: &HeaderMap, came: &HeaderMap) -> bool {
    let strongest = VALIDATORS.iter().find_map(|name| Some((name, stored.get(name)?)));
    strongest.is_some_and(|(name, value)| came.get(name) == Some(value))
}

/// The same fields in memory of their own. A value that came over a connection is a piece of its read buffer,
/// and would keep all of that: hundreds of kilobytes for a few words.
fn owned(headers: &HeaderMap) -> HeaderMap {
    let mut text = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    headers.values().for_each(|value| text.extend_from_slice(value.as_bytes()));
    let mut text = text.freeze();
    let mut owned = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        // The same bytes as before.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.split_to(value.len())) {
            owned.append(name.clone(), value);
        }
    }
    owned
}

/// The tags that a header names.
fn tags(headers: &HeaderMap) -> Vec<Box<str>> {
    let mut tags = Vec::new();
    for (name, separators) in [("cache-tag", &[',', ' '][..]), ("surrogate-key", &[' '][..])] {
        for value in headers.get_all(name) {
            let Ok(value) = value.to_str() else { continue };
            tags.extend(value.split(separators).filter(|tag| !tag.is_empty()).take(64).map(Box::from));
        }
    }
    tags
}

/// Says that a response was made when it came.
fn date(headers: &mut HeaderMap, came: Moment) {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(came.wall)) {
        headers.insert(DATE, date);
    }
}

/// A message's fields without those that belong to one connection or to one answer (RFC 9110 §7.6.1).
#[must_use]
pub fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let listed: Vec<&str> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(values::members)
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if !is_own(name) && !listed.iter().any(|listed| listed.eq_ignore_ascii_case(name.as_str())) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The form of a header on disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct MetaRecord {
    status: u16,
    /// Values as Latin-1 text, so that any byte survives.
    fields: Vec<(String, String)>,
    received_ms: u64,
    age_ms: u64,
    lifetime_ms: u64,
    swr_ms: u64,
    sie_ms: u64,
    /// Records of before there was this field do not say; then it is the careful way.
    #[serde(default = "yes")]
    strict: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    withheld: Vec<String>,
}

fn yes() -> bool {
    true
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&Meta> for MetaRecord {
    fn from(meta: &Meta) -> Self {
        let fields = meta
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), values::text(value).into_owned()))
            .collect();
        let received = meta.terms.received.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            status: meta.status.as_u16(),
            fields,
            received_ms: millis(received),
            age_ms: millis(meta.terms.initial_age),
            lifetime_ms: millis(meta.terms.lifetime),
            swr_ms: millis(meta.terms.stale_while_revalidate),
            sie_ms: millis(meta.terms.stale_if_error),
            strict: meta.terms.strict,
            withheld: meta.withheld.iter().map(ToString::to_string).collect(),
        }
    }
}

impl MetaRecord {
    /// Back from disk; `None` if the record makes no sense.
    pub(crate) fn restore(&self) -> Option<Meta> {
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in &self.fields {
            headers.append(HeaderName::try_from(name).ok()?, values::value(value)?);
        }
        let mut terms = Terms {
            received: SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.received_ms))?,
            initial_age: Duration::from_millis(self.age_ms),
            lifetime: Duration::from_millis(self.lifetime_ms),
            stale_while_revalidate: Duration::from_millis(self.swr_ms),
            stale_if_error: Duration::from_millis(self.sie_ms),
            strict: self.strict,
        };
        // The clock was set back since: it would be fresh until the clock is there again.
        if terms.received > SystemTime::now() + SKEW {
            terms.distrust();
        }
        Some(Meta {
            status: StatusCode::from_u16(self.status).ok()?,
            tags: tags(&headers),
            headers,
            terms,
            withheld: self.withheld.iter().filter_map(|name| name.parse().ok()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::written;

    const MEDIA: Policy = Policy { web: false, authorized: false, negative: Duration::from_secs(1) };

    #[test]
    fn connection_fields_stay_behind() {
        let meta = Meta::of(
            StatusCode::PARTIAL_CONTENT,
            &written(&[
                ("connection", "x-hop, close"),
                ("x-hop", "1"),
                ("x-kept", "2"),
                ("content-range", "bytes 0-1/2"),
                ("cache-control", "max-age=1"),
            ]),
            SystemTime::now(),
            MEDIA,
        )
        .unwrap();
        assert_eq!(meta.status, StatusCode::OK);
        let mut names: Vec<_> = meta.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "date", "x-kept"], "and it says when it came");
    }

    #[test]
    fn a_304_replaces_fields_and_renews_the_terms() {
        let then = SystemTime::now() - Duration::from_secs(100);
        let old =
            written(&[("cache-control", "max-age=1"), ("etag", "\"a\""), ("x-old", "1"), ("age", "50")]);
        let meta = Meta::of(StatusCode::OK, &old, then, MEDIA).unwrap();
        let now = SystemTime::now();
        let meta =
            meta.updated(&written(&[("cache-control", "max-age=9"), ("etag", "\"a\"")]), now, MEDIA).unwrap();
        assert_eq!(meta.terms.lifetime, Duration::from_secs(9));
        assert_eq!(meta.terms.age(now), Duration::ZERO);
        assert_eq!(meta.headers.get("x-old").unwrap(), "1");
    }

    #[test]
    fn what_is_kept_does_not_hold_the_buffer_it_came_in() {
        let buffer = bytes::Bytes::from(b"max-age=60\xe9, x\t1".repeat(10_000));
        let piece = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
        let mut came = HeaderMap::new();
        came.insert("cache-control", piece(0..10));
        came.append("x-a", piece(11..18));
        came.append("x-a", piece(8..12));
        came.append("x-empty", piece(3..3));
        let meta = Meta::of(StatusCode::OK, &came, SystemTime::now(), MEDIA).unwrap();
        let mut later = HeaderMap::new();
        later.insert("x-b", piece(0..7));
        let meta = meta.updated(&later, SystemTime::now(), MEDIA).unwrap();
        let all: Vec<&[u8]> = meta.headers.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(all, [&buffer[11..18], &buffer[8..12]]);
        assert_eq!((&meta.headers["x-b"], &meta.headers["x-empty"]), (&later["x-b"], &came["x-empty"]));
        drop((came, later));
        assert!(buffer.is_unique(), "some of it is held");
    }

    #[test]
    fn survives_the_disk() {
        let all = written(&[("cache-control", "max-age=60"), ("x-title", "caf\u{e9}"), ("etag", "\"v1\"")]);
        let meta = Meta::of(StatusCode::OK, &all, SystemTime::now(), MEDIA).unwrap();
        let text = serde_json::to_string(&MetaRecord::from(&meta)).unwrap();
        let back = serde_json::from_str::<MetaRecord>(&text).unwrap().restore().unwrap();
        assert_eq!(back.headers, meta.headers);
        assert_eq!(back.terms.lifetime, meta.terms.lifetime);
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        let meta = Meta::of(StatusCode::OK, &all, ahead, MEDIA).unwrap();
        let back = MetaRecord::from(&meta).restore().unwrap();
        assert_eq!(back.terms.state(ahead), crate::rules::freshness::State::Stale, "the clock was set back");
    }

    #[test]
    fn fields_of_one_user_are_not_stored_and_others_wait_for_the_source() {
        let all = written(&[
            ("cache-control", "max-age=60, private=\"set-cookie\", no-cache=\"x-a\""),
            ("set-cookie", "a=b"),
            ("x-a", "1"),
        ]);
        let policy = Policy { web: true, ..MEDIA };
        let meta = Meta::of(StatusCode::OK, &all, SystemTime::now(), policy).unwrap();
        assert!(!meta.headers.contains_key("set-cookie") && meta.headers.contains_key("x-a"));
        assert_eq!(meta.withheld, ["x-a"]);
        assert_eq!(Meta::personal(&all).len(), 1);
        assert_eq!(MetaRecord::from(&meta).restore().unwrap().withheld, ["x-a"]);
    }

    #[test]
    fn tags_of_both_fields() {
        let all =
            written(&[("cache-tag", "a,b c"), ("surrogate-key", "d e"), ("cache-control", "max-age=1")]);
        let meta = Meta::of(StatusCode::OK, &all, SystemTime::now(), MEDIA).unwrap();
        let named = |meta: &Meta| meta.tags.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named(&meta), ["a", "b", "c", "d", "e"]);
        let meta = meta.updated(&written(&[("cache-tag", "f")]), SystemTime::now(), MEDIA).unwrap();
        assert_eq!(named(&meta), ["f", "d", "e"], "a 304 replaces the field, and not the other");
        assert_eq!(named(&MetaRecord::from(&meta).restore().unwrap()), ["f", "d", "e"]);
    }
}
