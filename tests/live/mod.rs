//! Live streams: what goes on must never be seen going back, and what is new must be seen at once.
//!
//! - `encoder`: writes a stream as a packager would, into a folder or behind a web server;
//! - `order`: shields that lag, streams that stand still, encoders that start anew;
//! - `low_latency`: reloads that are held and released together, parts, delta updates;
//! - `ahead`: what is fetched before a viewer asks;
//! - `siblings`: one copy for a whole site.

mod ahead;
mod encoder;
mod low_latency;
mod order;
mod siblings;

pub(crate) use encoder::Stream;
