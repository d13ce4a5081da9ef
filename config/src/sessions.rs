//! `[sessions]`: how long the tokens live that a selector signs.

use crate::Span;
use crate::reader::{Table, TextRule};

const ISSUER: TextRule = TextRule {
    allowed: "1 to 255 visible ASCII characters",
    holds: |text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()),
};

/// Lifetimes of playback sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsConfig {
    /// The token's `iss` claim, 1 to 255 characters without spaces. Default `kromka`.
    pub issuer: String,
    /// Time to press play: multivariant playlists are refused after it, 1s..1d, default 5m. It is what makes
    /// a copied link worthless.
    pub start: Span,
    /// Added to the content's length for pauses, 0s..1d, default 15m.
    pub grace: Span,
    /// Length that is assumed when the caller gives none, 1s..30d and at most `max`, default 4h.
    pub duration: Span,
    /// Longest session, grace included, 1m..30d, default 1d. A key can be retired only after it.
    pub max: Span,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            issuer: "kromka".to_owned(),
            start: Span::secs(300),
            grace: Span::minutes(15),
            duration: Span::hours(4),
            max: Span::hours(24),
        }
    }
}

impl SessionsConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let sessions = Self {
            issuer: table.text("issuer", Some(&usual.issuer), ISSUER).unwrap_or(usual.issuer),
            start: table.span("start", usual.start, Span::secs(1), Span::hours(24)),
            grace: table.span("grace", usual.grace, Span::secs(0), Span::hours(24)),
            duration: table.span("duration", usual.duration, Span::secs(1), Span::days(30)),
            max: table.span("max", usual.max, Span::minutes(1), Span::days(30)),
        };
        for (key, value) in [("start", sessions.start), ("duration", sessions.duration)] {
            if value > sessions.max {
                let message = format!("{value} is longer than sessions.max");
                table.fault(key, message, format!("1s..{}", sessions.max));
            }
        }
        table.close();
        sessions
    }
}
