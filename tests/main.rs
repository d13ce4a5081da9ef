//! Scenarios that read as prose, run against the real binary, and the shape of the repository itself.
//!
//! README.md beside this file is the index: which area holds which promise, and what each needs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architecture;
mod cli;
mod clients;
mod conformance;
mod disk;
mod live;
mod network;
mod prewarm_purge;
mod readme;
mod selector;
mod shield;
mod up;
mod viewers;
mod world;
