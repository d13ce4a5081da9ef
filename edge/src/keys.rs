//! The keys that vouch for session tokens, from all who may name some.
//!
//! HS256 secrets of the services and the file of keys are there from the start; the feed's set comes later
//! (or from the agent's last state) and replaces only the feed's own.

use std::sync::Arc;

use kromka_access::{KeySet, Refusal, Session};
use kromka_config::EdgeConfig;
use parking_lot::RwLock;

use crate::error::StartError;
use crate::verdicts::Verdicts;

/// Keys and what they have already vouched for.
pub(crate) struct Keys {
    /// From configuration; never changes.
    configured: KeySet,
    /// All together, replaced whole.
    all: RwLock<Arc<KeySet>>,
    verdicts: Verdicts,
}

impl Keys {
    /// Reads what the configuration names.
    pub(crate) fn open(config: &EdgeConfig) -> Result<Keys, StartError> {
        let mut configured = KeySet::default();
        for service in &config.service {
            for named in &service.secrets {
                configured = configured
                    .with_secret(&named.kid, &service.id, named.secret.expose().as_bytes())
                    .map_err(|error| StartError::Setting {
                        key: "service.secrets",
                        why: error.to_string(),
                    })?;
            }
        }
        if let Some(path) = &config.keys {
            let text = std::fs::read_to_string(path)
                .map_err(|source| StartError::KeysFile { path: path.clone(), source })?;
            let file = KeySet::from_jwks(&text)
                .map_err(|error| StartError::Keys { path: path.clone(), why: error.to_string() })?;
            configured = configured.merge(file);
        }
        let all = RwLock::new(Arc::new(configured.clone()));
        Ok(Keys { configured, all, verdicts: Verdicts::new() })
    }

    /// Replaces the feed's keys. Sessions verified before must show their token again.
    pub(crate) fn replace(&self, jwks: &serde_json::Value) -> Result<(), String> {
        let feed = KeySet::from_jwks(&jwks.to_string()).map_err(|error| error.to_string())?;
        *self.all.write() = Arc::new(self.configured.clone().merge(feed));
        self.verdicts.forget();
        Ok(())
    }

    /// The session of a token: remembered, or verified now (`now` in unix seconds).
    pub(crate) fn session(&self, token: &str, now: i64) -> Result<Session, Refusal> {
        if let Some(session) = self.verdicts.find(token, now) {
            return Ok(session);
        }
        let epoch = self.verdicts.epoch();
        let keys = Arc::clone(&self.all.read());
        let session = kromka_access::verify(token, &keys, now)?;
        self.verdicts.keep(token, &session, epoch, now);
        Ok(session)
    }

    /// Whether any token could be verified at all.
    pub(crate) fn any(&self) -> bool {
        !self.all.read().is_empty()
    }

    /// Sessions that are playing at `now`, in unix seconds.
    pub(crate) fn playing(&self, now: i64) -> usize {
        self.verdicts.playing(now)
    }

    /// Sessions remembered.
    pub(crate) fn sessions(&self) -> usize {
        self.verdicts.len()
    }
}
