//! The story of a request: what is stored, may it be used, and if not, who fetches.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::IF_RANGE;
use http::{HeaderValue, Method, StatusCode};
use kromka_config::CacheConfig;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::held::blocks;
use crate::held::fences::Purge;
use crate::held::generation::Generation;
use crate::held::records::Record;
use crate::held::store::{Found, Store};
use crate::reply::answer::{self, Answer};
use crate::reply::body::Filler;
use crate::request::ask::Ask;
use crate::request::conditional;
use crate::request::range::{self, Selection, Spec};
use crate::rules::cache_control::Wishes;
use crate::rules::clock::Clock;
use crate::rules::freshness::{Policy, State};
use crate::rules::way::{Cause, Verdict, Way};
use crate::stats::{Stats, count};
use crate::upstream::fill::Attached;
use crate::upstream::gate::{Gate, Rules};
use crate::upstream::opening::{Hint, Known, Opening, Outcome, Ready, content_length};
use crate::upstream::source::{Fetched, Source, Want};
use crate::upstream::troubles::Troubles;
use crate::{Body, CacheError, Failure, Key};

/// How often a request looks again whose fetch turned out to be about another representation, or about the
/// header alone.
pub(crate) const LOOKS: usize = 3;

/// One HTTP cache in front of one kind of source.
pub struct Tier<S> {
    pub(crate) name: &'static str,
    pub(crate) source: S,
    pub(crate) store: Store,
    pub(crate) openings: Mutex<HashMap<u128, Arc<Opening>>>,
    pub(crate) gate: Gate,
    pub(crate) troubles: Troubles,
    pub(crate) clock: Clock,
}

impl<S: Source> Tier<S> {
    /// Opens a tier: replays the disk's journal, so that what it holds is served at once.
    /// `name` stands in `Cache-Status`.
    ///
    /// # Errors
    /// The disk's folder cannot be used, or another process uses it.
    pub async fn open(name: &'static str, config: &CacheConfig, source: S) -> Result<Arc<Self>, CacheError> {
        let config = config.clone();
        let gate = Gate::new(Rules {
            fills: usize::try_from(config.fills).unwrap_or(usize::MAX),
            each: usize::try_from(config.service_fills).unwrap_or(usize::MAX),
            queue: config.queue.0,
            rest: config.rest.0,
            retries: config.retries,
        });
        let troubles = Troubles::new(config.negative.0);
        let opened = tokio::task::spawn_blocking(move || Store::open(&config)).await;
        let store = opened.map_err(|error| CacheError::Disk {
            path: std::path::PathBuf::new(),
            source: std::io::Error::other(error),
        })??;
        Ok(Arc::new(Self {
            name,
            source,
            store,
            openings: Mutex::new(HashMap::new()),
            gate,
            troubles,
            clock: Clock::new(),
        }))
    }

    /// The time, on a clock that never runs backwards: what requests are judged by.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Answers a request: 200, 206, 304, 416, or what the source said.
    ///
    /// # Errors
    /// Nothing usable is stored and the source gave no answer.
    pub async fn get(self: &Arc<Self>, mut ask: Ask<'_>) -> Result<Answer, Failure> {
        if !ask.web {
            for _ in 0..LOOKS {
                if let Some(answer) = self.get_one(&ask, &Wishes::default()).await? {
                    return Ok(answer);
                }
            }
            return self.pass(&ask, None, Cause::Miss).await;
        }
        // Who joined the fetch of an object whose representations nobody knew yet may have been given
        // another one than it asked for; now that they are known, it finds its own.
        let wishes = Wishes::of(ask.headers);
        let base = ask.key.clone();
        for _ in 0..LOOKS {
            ask.key = self.store.resolve(&base, ask.headers);
            if let Some(answer) = self.get_one(&ask, &wishes).await? {
                return Ok(answer);
            }
        }
        self.pass(&ask, None, Cause::Miss).await
    }

    /// One look; `None` if the fetch that was joined brought another representation than this request
    /// chooses, or a header alone.
    async fn get_one(self: &Arc<Self>, ask: &Ask<'_>, wishes: &Wishes) -> Result<Option<Answer>, Failure> {
        let suits = |generation: &Generation| generation.meta().terms.suits(wishes, ask.now);
        let held = |generation, verdict| self.answer(ask, generation, None, Way::held(verdict), None);
        let mut found = self.store.find(&ask.key, ask.fence, ask.now).await;
        if let Some(lacking) = found.usable().filter(|version| !self.covers(ask, version)) {
            self.store.discard(lacking);
            found = Found::Nothing;
        }
        if !wishes.only_if_cached && found.usable().is_some_and(|version| self.skips(ask, version)) {
            return self.pass(ask, None, Cause::Miss).await.map(Some);
        }
        let (known, cause) = match found {
            Found::Current(generation, State::Fresh) if !ask.web || suits(&generation) => {
                return Ok(Some(held(generation, Verdict::Hit).await));
            }
            Found::Current(generation, _) if !ask.web || suits(&generation) => {
                self.open_one(ask, Hint::Whole, &Known::Stale(generation.clone()));
                return Ok(Some(held(generation, Verdict::Stale).await));
            }
            Found::Stale(generation) if wishes.max_stale.is_some() && suits(&generation) => {
                return Ok(Some(held(generation, Verdict::Stale).await));
            }
            Found::Current(generation, _) => (Known::Distrusted(generation), Cause::Request),
            Found::Stale(generation) | Found::Doubtful(generation) => {
                (Known::Stale(generation), Cause::Stale)
            }
            Found::Purged(generation) => (Known::Purged(generation), Cause::Purged),
            Found::Nothing => (Known::Nothing, Cause::Miss),
        };
        if wishes.only_if_cached {
            count(&self.store.counters.failed);
            return Err(Failure::NotStored);
        }
        if wishes.no_store || self.store.passes(&ask.key) {
            return self.pass(ask, None, cause).await.map(Some);
        }
        let (opening, leads) = self.open_one(ask, self.hint(ask), &known);
        let turn = opening.crowd.join();
        let first = || leads.then(|| opening.take()).flatten();
        match opening.wait().await {
            Outcome::Ready(ready) => {
                let elsewhere =
                    || ask.web && ready.generation.key != self.store.resolve(&ask.key.base(), ask.headers);
                if elsewhere() || !self.covers(ask, &ready.generation) {
                    return Ok(None);
                }
                if self.skips(ask, &ready.generation) {
                    return self.pass(ask, None, cause).await.map(Some);
                }
                let Ready { generation, following, revalidated, status, upstream, personal } = ready;
                let verdict = match leads {
                    _ if revalidated => Verdict::Revalidated,
                    true => cause.verdict(),
                    false => Verdict::Collapsed,
                };
                let (cause, collapsed, stored) = (Some(cause), !leads, !revalidated);
                let way = Way { verdict, cause, status, collapsed, stored };
                let mut answer = self.answer(ask, generation, following, way, upstream).await;
                answer.response.body_mut().in_turn(turn);
                if let Some(personal) = personal.filter(|_| leads) {
                    answer.response.headers_mut().extend((*personal).clone());
                }
                Ok(Some(answer))
            }
            Outcome::Elsewhere => Ok(None),
            // What is one requester's own is nobody else's: only the first gets the answer itself.
            Outcome::Unstored => self.pass(ask, first(), cause).await.map(Some),
            Outcome::Bare if *ask.method == Method::HEAD => self.pass(ask, first(), cause).await.map(Some),
            Outcome::Bare => Ok(None),
            Outcome::Failed(failure) => match known {
                Known::Stale(stale) if self.stands_in(ask, &stale, &failure) => {
                    let verdict = Verdict::StaleOnError;
                    let (cause, status) = (Some(cause), failure.answered());
                    let way = Way { verdict, cause, status, collapsed: !leads, stored: false };
                    Ok(Some(self.answer(ask, stale, None, way, None).await))
                }
                Known::Stale(stale) if failure.is_silence() && stale.meta().terms.strict => {
                    count(&self.store.counters.failed);
                    Err(Failure::Unconfirmed(failure.to_string()))
                }
                // What it says of its trouble itself says more than we could; one hears it for all.
                _ if ask.web && leads && failure.answered().is_some() => {
                    self.pass(ask, first(), cause).await.map(Some)
                }
                _ => {
                    count(&self.store.counters.failed);
                    Err(failure)
                }
            },
        }
    }

    /// Whether what a request wants of a version can be had: what is missing can be asked for, or nothing is. What
    /// has no validator cannot: nobody would know whether more of it is of the same version.
    pub(crate) fn covers(&self, ask: &Ask<'_>, version: &Generation) -> bool {
        let Some(length) = version.length() else { return true };
        if version.can_be_asked_again() || *ask.method == Method::HEAD || version.is_complete_on_disk() {
            return true;
        }
        match answer::select(ask, version, &version.meta(), Some(length)) {
            Selection::None => true,
            Selection::Whole => self.has_all(version, &(0..length)),
            Selection::Parts(parts) => parts.iter().all(|part| self.has_all(version, part)),
        }
    }

    /// Whether a request skips so much of what comes only once that, without a disk, nothing would keep it for those who
    /// read it: who skips it has the source to himself.
    fn skips(&self, ask: &Ask<'_>, version: &Generation) -> bool {
        if version.can_be_asked_again() || self.store.disk.is_some() || *ask.method == Method::HEAD {
            return false;
        }
        let Some(length) = version.length() else { return false };
        let Selection::Parts(parts) = answer::select(ask, version, &version.meta(), Some(length)) else {
            return false;
        };
        parts.iter().any(|part| {
            let block = blocks::block_of(part.start, version.block);
            version.comes_behind(part.start, self.store.limits.keeps()) && !self.store.has(version, block)
        })
    }

    /// Whether all these bytes are here, or on their way.
    fn has_all(&self, version: &Generation, bytes: &Range<u64>) -> bool {
        let mut blocks = blocks::blocks_of(bytes, version.block);
        blocks.all(|block| {
            version.is_coming(block, self.store.limits.read_ahead) || self.store.has(version, block)
        })
    }

    /// Whether a stale version may be answered because the source failed: where it says so itself
    /// (RFC 5861 §4), and of web content where there was no answer at all (RFC 9111 §4.2.4) or a gateway's, which is
    /// to say that (§4.3.3).
    fn stands_in(&self, ask: &Ask<'_>, stale: &Generation, failure: &Failure) -> bool {
        let terms = &stale.meta().terms;
        let bound = self.store.limits.disconnected;
        terms.usable_on_error(ask.now)
            || ask.web && failure.is_absence() && terms.usable_disconnected(ask.now, bound)
    }

    /// Forgets objects as [`invalidate`](Self::invalidate) does, because an unsafe request changed them (RFC 9111
    /// §4.4): all at once, whatever the disks do. Returns when no restart brings back what the request undid, or, where a
    /// disk is out or too slow to say so, after a bounded time: then a process that is killed may find it again, which
    /// the log tells.
    pub async fn undo(&self, keys: &[Key]) {
        let mut noted = false;
        for key in keys {
            noted |= self.invalidate(key);
        }
        if let Some(disk) = self.store.disk.as_ref().filter(|_| noted)
            && !disk.forgotten().await
        {
            tracing::warn!(
                "a cache disk is out or slow: what an unsafe request undid may be found again after a kill"
            );
        }
    }

    /// Forgets an object, all its representations included. Returns whether a disk has still to write that down.
    pub fn invalidate(&self, key: &Key) -> bool {
        for opening in self.openings.lock().values().filter(|opening| opening.key.base() == *key) {
            opening.revoke();
        }
        self.store.invalidate(key)
    }

    /// Raises the fences that `purge` names and makes that durable.
    ///
    /// # Errors
    /// The journal cannot be written; the purge holds until the process ends, and has to be repeated.
    pub fn purge(&self, purge: &Purge) -> std::io::Result<()> {
        self.store.purge(purge)
    }

    /// The counts, and what is held.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Writes what is queued for the disk. The tier stays usable, without its disk.
    pub async fn close(&self) {
        if let Some(disk) = &self.store.disk {
            disk.close().await;
        }
    }

    async fn answer(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        generation: Arc<Generation>,
        following: Option<Arc<Attached>>,
        way: Way,
        upstream: Option<HeaderValue>,
    ) -> Answer {
        if generation.length().is_none() {
            self.await_range(ask, &generation).await;
        }
        let filler: Arc<dyn Filler> = self.clone();
        answer::stored(self.name, filler, ask, generation, following, way, upstream)
    }

    /// Waits until a range of a body whose length nobody knows yet can be answered: until the part is there,
    /// or the end, which tells where it is. At most as long as for a header, and not past what would
    /// still be here to be sent; then the whole is answered, as RFC 9110 §14.2 allows.
    async fn await_range(&self, ask: &Ask<'_>, generation: &Generation) {
        let Some(specs) = range::wanted(ask.headers).filter(|_| *ask.method != Method::HEAD) else { return };
        let needs = match specs[..] {
            [Spec::From(0, None)] => return,
            [Spec::From(_, Some(last))] => last.saturating_add(1),
            _ => u64::MAX,
        };
        let Some(fill) =
            generation.growing().filter(|_| conditional::range_holds(ask.headers, &generation.meta()))
        else {
            return;
        };
        let limits = &self.store.limits;
        let bound = if self.store.disk.is_some() { limits.object_max } else { limits.keeps() };
        let attached = Attached::new(fill, u64::MAX);
        let come = async {
            let mut progress = attached.fill().follow();
            loop {
                let (received, done) = {
                    let progress = progress.borrow_and_update();
                    (progress.received, progress.done.is_some())
                };
                if done || received >= needs || received > bound || progress.changed().await.is_err() {
                    return;
                }
                // It reads nothing and holds nobody up.
                attached.fill().passed(received);
            }
        };
        // The whole does as well.
        let _ = timeout(limits.first_byte, come).await;
    }

    /// Joins the opening of this name, or begins one, from what is `known` of it. Returns whether the caller
    /// is its first.
    pub(crate) fn open_one(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        hint: Hint,
        known: &Known,
    ) -> (Arc<Opening>, bool) {
        let stamp = self.store.stamp(&ask.key, ask.fence, known.generation().map(|known| &**known));
        let mut openings = self.openings.lock();
        if let Some(opening) = openings.get(&ask.key.hash())
            && opening.key == ask.key
            && opening.stamp.local >= stamp.upstream
        {
            return (opening.clone(), false);
        }
        let opening = Arc::new(Opening::new(ask.key.clone(), stamp, ask.sent(), self.policy(ask)));
        // One may have ended since the caller looked; it left its record before it went off this list.
        let told = self.told_meanwhile(ask, known, stamp.upstream);
        if let Some(outcome) = told.or_else(|| self.troubles.get(&ask.key).map(Outcome::Failed)) {
            opening.settle(outcome);
            return (opening, false);
        }
        openings.insert(ask.key.hash(), opening.clone());
        drop(openings);
        tokio::spawn(self.clone().run_opening(opening.clone(), hint, known.to_revalidate().cloned()));
        (opening, true)
    }

    /// What is on record of an object now, if that is more than the caller had found.
    fn told_meanwhile(&self, ask: &Ask<'_>, known: &Known, fence: u64) -> Option<Outcome> {
        match self.store.records.get(&ask.key)? {
            Record::Pass(..) => Some(Outcome::Unstored),
            Record::Varies(..) => Some(Outcome::Elsewhere),
            Record::Current(generation) => {
                let new = known.generation().is_none_or(|known| !Arc::ptr_eq(known, &generation));
                let confirmed = matches!(known, Known::Stale(_))
                    && generation.meta().terms.state(ask.now) == State::Fresh;
                let told = generation.fence() >= fence && (new || confirmed);
                told.then_some(Outcome::Ready(Ready {
                    generation,
                    following: None,
                    revalidated: false,
                    status: None,
                    upstream: None,
                    personal: None,
                }))
            }
        }
    }

    /// The opening is over; only it itself is taken off, not one that replaced it.
    pub(crate) fn close_opening(&self, opening: &Arc<Opening>) {
        let mut openings = self.openings.lock();
        if openings.get(&opening.key.hash()).is_some_and(|held| Arc::ptr_eq(held, opening)) {
            openings.remove(&opening.key.hash());
        }
    }

    fn policy(&self, ask: &Ask<'_>) -> Policy {
        Policy {
            web: ask.web,
            authorized: ask.headers.contains_key(http::header::AUTHORIZATION),
            negative: self.store.limits.negative,
        }
    }

    /// What the first request for a cold object needs of it.
    fn hint(&self, ask: &Ask<'_>) -> Hint {
        if *ask.method == Method::HEAD {
            return Hint::Header;
        }
        match range::wanted(ask.headers).as_deref() {
            None | Some([Spec::From(0, None)]) => Hint::Whole,
            // The header that comes with the first part tells where the others are.
            Some([Spec::From(first, Some(last)), ..]) => {
                let size = self.store.limits.block;
                let start = first - first % size;
                match last.checked_add(1).and_then(|end| end.checked_next_multiple_of(size)) {
                    Some(end) => Hint::Part(start..end),
                    None => Hint::Length,
                }
            }
            // Only the length tells which blocks these are.
            Some(_) => Hint::Length,
        }
    }

    /// An answer that is not stored: straight from the source, for this request alone.
    async fn pass(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        fetched: Option<Fetched>,
        cause: Cause,
    ) -> Result<Answer, Failure> {
        count(&self.store.counters.passed);
        let fetched = match fetched {
            Some(fetched) => fetched,
            None => {
                let _permit = self.gate.enter(ask.key.service(), true).await?;
                // A range is GET's (RFC 9110 §14.2); that of web content goes as it came.
                // Of media nobody behind is told of `If-Range`: without it the whole is right.
                let ranges = !ask.web && *ask.method != Method::HEAD && !ask.headers.contains_key(IF_RANGE);
                let range = match range::wanted(ask.headers).filter(|_| ranges).as_deref() {
                    Some([Spec::From(first, Some(last))]) => Some(*first..last.saturating_add(1)),
                    _ => None,
                };
                let want = Want {
                    key: ask.key.clone(),
                    range,
                    pin: None,
                    revalidate: None,
                    fence: self.store.stamp(&ask.key, ask.fence, None).upstream,
                    head: *ask.method == Method::HEAD,
                    headers: ask.passed_on(),
                };
                self.fetch(want, ask.web).await?
            }
        };
        let length = content_length(&fetched.headers);
        let body = if *ask.method == Method::HEAD || fetched.status == StatusCode::NOT_MODIFIED {
            Body::empty()
        } else {
            Body::passing(fetched.body, length)
        };
        Ok(answer::passed(self.name, &ask.key, cause, fetched.status, &fetched.headers, length, body))
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
