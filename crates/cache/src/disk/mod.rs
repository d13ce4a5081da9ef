//! The disk half of a tier: plain files, one per generation, in hashed folders (design D4).
//!
//! - [`journal`] is the append-only list of what is stored; the index is rebuilt from it at start;
//! - [`files`] reads and writes blocks of those files, with a checksum per block;
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
mod journal;
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
use crate::stats::{Counters, count};
use crate::{CacheError, Key};
use journal::Journal;
use writer::Job;

/// Blocks that may wait for the disk; with blocks of 256 KiB, 16 MiB.
const QUEUE: usize = 64;
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
    index: Mutex<HashMap<u128, Arc<Generation>>>,
    journal: Journal,
    counters: Arc<Counters>,
    fences: Arc<Fences>,
}

impl Disk {
    /// Opens the folder, replays the journal into the index and raises the journalled fences.
    /// Returns the disk and the first generation number that was never used.
    pub(crate) fn open(
        path: &Path,
        limit: u64,
        counters: Arc<Counters>,
        fences: Arc<Fences>,
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
        let held = journal::replay(&journal_path).map_err(failed(&journal_path))?;
        for purge in &held.purges {
            fences.apply(purge);
        }
        if held.was_absent {
            // Without a journal nothing tells what the files are.
            files::remove_all(&objects).map_err(failed(&objects))?;
        }
        let journal = Journal::rewrite(&journal_path, &held.generations, &fences.export())
            .map_err(failed(&journal_path))?;

        let mut index = HashMap::with_capacity(held.generations.len());
        let mut used = 0;
        for generation in &held.generations {
            used += generation.disk_state().bytes;
            index.insert(generation.key.hash(), generation.clone());
        }
        let shared = Arc::new(Shared {
            root: objects,
            limit,
            used: AtomicU64::new(used),
            index: Mutex::new(index),
            journal,
            counters,
            fences,
        });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread =
            writer::start(shared.clone(), held.generations, held.garbage, queue).map_err(failed(path))?;
        Ok((Self { shared, jobs, thread: Mutex::new(Some(thread)), _lock: lock }, held.next_id))
    }

    /// The generation of `key` that has blocks on disk.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Generation>> {
        let index = self.shared.index.lock();
        index.get(&key.hash()).filter(|generation| generation.key == *key && !generation.is_dead()).cloned()
    }

    /// The generations that are one of several representations.
    pub(crate) fn variants(&self) -> Vec<Arc<Generation>> {
        let index = self.shared.index.lock();
        index.values().filter(|generation| generation.key.chosen().is_some()).cloned().collect()
    }

    /// Reads a block and checks it. `None` means that it has to be fetched again.
    pub(crate) async fn read(&self, generation: &Arc<Generation>, block: u32) -> Option<Bytes> {
        let (sum, bytes) = generation.on_disk(block)?;
        let shared = self.shared.clone();
        let of = generation.clone();
        let read = tokio::task::spawn_blocking(move || files::read(&shared.root, &of, bytes, sum)).await;
        match read {
            Ok(Ok(bytes)) => {
                count(&self.shared.counters.disk_blocks);
                return Some(bytes);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                count(&self.shared.counters.disk_corrupt);
                tracing::warn!(key = %generation.key, block, "block on disk has a wrong checksum; fetching it again");
            }
            // Evicted between look-up and read, or removed by the operator: simply not there.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(Err(error)) => {
                count(&self.shared.counters.disk_errors);
                tracing::warn!(key = %generation.key, block, %error, "block on disk cannot be read; fetching it again");
            }
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
        let job = Job::Store { generation: generation.clone(), block, bytes };
        let taken = if wait {
            self.jobs.send(job).await.is_ok()
        } else {
            matches!(tokio::time::timeout(PATIENCE, self.jobs.send(job)).await, Ok(Ok(())))
        };
        if !taken {
            count(&self.shared.counters.disk_skipped);
        }
        taken
    }

    /// The header of a stored generation changed (a 304), or its length became known.
    pub(crate) async fn update(&self, generation: &Arc<Generation>) {
        // Lost only if the writer is gone; then nothing is written any more anyway.
        let _ = self.jobs.send(Job::Update(generation.clone())).await;
    }

    /// The generation is no longer wanted: its file goes, behind the requests.
    pub(crate) fn forget(&self, generation: &Arc<Generation>) {
        if let Err(mpsc::error::TrySendError::Full(job)) = self.jobs.try_send(Job::Forget(generation.clone()))
        {
            let jobs = self.jobs.clone();
            tokio::spawn(async move {
                let _ = jobs.send(job).await;
            });
        }
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
