//! `GET /v1/feed`: what nodes must know, in order, as a long poll.
//!
//! Shields first: a purge is shown to an edge only when every live shield has applied it, or after two seconds.
//! Otherwise an edge that purged early would fill itself again from a shield that has not.

use std::{sync::Arc, time::Duration};

use axum::{Json as Answer, extract::State};
use kromka_control::{Feed, FeedEntry, FeedItem, FeedQuery, NodeRole};
use tokio::time::{Instant, sleep_until};

use super::{body::Params, openapi::Refusals};
use crate::{app::App, error::ApiError, store::door::now_ms};

/// Longest wait that may be asked for, in milliseconds.
const WAIT_MAX_MS: u64 = 60_000;

/// How long an edge waits for the shields, in milliseconds. Past it the fence still protects: the edge asks
/// upstream with it.
const SHIELDS_MS: u64 = 2_000;

/// Shows the feed after an entry. For nodes only.
#[utoipa::path(
    get, path = "/v1/feed", tag = "for nodes", security(("node" = [])), params(FeedQuery),
    responses((status = 200, description = "Entries, oldest first.", body = Feed), Refusals)
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    Params(query): Params<FeedQuery>,
) -> Result<Answer<Feed>, ApiError> {
    let deadline = Instant::now() + Duration::from_millis(query.wait_ms.min(WAIT_MAX_MS));
    let (mut heads, mut receipts) = (app.store.watch_feed(), app.roster.watch_receipts());
    loop {
        heads.mark_unchanged();
        receipts.mark_unchanged();
        let entries = match app.store.feed_head() > query.after {
            true => app.store.feed_after(query.after).await?,
            false => Vec::new(),
        };
        let shields = app.roster.shields_at(app.store.feed_id());
        let is_shield = app.roster.role_of(&query.node) == Some(NodeRole::Origin);
        let shown = if is_shield { Shown::all(entries) } else { Shown::to_edge(entries, shields, now_ms()) };
        // A node that is ahead of this feed counts in another: it must hear the feed's name, not wait.
        let ahead = query.after > app.store.feed_head();
        if !shown.entries.is_empty() || ahead || Instant::now() >= deadline {
            let feed_id = app.store.feed_id().to_owned();
            return Ok(Answer(Feed { feed_id, head: app.store.feed_head(), entries: shown.entries }));
        }
        let held = shown.held_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        tokio::select! {
            _ = heads.changed() => {}
            _ = receipts.changed(), if held.is_some() => {}
            () = sleep_until(held.map_or(deadline, |held| held.min(deadline))) => {}
            () = app.stop.cancelled() => return Err(ApiError::Busy("the selector is stopping; ask another")),
        }
    }
}

/// What one node is shown of the feed now.
#[derive(Debug)]
struct Shown {
    entries: Vec<FeedEntry>,
    /// For how many milliseconds at most the next entry is held back.
    held_ms: Option<u64>,
}

impl Shown {
    fn all(entries: Vec<FeedEntry>) -> Shown {
        Shown { entries, held_ms: None }
    }

    /// Everything before the first purge that a live shield has still to apply.
    fn to_edge(mut entries: Vec<FeedEntry>, shields: Option<u64>, now_ms: u64) -> Shown {
        let Some(applied) = shields else { return Shown::all(entries) };
        // What seems to come from the future was written before this machine's clock was set back: it has waited.
        let age_ms = |entry: &FeedEntry| {
            let written_ms = entry.at.timestamp_millis().max(0) as u64;
            now_ms.checked_sub(written_ms).unwrap_or(SHIELDS_MS)
        };
        let waits = |entry: &FeedEntry| {
            matches!(entry.what, FeedItem::Purge(_)) && entry.seq > applied && age_ms(entry) < SHIELDS_MS
        };
        let Some(first) = entries.iter().position(waits) else { return Shown::all(entries) };
        let held_ms = SHIELDS_MS.saturating_sub(age_ms(&entries[first])).max(1);
        entries.truncate(first);
        Shown { entries, held_ms: Some(held_ms) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use chrono::DateTime;
    use kromka_control::{PurgeMode, PurgeOrder};

    use super::*;

    fn entry(seq: u64, purge: bool) -> FeedEntry {
        let order = PurgeOrder {
            operation: "op".into(),
            service: "default".into(),
            mode: PurgeMode::Hard,
            urls: vec![],
            prefixes: vec![],
            tags: vec![],
        };
        let what = if purge { FeedItem::Purge(order) } else { FeedItem::Cancel { operation: "x".into() } };
        FeedEntry { seq, at: DateTime::from_timestamp_millis(10_000).unwrap(), what }
    }

    fn seqs(shown: &Shown) -> Vec<u64> {
        shown.entries.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn an_edge_waits_for_the_slowest_shield_and_not_for_ever() {
        let entries = vec![entry(1, false), entry(2, true), entry(3, false), entry(4, true)];
        let shown = Shown::to_edge(entries.clone(), Some(1), 10_500);
        assert_eq!((seqs(&shown), shown.held_ms), (vec![1], Some(1_500)));
        let shown = Shown::to_edge(entries.clone(), Some(2), 10_500);
        assert_eq!(seqs(&shown), [1, 2, 3]);
        let shown = Shown::to_edge(entries.clone(), Some(4), 10_500);
        assert_eq!((seqs(&shown), shown.held_ms), (vec![1, 2, 3, 4], None));
        let shown = Shown::to_edge(entries.clone(), Some(0), 12_000);
        assert_eq!(seqs(&shown), [1, 2, 3, 4]);
        assert_eq!(
            seqs(&Shown::to_edge(entries.clone(), None, 10_000)),
            [1, 2, 3, 4],
            "without shields nobody waits"
        );
        assert_eq!(seqs(&Shown::to_edge(entries, Some(0), 9_000)), [1, 2, 3, 4], "the clock was set back");
    }
}
