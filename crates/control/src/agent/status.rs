//! What an agent knows of itself: read on every request, written by the feed loop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::disk::FeedRecord;
use crate::nodes::NodeState;

/// How long a node waits to hear what it missed before it serves from its last state.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Read by the loops and the handle.
#[derive(Debug)]
pub(super) struct Status {
    record: Mutex<FeedRecord>,
    // Beside the record, so that readers on the request path take no lock.
    seq: AtomicU64,
    fence: AtomicU64,
    head: AtomicU64,
    caught_up: AtomicBool,
    born: Instant,
    leaving: AtomicBool,
    pulse: watch::Sender<()>,
}

impl Status {
    pub(super) fn new(record: FeedRecord, caught_up: bool) -> Self {
        Self {
            seq: AtomicU64::new(record.seq),
            fence: AtomicU64::new(record.fence),
            head: AtomicU64::new(record.seq),
            record: Mutex::new(record),
            caught_up: AtomicBool::new(caught_up),
            born: Instant::now(),
            leaving: AtomicBool::new(false),
            pulse: watch::Sender::new(()),
        }
    }

    pub(super) fn record(&self) -> FeedRecord {
        self.record.lock().clone()
    }

    /// Changes the record; heartbeats tell it at once.
    pub(super) fn update(&self, change: impl FnOnce(&mut FeedRecord)) {
        let mut record = self.record.lock();
        change(&mut record);
        self.fence.store(record.fence, Ordering::Release);
        self.seq.store(record.seq, Ordering::Release);
        drop(record);
        self.pulse();
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    pub(super) fn fence(&self) -> u64 {
        self.fence.load(Ordering::Acquire)
    }

    /// The newest entry there is, as far as is known here.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire).max(self.seq())
    }

    /// A selector's feed ends at `head`: a lower one is another feed, or the same out of a backup.
    pub(super) fn set_head(&self, head: u64) {
        self.head.store(head, Ordering::Release);
    }

    /// A selector knows of `head`, while its feed may not have come yet.
    pub(super) fn raise_head(&self, head: u64) {
        self.head.fetch_max(head, Ordering::AcqRel);
    }

    pub(super) fn caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// The feed is applied to its head; heartbeats tell it at once the first time.
    pub(super) fn set_caught_up(&self) {
        if !self.caught_up.swap(true, Ordering::AcqRel) {
            self.pulse();
        }
    }

    /// The process is about to stop: heartbeats say `draining`, whatever the operator wanted.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.pulse();
    }

    /// Whether nobody is to be sent to it for a reason of its own: until it has applied what it missed (a node that
    /// no selector tells what it missed serves from its last state after [`PATIENCE`]), and when it is about to stop.
    pub(super) fn is_unready(&self) -> bool {
        let behind = !self.caught_up() && self.born.elapsed() < PATIENCE;
        behind || self.leaving.load(Ordering::Acquire)
    }

    /// What the node says of itself.
    pub(super) fn state(&self) -> NodeState {
        match self.is_unready() {
            true => NodeState::Draining,
            false => self.record.lock().state,
        }
    }

    /// There is news: heartbeats go out at once.
    pub(super) fn pulse(&self) {
        self.pulse.send_replace(());
    }

    pub(super) fn pulses(&self) -> watch::Receiver<()> {
        self.pulse.subscribe()
    }
}
