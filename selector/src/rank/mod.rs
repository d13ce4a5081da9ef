//! Which edges should serve this viewer, best first: one pure function.
//!
//! In the order of the data:
//! - `whereabouts`, `cell`: where clients and sites are, and the networks and areas that distances are kept for.
//! - `learner`, `distance`: measurements come in, an immutable table of round-trip times goes out.
//! - `assigned`: viewers that were sent somewhere and that no report shows yet; `stripes`: how threads count them.
//! - `zones`: what operators decide by prefix. `settings`: the constants.
//! - `outlier`: who is seen to fail or crawl, and is held back for a while.
//! - `snapshot`, `standing`: all that is known at one instant, immutable, and who of it may take viewers.
//! - `score`, `rendezvous`: the price of congestion; hashing that keeps a title on few nodes.
//! - `choice`: `decide`, the two stages (site, then node) that put the parts together; `shortlist`: the sites that
//!   cost least.
//! - `ranking`: the answer, and its words. `explain`: every edge with every term.
//! - `keep`: whether a session stays on its edge. `explore`: what a session measures besides.
//! - `capacity`: what an edge can really carry. `forecast`: what a drain, a loss or a new edge would do.
//!
//! The rule: take the site with the least `distance + marginal price of congestion + operator's cost`, and in it
//! the node the title hashes to, unless that node is loaded past the site's bound. Alternates come from other
//! sites first, because they fail for other reasons.
//!
//! It must not know: clocks, sockets, the store, how an answer is rendered. It gets data and `now`.

pub mod assigned;
pub mod capacity;
pub mod cell;
pub mod choice;
pub mod distance;
pub mod explain;
pub mod explore;
pub mod forecast;
pub mod keep;
pub mod learner;
pub mod outlier;
pub mod ranking;
pub mod rendezvous;
pub mod score;
pub mod settings;
mod shortlist;
pub mod snapshot;
mod standing;
mod stripes;
pub mod whereabouts;
pub mod zones;

#[cfg(test)]
mod tests;

pub use assigned::{Assigned, Gain};
pub use capacity::Capacity;
pub use cell::{Cell, Source};
pub use choice::{Question, decide, decide_pair};
pub use distance::Distances;
pub use explain::{Barred, Explained, Explanation, explain};
pub use explore::{explore, explores};
pub use forecast::{Change, Forecast, Predicted, forecast};
pub use keep::{Kept, Leave, Stay, keep, keep_ranked};
pub use learner::Learner;
pub use ranking::{EDGES_MAX, Edges, Place, Ranked, Ranking, Reason, Verdict};
pub use settings::{Settings, SiteSettings};
pub use snapshot::{Called, Candidate, Parts, Reach, Reached, Snapshot};
pub use standing::Worth;
pub use whereabouts::{Position, Whereabouts};
pub use zones::{Zone, Zones};
