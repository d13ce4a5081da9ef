//! One version of a media playlist: its text, what it says, what it names.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName};
use kromka_cache::Validators;
use kromka_hls::{Listing, Media};

/// One version of a media playlist.
#[derive(Debug)]
pub struct Version {
    /// As it came.
    pub text: Bytes,
    /// The end-to-end fields that it came with.
    pub headers: HeaderMap,
    /// What it says.
    pub media: Media,
    /// What it names.
    pub listing: Listing,
    /// The purges that its fetch lay above.
    pub(crate) fence: u64,
    /// When it was first seen here.
    pub(crate) since: Instant,
}

impl Version {
    /// The playlist's target duration; that of a playlist that claims none is a second.
    #[must_use]
    pub fn target(&self) -> Duration {
        Duration::from_secs(self.media.target_duration.clamp(1, 300))
    }

    /// How long a blocked reload may wait: three target durations (section 6.2.5.2).
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.target() * 3
    }

    /// Whether a live stream should have been updated by now.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        !self.media.ended && now.saturating_duration_since(self.since) > self.target() * 3 / 2
    }

    /// What to ask "has it changed?" with.
    #[must_use]
    pub fn validators(&self) -> Validators {
        let field = |name: HeaderName| Some(self.headers.get(name)?.to_str().ok()?.to_owned());
        Validators { etag: field(ETAG), last_modified: field(LAST_MODIFIED) }
    }

    /// How often a source that cannot wait is asked for news: twice in a part, or four times in a target
    /// duration.
    pub(crate) fn pace(&self) -> Duration {
        let pace = match self.media.low_latency.part_target {
            Some(part) => Duration::try_from_secs_f64(part / 2.0).unwrap_or_default(),
            None => self.target() / 4,
        };
        pace.clamp(Duration::from_millis(50), Duration::from_secs(1))
    }
}
