//! The disks of a tier as one: every object is on one of them. One that fails is taken out, and comes back
//! empty when it works again; meanwhile its objects are fetched anew and placed on the others.

use std::collections::HashMap;
use std::io::Result;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use kromka_config::{Admission, DiskConfig};
use parking_lot::{Mutex, RwLock};

use super::circuit::Probing;
use super::folder::Folder;
use super::keeper;
use super::ledger::{self, Told, Varies};
use super::one::{Common, Disk};
use super::placement::Draw;
use super::reading::AtHand;
use crate::held::fences::{Fences, Purge};
use crate::held::generation::Generation;
use crate::held::records::Records;
use crate::memory::Memory;
use crate::stats::{Counters, DiskStats, count};
use crate::{CacheError, Key};

/// Objects with several representations that a restart remembers.
const MAX_VARIES: usize = 100_000;

/// All disks of a tier.
pub(crate) struct Disks {
    inner: Arc<Inner>,
    keeper: Mutex<Option<std::thread::JoinHandle<()>>>,
}

pub(super) struct Inner {
    pub slots: Vec<Slot>,
    pub common: Common,
    pub fences: Arc<Fences>,
    pub varies: Mutex<HashMap<u128, Varies>>,
    admission: Admission,
    /// Held while disks go out or come in, and while a purge is made durable.
    pub change: Mutex<Change>,
}

pub(super) struct Change {
    pub epoch: u64,
    /// Uses of disks so far; each is numbered.
    pub runs: u64,
    pub closed: bool,
}

pub(super) struct Slot {
    pub path: PathBuf,
    pub limit: u64,
    draw: Draw,
    /// The disk while it is in.
    pub disk: RwLock<Option<Arc<Disk>>>,
    /// The waits while it is out.
    pub probing: Mutex<Option<Probing>>,
    /// A probe is under way; on a disk that hangs it may not come back.
    pub trying: AtomicBool,
    /// The file system it was on when it was first used.
    pub device: Mutex<Option<u64>>,
    pub outs: AtomicU64,
    pub why: Mutex<Option<String>>,
}

impl Disks {
    /// Opens the folders, replays the journals and raises the fences of the ledgers. Returns the disks and
    /// the first generation number that was never used.
    pub(crate) fn open(
        config: &[DiskConfig],
        admission: Admission,
        counters: Arc<Counters>,
        fences: Arc<Fences>,
        records: Arc<Records>,
    ) -> std::result::Result<(Self, u64), CacheError> {
        let mut folders = Vec::new();
        let mut first_error = None;
        for disk in config {
            folders.push(match Folder::open(&disk.path) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Err(CacheError::Locked { path: disk.path.clone() });
                }
                Err(source) => {
                    tracing::warn!(path = %disk.path.display(), error = %source, "cache disk cannot be used");
                    first_error.get_or_insert(CacheError::Disk { path: disk.path.clone(), source });
                    None
                }
                Ok(folder) => Some(folder),
            });
        }
        if let Some(error) = first_error.filter(|_| folders.iter().all(Option::is_none)) {
            return Err(error);
        }
        let here: Vec<&Told> = folders.iter().flatten().map(|folder| &folder.told).collect();
        let trusted = ledger::trust(&here);
        let (trips, tripped) = mpsc::channel();
        let common = Common { counters, records, queued: Arc::default(), trips };
        let inner = Arc::new(Inner {
            slots: config.iter().map(Slot::new).collect(),
            common,
            fences,
            varies: Mutex::new(HashMap::new()),
            admission,
            change: Mutex::new(Change { epoch: 0, runs: 0, closed: false }),
        });
        let next_id = inner.take_in(&here, &trusted);
        let mut trusted = trusted.into_iter();
        let members: Vec<Option<(Folder, bool)>> = folders
            .into_iter()
            .map(|folder| folder.map(|folder| (folder, trusted.next().unwrap_or(false))))
            .collect();
        let next_id = inner.start(members, next_id)?;
        let thread = keeper::start(Arc::downgrade(&inner), tripped)
            .map_err(|source| CacheError::Disk { path: config[0].path.clone(), source })?;
        Ok((Self { inner, keeper: Mutex::new(Some(thread)) }, next_id))
    }

    /// The newest generation of `key` that has blocks on a disk.
    pub(crate) async fn find(&self, key: &Key) -> Option<Arc<Generation>> {
        let name = key.hash();
        let mut held: Vec<_> = self
            .inner
            .disks()
            .filter_map(|disk| {
                let held = disk.shared.index.lock().get(name)?;
                Some((disk, held))
            })
            .collect();
        held.sort_by_key(|(_, held)| held.id());
        let (disk, newest) = held.pop()?;
        // Left from before a change of the disks.
        held.iter().for_each(|(disk, older)| disk.forget(name, older.id()));
        disk.find(key, newest).await
    }

    /// Takes whatever is under a name off the disks.
    /// Returns whether there was something.
    pub(crate) fn forget_name(&self, name: u128) -> bool {
        let mut found = false;
        for disk in self.inner.disks() {
            let id = disk.shared.index.lock().id(name);
            if let Some(id) = id {
                disk.forget(name, id);
                found = true;
            }
        }
        found
    }

    /// What has this name and number is no longer wanted: nobody finds it from now on, and its file goes
    /// behind the requests.
    pub(crate) fn forget(&self, name: u128, id: u64) {
        self.inner.disks().for_each(|disk| disk.forget(name, id));
    }

    /// Bytes of a block without waiting for a disk: all of them if the block may stay in memory (`keep`) or has
    /// to be checked.
    pub(crate) fn at_hand(
        &self,
        generation: &Generation,
        block: u32,
        wanted: &Range<u64>,
        keep: bool,
        memory: &Memory,
    ) -> Option<AtHand> {
        self.inner.disk(generation.home()?)?.at_hand(generation, block, wanted, keep, memory)
    }

    /// Reads a block to where it may stay, and checks it; up to `end` more is going to be wanted. `None` means
    /// that it has to be fetched again.
    pub(crate) async fn read(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        end: u64,
        memory: &Memory,
    ) -> Option<Bytes> {
        match generation.home().and_then(|home| self.inner.disk(home)) {
            Some(disk) => disk.read(generation, block, end, memory).await,
            None => {
                generation.lost(block);
                None
            }
        }
    }

    /// Hands a block to the disk that its object belongs to; the first one decides whether the object is worth
    /// it. With `wait` (pre-warm) it is, and waits for room; otherwise a disk that cannot follow in time goes
    /// without the block. Returns whether it was taken.
    pub(crate) async fn store(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        bytes: Bytes,
        wait: bool,
    ) -> bool {
        let home = match generation.home() {
            Some(home) => self.inner.disk(home),
            None => self.inner.place(generation, wait),
        };
        match home {
            Some(disk) => disk.store(generation, block, bytes, wait).await,
            None => false,
        }
    }

    /// A block that is on its way to a disk.
    pub(crate) fn queued(&self, generation: u64, block: u32) -> Option<Bytes> {
        self.inner.common.queued.lock().get(&(generation, block)).cloned()
    }

    /// The header of a stored generation changed (a 304), or its length became known.
    /// Returns whether its disk, if it is on one, will have that.
    pub(crate) async fn update(&self, generation: &Arc<Generation>) -> bool {
        match generation.home().and_then(|home| self.inner.disk(home)) {
            Some(disk) => disk.update(generation).await,
            None => true,
        }
    }

    /// Notes which request fields choose among an object's representations, and below which number
    /// they are undone. Past [`MAX_VARIES`] objects it is not noted; a restart then costs a fetch of each.
    pub(crate) fn record_varies(&self, base: &Key, names: &[http::HeaderName], floor: u64) {
        let mut varies = Varies::of(base, names, floor);
        let mut known = self.inner.varies.lock();
        match known.get(&base.hash()) {
            Some(before) => varies.floor = varies.floor.max(before.floor),
            None if known.len() >= MAX_VARIES => return,
            None => {}
        }
        if known.get(&base.hash()) == Some(&varies) {
            return;
        }
        // First what a ledger is written anew from, then what is appended to it.
        known.insert(base.hash(), varies.clone());
        drop(known);
        self.inner.disks().for_each(|disk| disk.note(base.hash(), varies.clone()));
    }

    /// Makes a purge durable before it is acknowledged: on every disk that is in. One that cannot is out.
    pub(crate) fn record_purge(&self, purge: &Purge) -> Result<()> {
        let mut change = self.inner.change.lock();
        let purge = Arc::new(purge.clone());
        self.inner.durably(&mut change, move |disk, _, _| disk.shared.ledger.purge(&purge))?;
        self.inner.shorten(&mut change)
    }

    /// Returns when everything handed in before is written, on every disk that can.
    pub(crate) async fn flush(&self) {
        join_all(self.inner.disks().map(|disk| async move { disk.flush().await })).await;
    }

    /// Returns when what was forgotten before is gone from every disk and noted so, and whether it is.
    pub(crate) async fn forgotten(&self) -> bool {
        let told = self.inner.disks().map(|disk| async move { disk.forgotten().await });
        join_all(told).await.into_iter().all(|forgotten| forgotten)
    }

    /// Holds up whoever removes what is packed, until what is returned is dropped.
    #[cfg(test)]
    pub(crate) fn hold_packs(&self) -> mpsc::Sender<()> {
        let (held, until) = mpsc::channel();
        let (ready, locked) = mpsc::channel();
        let disks: Vec<_> = self.inner.disks().collect();
        std::thread::spawn(move || {
            let _packs: Vec<_> = disks.iter().map(|disk| disk.shared.packs.lock()).collect();
            drop(ready);
            let _ = until.recv();
        });
        let _: std::result::Result<(), _> = locked.recv();
        held
    }

    /// Writes what is queued and stops the threads.
    pub(crate) async fn close(&self) {
        let disks: Vec<_> = self.inner.disks().collect();
        for disk in &disks {
            disk.close().await;
        }
        let closing = self.inner.clone();
        let closed = move || {
            let mut change = closing.change.lock();
            if !std::mem::replace(&mut change.closed, true) {
                // What was not closed in order is looked through at the next start.
                let _ = closing.durably(&mut change, |disk, _, _| disk.shared.ledger.close());
            }
        };
        let _ = tokio::task::spawn_blocking(closed).await;
    }

    /// Whether every disk that is in takes objects: one that begins empty first removes what it held.
    #[cfg(test)]
    pub(crate) fn are_ready(&self) -> bool {
        self.inner.disks().all(|disk| disk.shared.ready.load(Ordering::Acquire))
    }

    /// What is on the disks, each by its place in the configuration, beginning with 0.
    pub(crate) fn stats(&self) -> Vec<DiskStats> {
        self.inner.slots.iter().enumerate().map(|(number, slot)| slot.stats(number as u64)).collect()
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.inner.change.lock().closed = true;
        self.inner.wake_keeper();
        drop(self.keeper.lock().take());
    }
}

impl Slot {
    fn new(config: &DiskConfig) -> Self {
        let weight = config.size.0 as f64 * f64::from(config.weight);
        Self {
            path: config.path.clone(),
            limit: config.size.0,
            draw: Draw::new(&config.path, weight.max(1.0)),
            disk: RwLock::new(None),
            probing: Mutex::new(None),
            trying: AtomicBool::new(false),
            device: Mutex::new(None),
            outs: AtomicU64::new(0),
            why: Mutex::new(None),
        }
    }

    fn stats(&self, number: u64) -> DiskStats {
        let disk = self.disk.read().clone();
        let stats = DiskStats {
            disk: number,
            limit: self.limit,
            outs: self.outs.load(Ordering::Relaxed),
            why: self.why.lock().clone(),
            ..DiskStats::default()
        };
        let Some(disk) = disk else { return stats };
        let shared = &disk.shared;
        let objects = shared.index.lock().len() as u64;
        let errors = shared.errors.load(Ordering::Relaxed);
        DiskStats { up: true, bytes: shared.budget.used(), objects, errors, ..stats }
    }
}

impl Inner {
    pub(super) fn disks(&self) -> impl Iterator<Item = Arc<Disk>> {
        self.slots.iter().filter_map(|slot| slot.disk.read().clone())
    }

    pub(super) fn disk(&self, number: u8) -> Option<Arc<Disk>> {
        self.slots.get(usize::from(number))?.disk.read().clone()
    }

    /// The disk for a new object, if it deserves one.
    fn place(&self, generation: &Arc<Generation>, keep: bool) -> Option<Arc<Disk>> {
        let name = generation.key.hash();
        let ready = |disk: &Arc<Disk>| disk.shared.ready.load(Ordering::Acquire);
        let draw = |disk: &Arc<Disk>| self.slots[usize::from(disk.shared.number)].draw.of(name);
        let best = self.disks().filter(ready).min_by(|a, b| draw(a).total_cmp(&draw(b)))?;
        let shared = &best.shared;
        let admitted = {
            let mut index = shared.index.lock();
            let room = shared.budget.used() <= shared.budget.high();
            if keep || room || self.admission == Admission::Always {
                index.missed(name);
                true
            } else {
                index.admits(name, &self.common.records)
            }
        };
        if !admitted {
            count(&self.common.counters.disk_refused);
            return None;
        }
        let number = shared.number;
        // An older version may be elsewhere, from before a change of the disks.
        for other in self.disks().filter(|other| other.shared.number != number) {
            let id = other.shared.index.lock().id(name);
            if let Some(id) = id.filter(|id| *id < generation.id) {
                other.forget(name, id);
            }
        }
        self.disk(generation.settle(number))
    }
}

impl Slot {
    pub(super) fn outside(&self, why: String) {
        *self.why.lock() = Some(why);
        *self.probing.lock() = Some(Probing::since(Instant::now()));
    }
}
