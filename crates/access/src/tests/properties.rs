//! Properties: what is signed verifies, what is changed does not, and nothing panics.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Ask, Claims, KeySet, Reach, Refusal, Signer, TOKEN_MAX, claims_unverified, verify};

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Both kinds of signer and the set that knows them.
struct World {
    signers: [Signer; 2],
    keys: KeySet,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (ed, _) = Signer::generate("ed").unwrap();
    let keys = KeySet::from_jwks(&json!({ "keys": [ed.jwk()] }).to_string()).unwrap();
    let keys = keys.with_secret("hs", "default", SECRET).unwrap();
    World { signers: [ed, Signer::hs256("hs", SECRET).unwrap()], keys }
});

fn claims() -> impl Strategy<Value = Claims> {
    let who = ("\\PC{0,20}", "\\PC{0,20}", "[a-z0-9-]{1,30}");
    let times = (1_i64..100_000, prop::option::of(0_i64..1_000), prop::option::of(any::<i64>()));
    let path = "(/[a-zA-Z0-9_а-я -]{1,12}){0,4}/";
    let address = prop::option::of(any::<[u8; 4]>().prop_map(|ip| IpNet::from(std::net::IpAddr::from(ip))));
    let limits = (any::<Option<u32>>(), any::<Option<u64>>(), any::<Option<u32>>());
    let names = (prop::option::of("\\PC{0,20}"), prop::option::of("[a-zA-Zа-я .]{1,40}"));
    (who, times, path, address, limits, names).prop_map(|(who, times, path, cdniip, limits, names)| Claims {
        iss: who.0,
        sub: who.1,
        sid: who.2,
        aud: "default".to_owned(),
        exp: NOW + times.0,
        nbf: times.1.map(|before| NOW - before),
        iat: times.2,
        kst: times.2,
        jti: names.0,
        cdniuc: format!("path:{path}"),
        cdniip,
        maxh: limits.0,
        maxbr: limits.1,
        ms: limits.2,
        dl: names.1,
    })
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_says_the_same(claims in claims(), which in 0..2_usize) {
        let token = WORLD.signers[which].sign(&claims).unwrap();
        let session = verify(&token, &WORLD.keys, NOW).unwrap();
        prop_assert_eq!(&*session.claims, &claims);
        prop_assert_eq!(claims_unverified(&token).unwrap().1, claims.clone());
        let path = format!("{}x.ts", &claims.cdniuc["path:".len()..]);
        let client = claims.cdniip.map(|net| net.addr());
        let ask = Ask { service: "default", path: &path, multivariant: false, client, now: NOW };
        prop_assert_eq!(session.permits(&ask), Ok(()));
    }

    #[test]
    fn any_changed_byte_is_refused(claims in claims(), which in 0..2_usize, at: prop::sample::Index, to in 0_u8..128) {
        let token = WORLD.signers[which].sign(&claims).unwrap();
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(verify(&changed, &WORLD.keys, NOW).is_err(), "byte {} of {} became {}", at, token, to);
    }

    #[test]
    fn any_cut_token_is_refused(claims in claims(), which in 0..2_usize, at: prop::sample::Index) {
        let token = WORLD.signers[which].sign(&claims).unwrap();
        let at = at.index(token.len());
        prop_assert!(verify(&token[..at], &WORLD.keys, NOW).is_err());
        prop_assert!(verify(&token[at..], &WORLD.keys, NOW).is_err() || at == 0);
    }

    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in "\\PC{0,200}", now: i64) {
        prop_assert!(verify(&text, &WORLD.keys, now).is_err());
        let _ = claims_unverified(&text);
        let _ = KeySet::from_jwks(&text);
    }

    #[test]
    fn arbitrary_parts_are_refused_without_a_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6), now: i64) {
        let parts: Vec<_> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        let token = parts.join(".");
        prop_assert!(verify(&token, &WORLD.keys, now).is_err());
        let _ = claims_unverified(&token);
    }

    #[test]
    fn genuine_tokens_with_arbitrary_claims_do_not_panic(claims in odd_claims(), path in "\\PC{0,40}", now: i64) {
        let token = WORLD.signers[0].seal(&claims).unwrap();
        if let Ok(session) = verify(&token, &WORLD.keys, now) {
            let ask = Ask { service: "default", path: &path, multivariant: true, client: None, now };
            let _ = session.permits(&ask);
        }
    }

    #[test]
    fn a_directory_opens_only_what_is_below_it(directory in "(/[ab.]{1,3}){0,3}/", path in "(/[ab.]{1,3}){1,5}/?") {
        if let Ok(reach) = Reach::below(&directory) && reach.opens(&path) {
            prop_assert!(path.starts_with(&directory));
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
        }
        if let Ok(reach) = Reach::file(&path) {
            prop_assert!(reach.opens(&path));
            for beyond in ["x", "/x"] {
                prop_assert!(!reach.opens(&[path.as_str(), beyond].concat()));
            }
        }
    }
}

/// Claims of the right names with values of any kind, so that every check is reached.
fn odd_claims() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!("path:/a/")),
        Just(json!("default")),
        Just(json!("exp,aud")),
        Just(json!([])),
        Just(json!({"a": [1]})),
    ];
    let names = vec![
        "iss", "sub", "sid", "aud", "exp", "nbf", "kst", "cdniuc", "cdniip", "cdnicrit", "cdniv", "dl",
        "maxh",
    ];
    prop::collection::vec((prop::sample::select(names), value), 0..6).prop_map(|changes| {
        let mut claims =
            json!({"iss": "k", "sub": "v", "sid": "s", "aud": "default", "exp": i64::MAX, "cdniuc": "path:/"});
        for (name, value) in changes {
            claims[name] = value;
        }
        claims
    })
}

#[test]
fn a_long_token_is_refused_before_it_is_read() {
    let long = "A".repeat(TOKEN_MAX + 1);
    assert_eq!(verify(&long, &WORLD.keys, NOW).err(), Some(Refusal::TooLong));
    assert!(matches!(verify(&long[1..], &WORLD.keys, NOW), Err(Refusal::Malformed(_))));
}

#[test]
fn every_byte_of_a_token_counts() {
    let claims = Claims {
        sid: "s".into(),
        aud: "default".into(),
        exp: NOW + 1,
        cdniuc: "path:/".into(),
        ..Claims::default()
    };
    for signer in &WORLD.signers {
        let token = signer.sign(&claims).unwrap();
        for at in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(verify(&changed, &WORLD.keys, NOW).is_err(), "byte {at}, bit {bit} of {token}");
            }
        }
    }
}
