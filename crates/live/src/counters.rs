//! What is counted here, and shown with the tier's numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// The running counts.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) refused: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) held_now: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) ahead: AtomicU64,
    pub(crate) ahead_bytes: AtomicU64,
    pub(crate) ahead_used: AtomicU64,
    pub(crate) ahead_skipped: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn metrics(&self, streams: usize) -> Vec<(&'static str, &'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("kromka_live_playlists", "Media playlists known beyond their bytes.", streams as u64),
            (
                "kromka_live_backwards_total",
                "Playlists of sources that would have taken a live stream back.",
                read(&self.refused),
            ),
            ("kromka_live_restarts_total", "Streams that began anew under their name.", read(&self.restarts)),
            ("kromka_live_held", "Reloads that wait for news.", read(&self.held_now)),
            ("kromka_live_held_total", "Reloads that had to wait for news.", read(&self.held)),
            ("kromka_live_late_total", "Held reloads whose news did not come in time.", read(&self.late)),
            (
                "kromka_live_turned_away_total",
                "Reloads not held because too many were.",
                read(&self.turned_away),
            ),
            ("kromka_ahead_total", "Objects fetched before a viewer asked.", read(&self.ahead)),
            ("kromka_ahead_bytes_total", "Bytes fetched before a viewer asked.", read(&self.ahead_bytes)),
            ("kromka_ahead_used_total", "Objects fetched ahead that were asked for.", read(&self.ahead_used)),
            (
                "kromka_ahead_skipped_total",
                "Objects not fetched ahead because viewers needed the way.",
                read(&self.ahead_skipped),
            ),
        ]
    }
}
