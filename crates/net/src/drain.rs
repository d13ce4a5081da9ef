//! Ending a server without cutting anyone who is in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::activity::Activity;

/// How long aborted connections may take to fall; they only need to be polled once.
const FALL: Duration = Duration::from_secs(5);

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the deadline and were cut.
    pub cut: usize,
}

/// The open connections of a listener.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
    empty: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    draining: bool,
    tasks: HashMap<u64, (Arc<Activity>, AbortHandle)>,
}

/// A connection's entry; dropping it (also by an abort) strikes the connection off.
#[derive(Debug)]
pub(crate) struct Entry {
    id: u64,
    connections: Arc<Connections>,
}

impl Connections {
    /// Starts a connection's task by `spawn`, which must keep the [`Entry`] for as long as it runs.
    pub(crate) fn start(
        self: &Arc<Self>,
        activity: &Arc<Activity>,
        spawn: impl FnOnce(Entry) -> AbortHandle,
    ) {
        // The lock is held while the task starts, so that even one that ends at once finds its entry.
        let mut open = self.open.lock();
        let id = open.next;
        open.next += 1;
        if open.draining {
            activity.drain();
        }
        let task = spawn(Entry { id, connections: Arc::clone(self) });
        open.tasks.insert(id, (Arc::clone(activity), task));
    }

    /// Asks all to finish, waits for `deadline`, cuts the rest.
    pub(crate) async fn drain(&self, deadline: Duration) -> Drained {
        {
            let mut open = self.open.lock();
            open.draining = true;
            for (activity, _) in open.tasks.values() {
                activity.drain();
            }
        }
        if timeout(deadline, self.all_gone()).await.is_ok() {
            return Drained { cut: 0 };
        }
        let cut = self.cut();
        let _ = timeout(FALL, self.all_gone()).await;
        Drained { cut }
    }

    /// Cuts all that are open; their sockets close as soon as the runtime gets to them.
    pub(crate) fn cut(&self) -> usize {
        let open = self.open.lock();
        for (_, task) in open.tasks.values() {
            task.abort();
        }
        open.tasks.len()
    }

    async fn all_gone(&self) {
        loop {
            let changed = self.empty.notified();
            if self.open.lock().tasks.is_empty() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.tasks.remove(&self.id);
        if open.tasks.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}
