//! What `sign` signs with and `verify` verifies with: key files, secrets, key sets. Errors never quote one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use kromka_access::{KeySet, Signer};

use super::pem;

/// The largest file of keys that is read, bytes: a set has at most 256 keys.
const LARGEST: u64 = 1 << 20;

/// An HS256 secret, as a service shares it with its backend.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct SecretArgs {
    /// A file with the service's secret (HS256), on one line
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Option<PathBuf>,
    /// An environment variable with the service's secret (HS256)
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
}

impl SecretArgs {
    /// The secret, if one is named.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>> {
        if let Some(path) = &self.secret_file {
            let mut secret = bytes(path)?;
            // As the configuration reads it: an editor's last newline is no part of the secret.
            secret.pop_if(|last| *last == b'\n');
            secret.pop_if(|last| *last == b'\r');
            return Ok(Some(secret));
        }
        let Some(name) = &self.secret_env else { return Ok(None) };
        match std::env::var(name) {
            Ok(secret) if !secret.is_empty() => Ok(Some(secret.into_bytes())),
            _ => {
                bail!("the environment has no {name}; --secret-env names the variable that holds the secret")
            }
        }
    }
}

/// The signer of an Ed25519 key in PKCS#8, PEM or DER.
pub(super) fn signer(kid: &str, path: &Path) -> Result<Signer> {
    let bytes = bytes(path)?;
    let der = match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => {
            pem::private_key(text).map_err(|why| anyhow!("{} {why}", path.display()))?
        }
        _ => bytes,
    };
    Signer::from_pkcs8(kid, &der).map_err(|error| {
        anyhow!("{}: {error}; `openssl genpkey -algorithm ed25519` makes one", path.display())
    })
}

/// The key set in a file (JWK Set, RFC 7517).
pub(super) fn key_set(path: &Path) -> Result<KeySet> {
    let text = String::from_utf8(bytes(path)?).map_err(|_| anyhow!("{} is not UTF-8", path.display()))?;
    KeySet::from_jwks(&text).with_context(|| format!("{}", path.display()))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes.len() as u64 > LARGEST {
        bail!("{} has more than {LARGEST} bytes: it is no key", path.display());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_key_is_the_same_in_pem_and_der() {
        let folder = tempfile::tempdir().unwrap();
        let (made, pkcs8) = Signer::generate("k").unwrap();
        let (der, pem) = (folder.path().join("key.der"), folder.path().join("key.pem"));
        std::fs::write(&der, &pkcs8).unwrap();
        let body = STANDARD.encode(&pkcs8);
        std::fs::write(&pem, format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
            .unwrap();
        assert_eq!(signer("k", &der).unwrap().jwk(), made.jwk());
        assert_eq!(signer("k", &pem).unwrap().jwk(), made.jwk());
    }

    #[test]
    fn a_file_that_is_no_key_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hello").unwrap();
        let error = format!("{:#}", signer("k", &path).unwrap_err());
        assert!(error.contains("openssl genpkey") && error.contains("key"), "{error}");
        let error = format!("{:#}", signer("k", &folder.path().join("gone")).unwrap_err());
        assert!(error.contains("gone cannot be read"), "{error}");
    }

    #[test]
    fn a_secret_is_read_without_its_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (text, secret) in [("abc\n", "abc"), ("abc\r\n", "abc"), ("abc", "abc"), (" abc\n\n", " abc\n")] {
            std::fs::write(&path, text).unwrap();
            let args = SecretArgs { secret_file: Some(path.clone()), secret_env: None };
            assert_eq!(args.read().unwrap().unwrap(), secret.as_bytes());
        }
        let args = SecretArgs { secret_file: None, secret_env: Some("KROMKA_NO_SUCH_VARIABLE".into()) };
        assert!(args.read().unwrap_err().to_string().contains("KROMKA_NO_SUCH_VARIABLE"));
    }
}
