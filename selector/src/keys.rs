//! The key that signs session tokens, and the public keys that nodes verify with.

use std::{net::IpAddr, sync::Arc};

use kromka_access::{Claims, KeyError, KeySet, Signer, verify};
use kromka_config::SelectorService;
use kromka_control::FeedItem;
use serde_json::{Value, json};

use crate::{
    error::{ApiError, StartError},
    store::{Store, keys::StoredKey},
};

/// The signing key and the published set.
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    signer: Arc<Signer>,
    jwks: Arc<Value>,
    /// What vouches for sessions: the public keys, and the secrets of services.
    known: Arc<KeySet>,
}

impl Keyring {
    /// Takes up the keys of the store, making the first one if there is none, and sees to it that the feed carries
    /// the set as it is. Secrets of `services` vouch for their sessions too; nobody is told of them.
    pub(crate) async fn open(
        store: &Store,
        services: &[SelectorService],
        now_ms: u64,
    ) -> Result<Keyring, StartError> {
        let mut kept = store.keys().await?;
        if !kept.iter().any(|key| key.state == "active") {
            let kid = format!("k-{}", uuid::Uuid::now_v7().simple());
            let (_, secret) = Signer::generate(&kid).map_err(StartError::Key)?;
            let key = StoredKey { kid, algorithm: "EdDSA".into(), secret, state: "active".into() };
            store.add_key(&key, now_ms).await?;
            kept.push(key);
        }
        let (mut active, mut public) = (None, Vec::new());
        for key in &kept {
            let signer = Signer::from_pkcs8(&key.kid, &key.secret).map_err(StartError::Key)?;
            public.extend(signer.jwk());
            if key.state == "active" {
                active = Some(signer);
            }
        }
        let signer = active.ok_or_else(|| StartError::Store("the store holds no active key".to_owned()))?;
        let jwks = json!({ "keys": public });
        if store.published_keys().await?.as_ref() != Some(&jwks) {
            store.append(&FeedItem::Keys { jwks: jwks.clone() }).await?;
        }
        let mut known = KeySet::from_jwks(&jwks.to_string()).map_err(StartError::Key)?;
        for service in services {
            for named in &service.secrets {
                let secret = named.secret.expose().as_bytes();
                known = known.with_secret(&named.kid, &service.id, secret).map_err(StartError::Key)?;
            }
        }
        Ok(Keyring { signer: Arc::new(signer), jwks: Arc::new(jwks), known: Arc::new(known) })
    }

    /// Makes a token. `pointer` names the field whose text goes into it, for when it is too long or no good.
    pub(crate) fn sign(&self, claims: &Claims, pointer: &str) -> Result<String, ApiError> {
        self.signer.sign(claims).map_err(|error| match error {
            KeyError::Claims(refusal) => ApiError::field(pointer, refusal.to_string()),
            other => ApiError::Internal(other.to_string()),
        })
    }

    /// What a token says that `client` sends now: one of this selector's own, or one that a service's backend signed
    /// with its secret; any other is refused, and one that is bound to another address.
    pub(crate) fn session(&self, token: &str, client: IpAddr) -> Result<Arc<Claims>, ApiError> {
        let now = chrono::Utc::now().timestamp();
        let session = verify(token, &self.known, now);
        let session = session.and_then(|session| session.admits(Some(client)).map(|()| session));
        session.map(|session| session.claims).map_err(|refusal| ApiError::Token(refusal.to_string()))
    }

    /// The JWK Set (RFC 7517) that verifies.
    pub(crate) fn jwks(&self) -> &Value {
        &self.jwks
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[tokio::test]
    async fn the_first_start_makes_a_key_and_the_next_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.db")).await.unwrap();
        let first = Keyring::open(&store, &[], 1).await.unwrap();
        let head = store.feed_head();
        let again = Keyring::open(&store, &[], 2).await.unwrap();
        assert_eq!(first.signer.kid(), again.signer.kid());
        assert_eq!(first.jwks(), again.jwks());
        assert_eq!(store.feed_head(), head, "nothing new to tell the nodes");
        assert_eq!(first.jwks()["keys"][0]["kid"], first.signer.kid());
        assert!(first.jwks()["keys"][0].get("d").is_none(), "the private part stays here");
    }
}
