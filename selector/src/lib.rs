//! The selector: ranks edges for viewers and carries the control API.
//!
//! In the order of the data:
//!
//! - `geo`: where clients are, out of databases; `checks`, `beacons`, `probes`: what is found out beside heartbeats.
//! - `roster`: heartbeats come in, an immutable snapshot of the edges goes out; `lines`: over which connections.
//! - `policy`: what operators decided about routing; `drain`: how far a node's leaving is.
//! - [`rank`]: the pure decision, which edges serve this viewer, best first.
//! - `answer`: renders that decision for viewers: a redirect, a steering document, a list; `peers` for the edges
//!   whose playlists carry it.
//! - `api`: the control API for the platform, for operators and for nodes, one file per subject; `auth`
//!   says who may do what.
//! - `operations`: purges and pre-warms over many nodes, followed to the last receipt.
//! - `keys`: signs session tokens and publishes the public keys.
//! - `store`: one SQLite file behind one door.
//! - `player`: the page to try a stream with.
//! - `front` is the public listener, `admin` that for operators; `app` is what their handlers have at hand.
//! - `upkeep`: what has to be done although nobody asks.
//! - `metrics`, `error`: what it counts; the one place that picks a status.
//! - `assemble` puts it together ([`start`]) and takes it apart ([`Running::drain`]).
//!
//! Built for fuzzing (`tests/fuzz`) it has a door more, `any_message` of its DNS server.
//!
//! It must not know: caches, playlists' content, what an edge does with a token.

mod admin;
mod answer;
mod api;
mod app;
mod assemble;
mod auth;
mod beacons;
mod checks;
mod drain;
mod error;
mod front;
mod geo;
mod keys;
mod lines;
mod metrics;
mod operations;
mod peers;
mod player;
mod policy;
mod probes;
pub mod rank;
mod roster;
mod store;
mod upkeep;

#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub use answer::any_message;
pub use assemble::{Running, start};
pub use error::StartError;
