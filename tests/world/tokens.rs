//! Tokens as a platform that holds the key would sign them.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use kromka_access::{Claims, Signer};

/// The key id of the scenarios' own key.
pub(crate) const KID: &str = "scenario";

/// A signer whose public key the edges of a fleet know.
pub(crate) struct Tokens {
    signer: Signer,
}

impl Tokens {
    pub(crate) fn new() -> Tokens {
        Tokens { signer: Signer::generate(KID).unwrap().0 }
    }

    /// Writes the key set that an edge reads, with the keys of the vectors that all languages share.
    pub(crate) fn publish(&self, folder: &Path) -> PathBuf {
        let mut keys = vectors()["jwks"].clone();
        keys["keys"].as_array_mut().unwrap().push(self.signer.jwk().unwrap());
        let path = folder.join("keys.json");
        std::fs::write(&path, keys.to_string()).unwrap();
        path
    }

    /// A token for all below `/stream/`, changed as told.
    pub(crate) fn sign(&self, change: impl FnOnce(&mut Claims)) -> String {
        self.signer.sign(&claims(change)).unwrap()
    }

    /// A good token.
    pub(crate) fn good(&self) -> String {
        self.sign(|_| ())
    }
}

/// The claims of a good token, changed as told.
pub(crate) fn claims(change: impl FnOnce(&mut Claims)) -> Claims {
    let mut claims = Claims {
        iss: "scenario".into(),
        sub: "viewer".into(),
        sid: "session".into(),
        aud: "default".into(),
        exp: now() + 3600,
        cdniuc: "path:/stream/".into(),
        ..Claims::default()
    };
    change(&mut claims);
    claims
}

/// The vectors that signers in every language are tested with.
pub(crate) fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../crates/access/vectors.json")).unwrap()
}

/// The token of one of them.
pub(crate) fn vector(name: &str) -> String {
    let vectors = vectors();
    let mut all = vectors["vectors"].as_array().unwrap().iter();
    let found = all.find(|one| one["name"] == name).unwrap_or_else(|| panic!("no vector {name}"));
    found["token"].as_str().unwrap().to_owned()
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
