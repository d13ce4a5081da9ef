//! Disks that fail under a running edge, as the system makes them fail: calls that end in errors, and calls that
//! do not end.
//!
//! - `stand`: an edge with two disks, and what is on which;
//! - `errors`: reads and writes that fail;
//! - `hanging`: reads and writes that take longer than anybody waits.
//!
//! Each needs strace and leave to trace a process that is not its child, so they run when asked for; tests/run
//! asks where that is so.

mod errors;
mod hanging;
mod stand;
