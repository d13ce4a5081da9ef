//! The way of bytes from a disk to an answer.
//!
//! What the system has in its page cache is read where it is asked for ([`Disk::at_hand`]: `RWF_NOWAIT`, which gives
//! up rather than wait). Everything else is read by a thread that may wait ([`Disk::read`]), and with it what comes
//! behind it.
//!
//! **Every block is checked when it comes off the disk**, and not again as long as its pages stay in the page cache
//! and nobody has changed the file (its inode and time of change are looked at after every read). What is checked
//! is noted with the generation: a restart checks anew. Files are opened with `POSIX_FADV_RANDOM`, so that the
//! system reads ahead only where it is told to here, where the note is taken back. What this cannot see is a
//! block that was dropped from the page cache and brought back, damaged, by another process.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};

use super::files;
use super::index::{Held, Place};
use super::one::{Disk, Shared};
use super::pack::{self, Record, Spot};
use crate::Key;
use crate::held::blocks;
use crate::held::file_state::FileState;
use crate::held::generation::{Generation, Stored};
use crate::memory::{Memory, Room};
use crate::stats::count;

/// A read that takes longer is given up: the source is faster.
const READ_PATIENCE: Duration = Duration::from_secs(2);
/// What is read ahead of a block that had to be waited for, bytes.
const AHEAD: u64 = 1 << 20;
/// Set in the numbers by which packs are among the open files.
const PACK: u64 = 1 << 63;

/// What was at hand of a block.
pub(crate) enum AtHand {
    /// All of it, where it may stay.
    Block(Bytes),
    /// What was wanted of it, or the first bytes of that, in memory that is needed again soon.
    Part(Bytes),
}

impl Disk {
    /// Bytes of a block without waiting for the disk: all of them if the block may stay in memory (`keep`) or has
    /// to be checked. `None` means no more than that [`Self::read`] is to be asked.
    pub(super) fn at_hand(
        &self,
        generation: &Generation,
        block: u32,
        wanted: &Range<u64>,
        keep: bool,
        memory: &Memory,
    ) -> Option<AtHand> {
        let shared = &self.shared;
        if !shared.may_look {
            return None;
        }
        let Stored { sum, range, checked } = generation.on_disk(block)?;
        let (name, id) = (generation.key.hash(), generation.id);
        if let Some(spot) = shared.packed(generation) {
            let pack = shared.open.get(PACK | u64::from(spot.pack))?;
            let record = pack::read(&pack, spot, files::read_at_hand).ok()?;
            return unpacked(&record, id, memory.room(range.end - range.start)).ok().map(AtHand::Block);
        }
        let file = match shared.open.get(id) {
            Some(file) => file,
            None => shared.keep_open(id, files::open_at_hand(&shared.path(name, id)).ok()?).ok()?,
        };
        let before = match checked {
            Some(state) => state,
            None => FileState::of(&file).ok()?,
        };
        let read = |range: &Range<u64>, bytes: &mut [u8]| {
            files::read_at_hand(&file, range.start, bytes).inspect_err(|_| {
                generation.unchecked(block..block.saturating_add(1));
            })
        };
        let part = wanted.start.max(range.start)..wanted.end.min(range.end);
        if part.is_empty() {
            return None;
        }
        let (bytes, whole) = if keep || checked.is_none() {
            let room = memory.room(range.end - range.start);
            (room.read(|bytes| read(&range, bytes)).ok()?, true)
        } else {
            (memory.passing(part.end - part.start, |bytes| read(&part, bytes)).ok()?, false)
        };
        if checked.is_none() {
            files::check(&bytes, sum).ok()?;
        }
        let after = FileState::of(&file).ok()?;
        if after != before {
            generation.unchecked(block..block.saturating_add(1));
            if after.is_removed() {
                shared.open.forget(id);
            }
            return None;
        }
        if checked.is_none() && after.is_settled() {
            generation.checked(block, after);
        }
        Some(if whole { AtHand::Block(bytes) } else { AtHand::Part(bytes) })
    }

    /// Reads a block to where it may stay, and checks it; the system is told to read on, to `end` at most. `None`
    /// means that it has to be fetched again.
    pub(super) async fn read(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        end: u64,
        memory: &Memory,
    ) -> Option<Bytes> {
        let stored = generation.on_disk(block)?;
        let (shared, of) = (self.shared.clone(), generation.clone());
        let room = memory.room(stored.range.end - stored.range.start);
        match self.reading(move || body(&shared, &of, block, &stored, end, room)).await {
            Ok(bytes) => return Some(bytes),
            Err(error) => self.tell(&generation.key, error, "block"),
        }
        generation.lost(block);
        None
    }

    /// Runs a read where it may wait: neither on a worker of the runtime, nor more of them at once than the
    /// disk can use, nor for longer than the source would take.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let reads = self.reads.clone();
        let done = tokio::time::timeout(READ_PATIENCE, async move {
            let permit = reads.acquire_owned().await.map_err(Error::other)?;
            let read = move || {
                let _permit = permit;
                read()
            };
            tokio::task::spawn_blocking(read).await.map_err(Error::other)?
        });
        done.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::TimedOut, format!("no byte within {READ_PATIENCE:?}")))
        })
    }

    /// Says what hindered a read, and what follows from that, behind the request.
    pub(super) fn tell(&self, key: &Key, error: Error, what: &str) {
        let shared = self.shared.clone();
        if error.kind() == ErrorKind::InvalidData {
            count(&shared.common.counters.disk_corrupt);
            tracing::warn!(%key, what, disk = shared.number, "damaged on disk; fetching it again");
            return;
        }
        tracing::debug!(%key, what, %error, disk = shared.number, "cannot be read from disk; fetching it again");
        tokio::task::spawn_blocking(move || {
            // Evicted between look-up and read, or removed by the operator: simply not there.
            if error.kind() != ErrorKind::NotFound || !shared.objects.exists() {
                shared.failed(&error);
            }
        });
    }
}

impl Shared {
    /// Where a generation is packed, if it is.
    fn packed(&self, generation: &Generation) -> Option<Spot> {
        generation.length().filter(|length| *length <= pack::SMALL)?;
        let held = self.index.lock().get(generation.key.hash());
        let Some(Held::Finished(finished)) = held.filter(|held| held.id() == generation.id) else {
            return None;
        };
        match finished.place() {
            Place::Packed(spot) => Some(spot),
            Place::File(_) => None,
        }
    }

    /// Keeps a file open until it is removed.
    fn keep_open(&self, number: u64, file: File) -> Result<Arc<File>> {
        // The system is to read what it is told to, and nothing around it.
        fadvise(&file, 0, None, Advice::Random)?;
        let file = Arc::new(file);
        self.open.put(number, &file);
        // Whoever removed it before may have looked for it here before, too.
        if FileState::of(&file)?.is_removed() {
            self.open.forget(number);
        }
        Ok(file)
    }

    /// A record of a pack, wherever it is by now.
    pub(super) fn record(&self, spot: Spot) -> Result<Record> {
        let number = PACK | u64::from(spot.pack);
        let pack = match self.open.get(number) {
            Some(pack) => pack,
            None => self.keep_open(number, File::open(pack::path(&self.packs_at, spot.pack))?)?,
        };
        pack::read(&pack, spot, files::read_whole)
    }

    /// A pack was removed.
    pub(super) fn forget_pack(&self, pack: u32) {
        self.open.forget(PACK | u64::from(pack));
    }
}

/// A block of a file, or the whole of what is packed.
fn body(
    shared: &Shared,
    generation: &Generation,
    block: u32,
    stored: &Stored,
    end: u64,
    room: Room,
) -> Result<Bytes> {
    let (name, id) = (generation.key.hash(), generation.id);
    let mut record = None;
    // One that is packed may move between the look into the index and the look into the pack.
    for _ in 0..2 {
        let Some(spot) = shared.packed(generation) else { break };
        record = Some(shared.record(spot));
        if record.as_ref().is_some_and(Result::is_ok) {
            break;
        }
    }
    if let Some(record) = record.transpose()? {
        return unpacked(&record, id, room);
    }
    let file = match shared.open.get(id) {
        Some(file) => file,
        None => shared.keep_open(id, File::open(shared.path(name, id))?)?,
    };
    let before = FileState::of(&file)?;
    let Range { start, end: after } = stored.range;
    let end = end.clamp(after, after.saturating_add(AHEAD));
    generation.unchecked(blocks::blocks_of(&(start..end), generation.block));
    // It reads as well without the advice.
    let _ = fadvise(&file, start, NonZeroU64::new(end - start), Advice::WillNeed);
    let bytes = room.read(|bytes| files::read_whole(&file, start, bytes))?;
    files::check(&bytes, stored.sum)?;
    if before.is_settled() {
        generation.checked(block, before);
    }
    Ok(bytes)
}

/// The body of a record, which is that of generation `id`.
fn unpacked(record: &Record, id: u64, mut room: Room) -> Result<Bytes> {
    if record.id != id || record.body.len() != room.size() {
        return Err(ErrorKind::InvalidData.into());
    }
    room.write(&record.body);
    Ok(room.finish())
}
