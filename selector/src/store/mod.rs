//! The selector's state: one SQLite file behind one door.
//!
//! - [`door`]: opening, the schema, the two connections pools, facts about the store.
//! - [`feed`]: the numbered log for nodes.
//! - [`operations`]: long work, created together with its feed entry.
//! - [`keys`]: signing keys.
//! - [`nodes`]: nodes as last heard of, and what an operator decided about them.
//! - [`decisions`]: what operators decided about routing.
//! - [`idempotency`]: answers kept for callers that repeat a write.
//! - [`audit`]: who wrote what.
//!
//! Every need has a method of [`Store`]; no SQL stands elsewhere. It must not know: HTTP, the roster, who asks.

pub(crate) mod audit;
pub(crate) mod decisions;
pub(crate) mod door;
pub(crate) mod feed;
pub(crate) mod idempotency;
pub(crate) mod keys;
pub(crate) mod nodes;
pub(crate) mod operations;

#[cfg(test)]
mod tests;

pub(crate) use door::{Store, StoreError};
