//! `[live]`: what a node does for players of live streams, and for what they will ask for next.

use crate::reader::Table;

/// Bounds of what waits for news of live streams and of what is fetched before it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// Blocked reloads (low-latency HLS) that are held at once, 0..1000000, default 16384; one more gets 503.
    pub held: u32,
    /// Fetches ahead of viewers at once, 0..4096, default 32, an eighth of `cache.fills`; where all are in
    /// use, nothing more is fetched ahead. As many again may wait for parts that low-latency playlists announce.
    pub ahead: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self { held: 16_384, ahead: 32 }
    }
}

impl LiveConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let live = Self {
            held: table.count("held", usual.held, 0, 1_000_000),
            ahead: table.count("ahead", usual.ahead, 0, 4096),
        };
        table.close();
        live
    }
}
