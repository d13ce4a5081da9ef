//! The servers that are compared, each with its best settings.
//!
//! - [`kromka`] is the origin and the edge, from the binary that is measured;
//! - [`nginx`] is Debian's nginx as a cache, its settings in `nginx.conf`;
//! - [`selector`] is the selector with a fleet of edges that report to it; [`nginx_route`] is nginx as a router, its
//!   settings in `nginx_route.conf`;
//! - [`names`] is a selector that answers DNS for a fleet which reports to it; [`gdnsd`] and [`knot`] answer the same
//!   question from a table of networks.
//!
//! All of them listen on loopback only, live in a room of the run's folder and stop when dropped.

pub mod gdnsd;
pub mod knot;
pub mod kromka;
pub mod names;
pub mod nginx;
pub mod nginx_route;
pub mod selector;

use std::net::SocketAddr;

/// A server under test.
pub trait Peer {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// Where it listens for plain HTTP.
    fn http(&self) -> SocketAddr;
    /// Where it listens for TLS.
    fn https(&self) -> SocketAddr;
    /// The process whose CPU time, with that of its children, is counted.
    fn pid(&self) -> u32;
}

/// Where a cache fills from.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The server.
    pub addr: SocketAddr,
    /// What is put before a path there; no slash at its end.
    pub prefix: String,
}
