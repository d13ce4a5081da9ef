//! The append-only list of what is on disk. Each record carries its own checksum; a torn tail (the
//! process was killed amid a write) is cut off at the last good record, and what it described is
//! fetched again.
//!
//! ```text
//! record   = length:u32 kind:u8 payload checksum:u64     (little endian; length of kind + payload)
//! checksum = XXH3-64 over kind and payload
//! ```
//! A record is written after the bytes it speaks of, so it never speaks of bytes that are not there.
//! Objects of which only some blocks are here have a header record and one per block; a finished one
//! has a single small record, since its file says the rest.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::index::{Finished, Held, Index};
use super::trailer::Header;
use crate::Key;
use crate::blocks;
use crate::fences::Purge;
use crate::generation::Generation;

const HEADER: u8 = 1;
const BLOCK: u8 = 2;
const DROP: u8 = 3;
const PURGE: u8 = 4;
const FINISHED: u8 = 5;
const VARIES: u8 = 6;

/// No record is longer; a length beyond it is garbage.
const MAX_RECORD: usize = 16 << 20;

/// What a journal says besides the index.
pub(super) struct Other {
    pub purges: Vec<Purge>,
    pub varies: Vec<Varies>,
}

/// The open journal; appends are whole records, from any thread.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    written: AtomicU64,
}

/// The request fields that choose among an object's representations: without them the names of the
/// representations cannot be told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Varies {
    service: String,
    path: String,
    query: Option<String>,
    names: Vec<String>,
    /// Versions below this number were undone by an unsafe request.
    #[serde(default)]
    pub floor: u64,
}

impl Varies {
    pub(super) fn of(base: &Key, names: &[HeaderName], floor: u64) -> Self {
        Self {
            service: base.service().to_owned(),
            path: base.path().to_owned(),
            query: base.tail().map(str::to_owned),
            names: names.iter().map(ToString::to_string).collect(),
            floor,
        }
    }

    pub(super) fn base(&self) -> Key {
        Key::new(&self.service, &self.path, self.query.as_deref())
    }

    pub(super) fn names(&self) -> Option<Vec<HeaderName>> {
        self.names.iter().map(|name| name.parse().ok()).collect()
    }
}

/// What a journal says.
#[derive(Default)]
pub(super) struct Replayed {
    pub index: Index,
    /// Files (name and number) that are of no use any more.
    pub garbage: Vec<(u128, u64)>,
    pub purges: Vec<Purge>,
    pub varies: Vec<Varies>,
    pub next_id: u64,
    /// Bytes counted against the budget.
    pub used: u64,
    /// There was no journal at all.
    pub was_absent: bool,
    /// Where the last whole record ends.
    good: u64,
    /// Records of which nothing is left.
    dead: u64,
    torn: bool,
}

/// Reads the journal as far as it is whole.
pub(super) fn replay(path: &Path) -> Result<Replayed> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Replayed { next_id: 1, was_absent: true, ..Replayed::default() });
        }
        file => file?,
    };
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut finished: HashMap<u128, Finished> = HashMap::new();
    let mut unfinished: HashMap<u64, Generation> = HashMap::new();
    let mut replayed = Replayed { next_id: 1, ..Replayed::default() };
    let mut record = Vec::new();
    while let Some(kind) = next(&mut reader, &mut record)? {
        replayed.good += record.len() as u64 + 12;
        let payload = &record[1..];
        match (kind, payload.len()) {
            (FINISHED, 28) => {
                let (name, id) = name_and_id(payload);
                let pages = u32::from_le_bytes(payload[24..28].try_into().unwrap_or_default());
                replayed.next_id = replayed.next_id.max(id + 1);
                unfinished.remove(&id);
                if let Some(before) = finished.insert(name, Finished { id, pages })
                    && before.id != id
                {
                    replayed.garbage.push((name, before.id));
                }
            }
            (HEADER, _) => {
                let header = serde_json::from_slice::<Header>(payload).ok();
                let Some(generation) = header.and_then(|header| header.restore()) else { continue };
                replayed.next_id = replayed.next_id.max(generation.id + 1);
                if let Some(before) = unfinished.remove(&generation.id) {
                    let disk = before.disk_state();
                    for (block, sum) in
                        (0..).zip(&disk.sums).filter(|(block, _)| disk.blocks.contains(*block))
                    {
                        keep_block(&generation, block, *sum);
                    }
                }
                unfinished.insert(generation.id, generation);
            }
            (BLOCK, 20) => {
                let id = u64::from_le_bytes(payload[0..8].try_into().unwrap_or_default());
                let block = u32::from_le_bytes(payload[8..12].try_into().unwrap_or_default());
                let sum = u64::from_le_bytes(payload[12..20].try_into().unwrap_or_default());
                if let Some(generation) = unfinished.get(&id) {
                    keep_block(generation, block, sum);
                }
            }
            (DROP, 24) => {
                let (name, id) = name_and_id(payload);
                unfinished.remove(&id);
                if finished.get(&name).is_some_and(|finished| finished.id == id) {
                    finished.remove(&name);
                }
                replayed.dead += 1;
            }
            (VARIES, _) => replayed.varies.extend(serde_json::from_slice::<Varies>(payload).ok()),
            (PURGE, _) => replayed.purges.extend(serde_json::from_slice::<Purge>(payload).ok()),
            _ => {}
        }
    }
    replayed.torn = replayed.good != length;
    replayed.gather(finished, unfinished);
    Ok(replayed)
}

impl Replayed {
    /// Of two versions of one object only the newer is current; a body without a length was never
    /// finished and cannot be.
    fn gather(&mut self, finished: HashMap<u128, Finished>, unfinished: HashMap<u64, Generation>) {
        self.index = Index::with_capacity(finished.len());
        let mut by_age: Vec<_> =
            finished.into_iter().map(|(name, it)| (it.id, name, Held::Finished(it))).collect();
        by_age.extend(unfinished.into_values().map(|generation| {
            (generation.id, generation.key.hash(), Held::Unfinished(Arc::new(generation)))
        }));
        by_age.sort_unstable_by_key(|(id, ..)| *id);
        for (id, name, held) in by_age {
            if let Held::Unfinished(generation) = &held
                && (generation.length().is_none() || generation.disk_state().blocks.len() == 0)
            {
                self.garbage.push((name, id));
                continue;
            }
            self.used += held.cost();
            if let Some(before) = self.index.insert(name, held) {
                self.garbage.push((name, before.id()));
                self.used = self.used.saturating_sub(before.cost());
            }
        }
        self.dead += self.garbage.len() as u64;
    }

    /// Whether the journal should be written anew rather than appended to.
    fn is_wasteful(&self) -> bool {
        self.torn || self.was_absent || self.dead > 1000 && self.dead > self.index.len() as u64
    }
}

fn keep_block(generation: &Generation, block: u32, sum: u64) {
    let length = generation.length().unwrap_or(u64::MAX);
    let bytes = blocks::bytes_of(block, generation.block, length);
    generation.stored(block, sum, on_disk_bytes(bytes.end - bytes.start));
}

/// What bytes cost on a file system of 4 KiB pages.
pub(super) fn on_disk_bytes(bytes: u64) -> u64 {
    bytes.next_multiple_of(super::index::PAGE)
}

fn name_and_id(payload: &[u8]) -> (u128, u64) {
    let name = u128::from_le_bytes(payload[0..16].try_into().unwrap_or_default());
    (name, u64::from_le_bytes(payload[16..24].try_into().unwrap_or_default()))
}

/// Reads the next whole record (kind and payload) and returns its kind, or `None` at the end or at
/// the first that is not whole.
fn next(reader: &mut impl Read, record: &mut Vec<u8>) -> Result<Option<u8>> {
    let mut length = [0; 4];
    if !read_whole(reader, &mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 || length > MAX_RECORD {
        return Ok(None);
    }
    record.resize(length, 0);
    let mut sum = [0; 8];
    if !read_whole(reader, record)? || !read_whole(reader, &mut sum)? {
        return Ok(None);
    }
    Ok((xxh3_64(record) == u64::from_le_bytes(sum)).then(|| record[0]))
}

fn read_whole(reader: &mut impl Read, into: &mut [u8]) -> Result<bool> {
    match reader.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn record(kind: u8, payload: &[&[u8]]) -> Vec<u8> {
    let length: usize = payload.iter().map(|part| part.len()).sum::<usize>() + 1;
    let mut record = Vec::with_capacity(length + 12);
    record.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    record.push(kind);
    payload.iter().for_each(|part| record.extend_from_slice(part));
    let sum = xxh3_64(&record[4..]);
    record.extend_from_slice(&sum.to_le_bytes());
    record
}

fn header_record(generation: &Generation) -> Result<Vec<u8>> {
    Ok(record(HEADER, &[&serde_json::to_vec(&Header::of(generation))?]))
}

fn block_record(id: u64, block: u32, sum: u64) -> Vec<u8> {
    record(BLOCK, &[&id.to_le_bytes(), &block.to_le_bytes(), &sum.to_le_bytes()])
}

fn finished_record(name: u128, finished: Finished) -> Vec<u8> {
    record(FINISHED, &[&name.to_le_bytes(), &finished.id.to_le_bytes(), &finished.pages.to_le_bytes()])
}

impl Journal {
    /// Goes on with the journal that was replayed; one that is torn, or mostly about what is gone, is
    /// first written anew.
    pub(super) fn open(path: &Path, replayed: &Replayed, other: &Other) -> Result<Self> {
        let file = if replayed.is_wasteful() {
            rewritten(path, &replayed.index, other)?
        } else {
            OpenOptions::new().append(true).open(path)?
        };
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), written: AtomicU64::new(0) })
    }

    /// Writes the journal anew while open; appends wait meanwhile. The rest is asked for once they
    /// wait, so that nothing falls between what is asked and the new file.
    pub(super) fn compact(&self, index: &Mutex<Index>, other: impl FnOnce() -> Other) -> Result<()> {
        let mut file = self.file.lock();
        *file = rewritten(&self.path, &index.lock(), &other())?;
        self.written.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes appended since it was last written anew.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn append(&self, record: &[u8]) -> Result<()> {
        self.written.fetch_add(record.len() as u64, Ordering::Relaxed);
        self.file.lock().write_all(record)
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
        self.append(&record(DROP, &[&name.to_le_bytes(), &id.to_le_bytes()]))
    }

    pub(super) fn append_varies(&self, varies: &Varies) -> Result<()> {
        self.append(&record(VARIES, &[&serde_json::to_vec(varies)?]))
    }

    /// A purge is on the disk itself before it is acknowledged.
    pub(super) fn append_purge(&self, purge: &Purge) -> Result<()> {
        let record = record(PURGE, &[&serde_json::to_vec(purge)?]);
        let mut file = self.file.lock();
        file.write_all(&record)?;
        file.sync_data()
    }
}

/// A journal of exactly this, written beside the old one and put in its place.
fn rewritten(path: &Path, index: &Index, other: &Other) -> Result<File> {
    let beside = path.with_extension("new");
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(&beside)?);
    for purge in &other.purges {
        writer.write_all(&record(PURGE, &[&serde_json::to_vec(purge)?]))?;
    }
    for varies in &other.varies {
        writer.write_all(&record(VARIES, &[&serde_json::to_vec(varies)?]))?;
    }
    for (name, finished) in index.finished() {
        writer.write_all(&finished_record(name, finished))?;
    }
    for generation in index.unfinished() {
        let disk = generation.disk_state();
        writer.write_all(&header_record(generation)?)?;
        for (block, sum) in (0..).zip(&disk.sums).filter(|(block, _)| disk.blocks.contains(*block)) {
            writer.write_all(&block_record(generation.id, block, *sum))?;
        }
    }
    writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_data()?;
    std::fs::rename(&beside, path)?;
    OpenOptions::new().append(true).open(path)
}
