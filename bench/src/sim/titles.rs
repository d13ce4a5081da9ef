//! What is watched, and what edges keep of it.

use super::dice::{Dice, Weighted};

/// Titles there are.
pub const TITLES: usize = 20_000;

/// Titles that a node keeps.
const KEPT: usize = 400;

/// No title.
const NONE: u16 = u16::MAX;

/// Popularity after Zipf.
#[derive(Clone, Debug)]
pub struct Popularity(Weighted);

impl Popularity {
    /// The n-th title is watched as often as `n^-exponent`.
    pub fn new(exponent: f64) -> Popularity {
        Popularity(Weighted::new((1..=TITLES).map(|rank| (rank as f64).powf(-exponent))))
    }

    /// Some title.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        self.0.draw(dice)
    }
}

/// What one node keeps: the titles watched there last.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Neighbours in the order of their last use; the place behind the last title is the head of the ring.
    newer: Vec<u16>,
    older: Vec<u16>,
    count: usize,
}

impl Kept {
    /// Nothing yet.
    pub fn new() -> Kept {
        let mut ring = Kept { newer: vec![NONE; TITLES + 1], older: vec![NONE; TITLES + 1], count: 0 };
        ring.newer[TITLES] = TITLES as u16;
        ring.older[TITLES] = TITLES as u16;
        ring
    }

    /// Whether the title is there; afterwards it is.
    pub fn watch(&mut self, title: usize) -> bool {
        let hit = self.newer[title] != NONE;
        if hit {
            self.unlink(title);
        } else if self.count == KEPT {
            let last = usize::from(self.newer[TITLES]);
            self.unlink(last);
            self.newer[last] = NONE;
        } else {
            self.count += 1;
        }
        let first = usize::from(self.older[TITLES]);
        self.older[TITLES] = title as u16;
        self.newer[title] = TITLES as u16;
        self.older[title] = first as u16;
        self.newer[first] = title as u16;
        hit
    }

    fn unlink(&mut self, title: usize) {
        let (newer, older) = (self.newer[title], self.older[title]);
        self.older[usize::from(newer)] = older;
        self.newer[usize::from(older)] = newer;
    }
}

impl Default for Kept {
    fn default() -> Kept {
        Kept::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_watched_last_is_kept() {
        let mut kept = Kept::new();
        assert!((0..KEPT).all(|title| !kept.watch(title)));
        assert!((0..KEPT).all(|title| kept.watch(title)));
        assert!(kept.watch(0), "the oldest is used again");
        assert!(!kept.watch(9_999), "something new takes the place of 1");
        assert!(kept.watch(0) && kept.watch(2) && !kept.watch(1));
    }

    #[test]
    fn few_titles_are_watched_most() {
        let (popularity, mut dice) = (Popularity::new(0.9), Dice::new(1, 1));
        let first = (0..10_000).filter(|_| popularity.draw(&mut dice) < 400).count();
        assert!((4_000..6_500).contains(&first), "{first}");
    }
}
