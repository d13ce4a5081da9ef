//! Why a text is not a playlist.

use super::{MAX_TEXT, MAX_URIS};

/// Why a text is not a playlist, or cannot be used as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// Nothing, or only blanks.
    #[error("the playlist is empty")]
    Empty,
    /// Longer than [`MAX_TEXT`].
    #[error("the playlist has {bytes} bytes; at most {MAX_TEXT} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A byte order mark, which players refuse (RFC 8216, section 4.1).
    #[error("line 1: the playlist begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// The first line is not `#EXTM3U`.
    #[error("line 1: not a playlist: the first line must be #EXTM3U")]
    MissingHeader,
    /// A tag that must be understood cannot be read.
    #[error("line {line}: {tag}: {why}")]
    BadTag {
        /// Counted from 1.
        line: usize,
        /// The tag's name with `#EXT`.
        tag: String,
        /// What is wrong with it.
        why: String,
    },
    /// A tag that announces an address, and no address after it.
    #[error("line {line}: {tag} is not followed by an address")]
    MissingUri {
        /// The line of the tag, counted from 1.
        line: usize,
        /// The tag's name.
        tag: &'static str,
    },
    /// An address that no tag announces.
    #[error("line {line}: this address follows neither #EXTINF nor #EXT-X-STREAM-INF")]
    StrayUri {
        /// Counted from 1.
        line: usize,
    },
    /// Tags of a multivariant and of a media playlist in one text.
    #[error("line {line}: tags of a multivariant and of a media playlist are mixed")]
    Mixed {
        /// The first line that does not fit those before it, counted from 1.
        line: usize,
    },
    /// Segments, but no `EXT-X-TARGETDURATION`.
    #[error("the media playlist has no #EXT-X-TARGETDURATION")]
    MissingTargetDuration,
    /// Neither variants nor segments.
    #[error("the playlist names neither variants nor segments")]
    NothingToPlay,
    /// More than [`MAX_URIS`] addresses.
    #[error("line {line}: the playlist names more than {MAX_URIS} addresses")]
    TooManyUris {
        /// The first line too many, counted from 1.
        line: usize,
    },
    /// The limits of the viewer's plan leave nothing to play.
    #[error("no variant is within the limits (height {max_height:?}, bits per second {max_bitrate:?})")]
    NoVariantLeft {
        /// Largest height, in pixels.
        max_height: Option<u32>,
        /// Largest peak rate, in bits per second.
        max_bitrate: Option<u64>,
    },
}

impl PlaylistError {
    /// The line it is about, counted from 1, where there is one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::ByteOrderMark | Self::MissingHeader => Some(1),
            Self::BadTag { line, .. }
            | Self::MissingUri { line, .. }
            | Self::StrayUri { line }
            | Self::Mixed { line }
            | Self::TooManyUris { line } => Some(*line),
            Self::Empty
            | Self::TooLong { .. }
            | Self::MissingTargetDuration
            | Self::NothingToPlay
            | Self::NoVariantLeft { .. } => None,
        }
    }
}
