//! Nodes as last heard of, and what an operator decided about them.

use kromka_control::{FeedItem, Heartbeat, NodeState};

use super::{
    door::{Store, StoreError, failed},
    feed::append_in,
};

/// Nodes that were silent for this long are forgotten, in milliseconds: 30 days.
const FORGOTTEN_MS: u64 = 30 * 86_400_000;

/// What became of an operator's decision about a node.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// Grows with every decision; the `ETag`.
    pub revision: u64,
    /// The feed that tells the node, and
    pub feed_id: String,
    /// the entry of it that does.
    pub feed_seq: u64,
}

/// What operators decided about a node, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ordered {
    /// It is to be drained.
    pub drained: bool,
    /// Grows with every decision.
    pub revision: u64,
}

/// One node as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredNode {
    /// An operator drained it.
    pub drained: bool,
    /// Grows with every decision of an operator; the `ETag`.
    pub revision: u64,
    /// When it was last heard, Unix milliseconds.
    pub heard_ms: u64,
    /// It had said goodbye.
    pub gone: bool,
    /// What it said last.
    pub heartbeat: Heartbeat,
}

impl Store {
    /// Every node that was ever heard and is not forgotten, the last heard first. One that cannot be read any more is
    /// left out: its next heartbeat mends it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn nodes(&self) -> Result<Vec<StoredNode>, StoreError> {
        type Row = (bool, i64, i64, bool, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT drained, revision, heard_ms, gone, heartbeat FROM nodes WHERE heartbeat IS NOT NULL \
             ORDER BY heard_ms DESC, id",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed("read nodes"))?;
        let node = |(drained, revision, heard_ms, gone, heartbeat): Row| {
            let heartbeat = serde_json::from_str(&heartbeat).ok()?;
            Some(StoredNode {
                drained,
                revision: revision as u64,
                heard_ms: heard_ms as u64,
                gone,
                heartbeat,
            })
        };
        Ok(rows.into_iter().filter_map(node).collect())
    }

    /// Keeps what a node said last, without what is only of the moment. Returns what operators have decided about it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn save_node(
        &self,
        heartbeat: &Heartbeat,
        heard_ms: u64,
        gone: bool,
    ) -> Result<Ordered, StoreError> {
        let lasting = Heartbeat { jobs: Vec::new(), rtt: Vec::new(), ..heartbeat.clone() };
        let body = serde_json::to_string(&lasting).unwrap_or_default();
        // To the last row: what fails when it is committed is told after the first.
        let kept: Vec<(bool, i64)> = sqlx::query_as(
            "INSERT INTO nodes (id, heard_ms, gone, heartbeat) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET heard_ms = ?2, gone = ?3, heartbeat = ?4 RETURNING drained, revision",
        )
        .bind(&heartbeat.id)
        .bind(heard_ms as i64)
        .bind(gone)
        .bind(body)
        .fetch_all(&self.writer)
        .await
        .map_err(failed("keep a node"))?;
        let (drained, revision) = kept.first().copied().unwrap_or_default();
        Ok(Ordered { drained, revision: revision as u64 })
    }

    /// Drains or resumes a node and tells all nodes through the feed, in one transaction: if it still stands at a revision
    /// that `lets` it, 0 where nothing is kept of it. Nothing if it does not.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn set_drained(
        &self,
        id: &str,
        drained: bool,
        lets: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Decided>, StoreError> {
        let failed = failed("keep a node's state");
        // There is one writer: nobody decides between the look and the write.
        let mut transaction = self.begin().await?;
        let before: Option<i64> = sqlx::query_scalar("SELECT revision FROM nodes WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&failed)?;
        if !lets(before.unwrap_or_default() as u64) {
            return Ok(None);
        }
        let revision: i64 = sqlx::query_scalar(
            "INSERT INTO nodes (id, drained) VALUES (?1, ?2) \
             ON CONFLICT (id) DO UPDATE SET drained = ?2, revision = revision + 1 RETURNING revision",
        )
        .bind(id)
        .bind(drained)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
        let state = if drained { NodeState::Draining } else { NodeState::Up };
        let seq = append_in(&mut transaction, &FeedItem::Node { id: id.to_owned(), state }).await?;
        self.commit_feed(transaction, seq).await?;
        Ok(Some(Decided { revision: revision as u64, feed_id: self.feed_id().to_owned(), feed_seq: seq }))
    }

    /// Drops nodes nobody has heard for 30 days, but for those that are drained: what an operator decided is not
    /// forgotten.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn trim_nodes(&self, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM nodes WHERE heard_ms < ? AND NOT drained")
            .bind(now_ms.saturating_sub(FORGOTTEN_MS) as i64)
            .execute(&self.writer)
            .await
            .map_err(failed("forget nodes"))?;
        Ok(())
    }
}
