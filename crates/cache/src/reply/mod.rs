//! What goes back to the one who asked.
//!
//! `answer` writes the header out of what is held, `body` sends the blocks while they arrive, and `crowd` lets
//! the many who wait for the same block have it in turns.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod crowd;
