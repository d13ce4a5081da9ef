//! A certificate and its key, read from two files and read again when they change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::self_signed::Maker;
use crate::error::NetError;

/// How often the files are looked at. Two `stat` calls cost nothing, and need no watch that some file
/// systems (NFS, mounted secrets) do not give.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells a changed file from an unchanged one: modification time, size, inode.
type Stamp = (Option<SystemTime>, u64, u64);

/// The pair in use.
#[derive(Debug)]
pub(super) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    maker: Option<Maker>,
    loaded: RwLock<Loaded>,
    reloads: AtomicU64,
}

#[derive(Debug)]
struct Loaded {
    stamps: [Stamp; 2],
    certified: Arc<CertifiedKey>,
    pem: String,
}

impl Pair {
    pub(super) fn open(
        certificate: &Path,
        key: &Path,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, NetError> {
        let loaded = load(certificate, key, &provider)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            maker: None,
            loaded: RwLock::new(loaded),
            reloads: AtomicU64::new(0),
        })
    }

    pub(super) fn self_signed(
        dir: &Path,
        names: &[String],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, NetError> {
        let maker = Maker::new(dir, names);
        maker.ensure(SystemTime::now())?;
        let mut pair = match Self::open(maker.certificate(), maker.key(), Arc::clone(&provider)) {
            Ok(pair) => pair,
            // Half a pair, or one that someone has edited: a new one harms nobody.
            Err(_) => {
                maker.make(SystemTime::now())?;
                Self::open(maker.certificate(), maker.key(), provider)?
            }
        };
        pair.maker = Some(maker);
        Ok(pair)
    }

    pub(super) fn certificate_pem(&self) -> String {
        self.loaded.read().pem.clone()
    }

    pub(super) fn reloads(&self) -> u64 {
        self.reloads.load(Relaxed)
    }

    /// Looks at the files for ever.
    pub(super) async fn follow(&self) {
        let mut doubt = Doubt::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look(&mut doubt);
        }
    }

    fn look(&self, doubt: &mut Doubt) {
        if let Some(maker) = &self.maker
            && let Err(error) = maker.ensure(SystemTime::now())
            && doubt.is_new(&error)
        {
            tracing::warn!(%error, "the self-signed certificate could not be renewed");
        }
        let stamps = [stamp(&self.certificate).ok(), stamp(&self.key).ok()];
        let current = self.loaded.read().stamps;
        if stamps == current.map(Some) {
            return;
        }
        // Two files cannot change at once: a pair is judged only when it has stood still for one look.
        if doubt.stamps.replace(stamps) != Some(stamps) {
            return;
        }
        match load(&self.certificate, &self.key, &self.provider) {
            Ok(loaded) => {
                *self.loaded.write() = loaded;
                self.reloads.fetch_add(1, Relaxed);
                *doubt = Doubt::default();
                tracing::info!(certificate = %self.certificate.display(), "took over the changed certificate");
            }
            Err(error) => {
                if doubt.is_new(&error) {
                    tracing::warn!(%error, "the changed certificate cannot be used; the one before stays");
                }
            }
        }
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.loaded.read().certified))
    }
}

/// Files that have changed but are not in use, and what has been said about them.
#[derive(Debug, Default)]
struct Doubt {
    stamps: Option<[Option<Stamp>; 2]>,
    said: Option<String>,
}

impl Doubt {
    fn is_new(&mut self, error: &NetError) -> bool {
        let text = error.to_string();
        let new = self.said.as_ref() != Some(&text);
        self.said = Some(text);
        new
    }
}

fn load(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Loaded, NetError> {
    // Stamped before reading: a change in between is seen at the next look.
    let stamps = [
        stamp(certificate).map_err(|error| NetError::file(certificate, error))?,
        stamp(key).map_err(|error| NetError::file(key, error))?,
    ];
    let pem = fs::read_to_string(certificate).map_err(|error| NetError::file(certificate, error))?;
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| NetError::certificate(certificate, format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(NetError::certificate(
            certificate,
            "holds no certificate; a `-----BEGIN CERTIFICATE-----` block is needed, the leaf first",
        ));
    }
    let key_pem = fs::read(key).map_err(|error| NetError::file(key, error))?;
    let key_der = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| {
        NetError::certificate(key, format!("holds no private key in PEM (PKCS#8, SEC1 or PKCS#1): {error}"))
    })?;
    let certified = CertifiedKey::from_der(chain, key_der, provider).map_err(|error| {
        NetError::certificate(
            key,
            format!("does not go with the certificate {}: {error}", certificate.display()),
        )
    })?;
    let from = pem.find("-----BEGIN").unwrap_or(0);
    Ok(Loaded { stamps, certified: Arc::new(certified), pem: pem[from..].to_owned() })
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path)?;
    Ok((meta.modified().ok(), meta.len(), meta.ino()))
}
