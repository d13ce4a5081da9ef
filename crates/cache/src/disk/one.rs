//! One disk that is in: what is on it, what it may take, how it has behaved.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::budget::{Budget, PAGE, space};
use super::circuit::Circuit;
use super::folder::{Folder, JOURNAL, LEDGER, OBJECTS, PACKS};
use super::index::{FILE, Finished, Held, Index, Place};
use super::journal::{self, Journal};
use super::ledger::{Content, Ledger, Varies};
use super::open::OpenFiles;
use super::pack::{self, Packs};
use super::record::End;
use super::sweeper::{self, Sweeping};
use super::trailer::{self, Header};
use super::writer::{self, Job};
use super::{files, walk};
use crate::Key;
use crate::held::generation::Generation;
use crate::held::records::Records;
use crate::stats::{Counters, count};

/// Blocks that may wait for the disk; with blocks of 256 KiB, 16 MiB.
const QUEUE: usize = 64;
/// How long a fill lets a viewer's bytes wait for the disk, per block.
const PATIENCE: Duration = Duration::from_millis(50);
/// Reads under way at once; more wait their turn.
const READS: usize = 64;
/// Who waits for the disk looks this often whether it is out.
const LOOK: Duration = Duration::from_millis(100);
/// A write that takes longer takes the disk out.
pub(super) const STUCK: Duration = Duration::from_secs(10);
/// Lock, folders, and what else the disk's own folder holds, bytes.
const OWN: u64 = 8 * PAGE;

/// A disk that has to be taken out.
pub(super) struct Trip {
    pub number: u8,
    /// Which use of it; one that came back since is another.
    pub run: u64,
    pub why: String,
}

/// What all disks of a tier have in common.
#[derive(Clone)]
pub(super) struct Common {
    pub counters: Arc<Counters>,
    pub records: Arc<Records>,
    /// Blocks on their way to the disks, at most as many as their queues hold: whoever needs one that
    /// memory would not keep finds it here.
    pub queued: Arc<Mutex<HashMap<(u64, u32), Bytes>>>,
    pub trips: Sender<Trip>,
}

/// One disk.
pub(super) struct Disk {
    pub shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    pub reads: Arc<Semaphore>,
    /// Keeps other processes out.
    _lock: File,
}

/// What the threads of a disk share with the rest.
pub(super) struct Shared {
    pub number: u8,
    pub run: u64,
    pub objects: PathBuf,
    pub packs_at: PathBuf,
    pub budget: Budget,
    pub index: Mutex<Index>,
    pub journal: Journal,
    pub ledger: Ledger,
    pub packs: Mutex<Packs>,
    pub open: OpenFiles,
    /// The file system can say that a read would have to wait.
    pub may_look: bool,
    pub sweeping: Sweeping,
    pub common: Common,
    /// The number of the generation that is being written; 0 while none is.
    pub writing: AtomicU64,
    /// Taken out: its threads stop, nothing is asked of it any more.
    pub out: AtomicBool,
    /// It takes new objects: what was put aside is gone.
    pub ready: AtomicBool,
    circuit: Mutex<Circuit>,
    pub errors: AtomicU64,
    /// Since when something is being written, and how long that may take before it counts as stuck.
    pub stuck_after: Mutex<Option<(Instant, Duration)>>,
    /// Bytes of journal, ledger and folder that are in the budget.
    booked: AtomicU64,
    /// What the writer is to put into the ledger, by object; at most as many as are remembered.
    pub notes: Mutex<HashMap<u128, Varies>>,
}

impl Shared {
    pub(super) fn path(&self, name: u128, id: u64) -> PathBuf {
        files::path(&self.objects, name, id)
    }

    /// Notes that the disk failed. Missing and damaged files are not its fault, nor is that it is full.
    /// It looks at the disk, which may hang: not for a worker of the runtime.
    pub(super) fn failed(&self, error: &Error) {
        count(&self.common.counters.disk_errors);
        self.errors.fetch_add(1, Ordering::Relaxed);
        // The looks at one that hangs are as few as the failures that take it out.
        if self.circuit.lock().failed(Instant::now()) || error.kind() == ErrorKind::ReadOnlyFilesystem {
            self.trip(error.to_string());
        } else if !self.objects.exists() {
            self.trip(format!("{error}; its folder is gone"));
        }
    }

    /// A write takes longer than any should: asks for the disk to be taken out. Returns whether it does.
    pub(super) fn is_stuck(&self) -> bool {
        let stuck = self.stuck_after.lock().filter(|(since, limit)| since.elapsed() > *limit);
        if let Some((_, limit)) = stuck {
            self.trip(format!("a write takes longer than {limit:?}"));
        }
        stuck.is_some()
    }

    /// Asks for the disk to be taken out.
    pub(super) fn trip(&self, why: String) {
        // Nobody listens any more: the tier is going.
        let _ = self.common.trips.send(Trip { number: self.number, run: self.run, why });
    }

    /// What has this name and number is no longer wanted: nobody finds it from now on, and its file goes
    /// behind the requests.
    pub(super) fn forget(&self, name: u128, id: u64) {
        let held = {
            let mut index = self.index.lock();
            let held = index.remove(name, id);
            if held.is_some() {
                self.sweeping.condemn(name, id);
            }
            held
        };
        if let Some(held) = held {
            self.sweeping.hand_over(name, held);
        }
    }

    /// Keeps the space of journal and ledger in the budget.
    pub(super) fn book(&self) {
        let now = OWN + self.journal.space() + 2 * space(self.ledger.bytes());
        let before = self.booked.swap(now, Ordering::AcqRel);
        if now < before {
            self.budget.release(before - now);
        } else if now > before && !self.budget.reserve_within(now - before, PATIENCE) {
            self.budget.force(now - before);
        }
    }
}

/// What opening a disk needs to know.
pub(super) struct Start<'a> {
    pub number: u8,
    pub run: u64,
    pub limit: u64,
    /// What is stored may be used.
    pub trusted: bool,
    pub ledger: Content<'a>,
    /// Below it are the numbers of earlier runs.
    pub common: Common,
}

impl Disk {
    /// Replays the journal into the index, or empties a disk that is not to be trusted. Returns the disk and
    /// the first generation number that it never saw.
    pub(super) fn open(folder: Folder, start: Start<'_>) -> Result<(Self, u64)> {
        let Start { number, run, limit, trusted, ledger, common } = start;
        if !trusted && !folder.is_fresh() {
            folder.empty()?;
        }
        let aside = folder.aside();
        let journal_path = folder.root.join(JOURNAL);
        let mut replayed = journal::replay(&journal_path, number)?;
        if trusted && matches!(replayed.end, End::Absent | End::Damaged) {
            let adopted = walk::adopt(&folder.root, &mut replayed)?;
            tracing::warn!(
                disk = number,
                adopted,
                "cache journal was missing or damaged; made anew from the files"
            );
        }
        let journal = Journal::open(&journal_path, &replayed)?;
        let ledger = Ledger::create(&folder.root.join(LEDGER), &ledger)?;
        let mut packs = Packs::new(&folder.root.join(PACKS), limit, pack::list(&folder.root.join(PACKS))?);
        replayed.dead.iter().for_each(|spot| packs.died(*spot));
        let budget = Budget::new(limit);
        budget.force(replayed.used + packs.bytes());
        budget.force(files::count_folders(&folder.root.join(OBJECTS)) * PAGE);
        let shared = Arc::new(Shared {
            number,
            run,
            objects: folder.root.join(OBJECTS),
            packs_at: folder.root.join(PACKS),
            budget,
            index: Mutex::new(replayed.index),
            journal,
            ledger,
            packs: Mutex::new(packs),
            open: OpenFiles::default(),
            may_look: File::open(&journal_path).is_ok_and(|file| files::can_look(&file)),
            sweeping: Sweeping::new(replayed.garbage),
            common,
            writing: AtomicU64::new(0),
            out: AtomicBool::new(false),
            ready: AtomicBool::new(aside.is_empty()),
            circuit: Mutex::default(),
            errors: AtomicU64::new(0),
            stuck_after: Mutex::new(None),
            booked: AtomicU64::new(0),
            notes: Mutex::default(),
        });
        shared.book();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let orphans = (!folder.told.closed).then_some(replayed.next_id);
        let threads =
            vec![sweeper::start(shared.clone(), aside, orphans)?, writer::start(shared.clone(), queue)?];
        let disk = Self {
            shared,
            jobs,
            threads: Mutex::new(threads),
            reads: Arc::new(Semaphore::new(READS)),
            _lock: folder.into_lock(),
        };
        Ok((disk, replayed.next_id))
    }

    /// The generation under a name, if it is the one of `key`; the header of a finished one is read.
    /// What turns out to be damaged is forgotten.
    pub(super) async fn find(&self, key: &Key, held: Held) -> Option<Arc<Generation>> {
        let name = key.hash();
        let generation = match held {
            Held::Unfinished(generation) => generation,
            Held::Finished(finished) => {
                let shared = self.shared.clone();
                match self.reading(move || header(&shared, name, finished)).await {
                    Ok(generation) => Arc::new(generation),
                    Err(error) => {
                        self.tell(key, error, "header");
                        self.forget(name, finished.id);
                        return None;
                    }
                }
            }
        };
        if generation.key != *key || generation.is_dead() {
            return None;
        }
        generation.settle(self.shared.number);
        self.shared.index.lock().used(name);
        Some(generation)
    }

    /// Hands a block to the writer. With `wait` (pre-warm) it waits for room; otherwise a disk that
    /// cannot follow within [`PATIENCE`] goes without the block. Returns whether it was taken.
    pub(super) async fn store(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        bytes: Bytes,
        wait: bool,
    ) -> bool {
        let common = &self.shared.common;
        common.queued.lock().insert((generation.id, block), bytes.clone());
        let job = Job::Store { generation: generation.clone(), block, bytes, wait };
        // Even what waits does so only while the disk moves.
        let patience = if wait { STUCK } else { PATIENCE };
        let taken = matches!(tokio::time::timeout(patience, self.jobs.send(job)).await, Ok(Ok(())));
        if !taken {
            common.queued.lock().remove(&(generation.id, block));
            count(&common.counters.disk_skipped);
            self.shared.is_stuck();
        }
        taken
    }

    /// The header of a stored generation changed (a 304), or its length became known. A disk that cannot
    /// follow goes without: the next start finds the old header, and asks again. Returns whether it was taken.
    pub(super) async fn update(&self, generation: &Arc<Generation>) -> bool {
        let job = Job::Update(generation.clone());
        let taken = matches!(tokio::time::timeout(PATIENCE * 10, self.jobs.send(job)).await, Ok(Ok(())));
        if !taken {
            count(&self.shared.common.counters.disk_skipped);
        }
        taken
    }

    /// As [`Shared::forget`].
    pub(super) fn forget(&self, name: u128, id: u64) {
        self.shared.forget(name, id);
    }

    /// Has the writer note which request fields choose among an object's representations, before it stores what
    /// comes later; [`flush`](Self::flush) returns when that is written.
    pub(super) fn note(&self, base: u128, varies: Varies) {
        self.shared.notes.lock().insert(base, varies);
        // If its queue is full it comes by anyway.
        let _ = self.jobs.try_send(Job::Notes);
    }

    /// Returns when what was forgotten before is gone and noted so, and whether it is: not if the disk is out, or
    /// takes longer than [`STUCK`] twice.
    pub(super) async fn forgotten(&self) -> bool {
        if !self.flush().await {
            return false;
        }
        let swept = self.shared.sweeping.swept();
        let out = async {
            while !self.shared.out.load(Ordering::Acquire) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            swept = tokio::time::timeout(STUCK, swept) => swept.is_ok(),
            () = out => false,
        }
    }

    /// Returns when everything handed in before is written, and whether it is: not if the disk is out, or takes
    /// longer than it may. What was forgotten may still be there.
    pub(super) async fn flush(&self) -> bool {
        let (done, mut wait) = oneshot::channel();
        let job = Job::Flush(done);
        if !matches!(tokio::time::timeout(STUCK, self.jobs.send(job)).await, Ok(Ok(()))) {
            return false;
        }
        while !self.shared.out.load(Ordering::Acquire) {
            match tokio::time::timeout(LOOK, &mut wait).await {
                Ok(done) => return done.is_ok(),
                Err(_) if self.shared.is_stuck() => return false,
                Err(_) => {}
            }
        }
        false
    }

    /// Writes what is queued and stops the threads.
    pub(super) async fn close(&self) {
        self.flush().await;
        let _ = tokio::time::timeout(PATIENCE, self.jobs.send(Job::Stop)).await;
        self.shared.sweeping.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        if !self.shared.out.load(Ordering::Acquire) && !self.shared.is_stuck() {
            let _ = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|it| drop(it.join()))).await;
        }
    }

    /// Stops using it, without waiting for anything that may never return.
    pub(super) fn abandon(&self) {
        self.shared.out.store(true, Ordering::Release);
        self.shared.sweeping.stop();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.sweeping.stop();
    }
}

/// The header of a finished object.
fn header(shared: &Shared, name: u128, finished: Finished) -> Result<Generation> {
    match finished.place() {
        Place::File(_) => trailer::read(&shared.path(name, finished.id)),
        Place::Packed(spot) => {
            let record = shared.record(spot)?;
            let header: Header =
                serde_json::from_slice(&record.header).map_err(|_| Error::from(ErrorKind::InvalidData))?;
            let generation = header.restore().filter(|it| it.id == finished.id && record.id == finished.id);
            let generation = generation.ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
            if !record.body.is_empty() {
                generation.stored(0, 0, record.body.len() as u64);
            }
            Ok(generation)
        }
    }
}

/// What the first block of an object needs besides its own pages.
pub(super) const FIRST: u64 = FILE + 2 * PAGE;
