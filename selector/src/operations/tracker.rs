//! The operations that still wait for nodes.
//!
//! They live in memory, because heartbeats touch them many times a second, and are written when they change:
//! a change of state with the next tick, mere progress once a second. What is lost in a crash comes again with the
//! next heartbeats, since nodes repeat receipts and jobs.

use std::collections::HashMap;

use kromka_control::{FeedItem, Heartbeat, JobProgress, OperationState};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Record;
use crate::store::{Store, StoreError};

/// How long progress may stay unwritten, in milliseconds.
const UNWRITTEN_MS: u64 = 1_000;

/// How long a node that is well may not mention a job before the job counts as lost, in milliseconds. It is long
/// enough for a node that restarts to read its jobs again.
const UNMENTIONED_MS: u64 = 30_000;

/// Operations that may be unfinished at once.
const OPEN_MAX: usize = 10_000;

/// Follows operations from creation to their last receipt.
#[derive(Debug)]
pub(crate) struct Tracker {
    store: Store,
    open: Mutex<HashMap<String, Tracked>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Tracked {
    record: Record,
    written: OperationState,
    dirty: bool,
    written_ms: u64,
    /// Since when a node that should work on it has not mentioned it.
    unmentioned: HashMap<String, u64>,
}

impl Tracked {
    fn new(record: Record, now_ms: u64) -> Tracked {
        let written = record.operation.state;
        Tracked { record, written, dirty: false, written_ms: now_ms, unmentioned: HashMap::new() }
    }

    /// Hears a node that follows this feed, or not, and tells that of the job.
    fn hear(
        &mut self,
        heartbeat: &Heartbeat,
        job: Option<&JobProgress>,
        same_feed: bool,
        now_ms: u64,
    ) -> bool {
        let node = &heartbeat.id;
        let mut changed = false;
        if same_feed {
            changed |= self.record.receipt(node, heartbeat.feed_seq, now_ms);
        }
        if let Some(job) = job {
            self.unmentioned.remove(node);
            changed |= self.record.job(node, job, now_ms);
        } else if same_feed && !heartbeat.goodbye && self.record.awaits_job(node, heartbeat.feed_seq) {
            let since = *self.unmentioned.entry(node.clone()).or_insert(now_ms);
            if now_ms.saturating_sub(since) > UNMENTIONED_MS {
                changed |= self.record.forgotten(node, now_ms);
            }
        }
        self.dirty |= changed;
        changed
    }
}

impl Tracker {
    /// Takes up what the store says is still open.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn resume(store: Store, now_ms: u64) -> Result<Tracker, StoreError> {
        let records = store.open_operations().await?;
        let open =
            records.into_iter().map(|record| (record.operation.id.clone(), Tracked::new(record, now_ms)));
        Ok(Tracker { open: Mutex::new(open.collect()), store, changes: watch::Sender::new(0) })
    }

    /// Writes a new operation with the feed entry that starts it, and follows it. Returns the record, or `None`
    /// when too many operations are unfinished.
    ///
    /// # Errors
    /// When the store fails; then there is neither operation nor entry.
    pub(crate) async fn create(
        &self,
        mut record: Record,
        item: &FeedItem,
        now_ms: u64,
    ) -> Result<Option<Record>, StoreError> {
        if self.open.lock().len() >= OPEN_MAX {
            return Ok(None);
        }
        self.store.create_operation(&mut record, item).await?;
        if record.is_open() {
            self.open.lock().insert(record.operation.id.clone(), Tracked::new(record.clone(), now_ms));
        }
        self.changed();
        Ok(Some(record))
    }

    /// One operation, as new as it gets.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Record>, StoreError> {
        match self.in_memory(id) {
            Some(record) => Ok(Some(record)),
            None => self.store.operation(id).await,
        }
    }

    /// A page of operations, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn list(&self, limit: u32, before: Option<&str>) -> Result<Vec<Record>, StoreError> {
        let stored = self.store.operations(limit, before).await?;
        Ok(stored.into_iter().map(|old| self.in_memory(&old.operation.id).unwrap_or(old)).collect())
    }

    /// Stops an operation. Returns it as it then is, and whether there was anything left to stop; `None` when it
    /// is unknown.
    ///
    /// # Errors
    /// When the store fails; then it goes on.
    pub(crate) async fn cancel(&self, id: &str, now_ms: u64) -> Result<Option<(Record, bool)>, StoreError> {
        let Some(mut record) = self.get(id).await? else { return Ok(None) };
        if !record.cancel(now_ms) {
            return Ok(Some((record, false)));
        }
        if !self.store.cancel_operation(&record).await? {
            // It ended between the look and the write.
            return Ok(self.store.operation(id).await?.map(|ended| (ended, false)));
        }
        self.open.lock().remove(id);
        self.changed();
        Ok(Some((record, true)))
    }

    /// Hears a node.
    pub(crate) fn heartbeat(&self, heartbeat: &Heartbeat, now_ms: u64) {
        let same_feed = heartbeat.feed_id == self.store.feed_id();
        let mut changed = false;
        let jobs: HashMap<&str, &JobProgress> =
            heartbeat.jobs.iter().map(|job| (job.operation.as_str(), job)).collect();
        for (id, tracked) in self.open.lock().iter_mut() {
            changed |= tracked.hear(heartbeat, jobs.get(id.as_str()).copied(), same_feed, now_ms);
        }
        if changed {
            self.changed();
        }
    }

    /// Hears that nodes are down: their names and how long they have been silent, in milliseconds.
    pub(crate) fn lost(&self, nodes: &[(String, u64)], now_ms: u64) {
        let mut changed = false;
        for tracked in self.open.lock().values_mut() {
            for (node, silent_ms) in nodes {
                let moved = tracked.record.lost(node, *silent_ms, now_ms);
                tracked.dirty |= moved;
                changed |= moved;
            }
            let expired = tracked.record.expire(now_ms);
            tracked.dirty |= expired;
            changed |= expired;
        }
        if changed {
            self.changed();
        }
    }

    /// Writes what changed and lets go of what is done. `all` writes at once what could wait.
    ///
    /// # Errors
    /// When the store fails; what was not written is tried again the next time.
    pub(crate) async fn save(&self, now_ms: u64, all: bool) -> Result<(), StoreError> {
        let due = |tracked: &Tracked| {
            tracked.dirty
                && (all
                    || tracked.written != tracked.record.operation.state
                    || !tracked.record.is_open()
                    || now_ms.saturating_sub(tracked.written_ms) >= UNWRITTEN_MS)
        };
        let records: Vec<Record> = self
            .open
            .lock()
            .values()
            .filter(|tracked| due(tracked))
            .map(|tracked| tracked.record.clone())
            .collect();
        for record in records {
            self.store.save_operation(&record).await?;
            let mut open = self.open.lock();
            let Some(tracked) = open.get_mut(&record.operation.id) else { continue };
            tracked.dirty = tracked.record != record;
            tracked.written = record.operation.state;
            tracked.written_ms = now_ms;
            if !tracked.dirty && !record.is_open() {
                open.remove(&record.operation.id);
            }
        }
        Ok(())
    }

    /// Tells when any operation has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Operations that still wait for a node.
    pub(crate) fn open_count(&self) -> usize {
        self.open.lock().len()
    }

    fn in_memory(&self, id: &str) -> Option<Record> {
        self.open.lock().get(id).map(|tracked| tracked.record.clone())
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}
