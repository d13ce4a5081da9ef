//! The append-only list of what is on disk. Each record carries its own checksum; a torn tail (the
//! process was killed amid a write) is cut off at the last good record, and what it described is
//! fetched again.
//!
//! ```text
//! record  = length:u32 kind:u8 payload checksum:u64      (little endian; length of kind + payload)
//! checksum = XXH3-64 over kind and payload
//! ```
//! A block's record is written after the block, so a record never speaks of bytes that are not there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::Key;
use crate::blocks;
use crate::fences::Purge;
use crate::generation::Generation;
use crate::meta::MetaRecord;

const PUT: u8 = 1;
const BLOCK: u8 = 2;
const DROP: u8 = 3;
const PURGE: u8 = 4;

/// No record is longer; a length beyond it is garbage.
const MAX_RECORD: usize = 1 << 20;

/// The open journal; appends are whole records, from any thread.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    written: AtomicU64,
}

/// A generation's header; a later one of the same number replaces it.
#[derive(Serialize, Deserialize)]
struct Put {
    id: u64,
    service: String,
    path: String,
    query: Option<String>,
    /// What chose this representation, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chosen: Option<String>,
    fence: u64,
    length: Option<u64>,
    block: u64,
    meta: MetaRecord,
}

/// What a journal says.
#[derive(Default)]
pub(super) struct Held {
    /// Generations with at least one block, oldest first.
    pub generations: Vec<Arc<Generation>>,
    /// Generations whose files are of no use any more.
    pub garbage: Vec<Arc<Generation>>,
    pub purges: Vec<Purge>,
    pub next_id: u64,
    /// There was no journal at all.
    pub was_absent: bool,
}

/// Reads the journal as far as it is whole.
pub(super) fn replay(path: &Path) -> Result<Held> {
    let mut held = Held { next_id: 1, ..Held::default() };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            held.was_absent = true;
            return Ok(held);
        }
        file => file?,
    };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut found: HashMap<u64, Arc<Generation>> = HashMap::new();
    while let Some((kind, payload)) = next(&mut reader)? {
        match kind {
            PUT => {
                let Some(mut generation) = put(&payload) else { continue };
                held.next_id = held.next_id.max(generation.id + 1);
                if let Some(before) = found.remove(&generation.id) {
                    let disk = before.disk_state();
                    for block in 0..u32::try_from(disk.sums.len()).unwrap_or(0) {
                        if disk.blocks.contains(block) {
                            keep_block(&mut generation, block, disk.sums[block as usize]);
                        }
                    }
                }
                found.insert(generation.id, generation);
            }
            BLOCK if payload.len() == 20 => {
                let id = u64::from_le_bytes(payload[0..8].try_into().unwrap_or_default());
                let block = u32::from_le_bytes(payload[8..12].try_into().unwrap_or_default());
                let sum = u64::from_le_bytes(payload[12..20].try_into().unwrap_or_default());
                if let Some(generation) = found.get_mut(&id) {
                    keep_block(generation, block, sum);
                }
            }
            DROP if payload.len() == 8 => {
                let id = u64::from_le_bytes(payload[0..8].try_into().unwrap_or_default());
                found.remove(&id);
            }
            PURGE => held.purges.extend(serde_json::from_slice::<Purge>(&payload).ok()),
            _ => {}
        }
    }
    // Of two generations of one object only the newer is current; a body without a length was
    // never finished.
    let mut all: Vec<_> = found.into_values().collect();
    all.sort_unstable_by_key(|generation| generation.id);
    let mut newest: HashMap<u128, u64> = HashMap::new();
    for generation in &all {
        newest.insert(generation.key.hash(), generation.id);
    }
    for generation in all {
        let current = newest.get(&generation.key.hash()) == Some(&generation.id);
        let keep = current && generation.length().is_some() && generation.disk_state().blocks.len() > 0;
        if keep { held.generations.push(generation) } else { held.garbage.push(generation) }
    }
    Ok(held)
}

fn keep_block(generation: &mut Arc<Generation>, block: u32, sum: u64) {
    let length = generation.length().unwrap_or(u64::MAX);
    let bytes = blocks::bytes_of(block, generation.block, length);
    generation.stored(block, sum, on_disk_bytes(bytes.end - bytes.start));
}

/// What bytes cost on a file system of 4 KiB pages.
pub(super) fn on_disk_bytes(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

fn put(payload: &[u8]) -> Option<Arc<Generation>> {
    let put: Put = serde_json::from_slice(payload).ok()?;
    if !put.block.is_power_of_two() {
        return None;
    }
    let key = Key::new(&put.service, &put.path, put.query.as_deref());
    let key = put.chosen.map_or_else(|| key.clone(), |chosen| key.variant(&chosen));
    Some(Arc::new(Generation::new(put.id, key, put.meta.restore()?, put.length, put.fence, put.block)))
}

/// The next whole record, or `None` at the end or at the first that is not whole.
fn next(reader: &mut impl Read) -> Result<Option<(u8, Vec<u8>)>> {
    let mut length = [0; 4];
    if !read_whole(reader, &mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 || length > MAX_RECORD {
        return Ok(None);
    }
    let mut record = vec![0; length];
    let mut sum = [0; 8];
    if !read_whole(reader, &mut record)? || !read_whole(reader, &mut sum)? {
        return Ok(None);
    }
    if xxh3_64(&record) != u64::from_le_bytes(sum) {
        return Ok(None);
    }
    let payload = record.split_off(1);
    Ok(Some((record[0], payload)))
}

fn read_whole(reader: &mut impl Read, into: &mut [u8]) -> Result<bool> {
    match reader.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(payload.len() + 13);
    record.extend_from_slice(&length.to_le_bytes());
    record.push(kind);
    record.extend_from_slice(payload);
    let sum = xxh3_64(&record[4..]);
    record.extend_from_slice(&sum.to_le_bytes());
    record
}

fn put_record(generation: &Generation) -> Result<Vec<u8>> {
    let put = Put {
        id: generation.id,
        service: generation.key.service().to_owned(),
        path: generation.key.path().to_owned(),
        query: generation.key.query().map(str::to_owned),
        chosen: generation.key.chosen().map(str::to_owned),
        fence: generation.fence(),
        length: generation.length(),
        block: generation.block,
        meta: MetaRecord::from(&*generation.meta()),
    };
    Ok(record(PUT, &serde_json::to_vec(&put)?))
}

fn block_record(id: u64, block: u32, sum: u64) -> Vec<u8> {
    let mut payload = [0; 20];
    payload[0..8].copy_from_slice(&id.to_le_bytes());
    payload[8..12].copy_from_slice(&block.to_le_bytes());
    payload[12..20].copy_from_slice(&sum.to_le_bytes());
    record(BLOCK, &payload)
}

impl Journal {
    /// Writes a journal of exactly this, beside the old one, and puts it in its place.
    pub(super) fn rewrite(path: &Path, generations: &[Arc<Generation>], purges: &[Purge]) -> Result<Self> {
        let journal = Self {
            path: path.to_owned(),
            file: Mutex::new(rewritten(path, generations, purges)?),
            written: AtomicU64::new(0),
        };
        Ok(journal)
    }

    /// The same while open: what is dead falls out. Appends wait meanwhile.
    /// `live` is asked once they wait, so that no purge falls between what it says and the new file.
    pub(super) fn compact(&self, live: impl FnOnce() -> (Vec<Arc<Generation>>, Vec<Purge>)) -> Result<()> {
        let mut file = self.file.lock();
        let (generations, purges) = live();
        *file = rewritten(&self.path, &generations, &purges)?;
        self.written.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes appended since it was last rewritten.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn append(&self, record: &[u8]) -> Result<()> {
        self.written.fetch_add(record.len() as u64, Ordering::Relaxed);
        self.file.lock().write_all(record)
    }

    pub(super) fn append_put(&self, generation: &Generation) -> Result<()> {
        self.append(&put_record(generation)?)
    }

    pub(super) fn append_block(&self, id: u64, block: u32, sum: u64) -> Result<()> {
        self.append(&block_record(id, block, sum))
    }

    pub(super) fn append_drop(&self, id: u64) -> Result<()> {
        self.append(&record(DROP, &id.to_le_bytes()))
    }

    /// A purge is on the disk itself before it is acknowledged.
    pub(super) fn append_purge(&self, purge: &Purge) -> Result<()> {
        let record = record(PURGE, &serde_json::to_vec(purge)?);
        let mut file = self.file.lock();
        file.write_all(&record)?;
        file.sync_data()
    }
}

fn rewritten(path: &Path, generations: &[Arc<Generation>], purges: &[Purge]) -> Result<File> {
    let beside = path.with_extension("new");
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(&beside)?);
    for purge in purges {
        writer.write_all(&record(PURGE, &serde_json::to_vec(purge)?))?;
    }
    for generation in generations {
        let disk = generation.disk_state();
        writer.write_all(&put_record(generation)?)?;
        for (block, sum) in (0..).zip(&disk.sums) {
            if disk.blocks.contains(block) {
                writer.write_all(&block_record(generation.id, block, *sum))?;
            }
        }
    }
    writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_data()?;
    std::fs::rename(&beside, path)?;
    OpenOptions::new().append(true).open(path)
}
