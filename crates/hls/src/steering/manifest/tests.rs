#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::*;

#[test]
fn a_document_is_written_as_players_read_it() {
    let manifest = Manifest {
        version: 1,
        ttl_s: 30,
        reload_uri: Some("default?path=/a/m.m3u8".into()),
        priority: vec!["edge-2.aaaaaa".into(), "edge-1.bbbbbb".into()],
        locations: vec!["edge-2.aaaaaa".into(), "edge-1.bbbbbb".into()],
        clones: vec![PathwayClone {
            base: "edge-1.bbbbbb".into(),
            id: "edge-2.aaaaaa".into(),
            uris: UriReplacement { host: Some("e2.example".into()), ..UriReplacement::default() },
        }],
    };
    let text = manifest.to_json();
    assert_eq!(
        text,
        r#"{"VERSION":1,"TTL":30,"RELOAD-URI":"default?path=/a/m.m3u8","PATHWAY-PRIORITY":["edge-2.aaaaaa","edge-1.bbbbbb"],"SERVICE-LOCATION-PRIORITY":["edge-2.aaaaaa","edge-1.bbbbbb"],"PATHWAY-CLONES":[{"BASE-ID":"edge-1.bbbbbb","ID":"edge-2.aaaaaa","URI-REPLACEMENT":{"HOST":"e2.example"}}]}"#
    );
    assert_eq!(Manifest::parse(&text).unwrap(), manifest);
}

/// Shapes that other servers write: pretty-printed, with fractions, members of their own, DASH names.
#[test]
fn what_others_write_is_read() {
    let minimal = Manifest::parse(r#"{ "VERSION" : 1, "PATHWAY-PRIORITY" : ["."] }"#).unwrap();
    assert_eq!((minimal.ttl_s, minimal.priority.as_slice()), (DEFAULT_TTL_S, [".".to_owned()].as_slice()));
    let vendor = Manifest::parse(
        "{\n  \"VERSION\": 1,\n  \"TTL\": 10.0,\n  \"RELOAD-URI\": \"https://steer.example/?s=1\",\n  \
         \"PATHWAY-PRIORITY\": [\n    \"CDN-A\",\n    \"CDN_B\"\n  ],\n  \"X-VENDOR\": {\"a\": [1]},\n  \
         \"PATHWAY-CLONES\": [{\"BASE-ID\": \"CDN-A\", \"ID\": \"CDN-C\", \"X\": 1, \"URI-REPLACEMENT\": \
         {\"HOST\": \"c.example\", \"PARAMS\": {\"token\": \"x\"}, \"PER-VARIANT-URIS\": {\"v1\": \
         \"https://c.example/v1.m3u8\"}, \"PER-RENDITION-URIS\": {\"a1\": \"https://c.example/a1.m3u8\"}}}]\n}\n",
    )
    .unwrap();
    assert_eq!((vendor.ttl_s, vendor.clones[0].uris.params["token"].as_str()), (10, "x"));
    assert_eq!(vendor.clones[0].uris.variants["v1"], "https://c.example/v1.m3u8");
    let dash = r#"{"VERSION":1,"TTL":300,"SERVICE-LOCATION-PRIORITY":["beta","alpha"]}"#;
    assert_eq!(Manifest::parse(dash).unwrap().priority, ["beta", "alpha"]);
}

#[test]
fn what_is_none_says_why() {
    let many = format!("{{\"VERSION\":1,\"PATHWAY-PRIORITY\":[{}]}}", vec!["\"a\""; 257].join(","));
    for (text, why) in [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        (r#"{"PATHWAY-PRIORITY":["a"]}"#, "VERSION"),
        (r#"{"VERSION":2,"PATHWAY-PRIORITY":["a"]}"#, "version 2"),
        (r#"{"VERSION":1,"TTL":-1,"PATHWAY-PRIORITY":["a"]}"#, "TTL"),
        (r#"{"VERSION":1,"TTL":1e300,"PATHWAY-PRIORITY":["a"]}"#, "TTL"),
        (r#"{"VERSION":1,"TTL":30}"#, "no pathway"),
        (r#"{"VERSION":1,"PATHWAY-PRIORITY":["a b"]}"#, "`a b`"),
        (r#"{"VERSION":1,"PATHWAY-PRIORITY":["e7~g3"]}"#, "`e7~g3`"),
        (&many, "more than 256"),
        (&" ".repeat(MAX_MANIFEST + 1), "at most"),
    ] {
        let error = Manifest::parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._-]{1,20}"
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let texts = || btree_map("[a-z]{1,8}", "\\PC{0,20}", 0..3);
    let clone = (id(), id(), of("\\PC{1,20}"), texts(), texts(), texts()).prop_map(
        |(base, id, host, params, variants, renditions)| PathwayClone {
            base,
            id,
            uris: UriReplacement { host, params, variants, renditions },
        },
    );
    (0u64..100_000, of("\\PC*"), vec(id(), 1..6), any::<bool>(), vec(clone, 0..4)).prop_map(
        |(ttl_s, reload_uri, priority, dash, clones)| Manifest {
            version: 1,
            ttl_s,
            reload_uri,
            locations: if dash { priority.clone() } else { Vec::new() },
            priority,
            clones,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(manifest in manifest()) {
        prop_assert_eq!(Manifest::parse(&manifest.to_json()), Ok(manifest));
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC*") {
        let _ = Manifest::parse(&text);
    }

    /// Something near a document: one byte of it is another.
    #[test]
    fn no_damage_is_too_strange(manifest in manifest(), at in any::<prop::sample::Index>(), byte in 32u8..127) {
        let mut text = manifest.to_json().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(text) = String::from_utf8(text) {
            let _ = Manifest::parse(&text);
        }
    }
}
