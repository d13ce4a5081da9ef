//! Which disks are in: how they come, go, and come back, and what all of them must have written before
//! anything is acknowledged. See [`super::ledger`] for why.

use std::collections::HashMap;
use std::io::{Error, Result};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::ledger::{Content, Set, Told, Varies};
use super::one::{Disk, Start, Trip};
use super::set::{Change, Inner};
use crate::CacheError;

/// A disk that has not written a purge down after this is taken out.
const DURABLE: Duration = Duration::from_secs(5);

impl Inner {
    /// Raises the fences that the ledgers tell of; returns the first number above all that they mention.
    pub(super) fn take_in(&self, told: &[&Told], trusted: &[bool]) -> u64 {
        // Purges of any ledger are true; who is not trusted only knows too few.
        told.iter().flat_map(|told| &told.purges).for_each(|purge| self.fences.apply(purge));
        let mut next_id = 1;
        let mut varies = self.varies.lock();
        for found in
            told.iter().zip(trusted).filter(|(_, trusted)| **trusted).flat_map(|(told, _)| &told.varies)
        {
            next_id = next_id.max(found.floor);
            let Some(names) = found.names() else { continue };
            let base = found.base();
            let record = self.common.records.varies(&base, &names);
            record.floor.fetch_max(found.floor, Ordering::AcqRel);
            let known = varies.entry(base.hash()).or_insert_with(|| found.clone());
            if known.floor <= found.floor {
                *known = found.clone();
            }
        }
        self.change.lock().epoch =
            told.iter().filter_map(|it| it.set.as_ref()).map(|set| set.epoch).max().unwrap_or(0);
        next_id
    }

    /// Opens the disks of the start. One that cannot be opened is out, unless it is the only one.
    pub(super) fn start(
        &self,
        folders: Vec<Option<(Folder, bool)>>,
        mut next_id: u64,
    ) -> std::result::Result<u64, CacheError> {
        let mut change = self.change.lock();
        let mut failed = None;
        for (number, folder) in (0..).zip(folders) {
            let slot = &self.slots[usize::from(number)];
            let opened = folder.map(|(folder, trusted)| {
                if !trusted && !folder.is_fresh() {
                    tracing::warn!(
                        disk = number,
                        "begins empty: it was out, or most of the disks it was used with are missing, so that it \
                         may hold what was purged since"
                    );
                }
                *slot.device.lock() = folder.device();
                self.open_one(&mut change, number, folder, trusted)
            });
            match opened {
                Some(Ok((disk, next))) => {
                    next_id = next_id.max(next);
                    *slot.disk.write() = Some(Arc::new(disk));
                }
                Some(Err(source)) => {
                    slot.outside(source.to_string());
                    failed.get_or_insert(CacheError::Disk { path: slot.path.clone(), source });
                }
                None => slot.outside("its folder could not be opened at the start".to_owned()),
            }
        }
        if let Some(error) = failed.filter(|_| self.disks().next().is_none()) {
            return Err(error);
        }
        match self.renew(&mut change) {
            Ok(()) => Ok(next_id),
            Err(source) => Err(CacheError::Disk { path: self.slots[0].path.clone(), source }),
        }
    }

    fn open_one(
        &self,
        change: &mut Change,
        number: u8,
        folder: Folder,
        trusted: bool,
    ) -> Result<(Disk, u64)> {
        change.runs += 1;
        let me = folder.told.set.as_ref().filter(|_| trusted).map_or_else(drawn, |set| set.me);
        let varies: Vec<Varies> = self.varies.lock().values().cloned().collect();
        // In no set until that is said; killed before, it comes back empty.
        let set = match &folder.told.set {
            Some(set) if trusted => set.clone(),
            _ => Set { epoch: 0, me, members: Vec::new() },
        };
        let start = Start {
            number,
            run: change.runs,
            limit: self.slots[usize::from(number)].limit,
            trusted,
            ledger: Content { purges: &self.fences.export(), varies: &varies, set: &set },
            common: self.common.clone(),
        };
        Disk::open(folder, start)
    }

    /// Does something to each disk that is in, at once. Those that fail or take too long are out, and the
    /// others' ledgers say so before this returns. An error if none is left.
    pub(super) fn durably(
        &self,
        change: &mut Change,
        what: impl Fn(&Disk, u64, &[u64]) -> Result<()> + Send + Sync + Clone + 'static,
    ) -> Result<()> {
        let lost = self.on_each(change.epoch, what);
        if !lost.is_empty() {
            lost.iter().for_each(|(number, why)| self.take_out(*number, why));
            return self.renew(change);
        }
        self.some_left()
    }

    /// Disks went out or came in: every ledger says who is in from now on.
    fn renew(&self, change: &mut Change) -> Result<()> {
        loop {
            change.epoch += 1;
            let set = |disk: &Disk, epoch, members: &[u64]| disk.shared.ledger.set(epoch, members);
            let lost = self.on_each(change.epoch, set);
            if lost.is_empty() {
                return self.some_left();
            }
            lost.iter().for_each(|(number, why)| self.take_out(*number, why));
        }
    }

    fn some_left(&self) -> Result<()> {
        let none = || Error::other("no cache disk is in, so that it would be forgotten at the next start");
        self.disks().next().map(drop).ok_or_else(none)
    }

    /// Writes ledgers anew that have grown long; a disk that cannot is out.
    pub(super) fn shorten(self: &Arc<Self>, change: &mut Change) -> Result<()> {
        if !self.disks().any(|disk| disk.shared.ledger.is_long()) {
            return Ok(());
        }
        let me = self.clone();
        self.durably(change, move |disk, epoch, members| {
            let ledger = &disk.shared.ledger;
            if !ledger.is_long() {
                return Ok(());
            }
            let set = Set { epoch, me: ledger.me(), members: members.to_vec() };
            ledger.rewrite(|write| {
                let varies: Vec<Varies> = me.varies.lock().values().cloned().collect();
                write(&Content { purges: &me.fences.export(), varies: &varies, set: &set })
            })
        })
    }

    /// Returns those that failed, with why.
    fn on_each(
        &self,
        epoch: u64,
        what: impl Fn(&Disk, u64, &[u64]) -> Result<()> + Send + Sync + Clone + 'static,
    ) -> Vec<(u8, String)> {
        let disks: Vec<Arc<Disk>> = self.disks().collect();
        let members: Arc<[u64]> = disks.iter().map(|disk| disk.shared.ledger.me()).collect();
        let (done, results) = mpsc::channel();
        for disk in &disks {
            let (disk, members, done, what) = (disk.clone(), members.clone(), done.clone(), what.clone());
            let number = disk.shared.number;
            let work = move || {
                // Nobody listens to one that is too late.
                let _ = done.send((number, what(&disk, epoch, &members)));
            };
            // A disk that hangs must not stop the others. One that gets no thread is too late.
            let _ = std::thread::Builder::new().name("kromka-ledger".into()).spawn(work);
        }
        drop(done);
        let until = Instant::now() + DURABLE;
        let mut lost: HashMap<u8, String> = disks
            .iter()
            .map(|disk| (disk.shared.number, format!("nothing was written within {DURABLE:?}")))
            .collect();
        for _ in 0..disks.len() {
            match results.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, Ok(()))) => drop(lost.remove(&number)),
                Ok((number, Err(error))) => drop(lost.insert(number, error.to_string())),
                Err(_) => break,
            }
        }
        lost.into_iter().collect()
    }

    /// A disk goes out: nothing on it is known any more.
    fn take_out(&self, number: u8, why: &str) {
        let slot = &self.slots[usize::from(number)];
        let Some(disk) = slot.disk.write().take() else { return };
        disk.abandon();
        for generation in disk.shared.index.lock().unfinished() {
            generation.evicted();
        }
        for generation in self.common.records.all().filter(|it| it.home() == Some(number)) {
            generation.evicted();
        }
        slot.outside(why.to_owned());
        slot.outs.fetch_add(1, Ordering::Relaxed);
        tracing::error!(disk = number, path = %slot.path.display(), why, "cache disk taken out; serving without it until it works again, then it begins empty");
    }

    /// A disk has asked to be taken out.
    pub(super) fn tripped(&self, trip: &Trip) {
        let mut change = self.change.lock();
        let current = self.disk(trip.number).is_some_and(|disk| disk.shared.run == trip.run);
        if current && !change.closed {
            self.take_out(trip.number, &trip.why);
            // With no disk left nothing has to be said.
            let _ = self.renew(&mut change);
        }
    }

    /// Tries the disks that are out whose time has come, each in a thread of its own, so that one that hangs
    /// is nobody else's trouble; returns when to come again. The end of a try wakes the keeper.
    pub(super) fn probe(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let mut next = None;
        for (number, slot) in (0..).zip(&self.slots) {
            let Some(due) = slot.probing.lock().as_ref().map(|probing| probing.next) else { continue };
            if due > now {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
            } else if !slot.trying.swap(true, Ordering::AcqRel) {
                let me = self.clone();
                let started =
                    std::thread::Builder::new().name("kromka-probe".into()).spawn(move || me.try_one(number));
                if started.is_err() {
                    slot.trying.store(false, Ordering::Release);
                }
            }
        }
        next
    }

    /// Tries one that is out.
    fn try_one(&self, number: u8) {
        let slot = &self.slots[usize::from(number)];
        let device = *slot.device.lock();
        let opened = Folder::open_again(&slot.path, device).and_then(|folder| self.back(number, folder));
        if let Err(error) = opened {
            tracing::debug!(disk = number, %error, "cache disk is still out");
            if let Some(probing) = slot.probing.lock().as_mut() {
                probing.again(Instant::now());
            }
        }
        slot.trying.store(false, Ordering::Release);
        self.wake_keeper();
    }

    /// Lets the keeper look again at what is out.
    pub(super) fn wake_keeper(&self) {
        // It may have ended with the disks.
        let _ = self.common.trips.send(Trip { number: u8::MAX, run: 0, why: String::new() });
    }

    /// A disk that was out works again: it begins empty, with all that must not be forgotten.
    fn back(&self, number: u8, folder: Folder) -> Result<()> {
        let mut change = self.change.lock();
        if change.closed {
            return Ok(());
        }
        let slot = &self.slots[usize::from(number)];
        let (disk, _) = self.open_one(&mut change, number, folder, false)?;
        *slot.disk.write() = Some(Arc::new(disk));
        *slot.probing.lock() = None;
        *slot.why.lock() = None;
        tracing::info!(disk = number, path = %slot.path.display(), "cache disk is back, and begins empty");
        self.renew(&mut change)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.change.lock().closed
    }
}

/// A number that no other disk has.
fn drawn() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
