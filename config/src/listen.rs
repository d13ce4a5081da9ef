//! `[listen]` and `[tls]`: where viewers (or edges) connect, and with which certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The public listeners; at least one must be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenConfig {
    /// Plain HTTP/1.1 and HTTP/2: address and port, port 0 = a free one. No default.
    pub http: Option<SocketAddr>,
    /// HTTP/1.1 and HTTP/2 over TLS: address and port, port 0 = a free one. No default; needs `[tls]`.
    pub https: Option<SocketAddr>,
}

/// The certificate of the https listener: either a pair of files, or one made here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file with the certificate chain, leaf first; reread when it changes. No default.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of the leaf; reread when it changes. No default.
    pub key: Option<PathBuf>,
    /// Folder in which a self-signed pair is made once and kept; for laboratories, since browsers will not
    /// trust it. Excludes `certificate` and `key`. No default.
    pub self_signed: Option<PathBuf>,
}
