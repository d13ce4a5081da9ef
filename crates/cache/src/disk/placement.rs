//! On which disk an object belongs: weighted rendezvous hashing. Each disk draws a number for the name and
//! divides it by its weight; the best draw has the object. So a disk that is added or lost moves only its own
//! share, and shares are as the weights.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

/// A disk as placement sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    /// What its draws are made of: the same at every start.
    seed: u64,
    weight: f64,
}

impl Draw {
    /// A disk replaced in the same place keeps its share.
    pub(super) fn new(path: &Path, weight: f64) -> Self {
        use std::os::unix::ffi::OsStrExt;
        Self { seed: xxh3_64(path.as_os_str().as_bytes()), weight }
    }

    /// The lower, the better.
    pub(super) fn of(self, name: u128) -> f64 {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&name.to_le_bytes());
        bytes[16..].copy_from_slice(&self.seed.to_le_bytes());
        // 53 bits, as many as the fraction of a double has, and never 0.
        let uniform = ((xxh3_64(&bytes) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -uniform.ln() / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(draws: &[Draw], name: u128) -> usize {
        (0..draws.len()).min_by(|&a, &b| draws[a].of(name).total_cmp(&draws[b].of(name))).unwrap()
    }

    #[test]
    fn shares_are_as_the_weights_and_a_lost_disk_moves_only_its_own() {
        let disks =
            [("/a", 1.0), ("/b", 2.0), ("/c", 5.0)].map(|(path, weight)| Draw::new(Path::new(path), weight));
        let names = 80_000u128;
        let mut shares = [0; 3];
        for name in 0..names {
            let with = best(&disks, name << 70 | name);
            shares[with] += 1;
            let without = best(&disks[..2], name << 70 | name);
            assert!(with == 2 || with == without);
        }
        for (share, eighths) in shares.iter().zip([1, 2, 5]) {
            let wanted = names as i64 * eighths / 8;
            assert!((*share as i64 - wanted).abs() < wanted / 20, "{shares:?}");
        }
    }
}
