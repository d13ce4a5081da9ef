//! `Cache-Control` (RFC 9111 §5.2, RFC 5861, RFC 8246) and what is meant for caches like this one
//! before it: `CDN-Cache-Control` (RFC 9213, structured fields), `Surrogate-Control` (W3C Edge
//! Architecture); read into one set of directives.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;
use sfv::{BareItem, ListEntry, Parser};

/// The name that this cache goes by in `Surrogate-Capability` and `Surrogate-Control`.
pub(crate) const SURROGATE: &str = "kromka";
/// RFC 9111 §1.2.2: a delta-seconds that overflows counts as 2^31.
const MAX_DELTA: u64 = 1 << 31;

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
    /// They came from `CDN-Cache-Control`, so `Expires` is not looked at.
    pub targeted: bool,
}

impl Directives {
    /// Reads the directives that apply to a shared cache of ours: a valid, non-empty
    /// `CDN-Cache-Control` replaces the others (RFC 9213 §2.2), a malformed one is ignored; then
    /// `Surrogate-Control` replaces `Cache-Control` where it says anything to us.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::targeted(headers).or_else(|| Self::surrogate(headers)).unwrap_or_else(|| Self::plain(headers))
    }

    /// Members may be addressed to one surrogate: `max-age=60;kromka`.
    fn surrogate(headers: &HeaderMap) -> Option<Self> {
        let mut directives = Self { targeted: true, ..Self::default() };
        let mut said = false;
        for value in headers.get_all("surrogate-control") {
            for member in value.to_str().ok()?.split(',') {
                let mut parts = member.split(';').map(str::trim);
                let directive = parts.next().unwrap_or_default();
                if parts.any(|target| !target.is_empty() && !target.eq_ignore_ascii_case(SURROGATE)) {
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

    fn targeted(headers: &HeaderMap) -> Option<Self> {
        let mut text = Vec::new();
        for value in headers.get_all("cdn-cache-control") {
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
        for value in headers.get_all(CACHE_CONTROL) {
            let Ok(value) = value.to_str() else { continue };
            for part in split_list(value) {
                let (name, argument) = match part.split_once('=') {
                    Some((name, argument)) => (name.trim(), Some(argument.trim().trim_matches('"'))),
                    None => (part, None),
                };
                let seconds = argument.and_then(delta_seconds);
                directives.apply(&name.to_ascii_lowercase(), seconds, true);
            }
        }
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

fn delta_seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(MAX_DELTA))
}

/// Splits a comma-separated list, leaving commas inside quoted strings alone.
fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value
        .split(move |c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
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
    }
}
