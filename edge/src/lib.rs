//! The edge: a cache near the viewers.
//!
//! What a request meets, in order:
//!
//! - `assemble` puts the edge together ([`start`]) and takes it apart ([`Running::drain`]);
//! - `edge` is what it is made of, and `service` tells the story of one request; `services` knows who publishes
//!   a path, `ticket` where the token is, `keys` and `verdicts` whose it is;
//! - `web` tells that of a request for any other HTTP content, whose body goes on as an `upload`;
//! - `reloads` holds reloads of low-latency streams until there is news (`kromka_live`);
//! - the tier (`kromka_cache`) answers, and fills from `shield`, the shields, each a `server`; `upcoming` has it
//!   fetch what the viewer will ask for next, `siblings` spares the shields what an edge beside this one has;
//! - `health` is an object of the edge's own, for whoever wants to know how it serves;
//! - `tailor` makes a playlist one viewer's: `variants` cuts it to the plan, `pathways` writes the ways in that
//!   it may take; `respond` and `cors` dress every answer; `error` alone picks
//!   a status and finds words for what goes wrong.
//!
//! Beside the requests: `heartbeat` is what the selectors hear and ask, `distances` how far
//! clients are; `metrics` is what the edge counts, `api` the listener for operators.
//!
//! It knows no store and no bucket (the shield does), and never decides how long an object lives.

mod api;
mod assemble;
mod cors;
mod distances;
mod edge;
mod error;
mod health;
mod heartbeat;
mod keys;
mod metrics;
mod pathways;
mod reloads;
mod respond;
mod server;
mod service;
mod services;
mod shield;
mod siblings;
mod tailor;
mod ticket;
mod upcoming;
mod upload;
mod variants;
mod verdicts;
mod web;

#[cfg(test)]
mod tests;

pub use assemble::{Running, start};
pub use error::StartError;

/// The body of an answer: the tier's blocks as it holds them, or a short text.
type Content = http_body_util::Either<kromka_cache::Body, http_body_util::Full<bytes::Bytes>>;
