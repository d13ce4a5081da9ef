//! What tells whether a file is still the one it was: a generation notes it with the blocks that were checked, a disk
//! looks at it after each read.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    inode: u64,
    links: u64,
    /// When it was changed last, in whatever way: seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl FileState {
    pub(crate) fn of(file: &File) -> Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { inode: meta.ino(), links: meta.nlink(), changed: (meta.ctime(), meta.ctime_nsec()) })
    }

    /// Nobody can find it by a path any more.
    pub(crate) fn is_removed(self) -> bool {
        self.links == 0
    }

    /// Another change from now on would be told by another time: the clocks of older systems are coarse.
    pub(crate) fn is_settled(self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).is_ok_and(|now| self.changed.0 + 2 <= now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_file_that_changes_or_goes_is_told_by_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, "one").unwrap();
        let file = File::open(&path).unwrap();
        let first = FileState::of(&file).unwrap();
        assert!(!first.is_settled() && !first.is_removed());
        assert_eq!(first, FileState::of(&File::open(&path).unwrap()).unwrap());
        let old = FileState { changed: (first.changed.0 - 3, 0), ..first };
        assert!(old.is_settled() && old != first);
        std::fs::write(folder.path().join("other"), "two").unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        assert!(FileState::of(&file).unwrap().is_removed());
        assert_ne!(FileState::of(&File::open(&path).unwrap()).unwrap(), first);
    }
}
