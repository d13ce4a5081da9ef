//! The newest version of one media playlist, and who waits for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use kromka_cache::Key;
use kromka_hls::{Doubt, Step};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::version::Version;

/// One media playlist under its name.
pub(crate) struct Stream {
    pub(crate) key: Key,
    newest: watch::Sender<Arc<Version>>,
    doubt: Mutex<Doubt>,
    was_live: AtomicBool,
    /// Requests that wait for its next version.
    waiting: AtomicUsize,
    /// Whether somebody brings the next version.
    watched: AtomicBool,
    /// What keeping it costs, as last counted.
    pub(crate) weight: AtomicUsize,
}

/// What became of a version that a source showed.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Offered {
    /// It is the newest now.
    Adopted,
    /// It is the newest now, and of another stream than the one before.
    Restarted,
    /// It is the newest already.
    Same,
    /// It is older than the newest.
    Refused,
}

impl Stream {
    pub(crate) fn new(key: Key, version: Arc<Version>) -> Arc<Stream> {
        Arc::new(Stream {
            key,
            was_live: AtomicBool::new(!version.media.ended),
            newest: watch::Sender::new(version),
            doubt: Mutex::default(),
            waiting: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
            weight: AtomicUsize::new(0),
        })
    }

    pub(crate) fn newest(&self) -> Arc<Version> {
        self.newest.borrow().clone()
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Version>> {
        self.newest.subscribe()
    }

    /// Whether it was seen while it went on.
    pub(crate) fn was_live(&self) -> bool {
        self.was_live.load(Ordering::Relaxed)
    }

    /// Judges a version that a source showed, and makes it the newest if it is. One that was fetched above a
    /// purge that the newest lies below is not compared with it.
    pub(crate) fn offer(&self, version: Arc<Version>, now: Instant) -> Offered {
        // One at a time: what is compared is what is replaced.
        let mut doubt = self.doubt.lock();
        let held = self.newest();
        let ended = held.media.ended && version.media.ended;
        let step = match ended || version.fence > held.fence {
            true if held.text == version.text => Step::Same,
            true => Step::Forward,
            false => doubt.judge(&held.media, &version.media, now),
        };
        let offered = match step {
            Step::Same if version.fence <= held.fence => return Offered::Same,
            Step::Same | Step::Forward => Offered::Adopted,
            Step::Backward => return Offered::Refused,
            Step::Restart => Offered::Restarted,
        };
        self.was_live.fetch_or(!version.media.ended, Ordering::Relaxed);
        self.newest.send_replace(version);
        offered
    }

    /// A source confirmed the newest version.
    pub(crate) fn confirm(&self) {
        self.doubt.lock().settle();
    }

    /// Waits as long as the guard lives.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(self.clone())
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Takes the duty to bring the next version; false if somebody has it.
    pub(crate) fn take_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }

    /// Lays the duty down.
    pub(crate) fn end_watch(&self) {
        self.watched.store(false, Ordering::Release);
    }
}

/// A request that waits.
pub(crate) struct Waiting(Arc<Stream>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
