//! Where the rest comes from, and how few requests bring it.
//!
//! `source` is the way upstream, `tags` what operators add to its answers, and `gate` the leave to use it (with
//! `jitter` in its rests); `opening` is the one fetch that finds out what an object is, `troubles` remembers which of
//! them failed a moment ago; `fill` is a run of blocks on its way in, `lead` begins one for a reader, `pull` brings it.

pub(crate) mod fill;
pub(crate) mod gate;
pub(crate) mod jitter;
mod lead;
pub(crate) mod opening;
pub(crate) mod pull;
pub(crate) mod source;
mod tags;
pub(crate) mod troubles;
