//! Where a tier fills from: the one trait a shield client, a bucket or an HTTP origin implements.
//! It speaks HTTP semantics (RFC 9110), so that a tier behind a tier needs no translation.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};

use crate::Key;

/// Answers fetches. Implementations bound their own waits (dialling, first byte, stall); the tier
/// bounds them once more.
pub trait Source: Send + Sync + 'static {
    /// Asks for an object, or for a range of it.
    ///
    /// # Errors
    /// Only where no HTTP answer could be had; a 404 or a 503 with a body is an `Ok`.
    fn fetch(&self, want: Want) -> impl Future<Output = Result<Fetched, SourceError>> + Send;
}

/// What the tier asks for.
#[derive(Clone, Debug)]
pub struct Want {
    /// The object.
    pub key: Key,
    /// Bytes wanted, end exclusive (`Range: bytes=start-(end-1)`); all of them if `None`.
    /// A source that answers 200 with the whole body is understood.
    pub range: Option<Range<u64>>,
    /// The strong entity tag of the generation that the range belongs to. Sent as `If-Range`
    /// (HTTP) or `If-Match` (store): a changed object answers 200 with the whole new body.
    pub pin: Option<String>,
    /// Validators of a stale generation: a 304 makes it fresh again.
    pub revalidate: Option<Validators>,
    /// The purge fence that the answer must not lie below; sent upstream as `kromka-fence` when > 0.
    pub fence: u64,
    /// Only the header is wanted.
    pub head: bool,
    /// The end-to-end fields of the request that are to reach the source; empty for media, whose
    /// answer never depends on who asks.
    pub headers: HeaderMap,
}

/// What a conditional request is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// For `If-None-Match`, quoted as it came.
    pub etag: Option<String>,
    /// For `If-Modified-Since`, as it came.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether there is anything to ask with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// A source's answer, as HTTP: 200, 206 with `content-range`, 304, 404, 416 ...
pub struct Fetched {
    /// The status code.
    pub status: StatusCode,
    /// The fields, hop-by-hop ones included; the tier leaves those out.
    pub headers: HeaderMap,
    /// The body; it ends with an `Err` if it was cut short.
    pub body: SourceBody,
}

/// The bytes of an answer as they arrive.
pub type SourceBody = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// No HTTP answer, or not all of one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Which kind of trouble it was.
    pub kind: SourceFault,
    /// For the log; never shown to a viewer.
    pub message: String,
    /// How long the source wants to be left alone, where it said so.
    pub retry_after: Option<Duration>,
}

impl SourceError {
    /// A fault with words for the log.
    pub fn new(kind: SourceFault, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }
}

/// The kinds of trouble with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// No connection: nobody there heard the request.
    Unreachable,
    /// Connected, but the answer did not come in time.
    TimedOut,
    /// The answer broke off, or is no answer: a store in trouble.
    Broken,
    /// It asks to be left alone (503 SlowDown, 429).
    Busy,
    /// It does not want us, or our request: the same again would be refused again.
    Refused,
}

impl SourceFault {
    /// The fault as metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::Refused => "refused",
        }
    }
}

/// How a fetch ended, as metrics tell it: by its status, or by its fault.
///
/// # Errors
/// The name of the fault.
pub fn outcome(answer: &Result<Fetched, SourceError>) -> Result<StatusCode, &'static str> {
    answer.as_ref().map(|fetched| fetched.status).map_err(|error| error.kind.as_str())
}
