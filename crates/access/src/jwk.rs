//! Public keys as JSON (RFC 7517): every key is checked when it is read, so that none fails later.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{Algorithm, KeyError};

/// The most keys in one set: a rotation has three, a fleet of services some dozens.
pub(crate) const KEYS_MAX: usize = 256;

/// Modulus sizes in bytes that the verifier takes: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

/// The usable keys of a set, in its order.
pub(crate) fn read_set(json: &str) -> Result<Vec<(String, Algorithm, DecodingKey)>, KeyError> {
    let set: Set = serde_json::from_str(json).map_err(|error| KeyError::Json(error.to_string()))?;
    if set.keys.len() > KEYS_MAX {
        return Err(KeyError::TooMany);
    }
    let mut read: Vec<(String, Algorithm, DecodingKey)> = Vec::with_capacity(set.keys.len());
    for (place, jwk) in set.keys.iter().enumerate() {
        let name = jwk.kid.clone().unwrap_or_else(|| format!("number {}", place + 1));
        let refuse = |reason| KeyError::Key { kid: name.clone(), reason };
        if let Some((algorithm, decoding)) = jwk.read().map_err(refuse)? {
            let kid = jwk.kid.clone().filter(|kid| !kid.is_empty()).ok_or(refuse("it has no `kid`"))?;
            if read.iter().any(|(known, ..)| *known == kid) {
                return Err(refuse("two keys have this `kid`"));
            }
            read.push((kid, algorithm, decoding));
        }
    }
    Ok(read)
}

impl Jwk {
    /// The key with the algorithm it is bound to; nothing if it is of a kind that is not used here.
    fn read(&self) -> Result<Option<(Algorithm, DecodingKey)>, &'static str> {
        if self.k.is_some() || self.kty == "oct" {
            return Err("a secret has no place in a JWK set; give it to its service in the config");
        }
        if self.d.is_some() {
            return Err("it contains the private part `d`; publish the public part only");
        }
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Ok(None);
        }
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("EC", Some("P-256")) => Algorithm::Es256,
            // One RSA key could serve six algorithms; only the first is spoken here.
            ("RSA", _) if self.alg.as_deref().is_none_or(|alg| alg == "RS256") => Algorithm::Rs256,
            _ => return Ok(None),
        };
        if self.alg.as_deref().is_some_and(|alg| Algorithm::named(alg) != Some(algorithm)) {
            return Err("its `alg` does not fit its type");
        }
        let decoding = match algorithm {
            Algorithm::EdDsa => self.ed25519()?,
            Algorithm::Es256 => self.p256()?,
            Algorithm::Rs256 => self.rsa()?,
            Algorithm::Hs256 => return Ok(None),
        };
        Ok(Some((algorithm, decoding)))
    }

    fn ed25519(&self) -> Result<DecodingKey, &'static str> {
        let point = number(&self.x, "its `x` is not 32 bytes of base64url")?;
        ParsedPublicKey::new(&signature::ED25519, &point)
            .map_err(|_| "its `x` is not 32 bytes of base64url")?;
        Ok(DecodingKey::from_ed_der(&point))
    }

    fn p256(&self) -> Result<DecodingKey, &'static str> {
        let x = number(&self.x, "its `x` is not base64url")?;
        let y = number(&self.y, "its `y` is not base64url")?;
        let point = [&[4][..], &x, &y].concat();
        ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &point)
            .map_err(|_| "its `x` and `y` are no point of P-256")?;
        Ok(DecodingKey::from_ec_der(&point))
    }

    fn rsa(&self) -> Result<DecodingKey, &'static str> {
        let n = number(&self.n, "its `n` is not base64url")?;
        let e = number(&self.e, "its `e` is not base64url")?;
        if !RSA_BYTES.contains(&n.len()) {
            return Err("its modulus is not of 2048 to 8192 bits");
        }
        RsaPublicKeyComponents { n: &n, e: &e }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| "its `n` and `e` are no RSA key")?;
        Ok(DecodingKey::from_rsa_raw_components(&n, &e))
    }
}

fn number(field: &Option<String>, otherwise: &'static str) -> Result<Vec<u8>, &'static str> {
    let text = field.as_ref().ok_or(otherwise)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| otherwise)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::{Value, json};

    use crate::{KeyError, KeySet, Signer};

    fn set(keys: Value) -> Result<KeySet, KeyError> {
        KeySet::from_jwks(&json!({ "keys": keys }).to_string())
    }

    fn good() -> Value {
        Signer::generate("a").unwrap().0.jwk().unwrap()
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut key = good();
        key[name] = value;
        key
    }

    #[test]
    fn a_set_is_read_and_merged() {
        let set = set(json!([good(), changed("kid", json!("b"))])).unwrap();
        assert_eq!(set.len(), 2);
        let both = set.with_secret("a", "music", &[7; 32]).unwrap().merge(KeySet::new());
        assert_eq!(both.len(), 3);
        assert!(both.contains("b") && !both.contains("c"));
    }

    #[test]
    fn keys_of_no_use_here_are_passed_over() {
        let others = json!([
            changed("use", json!("enc")),
            changed("crv", json!("X25519")),
            {"kty": "EC", "crv": "P-384", "kid": "p", "x": "AA", "y": "AA"},
            {"kty": "RSA", "alg": "PS256", "kid": "r", "n": "AA", "e": "AQAB"},
            {"kty": "AKP", "kid": "later"},
        ]);
        assert!(set(others).unwrap().is_empty());
    }

    #[test]
    fn broken_and_secret_keys_are_refused_with_their_name() {
        for (key, word) in [
            (changed("kid", Value::Null), "no `kid`"),
            (changed("kid", json!("")), "no `kid`"),
            (changed("alg", json!("HS256")), "`alg`"),
            (changed("x", json!("AAAA")), "32 bytes"),
            (changed("x", json!("!")), "base64url"),
            (changed("d", json!("AAAA")), "private"),
            (json!({"kty": "oct", "kid": "s", "k": "AAAA"}), "secret"),
            (json!({"kty": "EC", "crv": "P-256", "kid": "e", "x": "AA", "y": "AA"}), "point"),
            (json!({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}), "2048"),
        ] {
            let error = set(json!([key])).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("key `"), "{error}");
        }
        let twice = good();
        assert!(set(json!([twice, twice])).unwrap_err().to_string().contains("two keys"));
    }

    #[test]
    fn a_text_that_is_no_set_is_refused() {
        for text in ["", "{}", "[]", r#"{"keys":7}"#] {
            assert!(matches!(KeySet::from_jwks(text), Err(KeyError::Json(_))), "{text}");
        }
        let many: Vec<_> =
            (0..=super::KEYS_MAX).map(|n| json!({"kty": "AKP", "kid": n.to_string()})).collect();
        assert_eq!(set(json!(many)).err(), Some(KeyError::TooMany));
    }

    #[test]
    fn short_secrets_and_empty_names_are_refused() {
        assert_eq!(KeySet::new().with_secret("k", "s", &[1; 31]).err(), Some(KeyError::ShortSecret));
        assert_eq!(KeySet::new().with_secret("", "s", &[1; 32]).err(), Some(KeyError::NoKid));
    }
}
