//! `[routing]`: how a selector judges nodes and ranks them.

use crate::Span;
use crate::reader::Table;

/// When a node counts as lost, and how distance is weighed against load.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingConfig {
    /// Time between heartbeats that nodes are asked for, 100ms..1m, default 500ms.
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

impl RoutingConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let routing = Self {
            heartbeat: table.span("heartbeat", usual.heartbeat, Span::millis(100), Span::secs(60)),
            suspect_after: table.span(
                "suspect_after",
                usual.suspect_after,
                Span::millis(200),
                Span::minutes(10),
            ),
            down_after: table.span("down_after", usual.down_after, Span::millis(300), Span::hours(1)),
            price_ms: table.count("price_ms", usual.price_ms, 0, 1000),
            spill: table.ratio("spill", usual.spill),
            tie_ms: table.count("tie_ms", usual.tie_ms, 0, 100),
        };
        let Self { heartbeat, suspect_after, down_after, .. } = routing;
        if suspect_after <= heartbeat {
            let message = format!("{suspect_after} is not longer than heartbeat, {heartbeat}");
            table.fault("suspect_after", message, format!("more than {heartbeat}, up to 10m"));
        }
        if down_after <= suspect_after {
            let message = format!("{down_after} is not longer than suspect_after, {suspect_after}");
            table.fault("down_after", message, format!("more than {suspect_after}, up to 1h"));
        }
        table.close();
        routing
    }
}
