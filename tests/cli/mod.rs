//! The command line: data on stdout, words on stderr, an exit code that can be relied on.
//!
//! - `checking`: configurations, good and bad, before and at the start of a role;
//! - `signing`: URLs signed and verified without any server;
//! - `asking`: the verbs that ask a selector;
//! - `caching`: what a cache holds, of a running node and in a folder;
//! - `words`: usage, help, version, completions, manual pages.

mod asking;
mod caching;
mod checking;
mod signing;
mod words;
