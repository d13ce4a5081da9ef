//! The append-only list of what is on disk. A torn tail (the process was killed amid a write) is cut off at
//! the last good record, and what it described is fetched again.
//!
//! A record is written after the bytes it speaks of, so it never speaks of bytes that are not there.
//! Objects of which only some blocks are here have a header record and one per block; a finished one
//! has a single small record, since its file or pack says the rest. What purges forbid is in the ledger.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::budget::{PAGE, space};
use super::index::{FILE, Finished, Held, Index, Place};
use super::pack::Spot;
use super::record::{self, End, framed};
use super::trailer::Header;
use crate::held::blocks;
use crate::held::generation::Generation;

const HEADER: u8 = 1;
const BLOCK: u8 = 2;
const DROP: u8 = 3;
const FINISHED: u8 = 4;

/// The journal is not written anew before it has grown by this much, bytes.
const COMPACT: u64 = 4 << 20;

/// The open journal; appends are whole records, from any thread.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<Writing>,
    /// Bytes of the file.
    bytes: AtomicU64,
    /// Bytes of it that were written when it was last made.
    made: AtomicU64,
}

struct Writing {
    file: File,
    /// What is appended while it is being written anew.
    meanwhile: Option<Vec<u8>>,
}

/// What a journal says.
pub(super) struct Replayed {
    pub index: Index,
    /// Files (name and number) that are of no use any more.
    pub garbage: Vec<(u128, u64)>,
    /// What left the packs.
    pub dead: Vec<Spot>,
    pub next_id: u64,
    /// Bytes counted against the budget.
    pub used: u64,
    pub end: End,
    /// Records of which nothing is left.
    stale: u64,
    bytes: u64,
}

/// Reads the journal as far as it is whole. What is on `disk` is at home there.
pub(super) fn replay(path: &Path, disk: u8) -> Result<Replayed> {
    let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
    // Most of it are records of finished objects.
    let likely = usize::try_from(bytes / (FINISHED_RECORD + 4)).unwrap_or(0);
    let mut replay = Replay {
        index: Index::with_capacity(likely),
        unfinished: HashMap::new(),
        garbage: Vec::new(),
        dead: Vec::new(),
        next_id: 1,
        stale: 0,
        disk,
    };
    let end = record::read_all(path, |kind, payload| replay.take(kind, payload))?;
    Ok(replay.end(end, bytes))
}

/// Bytes of the record of a finished object.
const FINISHED_RECORD: u64 = 4 + 1 + 16 + 16 + 8;

struct Replay {
    index: Index,
    unfinished: HashMap<u64, Generation>,
    garbage: Vec<(u128, u64)>,
    dead: Vec<Spot>,
    next_id: u64,
    stale: u64,
    disk: u8,
}

impl Replay {
    fn take(&mut self, kind: u8, payload: &[u8]) {
        match (kind, payload.len()) {
            (FINISHED, 32) => {
                let finished = Finished::from_bytes(payload[16..].try_into().unwrap_or_default());
                self.next_id = self.next_id.max(finished.id + 1);
                self.unfinished.remove(&finished.id);
                let name = u128::from_le_bytes(payload[..16].try_into().unwrap_or_default());
                let before = self.index.insert(name, Held::Finished(finished));
                self.leave(name, before, finished);
            }
            (HEADER, _) => {
                let header = serde_json::from_slice::<Header>(payload).ok();
                let Some(generation) = header.and_then(|header| header.restore()) else { return };
                self.next_id = self.next_id.max(generation.id + 1);
                if let Some(before) = self.unfinished.remove(&generation.id) {
                    let disk = before.disk_state();
                    for (block, sum) in
                        (0..).zip(&disk.sums).filter(|(block, _)| disk.blocks.contains(*block))
                    {
                        keep_block(&generation, block, *sum);
                    }
                }
                generation.settle(self.disk);
                self.unfinished.insert(generation.id, generation);
            }
            (BLOCK, 20) => {
                let id = u64::from_le_bytes(payload[0..8].try_into().unwrap_or_default());
                let block = u32::from_le_bytes(payload[8..12].try_into().unwrap_or_default());
                let sum = u64::from_le_bytes(payload[12..20].try_into().unwrap_or_default());
                if let Some(generation) = self.unfinished.get(&id) {
                    keep_block(generation, block, sum);
                }
            }
            (DROP, 24) => {
                let name = u128::from_le_bytes(payload[..16].try_into().unwrap_or_default());
                let id = u64::from_le_bytes(payload[16..].try_into().unwrap_or_default());
                self.unfinished.remove(&id);
                if let Some(Held::Finished(finished)) = self.index.remove(name, id)
                    && let Place::Packed(spot) = finished.place()
                {
                    self.dead.push(spot);
                }
                self.stale += 1;
            }
            _ => {}
        }
    }

    /// What stood under a name before `now` is of no use any more.
    fn leave(&mut self, name: u128, before: Option<Held>, now: Finished) {
        let Some(Held::Finished(before)) = before else { return };
        match before.place() {
            Place::Packed(spot) if before != now => self.dead.push(spot),
            Place::File(_) if before.id != now.id => self.garbage.push((name, before.id)),
            _ => {}
        }
        self.stale += 1;
    }

    /// Of two versions of one object only the newer is current; a body without a length was never
    /// finished and cannot be.
    fn end(mut self, end: End, bytes: u64) -> Replayed {
        for (id, generation) in std::mem::take(&mut self.unfinished) {
            let name = generation.key.hash();
            let newer = self.index.id(name).is_some_and(|other| other > id);
            if newer || generation.length().is_none() || generation.disk_state().blocks.len() == 0 {
                self.garbage.push((name, id));
            } else if let Some(Held::Finished(before)) =
                self.index.insert(name, Held::Unfinished(Arc::new(generation)))
            {
                match before.place() {
                    Place::Packed(spot) => self.dead.push(spot),
                    Place::File(_) => self.garbage.push((name, before.id)),
                }
            }
        }
        let finished: u64 = self.index.finished().map(|(_, it)| Held::Finished(it).cost()).sum();
        let unfinished: u64 = self.index.unfinished().map(|it| it.disk_state().bytes).sum();
        let stale = self.stale + self.garbage.len() as u64;
        Replayed {
            used: finished + unfinished,
            index: self.index,
            garbage: self.garbage,
            dead: self.dead,
            next_id: self.next_id,
            end,
            stale,
            bytes,
        }
    }
}

impl Replayed {
    /// Whether the journal should be written anew rather than appended to.
    fn is_wasteful(&self) -> bool {
        self.end != End::Whole || self.stale > 1000 && self.stale > self.index.len() as u64
    }
}

fn keep_block(generation: &Generation, block: u32, sum: u64) {
    let length = generation.length().unwrap_or(u64::MAX);
    let bytes = blocks::bytes_of(block, generation.block, length);
    let first = generation.disk_state().bytes == 0;
    generation.stored(block, sum, space(bytes.end - bytes.start) + if first { FILE } else { 0 });
}

fn header_record(generation: &Generation) -> Result<Vec<u8>> {
    Ok(framed(HEADER, &[&serde_json::to_vec(&Header::of(generation))?]))
}

fn block_record(id: u64, block: u32, sum: u64) -> Vec<u8> {
    framed(BLOCK, &[&id.to_le_bytes(), &block.to_le_bytes(), &sum.to_le_bytes()])
}

fn finished_record(name: u128, finished: Finished) -> Vec<u8> {
    framed(FINISHED, &[&name.to_le_bytes(), &finished.bytes()])
}

impl Journal {
    /// Goes on with the journal that was replayed; one that is torn, or mostly about what is gone, is
    /// first written anew.
    pub(super) fn open(path: &Path, replayed: &Replayed) -> Result<Self> {
        let mut bytes = replayed.bytes;
        if replayed.is_wasteful() {
            bytes = write_anew(path, &Snapshot::of(&replayed.index), Vec::new)?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(Writing { file, meanwhile: None }),
            bytes: AtomicU64::new(bytes),
            made: AtomicU64::new(bytes),
        })
    }

    /// Writes the journal anew while it is in use, once it is more than twice as long as it was made.
    /// Appends go on meanwhile and are carried over at the end.
    pub(super) fn compact(&self, index: &Mutex<Index>) -> Result<()> {
        let snapshot = {
            let mut writing = self.file.lock();
            writing.meanwhile = Some(Vec::new());
            Snapshot::of(&index.lock())
        };
        let mut held = None;
        let written = write_anew(&self.path, &snapshot, || {
            let mut writing = self.file.lock();
            let meanwhile = writing.meanwhile.take().unwrap_or_default();
            held = Some(writing);
            meanwhile
        });
        let mut writing = held.unwrap_or_else(|| self.file.lock());
        writing.meanwhile = None;
        let bytes = written?;
        writing.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes.store(bytes, Ordering::Relaxed);
        self.made.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it should be written anew.
    pub(super) fn is_long(&self) -> bool {
        let made = self.made.load(Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed) > made.max(COMPACT) + made
    }

    /// Space that it takes, and takes once more while it is written anew; always some pages more than it
    /// has grown to.
    pub(super) fn space(&self) -> u64 {
        (self.bytes.load(Ordering::Relaxed) * 2 + 1).next_multiple_of(4 * PAGE)
    }

    fn append(&self, record: &[u8]) -> Result<()> {
        let mut writing = self.file.lock();
        writing.file.write_all(record)?;
        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        if let Some(meanwhile) = &mut writing.meanwhile {
            meanwhile.extend_from_slice(record);
        }
        Ok(())
    }

    pub(super) fn append_header(&self, generation: &Generation) -> Result<()> {
        self.append(&header_record(generation)?)
    }

    pub(super) fn append_block(&self, id: u64, block: u32, sum: u64) -> Result<()> {
        self.append(&block_record(id, block, sum))
    }

    pub(super) fn append_finished(&self, name: u128, finished: Finished) -> Result<()> {
        self.append(&finished_record(name, finished))
    }

    pub(super) fn append_drop(&self, name: u128, id: u64) -> Result<()> {
        self.append(&framed(DROP, &[&name.to_le_bytes(), &id.to_le_bytes()]))
    }
}

/// Appends so many finished objects of 400 kB, which have no files, numbered behind all others.
pub(super) fn append_hollow(path: &Path, objects: u64) -> Result<()> {
    let file = OpenOptions::new().append(true).open(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    for n in 0..objects {
        let id = (1 << 40) + n;
        let name = xxhash_rust::xxh3::xxh3_128(&id.to_le_bytes());
        writer.write_all(&finished_record(name, Finished::file(id, 400_000)))?;
    }
    writer.flush()
}

/// What the index holds at one moment.
struct Snapshot {
    finished: Vec<(u128, Finished)>,
    unfinished: Vec<Arc<Generation>>,
}

impl Snapshot {
    fn of(index: &Index) -> Self {
        Self { finished: index.finished().collect(), unfinished: index.unfinished().cloned().collect() }
    }
}

/// A journal of exactly this and what came meanwhile, written beside the old one and put in its place.
/// Returns its length.
fn write_anew(path: &Path, snapshot: &Snapshot, meanwhile: impl FnOnce() -> Vec<u8>) -> Result<u64> {
    let beside = path.with_extension("new");
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(&beside)?);
    for (name, finished) in &snapshot.finished {
        writer.write_all(&finished_record(*name, *finished))?;
    }
    for generation in &snapshot.unfinished {
        let disk = generation.disk_state();
        writer.write_all(&header_record(generation)?)?;
        for (block, sum) in (0..).zip(&disk.sums).filter(|(block, _)| disk.blocks.contains(*block)) {
            writer.write_all(&block_record(generation.id, block, *sum))?;
        }
    }
    writer.write_all(&meanwhile())?;
    let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)?;
    Ok(file.metadata()?.len())
}
