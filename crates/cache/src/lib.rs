//! The tier: one HTTP cache, key to generation to blocks, in memory and on disk.
//! The edge and the shield each run one; what differs is the [`Source`] they fill from.
//!
//! In the order the data flows:
//!
//! 1. what is asked: `key` names the object, `vary` its representation, `range` and `conditional`
//!    read the request;
//! 2. what is held: `generation` is one version of an object, its `meta` what its header says,
//!    `blocks` the arithmetic of its body, `memory` (with its `arena`) and `disk` (with `file_state`) where the blocks are
//!    (`policy` says which stay on disk), `records` which generation is current, `fences` what purges have
//!    forbidden; `store` is all of it;
//! 3. whether it may be used: `cache_control` and `freshness` (RFC 9111, 5861, 9213), on a `clock` that
//!    never runs backwards;
//! 4. where the rest comes from: `source` is the way upstream, `gate` the leave to use it, `opening` the
//!    one fetch that finds out what an object is, `troubles` which of them failed a moment ago, `fill` a
//!    run of blocks on its way in, `pull` what brings it;
//! 5. what goes back: `tier` tells the story of a request, `answer` writes its header, `way` how it was come by,
//!    `body` sends the blocks while they arrive, to a `crowd` in turns; `warm` takes them in with nobody waiting,
//!    `adopt` what comes without a request.
//!
//! This crate knows HTTP caching and nothing else: no playlist, no token, no role, no socket.

mod adopt;
mod answer;
mod blocks;
mod body;
mod cache_control;
mod clock;
mod conditional;
mod crowd;
mod disk;
mod error;
mod fences;
mod file_state;
mod fill;
mod freshness;
mod gate;
mod generation;
mod jitter;
mod key;
mod memory;
mod meta;
mod opening;
pub mod policy;
mod pull;
mod range;
mod records;
mod source;
mod stats;
mod store;
mod tier;
mod troubles;
mod vary;
mod warm;
mod way;

pub use adopt::Outside;
pub use answer::Answer;
pub use body::{Body, BodyError};
pub use disk::{Damage, Offline, Stored, Totals, seed_journal};
pub use error::{CacheError, Failure};
pub use fences::{Purge, PurgeMode};
pub use key::Key;
pub use meta::end_to_end;
pub use source::{Fetched, Source, SourceBody, SourceError, SourceFault, Validators, Want, outcome};
pub use stats::{DiskMetric, DiskStats, Stats};
pub use tier::{Ask, Tier};
pub use warm::Warmed;
pub use way::{Verdict, past_by_method};
