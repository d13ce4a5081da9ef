//! The tier: one HTTP cache, key to generation to blocks, in memory and on disk.
//! The edge and the shield each run one; what differs is the [`Source`] they fill from.
//!
//! In the order the data flows, a folder each:
//!
//! 1. `request`: what is asked, read and not yet answered;
//! 2. `rules`: whether it may be stored and used (RFC 9111, 5861, 9213), and how that is told (RFC 9211);
//! 3. `held`: versions of objects and which of them still count, in `memory` and on `disk`; `policy` says what
//!    stays there;
//! 4. `upstream`: where the rest comes from, and how few requests bring it;
//! 5. `reply`: what goes back, while it arrives.
//!
//! `tier` tells the story of a request through all of them; `warm` takes an object in with nobody waiting,
//! `adopt` what comes without a request. `stats` counts, `error` is why something is not answered.
//!
//! This crate knows HTTP caching and nothing else: no playlist, no token, no role, no socket.

mod adopt;
mod disk;
mod error;
#[cfg(fuzzing)]
mod fuzzing;
mod held;
mod memory;
pub mod policy;
mod reply;
mod request;
mod rules;
mod stats;
mod tier;
mod upstream;
mod warm;

pub use adopt::Outside;
pub use disk::{Damage, Offline, Stored, Totals, seed_journal};
pub use error::{CacheError, Failure};
#[cfg(fuzzing)]
pub use fuzzing::any_fields;
pub use held::fences::{Purge, PurgeMode};
pub use held::meta::end_to_end;
pub use reply::answer::Answer;
pub use reply::body::{Body, BodyError};
pub use request::ask::Ask;
pub use request::conditional::none_match;
pub use request::key::Key;
pub use request::values::{members, parts};
pub use rules::way::{Verdict, past_by_method};
pub use stats::{DiskMetric, DiskStats, Stats};
pub use tier::Tier;
pub use upstream::source::{
    Fetched, Source, SourceBody, SourceError, SourceFault, Validators, Want, outcome,
};
pub use warm::{Warmed, Whole};
