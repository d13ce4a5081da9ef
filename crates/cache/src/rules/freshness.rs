//! May a stored response be used now? RFC 9111 §4.2 (freshness, age), RFC 5861 (stale).
//! Pure: it gets a header and a time, and gives a verdict.

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use crate::request::vary;
use crate::rules::cache_control::{Directives, Wishes, delta_seconds};
use crate::rules::clock::Moment;

/// A heuristic lifetime is a tenth of the time since the last change (RFC 9111 §4.2.2), at most this.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 3600);
/// A server's error is never kept longer: it may be over the next moment.
const ERROR_MAX: Duration = Duration::from_secs(1);

/// What a tier makes of responses, beyond what they say themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Any HTTP content rather than media: requests' fields reach the source, and what a response
    /// says is followed to the letter. Media are held to more: nothing personal is stored, an error
    /// is kept for a second at most, only one representation exists.
    pub web: bool,
    /// The request carried `Authorization` (RFC 9111 §3.5).
    pub authorized: bool,
    /// The lifetime of a 404 or 410 that names none itself.
    pub negative: Duration,
}

/// How long a response may be used, decided once, when it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// When its header arrived here.
    pub received: SystemTime,
    /// Its age at that moment (RFC 9111 §4.2.3).
    pub initial_age: Duration,
    /// How old it may get and still be fresh.
    pub lifetime: Duration,
    /// How long past that it may be used while a fresh one is fetched.
    pub stale_while_revalidate: Duration,
    /// How long past that it may be used when the source fails.
    pub stale_if_error: Duration,
    /// It forbids to be used stale (`must-revalidate` and its like), whoever asks for it.
    pub strict: bool,
}

/// What a stored response may be used for at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Fresh,
    /// Usable while it is revalidated behind the viewer's back.
    StaleWhileRevalidate,
    /// To be revalidated first.
    Stale,
}

impl Terms {
    /// The terms of a response, or `None` if a shared cache must not store it.
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        received: Moment,
        policy: Policy,
    ) -> Option<Self> {
        let directives = Directives::of(headers);
        // RFC 9111 §5.2.2.3: no-store beside it is for those who do not know it.
        let no_store = match directives.must_understand {
            true => !is_understood(status),
            false => directives.no_store,
        };
        if no_store || directives.private {
            return None;
        }
        if policy.web {
            let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
            if vary::names(headers).is_none() || policy.authorized && !shared {
                return None;
            }
        } else if headers.contains_key(SET_COOKIE) || !vary::is_fixed(headers) {
            return None;
        }
        let explicit = explicit_lifetime(&directives, headers, received.wall);
        let mut lifetime = match explicit {
            Some(lifetime) => lifetime,
            None => implicit_lifetime(status, headers, &directives, received.wall, policy)?,
        };
        if status.is_server_error() && !policy.web {
            lifetime = lifetime.min(ERROR_MAX);
        }
        if directives.no_cache {
            lifetime = Duration::ZERO;
        }
        let strict = directives.must_revalidate || directives.no_cache;
        let stale =
            |granted: Option<Duration>| if strict { Duration::ZERO } else { granted.unwrap_or_default() };
        Some(Self {
            received: received.at,
            initial_age: initial_age(headers, received.wall),
            lifetime,
            stale_while_revalidate: stale(directives.stale_while_revalidate),
            stale_if_error: stale(directives.stale_if_error),
            // s-maxage forbids a stale answer as proxy-revalidate does (RFC 9111 §5.2.2.10), but for what
            // its own sender grants beside it (RFC 5861).
            strict: strict || directives.s_maxage.is_some(),
        })
    }

    /// The current age, on the tier's clock; nothing is younger than it came.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        self.initial_age + now.duration_since(self.received).unwrap_or_default()
    }

    /// What it may be used for at `now`.
    pub(crate) fn state(&self, now: SystemTime) -> State {
        let age = self.age(now);
        if age < self.lifetime {
            State::Fresh
        } else if age < self.lifetime + self.stale_while_revalidate {
            State::StaleWhileRevalidate
        } else {
            State::Stale
        }
    }

    /// Whether it may stand in for a source that failed (RFC 5861 §4): only by its own leave, also where it
    /// is not too old but a soft purge took it for stale.
    pub(crate) fn usable_on_error(&self, now: SystemTime) -> bool {
        !self.stale_if_error.is_zero() && self.age(now) < self.lifetime.saturating_add(self.stale_if_error)
    }

    /// Whether it may stand in for a source that gave no answer at all (RFC 9111 §4.2.4), at most `bound`
    /// past its lifetime.
    pub(crate) fn usable_disconnected(&self, now: SystemTime, bound: Duration) -> bool {
        !self.strict && self.age(now) < self.lifetime.saturating_add(bound)
    }

    /// Whether a request that wishes so may be answered with it at `now` as it is (RFC 9111 §5.2.1).
    pub(crate) fn suits(&self, wishes: &Wishes, now: SystemTime) -> bool {
        let age = self.age(now);
        if wishes.no_cache || wishes.max_age.is_some_and(|limit| age > limit) {
            return false;
        }
        let granted =
            if self.state(now) == State::Stale { Duration::ZERO } else { self.stale_while_revalidate };
        let wished = wishes.max_stale.filter(|_| !self.strict).unwrap_or_default();
        match wishes.min_fresh {
            Some(spare) => age.saturating_add(spare) <= self.lifetime,
            None => age < self.lifetime.saturating_add(granted.max(wished)),
        }
    }

    /// What came back from a disk that saw another time: nothing tells how old it is.
    pub(crate) fn distrust(&mut self) {
        self.lifetime = Duration::ZERO;
        self.stale_while_revalidate = Duration::ZERO;
        self.stale_if_error = Duration::ZERO;
        self.strict = true;
    }
}

fn explicit_lifetime(directives: &Directives, headers: &HeaderMap, received: SystemTime) -> Option<Duration> {
    if let Some(age) = directives.s_maxage.or(directives.max_age) {
        return Some(age);
    }
    if directives.targeted {
        return None;
    }
    let expires = headers.get(EXPIRES)?;
    // An invalid date means "already expired" (RFC 9111 §5.3).
    let Some(expires) = expires.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok()) else {
        return Some(Duration::ZERO);
    };
    // Without a date, the moment it came is the one it was made (RFC 9110 §6.6.1).
    let date = date(headers, DATE).unwrap_or(received);
    Some(expires.duration_since(date).unwrap_or_default())
}

fn implicit_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Directives,
    received: SystemTime,
    policy: Policy,
) -> Option<Duration> {
    let heuristic = || {
        let since = date(headers, LAST_MODIFIED)
            .and_then(|modified| date(headers, DATE).unwrap_or(received).duration_since(modified).ok())
            .unwrap_or_default();
        Some((since / 10).min(HEURISTIC_MAX))
    };
    match status.as_u16() {
        404 | 410 if !policy.web => Some(policy.negative),
        500..=599 if !policy.web => Some(ERROR_MAX.min(policy.negative)),
        404 | 410 | 501 | 200 | 203 | 204 | 206 | 300 | 301 | 308 | 405 | 414 => heuristic(),
        _ if directives.public => heuristic(),
        _ => None,
    }
}

/// Whether the status is one whose rules of caching are known here.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300..=304 | 307 | 308 | 400..=417 | 421 | 451 | 500..=505)
}

/// RFC 9111 §4.2.3 without the request's travel time, which the tier does not measure;
/// an invalid `Age` is ignored and the first of several counts (§5.1).
fn initial_age(headers: &HeaderMap, received: SystemTime) -> Duration {
    let apparent =
        date(headers, DATE).and_then(|date| received.duration_since(date).ok()).unwrap_or_default();
    let stated = headers
        .get(AGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| delta_seconds(text.split([',', ';']).next()?.trim()))
        .map(Duration::from_secs)
        .unwrap_or_default();
    // A second of clock difference is the resolution of Date, not age.
    if apparent <= Duration::from_secs(1) { stated } else { apparent.max(stated) }
}

fn date(headers: &HeaderMap, name: http::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const MEDIA: Policy = Policy { web: false, authorized: false, negative: Duration::from_secs(2) };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn terms(status: u16, fields: &[(&'static str, String)]) -> Option<Terms> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Terms::of(StatusCode::from_u16(status).unwrap(), &headers, at(NOW).into(), MEDIA)
    }

    #[test]
    fn fresh_then_stale_while_revalidate_then_stale() {
        let t = terms(200, &[("cache-control", "max-age=10, stale-while-revalidate=5".into())]).unwrap();
        assert_eq!(t.state(at(NOW + 9)), State::Fresh);
        assert_eq!(t.state(at(NOW + 10)), State::StaleWhileRevalidate);
        assert_eq!(t.state(at(NOW + 15)), State::Stale);
    }

    #[test]
    fn age_of_upstream_counts() {
        let t = terms(200, &[("cache-control", "max-age=10".into()), ("age", "8".into())]).unwrap();
        assert_eq!(t.state(at(NOW + 1)), State::Fresh);
        assert_eq!(t.state(at(NOW + 2)), State::Stale);
        for (age, seconds) in
            [("-8", 0), ("+8", 0), ("1.5", 0), ("x", 0), ("7, 9", 7), ("99999999999", 1 << 31)]
        {
            let t = terms(200, &[("cache-control", "max-age=10".into()), ("age", age.into())]).unwrap();
            assert_eq!(t.initial_age, Duration::from_secs(seconds), "{age}");
        }
    }

    #[test]
    fn what_a_shared_cache_must_not_store() {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cache-control", "private"),
            ("set-cookie", "a=b"),
            ("vary", "*"),
            ("vary", "accept-encoding, user-agent"),
        ] {
            assert_eq!(terms(200, &[(name, value.into())]), None, "{name}: {value}");
        }
        assert!(terms(200, &[("vary", "Accept-Encoding, Origin".into())]).is_some());
        assert!(terms(302, &[]).is_none());
        assert!(terms(302, &[("cache-control", "max-age=5".into())]).is_some());
    }

    #[test]
    fn errors_are_forgotten_quickly() {
        assert_eq!(terms(404, &[]).unwrap().lifetime, Duration::from_secs(2));
        assert_eq!(terms(503, &[("cache-control", "max-age=600".into())]).unwrap().lifetime, ERROR_MAX);
    }

    #[test]
    fn expires_and_heuristics() {
        let date = httpdate::fmt_http_date(at(NOW));
        let t = terms(200, &[("date", date.clone()), ("expires", httpdate::fmt_http_date(at(NOW + 30)))])
            .unwrap();
        assert_eq!(t.lifetime, Duration::from_secs(30));
        assert_eq!(terms(200, &[("expires", "0".into())]).unwrap().lifetime, Duration::ZERO);
        let later = httpdate::fmt_http_date(at(NOW + 30));
        for date in ["yesterday", ""] {
            let t = terms(200, &[("date", date.into()), ("expires", later.clone())]).unwrap();
            assert_eq!(t.lifetime, Duration::from_secs(30), "no date but the moment it came");
        }
        let t = terms(200, &[("date", date), ("last-modified", httpdate::fmt_http_date(at(NOW - 1000)))])
            .unwrap();
        assert_eq!(t.lifetime, Duration::from_secs(100));
    }

    #[test]
    fn strict_responses_are_never_used_stale() {
        for value in ["max-age=1, must-revalidate, stale-if-error=60", "s-maxage=1", "no-cache"] {
            let t = terms(200, &[("cache-control", value.into())]).unwrap();
            assert!(t.strict && !t.usable_on_error(at(NOW + 2)), "{value}");
            assert!(!t.usable_disconnected(at(NOW + 2), Duration::from_secs(60)), "{value}");
        }
        for value in ["max-age=1, stale-if-error=60", "s-maxage=1, stale-if-error=60"] {
            let t = terms(200, &[("cache-control", value.into())]).unwrap();
            assert!(t.usable_on_error(at(NOW + 2)) && !t.usable_on_error(at(NOW + 61)), "{value}");
        }
        let t = terms(200, &[("cache-control", "max-age=1".into())]).unwrap();
        assert!(t.usable_disconnected(at(NOW + 2), Duration::from_secs(60)));
        assert!(!t.usable_disconnected(at(NOW + 61), Duration::from_secs(60)));
    }

    #[test]
    fn requests_may_wish_for_more_and_for_less() {
        let t = terms(200, &[("cache-control", "max-age=10, stale-while-revalidate=5".into())]).unwrap();
        let strict = terms(200, &[("cache-control", "max-age=10, must-revalidate".into())]).unwrap();
        let wishes = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", text.parse().unwrap());
            Wishes::of(&headers)
        };
        for (wish, after, suits) in [
            ("x", 9, true),
            ("x", 14, true),
            ("x", 15, false),
            ("no-cache", 0, false),
            ("max-age=0", 0, true),
            ("max-age=0", 1, false),
            ("max-age=5", 5, true),
            ("max-age=5", 6, false),
            ("min-fresh=4", 6, true),
            ("min-fresh=4", 7, false),
            ("max-stale", 1000, true),
            ("max-stale=20", 29, true),
            ("max-stale=20", 30, false),
        ] {
            assert_eq!(t.suits(&wishes(wish), at(NOW + after)), suits, "{wish} after {after}");
        }
        assert!(!strict.suits(&wishes("max-stale"), at(NOW + 10)));
    }
}
