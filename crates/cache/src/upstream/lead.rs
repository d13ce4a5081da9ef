//! Bringing the blocks that a reader wants of a version that is known: who joins which fill, and the one request that
//! each new one costs. However its task ends, its followers are told.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;

use crate::Failure;
use crate::held::generation::{Generation, Joined};
use crate::held::store::Store;
use crate::held::{blocks, meta};
use crate::reply::body::Filler;
use crate::request::{range, vary};
use crate::stats::count;
use crate::tier::Tier;
use crate::upstream::fill::{Attached, Fill};
use crate::upstream::opening::content_length;
use crate::upstream::pull::pull;
use crate::upstream::source::{Source, Want};

impl<S: Source> Tier<S> {
    /// Takes the lead of a fill.
    pub(crate) fn lead(&self, generation: Arc<Generation>, fill: Arc<Fill>) -> Lead<'_, S> {
        self.store.fills.fetch_add(1, Ordering::Relaxed);
        Lead { tier: self, generation, fill, how: Err(Failure::Broken("the fill was dropped".into())) }
    }

    /// Brings the blocks of a fill that a reader asked for.
    async fn run_fill(self: Arc<Self>, generation: Arc<Generation>, fill: Arc<Fill>, keep: bool) {
        let mut lead = self.lead(generation, fill);
        lead.how = self.fetch_blocks(&lead.generation, &lead.fill, keep).await;
    }

    async fn fetch_blocks(
        &self,
        generation: &Arc<Generation>,
        fill: &Fill,
        keep: bool,
    ) -> Result<(), Failure> {
        let _permit = self.gate.enter(generation.key.service(), true).await?;
        let of = generation.meta();
        let length = generation.length().ok_or_else(|| Failure::Broken("nothing to go on from".into()))?;
        let blocks = fill.blocks();
        let start = blocks::start_of(blocks.start, generation.block);
        let end = blocks::bytes_of(blocks.end.saturating_sub(1), generation.block, length).end;
        let want = Want {
            key: generation.key.clone(),
            range: Some(start..end),
            pin: of.strong_etag().map(str::to_owned),
            revalidate: None,
            fence: self.store.stamp(&generation.key, 0, Some(generation)).upstream,
            head: false,
            headers: generation.key.chosen().map(vary::fields).unwrap_or_default(),
        };
        let fetched = self.fetch(want, generation.key.is_web()).await?;
        // Whoever does not say how long the whole is has still to name its version, below.
        let placed = |(range, whole): (Range<u64>, Option<u64>)| {
            range == (start..end) && whole.is_none_or(|whole| whole == length)
        };
        let skip = match fetched.status {
            StatusCode::PARTIAL_CONTENT if range::content_range(&fetched.headers).is_some_and(placed) => 0,
            StatusCode::OK if content_length(&fetched.headers).is_none_or(|whole| whole == length) => {
                generation.comes_whole();
                // The whole comes already: who waits here finds it there.
                if generation.is_brought_besides(fill, self.store.limits.read_ahead) {
                    return Ok(());
                }
                start
            }
            StatusCode::OK
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::NOT_FOUND => {
                self.store.discard(generation);
                return Err(Failure::Broken(format!(
                    "the object changed amid reading (source answered {})",
                    fetched.status
                )));
            }
            status => return Err(Failure::Broken(format!("source answered {status} to a range"))),
        };
        if !meta::same_version(&of.headers, &fetched.headers) {
            self.store.discard(generation);
            return Err(Failure::Broken("the object changed amid reading (other validator)".into()));
        }
        pull(&self.store, generation, fill, fetched.body, skip, keep).await
    }
}

/// The lead of a fill. However the task ends, the fill is taken off the generation and its
/// followers are told.
pub(crate) struct Lead<'a, S: Source> {
    tier: &'a Tier<S>,
    pub generation: Arc<Generation>,
    pub fill: Arc<Fill>,
    pub how: Result<(), Failure>,
}

impl<S: Source> Drop for Lead<'_, S> {
    fn drop(&mut self) {
        if let Err(failure) = &self.how {
            count(&self.tier.store.counters.source_errors);
            tracing::debug!(key = %self.generation.key, %failure, at = self.fill.received(), "fill broke off");
            if self.generation.length().is_none() {
                // Without a length there is nothing to go on from.
                self.tier.store.discard(&self.generation);
            }
        }
        self.fill.end(std::mem::replace(&mut self.how, Ok(())));
        self.generation.remove(&self.fill);
        // Who follows it may dawdle for long.
        self.fill.let_go(|block| self.tier.store.stays(&self.generation, block));
        self.tier.store.fills.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: Source> Filler for Tier<S> {
    fn store(&self) -> &Store {
        &self.store
    }

    fn fill(
        self: Arc<Self>,
        generation: &Arc<Generation>,
        wanted: Range<u64>,
        keep: bool,
        again: bool,
    ) -> Option<Attached> {
        let held = |block| self.store.has(generation, block);
        match generation.join_or_add(&wanted, held, self.store.limits.read_ahead) {
            Joined::Held => None,
            Joined::Running(attached) => Some(attached),
            Joined::New(attached) => {
                let fill = attached.fill().clone();
                if again && !self.gate.may_retry(generation.key.service()) {
                    let mut lead = self.lead(generation.clone(), fill);
                    lead.how = Err(Failure::Broken("tried again too often; see cache.retries".into()));
                    return Some(attached);
                }
                tokio::spawn(self.run_fill(generation.clone(), fill, keep));
                Some(attached)
            }
        }
    }
}
