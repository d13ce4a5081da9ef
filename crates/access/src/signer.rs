//! Making tokens.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Algorithm, Claims, KeyError, Refusal, SECRET_MIN, TOKEN_MAX, token};

/// A private key or a secret, with the name under which verifiers know its counterpart.
#[derive(Clone)]
pub struct Signer {
    kid: String,
    algorithm: Algorithm,
    encoding: EncodingKey,
    /// Empty for a secret: there is nothing to publish.
    public: Vec<u8>,
}

impl Signer {
    /// A new Ed25519 key, and its PKCS#8 bytes to keep in a safe place.
    ///
    /// # Errors
    /// [`KeyError::NoKid`]; [`KeyError::Signing`] if the system has no randomness to give.
    pub fn generate(kid: &str) -> Result<(Self, Vec<u8>), KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Signing)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| KeyError::Signing)?;
        Ok((Self::from_pkcs8(kid, pkcs8.as_ref())?, pkcs8.as_ref().to_vec()))
    }

    /// An Ed25519 key from PKCS#8 (DER, version 1 or 2): what [`Signer::generate`] gave, or
    /// `openssl genpkey -algorithm ed25519 -outform DER`.
    ///
    /// # Errors
    /// [`KeyError::PrivateKey`], [`KeyError::NoKid`].
    pub fn from_pkcs8(kid: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::PrivateKey)?;
        let public = pair.public_key().as_ref().to_vec();
        Self::named(kid, Algorithm::EdDsa, EncodingKey::from_ed_der(pkcs8), public)
    }

    /// A secret shared with one service (HS256).
    ///
    /// # Errors
    /// [`KeyError::ShortSecret`] under [`SECRET_MIN`] bytes, [`KeyError::NoKid`].
    pub fn hs256(kid: &str, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_MIN {
            return Err(KeyError::ShortSecret);
        }
        Self::named(kid, Algorithm::Hs256, EncodingKey::from_secret(secret), Vec::new())
    }

    fn named(
        kid: &str,
        algorithm: Algorithm,
        encoding: EncodingKey,
        public: Vec<u8>,
    ) -> Result<Self, KeyError> {
        if kid.is_empty() {
            return Err(KeyError::NoKid);
        }
        Ok(Self { kid: kid.to_owned(), algorithm, encoding, public })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`KeyError::Claims`] if every verifier would refuse it: an empty claim that must not be, a container
    /// other than `path:`, a bad file name, or more than [`TOKEN_MAX`] bytes.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        claims.check().map_err(KeyError::Claims)?;
        let token = self.seal(claims)?;
        if token.len() > TOKEN_MAX {
            return Err(KeyError::Claims(Refusal::TooLong));
        }
        Ok(token)
    }

    /// The public key as a JWK (RFC 8037) for a published set; nothing for a secret.
    pub fn jwk(&self) -> Option<Value> {
        (self.algorithm == Algorithm::EdDsa).then(|| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
                "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(&self.public),
            })
        })
    }

    /// The name that tokens carry.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it signs with: EdDSA or HS256.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs any payload, sensible or not.
    pub(crate) fn seal(&self, payload: &impl Serialize) -> Result<String, KeyError> {
        let signed = token::join(self.algorithm, &self.kid, payload)?;
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.encoding, self.algorithm.jws())
            .map_err(|_| KeyError::Signing)?;
        Ok(format!("{signed}.{signature}"))
    }

    /// Signs any payload, as a platform that errs might.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    #[cfg(fuzzing)]
    pub fn sign_anything(&self, payload: &impl Serialize) -> Result<String, KeyError> {
        self.seal(payload)
    }
}

/// The name and the algorithm only.
impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signer")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn claims() -> Claims {
        Claims { sid: "s".into(), aud: "default".into(), cdniuc: "path:/a/".into(), ..Claims::default() }
    }

    #[test]
    fn a_kept_key_is_the_same_key() {
        let (signer, pkcs8) = Signer::generate("k").unwrap();
        let again = Signer::from_pkcs8("k", &pkcs8).unwrap();
        assert_eq!(signer.jwk(), again.jwk());
        assert_eq!(signer.sign(&claims()).unwrap(), again.sign(&claims()).unwrap());
        let version_1 = Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap().to_pkcs8v1().unwrap();
        assert_eq!(Signer::from_pkcs8("k", version_1.as_ref()).unwrap().jwk(), signer.jwk());
    }

    #[test]
    fn what_would_be_refused_is_not_signed() {
        let (signer, _) = Signer::generate("k").unwrap();
        let refused = |claims: Claims| signer.sign(&claims).unwrap_err();
        assert_eq!(
            refused(Claims { sid: String::new(), ..claims() }),
            KeyError::Claims(Refusal::MissingClaim("sid"))
        );
        assert_eq!(
            refused(Claims { cdniuc: "regex:.*".into(), ..claims() }),
            KeyError::Claims(Refusal::Container)
        );
        assert_eq!(refused(Claims { sub: "x".repeat(4000), ..claims() }), KeyError::Claims(Refusal::TooLong));
    }

    #[test]
    fn bad_keys_are_refused() {
        assert_eq!(Signer::from_pkcs8("k", b"not a key").err(), Some(KeyError::PrivateKey));
        assert_eq!(Signer::hs256("k", b"short").err(), Some(KeyError::ShortSecret));
        assert_eq!(Signer::generate("").err(), Some(KeyError::NoKid));
    }

    #[test]
    fn secrets_stay_inside() {
        let signer = Signer::hs256("k", b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(signer.jwk(), None);
        assert!(!format!("{signer:?}").contains("0123"));
    }
}
