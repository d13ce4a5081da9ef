//! Bytes to requests and back: everything of kromka that touches a socket.
//!
//! Serving, in the order in which a request meets the parts:
//!
//! - [`bind`] opens a listener, or says why it cannot and what to do;
//! - [`serve`](serve()) accepts: one permit and one task for each connection, an honest 503 beyond the limit;
//! - [`Tls`] shakes hands, with a certificate that follows its files;
//! - `wire` is the socket with its clock: it notes when bytes move, and finds out whether HTTP/1 or
//!   HTTP/2 is spoken;
//! - `connection` runs hyper under the watch of `activity`, which knows when a client has been too slow;
//! - `exchange` carries one request to the [`Handler`] and guards its answer: size limits, panics, bodies
//!   that break;
//! - [`RttLog`] gathers how far clients are, as the kernel measured it on their connections; a [`Prober`]
//!   asks where nobody has connected;
//! - [`Counted`] counts a body on its way out; [`wordless`], [`explain`] and [`looped`] are what roles ask of
//!   answers and requests;
//! - [`Serving::drain`] ends it all without cutting anyone before the deadline.
//!
//! [`Listeners`] are all that a role has, opened, served and drained together; [`Traffic`] adds up what they
//! count.
//!
//! Asking: [`Client`] is the one way out, with a deadline for every step. [`Problem`] is how an error looks
//! in JSON (RFC 9457), on both sides.
//!
//! This crate knows no role, no cache, no playlist and no token. rustls is named only in `tls`, reqwest only
//! in `client`.

mod activity;
mod client;
mod client_error;
mod connection;
mod counted;
mod drain;
mod error;
mod exchange;
mod handler;
mod hops;
mod listen;
mod listeners;
mod probe;
mod problem;
mod refuse;
mod rtt;
mod serve;
mod service;
mod stats;
mod tls;
mod wire;

pub use client::{Client, ClientBody, ClientOptions, Stood};
pub use client_error::ClientError;
pub use counted::Counted;
pub use drain::Drained;
pub use error::{BoxError, NetError};
pub use handler::{Handler, Peer};
pub use hops::looped;
pub use hyper::body::Incoming;
pub use listen::{Bound, bind};
pub use listeners::Listeners;
pub use probe::Prober;
pub use problem::{Problem, explain, wordless};
pub use rtt::{RttLog, RttSample};
pub use serve::{ServerOptions, Serving, serve};
pub use service::ServiceHandler;
pub use stats::{ServerStats, Traffic};
pub use tls::{ALPN, Tls};

/// How kromka names itself in `User-Agent`, for example `kromka/0.1.0 (edge)`.
pub fn user_agent(role: &str) -> String {
    format!("kromka/{} ({role})", env!("CARGO_PKG_VERSION"))
}
