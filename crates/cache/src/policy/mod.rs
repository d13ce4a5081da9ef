//! What a disk keeps: which object goes when room is needed, and whether a new one is worth its place.
//!
//! - [`Clock`] is the order of eviction: every object once, in the order it came; the hand passes over what
//!   was used since its last round and takes what was not;
//! - [`Sketch`] remembers how often names were asked for lately, in eight bytes an object;
//! - [`Policy`] is both: an object is admitted to a full disk if it was asked for more often than the one
//!   that would have to go, so that a crawl through the catalogue pushes nothing out.
//!
//! Pure: no clock, no lock, no I/O. The disk drives it, and so does the simulator of the benchmarks, which
//! compares it with what others do.

mod clock;
mod sketch;

pub use clock::{Clock, Entries, Seen};
pub use sketch::Sketch;

/// Eviction and admission of one disk.
pub struct Policy {
    clock: Clock,
    sketch: Sketch,
}

impl Policy {
    /// Room for the order of so many objects; it grows.
    #[must_use]
    pub fn with_capacity(objects: usize) -> Self {
        Self { clock: Clock::with_capacity(objects), sketch: Sketch::with_capacity(objects) }
    }

    /// An object was asked for and was not in its place.
    pub fn missed(&mut self, name: u128) {
        self.sketch.add(name, 1);
    }

    /// Whether a new object deserves a place on a full disk: it was asked for more often of late than the
    /// object that would go for it.
    pub fn admits(&mut self, name: u128, entries: &mut impl Entries) -> bool {
        let Some(other) = self.clock.next(entries, &mut self.sketch) else { return true };
        self.sketch.estimate(name) > self.sketch.estimate(other)
    }

    /// An object takes its place, at the end of the row. To be called once for each, until it has left.
    pub fn entered(&mut self, name: u128) {
        self.clock.push(name);
        self.sketch.fit(self.clock.len());
    }

    /// Takes names off the row that are gone, or stand there twice because they left and came again, once it
    /// is much longer than the `objects` that there are.
    pub fn tidy(&mut self, objects: usize, is_here: impl Fn(u128) -> bool) {
        if self.clock.len() > 2 * objects + 1024 {
            self.clock.tidy(is_here);
        }
    }

    /// Takes the object that goes next off the row. `None` if all there are must stay.
    pub fn victim(&mut self, entries: &mut impl Entries) -> Option<u128> {
        let name = self.clock.next(entries, &mut self.sketch)?;
        self.clock.pop();
        Some(name)
    }

    /// Bytes of memory that the policy takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.clock.memory() + self.sketch.memory()
    }
}

#[cfg(test)]
mod tests;
