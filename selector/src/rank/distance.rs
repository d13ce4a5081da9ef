//! Distance: round-trip times per client cell and site, in milliseconds.
//!
//! A cell is a /24 (IPv4) or /48 (IPv6). Edges report what they measured; where nothing is measured every site is
//! assumed equally far, so that an unknown client is placed by load and content alone.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What a site costs in milliseconds while nobody has measured it. Its value hardly matters: it is the same for all.
pub const PRIOR_MS: f64 = 50.0;

/// How many samples weigh as much as the prior.
const PRIOR_SAMPLES: f64 = 8.0;

/// Samples a cell may accumulate: past this the newest still count for at least a fifth of what they say.
const SAMPLES_MAX: f64 = 512.0;

/// Cells kept. Past it new cells are not learnt, which costs accuracy and never memory.
const CELLS_MAX: usize = 100_000;

/// The network a client is taken to live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell(IpNet);

impl Cell {
    /// The cell of one address: its /24 or /48. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn of(address: IpAddr) -> Cell {
        Cell(match address.to_canonical() {
            IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new_assert(v4, 24).trunc()),
            IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new_assert(v6, 48).trunc()),
        })
    }

    /// The cell used where the client is not known.
    pub fn unknown() -> Cell {
        Cell(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)))
    }

    /// How many bits of an address decide that it lies in the cell.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Reads `203.0.113.0/24`; a prefix longer than a cell is widened to its cell.
    pub fn parse(text: &str) -> Option<Cell> {
        text.parse::<IpNet>().ok().map(|net| Cell::of(net.network()))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One believed round-trip time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Milliseconds.
    pub ms: f64,
    /// Whether any measurement stands behind it.
    pub measured: bool,
}

#[derive(Clone, Copy, Debug)]
struct Samples {
    count: f64,
    ms: f64,
}

/// All round-trip times that are known.
#[derive(Clone, Debug, Default)]
pub struct Distances {
    cells: HashMap<Cell, BTreeMap<Arc<str>, Samples>>,
}

impl Distances {
    /// Adds what an edge of `site` measured towards `cell`: `count` samples with this median. Values that are not
    /// a time (negative, not finite, over a minute) are left out.
    pub fn learn(&mut self, cell: Cell, site: &Arc<str>, count: u64, median_ms: f64) {
        if count == 0 || !median_ms.is_finite() || !(0.0..=60_000.0).contains(&median_ms) {
            return;
        }
        if self.cells.len() >= CELLS_MAX && !self.cells.contains_key(&cell) {
            return;
        }
        let new = (count as f64).min(SAMPLES_MAX);
        let sites = self.cells.entry(cell).or_default();
        let samples = sites.entry(Arc::clone(site)).or_insert(Samples { count: 0.0, ms: median_ms });
        samples.ms = (samples.ms * samples.count + median_ms * new) / (samples.count + new);
        samples.count = (samples.count + new).min(SAMPLES_MAX);
    }

    /// The distance from `cell` to `site`: the measurements, pulled towards the prior while they are few.
    pub fn estimate(&self, cell: Cell, site: &str) -> Estimate {
        let Some(samples) = self.cells.get(&cell).and_then(|sites| sites.get(site)) else {
            return Estimate { ms: PRIOR_MS, measured: false };
        };
        let trust = samples.count / (samples.count + PRIOR_SAMPLES);
        Estimate { ms: samples.ms * trust + PRIOR_MS * (1.0 - trust), measured: true }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn clients_of_one_network_share_a_cell() {
        let cell = |text: &str| Cell::of(text.parse().unwrap());
        assert_eq!(cell("203.0.113.7"), cell("203.0.113.200"));
        assert_eq!(cell("203.0.113.7"), cell("::ffff:203.0.113.9"));
        assert_ne!(cell("203.0.113.7"), cell("203.0.114.7"));
        assert_eq!(cell("2001:db8:1:2::5").to_string(), "2001:db8:1::/48");
        assert_eq!(Cell::parse("203.0.113.128/25").unwrap(), cell("203.0.113.1"));
        assert!(Cell::parse("elsewhere").is_none());
    }

    #[test]
    fn few_samples_move_the_belief_a_little_and_many_almost_fully() {
        let (cell, site) = (Cell::parse("203.0.113.0/24").unwrap(), Arc::from("ams"));
        let mut distances = Distances::default();
        assert_eq!(distances.estimate(cell, "ams"), Estimate { ms: PRIOR_MS, measured: false });
        distances.learn(cell, &site, 1, 10.0);
        let few = distances.estimate(cell, "ams").ms;
        distances.learn(cell, &site, 200, 10.0);
        let many = distances.estimate(cell, "ams").ms;
        assert!(few > 40.0 && many < 13.0, "{few} {many}");
    }

    #[test]
    fn nonsense_is_not_learnt() {
        let (cell, site) = (Cell::unknown(), Arc::from("ams"));
        let mut distances = Distances::default();
        for value in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
            distances.learn(cell, &site, 5, value);
        }
        assert!(!distances.estimate(cell, "ams").measured);
    }
}
