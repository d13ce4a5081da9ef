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
    let mut expected = headers.get_all(header::IF_MATCH).iter().peekable();
    // What cannot be read names no version, and so not this one.
    let names = |value: &HeaderValue| {
        let mut names = value.to_str().unwrap_or_default().split(',').map(str::trim);
        names.any(|name| name == "*" || name == tag)
    };
    expected.peek().is_none() || expected.any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_that_stands_there_lets_a_write_through() {
        let lets = |values: &[&'static [u8]]| {
            let fields = values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok());
            matches(&fields.map(|value| (header::IF_MATCH, value)).collect(), 7)
        };
        assert!(lets(&[]) && lets(&[b"*"]) && lets(&[b"\"r7\""]));
        assert!(lets(&[b"\"r6\", \"r7\""]) && lets(&[b"\"r6\"", b"\"r7\""]));
        for wrong in [&b"\"r6\""[..], b"r7", b"W/\"r7\"", b"", b"\"r7\xff\""] {
            assert!(!lets(&[wrong]), "{wrong:?}");
        }
    }
}
