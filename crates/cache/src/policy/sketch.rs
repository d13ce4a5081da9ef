//! How often names were asked for lately: a count-min sketch of four rows of four-bit counters, halved
//! when as many requests have been counted as make the past old (TinyLFU, Einziger and others, 2017).

/// A counter's largest value.
const MOST: u64 = 15;
/// Words at least; each has sixteen counters.
const LEAST: usize = 1 << 10;
/// The past is halved after so many counts an object.
const SPAN: usize = 10;

/// The sketch: eight to sixteen bytes an object.
pub struct Sketch {
    words: Vec<u64>,
    counted: usize,
}

impl Sketch {
    pub(super) fn with_capacity(objects: usize) -> Self {
        Self { words: vec![0; objects.next_power_of_two().max(LEAST)], counted: 0 }
    }

    /// Sees to it that there is a word for each of so many objects. Growing forgets, which is harmless: it
    /// happens while a disk fills, and then everything is admitted.
    pub(super) fn fit(&mut self, objects: usize) {
        if objects > self.words.len() {
            *self = Self::with_capacity(objects);
        }
    }

    /// Counts a name so many times.
    pub fn add(&mut self, name: u128, times: u8) {
        let mut grew = false;
        for row in 0..4 {
            let (word, shift) = self.place(name, row);
            let count = self.words[word] >> shift & MOST;
            let after = (count + u64::from(times)).min(MOST);
            self.words[word] += (after - count) << shift;
            grew |= after > count;
        }
        if grew {
            self.counted += usize::from(times);
            if self.counted >= self.words.len() * SPAN {
                self.age();
            }
        }
    }

    /// How often a name was counted, or a little more, at most 15.
    #[must_use]
    pub fn estimate(&self, name: u128) -> u8 {
        let counts = (0..4).map(|row| {
            let (word, shift) = self.place(name, row);
            self.words[word] >> shift & MOST
        });
        counts.min().and_then(|count| u8::try_from(count).ok()).unwrap_or(0)
    }

    /// Where a row counts a name: each row has a quarter of every word to itself.
    fn place(&self, name: u128, row: u32) -> (usize, u32) {
        const SPREAD: [u64; 4] =
            [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0xd6e8_feb8_6659_fd93];
        let seed = (name as u64) ^ (name >> 64) as u64;
        let hash = (seed ^ seed >> 32).wrapping_mul(SPREAD[row as usize]);
        let word = (hash >> 24) as usize & (self.words.len() - 1);
        (word, row * 16 + (hash >> 60) as u32 % 4 * 4)
    }

    /// Halves every counter.
    fn age(&mut self) {
        for word in &mut self.words {
            *word = *word >> 1 & 0x7777_7777_7777_7777;
        }
        self.counted /= 2;
    }

    pub(super) fn memory(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}
