//! `[checks]`: how a selector looks after edges by itself.

use crate::Span;
use crate::reader::Table;

/// Checks of edges: an object is fetched through each one's public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksConfig {
    /// Whether edges are checked. Default true.
    pub enabled: bool,
    /// Time between two checks of an edge, 200ms..5s, default 1s: it is judged by those of the last ten seconds. Of one
    /// that is suspicious they come up to eight times as fast, twenty in a second at most.
    pub interval: Span,
    /// Longest wait for the whole object, 100ms..5s, default 2s; what takes longer has failed. The shortest that it has
    /// taken comes on top, and as much again where it has never come: as much again at most, and five seconds in all,
    /// since an edge is judged by the checks of the last ten.
    pub timeout: Span,
    /// How long an edge that was found failing gets no new viewers the first time, 1s..10m, default 30s; the n-th time
    /// within a while n times as long. It holds for what players and edges themselves tell as well.
    pub hold: Span,
}

impl Default for ChecksConfig {
    fn default() -> Self {
        Self { enabled: true, interval: Span::secs(1), timeout: Span::secs(2), hold: Span::secs(30) }
    }
}

impl ChecksConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let checks = Self {
            enabled: table.switch("enabled", usual.enabled),
            interval: table.span("interval", usual.interval, Span::millis(200), Span::secs(5)),
            timeout: table.span("timeout", usual.timeout, Span::millis(100), Span::secs(5)),
            hold: table.span("hold", usual.hold, Span::secs(1), Span::minutes(10)),
        };
        table.close();
        checks
    }
}
