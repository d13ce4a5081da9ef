//! The selector: ranks edges for viewers and carries the control API.
//!
//! In the order of the data:
//!
//! - `roster`: heartbeats come in, an immutable snapshot of the edges goes out.
//! - [`rank`]: the pure decision, which edges serve this viewer, best first.
//! - `answer`: renders that decision for viewers: a redirect, a list.
//! - `api`: the control API for the platform, for operators and for nodes, one file per subject; `auth`,
//!   `idempotency` and `audit` stand before every write of it.
//! - `operations`: purges and pre-warms over many nodes, followed to the last receipt.
//! - `keys`: signs session tokens and publishes the public keys.
//! - `store`: one SQLite file behind one door.
//! - `player`: the page to try a stream with.
//! - `metrics`, `error`: what it counts; the one place that picks a status.
//! - [`assemble`](start): puts the parts together.
//!
//! It must not know: caches, playlists' content, what an edge does with a token.

mod operations;
pub mod rank;
mod roster;
mod store;
