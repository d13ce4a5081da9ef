//! What a listener counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one listener, since it began to serve; read them with [`Ordering::Relaxed`].
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Connections accepted within the limit.
    pub accepted: AtomicU64,
    /// Connections open now.
    pub active: AtomicU64,
    /// Connections answered 503 (or, with TLS, closed) because `limits.connections` were open.
    pub refused: AtomicU64,
    /// TLS handshakes that failed or took longer than `limits.header_timeout`.
    pub tls_failed: AtomicU64,
    /// Requests whose header was complete, also those refused with 414 or 431.
    pub requests: AtomicU64,
    /// Requests in progress: from the complete header to the last byte handed to the connection.
    pub in_flight: AtomicU64,
    /// Requests refused by their form: 400 (HTTP/1 only), 414, 431.
    pub malformed: AtomicU64,
    /// Connections closed because no complete header came in time.
    pub header_timeouts: AtomicU64,
    /// Connections closed because the client took (almost) nothing for `limits.send_timeout`.
    pub stalled: AtomicU64,
    /// Handlers and bodies that panicked.
    pub panics: AtomicU64,
    /// Bodies that ended with an error, so that the answer was cut.
    pub body_errors: AtomicU64,
    /// Failed accepts (out of file descriptors, for example).
    pub accept_errors: AtomicU64,
    /// Bytes written to sockets, headers and TLS framing included.
    pub sent_bytes: AtomicU64,
    /// Bytes read from sockets.
    pub received_bytes: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn uncount(counter: &AtomicU64) {
    counter.fetch_sub(1, Ordering::Relaxed);
}
