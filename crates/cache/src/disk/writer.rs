//! The thread that writes: blocks into files, records into the journal, and room for both.
//!
//! Eviction is CLOCK over the objects in the order they came: one that was used since the hand last
//! passed gets a second round. Room is made before a block is written, so the budget is never
//! exceeded.

use std::io::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::index::{Finished, Held, pages};
use super::{Shared, files, journal, trailer};
use crate::blocks;
use crate::generation::Generation;
use crate::stats::count;

/// After a failed write the disk is left alone this long; blocks are not stored meanwhile.
const REST: Duration = Duration::from_secs(1);
/// The journal is written anew when it has grown by this much, bytes.
const COMPACT: u64 = 64 << 20;

/// What the writer is asked to do.
pub(super) enum Job {
    Store { generation: Arc<Generation>, block: u32, bytes: Bytes },
    Update(Arc<Generation>),
    Forget { name: u128, id: u64 },
    Flush(oneshot::Sender<()>),
    Stop,
}

struct Writer {
    shared: Arc<Shared>,
    rest_until: Option<Instant>,
}

/// Starts the thread; `garbage` is unlinked first.
pub(super) fn start(
    shared: Arc<Shared>,
    garbage: Vec<(u128, u64)>,
    mut queue: mpsc::Receiver<Job>,
) -> Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("kromka-disk".into()).spawn(move || {
        for (name, id) in garbage {
            // Left over at worst; the file of a number that is never used again harms nobody.
            let _ = files::remove(&shared.path(name, id));
        }
        let mut writer = Writer { shared, rest_until: None };
        while let Some(job) = queue.blocking_recv() {
            match job {
                Job::Store { generation, block, bytes } => {
                    writer.store(&generation, block, &bytes);
                    writer.shared.queued.lock().remove(&(generation.id, block));
                }
                Job::Update(generation) => writer.update(&generation),
                Job::Forget { name, id } => writer.forget(name, id),
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
        if !self.make_room(room, generation.id) {
            return count(&self.shared.counters.disk_skipped);
        }
        if let Err(error) = self.write(generation, block, bytes, room) {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, rest_ms = REST.as_millis(), "cache disk cannot be written; serving without it meanwhile");
            self.rest_until = Some(Instant::now() + REST);
        }
    }

    fn write(&mut self, generation: &Arc<Generation>, block: u32, bytes: &Bytes, room: u64) -> Result<()> {
        let name = generation.key.hash();
        let start = blocks::start_of(block, generation.block);
        let sum = files::write(&self.path_of(generation), start, bytes)?;
        let held = self.shared.index.lock().get(name).filter(|held| held.id() == generation.id);
        let finished = matches!(held, Some(Held::Finished(_)));
        if held.is_none() {
            self.register(generation);
            self.shared.journal.append_header(generation)?;
        }
        if !finished {
            self.shared.journal.append_block(generation.id, block, sum)?;
        }
        if generation.stored(block, sum, room) && !finished {
            self.shared.used.fetch_add(room, Ordering::Relaxed);
        }
        count(&self.shared.counters.disk_writes);
        if generation.is_complete_on_disk() {
            self.finish(generation)?;
        }
        self.compact_if_due();
        Ok(())
    }

    /// Every block is here: the file gets its trailer and the index forgets the rest.
    fn finish(&mut self, generation: &Arc<Generation>) -> Result<()> {
        let name = generation.key.hash();
        let bytes = trailer::write(&self.path_of(generation), generation)?;
        let finished = Finished { id: generation.id, pages: pages(bytes) };
        self.shared.journal.append_finished(name, finished)?;
        let held = Held::Finished(finished);
        let now = held.cost();
        let before = self.shared.index.lock().insert(name, held);
        let before = before.map_or(0, |before| before.cost());
        self.shared.used.fetch_add(now, Ordering::Relaxed);
        self.shared.used.fetch_sub(before, Ordering::Relaxed);
        Ok(())
    }

    /// Puts the generation into the index; an older one of the same object goes.
    fn register(&mut self, generation: &Arc<Generation>) {
        let name = generation.key.hash();
        let before = self.shared.index.lock().insert(name, Held::Unfinished(generation.clone()));
        if let Some(before) = before {
            self.free(name, before);
        }
    }

    /// The header changed (a 304), or the length of a body became known.
    fn update(&mut self, generation: &Arc<Generation>) {
        let held = self.shared.index.lock().get(generation.key.hash());
        let written = match held {
            Some(held) if held.id() != generation.id => return,
            Some(_) if generation.is_complete_on_disk() => self.finish(generation),
            Some(Held::Unfinished(_)) => self.shared.journal.append_header(generation),
            _ => return,
        };
        if let Err(error) = written {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, "a header cannot be written to the cache disk");
        }
    }

    fn forget(&mut self, name: u128, id: u64) {
        let held = self.shared.index.lock().remove(name, id);
        if let Some(held) = held {
            self.free(name, held);
        }
    }

    /// Removes the file of something that the index no longer has.
    fn free(&mut self, name: u128, held: Held) {
        self.shared.used.fetch_sub(held.cost(), Ordering::Relaxed);
        let id = held.id();
        if let Held::Unfinished(generation) = &held {
            generation.evicted();
        } else if let Some(generation) =
            self.shared.records.peek(name).filter(|generation| generation.id == id)
        {
            generation.evicted();
        }
        let gone = self.shared.journal.append_drop(name, id);
        if let Err(error) = files::remove(&self.shared.path(name, id)).and(gone) {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, "cannot remove a cached file");
        }
    }

    /// Evicts until `room` bytes fit; what is being written and what is being filled stay. Gives up
    /// after two rounds of the clock.
    fn make_room(&mut self, room: u64, for_: u64) -> bool {
        let limit = self.shared.limit;
        let mut patience = self.shared.index.lock().len() * 2;
        while self.shared.used.load(Ordering::Relaxed) + room > limit {
            if patience == 0 {
                return false;
            }
            patience -= 1;
            let mut index = self.shared.index.lock();
            let Some((name, held)) = index.oldest() else { return false };
            let spared = held.id() == for_ || self.is_wanted(name, &held);
            if spared {
                index.spare(name);
                continue;
            }
            index.remove(name, held.id());
            drop(index);
            count(&self.shared.counters.disk_evicted);
            self.free(name, held);
        }
        true
    }

    /// Whether it was used since the hand last passed, or is being filled.
    fn is_wanted(&self, name: u128, held: &Held) -> bool {
        let generation = match held {
            Held::Unfinished(generation) => Some(generation.clone()),
            Held::Finished(finished) => self.shared.records.peek(name).filter(|it| it.id == finished.id),
        };
        generation.is_some_and(|it| it.is_filling() || it.cool() && !it.is_dead())
    }

    fn path_of(&self, generation: &Generation) -> PathBuf {
        self.shared.path(generation.key.hash(), generation.id)
    }

    fn compact_if_due(&mut self) {
        if self.shared.journal.written() < COMPACT {
            return;
        }
        if let Err(error) = self.shared.journal.compact(&self.shared.index, || self.shared.other()) {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, "cache journal cannot be rewritten");
        }
    }
}
