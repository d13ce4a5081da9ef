//! The heartbeat loop, one per selector: a dead selector does not delay the others' heartbeats.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kromka_net::ClientError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use url::Url;

use super::backoff::jitter;
use super::context::Context;
use super::node::Node;
use crate::endpoint::{endpoint, post};
use crate::heartbeat::{Heartbeat, HeartbeatAnswer};
use crate::nodes::NodeState;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest wait for the answer to a goodbye.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);
/// News is gathered this long, so that a burst of feed entries makes few heartbeats.
const GATHER: Duration = Duration::from_millis(20);
/// Client prefixes told in one heartbeat: some 20 KiB of JSON, and 400 a second at the usual interval.
const CELLS: usize = 200;
/// What a selector may ask for as interval.
const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];

/// Sends heartbeats to one selector, the `number`th, until the agent stops, then says goodbye.
pub(super) async fn run<N: Node>(shared: &Context<N>, number: usize, selector: Url, mut interval: Duration) {
    let mut pulses = shared.status.pulses();
    let mut reachable = true;
    let mut read = Read::default();
    loop {
        let sent = Instant::now();
        pulses.mark_unchanged();
        let change = shared.hearers.last();
        let answer = tokio::select! {
            answer = send(shared, &selector, &mut read, false) => answer,
            () = shared.stop.cancelled() => break,
        };
        shared.hearers.told(number, answer.is_ok().then_some(change));
        match answer {
            Ok(answer) => {
                if !std::mem::replace(&mut reachable, true) {
                    tracing::info!(%selector, "the selector takes heartbeats again");
                }
                interval = Duration::from_millis(answer.interval_ms).clamp(INTERVALS[0], INTERVALS[1]);
            }
            Err(error) => {
                // Once per outage: at two heartbeats a second the log would drown.
                if std::mem::replace(&mut reachable, false) {
                    tracing::warn!(%selector, %error, "the selector does not take heartbeats; trying on");
                }
            }
        }
        tokio::select! {
            () = sleep_until(sent + jitter(interval)) => {}
            _ = pulses.changed(), if reachable => sleep(GATHER).await,
            () = shared.stop.cancelled() => break,
        }
    }
    if let Ok(Err(error)) = timeout(GOODBYE, send(shared, &selector, &mut read, true)).await {
        tracing::debug!(%selector, %error, "the selector did not hear the goodbye");
    }
}

/// How far one selector has read the log of distances: each entry goes to each selector, and to none twice.
#[derive(Debug, Default)]
struct Read {
    next: u64,
}

async fn send<N: Node>(
    shared: &Context<N>,
    selector: &Url,
    read: &mut Read,
    goodbye: bool,
) -> Result<HeartbeatAnswer, ClientError> {
    let heartbeat = heartbeat(shared, read.next, goodbye);
    let url = endpoint(selector, &["v1", "nodes", &heartbeat.id, "heartbeat"]);
    let request = post(&url, Some(&shared.bearer), &heartbeat)
        .map_err(|error| ClientError::Request(error.to_string()))?;
    let answer: HeartbeatAnswer = shared.client.json_within(request, ANSWER).await?;
    shared.jobs.told(&heartbeat.jobs);
    read.next = heartbeat.rtt_first + heartbeat.rtt.len() as u64;
    shared.status.raise_head(answer.feed_head);
    shared.node.peers(&answer.peers);
    shared.node.siblings(&answer.siblings);
    if !answer.probe.is_empty() {
        shared.node.probe(&answer.probe);
    }
    Ok(answer)
}

fn heartbeat<N: Node>(shared: &Context<N>, rtt_from: u64, goodbye: bool) -> Heartbeat {
    let identity = &shared.identity;
    let (rtt_first, rtt) = shared.node.rtt(rtt_from, CELLS);
    let record = shared.status.record();
    Heartbeat {
        id: identity.id.clone(),
        site: identity.site.clone(),
        url: identity.url.to_string(),
        tls_url: identity.tls_url.as_ref().map(Url::to_string),
        addresses: identity.addresses.clone(),
        alpn: identity.alpn.clone(),
        role: identity.role,
        boot: shared.boot.clone(),
        seq: shared.beats.fetch_add(1, Ordering::Relaxed) + 1,
        t_ms: unix_ms(),
        state: if goodbye { NodeState::Draining } else { shared.status.state() },
        unready: goodbye || shared.status.is_unready(),
        known: shared.hearers.know(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        load: shared.node.load().finite(),
        sessions_started: shared.node.sessions_started(),
        bytes_per_session: shared.node.bytes_per_session(),
        cache: shared.node.cache().finite(),
        feed_seq: record.seq,
        feed_id: record.feed_id,
        jobs: shared.jobs.report(Instant::now()),
        errors: shared.node.errors(),
        rtt,
        rtt_first,
        probes: shared.node.probes(),
        goodbye,
    }
}

/// For display only; a clock before 1970 shows as 0.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The count behind [`Heartbeat::seq`].
pub(super) type Beats = AtomicU64;
