//! Signing keys.

use kromka_control::FeedItem;

use super::door::{Store, StoreError, failed, unreadable};

/// One signing key as it is kept.
#[derive(Clone)]
pub(crate) struct StoredKey {
    /// Its name in a token's header.
    pub kid: String,
    /// JOSE name of the algorithm, `EdDSA`.
    pub algorithm: String,
    /// PKCS#8.
    pub secret: Vec<u8>,
    /// `published` (verifies, does not sign yet), `active` (signs), `retired` (neither).
    pub state: String,
}

impl Store {
    /// Every key that nodes must verify with, oldest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        type Row = (String, String, Vec<u8>, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT kid, algorithm, secret, state FROM keys WHERE state <> 'retired' ORDER BY created_ms, kid",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed("read keys"))?;
        let key = |(kid, algorithm, secret, state)| StoredKey { kid, algorithm, secret, state };
        Ok(rows.into_iter().map(key).collect())
    }

    /// Keeps a new key.
    ///
    /// # Errors
    /// When SQLite fails or the name is taken.
    pub(crate) async fn add_key(&self, key: &StoredKey, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO keys (kid, algorithm, secret, state, created_ms) VALUES (?, ?, ?, ?, ?)")
            .bind(&key.kid)
            .bind(&key.algorithm)
            .bind(&key.secret)
            .bind(&key.state)
            .bind(now_ms as i64)
            .execute(&self.writer)
            .await
            .map_err(failed("keep a key"))?;
        Ok(())
    }

    /// The key set that the feed carries.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) async fn published_keys(&self) -> Result<Option<serde_json::Value>, StoreError> {
        let body: Option<String> =
            sqlx::query_scalar("SELECT body FROM feed WHERE kind = 'keys' ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("read the published keys"))?;
        let item = body.map(|body| serde_json::from_str(&body)).transpose().map_err(unreadable("key set"))?;
        Ok(match item {
            Some(FeedItem::Keys { jwks }) => Some(jwks),
            _ => None,
        })
    }
}
