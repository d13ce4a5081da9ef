//! What must never be forgotten while a disk's content is used: purges, what unsafe requests undid, and which
//! disks a tier was made of. It stands apart from the journal, because a lost journal can be made anew from
//! the files, and this cannot: without it the files are dropped.
//!
//! **Why a disk that was out comes back empty.** A purge is acknowledged when it is in the ledger of every disk
//! that is *in*. Whenever a disk goes out or comes in, the epoch rises by one, in the ledgers of those that are
//! in, before anything else is acknowledged. So a ledger of the highest epoch knows every purge, and a disk
//! whose epoch is lower, or whose ledger is damaged, may hold what was purged behind its back. The same is
//! true of all that are there if most of the last set are missing and nobody closed it: [`trust`].

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::record::{self, End, framed};
use crate::Key;
use crate::held::fences::Purge;

const PURGE: u8 = 1;
const VARIES: u8 = 2;
const SET: u8 = 3;
const CLOSED: u8 = 4;

/// It is written anew when it has grown by this much, bytes.
const COMPACT: u64 = 16 << 20;

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

/// Which disks made up a tier, from one change to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Set {
    pub epoch: u64,
    /// The disk whose ledger this is; drawn at random when it was first used.
    pub me: u64,
    /// All that are in.
    pub members: Vec<u64>,
}

/// What a ledger says.
#[derive(Default)]
pub(super) struct Told {
    pub purges: Vec<Purge>,
    pub varies: Vec<Varies>,
    pub set: Option<Set>,
    /// The last set was closed in order: all its disks knew everything.
    pub closed: bool,
    pub end: End,
}

/// Reads a ledger as far as it is whole.
pub(super) fn read(path: &Path) -> Result<Told> {
    let mut told = Told::default();
    told.end = record::read_all(path, |kind, payload| match kind {
        PURGE => told.purges.extend(serde_json::from_slice::<Purge>(payload).ok()),
        VARIES => told.varies.extend(serde_json::from_slice::<Varies>(payload).ok()),
        SET => {
            told.set = serde_json::from_slice(payload).ok();
            told.closed = false;
        }
        CLOSED => told.closed = true,
        _ => {}
    })?;
    Ok(told)
}

/// Which of these ledgers know every purge; see above. `None` stands for a disk without one.
pub(super) fn trust(told: &[&Told]) -> Vec<bool> {
    let none = vec![false; told.len()];
    let set = |it: &Told| it.set.clone().filter(|_| matches!(it.end, End::Whole | End::Torn));
    let Some(last) = told.iter().filter_map(|it| set(it)).max_by_key(|set| set.epoch) else { return none };
    let current: Vec<bool> =
        told.iter().map(|it| set(it).is_some_and(|set| set.epoch == last.epoch)).collect();
    let here = |member: &u64| {
        told.iter().filter_map(|it| set(it)).any(|set| set.me == *member && set.epoch == last.epoch)
    };
    let present = last.members.iter().filter(|member| here(member)).count();
    let closed = told.iter().zip(&current).any(|(it, current)| *current && it.closed);
    if closed || present * 2 > last.members.len() { current } else { none }
}

/// The open ledger of one disk. Appends are whole records, from any thread.
pub(super) struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
    /// Bytes that were appended since it was written anew.
    grown: AtomicU64,
    me: u64,
}

/// All that a new ledger begins with.
pub(super) struct Content<'a> {
    pub purges: &'a [Purge],
    pub varies: &'a [Varies],
    pub set: &'a Set,
}

impl Ledger {
    /// A ledger of exactly this, in the place of any before it.
    pub(super) fn create(path: &Path, content: &Content<'_>) -> Result<Self> {
        let file = written(path, content)?;
        let file = Mutex::new(file);
        Ok(Self { path: path.to_owned(), file, grown: AtomicU64::new(0), me: content.set.me })
    }

    /// The number of the disk.
    pub(super) fn me(&self) -> u64 {
        self.me
    }

    fn append(&self, kind: u8, payload: &[u8], durable: bool) -> Result<()> {
        let record = framed(kind, &[payload]);
        let mut file = self.file.lock();
        self.grown.fetch_add(record.len() as u64, Ordering::Relaxed);
        file.write_all(&record)?;
        if durable { file.sync_data() } else { Ok(()) }
    }

    /// A purge is on the disk itself before it is acknowledged.
    pub(super) fn purge(&self, purge: &Purge) -> Result<()> {
        self.append(PURGE, &serde_json::to_vec(purge)?, true)
    }

    pub(super) fn varies(&self, varies: &Varies) -> Result<()> {
        self.append(VARIES, &serde_json::to_vec(varies)?, false)
    }

    /// From now on these are in.
    pub(super) fn set(&self, epoch: u64, members: &[u64]) -> Result<()> {
        let set = Set { epoch, me: self.me, members: members.to_vec() };
        self.append(SET, &serde_json::to_vec(&set)?, true)
    }

    /// The tier was closed in order.
    pub(super) fn close(&self) -> Result<()> {
        self.append(CLOSED, b"", true)
    }

    /// Whether it should be written anew.
    pub(super) fn is_long(&self) -> bool {
        self.grown.load(Ordering::Relaxed) > COMPACT
    }

    /// Writes it anew while open, from what `tell` gives the function it gets: that is asked for when nothing
    /// can be appended any more. To be called where no purge is recorded meanwhile.
    pub(super) fn rewrite(
        &self,
        tell: impl FnOnce(&mut dyn FnMut(&Content<'_>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let mut file = self.file.lock();
        tell(&mut |content| {
            *file = written(&self.path, content)?;
            self.grown.store(0, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.file.lock().metadata().map_or(0, |meta| meta.len())
    }
}

fn written(path: &Path, content: &Content<'_>) -> Result<File> {
    let mut records = Vec::new();
    for purge in content.purges {
        records.extend(framed(PURGE, &[&serde_json::to_vec(purge)?]));
    }
    for varies in content.varies {
        records.extend(framed(VARIES, &[&serde_json::to_vec(varies)?]));
    }
    records.extend(framed(SET, &[&serde_json::to_vec(content.set)?]));
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&records)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)?;
    // The new name is on the disk as well.
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(me: u64, epoch: u64, members: &[u64]) -> Told {
        Told { set: Some(Set { epoch, me, members: members.to_vec() }), end: End::Whole, ..Told::default() }
    }

    #[test]
    fn who_was_out_is_not_trusted() {
        let (a, b, c) = (told(1, 4, &[1, 2, 3]), told(2, 5, &[2, 3]), told(3, 5, &[2, 3]));
        assert_eq!(trust(&[&a, &b, &c]), [false, true, true]);
        let fresh = Told::default();
        assert_eq!(trust(&[&b, &fresh, &c]), [true, false, true]);
        assert_eq!(trust(&[&fresh]), [false]);
    }

    #[test]
    fn too_few_of_the_last_set_know_nothing_for_sure() {
        let (a, b) = (told(1, 4, &[1, 2]), told(2, 4, &[1, 2]));
        assert_eq!(trust(&[&a, &b]), [true, true]);
        assert_eq!(trust(&[&a]), [false], "the other may have gone on alone");
        let closed = Told { closed: true, ..told(1, 4, &[1, 2]) };
        assert_eq!(trust(&[&closed]), [true], "it was taken out of a tier that was closed");
        let (a, b) = (told(1, 4, &[1, 2, 3]), told(2, 4, &[1, 2, 3]));
        assert_eq!(trust(&[&a, &b]), [true, true], "one of three died while nothing ran");
        assert_eq!(trust(&[&b]), [false]);
    }

    #[test]
    fn a_damaged_ledger_vouches_for_nothing() {
        let damaged = Told { end: End::Damaged, ..told(1, 4, &[1]) };
        assert_eq!(trust(&[&damaged]), [false]);
        let torn = Told { end: End::Torn, ..told(1, 4, &[1]) };
        assert_eq!(trust(&[&torn]), [true], "only what was never acknowledged is cut off");
    }
}
