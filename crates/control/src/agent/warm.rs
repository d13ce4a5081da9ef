//! One warm job from its order to its end: find the objects, then warm them, a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::crawl::{Target, crawl};
use super::faults::{Faults, tried};
use super::jobs::Taken;
use super::node::Node;

/// Objects warmed at once: enough to hide the source's latency, few enough to leave viewers the line.
const AT_ONCE: usize = 4;

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    /// The message names the first path that failed; all others were warmed.
    Failed(String),
    Cancelled,
}

/// Runs a job to its end.
pub(super) async fn warm(node: Arc<impl Node>, job: Taken) -> End {
    let faults = Faults::default();
    let bucket = Arc::new(Bucket::new(job.order.max_bps, Instant::now()));
    let targets = crawl(&*node, &job.order, &job.live, &bucket, &faults, &job.cancel).await;

    stream::iter(targets)
        .take_while(|_| std::future::ready(!job.cancel.is_cancelled()))
        .map(|target| one(&*node, &job, &bucket, &faults, target))
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;

    if job.cancel.is_cancelled() {
        return End::Cancelled;
    }
    match faults.message() {
        None => End::Succeeded,
        Some(message) => End::Failed(message),
    }
}

async fn one(node: &impl Node, job: &Taken, bucket: &Arc<Bucket>, faults: &Faults, target: Target) {
    tokio::select! {
        () = bucket.turn() => {}
        () = job.cancel.cancelled() => return,
    }
    let warmed = tried(&job.cancel, || async {
        let came = Arc::new(AtomicU64::new(0));
        let progress = {
            let (came, live, bucket) = (Arc::clone(&came), Arc::clone(&job.live), Arc::clone(bucket));
            move |bytes| {
                came.fetch_add(bytes, Relaxed);
                live.came(bytes);
                bucket.took(bytes, Instant::now());
            }
        };
        let warmed = node.warm(&job.order.service, &target.path, progress).await;
        let came = came.load(Relaxed);
        match warmed {
            Ok(size) => {
                job.live.done(size, came, target.listed);
                Ok(())
            }
            Err(error) => {
                job.live.undone(came);
                Err(error)
            }
        }
    });
    if let Err(error) = warmed.await {
        faults.add(&target.path, error);
    }
}

#[cfg(test)]
mod tests;
