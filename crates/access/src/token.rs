//! The compact form of a token: `header.payload.signature` (RFC 7515 §7.1), taken apart and bounded.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::{Algorithm, KeyError, Refusal};

/// The longest token that is looked at, in bytes. A token with every claim is about 600; a longer one is
/// refused before anything is decoded.
pub const TOKEN_MAX: usize = 4096;

/// A token in its three parts. Nothing in it is trusted: the signature has not been checked.
pub(crate) struct Parts<'a> {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// The part that is signed: header, dot, payload, still encoded.
    pub(crate) signed: &'a str,
    /// The signature, still encoded, known to be sound base64url.
    pub(crate) signature: &'a str,
}

/// What of a token's header has a meaning here. `jku`, `jwk`, `x5u` and `x5c`, by which a token would bring
/// its own key, have none.
#[derive(Deserialize)]
pub(crate) struct Header {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl Header {
    /// The checks that need no key.
    pub(crate) fn check(&self) -> Result<(Algorithm, &str), Refusal> {
        let alg = self.alg.as_deref().ok_or(Refusal::MissingClaim("alg"))?;
        let algorithm = Algorithm::named(alg).ok_or(Refusal::Algorithm)?;
        if self.crit {
            // RFC 7515 §4.1.11: an extension that is not understood invalidates the token; none is.
            return Err(Refusal::critical("crit"));
        }
        if self.typ.as_ref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(Refusal::Malformed("`typ` is not JWT"));
        }
        match self.kid.as_deref() {
            None | Some("") => Err(Refusal::MissingClaim("kid")),
            Some(kid) => Ok((algorithm, kid)),
        }
    }
}

/// Takes a token apart. Two tokens in a row, a cut-off one and an encrypted one have another number of parts.
pub(crate) fn split(token: &str) -> Result<Parts<'_>, Refusal> {
    if token.is_empty() {
        return Err(Refusal::Missing);
    }
    if token.len() > TOKEN_MAX {
        return Err(Refusal::TooLong);
    }
    let (Some((signed, signature)), 2) = (token.rsplit_once('.'), token.matches('.').count()) else {
        return Err(Refusal::Malformed("a token has three parts, divided by dots"));
    };
    let (header, payload) = signed.split_once('.').unwrap_or((signed, ""));
    let header = decode(header)?;
    let payload = decode(payload)?;
    decode(signature)?;
    let header = serde_json::from_slice(&header).map_err(|_| Refusal::Malformed("the header is no JSON"))?;
    Ok(Parts { header, payload, signed, signature })
}

/// The header as it stands, for a person to read.
pub(crate) fn header_json(token: &str) -> Result<serde_json::Value, Refusal> {
    let header = token.split('.').next().unwrap_or_default();
    serde_json::from_slice(&decode(header)?).map_err(|_| Refusal::Malformed("the header is no JSON"))
}

/// Joins what is to be signed.
pub(crate) fn join(algorithm: Algorithm, kid: &str, payload: &impl Serialize) -> Result<String, KeyError> {
    #[derive(Serialize)]
    struct Out<'a> {
        alg: &'a str,
        kid: &'a str,
        typ: &'a str,
    }
    let header = Out { alg: algorithm.name(), kid, typ: "JWT" };
    let json = |error: serde_json::Error| KeyError::Json(error.to_string());
    let header = serde_json::to_vec(&header).map_err(json)?;
    let payload = serde_json::to_vec(payload).map_err(json)?;
    Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload)))
}

/// Strict base64url: no padding, no spare bits, so that one signature has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed("a part is not base64url"))
}

/// True wherever the field stands, even as `null`.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(field).map(|_| true)
}
