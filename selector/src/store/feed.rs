//! The numbered log for nodes.
//!
//! Numbers only grow. Of entries that replace each other (the key set, a node's wanted state) the newest is kept.
//! Purges are kept up to a bound; past it the oldest of a service melt into one purge of the whole service, so
//! that a node which slept through them drops too much rather than too little.

use chrono::DateTime;
use futures_util::TryStreamExt;
use kromka_control::{FeedEntry, FeedItem, PurgeMode, PurgeOrder};
use sqlx::{Sqlite, Transaction};
use tokio::sync::watch;

use super::door::{Store, StoreError, failed, now_ms, unreadable};

/// Entries in one answer.
const PAGE_ENTRIES: i64 = 500;

/// Bytes of entries in one answer; at least one entry is always in it.
const PAGE_BYTES: usize = 4 << 20;

/// Purges kept one by one.
const PURGES_MAX: u32 = 100_000;

/// Pre-warm orders and their cancellations are of no use to anyone after this long, in milliseconds: 14 days.
const WARM_KEPT_MS: u64 = 14 * 86_400_000;

impl Store {
    /// The number of the newest entry.
    pub(crate) fn feed_head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Tells of every new head.
    pub(crate) fn watch_feed(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Appends one entry and returns its number.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn append(&self, item: &FeedItem) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let seq = append_in(&mut transaction, item).await?;
        self.commit_feed(transaction, seq).await?;
        Ok(seq)
    }

    /// The entries after `after`, oldest first: at most 500 and about 4 MiB.
    ///
    /// # Errors
    /// When SQLite fails or an entry cannot be read.
    pub(crate) async fn feed_after(&self, after: u64) -> Result<Vec<FeedEntry>, StoreError> {
        type Row = (i64, i64, String);
        let failed = failed("read the feed");
        let mut rows =
            sqlx::query_as::<_, Row>("SELECT seq, at_ms, body FROM feed WHERE seq > ? ORDER BY seq LIMIT ?")
                .bind(i64::try_from(after).unwrap_or(i64::MAX))
                .bind(PAGE_ENTRIES)
                .fetch(&self.readers);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while let Some((seq, at, body)) = rows.try_next().await.map_err(&failed)? {
            bytes += body.len();
            if bytes > PAGE_BYTES && !entries.is_empty() {
                break;
            }
            let what: FeedItem = serde_json::from_str(&body).map_err(unreadable("feed entry"))?;
            entries.push(FeedEntry {
                seq: seq as u64,
                at: DateTime::from_timestamp_millis(at).unwrap_or_default(),
                what,
            });
        }
        Ok(entries)
    }

    /// Drops what no node needs any more.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn trim_feed(&self, now_ms: u64) -> Result<(), StoreError> {
        self.trim_feed_to(now_ms, PURGES_MAX).await
    }

    pub(super) async fn trim_feed_to(&self, now_ms: u64, purges: u32) -> Result<(), StoreError> {
        let failed = failed("trim the feed");
        let mut transaction = self.begin().await?;
        // The newest entry stays whatever it is: nodes compare their own number with it.
        sqlx::query(
            "DELETE FROM feed WHERE kind IN ('prewarm', 'cancel') AND at_ms < ? AND seq < (SELECT max(seq) FROM feed)",
        )
        .bind(now_ms.saturating_sub(WARM_KEPT_MS) as i64)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let old: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, body FROM feed WHERE kind = 'purge' AND seq <= \
             (SELECT seq FROM feed WHERE kind = 'purge' ORDER BY seq DESC LIMIT 1 OFFSET ?) ORDER BY seq DESC",
        )
        .bind(purges)
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        for (seq, order) in melt(&old)? {
            match order {
                None => {
                    let delete = sqlx::query("DELETE FROM feed WHERE seq = ?").bind(seq);
                    delete.execute(&mut *transaction).await.map_err(&failed)?;
                }
                Some(order) => {
                    let body = serde_json::to_string(&FeedItem::Purge(order)).map_err(unreadable("purge"))?;
                    let update = sqlx::query("UPDATE feed SET body = ? WHERE seq = ?").bind(body).bind(seq);
                    update.execute(&mut *transaction).await.map_err(&failed)?;
                }
            }
        }
        transaction.commit().await.map_err(&failed)
    }

    /// Commits a transaction that appended up to `seq` and wakes those who wait for the feed.
    pub(super) async fn commit_feed(
        &self,
        transaction: Transaction<'static, Sqlite>,
        seq: u64,
    ) -> Result<(), StoreError> {
        transaction.commit().await.map_err(failed("write the feed"))?;
        self.head.send_if_modified(|head| {
            let newer = seq > *head;
            *head = seq.max(*head);
            newer
        });
        Ok(())
    }
}

/// Appends within a transaction and returns the number.
pub(super) async fn append_in(
    transaction: &mut Transaction<'static, Sqlite>,
    item: &FeedItem,
) -> Result<u64, StoreError> {
    let failed = failed("write the feed");
    let (kind, subject, replaces) = match item {
        FeedItem::Keys { .. } => ("keys", "", true),
        FeedItem::Node { id, .. } => ("node", id.as_str(), true),
        FeedItem::Purge(order) => ("purge", order.operation.as_str(), false),
        FeedItem::Prewarm(order) => ("prewarm", order.operation.as_str(), false),
        FeedItem::Cancel { operation } => ("cancel", operation.as_str(), false),
        FeedItem::Unknown => ("unknown", "", false),
    };
    let head: String = sqlx::query_scalar(
        "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'feed_head' RETURNING value",
    )
    .fetch_one(&mut **transaction)
    .await
    .map_err(&failed)?;
    let seq: i64 = head
        .parse()
        .map_err(|_| failed(sqlx::Error::Decode(format!("feed_head is {head}, not a number").into())))?;
    if replaces {
        sqlx::query("DELETE FROM feed WHERE kind = ? AND subject = ?")
            .bind(kind)
            .bind(subject)
            .execute(&mut **transaction)
            .await
            .map_err(&failed)?;
    }
    let body = serde_json::to_string(item).map_err(unreadable("feed entry"))?;
    sqlx::query("INSERT INTO feed (seq, at_ms, kind, subject, body) VALUES (?, ?, ?, ?, ?)")
        .bind(seq)
        .bind(now_ms() as i64)
        .bind(kind)
        .bind(subject)
        .bind(body)
        .execute(&mut **transaction)
        .await
        .map_err(&failed)?;
    Ok(seq as u64)
}

/// What becomes of purges (newest first) that are one too many: per service the newest becomes a purge of the
/// whole service, the rest (`None`) go.
fn melt(old: &[(i64, String)]) -> Result<Vec<(i64, Option<PurgeOrder>)>, StoreError> {
    let mut melted: Vec<(i64, Option<PurgeOrder>)> = Vec::with_capacity(old.len());
    for (seq, body) in old {
        let FeedItem::Purge(order) = serde_json::from_str(body).map_err(unreadable("purge"))? else {
            continue;
        };
        let newest = melted
            .iter_mut()
            .filter_map(|(_, kept)| kept.as_mut())
            .find(|kept| kept.service == order.service);
        match newest {
            Some(kept) => {
                if order.mode == PurgeMode::Hard {
                    kept.mode = PurgeMode::Hard;
                }
                melted.push((*seq, None));
            }
            None => {
                let whole =
                    PurgeOrder { urls: vec![], prefixes: vec!["/".to_owned()], tags: vec![], ..order };
                melted.push((*seq, Some(whole)));
            }
        }
    }
    Ok(melted)
}
