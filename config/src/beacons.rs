//! `[beacons]`: what players may tell of edges.

use crate::reader::Table;

/// Beacons: measurements and errors that players report.
#[derive(Clone, Debug, PartialEq)]
pub struct BeaconsConfig {
    /// Whether they are taken. Default true.
    pub enabled: bool,
    /// Share of sessions that are asked to measure two edges they do not play from, 0.0..1.0, default 0.015: chance
    /// decides, and of no ten thousand shall more than one in fifty be asked. It is how paths become known that
    /// nobody is sent on.
    pub explore: f64,
    /// Beacons taken from one network (/24, IPv6 /48) in a minute, 1..100000, default 600; more get 429.
    pub per_network: u32,
}

impl Default for BeaconsConfig {
    fn default() -> Self {
        Self { enabled: true, explore: 0.015, per_network: 600 }
    }
}

impl BeaconsConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let beacons = Self {
            enabled: table.switch("enabled", usual.enabled),
            explore: table.ratio("explore", usual.explore),
            per_network: table.count("per_network", usual.per_network, 1, 100_000),
        };
        table.close();
        beacons
    }
}
