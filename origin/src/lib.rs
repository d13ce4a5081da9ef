//! The origin shield: one tier in front of object storage, for all edges.
//!
//! What a request meets, in order:
//!
//! - `assemble` puts the origin together ([`start`]) and takes it apart ([`Running::drain`]);
//! - `service` tells the story of one request of an edge, `error` alone picks a status and finds words for what
//!   goes wrong;
//! - the tier (`kromka_cache`) answers, and fills from `source`, which picks the store of the service:
//!   `bucket` (a directory or S3; `file` reads local files) or `web` (an HTTP server), with `backing` for what they
//!   have in common;
//! - `lifetimes` decides how long each answer lives, here and on every edge.
//!
//! Beside the requests: `heartbeat` is what the selectors hear and ask, `metrics` what the origin
//! counts, `api` the listener for operators.
//!
//! It never meets a viewer: no session token, no CORS, no plan.

mod api;
mod assemble;
mod backing;
mod bucket;
mod error;
mod file;
mod heartbeat;
mod lifetimes;
mod metrics;
mod service;
mod source;
mod web;

#[cfg(test)]
mod tests;

pub use assemble::{Running, start};
pub use error::StartError;

/// The body of an answer: the tier's blocks as it holds them, or a short text.
type Content = http_body_util::Either<kromka_cache::Body, http_body_util::Full<bytes::Bytes>>;
