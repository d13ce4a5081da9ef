//! One operation and how it moves on.
//!
//! A purge is done on a node when the node has applied the purge's feed entry; the operation has succeeded when
//! every node that was live at its creation has, or has gone down since. Such a node applies it before it is
//! ready again; its receipt is still awaited and entered late.
//!
//! A pre-warm is done on a node when the node says so; the operation ends when all have ended.

use chrono::DateTime;
use kromka_control::{JobProgress, NodeProgress, Operation, OperationKind, OperationState, Progress};
use serde::{Deserialize, Serialize};

/// What stands at a node that was not there to apply a purge.
const MISSED: &str = "missed: the node is down; it applies the purge before it is ready again";

/// What stands at a node that went down during a pre-warm.
const PAUSED: &str = "paused: the node is down; it goes on when it is back";

/// A node that is down for this long fails its share of a pre-warm, in milliseconds: 10 minutes.
const GIVEN_UP_MS: u64 = 600_000;

/// Receipts are no longer awaited after this long, in milliseconds: 30 days. Then the node is forgotten, too.
const AWAITED_MS: u64 = 30 * 86_400_000;

/// Longest that is kept of why a job failed, in characters.
const WHY_MAX: usize = 1_024;

/// An operation as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What the API shows.
    pub operation: Operation,
    /// When it was created, Unix milliseconds.
    pub created_ms: u64,
    /// The number of its feed entry; set when the entry is written.
    pub feed_seq: u64,
}

impl Record {
    /// A new operation over `nodes`; those in `absent` are down already.
    pub(crate) fn new(kind: OperationKind, nodes: &[String], absent: &[String], now_ms: u64) -> Record {
        let share = |node: &String, error: Option<&str>| NodeProgress {
            node: node.clone(),
            state: OperationState::Pending,
            applied_at: None,
            error: error.map(str::to_owned),
            progress: None,
        };
        let away = if kind == OperationKind::Purge { MISSED } else { PAUSED };
        let shares = nodes.iter().map(|node| share(node, None));
        let mut record = Record {
            operation: Operation {
                id: uuid::Uuid::now_v7().to_string(),
                kind,
                state: OperationState::Pending,
                progress: Progress::default(),
                nodes: shares.chain(absent.iter().map(|node| share(node, Some(away)))).collect(),
                created_at: DateTime::from_timestamp_millis(now_ms as i64),
                finished_at: None,
            },
            created_ms: now_ms,
            feed_seq: 0,
        };
        record.settle(now_ms);
        record
    }

    /// Whether a node may still change it.
    pub(crate) fn is_open(&self) -> bool {
        !self.operation.state.finished()
            || (self.operation.kind == OperationKind::Purge && self.operation.nodes.iter().any(waits))
    }

    /// A node has applied the feed up to `feed_seq`. Returns whether that changed anything.
    pub(crate) fn receipt(&mut self, node: &str, feed_seq: u64, now_ms: u64) -> bool {
        if self.operation.kind != OperationKind::Purge || self.feed_seq == 0 || feed_seq < self.feed_seq {
            return false;
        }
        let Some(share) = self.share(node).filter(|share| waits(share)) else { return false };
        share.state = OperationState::Succeeded;
        share.applied_at = DateTime::from_timestamp_millis(now_ms as i64);
        share.error = None;
        self.settle(now_ms);
        true
    }

    /// A node says how its job goes. Returns whether that changed anything.
    pub(crate) fn job(&mut self, node: &str, job: &JobProgress, now_ms: u64) -> bool {
        if self.operation.kind != OperationKind::Prewarm || job.operation != self.operation.id {
            return false;
        }
        let Some(share) = self.share(node).filter(|share| waits(share)) else { return false };
        let before = share.clone();
        share.state = job.state;
        share.error = job.error.as_ref().map(|why| why.chars().take(WHY_MAX).collect());
        share.progress = Some(job.progress());
        if job.state == OperationState::Succeeded {
            share.applied_at = DateTime::from_timestamp_millis(now_ms as i64);
        }
        let changed = *share != before;
        if changed {
            self.settle(now_ms);
        }
        changed
    }

    /// A node has been silent for `silent_ms` and counts as down. Returns whether that changed anything.
    pub(crate) fn lost(&mut self, node: &str, silent_ms: u64, now_ms: u64) -> bool {
        let kind = self.operation.kind;
        let Some(share) = self.share(node).filter(|share| waits(share)) else { return false };
        let before = share.clone();
        if kind == OperationKind::Purge {
            share.error = Some(MISSED.to_owned());
        } else if silent_ms < GIVEN_UP_MS {
            share.error = Some(PAUSED.to_owned());
        } else {
            share.state = OperationState::Failed;
            share.error = Some("the node has been down for too long; ask again when it is back".to_owned());
        }
        let changed = *share != before;
        if changed {
            self.settle(now_ms);
        }
        changed
    }

    /// Whether the share of `node` in a pre-warm has not ended although the node has read the order.
    pub(crate) fn awaits_job(&self, node: &str, feed_seq: u64) -> bool {
        self.operation.kind == OperationKind::Prewarm
            && feed_seq >= self.feed_seq
            && self.operation.nodes.iter().any(|share| share.node == node && waits(share))
    }

    /// A node that is well no longer knows of its job. Returns whether that changed anything.
    pub(crate) fn forgotten(&mut self, node: &str, now_ms: u64) -> bool {
        let Some(share) = self.share(node).filter(|share| waits(share)) else { return false };
        share.state = OperationState::Failed;
        share.error = Some("the node no longer knows of the job; ask again".to_owned());
        self.settle(now_ms);
        true
    }

    /// Stops it. Returns whether there was anything left to stop.
    pub(crate) fn cancel(&mut self, now_ms: u64) -> bool {
        if self.operation.state.finished() {
            return false;
        }
        for share in self.operation.nodes.iter_mut().filter(|share| waits(share)) {
            share.state = OperationState::Cancelled;
            share.error = None;
        }
        self.settle(now_ms);
        true
    }

    /// Closes a purge whose last receipts nobody awaits any more. Returns whether that changed anything.
    pub(crate) fn expire(&mut self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.created_ms) < AWAITED_MS || !self.is_open() {
            return false;
        }
        for share in self.operation.nodes.iter_mut().filter(|share| waits(share)) {
            share.state = OperationState::Failed;
            share.error = Some("the node was not heard of for 30 days".to_owned());
        }
        self.settle(now_ms);
        true
    }

    fn share(&mut self, node: &str) -> Option<&mut NodeProgress> {
        self.operation.nodes.iter_mut().find(|share| share.node == node)
    }

    /// Draws the whole from its parts.
    fn settle(&mut self, now_ms: u64) {
        let nodes = &self.operation.nodes;
        let any = |state: OperationState| nodes.iter().any(|share| share.state == state);
        let open = |share: &NodeProgress| match self.operation.kind {
            // A node that is down does not hold a purge up: it cannot serve anything either.
            OperationKind::Purge => waits(share) && share.error.is_none(),
            OperationKind::Prewarm => waits(share),
        };
        let begun = nodes.iter().any(|share| share.state != OperationState::Pending);
        self.operation.progress = self.sum();
        if self.operation.state.finished() {
            return;
        }
        self.operation.state = if nodes.iter().any(open) {
            if begun { OperationState::Running } else { OperationState::Pending }
        } else if any(OperationState::Failed) {
            OperationState::Failed
        } else if any(OperationState::Cancelled) {
            OperationState::Cancelled
        } else {
            OperationState::Succeeded
        };
        if self.operation.state.finished() {
            self.operation.finished_at = DateTime::from_timestamp_millis(now_ms as i64);
        }
    }

    /// A purge counts nodes, a pre-warm what its nodes count.
    fn sum(&self) -> Progress {
        let nodes = &self.operation.nodes;
        if self.operation.kind == OperationKind::Purge {
            let done = nodes.iter().filter(|share| share.state == OperationState::Succeeded).count();
            return Progress {
                objects_done: done as u64,
                objects_total: nodes.len() as u64,
                ..Progress::default()
            };
        }
        nodes.iter().filter_map(|share| share.progress).fold(Progress::default(), |sum, part| Progress {
            objects_done: sum.objects_done.saturating_add(part.objects_done),
            objects_total: sum.objects_total.saturating_add(part.objects_total),
            bytes_done: sum.bytes_done.saturating_add(part.bytes_done),
            bytes_total: sum.bytes_total.saturating_add(part.bytes_total),
        })
    }
}

/// Whether a node's share has not ended.
fn waits(share: &NodeProgress) -> bool {
    !share.state.finished()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn job(record: &Record, state: OperationState, done: u64) -> JobProgress {
        JobProgress {
            operation: record.operation.id.clone(),
            state,
            objects_done: done,
            objects_total: 10,
            bytes_done: done * 100,
            bytes_total: 1_000,
            error: None,
        }
    }

    #[test]
    fn a_purge_succeeds_with_its_last_receipt() {
        let mut record = Record::new(OperationKind::Purge, &names(&["o", "e1"]), &[], 1_000);
        record.feed_seq = 7;
        assert_eq!(record.operation.state, OperationState::Pending);
        assert!(!record.receipt("o", 6, 1_100), "an older receipt is none");
        assert!(record.receipt("o", 7, 1_200));
        assert_eq!(record.operation.state, OperationState::Running);
        assert!(!record.receipt("o", 8, 1_300), "one receipt per node");
        assert!(!record.receipt("stranger", 8, 1_300));
        assert!(record.receipt("e1", 9, 1_400));
        assert_eq!(record.operation.state, OperationState::Succeeded);
        assert_eq!(record.operation.progress.objects_done, 2);
        assert!(record.operation.finished_at.is_some() && !record.is_open());
    }

    #[test]
    fn a_node_that_goes_down_does_not_hold_a_purge_up_and_its_receipt_is_entered_late() {
        let mut record = Record::new(OperationKind::Purge, &names(&["e1", "e2"]), &names(&["e3"]), 0);
        record.feed_seq = 7;
        record.receipt("e1", 7, 1);
        assert!(record.lost("e2", 5_000, 2));
        assert_eq!(record.operation.state, OperationState::Succeeded);
        assert!(record.is_open(), "e2 and e3 still owe a receipt");
        assert!(record.operation.nodes[1].error.as_deref().unwrap().starts_with("missed"));
        assert!(record.receipt("e2", 9, 3) && record.receipt("e3", 9, 3));
        assert_eq!(record.operation.nodes[1].error, None);
        assert!(!record.is_open());
    }

    #[test]
    fn a_purge_without_live_nodes_has_succeeded_at_once() {
        let record = Record::new(OperationKind::Purge, &[], &names(&["e1"]), 0);
        assert_eq!(record.operation.state, OperationState::Succeeded);
        assert!(record.is_open());
    }

    #[test]
    fn a_prewarm_sums_its_nodes_and_ends_with_the_last() {
        let mut record = Record::new(OperationKind::Prewarm, &names(&["e1", "e2"]), &[], 0);
        assert!(record.job("e1", &job(&record.clone(), OperationState::Running, 4), 1));
        assert!(!record.job("e1", &job(&record.clone(), OperationState::Running, 4), 1), "nothing new");
        assert_eq!(record.operation.state, OperationState::Running);
        record.job("e1", &job(&record.clone(), OperationState::Succeeded, 10), 2);
        assert_eq!(record.operation.state, OperationState::Running);
        record.job("e2", &job(&record.clone(), OperationState::Failed, 6), 3);
        assert_eq!(record.operation.state, OperationState::Failed);
        assert_eq!(record.operation.progress.objects_done, 16);
        assert_eq!(record.operation.progress.bytes_total, 2_000);
    }

    #[test]
    fn a_prewarm_waits_for_a_node_that_is_down_but_not_for_ever() {
        let mut record = Record::new(OperationKind::Prewarm, &names(&["e1"]), &[], 0);
        assert!(record.lost("e1", 5_000, 1) && record.is_open());
        assert!(record.lost("e1", GIVEN_UP_MS, 2));
        assert_eq!(record.operation.state, OperationState::Failed);
    }

    #[test]
    fn cancelling_keeps_what_is_done() {
        let mut record = Record::new(OperationKind::Prewarm, &names(&["e1", "e2"]), &[], 0);
        record.job("e1", &job(&record.clone(), OperationState::Succeeded, 10), 1);
        assert!(record.cancel(2));
        assert_eq!(record.operation.state, OperationState::Cancelled);
        assert_eq!(record.operation.nodes[0].state, OperationState::Succeeded);
        assert_eq!(record.operation.nodes[1].state, OperationState::Cancelled);
        assert!(!record.cancel(3));
        assert!(
            !record.job("e2", &job(&record.clone(), OperationState::Running, 1), 4),
            "what ended stays ended"
        );
    }
}
