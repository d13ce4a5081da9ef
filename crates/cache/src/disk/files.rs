//! Blocks in files: where they are, how they are written, how they are checked.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, IoSliceMut, Result};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, ResolveFlags, fallocate, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use xxhash_rust::xxh3::xxh3_64;

/// `<root>/ab/cd/<name>-<number>`: 65 536 folders, so that each stays small.
pub(super) fn path(root: &Path, name: u128, id: u64) -> PathBuf {
    let hash = format!("{name:032x}");
    root.join(&hash[0..2]).join(&hash[2..4]).join(format!("{hash}-{id:x}"))
}

/// The name and number that a file's name says.
pub(super) fn name_of(path: &Path) -> Option<(u128, u64)> {
    let (hash, id) = path.file_name()?.to_str()?.split_once('-')?;
    let name = u128::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 32)?;
    Some((name, u64::from_str_radix(id, 16).ok()?))
}

/// Makes the folders of a name, but never the root: one that is gone is a disk that is gone. Returns how
/// many were made.
pub(super) fn make_folders(root: &Path, name: u128) -> Result<u64> {
    let hash = format!("{name:032x}");
    let outer = root.join(&hash[0..2]);
    let mut made = 0;
    for folder in [outer.clone(), outer.join(&hash[2..4])] {
        match std::fs::create_dir(&folder) {
            Ok(()) => made += 1,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

/// Writes a block where it belongs in the body and returns its checksum. The space is reserved
/// first, so that a full disk is an error here and not a hole later.
pub(super) fn write(path: &Path, start: u64, bytes: &[u8]) -> Result<u64> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    reserve(&file, start, bytes.len() as u64)?;
    file.write_all_at(bytes, start)?;
    Ok(xxh3_64(bytes))
}

/// Reserves space in a file.
pub(super) fn reserve(file: &File, start: u64, bytes: u64) -> Result<()> {
    match fallocate(file, FallocateFlags::empty(), start, bytes) {
        // A file system without it reserves when it writes.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Fills `bytes` from `start` on; `InvalidData` if the file is shorter.
pub(super) fn read_whole(file: &File, start: u64, bytes: &mut [u8]) -> Result<()> {
    match file.read_exact_at(bytes, start) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(ErrorKind::InvalidData.into()),
        read => read,
    }
}

/// The same without waiting for the disk; `WouldBlock` if the system has not all of it in memory.
pub(super) fn read_at_hand(file: &File, start: u64, bytes: &mut [u8]) -> Result<()> {
    let length = bytes.len();
    let read = preadv2(file, &mut [IoSliceMut::new(bytes)], start, ReadWriteFlags::NOWAIT)?;
    if read == length { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
}

/// Opens a file to read if the system need not look for it on the disk.
pub(super) fn open_at_hand(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)?.into())
}

/// Whether the file system of `file` can say that a read would have to wait.
pub(super) fn can_look(file: &File) -> bool {
    let read = preadv2(file, &mut [IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::NOWAIT);
    matches!(read, Ok(_) | Err(Errno::AGAIN))
}

/// `InvalidData` if bytes do not have this checksum.
pub(super) fn check(bytes: &[u8], sum: u64) -> Result<()> {
    if xxh3_64(bytes) == sum { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Reads bytes of a file; `InvalidData` if it is shorter.
pub(super) fn read_range(file: &File, range: Range<u64>) -> Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).map_err(Error::other)?;
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, range.start) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(ErrorKind::InvalidData.into()),
        Err(error) => Err(error),
        Ok(()) => Ok(bytes),
    }
}

/// Removes a file; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Hands every file below a folder to `each`; what cannot be read is passed over.
pub(super) fn each(root: &Path, each: &mut impl FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => self::each(&entry.path(), each),
            Ok(_) => each(&entry.path()),
            Err(_) => {}
        }
    }
}

/// The folders of names that are there: one for each that holds files, and those above them.
pub(super) fn count_folders(root: &Path) -> u64 {
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
    };
    folders(root).map(|outer| 1 + folders(&outer).count() as u64).sum()
}

/// Removes the folders of a name where nothing is left in them; returns how many.
pub(super) fn remove_folders(root: &Path, name: u128) -> u64 {
    let hash = format!("{name:032x}");
    let outer = root.join(&hash[0..2]);
    let mut removed = 0;
    for folder in [outer.join(&hash[2..4]), outer] {
        // One that is not empty stays.
        if std::fs::remove_dir(&folder).is_err() {
            break;
        }
        removed += 1;
    }
    removed
}
