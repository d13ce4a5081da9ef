//! The worker: runs warm jobs one after the other, so that warming never takes more than its share.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::sleep;

use super::context::Context;
use super::jobs::{Jobs, Next, Taken};
use super::node::Node;
use super::warm::{End, warm};
use crate::operations::OperationState;

/// Windows are looked at this often at least, so that a step of the clock does no lasting harm.
const LOOK: Duration = Duration::from_secs(30);

/// Runs jobs until the agent stops; the one that is running then stays unfinished and resumes.
pub(super) async fn run<N: Node>(shared: &Context<N>) {
    tokio::select! {
        () = work(shared) => {}
        () = shared.stop.cancelled() => {}
    }
}

async fn work<N: Node>(shared: &Context<N>) {
    loop {
        match shared.jobs.next(Utc::now()) {
            Next::Run(job) => {
                shared.status.pulse();
                let operation = job.order.operation.clone();
                tracing::info!(%operation, service = %job.order.service, "warming");
                let (state, error) = one(&shared.node, job).await;
                tracing::info!(%operation, %state, error = error.as_deref().unwrap_or(""), "warmed");
                finish(shared, &operation, state, error).await;
            }
            Next::Late(operation) => {
                let error = "its window closed before it could begin".to_owned();
                finish(shared, &operation, OperationState::Failed, Some(error)).await;
            }
            Next::Wait(until) => {
                tokio::select! {
                    () = sleep(until.unwrap_or(LOOK).min(LOOK)) => {}
                    () = shared.jobs.woken() => shared.status.pulse(),
                }
            }
        }
    }
}

async fn finish<N: Node>(shared: &Context<N>, operation: &str, state: OperationState, error: Option<String>) {
    let jobs: &Jobs = &shared.jobs;
    jobs.finish(operation, state, error).await;
    shared.status.pulse();
}

async fn one<N: Node>(node: &Arc<N>, job: Taken) -> (OperationState, Option<String>) {
    let left = job.order.window.as_ref().and_then(|window| window.not_after).map(|end| {
        // A window that has just closed ends the job at its first await.
        (end - Utc::now()).to_std().unwrap_or_default()
    });
    let live = Arc::clone(&job.live);
    // Its own task: a panic in the node fails the job, not the worker.
    let mut running = AbortOnDrop(tokio::spawn(warm(Arc::clone(node), job)));
    let closed = async {
        match left {
            Some(left) => sleep(left).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = &mut running.0 => match ended {
            Ok(End::Succeeded) => (OperationState::Succeeded, None),
            Ok(End::Failed(message)) => (OperationState::Failed, Some(message)),
            Ok(End::Cancelled) => (OperationState::Cancelled, None),
            Err(error) => (OperationState::Failed, Some(format!("the node broke while it warmed: {error}"))),
        },
        () = closed => {
            let progress = live.progress();
            let message = format!(
                "its window closed when {} of {} objects were warm",
                progress.objects_done, progress.objects_total
            );
            (OperationState::Failed, Some(message))
        }
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use chrono::TimeDelta;
    use tokio::sync::Semaphore;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::agent::fake_node::FakeNode;
    use crate::feed::WarmOrder;
    use crate::prewarm::Window;

    fn job(not_after: TimeDelta) -> Taken {
        let window = Window { not_before: None, not_after: Some(Utc::now() + not_after) };
        let order = WarmOrder {
            operation: "op".into(),
            service: "default".into(),
            trees: vec!["/s/low/index.m3u8".into()],
            urls: vec![],
            prefixes: vec![],
            nodes: vec!["e1".into()],
            max_bps: None,
            window: Some(window),
        };
        Taken { order: Arc::new(order), live: Arc::default(), cancel: CancellationToken::new() }
    }

    #[tokio::test]
    async fn a_job_ends_when_its_window_closes() {
        let mut node = FakeNode::with_tree(5);
        node.permits = Semaphore::new(2);
        let (state, error) = one(&Arc::new(node), job(TimeDelta::seconds(1))).await;
        assert_eq!(state, OperationState::Failed);
        assert_eq!(error.unwrap(), "its window closed when 3 of 6 objects were warm");
    }

    #[tokio::test]
    async fn a_node_that_panics_fails_the_job_only() {
        let node = FakeNode::with_tree(2);
        node.permits.close();
        let (state, error) = one(&Arc::new(node), job(TimeDelta::seconds(60))).await;
        assert_eq!(state, OperationState::Failed);
        assert!(error.unwrap().starts_with("the node broke while it warmed"));
    }
}
