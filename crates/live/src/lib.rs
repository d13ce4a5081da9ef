//! What edges and shields know of playlists beyond their bytes. Both put it around the tier: the cache never
//! parses a playlist, and this crate stores no object.
//!
//! In the order in which a playlist meets them:
//!
//! - `pass`: the guard. Every playlist that a source answers with goes through [`Live::pass`] before the tier
//!   gets it; one that would take a live stream back is replaced by the newest that is known.
//! - `version` is one version of a media playlist, parsed and listed; `stream` the newest one under a name,
//!   and who waits for its next; `streams` all of them, bounded.
//! - `reload`: blocked reloads of low-latency streams. They are held here, released together, and cost one
//!   request upstream for each update;
//! - `parts`: parts that are byte ranges of a file which still grows, each an object of its own;
//! - `ahead`: what a viewer will likely ask for next, taken in before.
//!
//! It knows no role, no socket and no token. A purge is obeyed here too: a version that was fetched below the
//! fence of a request is forgotten.

mod ahead;
mod counters;
pub mod parts;
mod pass;
mod reload;
mod stream;
mod streams;
mod version;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use kromka_cache::{Key, Source, Tier};
use kromka_config::LiveConfig;
use kromka_hls::Listed;
use tokio::sync::Semaphore;

pub use ahead::Target;
pub use pass::{Passed, What};
pub use reload::{Held, Reload};
pub use version::Version;

use ahead::Ahead;
use counters::Counters;
use stream::Stream;
use streams::Streams;

/// Bounds of what is held and taken in ahead.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Blocked reloads that are held at once; one more is answered 503.
    pub held: usize,
    /// Fetches ahead of viewers at once; as many again may wait for announced parts.
    pub ahead: usize,
}

impl Limits {
    /// As configured.
    #[must_use]
    pub fn of(config: &LiveConfig) -> Limits {
        Limits { held: config.held as usize, ahead: config.ahead as usize }
    }
}

/// What a node knows of its streams. One for each tier.
pub struct Live {
    streams: Streams,
    slots: Arc<Semaphore>,
    ahead: Ahead,
    counters: Counters,
    forget: OnceLock<Forget>,
    hints: AtomicBool,
}

type Forget = Box<dyn Fn(&Key) + Send + Sync>;

/// What a path is to a stream that is known here.
pub struct Place {
    pub(crate) stream: Arc<Stream>,
    /// The version that names it.
    pub version: Arc<Version>,
    /// What it is there.
    pub listed: Listed,
    /// Whether parts are byte ranges of it, and its segment is not complete.
    pub(crate) grows: bool,
}

impl Live {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Live> {
        Arc::new(Live {
            streams: Streams::default(),
            slots: Arc::new(Semaphore::new(limits.held.min(Semaphore::MAX_PERMITS))),
            ahead: Ahead::new(limits.ahead),
            counters: Counters::default(),
            forget: OnceLock::new(),
            hints: AtomicBool::new(false),
        })
    }

    /// Names the tier to forget objects in: segments of a stream that began anew may bear the names of old
    /// ones. Only the first call counts.
    pub fn forget_in<S: Source>(&self, tier: &Arc<Tier<S>>) {
        // Weakly: the tier holds its source, and that holds this.
        let tier = Arc::downgrade(tier);
        let forget = move |key: &Key| {
            if let Some(tier) = tier.upgrade() {
                tier.invalidate(key);
            }
        };
        let _ = self.forget.set(Box::new(forget));
    }

    /// Whether any playlist announced parts that are not there yet.
    #[must_use]
    pub fn any_hints(&self) -> bool {
        self.hints.load(Ordering::Relaxed)
    }

    /// What a path of a service is to a media playlist that went by here lately; the newest such playlist, if
    /// several name it.
    #[must_use]
    pub fn place(&self, service: &str, path: &str) -> Option<Place> {
        self.streams.place(service, path)
    }

    /// Whether the playlist is known here.
    #[must_use]
    pub fn knows(&self, key: &Key) -> bool {
        self.streams.get(key).is_some()
    }

    /// The newest version of a media playlist that is known here.
    #[must_use]
    pub fn newest(&self, key: &Key) -> Option<Arc<Version>> {
        self.streams.get(key).map(|stream| stream.newest())
    }

    /// The counts, as the registry shows them: name, help, value.
    #[must_use]
    pub fn metrics(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.counters.metrics(self.streams.len())
    }
}

impl Place {
    /// The playlist that names it.
    #[must_use]
    pub fn playlist(&self) -> &Key {
        &self.stream.key
    }

    /// Whether the stream goes on, or went on while it was known here.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stream.was_live()
    }

    /// Whether it has not changed for longer than a live stream may (1.5 target durations, section 6.2.1 of
    /// draft-pantos-hls-rfc8216bis).
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.version.is_overdue(now)
    }
}

#[cfg(test)]
mod tests;
