//! The servers that are compared, each with its best settings.
//!
//! - [`kromka`] is the origin and the edge, from the binary that is measured;
//! - [`nginx`] is Debian's nginx as a cache, its settings in `nginx.conf`;
//! - [`varnish`] and [`trafficserver`] are Debian's, too, where caches for crowds are compared;
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
pub mod trafficserver;
pub mod varnish;

use std::net::SocketAddr;

use anyhow::{Result, bail};

/// A server under test.
pub trait Peer {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// Where it listens for plain HTTP.
    fn http(&self) -> SocketAddr;
    /// The process whose CPU time, with that of its children, is counted.
    fn pid(&self) -> u32;
}

/// One that speaks TLS as well.
pub trait TlsPeer: Peer {
    /// Where it listens for TLS.
    fn https(&self) -> SocketAddr;
}

/// Where a cache fills from.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The server.
    pub addr: SocketAddr,
    /// What is put before a path there; no slash at its end.
    pub prefix: String,
}

/// Puts values into the gaps of a settings file; all of both must match.
fn fill(text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        let gap = format!("{{{{{name}}}}}");
        if !filled.contains(&gap) {
            bail!("the settings have no {gap}");
        }
        filled = filled.replace(&gap, value);
    }
    match filled.split_once("{{") {
        Some((_, rest)) => {
            bail!("the settings have a gap nobody fills: {}", rest.split("}}").next().unwrap_or(rest))
        }
        None => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_gap_is_filled_and_every_value_used() {
        assert_eq!(fill("listen {{a}}; {{b}}{{a}}", &[("a", "1"), ("b", "")]).unwrap(), "listen 1; 1");
        assert!(fill("listen {{a}};", &[]).is_err());
        assert!(fill("listen;", &[("a", "1")]).is_err());
    }
}
