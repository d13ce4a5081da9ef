//! Those who waited for one object together take turns: nobody gets a second piece of it before everybody has
//! a first one. Without this, whoever comes first fills a socket with megabytes while thousands wait for a byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Longest wait for the others: a body that nobody asks for holds nobody up for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Requests that wait for one opening.
#[derive(Default)]
pub(crate) struct Crowd {
    unserved: AtomicUsize,
    all_served: Notify,
}

/// One of them; dropping it means that it has its first piece, or wants none.
pub(crate) struct Turn(Arc<Crowd>);

impl Crowd {
    pub(crate) fn join(self: &Arc<Self>) -> Turn {
        self.unserved.fetch_add(1, Ordering::AcqRel);
        Turn(self.clone())
    }

    /// Whether somebody has no first piece yet.
    pub(crate) fn waits(&self) -> bool {
        self.unserved.load(Ordering::Acquire) > 0
    }

    /// Returns when everybody has a first piece, or when that takes too long.
    pub(crate) async fn everybody(&self) {
        let _ = timeout(PATIENCE, async {
            loop {
                let served = self.all_served.notified();
                if !self.waits() {
                    return;
                }
                served.await;
            }
        })
        .await;
    }
}

impl Turn {
    /// It has its first piece; gives the crowd if there are others to wait for.
    pub(crate) fn served(self) -> Option<Arc<Crowd>> {
        let crowd = self.0.clone();
        drop(self);
        crowd.waits().then_some(crowd)
    }

    /// Whether others wait for a first piece, too.
    pub(crate) fn has_company(&self) -> bool {
        self.0.unserved.load(Ordering::Acquire) > 1
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.0.unserved.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.all_served.notify_waiters();
        }
    }
}
