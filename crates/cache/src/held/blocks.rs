//! The arithmetic of a body cut into blocks, and the set of blocks that are somewhere.

use std::ops::Range;

/// The block that holds the byte at `position`.
pub(crate) fn block_of(position: u64, size: u64) -> u32 {
    u32::try_from(position / size).unwrap_or(u32::MAX)
}

/// The first byte of a block.
pub(crate) fn start_of(block: u32, size: u64) -> u64 {
    u64::from(block) * size
}

/// The blocks that a byte range touches; the end of one without an end is `u32::MAX`.
pub(crate) fn blocks_of(bytes: &Range<u64>, size: u64) -> Range<u32> {
    if bytes.is_empty() {
        return 0..0;
    }
    block_of(bytes.start, size)..block_of(bytes.end - 1, size).saturating_add(1)
}

/// How many blocks a body of `length` bytes has.
pub(crate) fn count(length: u64, size: u64) -> u32 {
    u32::try_from(length.div_ceil(size)).unwrap_or(u32::MAX)
}

/// The bytes of a block in a body of `length` bytes.
pub(crate) fn bytes_of(block: u32, size: u64, length: u64) -> Range<u64> {
    let start = start_of(block, size).min(length);
    start..(start + size).min(length)
}

/// A growing set of block numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockSet {
    words: Vec<u64>,
}

impl BlockSet {
    pub(crate) fn insert(&mut self, block: u32) {
        let word = block as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (block % 64);
    }

    pub(crate) fn remove(&mut self, block: u32) {
        if let Some(word) = self.words.get_mut(block as usize / 64) {
            *word &= !(1 << (block % 64));
        }
    }

    pub(crate) fn contains(&self, block: u32) -> bool {
        self.words.get(block as usize / 64).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    pub(crate) fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn edges_of_blocks() {
        assert_eq!(blocks_of(&(0..4), 4), 0..1);
        assert_eq!(blocks_of(&(3..5), 4), 0..2);
        assert_eq!(blocks_of(&(5..5), 4), 0..0);
        assert_eq!(blocks_of(&(4..u64::MAX), 4), 1..u32::MAX);
        assert_eq!(count(0, 4), 0);
        assert_eq!(count(9, 4), 3);
        assert_eq!(bytes_of(2, 4, 9), 8..9);
    }

    proptest! {
        #[test]
        fn a_set_is_a_set(ops in prop::collection::vec((any::<bool>(), 0u32..500), 0..200)) {
            let mut set = BlockSet::default();
            let mut model = BTreeSet::new();
            for (add, block) in ops {
                if add { set.insert(block); model.insert(block); } else { set.remove(block); model.remove(&block); }
            }
            prop_assert_eq!(set.len() as usize, model.len());
            for block in 0..520 { prop_assert_eq!(set.contains(block), model.contains(&block)); }
        }

        #[test]
        fn blocks_cover_exactly(length in 1u64..10_000, size in 1u64..300, a in 0u64..10_000, b in 0u64..10_000) {
            let range = a.min(b).min(length - 1)..a.max(b).min(length);
            prop_assume!(!range.is_empty());
            let blocks = blocks_of(&range, size);
            prop_assert!(bytes_of(blocks.start, size, length).contains(&range.start));
            prop_assert!(bytes_of(blocks.end - 1, size, length).contains(&(range.end - 1)));
        }
    }
}
