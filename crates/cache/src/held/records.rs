//! Which generation of an object is current, and which objects are not worth queueing for.
//! Least recently used records go first; what is on disk is found again through the disk's index.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use http::HeaderName;
use parking_lot::Mutex;

use crate::Key;
use crate::held::generation::Generation;

/// How long an uncacheable answer makes followers go their own way instead of queueing (hit-for-miss).
const PASS_FOR: Duration = Duration::from_secs(5);

/// Representations of one object that are kept; a source that varies by a field of unbounded values
/// must not fill the cache with one object.
const MAX_VARIANTS: usize = 64;

/// What is known under a name.
#[derive(Clone)]
pub(crate) enum Record {
    /// The current version.
    Current(Arc<Generation>),
    /// The last answer could not be stored; do not queue for the next one until then.
    Pass(Key, Instant),
    /// There are several representations, under keys of their own.
    Varies(Key, Arc<Varies>),
}

/// The representations of an object.
pub(crate) struct Varies {
    /// The request fields that choose one, sorted.
    pub names: Vec<HeaderName>,
    /// Versions below this number were undone by an unsafe request.
    pub floor: AtomicU64,
    variants: Mutex<Vec<Key>>,
}

impl Varies {
    /// The keys of those that have been stored.
    pub(crate) fn variants(&self) -> Vec<Key> {
        self.variants.lock().clone()
    }
}

/// The table of records, bounded by the memory they take.
pub(crate) struct Records {
    table: Cache<u128, Record>,
}

impl Records {
    pub(crate) fn new(budget: u64) -> Self {
        let table = Cache::builder()
            // Newest first in, never first out: admission by frequency would refuse what is being filled.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_: &u128, record: &Record| match record {
                Record::Current(generation) => generation.weight(),
                Record::Pass(key, _) => {
                    u32::try_from(key.path().len()).unwrap_or(u32::MAX).saturating_add(256)
                }
                // Room for as many as there may be: the list grows after it was weighed.
                Record::Varies(key, _) => {
                    u32::try_from(key.path().len() + MAX_VARIANTS * 64).unwrap_or(u32::MAX)
                }
            })
            .max_capacity(budget)
            .build();
        Self { table }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Record> {
        match self.table.get(&key.hash())? {
            Record::Current(generation) if generation.key != *key || generation.is_dead() => None,
            Record::Pass(held, until) if held != *key || until <= Instant::now() => None,
            Record::Varies(held, _) if held != *key => None,
            record => Some(record),
        }
    }

    pub(crate) fn insert(&self, generation: &Arc<Generation>) {
        self.table.insert(generation.key.hash(), Record::Current(generation.clone()));
    }

    /// Notes that `variant` is one of the representations that `names` choose among; `false` if there
    /// are too many already.
    pub(crate) fn vary(&self, variant: &Key, names: &[HeaderName]) -> bool {
        let varies = self.varies(&variant.base(), names);
        let mut variants = varies.variants.lock();
        if !variants.contains(variant) {
            if variants.len() == MAX_VARIANTS {
                return false;
            }
            variants.push(variant.clone());
        }
        true
    }

    /// The representations of an object that `names` choose among; none are known yet if it was not.
    pub(crate) fn varies(&self, base: &Key, names: &[HeaderName]) -> Arc<Varies> {
        match self.get(base) {
            Some(Record::Varies(_, varies)) if varies.names == names => varies,
            _ => {
                let varies = Arc::new(Varies {
                    names: names.to_vec(),
                    floor: AtomicU64::new(0),
                    variants: Mutex::default(),
                });
                self.table.insert(base.hash(), Record::Varies(base.clone(), varies.clone()));
                varies
            }
        }
    }

    pub(crate) fn pass(&self, key: &Key) {
        self.table.insert(key.hash(), Record::Pass(key.clone(), Instant::now() + PASS_FOR));
    }

    /// The generation under a name's hash, whatever its state.
    pub(crate) fn peek(&self, name: u128) -> Option<Arc<Generation>> {
        // Asked for first, because a `get` would count as a use.
        if !self.table.contains_key(&name) {
            return None;
        }
        match self.table.get(&name)? {
            Record::Current(generation) => Some(generation),
            _ => None,
        }
    }

    /// Every generation that is current.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Generation>> {
        self.table.iter().filter_map(|(_, record)| match record {
            Record::Current(generation) => Some(generation),
            _ => None,
        })
    }

    /// Forgets this generation, but not one that has replaced it.
    pub(crate) fn remove(&self, generation: &Arc<Generation>) {
        generation.kill();
        if let Some(Record::Current(held)) = self.table.get(&generation.key.hash())
            && Arc::ptr_eq(&held, generation)
        {
            self.table.invalidate(&generation.key.hash());
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.table.entry_count()
    }
}
