//! How edges are asked: how often, and how long one is waited for.
//!
//! The selector's checks and the simulation keep to these rules alike.

use super::evidence::WINDOW_MS;
use super::{LATE_MS, SOONER};

/// Longest that a check is waited for, in milliseconds. A row of failures must go on for a while to be more than chance,
/// and the last of it must end before the first is forgotten: the wait has one half of the window, the row the other.
const PATIENCE_MOST_MS: f64 = (WINDOW_MS / 2) as f64;

/// Milliseconds that a check is waited for: `timeout_ms`, and what one takes at best on top, as much again at most, since
/// one packet that is sent again on a long way would else make it a failure. Where nobody knows yet what one takes, it
/// may be as much: an edge that is never waited for is never known. No more than five seconds in all, unless
/// `timeout_ms` is.
pub fn patience_ms(timeout_ms: f64, usual_ms: Option<f64>) -> f64 {
    let more_ms = usual_ms.map_or(timeout_ms, |usual_ms| usual_ms.clamp(0.0, timeout_ms));
    (timeout_ms + more_ms).min(PATIENCE_MOST_MS.max(timeout_ms))
}

/// Whether a check that began so long ago and has not ended takes so much longer than at best that it is looked into.
/// Nobody knows of one that has never passed.
pub fn is_late(waited_ms: f64, usual_ms: Option<f64>) -> bool {
    usual_ms.is_some_and(|usual_ms| waited_ms > usual_ms + LATE_MS as f64)
}

/// Milliseconds from the beginning of a check to that of the next one of the same edge: that is `soon` where it is
/// [suspicious](super::Outliers::suspicious), or [late](is_late) where not [most](are_most) are.
pub fn next_ms(interval_ms: f64, soon: bool) -> f64 {
    if soon { interval_ms / f64::from(SOONER) } else { interval_ms }
}

/// Whether so many are most of `all`: what is so of most edges is the fault of the source or of this selector, and to
/// ask all of them more often is no help.
pub fn are_most(some: usize, all: usize) -> bool {
    some * 2 > all
}
