//! Reading requests, and saying where they are wrong.

use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::pointer::{pointer, steps_at};
use crate::error::ApiError;

/// Largest body of a request in bytes: 1 MiB.
pub(crate) const BODY_MAX: usize = 1 << 20;

/// Longest wait for the whole of it; a connection that drips must not hold a request for ever.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// A JSON body. Unlike axum's, it says where the body is wrong: line and column where it is no JSON, a JSON pointer
/// where it is not what was expected. The content type is not looked at: there is only one.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read(request).await.and_then(|body| parse(&body)).map(Json)
    }
}

/// Parameters of a query.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Params(query)),
            Err(rejection) => Err(ApiError::BadRequest(rejection.body_text())),
        }
    }
}

/// The whole body, within bounds; one that says itself that it is too large is not waited for.
pub(crate) async fn read(request: Request) -> Result<Bytes, ApiError> {
    read_up_to(request, BODY_MAX).await
}

/// The same, of at most `most` bytes.
pub(crate) async fn read_up_to(request: Request, most: usize) -> Result<Bytes, ApiError> {
    let body = request.into_body();
    if HttpBody::size_hint(&body).lower() > most as u64 {
        return Err(ApiError::TooLarge(most));
    }
    let read = tokio::time::timeout(BODY_WAIT, axum::body::to_bytes(body, most)).await;
    let read =
        read.map_err(|_| ApiError::BadRequest(format!("the body did not come within {BODY_WAIT:?}")))?;
    read.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            ApiError::TooLarge(most)
        } else {
            ApiError::BadRequest("the body broke off".to_owned())
        }
    })
}

/// Reads JSON.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| explain(body, &error))
}

fn explain(body: &[u8], error: &serde_json::Error) -> ApiError {
    if body.iter().all(u8::is_ascii_whitespace) {
        return ApiError::NotJson("it is empty; send a JSON object".to_owned());
    }
    let message = error.to_string();
    if !error.is_data() {
        return ApiError::NotJson(message);
    }
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return ApiError::field("", "must be a JSON object");
    }
    let mut steps = steps_at(body, error.line(), error.column());
    let field = ["unknown field `", "missing field `"].iter().find_map(|kind| message.strip_prefix(kind));
    if let Some(name) = field.and_then(|rest| rest.split('`').next())
        && steps.last().is_none_or(|last| last != name)
    {
        steps.push(name.to_owned());
    }
    ApiError::field(pointer(&steps), message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Order {
        name: String,
        size: Option<u32>,
        items: Option<Vec<Item>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Item {
        path: String,
        mode: Option<Mode>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Hard,
    }

    fn pointer_of(body: &str) -> String {
        match parse::<Order>(body.as_bytes()).unwrap_err() {
            ApiError::Invalid(errors) => errors[0].pointer.clone(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_expected_is_named_by_pointer() {
        for (body, pointer) in [
            (r#"{"size": 1}"#, "/name"),
            (r#"{"name": "a", "size": "large"}"#, "/size"),
            (r#"{"name": "a", "size": -1, "items": []}"#, "/size"),
            (r#"{"name": 7}"#, "/name"),
            (r#"{"name": "a", "colour": 1}"#, "/colour"),
            ("{\n  \"name\": \"a\",\n  \"items\": [{\"path\": \"/\"}, {\"path\": 7}]\n}", "/items/1/path"),
            (r#"{"name": "a", "items": [{"path": "/"}, {"mode": "hard"}]}"#, "/items/1/path"),
            (r#"{"name": "a", "items": [{"path": "/", "x/y": 1}]}"#, "/items/0/x~1y"),
            (r#"{"name": "a", "items": [{"path": "/{,}", "mode": "soft"}]}"#, "/items/0/mode"),
            (r#"{"name": "a", "items": {}}"#, "/items"),
            ("[]", ""),
            ("7", ""),
        ] {
            assert_eq!(pointer_of(body), pointer, "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_named_by_line_and_column() {
        for body in ["{\n  \"name\": }", "{\n  \"name\"", "{\n\u{1}"] {
            match parse::<Order>(body.as_bytes()).unwrap_err() {
                ApiError::NotJson(message) => assert!(message.contains("line 2 column"), "{message}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        assert!(matches!(parse::<Order>(b" "), Err(ApiError::NotJson(message)) if message.contains("empty")));
    }
}
