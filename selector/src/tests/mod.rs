//! A whole selector over real sockets, with fake nodes that send heartbeats and read the feed.
//!
//! - `rig`: starts the selector and speaks to it.
//! - `agents`: the nodes' real agents against the real selector.
//! - `access`: who may do what, idempotency, malformed requests.
//! - `playing`: sessions, signed URLs, redirects, rankings.
//! - `beacons`: what players tell.
//! - `steering`: content steering documents, and what edges are told for their playlists.
//! - `fleet`: heartbeats, draining, the feed.
//! - `names`: DNS.
//! - `operators`: zones, costs, planned work; explanations and simulations.
//! - `work`: purges and pre-warms to the last receipt, across a restart.
//! - `surface`: the OpenAPI document, the player page, health, metrics, TLS.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod agents;
mod beacons;
mod fleet;
mod names;
mod operators;
mod playing;
mod rig;
mod steering;
mod surface;
mod work;
