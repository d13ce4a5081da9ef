//! Finding out what an object is: the one fetch that a cold or stale name costs, however many ask.
//! It runs as a task of its own, so a viewer who leaves takes nothing with him.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::fill::{Attached, Fill};
use crate::freshness::Policy;
use crate::generation::Generation;
use crate::meta::Meta;
use crate::pull::pull;
use crate::range;
use crate::source::{Fetched, Source, SourceBody, SourceError, SourceFault, Validators, Want};
use crate::stats::count;
use crate::store::Stamp;
use crate::tier::Tier;
use crate::{Failure, Key, blocks};

/// A second try after a connection that failed at once; a pause keeps a fleet from trying in step.
const RETRY_PAUSE: Duration = Duration::from_millis(30);

/// A fetch of a header in progress.
pub(crate) struct Opening {
    pub key: Key,
    /// The fields that go to the source, and what is to be made of the answer.
    sent: HeaderMap,
    policy: Policy,
    /// The purges it lies above; a request that knows of a later one does not join.
    pub stamp: Stamp,
    outcome: watch::Sender<Option<Outcome>>,
    /// An answer that must not be stored: the first who takes it sends it on.
    handoff: Mutex<Option<Fetched>>,
}

/// What came of it.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// There is a generation to answer from.
    Ready(Ready),
    /// The answer must not be stored.
    Unstored,
    /// The object has several representations, under keys of their own.
    Elsewhere,
    /// There was no answer.
    Failed(Failure),
}

/// A generation, and how it was come by.
#[derive(Clone)]
pub(crate) struct Ready {
    pub generation: Arc<Generation>,
    /// Keeps the body coming until the requests that waited have taken hold of it.
    pub following: Option<Arc<Attached>>,
    /// A 304 confirmed what was stored.
    pub revalidated: bool,
    /// The `Cache-Status` of the tier behind, if it is one.
    pub upstream: Option<HeaderValue>,
}

/// Which part of a cold object the first request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Whole,
    /// Block-aligned bytes.
    Part(std::ops::Range<u64>),
    Header,
}

impl Opening {
    pub(crate) fn new(key: Key, stamp: Stamp, sent: HeaderMap, policy: Policy) -> Self {
        Self { key, sent, policy, stamp, outcome: watch::Sender::new(None), handoff: Mutex::new(None) }
    }

    /// Tells the outcome; only the first counts.
    pub(crate) fn settle(&self, outcome: Outcome) {
        self.outcome.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(outcome);
            first
        });
    }

    /// Waits for the outcome.
    pub(crate) async fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        match outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) {
            Ok(Some(outcome)) => outcome,
            _ => Outcome::Failed(Failure::Broken("the fetch was dropped".into())),
        }
    }

    /// Keeps an answer for its requester. A header that was asked for to learn the length is none.
    fn hand_off(&self, fetched: Fetched, header_only: bool) {
        if !header_only {
            *self.handoff.lock() = Some(fetched);
        }
    }

    /// The answer that must not be stored, for the first who asks.
    pub(crate) fn take(&self) -> Option<Fetched> {
        self.handoff.lock().take()
    }
}

impl<S: Source> Tier<S> {
    /// Runs an opening to its end, and the fill that came with it. `stale` is to be revalidated.
    pub(crate) async fn run_opening(
        self: Arc<Self>,
        opening: Arc<Opening>,
        hint: Hint,
        stale: Option<Arc<Generation>>,
    ) {
        let ending = Ending { tier: &self, opening };
        let (outcome, rest) = self.find_out(&ending.opening, hint, stale).await;
        if matches!(outcome, Outcome::Unstored) {
            self.store.records.pass(&ending.opening.key);
        }
        let rest = rest.map(|rest| (self.lead(rest.generation, rest.fill), rest.body, rest.permit));
        // The record is in place; whoever comes now finds it.
        ending.tell(outcome);
        drop(ending);
        if let Some((mut lead, body, _permit)) = rest {
            lead.how = pull(&self.store, &lead.generation, &lead.fill, body, 0, false).await;
        }
    }

    async fn find_out(
        &self,
        opening: &Opening,
        hint: Hint,
        stale: Option<Arc<Generation>>,
    ) -> (Outcome, Option<Rest>) {
        let permit = match self.permit().await {
            Ok(permit) => permit,
            Err(failure) => return (Outcome::Failed(failure), None),
        };
        let validators = stale.as_ref().map(|stale| stale.meta().validators()).filter(|v| !v.is_empty());
        let want = Want {
            key: opening.key.clone(),
            range: match &hint {
                Hint::Part(range) if validators.is_none() => Some(range.clone()),
                _ => None,
            },
            pin: None,
            head: hint == Hint::Header && validators.is_none(),
            revalidate: validators,
            fence: opening.stamp.upstream,
            headers: opening.sent.clone(),
        };
        let asked = want.range.clone();
        let mut fetched = match self.fetch(want.clone()).await {
            Ok(fetched) => fetched,
            Err(failure) => return (Outcome::Failed(failure), None),
        };
        let mut header_only = want.head;
        if fetched.status == StatusCode::RANGE_NOT_SATISFIABLE && asked.is_some() {
            // The object is shorter than the range; its header says how long it is.
            header_only = true;
            fetched = match self.fetch(Want { range: None, head: true, ..want }).await {
                Ok(fetched) => fetched,
                Err(failure) => return (Outcome::Failed(failure), None),
            };
        }
        let now = SystemTime::now();
        let upstream = fetched.headers.get("cache-status").cloned();
        if fetched.status == StatusCode::NOT_MODIFIED {
            let Some(stale) = stale else {
                return (Outcome::Failed(Failure::Broken("304 to an unconditional request".into())), None);
            };
            return (self.confirm(stale, &fetched.headers, opening, upstream, now).await, None);
        }
        if fetched.status.is_server_error()
            && stale.is_some_and(|stale| stale.meta().terms.usable_on_error(now))
        {
            return (Outcome::Failed(Failure::Broken(format!("source answered {}", fetched.status))), None);
        }
        let (Some(meta), Ok(extent), Some(key)) = (
            Meta::of(fetched.status, &fetched.headers, now, opening.policy),
            Extent::of(&fetched, asked, header_only),
            self.place(opening, &fetched.headers),
        ) else {
            opening.hand_off(fetched, header_only);
            return (Outcome::Unstored, None);
        };
        let useless = meta.terms.lifetime.is_zero()
            && meta.terms.stale_while_revalidate.is_zero()
            && meta.validators() == Validators::default();
        if useless || extent.length.is_some_and(|length| length > self.store.limits.object_max) {
            opening.hand_off(fetched, header_only);
            return (Outcome::Unstored, None);
        }
        let generation = self.store.adopt(key, meta, extent.length, opening.stamp.local);
        let mut ready =
            Ready { generation: generation.clone(), following: None, revalidated: false, upstream };
        if header_only || extent.length == Some(0) {
            return (Outcome::Ready(ready), None);
        }
        let size = generation.block;
        let last = extent.end.map_or(u32::MAX, |end| blocks::blocks_of(&(extent.start..end), size).end);
        let fill = Arc::new(Fill::new(blocks::block_of(extent.start, size)..last, size));
        generation.add(fill.clone());
        ready.following = Some(Arc::new(Attached::new(fill.clone())));
        (Outcome::Ready(ready), Some(Rest { generation, fill, body: fetched.body, permit }))
    }

    /// The key to keep the answer under; media have one representation.
    fn place(&self, opening: &Opening, answer: &HeaderMap) -> Option<Key> {
        match opening.policy.web {
            true => self.store.place(&opening.key, answer, &opening.sent),
            false => Some(opening.key.clone()),
        }
    }

    async fn confirm(
        &self,
        stale: Arc<Generation>,
        headers: &HeaderMap,
        opening: &Opening,
        upstream: Option<HeaderValue>,
        now: SystemTime,
    ) -> Outcome {
        match stale.meta().updated(headers, now, opening.policy) {
            Some(meta) => {
                stale.confirm(meta, opening.stamp.local);
                if let Some(disk) = &self.store.disk {
                    disk.update(&stale).await;
                }
            }
            // It became uncacheable: right for those who wait, for nobody after them.
            None => self.store.discard(&stale),
        }
        Outcome::Ready(Ready { generation: stale, following: None, revalidated: true, upstream })
    }

    /// One fetch, bounded, tried a second time if the connection failed before an answer came.
    pub(crate) async fn fetch(&self, want: Want) -> Result<Fetched, Failure> {
        let mut again = true;
        loop {
            count(&self.store.counters.source_requests);
            let limit = self.store.limits.first_byte;
            let error = match timeout(limit, self.source.fetch(want.clone())).await {
                Ok(Ok(fetched)) => return Ok(fetched),
                Ok(Err(error)) => error,
                Err(_) => SourceError::new(SourceFault::TimedOut, format!("no answer within {limit:?}")),
            };
            count(&self.store.counters.source_errors);
            if !again || !matches!(error.kind, SourceFault::Unreachable | SourceFault::Broken) {
                tracing::debug!(key = %want.key, %error, "source failed");
                return Err(error.into());
            }
            again = false;
            // Spread by the name, so that many names do not come back at one moment.
            let spread = u32::try_from(want.key.hash() & 0x1f).unwrap_or(0);
            tokio::time::sleep(RETRY_PAUSE + Duration::from_millis(spread.into())).await;
        }
    }
}

/// Sees to it that an opening ends however its task ends, so that nobody waits for ever.
struct Ending<'a, S: Source> {
    tier: &'a Tier<S>,
    opening: Arc<Opening>,
}

impl<S: Source> Ending<'_, S> {
    fn tell(&self, outcome: Outcome) {
        self.tier.close_opening(&self.opening);
        self.opening.settle(outcome);
    }
}

impl<S: Source> Drop for Ending<'_, S> {
    fn drop(&mut self) {
        self.tell(Outcome::Failed(Failure::Broken("the fetch was dropped".into())));
    }
}

/// A fill to be led after the outcome is told.
struct Rest {
    generation: Arc<Generation>,
    fill: Arc<Fill>,
    body: SourceBody,
    permit: OwnedSemaphorePermit,
}

/// Which bytes of the object an answer carries.
struct Extent {
    start: u64,
    end: Option<u64>,
    length: Option<u64>,
}

impl Extent {
    fn of(fetched: &Fetched, asked: Option<std::ops::Range<u64>>, header_only: bool) -> Result<Self, ()> {
        let length = content_length(&fetched.headers);
        if fetched.status != StatusCode::PARTIAL_CONTENT {
            if header_only && length.is_none() {
                return Err(());
            }
            return Ok(Self { start: 0, end: length, length });
        }
        let (carried, Some(length)) = range::content_range(&fetched.headers).ok_or(())? else {
            return Err(());
        };
        let asked = asked.ok_or(())?;
        // Exactly what was asked, cut at the object's end: anything else cannot be placed in blocks.
        if carried.start != asked.start || carried.end != asked.end.min(length) {
            return Err(());
        }
        Ok(Self { start: carried.start, end: Some(carried.end), length: Some(length) })
    }
}

/// A stated length; several that differ are none (RFC 9112 §6.3).
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut all =
        headers.get_all(CONTENT_LENGTH).iter().map(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}
