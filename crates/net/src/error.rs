//! What can go wrong before the first request: binding, certificates, settings.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Any error that may cross a thread.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a listener, a certificate or the client could not be set up; every text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// Another process listens on the address.
    #[error(
        "{addr} is in use by another process; stop it (`ss -ltnp 'sport = :{}'` names it), or choose another port, or port 0 for a free one",
        addr.port()
    )]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The process may not listen there.
    #[error(
        "no right to listen on {addr}; ports below 1024 need CAP_NET_BIND_SERVICE (systemd: `AmbientCapabilities=CAP_NET_BIND_SERVICE`) or a port above"
    )]
    Forbidden {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The address belongs to no interface of this machine.
    #[error(
        "{addr} is not an address of this machine; use one that `ip addr` shows, or 0.0.0.0 or [::] for all of them"
    )]
    NotLocal {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// Any other failure of the listener.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the certificate pair cannot be read or written.
    #[error("{}: {source}; it must be readable (and its folder writable, if kromka makes the pair) by the user that kromka runs as", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the certificate pair is not what it should be.
    #[error("{}: {what}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and what it should hold.
        what: String,
    },
    /// A setting is right by itself and yet cannot be used.
    #[error("{key}: {why}")]
    Setting {
        /// Which setting.
        key: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// TLS could not be set up at all.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Client(String),
}

impl NetError {
    pub(crate) fn listening(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::PermissionDenied => Self::Forbidden { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { addr },
            _ => Self::Listen { addr, source },
        }
    }

    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn certificate(path: &Path, what: impl Into<String>) -> Self {
        Self::Certificate { path: path.to_owned(), what: what.into() }
    }
}
