//! The thread that writes: blocks into files, small objects into packs, records into the journal. Space is
//! reserved before a byte is written; where there is none in time, the block goes without the disk.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::budget::{PAGE, space};
use super::files;
use super::index::{Finished, Held, Place};
use super::one::{FIRST, STUCK, Shared};
use super::pack::{self, Record, Spot};
use super::trailer::{self, Header};
use crate::held::blocks;
use crate::held::generation::Generation;
use crate::stats::count;

/// How long writing the journal anew may take before the disk counts as stuck: millions of lines, made durable.
const COMPACTING: Duration = Duration::from_secs(120);
/// After a failed write the disk is left alone this long; blocks are not stored meanwhile.
const REST: Duration = Duration::from_secs(1);
/// How long the writer waits for the sweeper to make room for a viewer's block, and for one of a pre-warm.
const ROOM: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
/// How often a folder may vanish under a file that is being made.
const TRIES: u32 = 4;

/// What the writer is asked to do.
pub(super) enum Job {
    Store {
        generation: Arc<Generation>,
        block: u32,
        bytes: Bytes,
        wait: bool,
    },
    Update(Arc<Generation>),
    /// There are notes for the ledger.
    Notes,
    Flush(oneshot::Sender<()>),
    Stop,
}

struct Writer {
    shared: Arc<Shared>,
    rest_until: Option<Instant>,
}

/// Starts the thread.
pub(super) fn start(
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Job>,
) -> Result<std::thread::JoinHandle<()>> {
    let name = format!("kromka-disk-{}", shared.number);
    std::thread::Builder::new().name(name).spawn(move || {
        let mut writer = Writer { shared, rest_until: None };
        while let Some(job) = queue.blocking_recv() {
            let shared = writer.shared.clone();
            let out = shared.out.load(Ordering::Acquire);
            *shared.stuck_after.lock() = Some((Instant::now(), STUCK));
            match job {
                Job::Store { generation, block, bytes, wait } => {
                    if !out {
                        writer.store(&generation, block, &bytes, wait);
                    }
                    shared.common.queued.lock().remove(&(generation.id, block));
                }
                Job::Update(generation) if !out => writer.update(&generation),
                Job::Update(_) | Job::Notes => {}
                Job::Flush(done) => {
                    if !out {
                        writer.note();
                    }
                    // Nobody waiting any more is fine.
                    let _ = done.send(());
                }
                Job::Stop => break,
            }
            shared.writing.store(0, Ordering::Release);
            if !out {
                writer.tidy();
            }
            *shared.stuck_after.lock() = None;
        }
    })
}

impl Writer {
    fn store(&mut self, generation: &Arc<Generation>, block: u32, bytes: &Bytes, wait: bool) {
        if generation.is_dead() || generation.on_disk(block).is_some() {
            return;
        }
        let counters = self.shared.common.counters.clone();
        let skip = || count(&counters.disk_skipped);
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return skip();
        }
        // Nothing that is on its way out is written, and nothing that is written is evicted.
        let held = {
            let index = self.shared.index.lock();
            if self.shared.sweeping.is_condemned(generation.key.hash(), generation.id) {
                return skip();
            }
            self.shared.writing.store(generation.id, Ordering::Release);
            index.get(generation.key.hash()).filter(|held| held.id() == generation.id)
        };
        let small = generation.length().filter(|length| *length == bytes.len() as u64);
        let written = match small {
            Some(length) if held.is_none() && self.shared.packs.lock().takes(length) => {
                self.pack(generation, bytes.clone(), wait).map(|spot| spot.is_some())
            }
            _ => self.write(generation, block, bytes, held, wait),
        };
        match written {
            Ok(true) => count(&self.shared.common.counters.disk_writes),
            Ok(false) => skip(),
            Err(error) => self.failed(&error),
        }
    }

    /// Space for so many bytes; the sweeper is told early enough that this rarely waits.
    fn reserve(&self, bytes: u64, wait: bool) -> bool {
        let budget = &self.shared.budget;
        if budget.used() + bytes > budget.high() {
            self.shared.sweeping.wake();
        }
        budget.reserve(bytes) || budget.reserve_within(bytes, ROOM[usize::from(wait)])
    }

    /// Writes a block into the object's own file; `false` if there is no room.
    fn write(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        bytes: &Bytes,
        held: Option<Held>,
        wait: bool,
    ) -> Result<bool> {
        let name = generation.key.hash();
        let first = held.is_none();
        let finished = matches!(held, Some(Held::Finished(_)));
        // The pages of a finished object are in the account already.
        let pages = if finished { 0 } else { space(bytes.len() as u64) };
        let room = pages + if first { FIRST } else { 0 };
        if !self.reserve(room, wait) {
            return Ok(false);
        }
        let start = blocks::start_of(block, generation.block);
        let (sum, folders) = match self.write_file(generation, start, bytes) {
            Ok(written) => written,
            Err(error) => {
                if first {
                    // What was made of it is in no account.
                    let _ = files::remove(&self.shared.path(name, generation.id));
                }
                self.shared.budget.release(room);
                return Err(error);
            }
        };
        let mut cost = room;
        if first {
            let spare = 2u64.saturating_sub(folders) * PAGE;
            self.shared.budget.release(spare);
            cost = room - 2 * PAGE;
            self.register(generation);
        } else if folders > 0 {
            self.shared.budget.force(folders * PAGE);
        }
        generation.stored(block, sum, cost);
        if first {
            self.shared.journal.append_header(generation)?;
        }
        if !finished {
            self.shared.journal.append_block(generation.id, block, sum)?;
        }
        self.finish_if_complete(generation)?;
        Ok(true)
    }

    /// Returns the checksum, and how many folders had to be made.
    fn write_file(&self, generation: &Generation, start: u64, bytes: &[u8]) -> Result<(u64, u64)> {
        let name = generation.key.hash();
        let path = self.shared.path(name, generation.id);
        let mut folders = 0;
        for _ in 0..TRIES {
            match files::write(&path, start, bytes) {
                // The sweeper may remove an empty folder between the two.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    folders += files::make_folders(&self.shared.objects, name)?;
                }
                written => return written.map(|sum| (sum, folders)),
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    /// Once every block is here, the file gets its trailer and the index forgets the rest; `false` if one is
    /// missing, or room for that.
    fn finish_if_complete(&self, generation: &Arc<Generation>) -> Result<bool> {
        if !generation.is_complete_on_disk() {
            return Ok(false);
        }
        let (name, length) = (generation.key.hash(), generation.length().unwrap_or(0));
        let trailer = trailer::encoded(generation)?;
        let finished = Finished::file(generation.id, length + trailer.len() as u64);
        let held = Held::Finished(finished);
        let before = self.shared.index.lock().get(name).filter(|held| held.id() == generation.id);
        let (before, now) = (before.map_or(0, |before| before.cost()), held.cost());
        if now > before && !self.reserve(now - before, true) {
            // It stays unfinished, which costs memory and nothing else.
            return Ok(false);
        }
        trailer::write(&self.shared.path(name, generation.id), length, &trailer)?;
        self.shared.journal.append_finished(name, finished)?;
        self.shared.index.lock().insert(name, held);
        if before > now {
            self.shared.budget.release(before - now);
        }
        Ok(true)
    }

    /// Puts a small object into a pack; none if there is no room.
    fn pack(&self, generation: &Arc<Generation>, body: Bytes, wait: bool) -> Result<Option<Spot>> {
        let name = generation.key.hash();
        let header = serde_json::to_vec(&Header::of(generation))?.into();
        let length = body.len() as u64;
        let record = Record { name, id: generation.id, header, body };
        let Some(spot) = self.append(&record, wait)? else { return Ok(None) };
        let finished = Finished::packed(generation.id, spot);
        self.shared.journal.append_finished(name, finished)?;
        let before = self.shared.index.lock().insert(name, Held::Finished(finished));
        self.replaced(name, before, generation.id);
        generation.stored(0, 0, length);
        Ok(Some(spot))
    }

    /// Appends to the pack, after making room in the row of packs where it is needed.
    fn append(&self, record: &Record, wait: bool) -> Result<Option<Spot>> {
        let bytes = (record.header.len() + record.body.len()) as u64;
        let (full, too_many) = {
            let packs = self.shared.packs.lock();
            (packs.is_full(bytes), packs.are_too_many())
        };
        if full {
            let kept = if too_many { self.take_pack_away()? } else { Vec::new() };
            let size = self.shared.packs.lock().size();
            if !self.reserve(size, wait) {
                return Ok(None);
            }
            if let Err(error) = self.shared.packs.lock().begin() {
                self.shared.budget.release(size);
                return Err(error);
            }
            for record in kept {
                self.keep(&record)?;
            }
            if self.shared.packs.lock().is_full(bytes) {
                return Ok(None);
            }
        }
        self.shared.packs.lock().append(record).map(Some)
    }

    /// Removes a pack; returns what it held that is worth keeping.
    fn take_pack_away(&self) -> Result<Vec<Record>> {
        let victim = self.shared.packs.lock().victim();
        let Some((number, all)) = victim else { return Ok(Vec::new()) };
        let records = pack::records(&self.shared.packs_at, number)?;
        let mut kept = Vec::new();
        for (spot, record) in records {
            let mut index = self.shared.index.lock();
            let current = Some(Finished::packed(record.id, spot));
            let held = index.get(record.name);
            if !matches!(&held, Some(Held::Finished(finished)) if Some(*finished) == current) {
                continue;
            }
            let used = index.take_uses(record.name) > 0
                || self
                    .shared
                    .common
                    .records
                    .peek(record.name)
                    .is_some_and(|it| it.id == record.id && it.cool() > 0);
            if all || used {
                kept.push(record);
                continue;
            }
            index.remove(record.name, record.id);
            drop(index);
            self.lost(record.name, record.id)?;
        }
        let took = self.shared.packs.lock().remove(number)?;
        self.shared.forget_pack(number);
        self.shared.budget.release(took);
        Ok(kept)
    }

    /// Appends again what a pack that is gone held; what does not fit is gone with it.
    fn keep(&self, record: &Record) -> Result<()> {
        let bytes = (record.header.len() + record.body.len()) as u64;
        let spot = {
            let mut packs = self.shared.packs.lock();
            if packs.is_full(bytes) { None } else { Some(packs.append(record)?) }
        };
        let mut index = self.shared.index.lock();
        if index.id(record.name) != Some(record.id) {
            return Ok(());
        }
        match spot {
            Some(spot) => {
                let finished = Finished::packed(record.id, spot);
                index.insert(record.name, Held::Finished(finished));
                drop(index);
                self.shared.journal.append_finished(record.name, finished)
            }
            None => {
                index.remove(record.name, record.id);
                drop(index);
                self.lost(record.name, record.id)
            }
        }
    }

    /// An object left with its pack.
    fn lost(&self, name: u128, id: u64) -> Result<()> {
        count(&self.shared.common.counters.disk_evicted);
        if let Some(generation) = self.shared.common.records.peek(name).filter(|it| it.id == id) {
            generation.evicted();
        }
        self.shared.journal.append_drop(name, id)
    }

    /// Puts the generation into the index; an older one of the same object goes.
    fn register(&self, generation: &Arc<Generation>) {
        let name = generation.key.hash();
        let before = self.shared.index.lock().insert(name, Held::Unfinished(generation.clone()));
        self.replaced(name, before, generation.id);
    }

    fn replaced(&self, name: u128, before: Option<Held>, id: u64) {
        let Some(before) = before else { return };
        if before.id() != id {
            self.shared.sweeping.condemn(name, before.id());
            self.shared.sweeping.hand_over(name, before);
        } else if let Held::Finished(before) = before
            && let Place::Packed(spot) = before.place()
            && let Err(error) = self.shared.packs.lock().kill(spot)
        {
            self.shared.failed(&error);
        }
    }

    /// The header changed (a 304), or the length of a body became known.
    fn update(&mut self, generation: &Arc<Generation>) {
        let name = generation.key.hash();
        let held = {
            let index = self.shared.index.lock();
            self.shared.writing.store(generation.id, Ordering::Release);
            index.get(name).filter(|held| held.id() == generation.id)
        };
        let written = match held {
            Some(Held::Finished(finished)) => match finished.place() {
                Place::Packed(spot) => self
                    .shared
                    .record(spot)
                    .and_then(|record| self.pack(generation, record.body, false))
                    .map(|spot| spot.is_some()),
                // One that lacks a block has no place for what is new: it goes.
                Place::File(_) => self.finish_if_complete(generation),
            },
            Some(Held::Unfinished(_)) => self
                .finish_if_complete(generation)
                .and_then(|done| if done { Ok(()) } else { self.shared.journal.append_header(generation) })
                .map(|()| true),
            None => Ok(true),
        };
        if matches!(written, Ok(true)) {
            return;
        }
        // What the disk says of it is not true any more: a purge may name it by what is only said now.
        self.shared.forget(name, generation.id);
        if let Err(error) = written {
            self.failed(&error);
        }
    }

    /// A write failed: the disk rests. One that is full though it should not be gives up some of its own.
    fn failed(&mut self, error: &Error) {
        self.rest_until = Some(Instant::now() + REST);
        count(&self.shared.common.counters.disk_skipped);
        let shared = &self.shared;
        let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        if full && shared.index.lock().len() > 0 {
            count(&shared.common.counters.disk_full);
            shared.sweeping.squeeze((shared.budget.limit() / 64).max(1 << 20));
            return;
        }
        tracing::debug!(%error, disk = shared.number, "cache disk cannot be written");
        shared.failed(error);
    }

    /// Puts what is to be remembered of objects with several representations into the ledger.
    fn note(&mut self) {
        let notes = std::mem::take(&mut *self.shared.notes.lock());
        for (base, varies) in notes {
            if let Err(error) = self.shared.ledger.varies(&varies) {
                // Tried again with the next job, unless there is newer to note.
                self.shared.notes.lock().entry(base).or_insert(varies);
                self.failed(&error);
            }
        }
    }

    /// What has to be done now and then.
    fn tidy(&mut self) {
        self.note();
        let shared = &self.shared;
        shared.book();
        if shared.journal.is_long() {
            // A line for every object, and all of it made durable: long, and no sign yet of a disk that hangs.
            *shared.stuck_after.lock() = Some((Instant::now(), COMPACTING));
            if let Err(error) = shared.journal.compact(&shared.index) {
                self.failed(&error);
            }
        }
    }
}
