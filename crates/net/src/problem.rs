//! Errors as JSON: problem details (RFC 9457).

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, RETRY_AFTER,
};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde::{Deserialize, Serialize};

/// Prefix of every problem type: an URN names a kind of error without pointing at a host that may be down.
const TYPE_PREFIX: &str = "urn:kromka:problem:";

/// One error, as RFC 9457 spells it: `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of error it is, for programs: `urn:kromka:problem:<slug>`.
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    /// The kind in a few words, for people; the same for every occurrence.
    #[serde(default)]
    pub title: String,
    /// The HTTP status, 100 to 999.
    #[serde(default)]
    pub status: u16,
    /// What happened this time and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Which request parts are wrong (an extension that RFC 9457 gives as its own example).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemPart>,
    /// Seconds after which a new try makes sense; also sent as `Retry-After`.
    #[serde(default, rename = "retry_after_s", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// One wrong part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemPart {
    /// JSON pointer (RFC 6901) into the request's body, for example `#/ttl_s`.
    pub pointer: String,
    /// What is wrong there and what is allowed.
    pub detail: String,
}

impl Problem {
    /// A problem of the kind `urn:kromka:problem:<slug>`.
    pub fn new(status: StatusCode, slug: &str, title: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// Adds what happened this time and what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a wrong part of the request's body.
    #[must_use]
    pub fn part(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(ProblemPart { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says when to try again; rounded up to whole seconds, at least one (`Retry-After` knows no less).
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// The last part of the type: `expired` of `urn:kromka:problem:expired`; the whole type of others.
    pub fn slug(&self) -> &str {
        self.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&self.kind)
    }

    /// The answer to send: `application/problem+json`, never stored by caches.
    pub fn response(self) -> Response<Full<Bytes>> {
        // Only strings and numbers are in it, so serde_json has no way to fail; an empty body would still
        // carry the right status.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Whether an answer is an error without a word to whoever asked.
pub fn wordless<B: Body>(method: &Method, answer: &Response<B>) -> bool {
    let status = answer.status();
    let told = answer.headers().get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let silent = if method == Method::HEAD { !told } else { answer.body().size_hint().exact() == Some(0) };
    (status.is_client_error() || status.is_server_error()) && silent
}

/// Puts a problem's status and words in the place of an answer's own; what that one said about its lifetime
/// stays.
pub fn explain<B>(answer: &mut Response<B>, problem: Response<B>) {
    let (told, body) = problem.into_parts();
    *answer.status_mut() = told.status;
    let headers = answer.headers_mut();
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, ETAG, LAST_MODIFIED] {
        headers.remove(name);
    }
    for (name, value) in &told.headers {
        if name == CONTENT_TYPE || !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
    *answer.body_mut() = body;
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title),
            None => f.write_str(&self.title),
        }?;
        for part in &self.errors {
            write!(f, "; {}: {}", part.pointer, part.detail)?;
        }
        Ok(())
    }
}

/// RFC 9457, section 3.1.1: an absent type means that the status says it all.
fn blank() -> String {
    "about:blank".to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_answer_carries_type_status_and_retry_after() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too busy")
            .detail("all 256 fills are taken")
            .retry_after(Duration::from_millis(1200));
        let response = problem.clone().response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["type"], "urn:kromka:problem:busy");
        assert_eq!(json["status"], 503);
        assert!(json.get("errors").is_none());
        assert_eq!(serde_json::from_slice::<Problem>(&body).unwrap(), problem);
        assert_eq!(problem.slug(), "busy");
    }

    #[test]
    fn a_foreign_problem_with_few_members_is_read() {
        let problem: Problem = serde_json::from_str(r#"{"title":"No","instance":"/x"}"#).unwrap();
        assert_eq!((problem.kind.as_str(), problem.title.as_str()), ("about:blank", "No"));
    }

    #[test]
    fn people_see_title_detail_and_parts() {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid", "Not valid")
            .detail("1 field is wrong")
            .part("#/ttl_s", "1 to 86400");
        assert_eq!(problem.to_string(), "Not valid: 1 field is wrong; #/ttl_s: 1 to 86400");
    }
}
