//! Finding out what an object is: the one fetch that a cold or stale name costs, however many ask.
//! It runs as a task of its own, so a viewer who leaves takes nothing with him.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::held::blocks;
use crate::held::generation::Generation;
use crate::held::meta::{self, Meta};
use crate::held::store::Stamp;
use crate::reply::crowd::Crowd;
use crate::request::range;
use crate::rules::clock::Moment;
use crate::rules::freshness::Policy;
use crate::rules::way;
use crate::stats::count;
use crate::tier::Tier;
use crate::upstream::fill::{Attached, Fill};
use crate::upstream::gate::Permit;
use crate::upstream::jitter;
use crate::upstream::pull::pull;
use crate::upstream::source::{Fetched, Source, SourceBody, SourceError, SourceFault, Want};
use crate::{Failure, Key};

/// Before the second try after a connection that failed at once, with a little chance on top, which keeps a
/// fleet from trying in step.
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
    /// The requests that wait for it.
    pub crowd: Arc<Crowd>,
    /// An answer that must not be stored: the first who takes it sends it on.
    handoff: Mutex<Option<Fetched>>,
    /// An unsafe request changed the object meanwhile: what comes is for those who wait, and not kept.
    revoked: AtomicBool,
}

/// What came of it.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// There is a generation to answer from.
    Ready(Ready),
    /// The answer must not be stored.
    Unstored,
    /// A header without a length, which only HEAD requests can use.
    Bare,
    /// The object has several representations, under keys of their own; or what was asked about is gone
    /// meanwhile. A second look tells.
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
    /// What the source answered; `None` if it was asked by another opening.
    pub status: Option<StatusCode>,
    /// The `Cache-Status` of the tier behind, if it is one.
    pub upstream: Option<HeaderValue>,
    /// Fields for the first requester alone, which are not stored.
    pub personal: Option<Arc<HeaderMap>>,
}

/// What the requester knows of an object that it opens.
#[derive(Clone)]
pub(crate) enum Known {
    Nothing,
    /// A version that must not be used any more.
    Purged(Arc<Generation>),
    /// One to be revalidated.
    Stale(Arc<Generation>),
    /// One to be revalidated because the request says so, whether it is fresh or not.
    Distrusted(Arc<Generation>),
}

impl Known {
    /// The version, whatever may be done with it.
    pub(crate) fn generation(&self) -> Option<&Arc<Generation>> {
        match self {
            Self::Nothing => None,
            Self::Purged(known) | Self::Stale(known) | Self::Distrusted(known) => Some(known),
        }
    }

    /// The version that a 304 makes usable again.
    pub(crate) fn to_revalidate(&self) -> Option<&Arc<Generation>> {
        match self {
            Self::Nothing | Self::Purged(_) => None,
            Self::Stale(known) | Self::Distrusted(known) => Some(known),
        }
    }
}

/// Which part of a cold object the first request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Whole,
    /// Block-aligned bytes.
    Part(std::ops::Range<u64>),
    /// The length, which tells what blocks a range is in.
    Length,
    /// The header alone (HEAD).
    Header,
}

impl Opening {
    pub(crate) fn new(key: Key, stamp: Stamp, sent: HeaderMap, policy: Policy) -> Self {
        Self {
            key,
            sent,
            policy,
            stamp,
            outcome: watch::Sender::new(None),
            crowd: Arc::default(),
            handoff: Mutex::new(None),
            revoked: AtomicBool::new(false),
        }
    }

    /// What comes is not to be kept.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
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

    /// Keeps an answer for its requester, if it is one to what the requester asked: neither a header that
    /// was to tell the length nor whole blocks around a range is.
    fn hand_off(&self, fetched: Fetched, header_only: bool) {
        if !header_only && fetched.status != StatusCode::PARTIAL_CONTENT {
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
        match &outcome {
            Outcome::Unstored => self.store.records.pass(&ending.opening.key),
            Outcome::Failed(failure) => self.troubles.note(&ending.opening.key, failure),
            _ => {}
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
        let stands_in = |stale: &Arc<Generation>| stale.meta().terms.usable_on_error(self.now());
        let permit =
            match self.gate.enter(opening.key.service(), !stale.as_ref().is_some_and(stands_in)).await {
                Ok(permit) => permit,
                Err(failure) => return (Outcome::Failed(failure), None),
            };
        let validators = stale.as_ref().map(|stale| stale.meta().validators()).filter(|v| !v.is_empty());
        let web = opening.policy.web;
        let mut want = Want {
            key: opening.key.clone(),
            range: match &hint {
                Hint::Part(range) if validators.is_none() => Some(range.clone()),
                _ => None,
            },
            pin: None,
            head: matches!(hint, Hint::Header | Hint::Length) && validators.is_none(),
            revalidate: validators,
            fence: opening.stamp.upstream,
            headers: opening.sent.clone(),
        };
        let mut fetched = match self.fetch(want.clone(), web).await {
            Ok(fetched) => fetched,
            Err(failure) => return (Outcome::Failed(failure), None),
        };
        // At most two more requests make something of it that can be placed in blocks.
        for _ in 0..2 {
            if want.head && content_length(&fetched.headers).is_none() {
                if hint == Hint::Header {
                    opening.hand_off(fetched, false);
                    return (Outcome::Bare, None);
                }
                // Only the end of the body tells the length.
                want.head = false;
            } else if want.head
                && hint != Hint::Header
                && (refuses_head(fetched.status) || !meta::is_named(&fetched.headers))
            {
                want.head = false;
            } else if fetched.status == StatusCode::RANGE_NOT_SATISFIABLE && want.range.is_some() {
                // The object is shorter than the range; its header says how long it is.
                (want.range, want.head) = (None, true);
            } else if fetched.status == StatusCode::PARTIAL_CONTENT
                && (!meta::is_named(&fetched.headers)
                    || Extent::of(&fetched, want.range.as_ref(), want.head).is_err())
            {
                // Another part than was asked for, or of a whole of unknown length, or one that no other could be
                // told to belong to.
                want.range = None;
            } else {
                break;
            }
            fetched = match self.fetch(want.clone(), web).await {
                Ok(fetched) => fetched,
                Err(failure) => return (Outcome::Failed(failure), None),
            };
        }
        let header_only = want.head;
        let now = self.clock.moment();
        let upstream = way::behind(&fetched.headers);
        if fetched.status == StatusCode::NOT_MODIFIED {
            let Some(stale) = stale else {
                return (Outcome::Failed(Failure::Broken("304 to an unconditional request".into())), None);
            };
            return (self.confirm(stale, &fetched.headers, opening, upstream, now).await, None);
        }
        // An error says nothing of the object: what is stored stays (RFC 9111 §4.3.3), whoever is told of the error.
        if fetched.status.is_server_error() && stale.is_some() {
            let status = fetched.status;
            opening.hand_off(fetched, header_only);
            return (Outcome::Failed(Failure::Answered(status)), None);
        }
        let (Some(meta), Ok(extent), Some(key)) = (
            Meta::of(fetched.status, &fetched.headers, now, opening.policy),
            Extent::of(&fetched, want.range.as_ref(), header_only),
            self.place(opening, &fetched.headers),
        ) else {
            opening.hand_off(fetched, header_only);
            return (Outcome::Unstored, None);
        };
        let useless = meta.terms.lifetime.is_zero()
            && meta.terms.stale_while_revalidate.is_zero()
            && meta.validators().is_empty();
        if useless || extent.length.is_some_and(|length| length > self.store.limits.object_max) {
            opening.hand_off(fetched, header_only);
            return (Outcome::Unstored, None);
        }
        let personal = Some(Meta::personal(&fetched.headers)).filter(|own| !own.is_empty()).map(Arc::new);
        let generation = self.store.version(key, meta, extent.length, opening.stamp.local);
        let fill = (!header_only && extent.length != Some(0)).then(|| {
            let size = generation.block;
            let last = extent.end.map_or(u32::MAX, |end| blocks::blocks_of(&(extent.start..end), size).end);
            if want.range.is_some() && fetched.status == StatusCode::OK {
                generation.comes_whole();
            }
            let fill = Arc::new(Fill::new(blocks::block_of(extent.start, size)..last, size));
            // Before anybody finds the version, or whoever does would fetch what is on its way.
            generation.add(fill.clone());
            fill
        });
        self.store.adopt(&generation);
        if opening.revoked.load(Ordering::Acquire) {
            self.store.discard(&generation);
        }
        let mut ready = Ready {
            generation: generation.clone(),
            following: None,
            revalidated: false,
            status: Some(fetched.status),
            upstream,
            personal,
        };
        let Some(fill) = fill else {
            return (Outcome::Ready(ready), None);
        };
        let reach = generation.reach(self.store.limits.read_ahead);
        ready.following = Some(Arc::new(Attached::new(fill.clone(), reach)));
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
        now: Moment,
    ) -> Outcome {
        let personal = Some(Meta::personal(headers)).filter(|own| !own.is_empty()).map(Arc::new);
        match stale.meta().updated(headers, now, opening.policy) {
            // A hard purge that came meanwhile, or just before: a confirmation does not outweigh it.
            Some(_) if self.store.is_purged(&stale) => {
                self.store.discard(&stale);
                return Outcome::Elsewhere;
            }
            Some(meta) => {
                let renamed = stale.meta().tags != meta.tags;
                stale.confirm(meta, opening.stamp.local);
                if let Some(disk) = &self.store.disk
                    && !disk.update(&stale).await
                    && renamed
                {
                    // A purge by a tag that the disk does not know of would miss it after a restart.
                    disk.forget(stale.key.hash(), stale.id);
                }
            }
            // It became uncacheable: right for those who wait, for nobody after them.
            None => self.store.discard(&stale),
        }
        if opening.revoked.load(Ordering::Acquire) {
            self.store.discard(&stale);
        }
        Outcome::Ready(Ready {
            generation: stale,
            following: None,
            revalidated: true,
            status: Some(StatusCode::NOT_MODIFIED),
            upstream,
            personal,
        })
    }

    /// One fetch, bounded, tried a second time if there was no answer, or one refusal of a storage that does not
    /// rest for it, and the service's budget for that is not used up. `web`: what one page says of being busy is
    /// its own affair.
    pub(crate) async fn fetch(&self, want: Want, web: bool) -> Result<Fetched, Failure> {
        let key = want.key.clone();
        let service = key.service();
        self.gate.earn(service);
        let mut again = true;
        loop {
            count(&self.store.counters.source_requests);
            let limit = self.store.limits.first_byte;
            let error = match timeout(limit, self.source.fetch(want.clone())).await {
                Ok(Ok(fetched)) => {
                    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
                    if !web && busy.contains(&fetched.status) {
                        count(&self.store.counters.source_busy);
                        self.gate.said_busy(service, retry_after(&fetched.headers, SystemTime::now()));
                    } else {
                        self.gate.answered(service);
                    }
                    return Ok(fetched);
                }
                Ok(Err(error)) => error,
                Err(_) => SourceError::new(SourceFault::TimedOut, format!("no answer within {limit:?}")),
            };
            count(&self.store.counters.source_errors);
            if error.kind == SourceFault::Busy {
                count(&self.store.counters.source_busy);
                self.gate.said_busy(service, error.retry_after);
            }
            use SourceFault::{Broken, Busy, Unreachable};
            let passing = again && matches!(error.kind, Unreachable | Broken | Busy);
            if passing {
                tokio::time::sleep(jitter::spread(RETRY_PAUSE)).await;
            }
            // Others may have been refused meanwhile.
            if !passing || !self.gate.may_retry(service) {
                tracing::debug!(%key, %error, "source failed");
                return Err(error.into());
            }
            again = false;
            count(&self.store.counters.source_retries);
        }
    }
}

/// Whether a status may be about HEAD rather than about the object.
fn refuses_head(status: StatusCode) -> bool {
    [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED, StatusCode::FORBIDDEN].contains(&status)
}

/// `Retry-After` in either of its forms (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
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
    permit: Permit,
}

/// Which bytes of the object an answer carries.
struct Extent {
    start: u64,
    end: Option<u64>,
    length: Option<u64>,
}

impl Extent {
    fn of(fetched: &Fetched, asked: Option<&std::ops::Range<u64>>, header_only: bool) -> Result<Self, ()> {
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
