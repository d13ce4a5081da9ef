//! `[steering]`: how often players ask which edge to take.

use crate::Span;
use crate::reader::Table;

/// Lengths of time between two looks of a player at its steering document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeringConfig {
    /// For content that is live, or of which nobody knows, 1s..10m, default 30s: what a drained edge waits for
    /// its players to leave.
    pub live: Span,
    /// For content that has ended, 1s..10m, default 1m: it is buffered further ahead.
    pub vod: Span,
    /// While the player's edge is close to its limit, in doubt, or failed that player, 1s..10m, default 10s.
    pub hot: Span,
    /// Answers in a second beyond which the times above grow in proportion, 1..1000000, default 20000. A
    /// refusal (429) would silence some players for good.
    pub answers: u32,
    /// Whether playlists name two other edges in full even where a clone would do, default false: players that
    /// take no clones (Shaka) are then steered, and those that know nothing of steering see each variant thrice.
    pub in_full: bool,
}

impl Default for SteeringConfig {
    fn default() -> Self {
        Self {
            live: Span::secs(30),
            vod: Span::secs(60),
            hot: Span::secs(10),
            answers: 20_000,
            in_full: false,
        }
    }
}

impl SteeringConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let (least, most) = (Span::secs(1), Span::minutes(10));
        let steering = Self {
            live: table.span("live", usual.live, least, most),
            vod: table.span("vod", usual.vod, least, most),
            hot: table.span("hot", usual.hot, least, most),
            answers: table.count("answers", usual.answers, 1, 1_000_000),
            in_full: table.switch("in_full", usual.in_full),
        };
        table.close();
        steering
    }
}
