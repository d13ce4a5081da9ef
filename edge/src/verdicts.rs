//! Sessions already verified, by token: the signature is checked once, the deadlines at every request.
//!
//! Two generations bound it: a full young one becomes the old one, and what nobody asked for in the meantime
//! goes with the next turn. Entries are found by the whole token, not by a hash that could collide, and only
//! verified tokens are kept, so strangers cannot fill it. New keys empty it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use kromka_access::Session;
use parking_lot::Mutex;

/// Locks, so that cores seldom meet at one.
const SHARDS: usize = 16;

/// Sessions in one generation of one shard; 65 536 in all, at some 1.5 KiB each.
const GENERATION: usize = 2048;

/// The sessions this edge has verified.
pub(crate) struct Verdicts {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// The key set the sessions were verified with.
    epoch: AtomicU64,
}

#[derive(Default)]
struct Shard {
    young: HashMap<Box<str>, Session>,
    old: HashMap<Box<str>, Session>,
}

impl Verdicts {
    pub(crate) fn new() -> Verdicts {
        Verdicts {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            epoch: AtomicU64::new(0),
        }
    }

    /// The session of a token that was verified before.
    pub(crate) fn find(&self, token: &str) -> Option<Session> {
        let mut shard = self.shard(token)?.lock();
        if let Some(session) = shard.young.get(token) {
            return Some(session.clone());
        }
        let (token, session) = shard.old.remove_entry(token)?;
        shard.keep(token, session.clone());
        Some(session)
    }

    /// The epoch to verify under: ask before reading the keys, hand it to [`Self::keep`].
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Remembers a verified session, unless the keys changed since `epoch`.
    pub(crate) fn keep(&self, token: &str, session: &Session, epoch: u64) {
        let Some(shard) = self.shard(token) else { return };
        let mut shard = shard.lock();
        // Compared under the lock: `forget` raises the epoch before it takes any lock.
        if self.epoch() == epoch {
            shard.keep(token.into(), session.clone());
        }
    }

    /// Forgets all: the keys changed, and a session of a withdrawn key must not live on.
    pub(crate) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }

    /// Sessions held.
    pub(crate) fn len(&self) -> usize {
        let held = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(held).sum()
    }

    fn shard(&self, token: &str) -> Option<&Mutex<Shard>> {
        let hash = self.hasher.hash_one(token) as usize;
        self.shards.get(hash % SHARDS)
    }
}

impl Shard {
    fn keep(&mut self, token: Box<str>, session: Session) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, session);
    }
}
