//! Blocks in files: where they are, how they are written, how they are checked.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use xxhash_rust::xxh3::xxh3_64;

use crate::memory::Room;

/// `<root>/ab/cd/<name>-<number>`: 65 536 folders, so that each stays small.
pub(super) fn path(root: &Path, name: u128, id: u64) -> PathBuf {
    let hash = format!("{name:032x}");
    root.join(&hash[0..2]).join(&hash[2..4]).join(format!("{hash}-{id:x}"))
}

/// Writes a block where it belongs in the body and returns its checksum. The space is reserved
/// first, so that a full disk is an error here and not a hole later.
pub(super) fn write(path: &Path, start: u64, bytes: &[u8]) -> Result<u64> {
    let open = || OpenOptions::new().create(true).write(true).truncate(false).open(path);
    let file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            open()?
        }
        file => file?,
    };
    match fallocate(&file, FallocateFlags::empty(), start, bytes.len() as u64) {
        // A file system without it reserves when it writes.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    file.write_all_at(bytes, start)?;
    Ok(xxh3_64(bytes))
}

/// Reads a block into `room`, which is as long; `InvalidData` if it is not what was written.
pub(super) fn read(path: &Path, start: u64, sum: u64, room: Room) -> Result<Bytes> {
    let file = File::open(path)?;
    let bytes = room.read(|bytes| match file.read_exact_at(bytes, start) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(ErrorKind::InvalidData.into()),
        read => read,
    })?;
    if xxh3_64(&bytes) != sum {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(bytes)
}

/// Removes a file; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Empties the folder of bodies.
pub(super) fn remove_all(root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(path)?;
        } else {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
