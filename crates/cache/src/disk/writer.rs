//! The thread that writes: blocks into files, records into the journal, and room for both.
//!
//! Eviction is CLOCK over the generations in the order they came: one that was used since the hand
//! last passed gets a second round. Room is made before a block is written, so the budget is never
//! exceeded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, files, journal};
use crate::blocks;
use crate::generation::Generation;
use crate::stats::count;

/// After a failed write the disk is left alone this long; blocks are not stored meanwhile.
const REST: Duration = Duration::from_secs(1);
/// The journal is rewritten when it has grown by this much and by more than what is live.
const COMPACT: u64 = 64 << 20;

/// What the writer is asked to do.
pub(super) enum Job {
    Store { generation: Arc<Generation>, block: u32, bytes: Bytes },
    Update(Arc<Generation>),
    Forget(Arc<Generation>),
    Flush(oneshot::Sender<()>),
    Stop,
}

struct Writer {
    shared: Arc<Shared>,
    clock: VecDeque<Arc<Generation>>,
    rest_until: Option<Instant>,
}

/// Starts the thread. `held` is what the journal knew, oldest first; `garbage` is unlinked first.
pub(super) fn start(
    shared: Arc<Shared>,
    held: Vec<Arc<Generation>>,
    garbage: Vec<Arc<Generation>>,
    mut queue: mpsc::Receiver<Job>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("kromka-disk".into()).spawn(move || {
        for generation in &garbage {
            // Left over at worst; the file of a number that is never used again harms nobody.
            let _ = files::remove(&shared.root, generation);
        }
        let mut writer = Writer { shared, clock: held.into(), rest_until: None };
        while let Some(job) = queue.blocking_recv() {
            match job {
                Job::Store { generation, block, bytes } => writer.store(&generation, block, &bytes),
                Job::Update(generation) => writer.update(&generation),
                Job::Forget(generation) => writer.forget(&generation),
                Job::Flush(done) => {
                    // Nobody waiting any more is fine.
                    let _ = done.send(());
                }
                Job::Stop => break,
            }
        }
    })
}

impl Writer {
    fn store(&mut self, generation: &Arc<Generation>, block: u32, bytes: &Bytes) {
        if generation.is_dead() || generation.on_disk(block).is_some() {
            return;
        }
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return count(&self.shared.counters.disk_skipped);
        }
        let room = journal::on_disk_bytes(bytes.len() as u64);
        if !self.make_room(room, generation) {
            return count(&self.shared.counters.disk_skipped);
        }
        let written = self.write(generation, block, bytes, room);
        if let Err(error) = written {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, rest_ms = REST.as_millis(), "cache disk cannot be written; serving without it meanwhile");
            self.rest_until = Some(Instant::now() + REST);
        }
    }

    fn write(
        &mut self,
        generation: &Arc<Generation>,
        block: u32,
        bytes: &Bytes,
        room: u64,
    ) -> std::io::Result<()> {
        let start = blocks::start_of(block, generation.block);
        let sum = files::write(&self.shared.root, generation, start, bytes)?;
        let first = self.register(generation);
        if first {
            self.shared.journal.append_put(generation)?;
        }
        self.shared.journal.append_block(generation.id, block, sum)?;
        if generation.stored(block, sum, room) {
            self.shared.used.fetch_add(room, Ordering::Relaxed);
        }
        count(&self.shared.counters.disk_writes);
        self.compact_if_due();
        Ok(())
    }

    /// Puts the generation into the index; an older one of the same object goes. Returns whether
    /// it was not there yet.
    fn register(&mut self, generation: &Arc<Generation>) -> bool {
        let before = self.shared.index.lock().insert(generation.key.hash(), generation.clone());
        match before {
            Some(before) if Arc::ptr_eq(&before, generation) => false,
            Some(before) => {
                self.remove(&before);
                self.clock.push_back(generation.clone());
                true
            }
            None => {
                self.clock.push_back(generation.clone());
                true
            }
        }
    }

    fn update(&mut self, generation: &Arc<Generation>) {
        let held = self
            .shared
            .index
            .lock()
            .get(&generation.key.hash())
            .is_some_and(|held| Arc::ptr_eq(held, generation));
        if held && let Err(error) = self.shared.journal.append_put(generation) {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, "cache journal cannot be written");
        }
    }

    fn forget(&mut self, generation: &Arc<Generation>) {
        let mut index = self.shared.index.lock();
        if index.get(&generation.key.hash()).is_some_and(|held| Arc::ptr_eq(held, generation)) {
            index.remove(&generation.key.hash());
        }
        drop(index);
        self.remove(generation);
    }

    /// Frees what the generation holds on disk.
    fn remove(&mut self, generation: &Arc<Generation>) {
        let freed = generation.evicted();
        if freed == 0 {
            return;
        }
        self.shared.used.fetch_sub(freed, Ordering::Relaxed);
        let gone = self.shared.journal.append_drop(generation.id);
        if let Err(error) = files::remove(&self.shared.root, generation).and(gone) {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, key = %generation.key, "cannot remove a cached file");
        }
    }

    /// Evicts until `room` bytes fit; `for_` itself and what is being filled stay. Gives up after
    /// two rounds of the clock.
    fn make_room(&mut self, room: u64, for_: &Arc<Generation>) -> bool {
        let limit = self.shared.limit;
        let mut patience = self.clock.len() * 2;
        while self.shared.used.load(Ordering::Relaxed) + room > limit {
            if patience == 0 {
                return false;
            }
            patience -= 1;
            let Some(oldest) = self.clock.pop_front() else { return false };
            if oldest.disk_state().bytes == 0 {
                continue; // forgotten meanwhile
            }
            if Arc::ptr_eq(&oldest, for_) || oldest.is_filling() || (oldest.cool() && !oldest.is_dead()) {
                self.clock.push_back(oldest);
                continue;
            }
            count(&self.shared.counters.disk_evicted);
            self.forget(&oldest);
        }
        true
    }

    fn compact_if_due(&mut self) {
        if self.shared.journal.written() < COMPACT {
            return;
        }
        let shared = &self.shared;
        let live = || {
            let mut live: Vec<_> = shared.index.lock().values().cloned().collect();
            live.sort_unstable_by_key(|generation| generation.id);
            (live, shared.fences.export())
        };
        if let Err(error) = shared.journal.compact(live) {
            count(&shared.counters.disk_errors);
            tracing::warn!(%error, "cache journal cannot be rewritten");
        }
    }
}
