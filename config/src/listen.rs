//! `[listen]` and `[tls]`: where viewers (or edges) connect, and with which certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::reader::Table;

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

impl ListenConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let listen = Self { http: table.address("http", None), https: table.address("https", None) };
        if !table.has("http") && !table.has("https") {
            table.fault("", "nothing listens", "http = \"ADDRESS:PORT\", https = \"ADDRESS:PORT\", or both");
        }
        if listen.http.is_some_and(|http| http.port() != 0) && listen.http == listen.https {
            table.fault("https", "is the address of http", "another address or port");
        }
        table.close();
        listen
    }
}

impl TlsConfig {
    pub(crate) fn read(mut table: Table<'_>, listen: &ListenConfig) -> Self {
        let tls = Self {
            certificate: table.path("certificate", None),
            key: table.path("key", None),
            self_signed: table.path("self_signed", None),
        };
        let ways = "certificate and key, or self_signed";
        let [certificate, key, self_signed] = ["certificate", "key", "self_signed"].map(|key| table.has(key));
        if self_signed && (certificate || key) {
            table.fault("self_signed", "stands beside a certificate or key", ways);
        } else if certificate != key {
            let (there, missing) = if certificate { ("certificate", "key") } else { ("key", "certificate") };
            table.fault(there, format!("stands without {missing}"), ways);
        } else if !certificate && !self_signed && listen.https.is_some() {
            table.fault("", "listen.https needs a certificate", ways);
        }
        table.close();
        tls
    }
}
