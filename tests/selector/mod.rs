//! The selector before real nodes.
//!
//! - `routes`: where viewers are sent; ranked lists;
//! - `sessions`: playback sessions, signed URLs, keys;
//! - `callers`: who may do what, once, and what the API says about itself;
//! - `failing`: edges that fail though they are heard; ways that are measured;
//! - `leaving`: drained and killed edges;
//! - `names`: DNS; `names_leaving`: the same of drained, stopped and killed edges;
//! - `steering`: players that are moved in the middle of a play;
//! - `restarts`: what survives.

mod callers;
mod failing;
mod leaving;
mod names;
mod names_leaving;
mod restarts;
mod routes;
mod sessions;
mod steering;
