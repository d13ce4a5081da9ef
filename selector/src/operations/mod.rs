//! Long work over many nodes: purges and pre-warms.
//!
//! - [`record`]: one operation and how it moves on; pure.
//! - [`tracker`]: the operations that still wait for nodes; feeds them heartbeats, keeps what changed.
//!
//! It must not know: HTTP, ranking.

pub(crate) mod record;
pub(crate) mod tracker;

pub(crate) use record::Record;
pub(crate) use tracker::Tracker;
