//! What is on disk, by name: as small as it can be, since there may be millions. The header of a
//! finished object is in its file (see [`super::trailer`]); only what is unfinished is kept whole here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::generation::Generation;

/// The unit that disk space is counted in, bytes; what a block costs on most file systems.
pub(super) const PAGE: u64 = 4096;

/// Pages that so many bytes take.
pub(super) fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX)
}

/// A finished object: its file is found by its name's hash and this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub id: u64,
    pub pages: u32,
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
            Self::Finished(finished) => u64::from(finished.pages) * PAGE,
            Self::Unfinished(generation) => generation.disk_state().bytes,
        }
    }
}

/// The index, with the order in which eviction looks at it.
#[derive(Default)]
pub(super) struct Index {
    finished: HashMap<u128, Finished>,
    unfinished: HashMap<u128, Arc<Generation>>,
    /// Every name once, oldest first.
    clock: VecDeque<u128>,
}

impl Index {
    pub(super) fn with_capacity(objects: usize) -> Self {
        let finished = HashMap::with_capacity(objects);
        Self { finished, unfinished: HashMap::new(), clock: VecDeque::with_capacity(objects) }
    }

    pub(super) fn get(&self, name: u128) -> Option<Held> {
        if let Some(generation) = self.unfinished.get(&name) {
            return Some(Held::Unfinished(generation.clone()));
        }
        self.finished.get(&name).copied().map(Held::Finished)
    }

    /// Puts something under a name and returns what was there.
    pub(super) fn insert(&mut self, name: u128, held: Held) -> Option<Held> {
        let before = self.take(name);
        if before.is_none() {
            self.clock.push_back(name);
        }
        match held {
            Held::Finished(finished) => drop(self.finished.insert(name, finished)),
            Held::Unfinished(generation) => drop(self.unfinished.insert(name, generation)),
        }
        before
    }

    /// Takes off what has this number; something newer under the same name stays.
    pub(super) fn remove(&mut self, name: u128, id: u64) -> Option<Held> {
        if self.get(name).is_some_and(|held| held.id() == id) { self.take(name) } else { None }
    }

    fn take(&mut self, name: u128) -> Option<Held> {
        let finished = self.finished.remove(&name).map(Held::Finished);
        finished.or_else(|| self.unfinished.remove(&name).map(Held::Unfinished))
    }

    /// The name the eviction hand points at; it moves on. Names that are gone fall out.
    pub(super) fn oldest(&mut self) -> Option<(u128, Held)> {
        while let Some(name) = self.clock.pop_front() {
            if let Some(held) = self.get(name) {
                return Some((name, held));
            }
        }
        None
    }

    /// The hand spares this one for another round.
    pub(super) fn spare(&mut self, name: u128) {
        self.clock.push_back(name);
    }

    pub(super) fn len(&self) -> usize {
        self.finished.len() + self.unfinished.len()
    }

    pub(super) fn finished(&self) -> impl Iterator<Item = (u128, Finished)> {
        self.finished.iter().map(|(name, finished)| (*name, *finished))
    }

    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.unfinished.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_objects_take_at_most_150_bytes_each() {
        let mut index = Index::with_capacity(1_000_000);
        for name in 0..1_000_000u128 {
            index.insert(name << 64 | name, Held::Finished(Finished { id: name as u64, pages: 100 }));
        }
        // hashbrown: a bucket is the entry and a control byte, buckets are a power of two above 8/7.
        let buckets = (index.finished.capacity() * 8 / 7).next_power_of_two();
        let entry = size_of::<(u128, Finished)>() + 1;
        let bytes = buckets * entry + index.clock.capacity() * size_of::<u128>();
        assert!(bytes / 1_000_000 <= 150, "{} bytes each", bytes / 1_000_000);
    }

    #[test]
    fn the_hand_passes_each_once_a_round() {
        let mut index = Index::default();
        for name in 0..3 {
            index.insert(name, Held::Finished(Finished { id: 10 + name as u64, pages: 1 }));
        }
        index.insert(1, Held::Finished(Finished { id: 20, pages: 1 }));
        assert!(index.remove(0, 99).is_none(), "another number under the name");
        assert!(index.remove(0, 10).is_some());
        let (name, held) = index.oldest().unwrap();
        assert_eq!((name, held.id()), (1, 20));
        index.spare(name);
        assert_eq!(index.oldest().unwrap().0, 2);
        assert_eq!(index.oldest().unwrap().0, 1);
        assert!(index.oldest().is_none());
    }
}
