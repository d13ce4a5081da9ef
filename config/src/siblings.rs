//! `[siblings]`: filling from the other edges of the same site.

use url::Url;

use crate::Span;
use crate::reader::Table;

/// How an edge fills from its siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiblingsConfig {
    /// Whether the edges of a site fill from one another: each object has one owner among them, which alone
    /// asks the shields. Default false.
    pub fill: bool,
    /// Base URLs of the other edges of this site, at most 64. Default `[]`: those that the selector names.
    pub urls: Vec<Url>,
    /// Longest wait for a sibling's header, 10ms..30s, default 2s; then a shield is asked.
    pub first_byte: Span,
}

impl Default for SiblingsConfig {
    fn default() -> Self {
        Self { fill: false, urls: Vec::new(), first_byte: Span::secs(2) }
    }
}

impl SiblingsConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let siblings = Self {
            fill: table.switch("fill", usual.fill),
            urls: table.urls("urls", Some("[]"), 64),
            first_byte: table.span("first_byte", usual.first_byte, Span::millis(10), Span::secs(30)),
        };
        table.close();
        siblings
    }
}
