//! What is on disk, by name: as small as it can be, since there may be millions. The header of a
//! finished object is in its file (see [`super::trailer`]) or in its pack; only what is unfinished is kept
//! whole here.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::budget::PAGE;
use super::pack::Spot;
use crate::held::generation::Generation;
use crate::held::records::Records;
use crate::policy::{Entries, Policy, Seen};

/// What a file costs besides its pages: inode, entry in its folder.
pub(super) const FILE: u64 = PAGE;
/// Uses that are counted of an object that memory has forgotten.
const MOST_USES: u8 = 3;
/// Set in what is packed.
const PACKED: u64 = 1 << 63;

/// A finished object: its file is found by its name's hash and this number, or it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub id: u64,
    place: u64,
}

/// Where a finished object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file of its own of so many pages.
    File(u64),
    /// In a pack.
    Packed(Spot),
}

impl Finished {
    /// One in a file of so many bytes.
    pub(super) fn file(id: u64, bytes: u64) -> Self {
        Self { id, place: bytes.div_ceil(PAGE) & !PACKED }
    }

    pub(super) fn packed(id: u64, spot: Spot) -> Self {
        Self { id, place: spot.bits() | PACKED }
    }

    pub(super) fn place(self) -> Place {
        match self.place & PACKED {
            0 => Place::File(self.place),
            _ => Place::Packed(Spot::from_bits(self.place & !PACKED)),
        }
    }

    /// As the journal has it.
    pub(super) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..].copy_from_slice(&self.place.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        Self { id: word(0), place: word(8) }
    }

    /// Bytes counted against the budget; what is packed is counted by the pack.
    fn cost(self) -> u64 {
        match self.place() {
            Place::File(pages) => pages.saturating_mul(PAGE) + FILE,
            Place::Packed(_) => 0,
        }
    }
}

/// What the disk holds under one name.
#[derive(Clone)]
pub(super) enum Held {
    Finished(Finished),
    Unfinished(Arc<Generation>),
}

impl Held {
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Finished(finished) => finished.id,
            Self::Unfinished(generation) => generation.id,
        }
    }

    /// Bytes counted against the budget.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Finished(finished) => finished.cost(),
            Self::Unfinished(generation) => generation.disk_state().bytes,
        }
    }

    fn is_packed(&self) -> bool {
        matches!(self, Self::Finished(finished) if matches!(finished.place(), Place::Packed(_)))
    }
}

/// A name as a map's key: two words, since a `u128` would be aligned to sixteen bytes.
type Slot = [u64; 2];

fn slot(name: u128) -> Slot {
    [name as u64, (name >> 64) as u64]
}

fn name(slot: Slot) -> u128 {
    u128::from(slot[1]) << 64 | u128::from(slot[0])
}

/// Names are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8) {
            self.write_u64(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }

    fn write_usize(&mut self, _: usize) {}
}

struct Entry {
    finished: Finished,
    /// How often it was found here since eviction looked last.
    uses: u8,
}

/// The index, with the policy that says who goes.
pub(super) struct Index {
    finished: HashMap<Slot, Entry, BuildHasherDefault<AsIs>>,
    unfinished: HashMap<u128, Arc<Generation>>,
    policy: Policy,
}

impl Index {
    pub(super) fn with_capacity(objects: usize) -> Self {
        Self {
            finished: HashMap::with_capacity_and_hasher(objects, BuildHasherDefault::default()),
            unfinished: HashMap::new(),
            policy: Policy::with_capacity(objects),
        }
    }

    pub(super) fn get(&self, name: u128) -> Option<Held> {
        if let Some(generation) = self.unfinished.get(&name) {
            return Some(Held::Unfinished(generation.clone()));
        }
        self.finished.get(&slot(name)).map(|entry| Held::Finished(entry.finished))
    }

    /// The number of what is held under a name.
    pub(super) fn id(&self, name: u128) -> Option<u64> {
        let unfinished = self.unfinished.get(&name).map(|generation| generation.id);
        unfinished.or_else(|| self.finished.get(&slot(name)).map(|entry| entry.finished.id))
    }

    /// An object was found here that memory had forgotten.
    pub(super) fn used(&mut self, name: u128) {
        if let Some(entry) = self.finished.get_mut(&slot(name)) {
            entry.uses = (entry.uses + 1).min(MOST_USES);
        }
    }

    /// How often an object that is packed was used of late; counting starts anew.
    pub(super) fn take_uses(&mut self, name: u128) -> u8 {
        self.finished.get_mut(&slot(name)).map_or(0, |entry| std::mem::take(&mut entry.uses))
    }

    /// Puts something under a name and returns what was there.
    pub(super) fn insert(&mut self, name: u128, held: Held) -> Option<Held> {
        let before = self.take(name);
        let in_row = before.as_ref().is_some_and(|before| !before.is_packed());
        if !held.is_packed() && !in_row {
            self.policy.entered(name);
        }
        match held {
            Held::Finished(finished) => {
                self.finished.insert(slot(name), Entry { finished, uses: 0 });
            }
            Held::Unfinished(generation) => drop(self.unfinished.insert(name, generation)),
        }
        let Self { finished, unfinished, policy } = self;
        let len = finished.len() + unfinished.len();
        policy.tidy(len, |name| finished.contains_key(&slot(name)) || unfinished.contains_key(&name));
        before
    }

    /// Takes off what has this number; something newer under the same name stays.
    pub(super) fn remove(&mut self, name: u128, id: u64) -> Option<Held> {
        if self.id(name) != Some(id) {
            return None;
        }
        self.take(name)
    }

    fn take(&mut self, name: u128) -> Option<Held> {
        let finished = self.finished.remove(&slot(name)).map(|entry| Held::Finished(entry.finished));
        finished.or_else(|| self.unfinished.remove(&name).map(Held::Unfinished))
    }

    /// Whether a new object is worth a place on a full disk; what is here already in another version is.
    pub(super) fn admits(&mut self, name: u128, records: &Records) -> bool {
        let known = self.id(name).is_some();
        let Self { finished, unfinished, policy, .. } = self;
        policy.missed(name);
        known || policy.admits(name, &mut Hand { finished, unfinished, records, writing: None })
    }

    /// Notes that an object was asked for that is not here.
    pub(super) fn missed(&mut self, name: u128) {
        self.policy.missed(name);
    }

    /// Takes off the object that goes next; what is being filled or written stays.
    pub(super) fn evict(&mut self, records: &Records, writing: u64) -> Option<(u128, Held)> {
        let Self { finished, unfinished, policy, .. } = self;
        let name = policy.victim(&mut Hand { finished, unfinished, records, writing: Some(writing) })?;
        let id = self.id(name)?;
        Some((name, self.remove(name, id)?))
    }

    pub(super) fn len(&self) -> usize {
        self.finished.len() + self.unfinished.len()
    }

    pub(super) fn finished(&self) -> impl Iterator<Item = (u128, Finished)> {
        self.finished.iter().map(|(slot, entry)| (name(*slot), entry.finished))
    }

    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.unfinished.values()
    }
}

/// Eviction's view of the objects.
struct Hand<'a> {
    finished: &'a mut HashMap<Slot, Entry, BuildHasherDefault<AsIs>>,
    unfinished: &'a HashMap<u128, Arc<Generation>>,
    records: &'a Records,
    /// The number of the one that is being written.
    writing: Option<u64>,
}

impl Entries for Hand<'_> {
    fn seen(&mut self, name: u128) -> Seen {
        if let Some(generation) = self.unfinished.get(&name) {
            return seen(generation, self.writing);
        }
        let Some(entry) = self.finished.get_mut(&slot(name)) else { return Seen::Gone };
        if matches!(entry.finished.place(), Place::Packed(_)) {
            return Seen::Gone;
        }
        let id = entry.finished.id;
        let found = entry.uses;
        entry.uses = found.saturating_sub(1);
        match self.records.peek(name).filter(|generation| generation.id == id) {
            Some(generation) => match seen(&generation, self.writing) {
                Seen::Used(uses) => Seen::Used(uses.max(found)),
                other => other,
            },
            None => Seen::Used(found),
        }
    }
}

fn seen(generation: &Generation, writing: Option<u64>) -> Seen {
    if writing == Some(generation.id) || generation.is_filling() {
        Seen::Busy
    } else if generation.is_dead() {
        Seen::Used(0)
    } else {
        Seen::Used(generation.cool())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_objects_take_at_most_150_bytes_each() {
        let mut index = Index::with_capacity(1_000_000);
        for name in 0..1_000_000u128 {
            let name = name.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            index.insert(name, Held::Finished(Finished::file(name as u64, 400_000)));
        }
        // hashbrown: a bucket is the entry and a control byte, buckets are a power of two above 8/7.
        let buckets = (index.finished.capacity() * 8 / 7).next_power_of_two();
        let bytes = buckets * (size_of::<(Slot, Entry)>() + 1) + index.policy.memory();
        assert!(bytes / 1_000_000 <= 150, "{} bytes each", bytes / 1_000_000);
    }

    #[test]
    fn the_oldest_that_was_not_used_goes() {
        let records = Records::new(1 << 20);
        let mut index = Index::with_capacity(0);
        for name in 0..3 {
            index.insert(name, Held::Finished(Finished::file(10 + name as u64, 1)));
        }
        index.insert(1, Held::Finished(Finished::file(20, 1)));
        assert!(index.remove(0, 99).is_none(), "another number under the name");
        assert!(index.remove(0, 10).is_some());
        index.used(1);
        let order: Vec<u64> =
            std::iter::from_fn(|| index.evict(&records, 0)).map(|(_, held)| held.id()).collect();
        assert_eq!(order, [12, 20]);
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn what_is_packed_is_not_the_clocks_business() {
        let records = Records::new(1 << 20);
        let mut index = Index::with_capacity(0);
        let spot = Spot::new(3, 128, 640);
        index.insert(1, Held::Finished(Finished::packed(10, spot)));
        assert!(index.evict(&records, 0).is_none());
        index.insert(1, Held::Finished(Finished::file(11, 5000)));
        assert_eq!(index.get(1).unwrap().cost(), 3 * PAGE);
        assert_eq!(index.evict(&records, 0).unwrap().1.id(), 11);
        let kept = Finished::from_bytes(Finished::packed(10, spot).bytes());
        assert_eq!((kept.id, kept.place()), (10, Place::Packed(spot)));
    }
}
