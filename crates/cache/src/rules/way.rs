//! How an answer was come by, and how that is told: the tier's member of `Cache-Status` (RFC 9211).

use std::fmt::Write;

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::Key;

pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stored and fresh.
    Hit,
    /// Stored and fresh, but some of its blocks have to be fetched.
    Partial,
    /// Stale, within `stale-while-revalidate`.
    Stale,
    /// Stale, because the source failed.
    StaleOnError,
    /// The source confirmed it with a 304.
    Revalidated,
    /// It was not here.
    Miss,
    /// It was here, but too old, and came anew.
    Expired,
    /// It was here, and the request wanted it anew.
    Asked,
    /// A purge had forbidden it.
    Purged,
    /// Another request had begun to fetch it.
    Collapsed,
    /// It must not be stored.
    Pass,
}

impl Verdict {
    /// One word for metrics and `Server-Timing`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale | Self::StaleOnError => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss | Self::Partial | Self::Expired | Self::Asked | Self::Purged | Self::Collapsed => {
                "miss"
            }
            Self::Pass => "pass",
        }
    }

    /// Whether the source has just been asked on behalf of this very request.
    pub(crate) fn confirmed(self) -> bool {
        matches!(self, Self::Miss | Self::Expired | Self::Asked | Self::Purged | Self::Revalidated)
    }
}

/// Why a request could not be answered from what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing is.
    Miss,
    /// A purge forbade it.
    Purged,
    /// It is too old, or a soft purge made it so.
    Stale,
    /// It is fresh, and the request wanted to be sure.
    Request,
    /// Blocks of it are missing.
    Partial,
}

impl Cause {
    /// The verdict where the object came anew for this request.
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::Miss => Verdict::Miss,
            Self::Purged => Verdict::Purged,
            Self::Stale => Verdict::Expired,
            Self::Request => Verdict::Asked,
            Self::Partial => Verdict::Partial,
        }
    }

    /// The value of `fwd`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Miss | Self::Purged => "miss",
            Self::Stale => "stale",
            Self::Request => "request",
            Self::Partial => "partial",
        }
    }
}

/// All that is told of how an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub verdict: Verdict,
    /// Why the source was asked; `None` for what was at hand.
    pub cause: Option<Cause>,
    /// What the source answered, as far as it has.
    pub status: Option<StatusCode>,
    /// One fetch for several requests, which another of them had begun.
    pub collapsed: bool,
    /// What the source answered is kept.
    pub stored: bool,
}

impl Way {
    /// Without the source.
    pub(crate) fn held(verdict: Verdict) -> Self {
        Self { verdict, cause: None, status: None, collapsed: false, stored: false }
    }

    /// Past the cache, which keeps nothing of it.
    pub(crate) fn past(cause: Cause, status: StatusCode) -> Self {
        Self { cause: Some(cause), status: Some(status), ..Self::held(Verdict::Pass) }
    }

    /// The tier's member. `ttl` is what is left of the lifetime in seconds, negative past it.
    ///
    /// The key is told as its hash, by which the object's file on disk is named: names hold what viewers
    /// need not be told of each other, and characters that no such string may hold.
    pub(crate) fn member(&self, tier: &str, key: &Key, ttl: Option<i64>) -> HeaderValue {
        let mut text = String::with_capacity(128);
        text.push_str(tier);
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, key, ttl);
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn write(&self, text: &mut String, key: &Key, ttl: Option<i64>) -> std::fmt::Result {
        match self.cause {
            None => text.push_str("; hit"),
            Some(cause) => write!(text, "; fwd={}", cause.as_str())?,
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(status) = self.status {
            write!(text, "; fwd-status={}", status.as_u16())?;
        }
        if let Some(ttl) = ttl {
            write!(text, "; ttl={ttl}")?;
        }
        write!(text, "; key=\"{:032x}\"", key.hash())?;
        match (self.verdict, self.cause) {
            (Verdict::StaleOnError, _) => text.push_str("; detail=stale-if-error"),
            (Verdict::Pass, _) => text.push_str("; detail=uncacheable"),
            (_, Some(Cause::Purged)) => text.push_str("; detail=purged"),
            _ => {}
        }
        Ok(())
    }
}

/// The `Cache-Status` of an answer that went past the tier called `tier` because of the request's method:
/// what the caches behind told, and this one's member. The answer came with `status` and the fields `came`.
#[must_use]
pub fn past_by_method(tier: &str, status: StatusCode, came: &HeaderMap) -> HeaderValue {
    let own = format!("{tier}; fwd=method; fwd-status={}", status.as_u16());
    let all = match behind(came) {
        Some(behind) => [behind.as_bytes(), own.as_bytes()].join(&b", "[..]),
        None => own.into_bytes(),
    };
    HeaderValue::from_bytes(&all).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The members of the caches behind, all in one line, in their order: the nearest to the origin first.
pub(crate) fn behind(came: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = came.get_all(CACHE_STATUS).iter();
    let (first, second) = (lines.next()?, lines.next());
    let Some(second) = second else { return Some(first.clone()) };
    let all = [first, second].into_iter().chain(lines);
    let all: Vec<&[u8]> = all.map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&all.join(&b", "[..])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_told_as_the_rfc_has_it() {
        let key = Key::new("s", "/a.ts", None);
        let named = format!("; key=\"{:032x}\"", key.hash());
        let came = Way {
            cause: Some(Cause::Miss),
            status: Some(StatusCode::OK),
            stored: true,
            ..Way::held(Verdict::Miss)
        };
        for (way, ttl, told) in [
            (Way::held(Verdict::Hit), Some(7), format!("t; hit; ttl=7{named}")),
            (Way::held(Verdict::Stale), Some(-7), format!("t; hit; ttl=-7{named}")),
            (came, Some(60), format!("t; fwd=miss; stored; fwd-status=200; ttl=60{named}")),
            (
                Way { verdict: Verdict::Collapsed, cause: Some(Cause::Stale), collapsed: true, ..came },
                Some(60),
                format!("t; fwd=stale; stored; collapsed; fwd-status=200; ttl=60{named}"),
            ),
            (
                Way { verdict: Verdict::Purged, cause: Some(Cause::Purged), ..came },
                Some(60),
                format!("t; fwd=miss; stored; fwd-status=200; ttl=60{named}; detail=purged"),
            ),
            (
                Way::past(Cause::Request, StatusCode::CREATED),
                None,
                format!("t; fwd=request; fwd-status=201{named}; detail=uncacheable"),
            ),
        ] {
            assert_eq!(way.member("t", &key, ttl), told);
        }
    }

    #[test]
    fn caches_behind_are_all_told_of() {
        let mut headers = HeaderMap::new();
        assert_eq!(behind(&headers), None);
        headers.append(CACHE_STATUS, HeaderValue::from_static("far; hit"));
        assert_eq!(behind(&headers).unwrap(), "far; hit");
        headers.append(CACHE_STATUS, HeaderValue::from_static("near; fwd=miss"));
        assert_eq!(behind(&headers).unwrap(), "far; hit, near; fwd=miss");
        let post = past_by_method("t", StatusCode::CREATED, &headers);
        assert_eq!(post, "far; hit, near; fwd=miss, t; fwd=method; fwd-status=201");
        let post = past_by_method("t", StatusCode::CREATED, &HeaderMap::new());
        assert_eq!(post, "t; fwd=method; fwd-status=201");
    }
}
