//! `[probe]`: an edge measures the way to clients by itself.

use crate::reader::Table;

/// Probes: connection attempts to addresses of recent clients, whose answer or refusal shows the round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Whether this edge probes. Default false: a client sees attempts to connect that it did not ask for, and
    /// whoever watches its network may take them for a scan.
    pub enabled: bool,
    /// Probes a second at most, 1..100, default 5.
    pub per_second: u32,
    /// The port that is tried, 1..65535, default 443. Most clients refuse or ignore any; a refusal tells as much.
    pub port: u16,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self { enabled: false, per_second: 5, port: 443 }
    }
}

impl ProbeConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let probe = Self {
            enabled: table.switch("enabled", usual.enabled),
            per_second: table.count("per_second", usual.per_second, 1, 100),
            port: u16::try_from(table.count("port", usual.port.into(), 1, 65_535)).unwrap_or(usual.port),
        };
        table.close();
        probe
    }
}
