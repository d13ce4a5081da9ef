//! Opening a listener.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::error::NetError;

/// Connections that the kernel keeps for us between two accepts. A flash crowd arrives within
/// milliseconds; the kernel lowers this to `net.core.somaxconn` by itself.
const BACKLOG: u32 = 4096;

/// A listener that has its port but accepts nothing yet.
///
/// Roles bind everything first: a port in use is then known before any work has begun.
#[derive(Debug)]
pub struct Bound {
    pub(crate) listener: TcpListener,
    addr: SocketAddr,
}

impl Bound {
    /// The address with the real port, also where port 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Opens a listener on `addr`; port 0 takes a free one.
///
/// `SO_REUSEADDR` is set, so that a restart does not wait for connections in TIME_WAIT; on Linux it does
/// not let two processes share a port. Errors: [`NetError::InUse`], [`NetError::Forbidden`],
/// [`NetError::NotLocal`], [`NetError::Listen`].
pub async fn bind(addr: SocketAddr) -> Result<Bound, NetError> {
    let open = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok(Bound { listener, addr })
    };
    open().map_err(|source| NetError::listening(addr, source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_names_address_and_remedy() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = bind(first.addr()).await.unwrap_err();
        assert!(matches!(error, NetError::InUse { addr } if addr == first.addr()));
        let text = error.to_string();
        assert!(text.contains(&first.addr().to_string()), "{text}");
        assert!(text.contains("port 0"), "{text}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named_as_such() {
        // 192.0.2.0/24 is reserved for documentation (RFC 5737): no machine has it.
        let error = bind("192.0.2.1:0".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, NetError::NotLocal { .. }), "{error}");
    }
}
