//! Weighted rendezvous hashing (highest random weight).
//!
//! Every node draws `-capacity / ln(u)` with `u` from a hash of (key, node); the highest draw wins. It needs no
//! ring, honours capacity, and when a node comes or goes only the keys of that node move. Selectors must agree on
//! it for ever, so the hash (XXH3, 64 bit) and the draw are pinned by test vectors.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What stands for a node in its draws; computed once per node.
pub fn seed(node: &str) -> u64 {
    xxh3_64_with_seed(node.as_bytes(), 0)
}

/// The 53 bits that the node with this [`seed`] draws for `key`. Among nodes of equal weight the greater wins.
#[inline]
pub fn bits(key: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), seed) >> 11
}

/// The draw that these [`bits`] make with that weight: greater wins.
#[inline]
pub fn weighted(bits: u64, weight: f64) -> f64 {
    // Moved to the middle of their interval: u is never 0 and never 1.
    let unit = (bits as f64 + 0.5) / (1u64 << 53) as f64;
    -weight / unit.ln()
}

/// What a node draws for a key, before its logarithm is taken.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Its [`bits`].
    pub bits: u64,
    /// Its capacity.
    pub weight: f64,
}

impl Draw {
    /// Whether it is greater: the same as comparing what is [`weighted`]. Logarithms are needed only where one draws
    /// more and the other weighs more, and exact ones only where rough ones leave it open.
    #[inline]
    pub fn beats(self, other: Draw) -> bool {
        if self.bits > other.bits && self.weight >= other.weight {
            return true;
        }
        if self.bits <= other.bits && self.weight <= other.weight {
            return false;
        }
        // The greater weight by logarithm wins; crosswise, it takes no division.
        let (one, another) = (self.weight * rough_log(other.bits), other.weight * rough_log(self.bits));
        if one > another * (1.0 + ROUGHLY) {
            return true;
        }
        if another > one * (1.0 + ROUGHLY) {
            return false;
        }
        weighted(self.bits, self.weight) > weighted(other.bits, other.weight)
    }
}

/// Twice the relative error of [`rough_log`] and more.
const ROUGHLY: f64 = 1e-4;

/// `-ln(u)` of the unit that these [`bits`] make, roughly.
#[inline]
fn rough_log(bits: u64) -> f64 {
    let unit = (bits as f64 + 0.5).to_bits();
    // unit = mantissa * 2^exponent, with a mantissa of 1/2 to 1; 53 is what the bits are divided by.
    let exponent = (unit >> 52) as i64 - 1022 - 53;
    let mantissa = f64::from_bits(unit & ((1 << 52) - 1) | 1022 << 52);
    // ln(m) = 2 artanh((m - 1) / (m + 1)); what is left out is less than a part in 50,000.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)));
    -(2.0 * z * series + exponent as f64 * std::f64::consts::LN_2)
}

/// The draw of `node` for `key`: greater wins. `weight` is the node's capacity in any unit common to all nodes;
/// 0 counts as 1, so that a node which reports no limit can still be chosen.
pub fn draw(key: &str, node: &str, weight: u64) -> f64 {
    weighted(bits(key, seed(node)), weight.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn winner(key: &str, nodes: &[(&'static str, u64)]) -> &'static str {
        nodes
            .iter()
            .copied()
            .max_by(|a, b| draw(key, a.0, a.1).total_cmp(&draw(key, b.0, b.1)))
            .map_or("", |n| n.0)
    }

    #[test]
    fn the_vectors_hold_for_ever() {
        let nodes = [("edge-1", 1), ("edge-2", 1), ("edge-3", 1)];
        let keys = ["/stream/demo/", "/stream/1/", "/stream/2/", "/stream/3/", "/stream/4/", "/stream/5/"];
        let winners: Vec<_> = keys.iter().map(|key| winner(key, &nodes)).collect();
        assert_eq!(winners, PINNED);
    }

    const PINNED: [&str; 6] = ["edge-1", "edge-3", "edge-2", "edge-3", "edge-3", "edge-1"];

    #[test]
    fn equal_weights_need_no_logarithm() {
        for n in 0..5_000 {
            let key = format!("/t/{n}/");
            let (a, b) = (bits(&key, seed("a")), bits(&key, seed("b")));
            assert_eq!(a > b, weighted(a, 7.0) > weighted(b, 7.0), "{key}");
        }
    }

    #[test]
    fn without_logarithms_the_same_wins() {
        for n in 0..50_000u32 {
            let key = format!("/t/{n}/");
            let weight = |times: u32| f64::from(1 + n.wrapping_mul(times) % 7) * 1e9;
            let (a, b) = (bits(&key, seed("a")), bits(&key, seed("b")));
            let (one, other) = (Draw { bits: a, weight: weight(3) }, Draw { bits: b, weight: weight(5) });
            let exact = weighted(a, one.weight) > weighted(b, other.weight);
            assert_eq!((one.beats(other), other.beats(one)), (exact, !exact), "{key}");
            assert!(!one.beats(one), "what is equal beats nobody");
        }
    }

    #[test]
    fn rough_logarithms_are_as_rough_as_they_say() {
        let edges = (0..53).flat_map(|shift| [(1u64 << shift) - 1, 1 << shift, (1 << shift) + 1]);
        let spread = (0..20_000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11);
        let top = (0..1_000u64).map(|n| (1 << 53) - 1 - n * n);
        for bits in edges.chain(spread).chain(top).filter(|bits| *bits < (1 << 53) - 1) {
            let exact = 1.0 / weighted(bits, 1.0);
            let error = (rough_log(bits) / exact - 1.0).abs();
            assert!(error < ROUGHLY / 3.0, "{bits}: {error}");
        }
    }

    #[test]
    fn shares_follow_capacity() {
        let nodes = [("small", 1), ("large", 3)];
        let large = (0..10_000).filter(|n| winner(&format!("/t/{n}/"), &nodes) == "large").count();
        assert!((7_300..7_700).contains(&large), "{large} of 10000 for three quarters of the capacity");
    }

    #[test]
    fn only_the_keys_of_a_lost_node_move() {
        let all = [("a", 1), ("b", 1), ("c", 1), ("d", 1)];
        let left = [("a", 1), ("b", 1), ("c", 1)];
        for n in 0..2_000 {
            let key = format!("/t/{n}/");
            let before = winner(&key, &all);
            if before != "d" {
                assert_eq!(before, winner(&key, &left));
            }
        }
    }
}
