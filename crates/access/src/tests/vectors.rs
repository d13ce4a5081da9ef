//! Every vector of `vectors.json` gets the verdict that it names.

use std::collections::HashSet;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use crate::{Algorithm, Ask, Claims, KeySet, Refusal, Session, Signer, claims_unverified, verify};

#[derive(Deserialize)]
struct File {
    jwks: Value,
    secrets: Vec<Secret>,
    signing: Vec<Signing>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Secret {
    kid: String,
    service: String,
    secret: String,
}

#[derive(Deserialize)]
struct Signing {
    kid: String,
    alg: String,
    pkcs8: String,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    token: String,
    now: i64,
    service: String,
    path: String,
    client: Option<IpAddr>,
    expect: String,
    claims: Option<Value>,
}

impl File {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../vectors.json")).unwrap()
    }

    fn keys(&self) -> KeySet {
        let public = KeySet::from_jwks(&self.jwks.to_string()).unwrap();
        self.secrets.iter().fold(public, |keys, secret| {
            keys.with_secret(&secret.kid, &secret.service, secret.secret.as_bytes()).unwrap()
        })
    }
}

impl Vector {
    fn ask<'a>(&'a self, session: &Session) -> Ask<'a> {
        Ask {
            service: &self.service,
            path: &self.path,
            multivariant: session.starts(&self.path),
            client: self.client,
            now: self.now,
        }
    }

    fn judge(&self, keys: &KeySet) -> Result<Session, Refusal> {
        let session = verify(&self.token, keys, self.now)?;
        session.permits(&self.ask(&session))?;
        Ok(session)
    }
}

#[test]
fn every_vector_gets_its_verdict() {
    let file = File::read();
    let keys = file.keys();
    let mut wrong = Vec::new();
    for vector in &file.vectors {
        let verdict = vector.judge(&keys);
        let slug = verdict.as_ref().map_or_else(Refusal::slug, |_| "ok");
        if slug != vector.expect {
            wrong.push(format!("{}: expected {}, was {slug}: {verdict:?}", vector.name, vector.expect));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_tokens_say_what_their_vectors_say() {
    let file = File::read();
    let keys = file.keys();
    let mut algorithms = HashSet::new();
    for vector in file.vectors.iter().filter(|vector| vector.expect == "ok") {
        let session = vector.judge(&keys).unwrap();
        let expected = Claims::from_json(vector.claims.as_ref().unwrap().to_string().as_bytes()).unwrap();
        assert_eq!(*session.claims, expected, "{}", vector.name);
        let (header, claims) = claims_unverified(&vector.token).unwrap();
        assert_eq!(claims, expected, "{}", vector.name);
        algorithms.insert(header["alg"].as_str().unwrap().to_owned());
    }
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256] {
        assert!(algorithms.contains(algorithm.name()), "no good vector for {}", algorithm.name());
    }
}

#[test]
fn the_vectors_break_tokens_in_every_way_that_has_a_name() {
    let file = File::read();
    let names: HashSet<_> = file.vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names.len(), file.vectors.len(), "a name twice");
    for way in [
        "bad base64",
        "wrong alg",
        "alg none",
        "unknown kid",
        "expired",
        "before start",
        "wrong path",
        "wrong audience",
        "tampered",
        "truncated",
        "doubled",
        "wrong key",
        "missing claim",
        "past start deadline",
        "address mismatch",
    ] {
        assert!(names.iter().any(|name| name.starts_with(way)), "no vector for: {way}");
    }
    let slugs: HashSet<_> = file.vectors.iter().map(|vector| vector.expect.as_str()).collect();
    // All slugs but `doubled-token`, which is about a request and not about one token.
    assert_eq!(slugs.len() - 1, 15, "{slugs:?}");
}

#[test]
fn no_refusal_repeats_any_part_of_its_token() {
    let file = File::read();
    let keys = file.keys();
    for vector in &file.vectors {
        if let Err(refusal) = vector.judge(&keys) {
            let words = format!("{refusal} {refusal:?} {}", refusal.slug());
            let parts = vector.token.split(['.', ',']).filter(|part| part.len() > 8);
            assert!(parts.into_iter().all(|part| !words.contains(part)), "{}: {words}", vector.name);
        }
    }
}

#[test]
fn the_kept_keys_make_tokens_that_verify() {
    let file = File::read();
    let claims = file.vectors[0].claims.as_ref().unwrap();
    let claims = Claims::from_json(claims.to_string().as_bytes()).unwrap();
    let signing = file.signing.iter().find(|signing| signing.alg == "EdDSA").unwrap();
    let pkcs8 = {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&signing.pkcs8).unwrap()
    };
    let secret = &file.secrets[0];
    for signer in [
        Signer::from_pkcs8(&signing.kid, &pkcs8).unwrap(),
        Signer::hs256(&secret.kid, secret.secret.as_bytes()).unwrap(),
    ] {
        let session = verify(&signer.sign(&claims).unwrap(), &file.keys(), file.vectors[0].now).unwrap();
        assert_eq!(*session.claims, claims);
        assert_eq!(&*session.kid, signer.kid());
    }
}
