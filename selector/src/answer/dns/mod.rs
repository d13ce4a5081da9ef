//! The decision as DNS: an authoritative server for the names of services.
//!
//! In the order of a question's way:
//!
//! - [`udp`] and [`tcp`] carry messages; [`batch`] moves many datagrams with one system call;
//! - [`query`] reads one message, with [`subnet`] (EDNS client subnet) and [`cookies`] as its parts;
//! - [`rates`] says whether a stranger has had enough, by its network ([`networks`]); [`responder`] decides what is
//!   answered;
//! - [`zones`] knows the names, [`edges`] asks the ranking and picks addresses, [`crowds`] guesses how many
//!   viewers stand behind an answer;
//! - [`reply`] writes the answer; [`numbers`] are the registered ones, [`counters`] what it counts;
//! - [`server`] opens the sockets and runs it all.
//!
//! Strangers' bytes are read and answers are written here, without allocation; what stands still (the names of the
//! configuration, SOA, NS) is encoded by hickory, and the tests read every answer with it. Nothing is signed: there
//! is no DNSSEC. It must not know how edges are ranked.

mod batch;
mod cookies;
mod counters;
mod crowds;
mod edges;
mod networks;
mod numbers;
mod query;
mod rates;
mod reply;
mod responder;
mod server;
mod subnet;
mod tcp;
mod udp;
mod zones;

#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
mod trial;

pub(crate) use counters::Counters;
pub(crate) use server::{Listening, Serving};
#[cfg(fuzzing)]
pub use trial::any_message;
