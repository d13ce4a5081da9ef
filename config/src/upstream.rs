//! `[shield]`: what an edge fills from.

use url::Url;

use crate::reader::Table;
use crate::{ByteSize, Span};

/// Where an edge fetches what it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Base URLs of the shields, 1 to 16; each object has an order of its own among them, and unsafe requests of web
    /// services go to the first. Required.
    pub urls: Vec<Url>,
    /// The URLs are those of HTTP servers that hold the content themselves: they are asked for the
    /// viewer's path as it is, without service name, node token or fence. Default false.
    pub plain: bool,
    /// Largest body of a viewer's request that is sent on (services with content = "web"), 0B..64GiB,
    /// default 64MiB; beyond it the answer is 413.
    pub request_body: ByteSize,
    /// Longest wait for a connection, 10ms..1m, default 2s. One over which a shield acknowledges nothing for twice as
    /// long, and 2 s at least, is given up, and the next shield asked.
    pub connect: Span,
    /// Longest wait for a shield's header, 100ms..5m, default 10s; it includes the shield's own fetch.
    pub first_byte: Span,
    /// Longest pause within a shield's body, 100ms..5m, default 15s.
    pub stall: Span,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            plain: false,
            request_body: ByteSize::mib(64),
            connect: Span::secs(2),
            first_byte: Span::secs(10),
            stall: Span::secs(15),
        }
    }
}

impl UpstreamConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let wait = [Span::millis(100), Span::minutes(5)];
        let upstream = Self {
            urls: table.urls("urls", None, 16),
            plain: table.switch("plain", usual.plain),
            request_body: table.size(
                "request_body",
                usual.request_body,
                ByteSize::bytes(0),
                ByteSize::gib(64),
            ),
            connect: table.span("connect", usual.connect, Span::millis(10), Span::minutes(1)),
            first_byte: table.span("first_byte", usual.first_byte, wait[0], wait[1]),
            stall: table.span("stall", usual.stall, wait[0], wait[1]),
        };
        if !table.has("urls") {
            table.fault("urls", "is required", "1 to 16 URLs of the form http://host or https://host");
        } else if table.is_empty_list("urls") {
            table.fault("urls", "is empty", "1 to 16 URLs of the form http://host or https://host");
        }
        table.close();
        upstream
    }
}
