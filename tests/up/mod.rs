//! `kromka up`: the whole chain with one command.
//!
//! - `playing`: what a newcomer gets: everything plays, byte for byte;
//! - `again`: stopping, starting anew, several at once;
//! - `starting`: what it says when it cannot start.

mod again;
mod playing;
mod starting;
