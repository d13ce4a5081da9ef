//! A fleet across a wide-area network, with distances and broken links: what no test on the loopback can show.
//!
//! - `cloud`: the network, hosts in namespaces and this process between them;
//! - `stage`: a fleet and viewers on those hosts;
//! - `distances`: who is near is served from near;
//! - `partitions`: cut links, killed edges, drains under play.
//!
//! Each needs root, `ip` and `/dev/net/tun`, so they run when asked for; tests/run asks.

mod cloud;
mod distances;
mod partitions;
mod stage;
