//! Who wrote what, and when.

use super::door::{Store, StoreError, failed};

/// Lines kept; the oldest go first.
const LINES_MAX: i64 = 1_000_000;

/// One write that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditLine {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// Name of the API token.
    pub caller: String,
    /// Address it came from.
    pub address: String,
    /// Method and path.
    pub action: String,
    /// Status of the answer.
    pub status: u16,
    /// What was made or changed, where the answer names it; never a secret.
    pub detail: String,
}

impl Store {
    /// Adds one line.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn audit(&self, line: &AuditLine) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit (at_ms, caller, address, action, status, detail) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(line.at_ms as i64)
        .bind(&line.caller)
        .bind(&line.address)
        .bind(&line.action)
        .bind(i64::from(line.status))
        .bind(&line.detail)
        .execute(&self.writer)
        .await
        .map_err(failed("write the audit log"))?;
        Ok(())
    }

    #[cfg(test)]
    /// The newest `limit` lines, newest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn audit_lines(&self, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
        type Row = (i64, String, String, String, i64, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT at_ms, caller, address, action, status, detail FROM audit ORDER BY seq DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("read the audit log"))?;
        let line = |(at_ms, caller, address, action, status, detail): Row| AuditLine {
            at_ms: at_ms as u64,
            caller,
            address,
            action,
            status: status as u16,
            detail,
        };
        Ok(rows.into_iter().map(line).collect())
    }

    /// Drops the oldest lines past the bound.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn trim_audit(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?")
            .bind(LINES_MAX)
            .execute(&self.writer)
            .await
            .map_err(failed("trim the audit log"))?;
        Ok(())
    }
}
