//! Conditional requests (RFC 9110 §13): has the viewer's copy changed, and may its range be used?

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{DATE, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE};

use crate::held::meta::Meta;

/// Whether the viewer's copy is still right: a 304 is to be sent. `If-None-Match` wins over
/// `If-Modified-Since` (§13.2.2).
pub(crate) fn not_modified(asked: &HeaderMap, meta: &Meta) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        return none_match(asked, meta.etag());
    }
    // A response that does not say when it changed has not changed since it was made (RFC 9111 §4.3.2).
    let modified = meta.last_modified().or_else(|| meta.headers.get(DATE)?.to_str().ok());
    match (since(asked), modified.and_then(|text| httpdate::parse_http_date(text).ok())) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether `If-None-Match` names what has this entity tag, by weak comparison (RFC 9110 §13.1.2).
pub fn none_match(asked: &HeaderMap, etag: Option<&str>) -> bool {
    let mut lines = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lines.any(|line| line.trim() == "*" || etag.is_some_and(|etag| lists(line, etag)))
}

/// Whether a range may be answered with a part: there is no `If-Range`, or it names exactly what
/// is stored, by strong comparison (§13.1.5).
pub(crate) fn range_holds(asked: &HeaderMap, meta: &Meta) -> bool {
    let Some(value) = asked.get(IF_RANGE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let value = value.trim();
    if value.starts_with('"') || value.starts_with("W/") {
        return meta.strong_etag() == Some(value);
    }
    meta.last_modified() == Some(value)
}

fn since(asked: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(asked.get(IF_MODIFIED_SINCE)?.to_str().ok()?).ok()
}

/// Weak comparison against a list of entity tags.
fn lists(list: &str, etag: &str) -> bool {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    // Entity tags may hold commas, so the list is cut at quotes.
    let mut rest = list;
    while let Some(open) = rest.find('"') {
        let Some(close) = rest[open + 1..].find('"') else { return false };
        if rest[open..=open + 1 + close] == *etag {
            return true;
        }
        rest = &rest[open + close + 2..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::written;
    use http::StatusCode;
    use std::time::Duration;

    fn meta(etag: &str) -> Meta {
        let fields = written(&[("etag", etag), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        let policy =
            crate::rules::freshness::Policy { web: true, authorized: false, negative: Duration::ZERO };
        Meta::of(StatusCode::OK, &fields, SystemTime::now(), policy).unwrap()
    }

    #[test]
    fn entity_tags_win_over_dates() {
        let meta = meta("\"a,b\"");
        for (value, want) in [
            ("\"a,b\"", true),
            ("W/\"a,b\"", true),
            ("\"x\", \"a,b\"", true),
            ("*", true),
            ("\"x\"", false),
            ("\"a", false),
            ("a,b", false),
        ] {
            let asked =
                written(&[("if-none-match", value), ("if-modified-since", "Sun, 06 Nov 1994 08:49:38 GMT")]);
            assert_eq!(not_modified(&asked, &meta), want, "{value}");
        }
    }

    #[test]
    fn dates() {
        let meta = meta("\"a\"");
        for (value, want) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:36 GMT", false),
            ("yesterday", false),
        ] {
            assert_eq!(not_modified(&written(&[("if-modified-since", value)]), &meta), want, "{value}");
        }
    }

    #[test]
    fn if_range_is_strong() {
        for (stored, asked, want) in [
            ("\"a\"", "\"a\"", true),
            ("\"a\"", "\"b\"", false),
            ("W/\"a\"", "W/\"a\"", false),
            ("\"a\"", "Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("\"a\"", "Sun, 06 Nov 1994 08:49:38 GMT", false),
        ] {
            assert_eq!(
                range_holds(&written(&[("if-range", asked)]), &meta(stored)),
                want,
                "{stored} {asked}"
            );
        }
        assert!(range_holds(&written(&[]), &meta("\"a\"")));
    }
}
