//! The shape of the repository, tested: what the design forbids fails here, in seconds, with the remedy in words.
//!
//! In the order a change meets them: `layout` (what stands where), `files` (names, sizes, first lines),
//! `crates` (which crate may know which), `doors` (which file may name which foreign package), `pure` (rooms
//! that do no I/O), `samples` (configs that load), `words` (nothing private to one machine), `signposts`
//! (files that documents name). `tree` reads the
//! files for all of them. No rule here knows what the code does, only where it stands.
//!
//! A rule that is in the way is changed in ARCHITECTURE.md first, and then here, in the same commit.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crates;
mod doors;
mod files;
mod layout;
mod pure;
mod samples;
mod signposts;
mod tree;
mod words;

/// Fails with every finding at once, and with what to do about them.
#[track_caller]
fn none(findings: &[String], remedy: &str) {
    assert!(findings.is_empty(), "\n\n  {}\n\nWhat to do: {remedy}\n", findings.join("\n  "));
}
