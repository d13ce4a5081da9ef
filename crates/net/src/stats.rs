//! What a listener counts, and the sum over a role's listeners.

use std::sync::Arc;
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

/// The counters of several listeners, added up.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub(crate) listeners: Vec<Arc<ServerStats>>,
    /// Connections that all of them together may have open.
    pub connections_limit: u64,
}

impl Traffic {
    /// One number, for example `sum(|stats| &stats.active)`.
    pub fn sum(&self, number: fn(&ServerStats) -> &AtomicU64) -> u64 {
        self.listeners.iter().map(|stats| number(stats).load(Ordering::Relaxed)).sum()
    }

    /// Name, help and value of the numbers that operators watch.
    pub fn metrics(&self) -> [(&'static str, &'static str, u64); 3] {
        let refused = self.sum(|stats| &stats.refused);
        let panics = self.sum(|stats| &stats.panics);
        [
            ("kromka_connections", "Connections open.", self.sum(|stats| &stats.active)),
            ("kromka_connections_refused_total", "Connections over limits.connections.", refused),
            ("kromka_panics_total", "Requests that met a bug of ours and were answered 500 or cut.", panics),
        ]
    }

    /// Connections that failed, by reason: for `kromka_connections_failed_total`.
    pub fn failed(&self) -> [(&'static str, u64); 2] {
        [("tls", self.sum(|stats| &stats.tls_failed)), ("stalled", self.sum(|stats| &stats.stalled))]
    }
}
