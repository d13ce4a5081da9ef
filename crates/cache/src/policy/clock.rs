//! The order of eviction: CLOCK over the objects in the order they came.

use std::collections::{HashSet, VecDeque};

use super::Sketch;

/// What the hand sees of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It left by another way.
    Gone,
    /// It must stay for now: it is being filled, or written.
    Busy,
    /// How often it was used that the hand has not passed over yet, at most a few; each pass takes one off.
    Used(u8),
}

/// Whoever keeps the objects.
pub trait Entries {
    /// Looks at an object as the hand passes it.
    fn seen(&mut self, name: u128) -> Seen;
}

/// Every object once, oldest first. Names that are gone fall out when the hand comes to them.
#[derive(Default)]
pub struct Clock {
    row: VecDeque<u128>,
}

impl Clock {
    pub(super) fn with_capacity(objects: usize) -> Self {
        Self { row: VecDeque::with_capacity(objects) }
    }

    pub(super) fn push(&mut self, name: u128) {
        self.row.push_back(name);
    }

    pub(super) fn pop(&mut self) {
        self.row.pop_front();
    }

    /// Moves the hand to the object that goes next, and leaves it there. Uses that it passes over go into
    /// the sketch. `None` after two rounds in which none may go.
    pub(super) fn next(&mut self, entries: &mut impl Entries, sketch: &mut Sketch) -> Option<u128> {
        for _ in 0..self.row.len() * 2 {
            let name = *self.row.front()?;
            match entries.seen(name) {
                Seen::Used(0) => return Some(name),
                Seen::Gone => drop(self.row.pop_front()),
                seen => {
                    if let Seen::Used(_) = seen {
                        sketch.add(name, 1);
                    }
                    self.row.rotate_left(1);
                }
            }
        }
        None
    }

    pub(super) fn tidy(&mut self, is_here: impl Fn(u128) -> bool) {
        let mut seen = HashSet::new();
        self.row.retain(|&name| is_here(name) && seen.insert(name));
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.row.capacity() * size_of::<u128>()
    }
}
