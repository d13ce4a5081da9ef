//! URLs signed and verified without any server.

use std::path::Path;

use crate::world::fleet::Plan;
use crate::world::tokens::{vector, vectors};
use crate::world::{Viewer, kromka, media};

const SECRET: &str = "a secret of the service, long enough";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_url_signed_here_with_a_secret_is_good_at_an_edge_that_knows_it() {
    let fleet = Plan::sample()
        .with("edge", "service", &format!("secrets = [{{ kid = \"hs\", secret = {SECRET:?} }}]"))
        .start()
        .await;
    let secret = fleet.folder().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let edge = &fleet.edges[0].url;
    let words = [
        "sign",
        "--path",
        media::SEGMENT,
        "--ttl",
        "60",
        "--secret-file",
        path(&secret),
        "--kid",
        "hs",
        "--url",
        edge,
    ];
    let ran = kromka(&words).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    // The URL and nothing else: a script takes it as it is.
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.everything());
    let url = ran.stdout.trim();
    let got = Viewer::new().get(url).await;
    assert!(got.status == 200 && got.bytes() == media::file(media::SEGMENT), "{}", got.status);
    assert!(!ran.stderr.contains(SECRET));

    let ran = kromka(&["verify", url, "--secret-file", path(&secret), "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    assert_eq!((&ran.json()["good"], &ran.json()["path"]), (&true.into(), &media::SEGMENT.into()));
    let other = url.replace("001.ts", "002.ts");
    let ran = kromka(&["verify", &other, "--secret-file", path(&secret), "--output", "json"]).await;
    assert_eq!((ran.code, &ran.json()["refusal"]), (1, &"wrong-path".into()), "{}", ran.everything());
}

#[tokio::test]
async fn a_key_pair_signs_and_its_public_half_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, pkcs8) = kromka_access::Signer::generate("ed").unwrap();
    let (key, jwks) = (folder.path().join("key.der"), folder.path().join("keys.json"));
    std::fs::write(&key, pkcs8).unwrap();
    std::fs::write(&jwks, serde_json::json!({"keys": [signer.jwk().unwrap()]}).to_string()).unwrap();
    let words = [
        "sign",
        "--path",
        "/stream/",
        "--prefix",
        "--ttl",
        "2h",
        "--key",
        path(&key),
        "--kid",
        "ed",
        "--output",
        "json",
    ];
    let ran = kromka(&words).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let url = ran.json()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("/~"), "{url}");
    let ran = kromka(&["verify", &url, "--jwks", path(&jwks), "--path", "/stream/a/b.ts"]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    assert!(ran.stdout.contains("good"), "{}", ran.everything());
    let ran = kromka(&["verify", &url, "--jwks", path(&jwks), "--path", "/other/b.ts"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
}

#[tokio::test]
async fn verify_judges_the_vectors_of_all_languages_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("keys.json");
    std::fs::write(&jwks, vectors()["jwks"].to_string()).unwrap();
    for name in [
        "alg none",
        "unknown kid",
        "tampered claims",
        "expired",
        "wrong path",
        "missing claim exp",
        "past start deadline",
    ] {
        let token = vector(name);
        let vectors = vectors();
        let one = vectors["vectors"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        let at = one["now"].to_string();
        let asked = one["path"].as_str().unwrap();
        let words =
            ["verify", &token, "--jwks", path(&jwks), "--path", asked, "--at", &at, "--output", "json"];
        let ran = kromka(&words).await;
        assert_eq!((ran.code, &ran.json()["refusal"]), (1, &one["expect"]), "{name}: {}", ran.everything());
    }
}

#[tokio::test]
async fn what_is_missing_to_sign_or_verify_is_a_usage_error_that_names_it() {
    for (words, word) in [
        (&["sign", "--path", "/a", "--ttl", "60"][..], "--key"),
        (&["sign", "--ttl", "60"], "--path"),
        (&["sign", "--path", "/a", "--ttl", "soon"], "--ttl"),
        (&["verify", "a.b.c"], "--jwks"),
        (&["verify"], "TOKEN"),
    ] {
        let ran = kromka(words).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{words:?}: {}", ran.everything());
        assert!(ran.stderr.contains(word), "{words:?}: {}", ran.everything());
    }
    let ran = kromka(&["sign", "--path", "/a", "--ttl", "60", "--key", "no/such.pem", "--kid", "k"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains("no/such.pem"), "{}", ran.everything());
}
