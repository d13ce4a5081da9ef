//! `[routing]`: how a selector judges nodes and ranks them.

use crate::Span;

/// When a node counts as lost, and how distance is weighed against load.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingConfig {
    /// Time between heartbeats that nodes are asked for, 100ms..60s, default 500ms.
    pub heartbeat: Span,
    /// A node silent for this long gets no new sessions while others are left, 200ms..10m and longer than
    /// `heartbeat`, default 1250ms (two and a half heartbeats).
    pub suspect_after: Span,
    /// A node silent for this long is down, 300ms..1h and longer than `suspect_after`, default 3s (six
    /// heartbeats).
    pub down_after: Span,
    /// Scale of the price of load, in milliseconds of distance, 0..1000, default 10. 0 = distance alone.
    pub price_ms: u32,
    /// How far the node that holds a title may be loaded above its site's mean before the next one takes
    /// over, as a share of the site's headroom, 0.0..1.0, default 0.15.
    pub spill: f64,
    /// Sites whose costs differ by less count as equal, in milliseconds, 0..100, default 2: below what an
    /// RTT measurement can tell.
    pub tie_ms: u32,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            heartbeat: Span::millis(500),
            suspect_after: Span::millis(1250),
            down_after: Span::secs(3),
            price_ms: 10,
            spill: 0.15,
            tie_ms: 2,
        }
    }
}
