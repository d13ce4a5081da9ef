//! Long work: records, and the feed entry that starts each.

use futures_util::TryStreamExt;
use kromka_control::FeedItem;

use super::{
    door::{Store, StoreError, failed, unreadable},
    feed::append_in,
};
use crate::operations::Record;

/// Records kept; the oldest that are closed go first.
const RECORDS_MAX: u32 = 100_000;

impl Store {
    /// Keeps a new record and its feed entry in one transaction, and sets the record's feed number.
    ///
    /// # Errors
    /// When SQLite fails; then neither is there.
    pub(crate) async fn create_operation(
        &self,
        record: &mut Record,
        item: &FeedItem,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        record.feed_seq = append_in(&mut transaction, item).await?;
        let body = serde_json::to_string(record).map_err(unreadable("operation"))?;
        sqlx::query(
            "INSERT INTO operations (id, kind, state, open, created_ms, body) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&record.operation.id)
        .bind(record.operation.kind.to_string())
        .bind(record.operation.state.to_string())
        .bind(record.is_open())
        .bind(record.created_ms as i64)
        .bind(body)
        .execute(&mut *transaction)
        .await
        .map_err(failed("create an operation"))?;
        self.commit_feed(transaction, record.feed_seq).await
    }

    /// Keeps a changed record, unless the one that stands there has ended meanwhile: what has ended does not change.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn save_operation(&self, record: &Record) -> Result<(), StoreError> {
        let body = serde_json::to_string(record).map_err(unreadable("operation"))?;
        sqlx::query("UPDATE operations SET state = ?, open = ?, body = ? WHERE id = ? AND open")
            .bind(record.operation.state.to_string())
            .bind(record.is_open())
            .bind(body)
            .bind(&record.operation.id)
            .execute(&self.writer)
            .await
            .map_err(failed("keep an operation"))?;
        Ok(())
    }

    /// Keeps a record that was cancelled, and its feed entry, in one transaction; false, and neither, if it had ended.
    ///
    /// # Errors
    /// When SQLite fails; then neither is there.
    pub(crate) async fn cancel_operation(&self, record: &Record) -> Result<bool, StoreError> {
        let body = serde_json::to_string(record).map_err(unreadable("operation"))?;
        let mut transaction = self.begin().await?;
        let cancelled =
            sqlx::query("UPDATE operations SET state = ?, open = ?, body = ? WHERE id = ? AND open")
                .bind(record.operation.state.to_string())
                .bind(record.is_open())
                .bind(body)
                .bind(&record.operation.id)
                .execute(&mut *transaction)
                .await
                .map_err(failed("cancel an operation"))?;
        if cancelled.rows_affected() == 0 {
            return Ok(false);
        }
        let cancel = FeedItem::Cancel { operation: record.operation.id.clone() };
        let seq = append_in(&mut transaction, &cancel).await?;
        self.commit_feed(transaction, seq).await?;
        Ok(true)
    }

    /// One record.
    ///
    /// # Errors
    /// When SQLite fails or the record cannot be read.
    pub(crate) async fn operation(&self, id: &str) -> Result<Option<Record>, StoreError> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM operations WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("read an operation"))?;
        body.map(|body| serde_json::from_str(&body).map_err(unreadable("operation"))).transpose()
    }

    /// Up to `limit` records, newest first, those before the record named `before` if one is named. One that cannot be read
    /// any more is left out; the next is in its place.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn operations(
        &self,
        limit: u32,
        before: Option<&str>,
    ) -> Result<Vec<Record>, StoreError> {
        // Ids are UUIDv7: their order is that of creation.
        let mut bodies = sqlx::query_scalar::<_, String>(
            "SELECT body FROM operations WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC",
        )
        .bind(before)
        .fetch(&self.readers);
        let mut records = Vec::new();
        while records.len() < limit as usize {
            let Some(body) = bodies.try_next().await.map_err(failed("list operations"))? else { break };
            records.extend(readable(&body));
        }
        Ok(records)
    }

    /// Every record that still waits for a node. One that cannot be read any more is left out: nodes do their share all the
    /// same, only nobody follows it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn open_operations(&self) -> Result<Vec<Record>, StoreError> {
        let bodies: Vec<String> =
            sqlx::query_scalar("SELECT body FROM operations WHERE open = 1 ORDER BY id")
                .fetch_all(&self.readers)
                .await
                .map_err(failed("read open operations"))?;
        Ok(bodies.iter().filter_map(|body| readable(body)).collect())
    }

    /// Drops the oldest closed records past the bound.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn trim_operations(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM operations WHERE open = 0 AND id <= \
             (SELECT id FROM operations ORDER BY id DESC LIMIT 1 OFFSET ?)",
        )
        .bind(RECORDS_MAX)
        .execute(&self.writer)
        .await
        .map_err(failed("trim operations"))?;
        Ok(())
    }
}

/// A record, unless a newer version wrote it.
fn readable(body: &str) -> Option<Record> {
    let record = serde_json::from_str(body);
    record.inspect_err(|error| tracing::warn!(%error, "an operation in the store cannot be read")).ok()
}
