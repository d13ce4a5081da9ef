//! The two tiers over a source that the scenario plays, and what happens when somebody leaves or dies.
//!
//! - `crowd`: many viewers, one request upstream; viewers who come and go;
//! - `broken`: a source or a shield that dies midway never yields a body that looks complete;
//! - `budget`: what a flood and readers that dawdle cost in memory;
//! - `lies`: a source that is not what it says: lengths, places, versions, codings, headers, redirects, throttling;
//! - `restarts`: what is stored survives a kill;
//! - `sources`: a folder and a web server as the source; who may ask a shield.

mod broken;
mod budget;
mod crowd;
mod lies;
mod restarts;
mod sources;
