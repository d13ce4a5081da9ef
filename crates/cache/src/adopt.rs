//! What comes into a tier without a viewer: an answer that its role fetched itself (a reload that was held
//! until there was news), and bytes that will likely be asked for next.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::held::blocks;
use crate::held::meta::Meta;
use crate::held::store::{Found, Stamp};
use crate::reply::body::{Filler, Piece, Reader};
use crate::request::ask::Ask;
use crate::rules::freshness::Policy;
use crate::tier::Tier;
use crate::upstream::opening::{Hint, Known, Outcome};
use crate::upstream::source::Source;
use crate::{Failure, Key};

/// An answer that is being fetched outside the tier: knows which purges it lies above.
#[derive(Clone)]
pub struct Outside {
    key: Key,
    stamp: Stamp,
}

impl Outside {
    /// The purge fence that the answer must not lie below.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.stamp.upstream
    }
}

impl<S: Source> Tier<S> {
    /// To be called before the fetch begins whose answer [`Self::adopt`] is given.
    #[must_use]
    pub fn outside(&self, key: Key) -> Outside {
        Outside { stamp: self.store.stamp(&key, 0, None), key }
    }

    /// Makes a whole 200 of the source the current version of its object, in memory. A fetch of the same
    /// object that is under way ends first, so that what it brings does not replace this one.
    /// Returns whether it was stored.
    pub async fn adopt(&self, outside: Outside, headers: &HeaderMap, body: Bytes) -> bool {
        let Outside { key, stamp } = outside;
        let policy = Policy { web: false, authorized: false, negative: self.store.limits.negative };
        let Some(meta) = Meta::of(StatusCode::OK, headers, self.now(), policy) else { return false };
        if body.len() as u64 > self.store.limits.object_max {
            return false;
        }
        while let Some(running) = self.adopt_now(&key, &meta, &body, stamp) {
            running.wait().await;
        }
        true
    }

    /// Adopts, unless a fetch of the object is under way, which then is the answer. No fetch can begin in
    /// the middle of it.
    fn adopt_now(
        &self,
        key: &Key,
        meta: &Meta,
        body: &Bytes,
        stamp: Stamp,
    ) -> Option<Arc<crate::upstream::opening::Opening>> {
        let openings = self.openings.lock();
        if let Some(opening) = openings.get(&key.hash()).filter(|opening| opening.key == *key) {
            return Some(opening.clone());
        }
        let length = body.len() as u64;
        let generation = self.store.version(key.clone(), meta.clone(), Some(length), stamp.local);
        // Before anybody finds it, or whoever does would fetch what is here.
        let kept = (0..blocks::count(length, generation.block)).all(|block| {
            let bytes = blocks::bytes_of(block, generation.block, length);
            let mut room = self.store.memory.room(bytes.end - bytes.start);
            // In bounds: blocks end where the body does.
            room.write(&body[bytes.start as usize..bytes.end as usize]);
            self.store.memory.put(generation.id, block, room.finish())
        });
        self.store.adopt(&generation);
        if !kept {
            self.store.discard(&generation);
        }
        None
    }

    /// Takes an object, or some bytes of it, in before anybody asks. What is here is not fetched again;
    /// nothing is counted as a request, and nothing waits for the disk. Returns the bytes that were not here;
    /// `None` if there is no such object to be had: no 200, or one that is not to be stored.
    ///
    /// # Errors
    /// The source failed; what had arrived stays.
    pub async fn ahead(
        self: &Arc<Self>,
        key: Key,
        range: Option<Range<u64>>,
    ) -> Result<Option<u64>, Failure> {
        let headers = HeaderMap::new();
        let now = self.now();
        let ask = Ask { key, method: &Method::GET, headers: &headers, web: false, fence: 0, now };
        let (generation, mut following, new) = match self.store.find(&ask.key, 0, now).await {
            Found::Current(generation, _) => (generation, None, false),
            Found::Nothing if self.store.passes(&ask.key) => return Ok(None),
            found => {
                let known = match found {
                    Found::Stale(generation) | Found::Doubtful(generation) => Known::Stale(generation),
                    Found::Purged(generation) => Known::Purged(generation),
                    Found::Current(..) | Found::Nothing => Known::Nothing,
                };
                let size = self.store.limits.block;
                let hint = match &range {
                    None => Hint::Whole,
                    Some(range) => match range.end.checked_next_multiple_of(size) {
                        Some(end) => Hint::Part(range.start - range.start % size..end),
                        None => Hint::Header,
                    },
                };
                match self.open_one(&ask, hint, &known).0.wait().await {
                    Outcome::Ready(ready) => (ready.generation, ready.following, !ready.revalidated),
                    Outcome::Unstored | Outcome::Elsewhere | Outcome::Bare => return Ok(None),
                    Outcome::Failed(failure) => return Err(failure),
                }
            }
        };
        let Some(length) = generation.length().filter(|_| generation.meta().status == StatusCode::OK) else {
            return Ok(None);
        };
        let range = range.map_or(0..length, |range| range.start.min(length)..range.end.min(length));
        let filler: Arc<dyn Filler> = self.clone();
        let mut fetched = 0;
        for block in blocks::blocks_of(&range, generation.block) {
            let bytes = blocks::bytes_of(block, generation.block, length);
            if range.is_empty() || self.store.has(&generation, block) {
                // What its opening brought may have arrived already.
                fetched += if new { bytes.end - bytes.start } else { 0 };
                continue;
            }
            let piece = Piece::Object(bytes.start, Some(bytes.end));
            let mut reader = Reader::new(filler.clone(), generation.clone(), piece, following.take());
            while let Some(chunk) = reader.next().await {
                fetched += chunk.map_err(|error| error.0)?.len() as u64;
            }
            following = reader.into_following();
        }
        Ok(Some(fetched))
    }
}
