//! Answers kept for callers that repeat a write (`Idempotency-Key`).

use super::door::{Store, StoreError, failed};

/// How long an answer is kept, in milliseconds: 24 hours.
pub(crate) const KEPT_MS: u64 = 24 * 3_600_000;

/// How long a write may be in flight before its record is taken for that of a process that died.
const IN_FLIGHT_MS: u64 = 120_000;

/// Records kept; the oldest go first.
const RECORDS_MAX: i64 = 200_000;

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// The fields worth repeating (`content-type`, `location`, ...).
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known about a key when a write arrives with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Nothing: it is now in flight, and [`Store::finish_write`] or [`Store::forget_write`] must follow.
    First,
    /// The same request was answered.
    Answered(KeptAnswer),
    /// The same key came with another request.
    OtherRequest,
    /// The same request is being worked on.
    InFlight,
}

impl Store {
    /// Claims a key for `caller`; `request` is a digest of method, path and body.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn begin_write(
        &self,
        caller: &str,
        key: &str,
        request: &[u8],
        now_ms: u64,
    ) -> Result<Attempt, StoreError> {
        type Row = (Vec<u8>, Option<i64>, Option<String>, Option<Vec<u8>>);
        let failed = failed("claim an idempotency key");
        let mut transaction = self.begin().await?;
        sqlx::query(
            "DELETE FROM idempotency WHERE caller = ? AND key = ? \
             AND (started_ms < ? OR (status IS NULL AND started_ms < ?))",
        )
        .bind(caller)
        .bind(key)
        .bind(now_ms.saturating_sub(KEPT_MS) as i64)
        .bind(now_ms.saturating_sub(IN_FLIGHT_MS) as i64)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let known: Option<Row> = sqlx::query_as(
            "SELECT request, status, headers, body FROM idempotency WHERE caller = ? AND key = ?",
        )
        .bind(caller)
        .bind(key)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
        let attempt = match known {
            None => {
                sqlx::query("INSERT INTO idempotency (caller, key, request, started_ms) VALUES (?, ?, ?, ?)")
                    .bind(caller)
                    .bind(key)
                    .bind(request)
                    .bind(now_ms as i64)
                    .execute(&mut *transaction)
                    .await
                    .map_err(&failed)?;
                Attempt::First
            }
            Some((before, ..)) if before != request => Attempt::OtherRequest,
            Some((_, Some(status), headers, body)) => Attempt::Answered(KeptAnswer {
                status: status as u16,
                headers: serde_json::from_str(headers.as_deref().unwrap_or("[]")).unwrap_or_default(),
                body: body.unwrap_or_default(),
            }),
            Some((_, None, ..)) => Attempt::InFlight,
        };
        transaction.commit().await.map_err(&failed)?;
        Ok(attempt)
    }

    /// Keeps the answer to a claimed key.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn finish_write(
        &self,
        caller: &str,
        key: &str,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError> {
        let headers = serde_json::to_string(&answer.headers).unwrap_or_else(|_| "[]".to_owned());
        sqlx::query("UPDATE idempotency SET status = ?, headers = ?, body = ? WHERE caller = ? AND key = ?")
            .bind(i64::from(answer.status))
            .bind(headers)
            .bind(&answer.body)
            .bind(caller)
            .bind(key)
            .execute(&self.writer)
            .await
            .map_err(failed("keep an answer"))?;
        Ok(())
    }

    /// Frees a claimed key: the write did not happen and may be tried again.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn forget_write(&self, caller: &str, key: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotency WHERE caller = ? AND key = ? AND status IS NULL")
            .bind(caller)
            .bind(key)
            .execute(&self.writer)
            .await
            .map_err(failed("free an idempotency key"))?;
        Ok(())
    }

    /// Drops what is too old or too much. `restarted` also drops what was in flight: nobody works on it any more.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn trim_writes(&self, now_ms: u64, restarted: bool) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM idempotency WHERE started_ms < ?1 OR (?2 AND status IS NULL) OR started_ms < \
             (SELECT started_ms FROM idempotency ORDER BY started_ms DESC LIMIT 1 OFFSET ?3)",
        )
        .bind(now_ms.saturating_sub(KEPT_MS) as i64)
        .bind(restarted)
        .bind(RECORDS_MAX)
        .execute(&self.writer)
        .await
        .map_err(failed("trim kept answers"))?;
        Ok(())
    }
}
