//! Requests to a selector: its base URL, a path, a bearer token, JSON.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde::Serialize;
use url::Url;

/// `base` with path segments added; each is escaped, so that no id can break out of its segment.
pub(crate) fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Only a base such as `mailto:` has no segments, and it cannot be requested either way.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A GET.
pub(crate) fn get(url: &Url, bearer: Option<&HeaderValue>) -> Result<Request<Bytes>, http::Error> {
    request(Method::GET, url, bearer).body(Bytes::new())
}

/// A POST of JSON.
pub(crate) fn post(
    url: &Url,
    bearer: Option<&HeaderValue>,
    body: &impl Serialize,
) -> Result<Request<Bytes>, http::Error> {
    write(Method::POST, url, bearer, body)
}

/// JSON by any method that writes.
pub(crate) fn write(
    method: Method,
    url: &Url,
    bearer: Option<&HeaderValue>,
    body: &impl Serialize,
) -> Result<Request<Bytes>, http::Error> {
    // The bodies are our own structs of strings and numbers: writing them cannot fail, and an empty body
    // would be refused by name.
    let body = serde_json::to_vec(body).unwrap_or_default();
    request(method, url, bearer).header(CONTENT_TYPE, "application/json").body(Bytes::from(body))
}

/// `Bearer …`, kept out of debug output; `None` when the token holds what a header cannot.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn request(method: Method, url: &Url, bearer: Option<&HeaderValue>) -> http::request::Builder {
    let request = Request::builder().method(method).uri(url.as_str());
    match bearer {
        Some(bearer) => request.header(AUTHORIZATION, bearer),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_added_below_the_base_and_escaped() {
        let base = Url::parse("http://s.example:1/cdn/?x=1").unwrap();
        assert_eq!(
            endpoint(&base, &["v1", "nodes", "a/b:drain"]).as_str(),
            "http://s.example:1/cdn/v1/nodes/a%2Fb:drain"
        );
        let base = Url::parse("http://s.example").unwrap();
        assert_eq!(endpoint(&base, &["v1", "feed"]).as_str(), "http://s.example/v1/feed");
    }

    #[test]
    fn a_token_with_a_line_break_is_refused() {
        assert!(bearer("a\nb").is_none());
        assert!(bearer("ab").unwrap().is_sensitive());
    }
}
