//! The keys that tokens are verified with. Each is bound to one algorithm when it is loaded; the token's
//! header may agree with that or be refused, it never chooses.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::{Algorithm as Jws, DecodingKey};

use crate::{Refusal, jwk};

/// The shortest HS256 secret, in bytes (RFC 7518 §3.2: no shorter than the hash).
pub const SECRET_MIN: usize = 32;

/// The signature algorithms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 (RFC 8037): what kromka signs with.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 to 8192 bits.
    Rs256,
    /// HMAC with SHA-256, with a secret that one service and its backend share.
    Hs256,
}

impl Algorithm {
    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of that name. `Ed25519` is RFC 9864's newer name for what `EdDSA` means here. Names are
    /// case-sensitive, and `none` is not among them.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }

    pub(crate) fn jws(self) -> Jws {
        match self {
            Self::EdDsa => Jws::EdDSA,
            Self::Es256 => Jws::ES256,
            Self::Rs256 => Jws::RS256,
            Self::Hs256 => Jws::HS256,
        }
    }
}

/// Why a key, a key set or a signature could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not a JWK set (RFC 7517 §5).
    #[error("not a JWK set: {0}")]
    Json(String),
    /// One key of a set cannot be used.
    #[error("key `{kid}`: {reason}")]
    Key {
        /// Its `kid`, or its place in the set if it has none.
        kid: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The set is longer than is sensible.
    #[error("a JWK set may have at most {} keys", jwk::KEYS_MAX)]
    TooMany,
    /// An HS256 secret is too short to withstand guessing.
    #[error("an HS256 secret has at least {SECRET_MIN} bytes; make one with `openssl rand -hex 32`")]
    ShortSecret,
    /// A private key is not PKCS#8 for Ed25519.
    #[error("not an Ed25519 private key in PKCS#8 form")]
    PrivateKey,
    /// A `kid` is empty.
    #[error("a key needs a `kid`")]
    NoKid,
    /// A signer was given claims that every verifier would refuse.
    #[error("these claims would be refused: {0}")]
    Claims(Refusal),
    /// The cryptographic library failed.
    #[error("signing failed")]
    Signing,
}

/// The keys that are known, by `kid`. Asymmetric keys vouch for any service; a secret for its own only, so
/// that a backend that holds one cannot mint for its neighbours.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: HashMap<String, Vec<Key>>,
}

impl KeySet {
    /// A set without keys: every token is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a JWK set (RFC 7517 §5): Ed25519, P-256 and RSA public keys. Keys of other types and keys not
    /// meant for signatures are passed over, as the RFC asks.
    ///
    /// # Errors
    /// [`KeyError`] if the text is no JWK set, or a key of a known type is broken, has no `kid`, repeats one,
    /// or contains secret parts, which have no place in a published set.
    pub fn from_jwks(json: &str) -> Result<Self, KeyError> {
        let mut set = Self::new();
        for (kid, algorithm, decoding) in jwk::read_set(json)? {
            set.put(kid, Key { algorithm, decoding, service: None });
        }
        Ok(set)
    }

    /// Adds an HS256 secret that vouches for one service. Several services may use the same `kid`; the same
    /// pair again replaces the secret.
    ///
    /// # Errors
    /// [`KeyError::ShortSecret`] under [`SECRET_MIN`] bytes, [`KeyError::NoKid`].
    pub fn with_secret(mut self, kid: &str, service: &str, secret: &[u8]) -> Result<Self, KeyError> {
        if kid.is_empty() {
            return Err(KeyError::NoKid);
        }
        if secret.len() < SECRET_MIN {
            return Err(KeyError::ShortSecret);
        }
        let decoding = DecodingKey::from_secret(secret);
        let key = Key { algorithm: Algorithm::Hs256, decoding, service: Some(service.to_owned()) };
        self.put(kid.to_owned(), key);
        Ok(self)
    }

    /// Both sets; where they differ on a key, `other` wins.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (kid, keys) in other.keys {
            for key in keys {
                self.put(kid.clone(), key);
            }
        }
        self
    }

    /// Whether a key of that name is known. A verdict that outlives its key's retirement must be dropped.
    pub fn contains(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The one key that may vouch for a token. `audience` is asked only where secrets of several services
    /// share the `kid`, so that one token costs one signature check, however many secrets there are.
    pub(crate) fn find(
        &self,
        kid: &str,
        algorithm: Algorithm,
        audience: impl FnOnce() -> Result<String, Refusal>,
    ) -> Result<&Key, Refusal> {
        let keys = self.keys.get(kid).ok_or(Refusal::UnknownKey)?;
        let mut fitting = keys.iter().filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(Refusal::Algorithm),
            (Some(key), None) => Ok(key),
            _ => {
                let audience = audience()?;
                let its = |key: &&Key| key.algorithm == algorithm && key.vouches_for(&audience);
                keys.iter().find(its).ok_or(Refusal::Audience)
            }
        }
    }

    /// A `kid` names one public key, or one secret per service, or both; never two of the same.
    fn put(&mut self, kid: String, key: Key) {
        let keys = self.keys.entry(kid).or_default();
        keys.retain(|old| old.service != key.service);
        keys.push(key);
    }
}

/// Names and algorithms only: key material never reaches a log.
impl fmt::Debug for KeySet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.keys.iter().flat_map(|(kid, keys)| {
            keys.iter().map(move |key| (kid.as_str(), key.algorithm.name(), key.service.as_deref()))
        });
        out.debug_list().entries(names).finish()
    }
}

/// One key with what it may be used for.
#[derive(Clone)]
pub(crate) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
    service: Option<String>,
}

impl Key {
    /// Whether `signature` (base64url) is this key's over `signed`.
    pub(crate) fn verifies(&self, signed: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.decoding, self.algorithm.jws())
            .unwrap_or(false)
    }

    pub(crate) fn vouches_for(&self, audience: &str) -> bool {
        self.service.as_deref().is_none_or(|service| service == audience)
    }
}
