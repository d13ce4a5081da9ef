//! Who may read answers in a browser (the CORS protocol of the Fetch standard).
//!
//! The fields stand on every status: a page that cannot read an error shows a mystery instead.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request};

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Content-Length, Content-Range, ETag, Server-Timing, Cache-Status, Age");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const ASKED: HeaderValue =
    HeaderValue::from_static("Range, If-Range, If-None-Match, If-Modified-Since, Accept");
/// Browsers cap a preflight's life (Chromium at two hours); a day says "as long as you can".
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The pages that may read a service.
pub(crate) enum Cors {
    /// Every page, without cookies: `*` and credentials exclude each other.
    Any,
    /// These origins, with cookies.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Cors {
        if origins.iter().any(|origin| origin == "*") {
            return Cors::Any;
        }
        Cors::Listed(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    /// Adds what lets the asking page read this answer, if it may; a preflight learns what it may ask.
    pub(crate) fn allow<B>(&self, asked: &Request<B>, answer: &mut HeaderMap) {
        if asked.method() == Method::OPTIONS {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, ASKED);
            answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        let origin = match self {
            Cors::Any => ANY,
            Cors::Listed(origins) => {
                // Another page would get another answer, and caches must know.
                answer.append(VARY, HeaderValue::from_static("Origin"));
                let asking = asked.headers().get(ORIGIN);
                let Some(origin) = origins.iter().find(|origin| Some(*origin) == asking) else { return };
                answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
                origin.clone()
            }
        };
        answer.insert(TIMING_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn from(origin: &'static str) -> Request<()> {
        Request::builder().header(ORIGIN, origin).body(()).unwrap()
    }

    #[test]
    fn a_star_comes_without_credentials() {
        let mut answer = HeaderMap::new();
        Cors::new(&["*".to_owned()]).allow(&from("https://a.example"), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn a_listed_page_is_named_and_others_are_not() {
        let cors = Cors::new(&["https://a.example".to_owned()]);
        let mut answer = HeaderMap::new();
        cors.allow(&from("https://a.example"), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(answer[VARY], "Origin");
        let mut answer = HeaderMap::new();
        cors.allow(&from("https://b.example"), &mut answer);
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(answer[VARY], "Origin");
    }
}
