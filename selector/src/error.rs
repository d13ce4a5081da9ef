//! What can go wrong, and the one place that picks a status.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use kromka_access::{KeyError, Scope};
use kromka_control::FieldError;
use kromka_net::{NetError, Problem};

use crate::store::StoreError;

/// Why a selector could not start; every text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener or its certificate.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store.
    #[error("{0}")]
    Store(String),
    /// A signing key.
    #[error("a signing key cannot be used: {0}; take it out of the store, or start with a fresh one")]
    Key(KeyError),
    /// An address that DNS cannot be answered at.
    #[error("dns.listen: cannot answer at {addr}: {source}; {hint}")]
    Dns {
        /// The address.
        addr: std::net::SocketAddr,
        /// What to do.
        hint: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setting.
    #[error("{0}")]
    Config(String),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Store(error.to_string())
    }
}

/// Why a request is not answered as it was meant to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no bearer token, or not a known one")]
    Unauthorized,
    #[error("the token lacks the scope {0}")]
    Forbidden(Scope),
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Gone(&'static str),
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("no edge is fit to serve")]
    NoEdge,
    #[error("no node is there to do it")]
    NoNode,
    #[error("{0}")]
    Busy(&'static str),
    #[error("{0}")]
    TooMany(&'static str),
    #[error("the session's token is not good: {0}")]
    Token(String),
    #[error("the key was used for another request")]
    KeyReused,
    #[error("the same request is being worked on")]
    InFlight,
    #[error("the resource has changed")]
    Changed,
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Internal(String),
}

impl ApiError {
    /// One wrong field.
    pub(crate) fn field(pointer: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError::Invalid(vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    /// The same, in a request that holds the wrong one at `prefix`.
    pub(crate) fn below(self, prefix: &str) -> ApiError {
        let ApiError::Invalid(mut errors) = self else { return self };
        for error in &mut errors {
            error.pointer.insert_str(0, prefix);
        }
        ApiError::Invalid(errors)
    }

    /// How the error looks to the caller.
    pub(crate) fn problem(&self) -> Problem {
        let new = |status, slug, title: &str| Problem::new(status, slug, title);
        match self {
            ApiError::Unauthorized => new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authorized")
                .detail("send `Authorization: Bearer <token>` with a token of the selector's configuration"),
            ApiError::Forbidden(scope) => {
                new(StatusCode::FORBIDDEN, "forbidden", "The token may not do this")
                    .detail(format!("it lacks the scope `{scope}`"))
            }
            ApiError::Invalid(errors) => {
                let problem = new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request is not valid");
                let detail = match errors.as_slice() {
                    [one] => one.message.clone(),
                    many => format!("{} fields are wrong", many.len()),
                };
                errors.iter().fold(problem.detail(detail), |problem, error| {
                    problem.part(format!("#{}", error.pointer), &error.message)
                })
            }
            ApiError::NotJson(detail) => new(StatusCode::BAD_REQUEST, "not-json", "The body is not JSON")
                .detail(detail)
                .part("#", detail),
            ApiError::BadRequest(detail) => {
                new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be understood").detail(detail)
            }
            ApiError::NotFound(detail) => new(StatusCode::NOT_FOUND, "not-found", "Not found").detail(detail),
            ApiError::Gone(detail) => new(StatusCode::GONE, "gone", "Switched off for good").detail(*detail),
            ApiError::MethodNotAllowed => {
                new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here")
                    .detail("the field `Allow` names those that are")
            }
            ApiError::TooLarge(limit) => {
                new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
                    .detail(format!("at most {limit} bytes; split it into several requests"))
            }
            ApiError::NoEdge => new(StatusCode::SERVICE_UNAVAILABLE, "no-edge", "No edge is available")
                .detail("no edge is left for this viewer: none reports here, or all are down, excluded or kept from its network by a zone")
                .retry_after(Duration::from_secs(2)),
            ApiError::NoNode => new(StatusCode::SERVICE_UNAVAILABLE, "no-node", "No node is available")
                .detail("no node that could do it is live")
                .retry_after(Duration::from_secs(2)),
            ApiError::Busy(detail) => new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too busy")
                .detail(*detail)
                .retry_after(Duration::from_secs(5)),
            ApiError::TooMany(detail) => new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests")
                .detail(*detail)
                .retry_after(Duration::from_secs(60)),
            ApiError::Token(why) => {
                new(StatusCode::UNAUTHORIZED, "token", "The session's token is not good").detail(why)
            }
            ApiError::KeyReused => new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key is taken",
            )
            .detail("it came with another request before; use a fresh key for each request"),
            ApiError::InFlight => {
                new(StatusCode::CONFLICT, "idempotency-key-in-flight", "The same request is in progress")
                    .detail("wait for its answer, or ask again a little later")
                    .retry_after(Duration::from_secs(1))
            }
            ApiError::Changed => new(StatusCode::PRECONDITION_FAILED, "changed", "The resource has changed")
                .detail("read it again: `If-Match` names an older version"),
            ApiError::Conflict(detail) => {
                new(StatusCode::CONFLICT, "conflict", "Not possible now").detail(detail)
            }
            ApiError::Store(_) | ApiError::Internal(_) => {
                new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The selector failed")
                    .detail("its log says why; the request may be sent again")
            }
        }
    }
}

impl ApiError {
    /// The answer, with a word in the log where the selector is to blame.
    pub(crate) fn response(self) -> http::Response<Full<Bytes>> {
        if matches!(self, ApiError::Store(_) | ApiError::Internal(_)) {
            tracing::error!(error = %self, "a request failed");
        }
        let mut response = self.problem().response();
        if matches!(self, ApiError::Unauthorized) {
            let challenge = HeaderValue::from_static("Bearer realm=\"kromka\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.response().map(axum::body::Body::new)
    }
}
