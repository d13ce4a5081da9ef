//! What went wrong in a job, and trying again before it counts.

use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;

/// Tries of one object: the first and two more.
const TRIES: u32 = 3;
/// The wait before the second try; it doubles.
const WAIT: Duration = Duration::from_millis(250);

/// Most characters of a message: it rides on every heartbeat for ten minutes.
const MAX_MESSAGE: usize = 500;

/// The first fault, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Mutex<(Option<String>, u64)>,
}

impl Faults {
    pub(super) fn add(&self, path: &str, error: impl AsRef<str>) {
        let mut first = self.first.lock();
        first
            .0
            .get_or_insert_with(|| format!("{path}: {}", error.as_ref()).chars().take(MAX_MESSAGE).collect());
        first.1 += 1;
    }

    /// `/a.ts: no answer (and 3 more failed)`; `None` when all is well.
    pub(super) fn message(&self) -> Option<String> {
        let (first, count) = self.first.lock().clone();
        let first = first?;
        Some(if count > 1 { format!("{first} (and {} more failed)", count - 1) } else { first })
    }
}

/// Tries something that may fail for a moment; cancelling ends it, whatever it waits for.
pub(super) async fn tried<T, F: Future<Output = Result<T, String>>>(
    cancel: &CancellationToken,
    ask: impl Fn() -> F,
) -> Result<T, String> {
    let mut backoff = Backoff::new(WAIT, WAIT * 8);
    let mut tries = 1;
    loop {
        let asked = tokio::select! {
            asked = ask() => asked,
            () = cancel.cancelled() => return Err("cancelled".to_owned()),
        };
        match asked {
            Ok(done) => return Ok(done),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => {
                tries += 1;
                tokio::select! {
                    () = sleep(backoff.next()) => {}
                    () = cancel.cancelled() => {}
                }
            }
        }
    }
}
