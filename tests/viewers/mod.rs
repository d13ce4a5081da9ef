//! What viewers get from a real edge before a real shield.
//!
//! - `tokens`: the ways to carry a token, and the ways to break one;
//! - `ranges`: pieces of an object, and asking whether it has changed;
//! - `refusals`: everything else that is refused, in words, with the fields a browser needs;
//! - `protocols`: HTTP/1.1 and HTTP/2, with and without TLS; certificates that change;
//! - `tiers`: what the answer says about the way it came;
//! - `plans`: what a session may not see.

mod plans;
mod protocols;
mod ranges;
mod refusals;
mod tiers;
mod tokens;
