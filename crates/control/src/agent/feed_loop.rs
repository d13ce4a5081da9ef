//! The feed loop: asks one selector after the other, applies what is new, remembers how far it got.

use std::time::Duration;

use kromka_net::ClientError;
use tokio::time::{Instant, sleep};
use url::Url;

use super::apply::apply;
use super::backoff::{Backoff, jitter};
use super::context::Context;
use super::disk::FEED;
use super::node::Node;
use crate::endpoint::{endpoint, get};
use crate::feed::Feed;

/// How long a selector may hold an answer back.
const WAIT: Duration = Duration::from_secs(25);
/// How much longer the answer may take before the selector counts as gone.
const GRACE: Duration = Duration::from_secs(5);
/// The pause after an answer with nothing new that came at once.
const PAUSE: Duration = Duration::from_millis(100);
/// Waits after a round in which no selector answered, from the first to the longest.
const ROUNDS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// Follows the feed until the agent stops. `selectors` must not be empty.
pub(super) async fn run<N: Node>(shared: &Context<N>, selectors: &[Url]) {
    tokio::select! {
        () = follow(shared, selectors) => {}
        () = shared.stop.cancelled() => {}
    }
    // The stop may have come between an entry and the save that follows its batch.
    shared.disk.save(FEED, &shared.status.record()).await;
}

async fn follow<N: Node>(shared: &Context<N>, selectors: &[Url]) {
    let mut backoff = Backoff::new(ROUNDS[0], ROUNDS[1]);
    let mut failed = 0;
    let mut current = selectors.iter().cycle();
    let Some(mut selector) = current.next() else { return };
    loop {
        // The first question to a selector is answered at once, so that the node soon knows where it stands.
        let wait = if failed == 0 && shared.status.caught_up() { WAIT } else { Duration::ZERO };
        let asked = Instant::now();
        match poll(shared, selector, wait).await {
            Ok(feed) => {
                if failed > 0 {
                    tracing::info!(%selector, "the feed is back");
                    failed = 0;
                }
                backoff.reset();
                let news = take(shared, feed).await;
                if !news && asked.elapsed() < PAUSE {
                    sleep(jitter(PAUSE)).await;
                }
            }
            Err(error) => {
                // Once per outage and selector, not once per try.
                if failed < selectors.len() {
                    tracing::warn!(%selector, %error, "no feed from this selector; serving from the last state");
                }
                failed += 1;
                if failed % selectors.len() == 0 {
                    sleep(backoff.next()).await;
                }
                selector = current.next().unwrap_or(selector);
            }
        }
    }
}

async fn poll<N: Node>(shared: &Context<N>, selector: &Url, wait: Duration) -> Result<Feed, ClientError> {
    let mut url = endpoint(selector, &["v1", "feed"]);
    url.query_pairs_mut()
        .append_pair("after", &shared.status.seq().to_string())
        .append_pair("node", &shared.identity.id)
        .append_pair("wait_ms", &wait.as_millis().to_string());
    let request = get(&url, Some(&shared.bearer)).map_err(|error| ClientError::Request(error.to_string()))?;
    shared.client.json_within(request, wait + GRACE).await
}

/// Applies an answer; says whether it brought anything.
async fn take<N: Node>(shared: &Context<N>, mut feed: Feed) -> bool {
    let status = &shared.status;
    status.set_head(feed.head);
    let known = status.record();
    if known.feed_id != feed.feed_id || feed.head < known.seq {
        if known.seq > 0 {
            tracing::warn!(
                was = %known.feed_id, at = known.seq, is = %feed.feed_id, head = feed.head,
                "the selector's feed was replaced or restored from a backup; applying it from its beginning"
            );
        }
        status.update(|record| {
            record.feed_id = feed.feed_id.clone();
            record.seq = 0;
        });
        shared.disk.save(FEED, &status.record()).await;
        if known.seq > 0 {
            // These entries were chosen by the old number: ask again, after the pause that keeps two selectors
            // with different feeds behind one address from making this a hot loop.
            return false;
        }
    }

    feed.entries.sort_by_key(|entry| entry.seq);
    let before = status.seq();
    for entry in feed.entries {
        if entry.seq <= status.seq() {
            continue;
        }
        let fence = apply(shared, &entry).await;
        status.update(|record| {
            record.seq = entry.seq;
            record.fence = record.fence.max(fence.unwrap_or(0));
        });
    }
    let news = status.seq() > before;
    if news {
        shared.disk.save(FEED, &status.record()).await;
    }
    if status.seq() >= feed.head && !status.caught_up() {
        status.set_caught_up();
        tracing::info!(seq = status.seq(), "the feed has been applied to its head");
    }
    news
}
