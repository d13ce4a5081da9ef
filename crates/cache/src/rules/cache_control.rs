//! `Cache-Control` (RFC 9111 §5.2, RFC 5861, RFC 8246) and what is meant for caches like this one
//! before it: `Kromka-Cache-Control` and `CDN-Cache-Control` (RFC 9213, structured fields),
//! `Surrogate-Control` (W3C Edge Architecture); read into one set of directives. What requests say in
//! it is another set, [`Wishes`].

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, ListEntry, Parser};

use crate::request::values::{members, parts};

/// The name that this cache goes by in `Surrogate-Capability` and `Surrogate-Control`.
pub(crate) const SURROGATE: &str = "kromka";
/// RFC 9111 §1.2.2: a delta-seconds that overflows counts as 2^31.
const MAX_DELTA: u64 = 1 << 31;

/// Fields that speak to caches like this one alone, the most special first (RFC 9213 §2.2).
const TARGETED: [&str; 2] = ["kromka-cache-control", "cdn-cache-control"];

/// What a response says about its own storing and reuse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub no_store: bool,
    pub private: bool,
    pub no_cache: bool,
    pub must_revalidate: bool,
    pub max_age: Option<Duration>,
    pub s_maxage: Option<Duration>,
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
    pub public: bool,
    pub must_understand: bool,
    /// Fields that are not to be sent again before the source confirmed the response (§5.2.2.4).
    pub no_cache_fields: Vec<HeaderName>,
    /// Fields that are one user's, and not to be stored (§5.2.2.7).
    pub private_fields: Vec<HeaderName>,
    /// They came from `CDN-Cache-Control`, so `Expires` is not looked at.
    pub targeted: bool,
}

impl Directives {
    /// Reads the directives that apply to a shared cache of ours: the first valid, non-empty one of
    /// `Kromka-Cache-Control` and `CDN-Cache-Control` replaces the others (RFC 9213 §2.2), a malformed one
    /// is ignored; then `Surrogate-Control` replaces `Cache-Control` where it says anything to us.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut targeted = TARGETED.iter().filter_map(|name| Self::targeted(headers, name));
        targeted.next().or_else(|| Self::surrogate(headers)).unwrap_or_else(|| Self::plain(headers))
    }

    /// Members may be addressed to one surrogate: `max-age=60;kromka`.
    fn surrogate(headers: &HeaderMap) -> Option<Self> {
        let mut directives = Self { targeted: true, ..Self::default() };
        let mut said = false;
        for value in headers.get_all("surrogate-control") {
            for member in members(value.to_str().ok()?) {
                let mut parts = parts(member, ';');
                let directive = parts.next().unwrap_or_default();
                if parts.any(|target| !target.eq_ignore_ascii_case(SURROGATE)) {
                    continue;
                }
                let (name, argument) = match directive.split_once('=') {
                    Some((name, argument)) => (name, Some(argument)),
                    None => (directive, None),
                };
                let name = name.to_ascii_lowercase();
                if matches!(name.as_str(), "max-age" | "no-store" | "no-cache") {
                    said = true;
                    // `max-age=60+30`: fresh for 60, then stale for 30.
                    let fresh = argument.and_then(|argument| delta_seconds(argument.split('+').next()?));
                    directives.apply(&name, fresh, true);
                }
            }
        }
        said.then_some(directives)
    }

    fn targeted(headers: &HeaderMap, field: &str) -> Option<Self> {
        let mut text = Vec::new();
        for value in headers.get_all(field) {
            if !text.is_empty() {
                text.extend_from_slice(b", ");
            }
            text.extend_from_slice(value.as_bytes());
        }
        let dictionary = Parser::new(&text).parse::<sfv::Dictionary>().ok()?;
        if dictionary.is_empty() {
            return None;
        }
        let mut directives = Self { targeted: true, ..Self::default() };
        for (name, entry) in &dictionary {
            let ListEntry::Item(item) = entry else { continue };
            let seconds = match &item.bare_item {
                BareItem::Integer(number) => u64::try_from(i64::from(*number)).ok(),
                _ => None,
            };
            let set = item.bare_item != BareItem::Boolean(false);
            directives.apply(name.as_str(), seconds, set);
        }
        Some(directives)
    }

    fn plain(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        each_of(headers, |name, argument| {
            let listed = argument.map(field_names).filter(|listed| !listed.is_empty());
            match (name, listed) {
                ("no-cache", Some(listed)) => directives.no_cache_fields.extend(listed),
                ("private", Some(listed)) => directives.private_fields.extend(listed),
                _ => directives.apply(name, argument.and_then(delta_seconds), true),
            }
        });
        directives
    }

    fn apply(&mut self, name: &str, seconds: Option<u64>, set: bool) {
        let age = seconds.map(|seconds| Duration::from_secs(seconds.min(MAX_DELTA)));
        match name {
            "no-store" => self.no_store |= set,
            "private" => self.private |= set,
            "no-cache" => self.no_cache |= set,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate |= set,
            "public" => self.public |= set,
            "must-understand" => self.must_understand |= set,
            // An argument that is no number makes the response stale at once (RFC 9111 §4.2.1).
            "max-age" => self.max_age = self.max_age.or(age.or(Some(Duration::ZERO))),
            "s-maxage" => self.s_maxage = self.s_maxage.or(age.or(Some(Duration::ZERO))),
            "stale-while-revalidate" => self.stale_while_revalidate = age,
            "stale-if-error" => self.stale_if_error = age,
            _ => {}
        }
    }
}

/// What a request says of the answer it wants (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub no_cache: bool,
    pub no_store: bool,
    pub only_if_cached: bool,
    pub max_age: Option<Duration>,
    pub min_fresh: Option<Duration>,
    /// How stale it may be; without a number, as stale as it is.
    pub max_stale: Option<Duration>,
}

impl Wishes {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut wishes = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            // RFC 9111 §5.4: what clients of HTTP/1.0 say instead.
            let pragma = headers.get(PRAGMA).and_then(|value| value.to_str().ok());
            wishes.no_cache =
                pragma.is_some_and(|value| members(value).any(|part| part.eq_ignore_ascii_case("no-cache")));
            return wishes;
        }
        each_of(headers, |name, argument| {
            let seconds = argument.and_then(delta_seconds).map(Duration::from_secs);
            match name {
                "no-cache" => wishes.no_cache = true,
                "no-store" => wishes.no_store = true,
                "only-if-cached" => wishes.only_if_cached = true,
                "max-age" => wishes.max_age = seconds.or(wishes.max_age),
                "min-fresh" => wishes.min_fresh = seconds.or(wishes.min_fresh),
                "max-stale" if argument.is_none() => wishes.max_stale = Some(Duration::MAX),
                "max-stale" => wishes.max_stale = seconds.or(wishes.max_stale),
                _ => {}
            }
        });
        wishes
    }
}

/// The directives of `Cache-Control`, names in lower case, arguments without their quotes.
fn each_of(headers: &HeaderMap, mut found: impl FnMut(&str, Option<&str>)) {
    for value in headers.get_all(CACHE_CONTROL) {
        let Ok(value) = value.to_str() else { continue };
        for part in members(value) {
            let (name, argument) = match part.split_once('=') {
                Some((name, argument)) => (name.trim(), Some(argument.trim().trim_matches('"'))),
                None => (part, None),
            };
            found(&name.to_ascii_lowercase(), argument);
        }
    }
}

/// The names in the argument of `no-cache` or `private`; what is none is left out.
fn field_names(argument: &str) -> Vec<HeaderName> {
    argument.split([',', ' ']).filter_map(|name| name.trim().parse().ok()).take(64).collect()
}

/// A number of seconds (RFC 9111 §1.2.2): digits alone; one that is too large counts as the largest.
pub(crate) fn delta_seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(MAX_DELTA).min(MAX_DELTA))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &str)]) -> Directives {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Directives::of(&headers)
    }

    #[test]
    fn reads_plain_directives() {
        let d = of(&[("cache-control", "Public, MAX-AGE=60, stale-while-revalidate=\"30\"")]);
        assert!(d.public);
        assert_eq!(d.max_age, Some(Duration::from_secs(60)));
        let surrogate = of(&[
            ("cache-control", "no-store"),
            ("surrogate-control", "content=\"ESI/1.0\", max-age=5;kromka, max-age=9;other"),
        ]);
        assert_eq!((surrogate.max_age, surrogate.no_store), (Some(Duration::from_secs(5)), false));
        assert!(of(&[("cache-control", "no-store"), ("surrogate-control", "max-age=9;other")]).no_store);
        assert_eq!(d.stale_while_revalidate, Some(Duration::from_secs(30)));
        let d = of(&[("cache-control", "ext=\"a, no-store\", private")]);
        assert!(!d.no_store && d.private);
    }

    #[test]
    fn bad_and_huge_ages() {
        assert_eq!(of(&[("cache-control", "max-age=x")]).max_age, Some(Duration::ZERO));
        assert_eq!(
            of(&[("cache-control", "max-age=99999999999999999999")]).max_age,
            Some(Duration::from_secs(MAX_DELTA))
        );
    }

    #[test]
    fn targeted_replaces_plain_unless_malformed() {
        let both = [("cache-control", "no-store"), ("cdn-cache-control", "max-age=10")];
        let d = of(&both);
        assert!(d.targeted && !d.no_store);
        assert_eq!(d.max_age, Some(Duration::from_secs(10)));
        let d = of(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=\"")]);
        assert!(d.no_store && !d.targeted);
        let ours = ("kromka-cache-control", "max-age=5");
        assert_eq!(of(&[both[0], both[1], ours]).max_age, Some(Duration::from_secs(5)));
        assert_eq!(
            of(&[both[1], ("kromka-cache-control", "max-age=?")]).max_age,
            Some(Duration::from_secs(10))
        );
    }

    #[test]
    fn listed_fields_are_not_the_whole_response() {
        let d = of(&[("cache-control", "max-age=5, no-cache=\"Set-Cookie, x-a\", private=\"X-B\"")]);
        assert!(!d.no_cache && !d.private);
        assert_eq!((d.no_cache_fields.len(), d.private_fields), (2, vec!["x-b".parse().unwrap()]));
        let d = of(&[("cache-control", "no-cache=\"\", private=")]);
        assert!(d.no_cache && d.private, "an empty list is the directive itself");
    }

    #[test]
    fn what_requests_wish() {
        let of = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            Wishes::of(&headers)
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(of(&[]), Wishes::default());
        assert!(of(&[("pragma", "No-Cache")]).no_cache);
        assert!(!of(&[("pragma", "no-cache"), ("cache-control", "max-age=5")]).no_cache);
        let wishes = of(&[("cache-control", "max-age=5, Min-Fresh=\"3\", max-stale, only-if-cached")]);
        assert_eq!((wishes.max_age, wishes.min_fresh), (seconds(5), seconds(3)));
        assert!(wishes.only_if_cached && wishes.max_stale == Some(Duration::MAX));
        assert_eq!(of(&[("cache-control", "max-stale=7, max-age=-1")]).max_stale, seconds(7));
    }
}
