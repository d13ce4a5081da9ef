//! What can go wrong in a tier: at opening ([`CacheError`]) and in answering ([`Failure`]).

use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

use crate::upstream::source::{SourceError, SourceFault};

/// A tier could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The disk folder cannot be used.
    #[error("cache disk {path}: {source}; make the folder writable for this user, or set another cache.disk.path", path = path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder that was to be looked at is none of a cache, or cannot be read.
    #[error("cache disk {path}: {source}; name the folder of a cache (cache.disk.path), as a user who may read it", path = path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the folder.
    #[error("cache disk {path} is in use by another process; stop it or set another cache.disk.path", path = path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

/// A request could not be answered from here. The role chooses the status.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The source cannot be reached.
    #[error("source unreachable: {0}")]
    Unreachable(String),
    /// The source did not answer in time.
    #[error("source timed out: {0}")]
    TimedOut(String),
    /// The source's answer broke off or made no sense.
    #[error("source broke: {0}")]
    Broken(String),
    /// The source does not want us, or what it was asked; the same again would be refused again.
    #[error("source refused: {0}")]
    Refused(String),
    /// The source answered with an error of its own, and what is stored was to stand in for it.
    #[error("source answered {0}")]
    Answered(StatusCode),
    /// What is stored must not be used without the source's word (`must-revalidate` and its like,
    /// RFC 9111 §5.2.2.2), and the source gave none.
    #[error("stored, but not to be used unconfirmed: {0}")]
    Unconfirmed(String),
    /// Too much is under way here, or the source asks to be left alone.
    #[error("source busy: {message}")]
    Busy {
        /// For the log.
        message: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// Only what is stored was asked for (`only-if-cached`), and nothing that is would do.
    #[error("not stored, and the request forbids asking the source")]
    NotStored,
    /// The object is larger than this tier takes.
    #[error("object of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the object.
        length: u64,
        /// `cache.object_max`, or the limit of the read.
        limit: u64,
    },
}

impl Failure {
    /// Whether the source gave no answer that says anything of the object.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut(_) | Self::Broken(_) | Self::Refused(_))
    }

    /// Whether the source is not there, as far as anybody can tell: silence, or a gateway that speaks for it.
    pub(crate) fn is_absence(&self) -> bool {
        const GATEWAYS: [StatusCode; 3] =
            [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        self.is_silence() || self.answered().is_some_and(|status| GATEWAYS.contains(&status))
    }

    /// What the source answered, if it was that.
    pub(crate) fn answered(&self) -> Option<StatusCode> {
        if let Self::Answered(status) = self { Some(*status) } else { None }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let SourceError { kind, message, retry_after } = error;
        match kind {
            SourceFault::Unreachable => Self::Unreachable(message),
            SourceFault::TimedOut => Self::TimedOut(message),
            SourceFault::Broken => Self::Broken(message),
            SourceFault::Refused => Self::Refused(message),
            SourceFault::Busy => {
                Self::Busy { message, retry_after: retry_after.unwrap_or(Duration::from_secs(1)) }
            }
        }
    }
}
