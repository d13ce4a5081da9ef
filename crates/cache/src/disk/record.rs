//! The frame of what is appended to the journal and to the ledger:
//!
//! ```text
//! record   = length:u32 kind:u8 payload checksum:u64     (little endian; length of kind + payload)
//! checksum = XXH3-64 over kind and payload
//! ```
//! A process that is killed amid a write leaves a last record that is not whole: it reaches past the end of
//! the file. Anything else that is wrong is damage, and what stands behind it cannot be told.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Result};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

/// No record is longer; a length beyond it is garbage.
const MAX: usize = 16 << 20;
/// Bytes of a record besides its kind and payload.
const FRAME: u64 = 12;

/// How a file of records ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// There is no file.
    #[default]
    Absent,
    /// With a whole record.
    Whole,
    /// Amid the last record.
    Torn,
    /// At a record that is not what was written; others may stand behind it.
    Damaged,
}

/// A record in its frame.
pub(super) fn framed(kind: u8, payload: &[&[u8]]) -> Vec<u8> {
    let length: usize = payload.iter().map(|part| part.len()).sum::<usize>() + 1;
    let mut record = Vec::with_capacity(length + FRAME as usize);
    record.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    record.push(kind);
    payload.iter().for_each(|part| record.extend_from_slice(part));
    let sum = xxh3_64(&record[4..]);
    record.extend_from_slice(&sum.to_le_bytes());
    record
}

/// Hands every whole record (kind, payload) to `take`, as far as they are whole.
pub(super) fn read_all(path: &Path, mut take: impl FnMut(u8, &[u8])) -> Result<End> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(End::Absent),
        file => file?,
    };
    let mut left = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut record = Vec::new();
    while left > 0 {
        let mut length = [0; 4];
        if left < 4 || !read_whole(&mut reader, &mut length)? {
            return Ok(End::Torn);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 || length > MAX {
            return Ok(End::Damaged);
        }
        if left < length as u64 + FRAME {
            return Ok(End::Torn);
        }
        record.resize(length + 8, 0);
        if !read_whole(&mut reader, &mut record)? {
            return Ok(End::Torn);
        }
        left -= length as u64 + FRAME;
        let (body, sum) = record.split_at(length);
        if xxh3_64(body) != u64::from_le_bytes(sum.try_into().unwrap_or_default()) {
            return Ok(if left == 0 { End::Torn } else { End::Damaged });
        }
        take(body[0], &body[1..]);
    }
    Ok(End::Whole)
}

fn read_whole(reader: &mut impl Read, into: &mut [u8]) -> Result<bool> {
    match reader.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_from_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let read = || {
            let mut seen = Vec::new();
            let end = read_all(&path, |kind, payload| seen.push((kind, payload.to_vec()))).unwrap();
            (end, seen.len())
        };
        assert_eq!(read(), (End::Absent, 0));
        let (a, b) = (framed(1, &[b"one", b"two"]), framed(2, &[]));
        let both = [a.clone(), b.clone()].concat();
        for cut in 0..=both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            let whole = if cut == both.len() { 2 } else { usize::from(cut >= a.len()) };
            let ends = [0, a.len(), both.len()].contains(&cut);
            assert_eq!(read(), (if ends { End::Whole } else { End::Torn }, whole), "{cut}");
        }
        for at in 4..a.len() {
            let mut bad = both.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(read(), (End::Damaged, 0), "{at}");
        }
    }
}
