//! `[limits]`: what one listener accepts, so that no client can take more than its share.

use crate::reader::Table;
use crate::{ByteSize, Span};

/// Bounds of the public listeners; they hold for each listener apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, 1..1000000, default 16384; each costs a task and some 10 to 50 KiB. One
    /// more is answered 503 with `Retry-After`, or closed on a TLS listener before its handshake.
    pub connections: u32,
    /// Bytes of one request's header block, 8KiB..256KiB, default 16KiB; beyond it the answer is 431. A
    /// token in the path alone can take 1 KiB.
    pub header_bytes: ByteSize,
    /// Bytes of a request's path and query, 1KiB..64KiB and at most `header_bytes`, default 8KiB; beyond it
    /// the answer is 414.
    pub url_bytes: ByteSize,
    /// Longest wait for a whole request header, 100ms..5m, default 10s. It starves slow-header attacks.
    pub header_timeout: Span,
    /// A connection without any request is closed after this, 1s..1h, default 75s: longer than the
    /// 60 s that most balancers keep theirs, so that they close first.
    pub idle_timeout: Span,
    /// Longest time that sent bytes may stay unacknowledged (TCP_USER_TIMEOUT), 1s..10m, default 30s. A
    /// viewer who vanished in a tunnel must not hold buffers for quarter of an hour.
    pub send_timeout: Span,
    /// HTTP/2 streams open at once on a connection, 1..1000, default 128. Players need fewer than ten.
    pub streams: u32,
    /// Longest wait for answers in progress when the process stops, 0s..1h, default 30s; what is left then
    /// is cut.
    pub drain: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_bytes: ByteSize::kib(16),
            url_bytes: ByteSize::kib(8),
            header_timeout: Span::secs(10),
            idle_timeout: Span::secs(75),
            send_timeout: Span::secs(30),
            streams: 128,
            drain: Span::secs(30),
        }
    }
}

impl Limits {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let size = ByteSize::kib;
        let limits = Self {
            connections: table.count("connections", usual.connections, 1, 1_000_000),
            header_bytes: table.size("header_bytes", usual.header_bytes, size(8), size(256)),
            url_bytes: table.size("url_bytes", usual.url_bytes, size(1), size(64)),
            header_timeout: table.span(
                "header_timeout",
                usual.header_timeout,
                Span::millis(100),
                Span::minutes(5),
            ),
            idle_timeout: table.span("idle_timeout", usual.idle_timeout, Span::secs(1), Span::hours(1)),
            send_timeout: table.span("send_timeout", usual.send_timeout, Span::secs(1), Span::minutes(10)),
            streams: table.count("streams", usual.streams, 1, 1000),
            drain: table.span("drain", usual.drain, Span::secs(0), Span::hours(1)),
        };
        if limits.url_bytes > limits.header_bytes {
            let message = format!("{} is more than header_bytes", limits.url_bytes);
            table.fault("url_bytes", message, format!("{}..{}", size(1), limits.header_bytes));
        }
        table.close();
        limits
    }
}
