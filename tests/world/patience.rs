//! How long a scenario waits before it calls something broken: long, since a busy machine is not a fault.

use std::time::{Duration, Instant};

/// The longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// How often something is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `probe` finds what is awaited; the panic names `what`.
#[track_caller]
pub(crate) fn until<T, F>(what: &str, mut probe: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let place = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{place}: not within {PATIENCE:?}: {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Waits for `work`, but not for ever.
#[track_caller]
pub(crate) fn within<T>(what: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => panic!("{place}: not within {PATIENCE:?}: {what}"),
        }
    }
}
