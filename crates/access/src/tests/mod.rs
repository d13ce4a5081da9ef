//! Tests across the crate: the checked-in vectors, and properties over made-up input.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod properties;
mod vectors;
