//! The node's warm jobs: which there are, how they go, what of them survives a restart.
//!
//! The feed loop adds and cancels, the worker takes and finishes, heartbeats report.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::disk::{Disk, JOBS};
use super::live::Live;
use crate::feed::WarmOrder;
use crate::heartbeat::JobProgress;
use crate::operations::{OperationState, Progress};

/// Most unfinished jobs; one more fails at once, with a message that says so.
pub(super) const MAX_WAITING: usize = 64;
/// Most finished jobs that are reported.
const MAX_FINISHED: usize = 256;
/// How long a finished job is reported.
const REPORTED: Duration = Duration::from_secs(600);

/// The table of jobs, oldest first.
pub(super) struct Jobs {
    table: Mutex<Vec<Job>>,
    wake: Notify,
    disk: Arc<Disk>,
    // Snapshot and write happen under this, so that an older snapshot never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
}

struct Job {
    order: Arc<WarmOrder>,
    state: OperationState,
    live: Arc<Live>,
    error: Option<String>,
    cancel: CancellationToken,
    finished: Option<Instant>,
    told: bool,
}

/// A job on disk.
#[derive(Serialize, Deserialize)]
struct Saved {
    order: Arc<WarmOrder>,
    state: OperationState,
    #[serde(default)]
    progress: Progress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A job that was taken to be run.
pub(super) struct Taken {
    pub(super) order: Arc<WarmOrder>,
    pub(super) live: Arc<Live>,
    pub(super) cancel: CancellationToken,
}

/// What the worker can do now.
pub(super) enum Next {
    Run(Taken),
    /// The window of this one has closed.
    Late(String),
    /// Nothing before then (or before a wake-up).
    Wait(Option<Duration>),
}

impl Jobs {
    /// Loads what was left: a job that was running when the process ended runs again from its beginning,
    /// which is quick, since what is warm stays warm.
    pub(super) fn load(disk: Arc<Disk>) -> Self {
        let saved: Vec<Saved> = disk.load(JOBS).unwrap_or_default();
        let now = Instant::now();
        let job = |saved: Saved| {
            let finished = saved.state.finished();
            Job {
                order: saved.order,
                state: if finished { saved.state } else { OperationState::Pending },
                live: Arc::new(if finished { Live::from(saved.progress) } else { Live::default() }),
                error: saved.error,
                cancel: CancellationToken::new(),
                finished: finished.then_some(now),
                told: false,
            }
        };
        let table = Mutex::new(saved.into_iter().map(job).collect());
        Self { table, wake: Notify::new(), disk, saving: tokio::sync::Mutex::default() }
    }

    /// A new job, unless its operation is known already. One that failed or was cancelled begins anew: that
    /// is how an operator resumes it.
    pub(super) async fn add(&self, order: WarmOrder) {
        {
            let mut table = self.table.lock();
            if let Some(at) = table.iter().position(|job| job.order.operation == order.operation) {
                if !matches!(table[at].state, OperationState::Failed | OperationState::Cancelled) {
                    return;
                }
                table.remove(at);
            }
            let full = table.iter().filter(|job| !job.state.finished()).count() >= MAX_WAITING;
            let mut job = Job {
                order: Arc::new(order),
                state: OperationState::Pending,
                live: Arc::default(),
                error: None,
                cancel: CancellationToken::new(),
                finished: None,
                told: false,
            };
            if full {
                let error =
                    format!("this node has {MAX_WAITING} warm jobs waiting; ask again when some are done");
                job.end(OperationState::Failed, Some(error));
            }
            table.push(job);
        }
        self.changed().await;
    }

    /// Stops a job, also in the middle of an object; one that has not begun never will.
    pub(super) async fn cancel(&self, operation: &str) {
        {
            let mut table = self.table.lock();
            let Some(job) = table.iter_mut().find(|job| job.order.operation == operation) else { return };
            job.cancel.cancel();
            if job.state == OperationState::Pending {
                job.end(OperationState::Cancelled, None);
            }
        }
        self.changed().await;
    }

    /// The next job to run: the oldest whose window is open.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Next {
        let mut table = self.table.lock();
        let mut wait: Option<Duration> = None;
        for job in table.iter_mut().filter(|job| job.state == OperationState::Pending) {
            let window = job.order.window.clone().unwrap_or_default();
            if window.not_after.is_some_and(|end| end <= now) {
                return Next::Late(job.order.operation.clone());
            }
            match window.not_before.map(|begin| (begin - now).to_std()) {
                Some(Ok(early)) if !early.is_zero() => wait = Some(wait.map_or(early, |w| w.min(early))),
                _ => {
                    job.state = OperationState::Running;
                    return Next::Run(Taken {
                        order: Arc::clone(&job.order),
                        live: Arc::clone(&job.live),
                        cancel: job.cancel.clone(),
                    });
                }
            }
        }
        Next::Wait(wait)
    }

    /// A job is over.
    pub(super) async fn finish(&self, operation: &str, state: OperationState, error: Option<String>) {
        if let Some(job) = self.table.lock().iter_mut().find(|job| job.order.operation == operation) {
            job.end(state, error);
        }
        self.changed().await;
    }

    /// Resolves when a job was added or cancelled since the last time.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// What heartbeats say; forgets finished jobs that were told for long enough.
    pub(super) fn report(&self, now: Instant) -> Vec<JobProgress> {
        let mut table = self.table.lock();
        table.retain(|job| match job.finished {
            Some(at) => !job.told || now.duration_since(at) < REPORTED,
            None => true,
        });
        let finished = table.iter().filter(|job| job.finished.is_some()).count();
        let mut surplus = finished.saturating_sub(MAX_FINISHED);
        table.retain(|job| {
            let forget = surplus > 0 && job.finished.is_some();
            surplus -= usize::from(forget);
            !forget
        });
        table.iter().map(Job::progress).collect()
    }

    /// A selector has taken this report.
    pub(super) fn told(&self, report: &[JobProgress]) {
        let mut table = self.table.lock();
        for told in report.iter().filter(|job| job.state.finished()) {
            if let Some(job) = table.iter_mut().find(|job| job.order.operation == told.operation) {
                job.told = true;
            }
        }
    }

    async fn changed(&self) {
        self.wake.notify_one();
        let _turn = self.saving.lock().await;
        let saved: Vec<Saved> = self.table.lock().iter().map(Job::saved).collect();
        self.disk.save(JOBS, &saved).await;
    }
}

impl Job {
    fn end(&mut self, state: OperationState, error: Option<String>) {
        self.state = state;
        self.error = error;
        self.finished = Some(Instant::now());
        // What is left is a receipt; the lists may be megabytes.
        let WarmOrder { operation, service, .. } = &*self.order;
        self.order = Arc::new(WarmOrder {
            operation: operation.clone(),
            service: service.clone(),
            trees: Vec::new(),
            urls: Vec::new(),
            prefixes: Vec::new(),
            nodes: Vec::new(),
            max_bps: None,
            window: None,
        });
    }

    fn progress(&self) -> JobProgress {
        let Progress { objects_done, objects_total, bytes_done, bytes_total } = self.live.progress();
        JobProgress {
            operation: self.order.operation.clone(),
            state: self.state,
            objects_done,
            objects_total,
            bytes_done,
            bytes_total,
            error: self.error.clone(),
        }
    }

    fn saved(&self) -> Saved {
        Saved {
            order: Arc::clone(&self.order),
            state: self.state,
            progress: self.live.progress(),
            error: self.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
