//! The thread that makes room: it evicts ahead of the writer and unlinks, so that neither requests nor the
//! writer wait for that. What it has taken off the index counts against the budget until its file is gone.

use std::collections::HashSet;
use std::io::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::budget::PAGE;
use super::index::{Finished, Held, Place};
use super::one::Shared;
use super::{files, walk};
use crate::stats::count;

/// With nothing to do it looks around this often.
const PAUSE: Duration = Duration::from_secs(1);
/// With everything in use it looks again after this.
const BUSY: Duration = Duration::from_millis(20);
/// Files put aside that are removed between two looks at what is more urgent.
const BATCH: usize = 256;

/// What waits for the sweeper.
pub(super) struct Sweeping {
    state: Mutex<State>,
    wake: Condvar,
    /// How many of those queued are gone.
    gone: watch::Sender<u64>,
}

struct State {
    /// Files of which the index knows nothing any more, with what they cost.
    queue: Vec<Condemned>,
    /// Names and numbers that must not be written until their file is gone.
    condemned: HashSet<(u128, u64)>,
    /// The file system is full though the budget is not: so much has to go.
    squeeze: u64,
    /// How many were ever queued.
    queued: u64,
    stop: bool,
}

struct Condemned {
    name: u128,
    id: u64,
    held: Option<Held>,
    cost: u64,
}

impl Sweeping {
    /// `garbage` is on the disk and in no account.
    pub(super) fn new(garbage: Vec<(u128, u64)>) -> Self {
        let queue: Vec<Condemned> =
            garbage.into_iter().map(|(name, id)| Condemned { name, id, held: None, cost: 0 }).collect();
        let condemned = queue.iter().map(|it| (it.name, it.id)).collect();
        let queued = queue.len() as u64;
        let state = State { queue, condemned, squeeze: 0, queued, stop: false };
        Self { state: Mutex::new(state), wake: Condvar::new(), gone: watch::Sender::new(0) }
    }

    /// The index gives something up: from now on nothing is written into its file. To be called with the
    /// index locked, and [`Self::hand_over`] after that.
    pub(super) fn condemn(&self, name: u128, id: u64) {
        self.state.lock().condemned.insert((name, id));
    }

    pub(super) fn is_condemned(&self, name: u128, id: u64) -> bool {
        self.state.lock().condemned.contains(&(name, id))
    }

    /// The file of what the index gave up goes.
    pub(super) fn hand_over(&self, name: u128, held: Held) {
        let (id, cost) = (held.id(), held.cost());
        if let Held::Unfinished(generation) = &held {
            generation.evicted();
        }
        let mut state = self.state.lock();
        state.queue.push(Condemned { name, id, held: Some(held), cost });
        state.queued += 1;
        drop(state);
        self.wake.notify_all();
    }

    /// Waits until what is queued now is gone.
    pub(super) async fn swept(&self) {
        let queued = self.state.lock().queued;
        // The sender is ours, so it is there.
        let _ = self.gone.subscribe().wait_for(|gone| *gone >= queued).await;
    }

    /// There may be something to do.
    pub(super) fn wake(&self) {
        self.wake.notify_all();
    }

    /// Frees so many bytes though the budget would not ask for it.
    pub(super) fn squeeze(&self, bytes: u64) {
        self.state.lock().squeeze = bytes;
        self.wake.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_all();
    }
}

/// Starts the thread. What the journal calls garbage goes first, then what was put aside; then, after a process that
/// was killed, files that nobody knows and that are numbered below `orphans`. What is given up meanwhile does not wait
/// for all of that.
pub(super) fn start(
    shared: Arc<Shared>,
    aside: Vec<PathBuf>,
    orphans: Option<u64>,
) -> Result<std::thread::JoinHandle<()>> {
    let name = format!("kromka-sweep-{}", shared.number);
    std::thread::Builder::new().name(name).spawn(move || {
        let sweeper = Sweeper { shared };
        sweeper.free_queued();
        sweeper.remove_aside(aside);
        if let Some(first) = orphans {
            sweeper.remove_orphans(first);
        }
        while sweeper.turn() {}
    })
}

struct Sweeper {
    shared: Arc<Shared>,
}

impl Sweeper {
    /// Waits for something to do and does it; `false` at the end.
    fn turn(&self) -> bool {
        let sweeping = &self.shared.sweeping;
        let squeeze = {
            let mut state = sweeping.state.lock();
            if state.queue.is_empty() && state.squeeze == 0 && !state.stop && !self.is_tight() {
                sweeping.wake.wait_for(&mut state, PAUSE);
            }
            let out = self.shared.out.load(Ordering::Acquire);
            // What was given up is gone before the end; a disk that is out may never answer.
            if state.stop && (out || state.queue.is_empty()) {
                drop(state);
                // Which objects were used is known now; the next start would take the oldest.
                if self.is_tight() {
                    self.evict_to(self.shared.budget.low());
                }
                return false;
            }
            std::mem::take(&mut state.squeeze)
        };
        self.free_queued();
        if self.is_tight() || squeeze > 0 {
            let used = self.shared.budget.used();
            self.evict_to(self.shared.budget.low().min(used.saturating_sub(squeeze)));
        }
        true
    }

    /// Frees what is queued, and tells those who wait for it.
    fn free_queued(&self) {
        let sweeping = &self.shared.sweeping;
        let (queue, queued) = {
            let mut state = sweeping.state.lock();
            (std::mem::take(&mut state.queue), state.queued)
        };
        queue.into_iter().for_each(|condemned| self.free(condemned));
        sweeping.gone.send_if_modified(|gone| std::mem::replace(gone, queued) != queued);
    }

    fn is_tight(&self) -> bool {
        self.shared.budget.used() > self.shared.budget.high()
    }

    fn evict_to(&self, target: u64) {
        let shared = &self.shared;
        while shared.budget.used() > target && !shared.out.load(Ordering::Acquire) {
            let evicted = {
                let mut index = shared.index.lock();
                let writing = shared.writing.load(Ordering::Acquire);
                let evicted = index.evict(&shared.common.records, writing);
                if let Some((name, held)) = &evicted {
                    shared.sweeping.condemn(*name, held.id());
                }
                evicted
            };
            let Some((name, held)) = evicted else {
                // Everything is being filled, or packed; the writer goes without the disk meanwhile.
                std::thread::sleep(BUSY);
                return;
            };
            count(&shared.common.counters.disk_evicted);
            let (id, cost) = (held.id(), held.cost());
            self.free(Condemned { name, id, held: Some(held), cost });
        }
    }

    /// Removes a file, says so in the journal and gives its space back.
    fn free(&self, condemned: Condemned) {
        let shared = &self.shared;
        let Condemned { name, id, held, cost } = condemned;
        match &held {
            Some(Held::Unfinished(generation)) => generation.evicted(),
            _ => {
                let known = shared.common.records.peek(name).filter(|generation| generation.id == id);
                if let Some(generation) = known.filter(|it| it.home() == Some(shared.number)) {
                    generation.evicted();
                }
            }
        }
        let removed = match held.as_ref().and_then(place) {
            Some(Place::Packed(spot)) => shared.packs.lock().kill(spot),
            _ => files::remove(&shared.path(name, id)).map(|()| {
                shared.open.forget(id);
                shared.budget.release(files::remove_folders(&shared.objects, name) * PAGE);
            }),
        };
        if let Err(error) = removed.and_then(|()| shared.journal.append_drop(name, id)) {
            shared.failed(&error);
        }
        shared.budget.release(cost);
        shared.sweeping.state.lock().condemned.remove(&(name, id));
    }

    /// Until what was put aside is gone, the disk takes nothing: it is in no account.
    fn remove_aside(&self, aside: Vec<PathBuf>) {
        for folder in aside {
            let mut found = Vec::new();
            files::each(&folder, &mut |path| found.push(path.to_owned()));
            for batch in found.chunks(BATCH) {
                if self.shared.sweeping.state.lock().stop {
                    return;
                }
                self.free_queued();
                for path in batch {
                    // What is left is tried again at the next start.
                    let _ = files::remove(path);
                }
            }
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(folder = %folder.display(), %error, "what the cache put aside cannot be removed");
            }
        }
        self.shared.ready.store(true, Ordering::Release);
    }

    fn remove_orphans(&self, first: u64) {
        let shared = &self.shared;
        let knows = |name, id| {
            self.free_queued();
            id >= first
                || shared.index.lock().id(name) == Some(id)
                || shared.sweeping.is_condemned(name, id)
                || shared.sweeping.state.lock().stop
        };
        let orphans = walk::orphans(&shared.objects, knows);
        if !orphans.is_empty() {
            tracing::info!(
                disk = shared.number,
                files = orphans.len(),
                "removing files that a killed process left"
            );
        }
        for batch in orphans.chunks(BATCH) {
            self.free_queued();
            for path in batch {
                // Left over at worst; the file of a number that is never used again harms nobody.
                let _ = files::remove(path);
            }
        }
    }
}

fn place(held: &Held) -> Option<Place> {
    match held {
        Held::Finished(finished) => Some(Finished::place(*finished)),
        Held::Unfinished(_) => None,
    }
}
