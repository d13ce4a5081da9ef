//! What operators decided about routing: zones, costs, planned work.

use kromka_control::MaintenanceRequest;
use serde::{Serialize, de::DeserializeOwned};

use super::door::{Store, StoreError, failed, unreadable};

/// Windows that are past are kept for so long, in milliseconds: a day.
const KEPT_MS: u64 = 86_400_000;

/// Most windows that may be planned at once.
pub(crate) const MAINTENANCE_MAX: u32 = 1_000;

/// Which table of decisions is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Which sites serve which networks.
    Zones,
    /// What sites cost.
    Costs,
}

impl Decision {
    fn name(self) -> &'static str {
        match self {
            Decision::Zones => "zones",
            Decision::Costs => "costs",
        }
    }
}

impl Store {
    /// A table and its revision; an empty one at revision 0 while nobody has decided anything.
    ///
    /// # Errors
    /// When SQLite fails, or the row is of a newer version.
    pub(crate) async fn decision<T: DeserializeOwned + Default>(
        &self,
        which: Decision,
    ) -> Result<(T, u64), StoreError> {
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT revision, body FROM decisions WHERE name = ?")
                .bind(which.name())
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("read what operators decided"))?;
        let Some((revision, body)) = row else { return Ok((T::default(), 0)) };
        let table = serde_json::from_str(&body).map_err(unreadable("decision"))?;
        Ok((table, revision as u64))
    }

    /// Replaces a table if it still is at `expected`, or whatever it is at if that is `None`; its new revision,
    /// nothing if somebody else was faster.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn decide(
        &self,
        which: Decision,
        table: &impl Serialize,
        expected: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        let body = serde_json::to_string(table).map_err(unreadable("decision"))?;
        // To the last row: what fails when it is committed is told after the first.
        let revision: Vec<i64> = sqlx::query_scalar(
            "INSERT INTO decisions (name, revision, body) SELECT ?1, 1, ?2 WHERE ?3 IS NULL OR ?3 = 0 OR EXISTS \
             (SELECT 1 FROM decisions WHERE name = ?1) \
             ON CONFLICT (name) DO UPDATE SET revision = revision + 1, body = ?2 \
             WHERE ?3 IS NULL OR revision = ?3 RETURNING revision",
        )
        .bind(which.name())
        .bind(body)
        .bind(expected.map(|revision| revision as i64))
        .fetch_all(&self.writer)
        .await
        .map_err(failed("keep what operators decided"))?;
        Ok(revision.first().map(|revision| *revision as u64))
    }

    /// Planned work with its ids, in order of ids; they are made in the order of planning. A window that cannot be
    /// read any more is left out.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn maintenance(&self) -> Result<Vec<(String, MaintenanceRequest)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, body FROM maintenance ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .map_err(failed("read planned work"))?;
        let window = |(id, body): (String, String)| Some((id, serde_json::from_str(&body).ok()?));
        Ok(rows.into_iter().filter_map(window).collect())
    }

    /// Plans work; false if [`MAINTENANCE_MAX`] windows are planned already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn plan(&self, id: &str, window: &MaintenanceRequest) -> Result<bool, StoreError> {
        let body = serde_json::to_string(window).map_err(unreadable("window"))?;
        let planned = sqlx::query(
            "INSERT INTO maintenance (id, ends_ms, body) SELECT ?1, ?2, ?3 \
             WHERE (SELECT count(*) FROM maintenance) < ?4",
        )
        .bind(id)
        .bind(window.ends_at.timestamp_millis())
        .bind(body)
        .bind(MAINTENANCE_MAX)
        .execute(&self.writer)
        .await
        .map_err(failed("plan work"))?;
        Ok(planned.rows_affected() > 0)
    }

    /// Takes planned work back and returns it; nothing where there is none of that name.
    ///
    /// # Errors
    /// When SQLite fails, or a newer version planned what this one cannot read; that is taken back all the same.
    pub(crate) async fn unplan(&self, id: &str) -> Result<Option<MaintenanceRequest>, StoreError> {
        // To the last row, as above.
        let body: Vec<String> = sqlx::query_scalar("DELETE FROM maintenance WHERE id = ? RETURNING body")
            .bind(id)
            .fetch_all(&self.writer)
            .await
            .map_err(failed("take planned work back"))?;
        body.first().map(|body| serde_json::from_str(body).map_err(unreadable("window"))).transpose()
    }

    /// Forgets windows that ended a day ago.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn trim_maintenance(&self, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM maintenance WHERE ends_ms < ?")
            .bind(now_ms.saturating_sub(KEPT_MS) as i64)
            .execute(&self.writer)
            .await
            .map_err(failed("forget planned work"))?;
        Ok(())
    }
}
