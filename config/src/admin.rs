//! `[admin]`: the listener for operators, apart from the one for viewers.

use std::net::{Ipv4Addr, SocketAddr};

use crate::ListenConfig;
use crate::reader::Table;

/// Where metrics and health answers are served. Viewers never reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Address and port of `/metrics`, `/healthz`, `/readyz`; plain HTTP, port 0 = a free one. Default
    /// `127.0.0.1:9100`: it names paths and loads, so it is for the machine and the monitoring network only.
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9100)) }
    }
}

impl AdminConfig {
    pub(crate) fn read(mut table: Table<'_>, public: &ListenConfig) -> Self {
        let usual = Self::default();
        let listen = table.address("listen", Some(usual.listen)).unwrap_or(usual.listen);
        let taken = [public.http, public.https].into_iter().flatten().any(|other| other == listen);
        if taken && listen.port() != 0 {
            table.fault("listen", format!("{listen} is taken by [listen]"), "another address or port");
        }
        table.close();
        Self { listen }
    }
}
