//! The constants of ranking, as configured.

use std::collections::BTreeMap;

use super::{
    Position,
    score::{Prices, SCALE_MS},
};

/// What is known of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteSettings {
    /// The operator's cost in milliseconds (traffic price, contract).
    pub cost_ms: f64,
    /// Where it stands.
    pub position: Option<Position>,
}

/// The constants of ranking.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence in milliseconds after which an edge gets no new viewers while another is sound.
    pub suspect_after_ms: u64,
    /// Silence in milliseconds after which an edge is taken to be dead.
    pub down_after_ms: u64,
    /// The price of congestion.
    pub prices: Prices,
    /// How far a node may be loaded above its site, as a share (0..1) of the site's free capacity.
    pub spill: f64,
    /// Sites whose costs differ by no more than this many milliseconds count as equal.
    pub tie_ms: f64,
    /// How long a node that came back takes to be given its full share, in milliseconds.
    pub slow_start_ms: u64,
    /// How long a viewer takes to arrive and to show in reports, in milliseconds.
    pub settle_ms: u64,
    /// What is known of each site; one that is not named costs nothing and has no position.
    pub sites: BTreeMap<String, SiteSettings>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            suspect_after_ms: 1_250,
            down_after_ms: 3_000,
            prices: Prices::new(SCALE_MS),
            spill: 0.15,
            tie_ms: 2.0,
            slow_start_ms: 60_000,
            settle_ms: 1_000,
            sites: BTreeMap::new(),
        }
    }
}
