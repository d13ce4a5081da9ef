//! `[admin]`: the listener for operators, apart from the one for viewers.

use std::net::{Ipv4Addr, SocketAddr};

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
