//! What is held, whatever it lies on: versions of objects, and which of them still count.
//!
//! `generation` is one version of an object, `meta` what its header says, `told` what answers out of it say of
//! it for a second, `blocks` the arithmetic of its body and `file_state` whether the file they came from is the
//! same; `records` knows which generation is current, `fences` what purges have forbidden, and `store` is all of
//! it, over memory and disk.

pub(crate) mod blocks;
pub(crate) mod fences;
pub(crate) mod file_state;
pub(crate) mod generation;
pub(crate) mod meta;
pub(crate) mod records;
pub(crate) mod store;
pub(crate) mod told;
