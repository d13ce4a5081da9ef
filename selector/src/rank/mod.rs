//! Which edges should serve this viewer, best first: one pure function.
//!
//! In the order of the data:
//! - [`snapshot`]: what is known about the edges at one instant, immutable.
//! - [`distance`]: round-trip times per client cell and site, and what is assumed where none is known.
//! - [`score`]: the price of congestion.
//! - [`rendezvous`]: weighted highest-random-weight hashing, so that a title stays on few nodes.
//! - [`choice`]: the two stages (site, then node) that put the parts together.
//!
//! The rule: take the site with the least `distance + marginal price of congestion + operator's cost`, and in it
//! the node the title hashes to, unless that node is loaded past the site's bound. Alternates come from other
//! sites first, because they fail for other reasons.
//!
//! It must not know: clocks, sockets, the store, how an answer is rendered. It gets data and `now`.

pub mod choice;
pub mod distance;
pub mod rendezvous;
pub mod score;
pub mod snapshot;

#[cfg(test)]
mod tests;

pub use choice::{Place, Question, Ranked, Ranking, Reason, Verdict, rank};
pub use distance::{Cell, Distances};
pub use snapshot::{Assigned, Candidate, Reach, Settings, Snapshot};
