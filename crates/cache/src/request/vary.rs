//! Negotiated content (RFC 9110 §12.5.5, RFC 9111 §4.1): which request fields chose a representation,
//! and what they said, brought into one form so that requests that mean the same share one variant.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, ORIGIN, VARY};
use http::{HeaderMap, HeaderName};

use super::values;

/// More fields than this in one `Vary` are not worth a key.
const MAX_NAMES: usize = 16;

/// The fields that a response names in `Vary`, sorted; empty without any, `None` if it can never be
/// matched (`*`, too many, nonsense).
pub(crate) fn names(response: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for value in response.get_all(VARY) {
        for name in values::members(value.to_str().ok()?) {
            if name == "*" {
                return None;
            }
            names.push(name.parse::<HeaderName>().ok()?);
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    (names.len() <= MAX_NAMES).then_some(names)
}

/// Whether a response could only have been chosen by fields that a tier never sends for media.
pub(crate) fn is_fixed(response: &HeaderMap) -> bool {
    names(response).is_some_and(|names| {
        names.iter().all(|name| {
            *name == ACCEPT_ENCODING
                || *name == ORIGIN
                || name.as_str().starts_with("access-control-request-")
        })
    })
}

/// What the named fields of a request say, as part of a key.
pub(crate) fn chosen(names: &[HeaderName], request: &HeaderMap) -> String {
    let mut chosen = String::new();
    for name in names {
        chosen.push_str(name.as_str());
        chosen.push(':');
        if request.contains_key(name) {
            chosen.push('=');
            chosen.push_str(&one_form(name, request));
        }
        chosen.push('\n');
    }
    chosen
}

/// The fields that [`chosen`] was made of: what a source must be sent to choose the same again.
pub(crate) fn fields(chosen: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in chosen.lines() {
        if let Some((name, value)) = line.split_once(":=")
            && let (Ok(name), Some(value)) = (name.parse::<HeaderName>(), values::value(value))
        {
            fields.insert(name, value);
        }
    }
    fields
}

/// Lines joined, white space around commas gone; for the negotiation fields also case and order. Other values that
/// differ in any byte stay different.
fn one_form(name: &HeaderName, request: &HeaderMap) -> String {
    let mut lines = request.get_all(name).iter().map(values::text);
    let mut line = lines.next().unwrap_or_default();
    for next in lines {
        let line = line.to_mut();
        line.push(',');
        line.push_str(&next);
    }
    if name == ACCEPT_ENCODING {
        codings(&line)
    } else if name == ACCEPT_LANGUAGE {
        languages(&line)
    } else {
        values::members(&line).collect::<Vec<_>>().join(",")
    }
}

/// The languages that a request prefers, with their weights; one of 1 is no weight. They know no quoted strings:
/// every comma separates, as it does between codings.
fn languages(line: &str) -> String {
    let plain = |member: &str| {
        let mut member = member.to_ascii_lowercase();
        member.retain(|c| !c.is_ascii_whitespace());
        let bare = [";q=1", ";q=1.0", ";q=1.00", ";q=1.000"].iter().find_map(|one| member.strip_suffix(one));
        // What says more than one weight stays as it is.
        let bare = bare.filter(|bare| !bare.contains(';'));
        bare.map_or_else(|| member.clone(), str::to_owned)
    };
    let mut languages: Vec<String> = line.split(',').map(plain).filter(|member| !member.is_empty()).collect();
    languages.sort_unstable();
    languages.dedup();
    languages.join(",")
}

/// The codings that a request accepts: whatever a source chose for one of them suits all who accept the
/// same, so weights do not matter, and what is refused only where it would be taken otherwise.
fn codings(line: &str) -> String {
    let mut codings = Vec::new();
    let mut any = false;
    let mut refused = Vec::new();
    for member in line.split(',') {
        let mut parts = member.split(';').map(|part| part.trim().to_ascii_lowercase());
        let Some(coding) = parts.next().filter(|coding| !coding.is_empty()) else { continue };
        let weight = parts.find_map(|part| part.strip_prefix("q=").map(|q| q.trim().parse::<f32>()));
        if matches!(weight, Some(Ok(weight)) if weight == 0.0) {
            refused.push(coding);
            continue;
        }
        any |= coding == "*";
        match coding.as_str() {
            // The same by another name, and what is accepted anyway.
            "x-gzip" => codings.push("gzip".to_owned()),
            "identity" => {}
            _ => codings.push(coding),
        }
    }
    for coding in refused {
        if any || coding == "identity" || coding == "*" {
            codings.push(format!("{coding};q=0"));
        }
    }
    codings.sort_unstable();
    codings.dedup();
    codings.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::written;

    #[test]
    fn names_are_sorted_and_single_and_a_star_is_never_matched() {
        let names_of = |value: &str| names(&written(&[("vary", value)]));
        assert_eq!(
            names_of("Foo, accept-encoding,foo,"),
            Some(vec![ACCEPT_ENCODING, "foo".parse().unwrap()])
        );
        assert_eq!(names_of("foo, *"), None);
        assert_eq!(names_of("a b"), None);
        assert_eq!(names(&written(&[])), Some(vec![]));
    }

    #[test]
    fn requests_that_mean_the_same_choose_the_same() {
        let names = [ACCEPT_ENCODING, "foo".parse().unwrap()];
        let of = |fields: &[(&'static str, &str)]| chosen(&names, &written(fields));
        assert_eq!(
            of(&[("accept-encoding", "gzip, BR;q=1.0"), ("foo", "1, 2")]),
            of(&[("accept-encoding", "br"), ("accept-encoding", "gzip"), ("foo", "1,2")])
        );
        assert_ne!(of(&[("foo", "1,2")]), of(&[("foo", "2,1")]));
        assert_ne!(of(&[("foo", "")]), of(&[]), "empty is not absent");
        for (a, b) in [
            ("gzip;q=0.5, br", "br;q=0.1,gzip , identity"),
            ("x-gzip, deflate;q=0", "GZIP"),
            ("identity;q=0.5", ""),
        ] {
            assert_eq!(of(&[("accept-encoding", a)]), of(&[("accept-encoding", b)]), "{a} / {b}");
        }
        for (a, b) in [("gzip", "gzip, identity;q=0"), ("*", "*, br;q=0"), ("gzip", "br"), ("*;q=0", "")] {
            assert_ne!(of(&[("accept-encoding", a)]), of(&[("accept-encoding", b)]), "{a} / {b}");
        }
        for nothing in [";q=0.5", ", ;q=1,"] {
            assert_eq!(of(&[("accept-encoding", nothing)]), of(&[("accept-encoding", "")]), "{nothing}");
        }
        let back = fields(&of(&[("foo", "1, 2"), ("accept-encoding", "br")]));
        assert_eq!(back, written(&[("accept-encoding", "br"), ("foo", "1,2")]));
    }

    #[test]
    fn values_that_differ_in_any_byte_choose_differently_and_reach_the_source_as_they_came() {
        let names: [HeaderName; 1] = ["foo".parse().unwrap()];
        let asked = |value: &[u8]| {
            HeaderMap::from_iter([(names[0].clone(), http::HeaderValue::from_bytes(value).unwrap())])
        };
        let of = |value: &[u8]| chosen(&names, &asked(value));
        assert_ne!(of(b"a\xff"), of(b"a\xfe"));
        assert_ne!(of(b"a\xa0"), of(b"a"), "white space of other alphabets is none here");
        assert_ne!(of(b"\"a, b\""), of(b"\"a,b\""), "within quotes it counts");
        for value in [&b"a\xff\xa0"[..], b"\x85", "\u{44f}".as_bytes(), b"\"a, b\",c"] {
            assert_eq!(fields(&of(value)), asked(value));
        }
    }
}
