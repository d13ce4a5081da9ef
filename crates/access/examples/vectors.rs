//! Writes `vectors.json` anew: `cargo run -p kromka-access --example vectors`.
//!
//! The keys in the file are kept, so that only what changed changes; without a file new ones are made. They
//! are public on purpose and good for tests alone. ES256 signatures are random, so those tokens differ each
//! time; all others are reproducible byte for byte.

use std::error::Error;
use std::path::Path;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Map, Value, json};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// The moment at which most vectors are looked at; every other time is relative to it.
const NOW: i64 = 1_800_000_000;
const MASTER: &str = "/stream/demo/master.m3u8";
const SEGMENT: &str = "/stream/demo/720p/seg-3.ts";
const SECRET: &str = "a secret that is public: for tests only";
const OTHER_SECRET: &str = "another secret: of the other service, only";

fn main() -> Fallible<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors.json");
    let kept = std::fs::read(&file).ok().map(|text| serde_json::from_slice::<Value>(&text)).transpose()?;
    let keys = Keys::load(kept.as_ref())?;
    let vectors = [good(&keys)?, broken(&keys)?, refused(&keys)?].concat();
    let count = vectors.len();
    let document = json!({
        "about": "Session tokens with the verdict that every verifier must reach. Times are unix seconds, leeway is 30 s; a `path` that ends in .m3u8 and lies at the top of what the token opens starts playback. `expect` is `ok` or the slug of the refusal; good ones carry the claims they decode to. `signing` holds the private keys (PKCS#8, base64url) to sign the same claims with: public on purpose, never use them elsewhere.",
        "jwks": { "keys": keys.public()? },
        "secrets": [
            { "kid": "hs", "service": "default", "secret": SECRET },
            { "kid": "hs", "service": "other", "secret": OTHER_SECRET },
            { "kid": "hs-other", "service": "other", "secret": OTHER_SECRET },
        ],
        "signing": keys.private(),
        "vectors": vectors,
    });
    std::fs::write(&file, serde_json::to_string_pretty(&document)? + "\n")?;
    println!("{count} vectors written to {}", file.display());
    Ok(())
}

/// Tokens that open what is asked.
fn good(keys: &Keys) -> Fallible<Vec<Value>> {
    let mut all = Vec::new();
    let mut add = |name: &str, alg: &str, kid: &str, changes: Value, at: Value| -> Fallible<()> {
        let claims = claims(&changes);
        let mut vector = case(name, &keys.sign(alg, kid, &claims)?, "ok", at);
        vector["claims"] = claims;
        all.push(vector);
        Ok(())
    };
    let none = || json!({});
    add("good: EdDSA", "EdDSA", "ed", none(), none())?;
    add("good: EdDSA under its newer name", "Ed25519", "ed", none(), none())?;
    add("good: ES256", "ES256", "ec", none(), none())?;
    add("good: RS256", "RS256", "rsa", none(), none())?;
    add("good: HS256", "HS256", "hs", none(), none())?;
    add(
        "good: HS256, same kid, other service",
        "HS256",
        "hs",
        json!({"aud": "other"}),
        json!({"service": "other"}),
    )?;
    add("good: playback starts", "EdDSA", "ed", none(), json!({"path": MASTER}))?;
    add(
        "good: starts within the leeway of kst",
        "EdDSA",
        "ed",
        none(),
        json!({"path": MASTER, "now": NOW + 300 + 29}),
    )?;
    add("good: plays on after the start deadline", "EdDSA", "ed", none(), json!({"now": NOW + 3_000}))?;
    add("good: within the leeway of exp", "EdDSA", "ed", none(), json!({"now": NOW + 3_600 + 29}))?;
    add("good: within the leeway of nbf", "EdDSA", "ed", none(), json!({"now": NOW - 30}))?;
    add(
        "good: one file",
        "EdDSA",
        "ed",
        json!({"cdniuc": "path:/files/book.pdf", "dl": "Книга.pdf"}),
        json!({"path": "/files/book.pdf"}),
    )?;
    add("good: address", "EdDSA", "ed", json!({"cdniip": "192.0.2.7"}), json!({"client": "192.0.2.7"}))?;
    add(
        "good: prefix",
        "EdDSA",
        "ed",
        json!({"cdniip": "2001:db8::/48"}),
        json!({"client": "2001:db8:0:1::9"}),
    )?;
    add(
        "good: IPv4 client on a dual-stack socket",
        "EdDSA",
        "ed",
        json!({"cdniip": "192.0.2.0/24"}),
        json!({"client": "::ffff:192.0.2.7"}),
    )?;
    add("good: audience as a list of one", "EdDSA", "ed", json!({"aud": ["default"]}), none())?;
    add("good: critical claims that are enforced", "EdDSA", "ed", json!({"cdnicrit": "cdniuc,kst"}), none())?;
    add("good: a claim that nobody knows", "EdDSA", "ed", json!({"theme": "dark"}), none())?;
    add(
        "good: plan limits",
        "EdDSA",
        "ed",
        json!({"maxh": 720, "maxbr": 3_000_000, "ms": 2, "jti": "j-1"}),
        none(),
    )?;
    Ok(all)
}

/// Tokens that are not what they claim to be.
fn broken(keys: &Keys) -> Fallible<Vec<Value>> {
    let plain = claims(&json!({}));
    let token = keys.sign("EdDSA", "ed", &plain)?;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Err("a token has three parts".into()) };
    let other_claims = encode(&claims(&json!({"cdniuc": "path:/"})));
    let headed = |header: Value| keys.sign_as("EdDSA", "ed", header, &plain.to_string());
    let raw = |payload: &str| keys.sign_as("EdDSA", "ed", json!({"alg": "EdDSA", "kid": "ed"}), payload);
    let unsigned =
        |alg: &str| format!("{}.{payload}.", encode(&json!({"alg": alg, "kid": "ed", "typ": "JWT"})));
    let confused = encode(&json!({"alg": "HS256", "kid": "ed", "typ": "JWT"}));
    let confused_mac = mac(keys.ed.public_key().as_ref(), &format!("{confused}.{payload}"));
    let mut turned = B64.decode(signature)?;
    turned[5] ^= 1;
    let stranger = Ed25519KeyPair::from_seed_unchecked(&[7; 32])?;
    let stranger = B64.encode(stranger.sign(format!("{header}.{payload}").as_bytes()));
    let twice = plain.to_string().replacen("{", r#"{"exp":1800003600,"#, 1);
    let tokens = [
        ("no token", String::new(), "missing-token"),
        ("bad base64", format!("{header}.{payload}!.{signature}"), "malformed-token"),
        ("padded base64", format!("{token}=="), "malformed-token"),
        ("spare bits in base64", format!("{}B", &token[..token.len() - 1]), "malformed-token"),
        ("standard base64 alphabet", format!("{header}.{payload}.+/{}", &signature[2..]), "malformed-token"),
        ("header is no JSON", format!("{}.{payload}.{signature}", B64.encode("header")), "malformed-token"),
        ("alg none", unsigned("none"), "wrong-algorithm"),
        ("alg None", unsigned("None"), "wrong-algorithm"),
        ("alg none with a signature", format!("{}{signature}", unsigned("none")), "wrong-algorithm"),
        (
            "wrong alg: public key taken for an HS256 secret",
            format!("{confused}.{payload}.{confused_mac}"),
            "wrong-algorithm",
        ),
        (
            "wrong alg: ES256 on an Ed25519 key",
            headed(json!({"alg": "ES256", "kid": "ed"}))?,
            "wrong-algorithm",
        ),
        ("wrong alg: not accepted at all", headed(json!({"alg": "HS512", "kid": "ed"}))?, "wrong-algorithm"),
        ("no alg", headed(json!({"kid": "ed"}))?, "missing-claim"),
        ("no kid", headed(json!({"alg": "EdDSA"}))?, "missing-claim"),
        ("unknown kid", headed(json!({"alg": "EdDSA", "kid": "retired"}))?, "unknown-key"),
        (
            "critical header",
            headed(json!({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false}))?,
            "critical-claim",
        ),
        (
            "another type of token",
            headed(json!({"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"}))?,
            "malformed-token",
        ),
        (
            "brings its own key",
            headed(json!({"alg": "EdDSA", "kid": "mine", "jwk": keys.public()?[0]}))?,
            "unknown-key",
        ),
        ("tampered claims", format!("{header}.{other_claims}.{signature}"), "bad-signature"),
        (
            "tampered header",
            format!("{}.{payload}.{signature}", encode(&json!({"alg": "EdDSA", "kid": "ed"}))),
            "bad-signature",
        ),
        ("tampered signature", format!("{header}.{payload}.{}", B64.encode(turned)), "bad-signature"),
        ("empty signature", format!("{header}.{payload}."), "bad-signature"),
        ("truncated in the signature", token[..token.len() - 10].to_owned(), "bad-signature"),
        ("truncated in the claims", format!("{header}.{}", &payload[..40]), "malformed-token"),
        ("doubled", format!("{token}{token}"), "malformed-token"),
        ("doubled with a comma", format!("{token},{token}"), "malformed-token"),
        ("doubled with a dot", format!("{token}.{token}"), "malformed-token"),
        ("wrong key, right kid", format!("{header}.{payload}.{stranger}"), "bad-signature"),
        ("secret of another service", keys.sign("HS256", "hs-other", &plain)?, "wrong-audience"),
        (
            "right kid, secret of another service",
            keys.sign_as("HS256", "hs-other", json!({"alg": "HS256", "kid": "hs"}), &plain.to_string())?,
            "bad-signature",
        ),
        ("claims are a list", raw("[]")?, "malformed-token"),
        ("a claim twice", raw(&twice)?, "malformed-token"),
        (
            "longer than 4096 bytes",
            keys.sign("EdDSA", "ed", &claims(&json!({"pad": "x".repeat(4096)})))?,
            "token-too-long",
        ),
    ];
    Ok(tokens.iter().map(|(name, token, slug)| case(name, token, slug, json!({}))).collect())
}

/// Genuine tokens that do not open what is asked.
fn refused(keys: &Keys) -> Fallible<Vec<Value>> {
    let mut all = Vec::new();
    let mut add = |name: &str, changes: Value, at: Value, slug: &str| -> Fallible<()> {
        all.push(case(name, &keys.sign("EdDSA", "ed", &claims(&changes))?, slug, at));
        Ok(())
    };
    let none = || json!({});
    for claim in ["iss", "sub", "sid", "aud", "exp", "cdniuc"] {
        add(&format!("missing claim {claim}"), json!({claim: null}), none(), "missing-claim")?;
    }
    add("exp is a text", json!({"exp": "1800003600"}), none(), "malformed-token")?;
    add("exp is a fraction", json!({"exp": 1800003600.5}), none(), "malformed-token")?;
    add("two audiences", json!({"aud": ["default", "other"]}), none(), "malformed-token")?;
    add("expired", none(), json!({"now": NOW + 3_600 + 30}), "expired")?;
    add("before start", none(), json!({"now": NOW - 31}), "not-yet-valid")?;
    add("past start deadline", none(), json!({"path": MASTER, "now": NOW + 300 + 30}), "start-deadline")?;
    add("wrong path", none(), json!({"path": "/stream/other/720p/seg-3.ts"}), "wrong-path")?;
    add("wrong path: a longer name", none(), json!({"path": "/stream/demo2/seg-3.ts"}), "wrong-path")?;
    add("wrong path: climbing out", none(), json!({"path": "/stream/demo/../other/seg-3.ts"}), "wrong-path")?;
    add("wrong path: below a file", json!({"cdniuc": "path:/stream/demo"}), none(), "wrong-path")?;
    add(
        "wrong path: beside a file",
        json!({"cdniuc": "path:/stream/a"}),
        json!({"path": "/stream/ab"}),
        "wrong-path",
    )?;
    add("wrong audience", none(), json!({"service": "other"}), "wrong-audience")?;
    add("address mismatch", json!({"cdniip": "192.0.2.7"}), json!({"client": "192.0.2.8"}), "wrong-address")?;
    add(
        "address outside the prefix",
        json!({"cdniip": "2001:db8::/48"}),
        json!({"client": "2001:db8:1::9"}),
        "wrong-address",
    )?;
    add("address unknown", json!({"cdniip": "192.0.2.7"}), none(), "wrong-address")?;
    add("address is no address", json!({"cdniip": "home"}), none(), "malformed-token")?;
    add("unknown critical claim", json!({"cdnicrit": "cdniuc,geo", "geo": "DE"}), none(), "critical-claim")?;
    add("critical claim that is absent", json!({"cdnicrit": "cdniip"}), none(), "missing-claim")?;
    add("unknown version of the profile", json!({"cdniv": 2}), none(), "critical-claim")?;
    add(
        "unsupported container: regex",
        json!({"cdniuc": "regex:/stream/.*"}),
        none(),
        "unsupported-container",
    )?;
    add(
        "unsupported container: pattern",
        json!({"cdniuc": "uri-pattern:*://*/stream/*"}),
        none(),
        "unsupported-container",
    )?;
    add("container is not normalised", json!({"cdniuc": "path:/stream/../"}), none(), "malformed-token")?;
    add("file name with a line break", json!({"dl": "a\r\nSet-Cookie: b"}), none(), "malformed-token")?;
    Ok(all)
}

/// The claims of a usual session, with changes; `null` takes a claim away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "kromka", "sub": "viewer-1", "sid": "session-1", "aud": "default", "cdniuc": "path:/stream/demo/",
        "iat": NOW, "nbf": NOW, "kst": NOW + 300, "exp": NOW + 3_600,
    });
    if let (Some(claims), Some(changes)) = (claims.as_object_mut(), changes.as_object()) {
        overlay(claims, changes);
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

fn case(name: &str, token: &str, expect: &str, at: Value) -> Value {
    let mut case = json!({
        "name": name, "token": token, "now": NOW, "service": "default", "path": SEGMENT, "expect": expect,
    });
    if let (Some(case), Some(at)) = (case.as_object_mut(), at.as_object()) {
        overlay(case, at);
    }
    case
}

fn overlay(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    under.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
}

fn encode(value: &Value) -> String {
    B64.encode(value.to_string())
}

fn mac(secret: &[u8], signed: &str) -> String {
    B64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes()))
}

/// One key of each kind.
struct Keys {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
    pkcs8: [(&'static str, &'static str, Vec<u8>); 3],
}

impl Keys {
    fn load(kept: Option<&Value>) -> Fallible<Self> {
        let find = |place: usize| kept.and_then(|file| file["signing"][place]["pkcs8"].as_str());
        let ed = match find(0) {
            Some(text) => B64.decode(text)?,
            None => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
        };
        let ec = match find(1) {
            Some(text) => B64.decode(text)?,
            None => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?.as_ref().to_vec(),
        };
        let rsa = match find(2) {
            Some(text) => B64.decode(text)?,
            None => AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&rsa::KeyPair::generate(
                rsa::KeySize::Rsa2048,
            )?)?
            .as_ref()
            .to_vec(),
        };
        Ok(Self {
            ed: Ed25519KeyPair::from_pkcs8(&ed)?,
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ec)?,
            rsa: RsaKeyPair::from_pkcs8(&rsa)?,
            pkcs8: [("ed", "EdDSA", ed), ("ec", "ES256", ec), ("rsa", "RS256", rsa)],
        })
    }

    fn private(&self) -> Vec<Value> {
        let entry = |(kid, alg, pkcs8): &(&str, &str, Vec<u8>)| json!({"kid": kid, "alg": alg, "pkcs8": B64.encode(pkcs8)});
        self.pkcs8.iter().map(entry).collect()
    }

    fn public(&self) -> Fallible<Vec<Value>> {
        let point = self.ec.public_key().as_ref();
        let rsa = self.rsa.public_key();
        Ok(vec![
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "ed",
                "x": B64.encode(self.ed.public_key())}),
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ec",
                "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..65])}),
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa",
                "n": B64.encode(rsa.modulus().big_endian_without_leading_zero()),
                "e": B64.encode(rsa.exponent().big_endian_without_leading_zero())}),
        ])
    }

    fn sign(&self, alg: &str, kid: &str, claims: &Value) -> Fallible<String> {
        self.sign_as(alg, kid, json!({"alg": alg, "kid": kid, "typ": "JWT"}), &claims.to_string())
    }

    /// Signs with the key of `kid`, whatever the header pretends.
    fn sign_as(&self, alg: &str, kid: &str, header: Value, payload: &str) -> Fallible<String> {
        let signed = format!("{}.{}", encode(&header), B64.encode(payload));
        let message = signed.as_bytes();
        let signature = match alg {
            "EdDSA" | "Ed25519" => B64.encode(self.ed.sign(message)),
            "ES256" => B64.encode(self.ec.sign(&SystemRandom::new(), message)?),
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                B64.encode(signature)
            }
            _ => {
                let other = kid == "hs-other" || payload.contains(r#""aud":"other""#);
                mac(if other { OTHER_SECRET } else { SECRET }.as_bytes(), &signed)
            }
        };
        Ok(format!("{signed}.{signature}"))
    }
}
