//! `[shield]`: the shields an edge fills from.

use url::Url;

use crate::Span;

/// Where an edge fetches what it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Base URLs of the shields, 1 to 16, the preferred one first. Required.
    pub urls: Vec<Url>,
    /// Longest wait for a connection, 10ms..1m, default 2s.
    pub connect: Span,
    /// Longest wait for a shield's header, 100ms..5m, default 10s; it includes the shield's own fetch.
    pub first_byte: Span,
    /// Longest pause within a shield's body, 100ms..5m, default 15s.
    pub stall: Span,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self { urls: Vec::new(), connect: Span::secs(2), first_byte: Span::secs(10), stall: Span::secs(15) }
    }
}
