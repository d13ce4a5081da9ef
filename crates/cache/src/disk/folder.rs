//! A disk's folder before it is used: locked, its ledger read, and emptied where it cannot be trusted.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::ledger::{self, Told};

pub(super) const OBJECTS: &str = "objects";
pub(super) const PACKS: &str = "packs";
pub(super) const JOURNAL: &str = "journal";
pub(super) const LEDGER: &str = "ledger";
pub(super) const LOCK: &str = "lock";
/// What is on its way out; the sweeper removes it.
pub(super) const OLD: &str = "old-";

/// A folder that this process alone uses, until this is dropped.
pub(super) struct Folder {
    pub root: PathBuf,
    pub told: Told,
    /// Released by the system when the process dies.
    lock: File,
}

impl Folder {
    /// Makes the folder if it is missing and takes it; `WouldBlock` if another process has it.
    pub(super) fn open(root: &Path) -> Result<Self> {
        for folder in [OBJECTS, PACKS] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let lock = File::create(root.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let told = ledger::read(&root.join(LEDGER))?;
        Ok(Self { root: root.to_owned(), told, lock })
    }

    /// The same for a disk that was out: it must take bytes and give them back, and be where it was.
    pub(super) fn open_again(root: &Path, was_on: Option<u64>) -> Result<Self> {
        let there = std::iter::successors(Some(root), |path| path.parent()).find(|path| path.exists());
        if let (Some(was_on), Some(there)) = (was_on, there) {
            let system = std::fs::metadata("/")?.dev();
            if was_on != system && std::fs::metadata(there)?.dev() == system {
                return Err(Error::new(ErrorKind::NotFound, "its file system is not mounted"));
            }
        }
        let folder = Self::open(root)?;
        let probe = root.join(OBJECTS).join("probe");
        let bytes = vec![0x5a; 64 << 10];
        std::fs::write(&probe, &bytes)?;
        File::open(&probe)?.sync_all()?;
        let same = std::fs::read(&probe)? == bytes;
        std::fs::remove_file(&probe)?;
        if same { Ok(folder) } else { Err(Error::other("it does not give back what was written")) }
    }

    /// The file system it is on.
    pub(super) fn device(&self) -> Option<u64> {
        std::fs::metadata(&self.root).ok().map(|meta| meta.dev())
    }

    /// Whether something was ever stored here.
    pub(super) fn is_fresh(&self) -> bool {
        let empty =
            |name: &str| std::fs::read_dir(self.root.join(name)).is_ok_and(|mut it| it.next().is_none());
        empty(OBJECTS) && empty(PACKS) && !self.root.join(JOURNAL).exists()
    }

    /// Puts aside all that is stored; the sweeper removes it.
    pub(super) fn empty(&self) -> Result<()> {
        let aside = self.root.join(format!("{OLD}{:x}", std::process::id()));
        let aside = (0..).map(|n| aside.with_extension(format!("{n}"))).find(|path| !path.exists());
        let Some(aside) = aside else { return Err(Error::other("no name is left")) };
        std::fs::create_dir(&aside)?;
        for name in [OBJECTS, PACKS, JOURNAL] {
            match std::fs::rename(self.root.join(name), aside.join(name)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        std::fs::create_dir(self.root.join(OBJECTS))?;
        std::fs::create_dir(self.root.join(PACKS))
    }

    /// What was put aside, now or before.
    pub(super) fn aside(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let old =
            entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(OLD)));
        old.map(|entry| entry.path()).collect()
    }

    pub(super) fn into_lock(self) -> File {
        self.lock
    }
}
