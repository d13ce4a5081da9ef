//! `service.lifetimes`: how long objects stay fresh where nothing else says so.

use crate::Span;
use crate::reader::Table;

/// Lifetimes by kind of object; a live playlist takes its own from its target duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifetimesConfig {
    /// Media segments, keys and finished media playlists, 0s..3650d, default 365d: published once, never
    /// changed.
    pub segment: Span,
    /// Multivariant playlists, 0s..365d, default 1m: they are rewritten when a rendition is added.
    pub multivariant: Span,
    /// Everything else (posters, subtitles, downloads), 0s..3650d, default 1h.
    pub other: Span,
    /// A 404, 0s..1h, default 1s: a live segment may be there in a moment.
    pub missing: Span,
    /// Whether `Cache-Control` of an HTTP or S3 source wins over these. Default true.
    pub honour_source: bool,
}

impl Default for LifetimesConfig {
    fn default() -> Self {
        Self {
            segment: Span::days(365),
            multivariant: Span::secs(60),
            other: Span::hours(1),
            missing: Span::secs(1),
            honour_source: true,
        }
    }
}

impl LifetimesConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let never = Span::secs(0);
        let lifetimes = Self {
            segment: table.span("segment", usual.segment, never, Span::days(3650)),
            multivariant: table.span("multivariant", usual.multivariant, never, Span::days(365)),
            other: table.span("other", usual.other, never, Span::days(3650)),
            missing: table.span("missing", usual.missing, never, Span::hours(1)),
            honour_source: table.switch("honour_source", usual.honour_source),
        };
        table.close();
        lifetimes
    }
}
