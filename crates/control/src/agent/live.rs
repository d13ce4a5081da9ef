//! A running job's counters, written by the worker and read by heartbeats.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::operations::Progress;

/// Counters that grow while the job runs.
#[derive(Debug, Default)]
pub(super) struct Live {
    objects_done: AtomicU64,
    objects_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
}

impl Live {
    pub(super) fn from(progress: Progress) -> Self {
        Self {
            objects_done: progress.objects_done.into(),
            objects_total: progress.objects_total.into(),
            bytes_done: progress.bytes_done.into(),
            bytes_total: progress.bytes_total.into(),
        }
    }

    /// An object was found; its size is known if it was listed.
    pub(super) fn found(&self, size: Option<u64>) {
        self.objects_total.fetch_add(1, Relaxed);
        self.bytes_total.fetch_add(size.unwrap_or(0), Relaxed);
    }

    /// Bytes of an object that is still coming.
    pub(super) fn came(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    /// An object is there: `size` bytes of which `came` are counted already.
    pub(super) fn done(&self, size: u64, came: u64, listed: bool) {
        self.objects_done.fetch_add(1, Relaxed);
        self.correct(came, size);
        if !listed {
            self.bytes_total.fetch_add(size, Relaxed);
        }
    }

    /// A try failed after `came` bytes: they do not count.
    pub(super) fn undone(&self, came: u64) {
        self.correct(came, 0);
    }

    pub(super) fn progress(&self) -> Progress {
        let bytes_done = self.bytes_done.load(Relaxed);
        Progress {
            objects_done: self.objects_done.load(Relaxed),
            objects_total: self.objects_total.load(Relaxed),
            bytes_done,
            bytes_total: self.bytes_total.load(Relaxed).max(bytes_done),
        }
    }

    fn correct(&self, counted: u64, right: u64) {
        if right >= counted {
            self.bytes_done.fetch_add(right - counted, Relaxed);
        } else {
            self.bytes_done.fetch_sub(counted - right, Relaxed);
        }
    }
}
