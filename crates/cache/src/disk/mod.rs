//! The disk half of a tier: plain files, one per generation, in hashed folders (design D4).
//!
//! - [`index`] is what is stored, by name, a hundred bytes an object;
//! - [`journal`] is its append-only form; the index is rebuilt from it at start;
//! - [`files`] reads and writes blocks of files, with a checksum per block; [`trailer`] is the end of a
//!   finished one: its header and the checksums;
//! - [`writer`] is the one thread that writes, evicts and unlinks, off the hot path.
//!
//! ```text
//! <path>/lock               held while a process uses the folder
//! <path>/journal            records, each with its own checksum
//! <path>/objects/ab/cd/...  bodies: what an operator sees with ls is what was cached
//! ```
//!
//! A disk that is full, slow or broken means that blocks are not stored; it never means an error to
//! a viewer.

mod files;
mod index;
mod journal;
mod trailer;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::{mpsc, oneshot};

use crate::fences::{Fences, Purge};
use crate::generation::Generation;
use crate::memory::Memory;
use crate::records::Records;
use crate::stats::{Counters, count};
use crate::{CacheError, Key};
use index::{Held, Index};
use journal::{Journal, Other, Varies};
use writer::Job;

/// Blocks that may wait for the disk; with blocks of 256 KiB, 16 MiB.
const QUEUE: usize = 64;
/// Objects with several representations that a restart remembers.
const MAX_VARIES: usize = 100_000;
/// How long a fill lets a viewer's bytes wait for the disk, per block.
const PATIENCE: Duration = Duration::from_millis(50);

/// The disk of a tier.
pub(crate) struct Disk {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Keeps other processes out; released by the system when this one dies.
    _lock: File,
}

/// What the writer thread shares with the rest.
struct Shared {
    root: PathBuf,
    limit: u64,
    used: AtomicU64,
    index: Mutex<Index>,
    journal: Journal,
    counters: Arc<Counters>,
    fences: Arc<Fences>,
    records: Arc<Records>,
    varies: Mutex<HashMap<u128, Varies>>,
    /// Blocks on their way to the disk, at most as many as the queue holds: whoever needs one that
    /// memory would not keep finds it here.
    queued: Mutex<HashMap<(u64, u32), Bytes>>,
}

impl Shared {
    /// What the journal holds besides the index.
    fn other(&self) -> Other {
        Other { purges: self.fences.export(), varies: self.varies.lock().values().cloned().collect() }
    }

    fn path(&self, name: u128, id: u64) -> PathBuf {
        files::path(&self.root, name, id)
    }
}

impl Disk {
    /// Opens the folder, replays the journal into the index and raises the journalled fences.
    /// Returns the disk and the first generation number that was never used.
    pub(crate) fn open(
        path: &Path,
        limit: u64,
        counters: Arc<Counters>,
        fences: Arc<Fences>,
        records: Arc<Records>,
    ) -> Result<(Self, u64), CacheError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Disk { path, source }
        };
        let objects = path.join("objects");
        std::fs::create_dir_all(&objects).map_err(failed(&objects))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| CacheError::Locked { path: path.to_owned() })?;

        let journal_path = path.join("journal");
        let mut held = journal::replay(&journal_path).map_err(failed(&journal_path))?;
        for purge in &held.purges {
            fences.apply(purge);
        }
        if held.was_absent {
            // Without a journal nothing tells what the files are.
            files::remove_all(&objects).map_err(failed(&objects))?;
        }
        let mut varies = HashMap::new();
        for found in std::mem::take(&mut held.varies) {
            if let Some(names) = found.names() {
                records.varies(&found.base(), &names).floor.store(found.floor, Ordering::Release);
                varies.insert(found.base().hash(), found);
            }
        }
        let other = Other { purges: fences.export(), varies: varies.values().cloned().collect() };
        let journal = Journal::open(&journal_path, &held, &other).map_err(failed(&journal_path))?;
        let shared = Arc::new(Shared {
            root: objects,
            limit,
            used: AtomicU64::new(held.used),
            index: Mutex::new(std::mem::take(&mut held.index)),
            journal,
            counters,
            fences,
            records,
            varies: Mutex::new(varies),
            queued: Mutex::default(),
        });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = writer::start(shared.clone(), held.garbage, queue).map_err(failed(path))?;
        Ok((Self { shared, jobs, thread: Mutex::new(Some(thread)), _lock: lock }, held.next_id))
    }

    /// The generation of `key` that has blocks on disk; the header of a finished one is read from its
    /// file. What turns out to be damaged is forgotten.
    pub(crate) async fn find(&self, key: &Key) -> Option<Arc<Generation>> {
        let held = self.shared.index.lock().get(key.hash())?;
        let generation = match held {
            Held::Unfinished(generation) => generation,
            Held::Finished(finished) => {
                let path = self.shared.path(key.hash(), finished.id);
                match tokio::task::spawn_blocking(move || trailer::read(&path)).await {
                    Ok(Ok(generation)) => Arc::new(generation),
                    failed => {
                        if let Ok(Err(error)) = failed {
                            self.tell(key, &error, "header");
                        }
                        self.forget(key.hash(), finished.id);
                        return None;
                    }
                }
            }
        };
        (generation.key == *key && !generation.is_dead()).then_some(generation)
    }

    /// Takes whatever is under a name off the disk.
    pub(crate) fn forget_name(&self, name: u128) {
        let held = self.shared.index.lock().get(name);
        if let Some(held) = held {
            self.forget(name, held.id());
        }
    }

    fn tell(&self, key: &Key, error: &std::io::Error, what: &str) {
        let counters = &self.shared.counters;
        match error.kind() {
            // Evicted between look-up and read, or removed by the operator: simply not there.
            std::io::ErrorKind::NotFound => {}
            std::io::ErrorKind::InvalidData => {
                count(&counters.disk_corrupt);
                tracing::warn!(%key, what, "damaged on disk; fetching it again");
            }
            _ => {
                count(&counters.disk_errors);
                tracing::warn!(%key, what, %error, "cannot be read from disk; fetching it again");
            }
        }
    }

    /// Reads a block to where it may stay, and checks it. `None` means that it has to be fetched again.
    pub(crate) async fn read(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        memory: &Memory,
    ) -> Option<Bytes> {
        let (sum, bytes) = generation.on_disk(block)?;
        let path = self.shared.path(generation.key.hash(), generation.id);
        let room = memory.room(bytes.end - bytes.start);
        match tokio::task::spawn_blocking(move || files::read(&path, bytes.start, sum, room)).await {
            Ok(Ok(bytes)) => {
                count(&self.shared.counters.disk_blocks);
                return Some(bytes);
            }
            Ok(Err(error)) => self.tell(&generation.key, &error, "block"),
            Err(_) => count(&self.shared.counters.disk_errors),
        }
        generation.lost(block);
        None
    }

    /// Hands a block to the writer. With `wait` (pre-warm) it waits for room; otherwise a disk that
    /// cannot follow within [`PATIENCE`] goes without the block. Returns whether it was taken.
    pub(crate) async fn store(
        &self,
        generation: &Arc<Generation>,
        block: u32,
        bytes: Bytes,
        wait: bool,
    ) -> bool {
        self.shared.queued.lock().insert((generation.id, block), bytes.clone());
        let job = Job::Store { generation: generation.clone(), block, bytes };
        let taken = if wait {
            self.jobs.send(job).await.is_ok()
        } else {
            matches!(tokio::time::timeout(PATIENCE, self.jobs.send(job)).await, Ok(Ok(())))
        };
        if !taken {
            self.shared.queued.lock().remove(&(generation.id, block));
            count(&self.shared.counters.disk_skipped);
        }
        taken
    }

    /// A block that is on its way to the disk.
    pub(crate) fn queued(&self, generation: u64, block: u32) -> Option<Bytes> {
        self.shared.queued.lock().get(&(generation, block)).cloned()
    }

    /// The header of a stored generation changed (a 304), or its length became known.
    pub(crate) async fn update(&self, generation: &Arc<Generation>) {
        // Lost only if the writer is gone; then nothing is written any more anyway.
        let _ = self.jobs.send(Job::Update(generation.clone())).await;
    }

    /// What has this name and number is no longer wanted: its file goes, behind the requests.
    pub(crate) fn forget(&self, name: u128, id: u64) {
        if let Err(mpsc::error::TrySendError::Full(job)) = self.jobs.try_send(Job::Forget { name, id }) {
            let jobs = self.jobs.clone();
            tokio::spawn(async move {
                let _ = jobs.send(job).await;
            });
        }
    }

    /// Notes which request fields choose among an object's representations, and below which number
    /// they are undone. Past [`MAX_VARIES`] objects it is not noted; a restart then costs a fetch of each.
    pub(crate) fn record_varies(&self, base: &Key, names: &[http::HeaderName], floor: u64) {
        let mut varies = Varies::of(base, names, floor);
        let mut known = self.shared.varies.lock();
        match known.get(&base.hash()) {
            Some(before) => varies.floor = varies.floor.max(before.floor),
            None if known.len() >= MAX_VARIES => return,
            None => {}
        }
        if known.get(&base.hash()) == Some(&varies) {
            return;
        }
        if let Err(error) = self.shared.journal.append_varies(&varies) {
            count(&self.shared.counters.disk_errors);
            tracing::warn!(%error, "cache journal cannot be written");
        }
        known.insert(base.hash(), varies);
    }

    /// Makes a purge durable before it is acknowledged.
    pub(crate) fn record_purge(&self, purge: &Purge) -> std::io::Result<()> {
        self.shared.journal.append_purge(purge)
    }

    /// Returns when everything handed in before is written.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// Writes what is queued and stops the thread.
    pub(crate) async fn close(&self) {
        self.flush().await;
        let _ = self.jobs.send(Job::Stop).await;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.shared.limit
    }

    pub(crate) fn objects(&self) -> u64 {
        self.shared.index.lock().len() as u64
    }
}
