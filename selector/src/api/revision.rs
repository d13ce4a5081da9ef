//! Versions of what operators decide: `ETag` out, `If-Match` in (RFC 9110 §8.8.3, §13.1.1).

use http::{HeaderMap, HeaderValue, header};

/// The entity tag of a revision.
pub(super) fn tag(revision: u64) -> String {
    format!("\"r{revision}\"")
}

/// The same as a field.
pub(super) fn field(revision: u64) -> [(header::HeaderName, HeaderValue); 1] {
    // A letter and digits in quotes are always a value.
    [(
        header::ETAG,
        HeaderValue::try_from(tag(revision)).unwrap_or_else(|_| HeaderValue::from_static("\"r0\"")),
    )]
}

/// Whether `If-Match` lets a write of what stands at `revision` through; it does when it is absent.
pub(super) fn matches(headers: &HeaderMap, revision: u64) -> bool {
    let tag = tag(revision);
    let expected = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut expected = expected.flat_map(|value| value.split(',')).map(str::trim).peekable();
    expected.peek().is_none() || expected.any(|name| name == "*" || name == tag)
}
