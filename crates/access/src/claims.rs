//! What a session token says.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::{Reach, Refusal};

/// The longest file name in `dl`, in bytes: what file systems take.
const FILE_NAME_MAX: usize = 255;

/// The claims that this crate or its callers enforce, so that a token may call them critical. `jti` and `ms`
/// are carried, but nothing counts uses or streams: a token that insists on them is refused.
const ENFORCED: [&str; 15] = [
    "iss", "sub", "sid", "aud", "exp", "nbf", "iat", "kst", "cdniv", "cdnicrit", "cdniuc", "cdniip", "maxh",
    "maxbr", "dl",
];

/// The claims of a session token (JWT, RFC 7519; the `cdni*` ones after RFC 9246). Times are unix seconds,
/// whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Who made the token. Told, not checked: the key decides.
    pub iss: String,
    /// The viewer, pseudonymous; may be empty where there is none.
    pub sub: String,
    /// The session, never empty.
    pub sid: String,
    /// The service, never empty.
    pub aud: String,
    /// The end: refused from here on, with 30 s leeway.
    pub exp: i64,
    /// The beginning: refused before it, with 30 s leeway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When it was made. Told, not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// The token's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The start deadline: from here on, with 30 s leeway, the playlists that start playback are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kst: Option<i64>,
    /// What it opens, as [`Reach`] reads it: `path:/directory/` or `path:/file`.
    pub cdniuc: String,
    /// The only address or prefix that may use it, such as `203.0.113.7` or `2001:db8::/48`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_address")]
    pub cdniip: Option<IpNet>,
    /// The greatest height of a variant, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maxh: Option<u32>,
    /// The greatest bandwidth of a variant, in bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maxbr: Option<u64>,
    /// How many streams `sub` may play at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u32>,
    /// The file name to offer for a download: at most 255 bytes, no control characters, no `/`, `\` or `"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dl: Option<String>,
}

impl Claims {
    /// Reads claims from a token's payload. Claims that are not named here are passed over, unless `cdnicrit`
    /// names them.
    ///
    /// # Errors
    /// [`Refusal::MissingClaim`], [`Refusal::CriticalClaim`], or [`Refusal::Malformed`] for JSON that is none,
    /// a claim twice, of a wrong type, or a bad address or file name.
    pub fn from_json(payload: &[u8]) -> Result<Self, Refusal> {
        let raw: Raw = serde_json::from_slice(payload)
            .map_err(|_| Refusal::Malformed("the claims are no JSON object, or one is of a wrong type"))?;
        if raw.cdniv.is_some_and(|version| version != 1) {
            return Err(Refusal::critical("cdniv"));
        }
        if let Some(critical) = &raw.cdnicrit {
            check_critical(critical, payload)?;
        }
        let claims = Self {
            iss: raw.iss.ok_or(Refusal::MissingClaim("iss"))?,
            sub: raw.sub.ok_or(Refusal::MissingClaim("sub"))?,
            sid: raw.sid.ok_or(Refusal::MissingClaim("sid"))?,
            aud: raw.aud.ok_or(Refusal::MissingClaim("aud")).and_then(audience)?,
            exp: raw.exp.ok_or(Refusal::MissingClaim("exp"))?,
            nbf: raw.nbf,
            iat: raw.iat,
            jti: raw.jti,
            kst: raw.kst,
            cdniuc: raw.cdniuc.ok_or(Refusal::MissingClaim("cdniuc"))?,
            cdniip: raw.cdniip.as_deref().map(read_address).transpose()?,
            maxh: raw.maxh,
            maxbr: raw.maxbr,
            ms: raw.ms,
            dl: raw.dl,
        };
        claims.check()?;
        Ok(claims)
    }

    /// The rules that hold for both sides: a signer may not issue what a verifier would refuse at any time.
    pub(crate) fn check(&self) -> Result<Reach, Refusal> {
        for (name, value) in [("sid", &self.sid), ("aud", &self.aud), ("cdniuc", &self.cdniuc)] {
            if value.is_empty() {
                return Err(Refusal::MissingClaim(name));
            }
        }
        if let Some(name) = &self.dl {
            let barred = |c: char| c.is_control() || matches!(c, '/' | '\\' | '"');
            if name.is_empty() || name.len() > FILE_NAME_MAX || name.contains(barred) {
                return Err(Refusal::Malformed("`dl` is not a file name"));
            }
        }
        self.cdniuc.parse()
    }
}

/// The audience alone, out of a payload that nobody has vouched for: it picks among several secrets that
/// share a `kid`, and grants nothing.
pub(crate) fn claimed_audience(payload: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Only {
        aud: Option<Value>,
    }
    let only: Only =
        serde_json::from_slice(payload).map_err(|_| Refusal::Malformed("the claims are no JSON object"))?;
    only.aud.ok_or(Refusal::MissingClaim("aud")).and_then(audience)
}

/// The claims before they are checked: everything may be absent.
#[derive(Deserialize)]
struct Raw {
    iss: Option<String>,
    sub: Option<String>,
    sid: Option<String>,
    aud: Option<Value>,
    exp: Option<i64>,
    nbf: Option<i64>,
    iat: Option<i64>,
    jti: Option<String>,
    kst: Option<i64>,
    cdniv: Option<u32>,
    cdnicrit: Option<Value>,
    cdniuc: Option<String>,
    cdniip: Option<String>,
    maxh: Option<u32>,
    maxbr: Option<u64>,
    ms: Option<u32>,
    dl: Option<String>,
}

/// A text, or a list of one text: several JWT libraries always write the list.
fn audience(value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(list) => match <[Value; 1]>::try_from(list) {
            Ok([Value::String(text)]) => Ok(text),
            _ => Err(Refusal::Malformed("`aud` names exactly one service")),
        },
        _ => Err(Refusal::Malformed("`aud` is a text")),
    }
}

/// `cdnicrit` (RFC 9246 §2.1.10): names divided by commas; each must be enforced here and present.
fn check_critical(critical: &Value, payload: &[u8]) -> Result<(), Refusal> {
    let names = critical.as_str().ok_or(Refusal::Malformed("`cdnicrit` is a text of names"))?;
    let claims: Value =
        serde_json::from_slice(payload).map_err(|_| Refusal::Malformed("the claims are no JSON object"))?;
    for name in names.split(',').map(str::trim) {
        let Some(known) = ENFORCED.iter().find(|known| **known == name) else {
            return Err(Refusal::critical(name));
        };
        if claims.get(name).is_none_or(Value::is_null) {
            return Err(Refusal::MissingClaim(known));
        }
    }
    Ok(())
}

fn read_address(text: &str) -> Result<IpNet, Refusal> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| Refusal::Malformed("`cdniip` is no address or prefix"))
}

fn write_address<S: Serializer>(net: &Option<IpNet>, out: S) -> Result<S::Ok, S::Error> {
    match net {
        Some(net) if net.prefix_len() == net.max_prefix_len() => out.collect_str(&net.addr()),
        Some(net) => out.collect_str(net),
        None => out.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn full() -> Value {
        json!({"iss": "kromka", "sub": "v", "sid": "s", "aud": "default", "exp": 100, "cdniuc": "path:/a/"})
    }

    fn with(name: &str, value: Value) -> Result<Claims, Refusal> {
        let mut claims = full();
        claims[name] = value;
        Claims::from_json(claims.to_string().as_bytes())
    }

    #[test]
    fn every_required_claim_is_missed() {
        for name in ["iss", "sub", "sid", "aud", "exp", "cdniuc"] {
            assert_eq!(with(name, Value::Null), Err(Refusal::MissingClaim(name)));
        }
        for name in ["sid", "aud", "cdniuc"] {
            assert_eq!(with(name, json!("")), Err(Refusal::MissingClaim(name)));
        }
        assert!(with("sub", json!("")).is_ok());
    }

    #[test]
    fn wrong_types_are_refused() {
        for (name, value) in [
            ("exp", json!("soon")),
            ("exp", json!(1.5)),
            ("exp", json!(u64::MAX)),
            ("nbf", json!(true)),
            ("aud", json!(["a", "b"])),
            ("aud", json!([])),
            ("aud", json!(7)),
            ("maxh", json!(-1)),
            ("cdniip", json!("localhost")),
            ("cdnicrit", json!(["sid"])),
            ("dl", json!("a\r\nb")),
            ("dl", json!("../b")),
            ("dl", json!("a\"b")),
        ] {
            assert!(matches!(with(name, value.clone()), Err(Refusal::Malformed(_))), "{name} {value}");
        }
        for payload in ["", "[]", "7", "null", "{", r#"{"exp":1,"exp":2}"#] {
            assert!(matches!(Claims::from_json(payload.as_bytes()), Err(Refusal::Malformed(_))), "{payload}");
        }
    }

    #[test]
    fn critical_claims_must_be_enforced_and_present() {
        assert!(with("cdnicrit", json!("cdniuc, exp")).is_ok());
        assert_eq!(with("cdnicrit", json!("exp,geo")), Err(Refusal::CriticalClaim("geo".into())));
        assert_eq!(with("cdnicrit", json!("jti")), Err(Refusal::CriticalClaim("jti".into())));
        assert_eq!(with("cdnicrit", json!("nbf")), Err(Refusal::MissingClaim("nbf")));
        assert!(matches!(with("cdnicrit", json!("")), Err(Refusal::CriticalClaim(_))));
        assert!(with("cdniv", json!(1)).is_ok());
        assert_eq!(with("cdniv", json!(2)), Err(Refusal::CriticalClaim("cdniv".into())));
    }

    #[test]
    fn addresses_and_audiences_have_two_spellings() {
        assert_eq!(with("cdniip", json!("192.0.2.7")), with("cdniip", json!("192.0.2.7/32")));
        assert!(with("cdniip", json!("2001:db8::/48")).is_ok());
        assert_eq!(with("aud", json!(["default"])), with("aud", json!("default")));
        let claims = with("cdniip", json!("192.0.2.7/32")).unwrap();
        assert_eq!(serde_json::to_value(&claims).unwrap()["cdniip"], json!("192.0.2.7"));
    }

    #[test]
    fn claims_nobody_knows_are_passed_over() {
        assert!(with("geo", json!({"deep": [1, 2]})).is_ok());
    }
}
