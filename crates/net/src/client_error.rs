//! Why an outbound request has no (whole) answer.

use std::time::Duration;

use http::StatusCode;

use crate::problem::Problem;

/// What went wrong with an outbound request; the text names the step and the server, never the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request itself cannot be sent: an URL without host, a header that HTTP does not allow.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// No connection: the name is unknown, nobody listens, nobody answers within `connect`, TLS was refused.
    #[error("{authority} cannot be reached: {message}")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// The reason, innermost last.
        message: String,
    },
    /// A deadline passed.
    #[error("{authority} took too long: no {what} within {after:?}")]
    TimedOut {
        /// Host and port.
        authority: String,
        /// What was awaited: `answer` or `more of the body`.
        what: &'static str,
        /// The deadline that passed.
        after: Duration,
    },
    /// The connection broke while the answer was awaited or its body came; the body is not whole.
    #[error("{authority} broke off: {message}")]
    Broken {
        /// Host and port.
        authority: String,
        /// The reason, innermost last.
        message: String,
    },
    /// The server answered, but not with success (only [`Client::json`](crate::Client::json)).
    #[error("{authority} answered {status}{}", .problem.as_ref().map(|p| format!(": {p}")).unwrap_or_default())]
    Status {
        /// Host and port.
        authority: String,
        /// The status.
        status: StatusCode,
        /// The problem document, if the server sent one.
        problem: Option<Box<Problem>>,
        /// From `Retry-After`, where it was a number of seconds.
        retry_after: Option<Duration>,
    },
    /// The body is larger than the reader takes.
    #[error("the body from {authority} is larger than {limit} bytes")]
    TooLarge {
        /// Host and port.
        authority: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is not the JSON that was expected.
    #[error("the body from {authority} is not what was expected: {message}")]
    Json {
        /// Host and port.
        authority: String,
        /// What the parser said.
        message: String,
    },
}

impl ClientError {
    /// The status of an unsuccessful answer.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the same request may succeed elsewhere or later: the server was not reached, was too slow,
    /// broke off, or said 429 or 5xx.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Request(_) | Self::TooLarge { .. } | Self::Json { .. } => false,
        }
    }
}
