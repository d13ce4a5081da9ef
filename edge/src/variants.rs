//! Plan limits: a session with `maxh` or `maxbr` sees only the renditions it may play.

use kromka_access::Session;
use kromka_hls::PlaylistError;

use crate::error::Denied;

/// What a session may play at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Picture lines.
    pub(crate) height: Option<u32>,
    /// Bits per second.
    pub(crate) bitrate: Option<u64>,
}

impl Limits {
    /// A session's limits, if it has any.
    pub(crate) fn of(session: &Session) -> Option<Limits> {
        let limits = Limits { height: session.claims.maxh, bitrate: session.claims.maxbr };
        (limits.height.is_some() || limits.bitrate.is_some()).then_some(limits)
    }
}

/// The multivariant playlist `text` within the limits.
pub(crate) fn cut(limits: Limits, text: &str) -> Result<String, Denied> {
    match kromka_hls::filter(text, limits.height, limits.bitrate) {
        Ok(left) => Ok(left),
        Err(PlaylistError::NoVariantLeft { .. }) => Err(Denied::NothingLeft),
        // An unreadable playlist names no rendition that could be refused.
        Err(_) => Ok(text.to_owned()),
    }
}
