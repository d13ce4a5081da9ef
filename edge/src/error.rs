//! Everything that goes wrong on an edge: at the start, and in answering a viewer.
//!
//! The only file of this crate that picks an HTTP status. Details are for viewers: they say why and what to
//! do, and never name a host, a file or a token.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Either;
use kromka_access::Refusal;
use kromka_cache::Failure;
use kromka_hls::{DirectiveError, PathError};
use kromka_net::Problem;

use crate::Content;

/// Why an edge cannot start. Every text says what to do.
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
    /// The file of keys cannot be read.
    #[error("keys = {}: {source}; make the file readable for this user", path.display())]
    KeysFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of keys is not a JWK Set.
    #[error("keys = {}: {why}; it must be a JWK Set (RFC 7517)", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
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

/// Why a viewer does not get what was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Denied {
    /// Neither GET, HEAD nor OPTIONS.
    Method,
    /// The path cannot name anything.
    Path(PathError),
    /// No service publishes the path.
    NoService,
    /// The token.
    Token(Refusal),
    /// The request has been here before (RFC 8586).
    Loop,
    /// The tier could not answer.
    Tier(Failure),
    /// The request's body is larger than is sent on.
    Upload {
        /// Bytes that are.
        limit: u64,
    },
    /// The request's body broke off, or its frames make no sense.
    BrokenUpload,
    /// The request wants the connection for another protocol.
    Upgrade,
    /// The plan's limits leave nothing to play.
    NothingLeft,
    /// A delivery directive that cannot be obeyed.
    Directive(DirectiveError),
    /// A reload waits for what is too far ahead.
    TooFar,
    /// A held reload's news did not come in time.
    NoNews,
    /// More reloads wait than are held.
    TooManyHeld,
    /// A sibling asks for what another edge owns.
    NotTheOwner,
    /// The source's own error, which came without words.
    Source(StatusCode),
}

/// When to come back after a trouble that passes by itself.
const SOON: Duration = Duration::from_secs(1);

impl Denied {
    fn problem(&self) -> Problem {
        use StatusCode as S;
        match self {
            Denied::Method => Problem::new(S::METHOD_NOT_ALLOWED, "method", "Method not allowed")
                .detail("only GET, HEAD and OPTIONS are served here"),
            Denied::Path(PathError::TooLong) => {
                Problem::new(S::URI_TOO_LONG, "path-too-long", "Path too long")
                    .detail(PathError::TooLong.to_string())
            }
            // What the path says about its token is the token's story.
            Denied::Path(PathError::TwoTokens) => Denied::Token(Refusal::Doubled).problem(),
            Denied::Path(PathError::BadToken) => {
                Denied::Token(Refusal::Malformed("it holds characters that no token has")).problem()
            }
            Denied::Path(error) => {
                Problem::new(S::BAD_REQUEST, "bad-path", "Bad path").detail(error.to_string())
            }
            Denied::NoService => Problem::new(S::NOT_FOUND, "no-service", "Not found")
                .detail("nothing is published under this path"),
            Denied::Token(refusal @ Refusal::Missing) => {
                Problem::new(S::UNAUTHORIZED, refusal.slug(), "Token required").detail(refusal.to_string())
            }
            Denied::Token(refusal) => {
                Problem::new(S::FORBIDDEN, refusal.slug(), "Token refused").detail(refusal.to_string())
            }
            Denied::Loop => Problem::new(S::LOOP_DETECTED, "loop", "Loop detected")
                .detail("the request has passed this node before: a source points back at its own cache"),
            Denied::Tier(failure) => upstream(failure),
            Denied::Upload { limit } => {
                Problem::new(S::PAYLOAD_TOO_LARGE, "too-large-upload", "Body too large")
                    .detail(format!("at most {limit} bytes are sent on from here"))
            }
            Denied::BrokenUpload => Problem::new(S::BAD_REQUEST, "broken-upload", "Body broke off")
                .detail("the request's body ended early, or its chunks cannot be read"),
            Denied::Upgrade => Problem::new(S::NOT_IMPLEMENTED, "upgrade", "No upgrades here")
                .detail("WebSocket and other upgrades do not pass a cache: connect to the server itself"),
            Denied::NothingLeft => Problem::new(S::FORBIDDEN, "nothing-left", "No rendition allowed")
                .detail("the session's limits on resolution and bitrate leave no rendition of this title"),
            Denied::Directive(error) => {
                Problem::new(S::BAD_REQUEST, "bad-directive", "Bad directive").detail(error.to_string())
            }
            Denied::TooFar => Problem::new(S::BAD_REQUEST, "too-far", "Too far ahead")
                .detail("the reload waits for a segment or part far beyond the newest one"),
            Denied::NoNews => Problem::new(S::SERVICE_UNAVAILABLE, "no-news", "No news of the stream")
                .detail("the stream was not continued within three target durations")
                .retry_after(SOON),
            Denied::TooManyHeld => Problem::new(S::SERVICE_UNAVAILABLE, "too-many-held", "Busy")
                .detail("too many reloads wait for news already")
                .retry_after(SOON),
            Denied::NotTheOwner => Problem::new(S::MISDIRECTED_REQUEST, "not-the-owner", "Another edge's")
                .detail("another edge of this site owns the object: ask a shield"),
            Denied::Source(status) => source(*status),
        }
    }

    /// The answer that a viewer gets.
    pub(crate) fn response(&self) -> Response<Content> {
        let mut response = self.problem().response().map(Either::Right);
        match self {
            Denied::Method => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            }
            // RFC 9110 section 15.5.2: a 401 names the scheme that would help.
            Denied::Token(Refusal::Missing) => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

fn upstream(failure: &Failure) -> Problem {
    use StatusCode as S;
    match failure {
        Failure::TimedOut(_) => Problem::new(S::GATEWAY_TIMEOUT, "source-timeout", "Source too slow")
            .detail("the source did not answer in time")
            .retry_after(SOON),
        Failure::Busy { retry_after, .. } => Problem::new(S::SERVICE_UNAVAILABLE, "busy", "Busy")
            .detail("too much is under way; try again in a moment")
            .retry_after(*retry_after),
        Failure::NotStored => Problem::new(S::GATEWAY_TIMEOUT, "not-stored", "Not stored")
            .detail("the request asks for what is stored only (only-if-cached), and nothing here would do"),
        Failure::Unconfirmed(_) => Problem::new(S::GATEWAY_TIMEOUT, "unconfirmed", "Cannot be confirmed")
            .detail("what is stored must be confirmed by its source (must-revalidate), which gave no answer")
            .retry_after(SOON),
        Failure::Answered(status) => source(*status),
        Failure::TooLarge { .. } => Problem::new(S::BAD_GATEWAY, "too-large", "Source answer too large")
            .detail("the source's answer is larger than this node accepts"),
        _ => Problem::new(S::BAD_GATEWAY, "source-unreachable", "Source unavailable")
            .detail("the source could not be reached or broke off")
            .retry_after(SOON),
    }
}

/// Words for a source's status that came without any.
fn source(status: StatusCode) -> Problem {
    let problem = match status {
        StatusCode::NOT_FOUND => {
            Problem::new(status, "not-found", "Not found").detail("there is no such object")
        }
        StatusCode::GONE => Problem::new(status, "gone", "Gone").detail("the object has been withdrawn"),
        StatusCode::RANGE_NOT_SATISFIABLE => Problem::new(status, "range", "Range not satisfiable")
            .detail("no byte of the range exists; Content-Range tells the size"),
        status => Problem::new(status, "source", status.canonical_reason().unwrap_or("Source error"))
            .detail("the source answered so"),
    };
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            problem.retry_after(SOON)
        }
        _ => problem,
    }
}
