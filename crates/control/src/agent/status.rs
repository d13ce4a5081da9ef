//! What an agent knows of itself: read on every request, written by the feed loop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::disk::FeedRecord;
use crate::nodes::NodeState;

/// Context by the loops and the handle.
#[derive(Debug)]
pub(super) struct Status {
    record: Mutex<FeedRecord>,
    // Beside the record, so that readers on the request path take no lock.
    seq: AtomicU64,
    fence: AtomicU64,
    head: AtomicU64,
    caught_up: AtomicBool,
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

    pub(super) fn set_caught_up(&self) {
        self.caught_up.store(true, Ordering::Release);
    }

    /// The process is about to stop: heartbeats say `draining`, whatever the operator wanted.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.pulse();
    }

    /// What the node says of itself.
    pub(super) fn state(&self) -> NodeState {
        if self.leaving.load(Ordering::Acquire) { NodeState::Draining } else { self.record.lock().state }
    }

    /// There is news: heartbeats go out at once.
    pub(super) fn pulse(&self) {
        self.pulse.send_replace(());
    }

    pub(super) fn pulses(&self) -> watch::Receiver<()> {
        self.pulse.subscribe()
    }
}
