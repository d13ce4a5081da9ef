//! What a viewer will likely ask for next, taken in before.
//!
//! One request takes in a few pieces and no more: what follows them is taken in when one of them is asked
//! for. So a viewer who leaves ends it, and nothing runs ahead of nobody. Viewers come first: there are few
//! ways at once, and none while the tier is busy.
//!
//! A part that a low-latency playlist announces is asked for before it is there, by whoever is shown that
//! playlist: what stands behind holds the request and sends the part the moment it has it, at most a target
//! duration later. Who waits so has ways of his own, as many again.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::StatusCode;
use kromka_cache::{Failure, Key, Source, Tier, Verdict, Whole};
use kromka_hls::Listed;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::counters::count;
use crate::{Live, Place, Version};

/// Names in one half of what is remembered of objects.
const MARKS: usize = 8192;

/// Playlists that are learned from the tier at once.
const LEARNING: usize = 2;

/// Largest playlist that is learned.
const PLAYLIST_MAX: usize = 4 << 20;

/// How many segments before the end of a live playlist players begin.
const FROM_END: usize = 3;

/// A viewer who asked for nothing more for so long is gone, where no playlist tells how long a segment is.
const PATIENCE: Duration = Duration::from_secs(10);

/// A piece to take in: an object's path, and the bytes of it.
pub type Target = (String, Option<Range<u64>>);

/// What is on its way or waits to be asked for.
pub(crate) struct Ahead {
    ways: Arc<Semaphore>,
    /// For what is only announced.
    announced: Arc<Semaphore>,
    learning: Arc<Semaphore>,
    /// Taken in and not asked for yet.
    marks: Mutex<Marks>,
    /// Announced parts that are asked for, or came so.
    coming: Mutex<Marks>,
    /// Playlists that were read and are none of segments.
    strangers: Mutex<Marks>,
}

/// Names of objects. Two halves: a full young one becomes the old one.
#[derive(Default)]
struct Marks {
    young: HashSet<u128>,
    old: HashSet<u128>,
}

impl Marks {
    /// Whether it was not there.
    fn add(&mut self, key: &Key) -> bool {
        if self.has(key) {
            return false;
        }
        if self.young.len() >= MARKS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.hash())
    }

    fn has(&self, key: &Key) -> bool {
        self.young.contains(&key.hash()) || self.old.contains(&key.hash())
    }

    /// Whether it was there.
    fn remove(&mut self, key: &Key) -> bool {
        self.young.remove(&key.hash()) || self.old.remove(&key.hash())
    }
}

impl Ahead {
    pub(crate) fn new(ways: usize) -> Ahead {
        Ahead {
            ways: Arc::new(Semaphore::new(ways.min(Semaphore::MAX_PERMITS))),
            announced: Arc::new(Semaphore::new(ways.min(Semaphore::MAX_PERMITS))),
            learning: Arc::new(Semaphore::new(LEARNING)),
            marks: Mutex::default(),
            coming: Mutex::default(),
            strangers: Mutex::default(),
        }
    }

    fn mark(&self, key: &Key) -> bool {
        self.marks.lock().add(key)
    }

    fn unmark(&self, key: &Key) -> bool {
        self.marks.lock().remove(key)
    }

    #[cfg(test)]
    pub(crate) fn is_marked(&self, key: &Key) -> bool {
        self.marks.lock().has(key)
    }
}

impl Live {
    /// A segment was asked for and answered: takes `pieces` that come next in, unless it was here by itself.
    /// What the player or the source named comes before what the playlist tells.
    pub fn segment_asked<S: Source>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        key: &Key,
        verdict: Verdict,
        pieces: usize,
        named: impl FnOnce() -> Vec<Target>,
    ) {
        let used = self.ahead.unmark(key);
        if used {
            count(&self.counters.ahead_used);
        }
        if verdict == Verdict::Hit && !used || pieces == 0 {
            return;
        }
        let mut targets = named();
        let place = self.place(key.service(), key.path());
        let patience = place.as_ref().map_or(PATIENCE, |place| place.version.target() * 2);
        if let Some(Place { version, listed: Listed::Segment(at), .. }) = &place {
            targets.extend(version.listing.after(&version.media, *at, pieces));
        }
        targets.truncate(pieces);
        self.take_in(tier, key.service(), targets, Instant::now() + patience);
    }

    /// A playlist was asked for and answered: takes in what a play begins with. One that the tier had kept is
    /// read, so that what it names is known.
    pub fn playlist_asked<S: Source>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        key: &Key,
        verdict: Verdict,
        pieces: usize,
    ) {
        let Some(version) = self.newest(key) else {
            self.learn_from(tier, key);
            return;
        };
        if verdict == Verdict::Hit || pieces == 0 {
            return;
        }
        let media = &version.media;
        let mut targets: Vec<Target> = Vec::new();
        if let Some(path) = media.maps.last().and_then(|map| version.listing.path(map)) {
            targets.push((path, None));
        }
        let begin = if media.ended { 0 } else { media.segments.len().saturating_sub(FROM_END) };
        if let Some(segment) = media.segments.get(begin).filter(|segment| !segment.gap)
            && let Some(path) = version.listing.path(&segment.uri)
        {
            targets.push((path, segment.byte_range.clone()));
        }
        self.take_in(tier, key.service(), targets, Instant::now() + version.target() * 2);
    }

    /// A viewer who follows a low-latency stream was shown this version of the playlist at `key`: asks for the
    /// part that it announces, once. Only for a source that holds such a request until the part is there.
    pub fn playlist_followed<S: Source>(self: &Arc<Self>, tier: &Arc<Tier<S>>, key: &Key, version: &Version) {
        // Bytes of a file that still grows are an object of their own only once their end is known.
        let hints = &version.media.low_latency.hints;
        let whole = hints.iter().find(|hint| hint.start == 0 && hint.length.is_none());
        let Some(path) = whole.and_then(|hint| version.listing.path(&hint.uri)) else { return };
        if version.media.ended || version.listing.find(&path) != Some(&Listed::Hint) {
            return;
        }
        let key = Key::new(key.service(), &path, None);
        if !self.ahead.coming.lock().add(&key) {
            return;
        }
        let Ok(way) = self.ahead.announced.clone().try_acquire_owned() else {
            count(&self.counters.ahead_skipped);
            self.ahead.coming.lock().remove(&key);
            return;
        };
        self.ahead.mark(&key);
        let (live, tier) = (self.clone(), tier.clone());
        tokio::spawn(async move {
            let _way = way;
            // One that is all here already was asked for by a player itself.
            if !live.took(&key, tier.ahead(key.clone(), None).await) {
                // That it did not come in time says nothing of when it comes.
                tier.invalidate(&key);
                live.ahead.coming.lock().remove(&key);
            }
        });
    }

    /// Whether an announced part has been asked for by [`Live::playlist_followed`]: then nobody need wait for the
    /// playlist to name it.
    #[must_use]
    pub fn is_coming(&self, key: &Key) -> bool {
        self.ahead.coming.lock().has(key)
    }

    /// One after the other, until the viewer must be gone.
    fn take_in<S: Source>(
        self: &Arc<Self>,
        tier: &Arc<Tier<S>>,
        service: &str,
        targets: Vec<Target>,
        until: Instant,
    ) {
        let mut keys: Vec<(Key, Option<Range<u64>>)> = Vec::new();
        for (path, range) in targets {
            let key = Key::new(service, &path, None);
            // Pieces of one file are no objects of their own: each is looked for in the tier.
            if self.ahead.mark(&key) || range.is_some() {
                keys.push((key, range));
            }
        }
        if keys.is_empty() {
            return;
        }
        let Ok(way) = self.ahead.ways.clone().try_acquire_owned() else {
            self.counters.ahead_skipped.fetch_add(keys.len() as u64, Ordering::Relaxed);
            keys.iter().for_each(|(key, _)| _ = self.ahead.unmark(key));
            return;
        };
        let (live, tier) = (self.clone(), tier.clone());
        tokio::spawn(async move {
            let _way = way;
            for (key, range) in keys {
                if Instant::now() > until {
                    live.ahead.unmark(&key);
                    continue;
                }
                live.took(&key, tier.ahead(key.clone(), range).await);
            }
        });
    }

    /// Notes how many bytes of an object came, if it is to be had; whether it is here.
    fn took(&self, key: &Key, came: Result<Option<u64>, Failure>) -> bool {
        match came {
            Ok(Some(0)) => {
                // It was here, and owes nothing to us.
                self.ahead.unmark(key);
                true
            }
            Ok(Some(bytes)) => {
                count(&self.counters.ahead);
                self.counters.ahead_bytes.fetch_add(bytes, Ordering::Relaxed);
                true
            }
            missing => {
                tracing::debug!(%key, ?missing, "not taken in ahead");
                self.ahead.unmark(key);
                false
            }
        }
    }

    fn learn_from<S: Source>(self: &Arc<Self>, tier: &Arc<Tier<S>>, key: &Key) {
        let Ok(permit) = self.ahead.learning.clone().try_acquire_owned() else { return };
        if !self.ahead.strangers.lock().add(key) {
            return;
        }
        let (live, tier, key) = (self.clone(), tier.clone(), key.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let read = tier.read(key.clone(), PLAYLIST_MAX).await;
            if let Ok(Whole { status: StatusCode::OK, headers, body, .. }) = read {
                live.learn(&key, &headers, &body);
            }
            if live.knows(&key) {
                live.ahead.strangers.lock().remove(&key);
            }
        });
    }
}
