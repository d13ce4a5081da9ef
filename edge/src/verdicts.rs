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

/// A session that asked for nothing for so long has ended or is paused, seconds: players hold less than a minute.
const PLAYING_S: i64 = 60;

/// The sessions this edge has verified.
pub(crate) struct Verdicts {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// The key set the sessions were verified with.
    epoch: AtomicU64,
}

#[derive(Default)]
struct Shard {
    young: HashMap<Box<str>, Held>,
    old: HashMap<Box<str>, Held>,
}

struct Held {
    session: Session,
    /// When its token was last shown, unix seconds.
    shown: i64,
}

impl Verdicts {
    pub(crate) fn new() -> Verdicts {
        Verdicts {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            epoch: AtomicU64::new(0),
        }
    }

    /// The session of a token that was verified before and is shown now, `now` in unix seconds.
    pub(crate) fn find(&self, token: &str, now: i64) -> Option<Session> {
        let mut shard = self.shard(token)?.lock();
        if let Some(held) = shard.young.get_mut(token) {
            held.shown = now;
            return Some(held.session.clone());
        }
        let (token, held) = shard.old.remove_entry(token)?;
        shard.keep(token, Held { shown: now, ..held }).map(|held| held.session.clone())
    }

    /// The epoch to verify under: ask before reading the keys, hand it to [`Self::keep`].
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Remembers a verified session, unless the keys changed since `epoch`.
    pub(crate) fn keep(&self, token: &str, session: &Session, epoch: u64, now: i64) {
        let Some(shard) = self.shard(token) else { return };
        let mut shard = shard.lock();
        // Compared under the lock: `forget` raises the epoch before it takes any lock.
        if self.epoch() == epoch {
            shard.keep(token.into(), Held { session: session.clone(), shown: now });
        }
    }

    /// Forgets all: the keys changed, and a session of a withdrawn key must not live on.
    pub(crate) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }

    /// Sessions that are playing: their token was shown within [`PLAYING_S`] before `now`.
    pub(crate) fn playing(&self, now: i64) -> usize {
        let recent = |held: &&Held| held.shown > now - PLAYING_S;
        let playing = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.young.values().chain(shard.old.values()).filter(recent).count()
        };
        self.shards.iter().map(playing).sum()
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
    fn keep(&mut self, token: Box<str>, held: Held) -> Option<&Held> {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        Some(self.young.entry(token).insert_entry(held).into_mut())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use kromka_access::{Claims, KeySet, Signer};

    use super::*;

    fn session(token: &str, keys: &KeySet) -> Session {
        kromka_access::verify(token, keys, 1_000).unwrap()
    }

    #[test]
    fn who_shows_a_token_is_playing_for_a_minute() {
        let secret = b"0123456789abcdef0123456789abcdef";
        let signer = Signer::hs256("k", secret).unwrap();
        let keys = KeySet::default().with_secret("k", "music", secret).unwrap();
        let claims = |sid: &str| Claims {
            iss: "test".into(),
            sub: "viewer".into(),
            sid: sid.into(),
            aud: "music".into(),
            exp: 9_000,
            cdniuc: "path:/".into(),
            ..Claims::default()
        };
        let verdicts = Verdicts::new();
        for sid in ["one", "two"] {
            let token = signer.sign(&claims(sid)).unwrap();
            verdicts.keep(&token, &session(&token, &keys), verdicts.epoch(), 1_000);
        }
        assert_eq!((verdicts.playing(1_000), verdicts.len()), (2, 2));
        let one = signer.sign(&claims("one")).unwrap();
        assert!(verdicts.find(&one, 1_050).is_some());
        assert_eq!(verdicts.playing(1_070), 1, "the other has been silent for longer than a minute");
        assert_eq!((verdicts.playing(1_110), verdicts.len()), (0, 2), "silent, but still known");
    }
}
