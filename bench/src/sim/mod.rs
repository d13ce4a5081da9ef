//! Routing policies in a simulated world, judged by what viewers pay.
//!
//! In the order of a run:
//! - [`world`]: cities and distances, from data or synthetic; sites and nodes among them.
//! - [`scenario`]: demand, crowds, reports, mistakes, accidents. [`titles`]: what is watched and kept. `demand`: by whom.
//! - [`policies`]: who decides; ours is the production decision, the others are models.
//! - [`run`]: viewers come and go, nodes report; [`cost`] says what a viewer pays, [`oracle`] what was possible,
//!   [`best`] for the viewers of a run; [`outcome`] is what came of it.
//! - [`gray`]: edges that fail while they say that they are well, under the eyes of the production code.
//! - [`suite`]: all policies, scenarios and seeds; [`goals`]: what was to be reached.
//! - [`dice`]: chance that is the same in every run.
//!
//! It must not know: sockets, clocks. Equal seeds give equal results.

pub mod best;
pub mod cost;
mod demand;
pub mod dice;
pub mod goals;
pub mod gray;
pub mod oracle;
pub mod outcome;
pub mod policies;
pub mod run;
pub mod scenario;
pub mod suite;
pub mod titles;
pub mod world;
