//! What the standards demand of an HTTP cache and proxy, asked of `kromka proxy` as a process.
//!
//! - `suite`: the public cache suite of 2021 (it needs Node packages), and what we decided against it;
//! - `caching`: what that suite predates or leaves out, one case a line of RFC 9110, 9111, 9211, 9213, 5861;
//! - `framing`: requests that servers in a row could read in two ways (RFC 9112), and the verdict on each;
//! - `proxying`: bodies both ways, who is told what of whom, upgrades, connections, TLS.
//!
//! The server behind is `world::Script`: it says what it is told to, byte for byte.

mod caching;
mod framing;
mod proxying;
mod suite;
