//! `Range` (RFC 9110 §14.2): which bytes of the object a request wants.

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

use super::values;

/// More ranges than this in one request are an attack or a mistake (RFC 9110 §14.2 allows ignoring
/// them); the whole object is sent instead.
const MAX_RANGES: usize = 16;

/// One range as the request states it, before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spec {
    /// `a-b`, both inclusive; `a-` has no end.
    From(u64, Option<u64>),
    /// `-n`: the last n bytes.
    Last(u64),
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it: no range was asked, or one that is to be ignored.
    Whole,
    /// Non-empty byte ranges within the object, in the request's order.
    Parts(Vec<Range<u64>>),
    /// Nothing asked for exists: 416.
    None,
}

/// The ranges a request asks for; `None` if it asks for none, or in a way that is to be ignored
/// (another unit, bad syntax, too many).
pub(crate) fn wanted(headers: &HeaderMap) -> Option<Vec<Spec>> {
    let value = headers.get(RANGE)?.to_str().ok()?;
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for part in values::members(set) {
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(spec(part)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number beyond u64 is beyond any object.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Resolves the ranges against a length. Ranges that overlap or touch are merged, so that a request
/// cannot make an answer larger than the object.
pub(crate) fn select(specs: &[Spec], length: u64) -> Selection {
    let mut parts: Vec<Range<u64>> = Vec::with_capacity(specs.len());
    for spec in specs {
        let range = match *spec {
            Spec::From(first, _) if first >= length => continue,
            Spec::From(first, last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            Spec::Last(0) => continue,
            Spec::Last(count) => length.saturating_sub(count)..length,
        };
        if !range.is_empty() {
            parts.push(range);
        }
    }
    if parts.is_empty() {
        return Selection::None;
    }
    if parts.len() > 1 && overlapping(&parts) {
        parts = merged(parts);
    }
    Selection::Parts(parts)
}

fn overlapping(parts: &[Range<u64>]) -> bool {
    let mut sorted: Vec<_> = parts.to_vec();
    sorted.sort_unstable_by_key(|part| part.start);
    sorted.windows(2).any(|pair| pair[1].start <= pair[0].end)
}

fn merged(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => merged.push(part),
        }
    }
    merged
}

/// `Content-Range: bytes a-b/length` of a 206: the bytes it carries and the object's length if stated.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, Option<u64>)> {
    let value = headers.get(http::header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, length) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?;
    let length = match length.trim() {
        "*" => None,
        length => Some(length.parse().ok()?),
    };
    (!range.is_empty() && length.is_none_or(|length| range.end <= length)).then_some((range, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, length: u64) -> Selection {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, value.parse().unwrap());
        wanted(&headers).map_or(Selection::Whole, |specs| select(&specs, length))
    }

    #[test]
    fn one_range() {
        for (value, want) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..100),
            ("bytes=10-19", 10..20),
            ("bytes=90-200", 90..100),
            ("bytes=-1", 99..100),
            ("bytes=-500", 0..100),
            ("BYTES = 5-6", 5..7),
            ("bytes=99-18446744073709551616", 99..100),
        ] {
            assert_eq!(of(value, 100), Selection::Parts(vec![want]), "{value}");
        }
    }

    #[test]
    fn nothing_there_is_416() {
        for value in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=18446744073709551616-"] {
            assert_eq!(of(value, 100), Selection::None, "{value}");
        }
        assert_eq!(of("bytes=0-", 0), Selection::None);
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for value in
            ["bytes", "bytes=", "bytes=5-4", "bytes=a-b", "bytes=--1", "items=0-1", "bytes=1", "bytes=+1-2"]
        {
            assert_eq!(of(value, 100), Selection::Whole, "{value}");
        }
        assert_eq!(of(&format!("bytes={}", vec!["0-0"; 17].join(",")), 100), Selection::Whole);
    }

    #[test]
    fn several_ranges_never_exceed_the_object() {
        assert_eq!(of("bytes=0-1, 50-59", 100), Selection::Parts(vec![0..2, 50..60]));
        assert_eq!(of("bytes=50-59,0-1", 100), Selection::Parts(vec![50..60, 0..2]), "in the order asked");
        assert_eq!(of("bytes=0-,0-,0-", 100), of("bytes=0-99", 100));
        assert_eq!(of("bytes=0-9,10-19,500-", 100), of("bytes=0-19", 100));
    }

    #[test]
    fn reads_content_range() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::CONTENT_RANGE, value.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(of("bytes 0-9/100"), Some((0..10, Some(100))));
        assert_eq!(of("bytes 0-9/*"), Some((0..10, None)));
        for bad in
            ["bytes 9-0/100", "bytes 0-100/100", "bytes */100", "0-9/100", "bytes 0-18446744073709551615/*"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
