//! TLS: handshakes, and a certificate that follows its files.
//!
//! - `self_signed` makes and keeps a pair for laboratories and `kromka up`;
//! - `reload` reads pairs and notices when they change.
//!
//! TLS 1.3 and 1.2 with aws-lc-rs, named explicitly: no process-wide default is set or needed. This file
//! and its two parts are the only ones that name rustls and rcgen.

mod reload;
mod self_signed;

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::NetError;
use crate::wire::{Protocol, Wire};
use reload::Pair;

/// What TLS listeners speak, the preferred one first, by the names of ALPN (RFC 7301).
pub const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// The certificate of a listener; cheap to clone, all clones follow the same files.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    pair: Arc<Pair>,
}

impl Tls {
    /// Takes a certificate chain (leaf first) and its key, both PEM.
    ///
    /// While the server runs, changed files are taken over within two seconds. A pair that cannot be used
    /// never replaces a good one; it is logged once. Errors: [`NetError::File`], [`NetError::Certificate`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, NetError> {
        Self::following(Pair::open(certificate, key, provider())?)
    }

    /// Takes the pair `cert.pem` and `key.pem` (mode 0600) out of `dir`, and makes it where there is none for
    /// exactly these names (host names or addresses), or where it ends in less than 30 days.
    ///
    /// For laboratories: no client trusts it unless told to, by [`certificate_pem`](Self::certificate_pem).
    pub fn self_signed(dir: &Path, names: &[String]) -> Result<Self, NetError> {
        Self::following(Pair::self_signed(dir, names, provider())?)
    }

    fn following(pair: Pair) -> Result<Self, NetError> {
        let pair = Arc::new(pair);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| NetError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as _);
        config.alpn_protocols = ALPN.map(|protocol| protocol.as_bytes().to_vec()).into();
        // A returning viewer resumes without a round trip of certificates; the keys live in memory only.
        config.ticketer = Ticketer::new().map_err(|error| NetError::Tls(error.to_string()))?;
        Ok(Self { config: Arc::new(config), pair })
    }

    /// The certificate chain in use, as PEM.
    pub fn certificate_pem(&self) -> String {
        self.pair.certificate_pem()
    }

    /// How often the pair has been replaced since it was opened.
    pub fn reloads(&self) -> u64 {
        self.pair.reloads()
    }

    /// Follows the files until it is dropped.
    pub(crate) async fn follow(self) {
        self.pair.follow().await;
    }

    /// Shakes hands; the client's choice of ALPN tells the protocol.
    pub(crate) async fn accept(&self, wire: Wire) -> io::Result<(TlsStream<Wire>, Protocol)> {
        let stream = TlsAcceptor::from(Arc::clone(&self.config)).accept(wire).await?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok((stream, protocol))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

#[cfg(test)]
mod tests;
