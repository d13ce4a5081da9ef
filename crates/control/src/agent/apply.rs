//! What one feed entry does to a node.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::context::Context;
use super::disk::{FEED, KEYS};
use super::node::Node;
use crate::feed::{FeedEntry, FeedItem};
use crate::nodes::NodeState;

/// Waits between tries of an entry that did not apply, from the first to the longest.
const TRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];
/// Longest wait for the selectors to hear that this node drains; what comes after in the feed waits with it. One that has just stopped answering is known to have after two heartbeats of `beat::ANSWER` each.
const TOLD: Duration = Duration::from_secs(5);
/// A key set that the node refuses so often is broken, not unlucky.
const KEY_TRIES: u32 = 3;

/// Applies an entry; answers its fence if it is a purge. Returns only when the entry is done with: a purge is
/// tried until it has been applied.
pub(super) async fn apply<N: Node>(shared: &Context<N>, entry: &FeedEntry) -> Option<u64> {
    match &entry.what {
        FeedItem::Purge(order) => {
            let order = Arc::new(order.clone());
            let seq = entry.seq;
            let mut backoff = Backoff::new(TRIES[0], TRIES[1]);
            while let Err(error) = call(&shared.node, {
                let order = Arc::clone(&order);
                move |node| node.purge(seq, &order)
            })
            .await
            {
                tracing::error!(seq, operation = %order.operation, %error, "a purge did not apply; trying again");
                sleep(backoff.next()).await;
            }
            return Some(seq);
        }
        FeedItem::Keys { jwks } => keys(shared, entry.seq, jwks).await,
        FeedItem::Prewarm(order) => {
            if order.nodes.contains(&shared.identity.id) {
                shared.jobs.add(order.clone()).await;
            }
        }
        FeedItem::Cancel { operation } => shared.jobs.cancel(operation).await,
        FeedItem::Node { id, state } => {
            let wanted = matches!(state, NodeState::Up | NodeState::Draining);
            if *id == shared.identity.id && wanted {
                tracing::info!(%state, "an operator set this node's state");
                let state = *state;
                shared.status.update(|record| record.state = state);
                // In that order: a heartbeat that tells of the change must tell the state.
                shared.hearers.change();
                shared.status.pulse();
                if let Err(error) = call(&shared.node, move |node| {
                    node.state(state);
                    Ok(())
                })
                .await
                {
                    tracing::error!(%state, %error, "the node did not take its new state");
                }
                shared.disk.save(FEED, &shared.status.record()).await;
                // The receipt says that nobody is sent here any more, whichever selector is asked. Who comes back is in
                // no hurry.
                let drains = state == NodeState::Draining;
                if drains && timeout(TOLD, shared.hearers.all()).await.is_err() {
                    tracing::warn!("not all selectors have heard yet that this node drains");
                }
            }
        }
        FeedItem::Unknown => {
            tracing::warn!(
                seq = entry.seq,
                "skipping a feed entry of a kind that this version does not know"
            );
        }
    }
    None
}

async fn keys<N: Node>(shared: &Context<N>, seq: u64, jwks: &serde_json::Value) {
    let mut backoff = Backoff::new(TRIES[0], TRIES[1]);
    for _ in 0..KEY_TRIES {
        let set = jwks.clone();
        match call(&shared.node, move |node| node.keys(&set)).await {
            // Saved only now: a set that the node refuses must not meet it again at its next start.
            Ok(()) => return shared.disk.save(KEYS, jwks).await,
            Err(error) => {
                tracing::error!(seq, %error, "the node refuses the new keys and keeps the earlier ones");
                sleep(backoff.next()).await;
            }
        }
    }
}

/// Calls the node off the async threads, since it may touch the disk; a panic there is an error here.
async fn call<N: Node>(
    node: &Arc<N>,
    ask: impl FnOnce(&N) -> Result<(), String> + Send + 'static,
) -> Result<(), String> {
    let node = Arc::clone(node);
    match tokio::task::spawn_blocking(move || ask(&node)).await {
        Ok(result) => result,
        Err(error) => Err(format!("the node broke: {error}")),
    }
}
