//! The control API: for the platform, for operators, for nodes.
//!
//! - [`routes`]: which path and method leads where, behind which scope.
//! - [`body`]: reading JSON, and saying where it is wrong.
//! - [`pointer`]: where in a JSON text something is.
//! - [`page`]: how a list is cut into pages.
//! - [`path`]: reading paths and URLs of content.
//! - [`writes`]: what stands before a call: scope, and for writes idempotency and audit.
//! - for players: [`beacon`].
//! - for the platform: [`sessions`] with [`session_request`], [`sign`], [`keys`].
//! - for operators: [`prewarm`], [`purge`], [`operations`]; [`nodes`], [`decisions`] and [`maintenance`], with
//!   [`revision`] for what two operators must not decide at once; [`explain`].
//! - for nodes: [`heartbeat`], [`feed`].
//! - [`openapi`]: the document of all this.
//!
//! Handlers parse, ask a part of the selector, render. They decide nothing themselves.

mod beacon;
mod body;
mod decisions;
mod explain;
mod feed;
mod heartbeat;
mod keys;
mod maintenance;
mod nodes;
mod openapi;
mod operations;
mod page;
mod path;
mod pointer;
mod prewarm;
mod purge;
mod revision;
mod routes;
mod session_request;
mod sessions;
mod sign;
mod writes;

pub(crate) use openapi::ProblemDocument;
pub(crate) use path::content_path;
pub(crate) use routes::{method_not_allowed, routes};
