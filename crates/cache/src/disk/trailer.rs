//! The end of a finished object's file: its header and the checksums of its blocks, behind the body,
//! so that the body stands at its natural offsets and memory need hold neither.
//!
//! ```text
//! body | header (JSON) | checksums (8 bytes a block) | footer
//! footer = header length:u32  blocks:u32  body length:u64  XXH3-64 of all that follows the body and
//!          precedes this field:u64  magic:u64                                       (little endian)
//! ```

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::Key;
use crate::held::blocks;
use crate::held::generation::Generation;
use crate::held::meta::MetaRecord;

const FOOTER: u64 = 32;
const MAGIC: u64 = u64::from_le_bytes(*b"kromka01");
/// A longer one is garbage: a header is a few KiB, and an object of 64 GiB in small blocks has 32 MiB
/// of checksums.
const MAX: u64 = 64 << 20;

/// The header of a generation, on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub id: u64,
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

impl Header {
    pub(super) fn of(generation: &Generation) -> Self {
        let key = &generation.key;
        Self {
            id: generation.id,
            service: key.service().to_owned(),
            path: key.path().to_owned(),
            query: key.tail().map(str::to_owned),
            chosen: key.chosen().map(str::to_owned),
            fence: generation.fence(),
            length: generation.length(),
            block: generation.block,
            meta: MetaRecord::from(&*generation.meta()),
        }
    }

    /// Back from disk; `None` if it makes no sense.
    pub(super) fn restore(&self) -> Option<Generation> {
        if !self.block.is_power_of_two() {
            return None;
        }
        let key = Key::new(&self.service, &self.path, self.query.as_deref());
        let key = self.chosen.as_ref().map_or_else(|| key.clone(), |chosen| key.variant(chosen));
        Some(Generation::new(self.id, key, self.meta.restore()?, self.length, self.fence, self.block))
    }
}

/// The trailer of a generation whose blocks are all in its file.
pub(super) fn encoded(generation: &Generation) -> Result<Vec<u8>> {
    let length = generation.length().ok_or_else(|| Error::other("the length is not known"))?;
    let header = serde_json::to_vec(&Header::of(generation))?;
    let sums = generation.disk_state().sums;
    let mut trailer = Vec::with_capacity(header.len() + sums.len() * 8 + FOOTER as usize);
    trailer.extend_from_slice(&header);
    for sum in &sums {
        trailer.extend_from_slice(&sum.to_le_bytes());
    }
    trailer.extend_from_slice(&u32::try_from(header.len()).map_err(Error::other)?.to_le_bytes());
    trailer.extend_from_slice(&u32::try_from(sums.len()).map_err(Error::other)?.to_le_bytes());
    trailer.extend_from_slice(&length.to_le_bytes());
    let sum = xxh3_64(&trailer);
    trailer.extend_from_slice(&sum.to_le_bytes());
    trailer.extend_from_slice(&MAGIC.to_le_bytes());
    Ok(trailer)
}

/// Writes a trailer behind a body of `length` bytes.
pub(super) fn write(path: &Path, length: u64, trailer: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    super::files::reserve(&file, length, trailer.len() as u64)?;
    file.write_all_at(trailer, length)?;
    // An older trailer may have been longer; the footer is looked for at the end.
    file.set_len(length + trailer.len() as u64)
}

/// Reads the generation whose file `path` is; `InvalidData` if its trailer is not whole.
pub(super) fn read(path: &Path) -> Result<Generation> {
    let bad = || Error::from(ErrorKind::InvalidData);
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let mut footer = [0; FOOTER as usize];
    file.read_exact_at(&mut footer, end.checked_sub(FOOTER).ok_or_else(bad)?)?;
    let word = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().unwrap_or_default());
    let half = |at: usize| u64::from(u32::from_le_bytes(footer[at..at + 4].try_into().unwrap_or_default()));
    let (header_bytes, count, length, sum) = (half(0), half(4), word(8), word(16));
    let trailer_bytes = header_bytes + count * 8 + 16;
    if word(24) != MAGIC || trailer_bytes > MAX || length.checked_add(trailer_bytes + 16) != Some(end) {
        return Err(bad());
    }
    let mut trailer = vec![0; usize::try_from(trailer_bytes).map_err(Error::other)?];
    file.read_exact_at(&mut trailer, length)?;
    if xxh3_64(&trailer) != sum {
        return Err(bad());
    }
    let (header, sums) = trailer.split_at(usize::try_from(header_bytes).map_err(Error::other)?);
    let header: Header = serde_json::from_slice(header).map_err(|_| bad())?;
    let generation = header.restore().ok_or_else(bad)?;
    if generation.length() != Some(length) || u64::from(blocks::count(length, generation.block)) != count {
        return Err(bad());
    }
    for (block, sum) in (0..).zip(sums.chunks_exact(8).take(usize::try_from(count).unwrap_or(0))) {
        let range = blocks::bytes_of(block, generation.block, length);
        generation.stored(
            block,
            u64::from_le_bytes(sum.try_into().unwrap_or_default()),
            range.end - range.start,
        );
    }
    Ok(generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::meta::Meta;
    use crate::rules::freshness::Policy;
    use http::{HeaderMap, StatusCode};
    use std::time::{Duration, SystemTime};

    fn generation(etag: &str) -> Generation {
        let mut headers = HeaderMap::new();
        headers.insert("etag", etag.parse().unwrap());
        headers.insert("cache-control", "max-age=60".parse().unwrap());
        let policy = Policy { web: true, authorized: false, negative: Duration::ZERO };
        let meta = Meta::of(StatusCode::OK, &headers, SystemTime::now(), policy).unwrap();
        let key = Key::new("s", "/a", Some("v=1")).variant("x:=1\n");
        let generation = Generation::new(7, key, meta, Some(10_000), 5, 4096);
        for block in 0..3 {
            generation.stored(block, u64::from(block) + 100, 4096);
        }
        generation
    }

    #[test]
    fn what_is_written_is_read_and_a_shorter_one_replaces_a_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, vec![1; 10_000]).unwrap();
        for etag in ["\"a much longer entity tag than the other\"", "\"b\""] {
            let trailer = encoded(&generation(etag)).unwrap();
            write(&path, 10_000, &trailer).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 10_000 + trailer.len() as u64);
        }
        let back = read(&path).unwrap();
        assert_eq!((back.id, back.fence(), back.length()), (7, 5, Some(10_000)));
        assert_eq!(back.key, generation("\"b\"").key);
        assert_eq!(back.meta().etag(), Some("\"b\""));
        let last = back.on_disk(2).unwrap();
        assert_eq!((last.sum, last.range), (102, 8192..10_000));
        assert_eq!(std::fs::read(&path).unwrap()[..10_000], vec![1; 10_000]);
    }

    #[test]
    fn any_damage_to_it_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, vec![1; 10_000]).unwrap();
        write(&path, 10_000, &encoded(&generation("\"a\"")).unwrap()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 10_000..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 0x40;
            std::fs::write(&path, &torn).unwrap();
            assert!(read(&path).is_err(), "byte {at}");
        }
        for cut in [0, 10, 10_000, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path).is_err(), "cut at {cut}");
        }
    }
}
