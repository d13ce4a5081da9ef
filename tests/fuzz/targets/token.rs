//! Session tokens: text of strangers never opens anything, and claims of any kind, signed by a platform that errs,
//! open no more than their directory.
#![no_main]

use std::sync::LazyLock;

use kromka_access::{Ask, KeySet, Signer, claims_unverified, verify};
use serde_json::Value;

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

static KNOWN: LazyLock<Option<(Signer, KeySet)>> = LazyLock::new(|| {
    Some((Signer::hs256("hs", SECRET).ok()?, KeySet::new().with_secret("hs", "default", SECRET).ok()?))
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some((signer, keys)) = &*KNOWN else { panic!("no keys") };
    let _ = claims_unverified(text);
    let _ = KeySet::from_jwks(text);
    assert!(verify(text, keys, NOW).is_err(), "nobody signed {text}");

    let Ok(claims) = serde_json::from_str::<Value>(text) else { return };
    let Ok(token) = signer.sign_anything(&claims) else { return };
    let Ok(session) = verify(&token, keys, NOW) else { return };
    let container = claims["cdniuc"].as_str().unwrap_or_default();
    for path in ["/", "/a/b.ts", "/ab/c.ts", "/a/b/c.m3u8"] {
        let ask = |service| Ask { service, path, multivariant: false, client: None, now: NOW };
        if session.permits(&ask("default")).is_ok() {
            assert_eq!(claims["aud"], "default", "another service's: {claims}");
            // Told anew from the words of the claim.
            let of = container.strip_prefix("path:").unwrap_or_default();
            let opened = if of.ends_with('/') { path.starts_with(of) } else { path == of };
            assert!(opened, "{path} by {claims}");
        }
        let elsewhere = session.permits(&ask("other")).is_ok();
        assert!(!elsewhere || claims["aud"] == "other", "{path} of another service by {claims}");
    }
});
