//! Everything that goes wrong on an origin: at the start, and in answering an edge.
//!
//! The only file of this crate that picks an HTTP status. What an edge is told may reach a viewer: it names
//! no host, no file and no bucket; those stand in the log.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Either;
use kromka_cache::Failure;
use kromka_hls::{DirectiveError, PathError};
use kromka_net::Problem;

use crate::Content;

/// Why an origin cannot start. Every text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener, a certificate or the client cannot be had.
    #[error(transparent)]
    Net(#[from] kromka_net::NetError),
    /// The cache's disk cannot be used.
    #[error(transparent)]
    Cache(#[from] kromka_cache::CacheError),
    /// The node's own folder cannot be used.
    #[error(transparent)]
    Agent(#[from] kromka_control::AgentError),
    /// A directory of media cannot be read.
    #[error(
        "media directory {}: {error}; name a folder that exists and that this user may read and enter",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A store cannot be set up.
    #[error("source {name}: {why}")]
    Store {
        /// Which one.
        name: String,
        /// What is wrong with its settings.
        why: String,
    },
    /// A setting is right by itself and yet cannot be used.
    #[error("{key}: {why}")]
    Setting {
        /// Which setting.
        key: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// Why an edge does not get what it asked for.
#[derive(Clone, Debug)]
pub(crate) enum Denied {
    /// Neither GET nor HEAD.
    Method,
    /// Not one of our nodes.
    Stranger,
    /// The request has been here before (RFC 8586).
    Loop,
    /// The path cannot name anything.
    Path(PathError),
    /// The fence is not a number.
    Fence,
    /// There is no such service here.
    NoService,
    /// The source of that service has no listing.
    NoListing,
    /// A delivery directive that cannot be obeyed.
    Directive(DirectiveError),
    /// A reload waits for what is too far ahead.
    TooFar,
    /// A held reload's news did not come in time, or too many are held.
    NoNews,
    /// The tier or the source could not answer.
    Source(Failure),
    /// The source's own status, which came without words.
    Status(StatusCode),
}

/// When to come back after a trouble that passes by itself.
const SOON: Duration = Duration::from_secs(1);

impl Denied {
    fn problem(&self) -> Problem {
        use StatusCode as S;
        match self {
            Denied::Method => Problem::new(S::METHOD_NOT_ALLOWED, "method", "Method not allowed")
                .detail("only GET and HEAD are served here"),
            Denied::Stranger => Problem::new(S::UNAUTHORIZED, "node-token", "Node token required")
                .detail("a shield serves edges only: send Authorization: Bearer with the fleet's node token"),
            Denied::Loop => Problem::new(S::LOOP_DETECTED, "loop", "Loop detected")
                .detail("the request has passed this node before: a source points back at its own cache"),
            Denied::Path(PathError::TooLong) => {
                Problem::new(S::URI_TOO_LONG, "path-too-long", "Path too long")
                    .detail(PathError::TooLong.to_string())
            }
            Denied::Path(error) => {
                Problem::new(S::BAD_REQUEST, "bad-path", "Bad path").detail(error.to_string())
            }
            Denied::Fence => Problem::new(S::BAD_REQUEST, "bad-fence", "Bad fence")
                .detail("kromka-fence must be a whole number below 2^64"),
            Denied::NoService => Problem::new(S::NOT_FOUND, "no-service", "Not found")
                .detail("the shield has no such service: the path is /<service>/<path>"),
            Denied::NoListing => Problem::new(S::NOT_IMPLEMENTED, "no-listing", "No listing")
                .detail("a web server cannot be listed: name trees or urls instead of a prefix"),
            Denied::Directive(error) => {
                Problem::new(S::BAD_REQUEST, "bad-directive", "Bad directive").detail(error.to_string())
            }
            Denied::TooFar => Problem::new(S::BAD_REQUEST, "too-far", "Too far ahead")
                .detail("the reload waits for a segment or part far beyond the newest one"),
            Denied::NoNews => Problem::new(S::SERVICE_UNAVAILABLE, "no-news", "No news of the stream")
                .detail("the stream was not continued within three target durations")
                .retry_after(SOON),
            Denied::Source(failure) => failed(failure),
            Denied::Status(status) => told(*status),
        }
    }

    /// The answer that an edge gets.
    pub(crate) fn response(&self) -> Response<Content> {
        let mut response = self.problem().response().map(Either::Right);
        match self {
            Denied::Method => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Denied::Stranger => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

fn failed(failure: &Failure) -> Problem {
    use StatusCode as S;
    match failure {
        Failure::TimedOut(_) => Problem::new(S::GATEWAY_TIMEOUT, "source-timeout", "Source too slow")
            .detail("the source did not answer in time")
            .retry_after(SOON),
        Failure::Busy { retry_after, .. } => Problem::new(S::SERVICE_UNAVAILABLE, "busy", "Busy")
            .detail("the source wants to be left alone, or too much is under way")
            .retry_after(*retry_after),
        Failure::Unconfirmed(_) => Problem::new(S::GATEWAY_TIMEOUT, "unconfirmed", "Cannot be confirmed")
            .detail("what is stored must be confirmed by its source (must-revalidate), which gave no answer")
            .retry_after(SOON),
        Failure::Answered(status) => told(*status),
        Failure::Refused(_) => told(S::UNAUTHORIZED),
        Failure::TooLarge { .. } => Problem::new(S::BAD_GATEWAY, "too-large", "Source answer too large")
            .detail("the source's answer is larger than this node accepts"),
        _ => Problem::new(S::BAD_GATEWAY, "source-unreachable", "Source unavailable")
            .detail("the source could not be reached or broke off")
            .retry_after(SOON),
    }
}

/// Words for a source's status. Its 401 is ours to have avoided, so for edges it is a bad gateway: theirs
/// means the node token.
fn told(status: StatusCode) -> Problem {
    use StatusCode as S;
    match status {
        S::UNAUTHORIZED | S::PROXY_AUTHENTICATION_REQUIRED => {
            Problem::new(S::BAD_GATEWAY, "source-credentials", "Source refused the shield")
                .detail("the source wants credentials that the shield does not have, or other requests")
        }
        S::NOT_FOUND => Problem::new(status, "not-found", "Not found").detail("there is no such object"),
        S::GONE => Problem::new(status, "gone", "Gone").detail("the object has been withdrawn"),
        S::RANGE_NOT_SATISFIABLE => Problem::new(status, "range", "Range not satisfiable")
            .detail("no byte of the range exists; Content-Range tells the size"),
        S::BAD_GATEWAY | S::SERVICE_UNAVAILABLE | S::GATEWAY_TIMEOUT => {
            Problem::new(status, "source", "Source in trouble")
                .detail("the source answered so")
                .retry_after(SOON)
        }
        _ => Problem::new(status, "source", status.canonical_reason().unwrap_or("Source error"))
            .detail("the source answered so"),
    }
}
