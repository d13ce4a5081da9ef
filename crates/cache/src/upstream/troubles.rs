//! Names whose source gave no answer a moment ago, or none that counts: whoever comes now is told so at
//! once, instead of everyone asking a source that is down.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{Failure, Key};

/// More names than these are not remembered; each costs its source one more try.
const MAX: usize = 4096;
/// However long failures are remembered by configuration, a source that comes back is found soon.
const LONGEST: Duration = Duration::from_secs(1);

/// What failed lately, by name.
pub(crate) struct Troubles {
    lasting: Duration,
    held: Mutex<HashMap<u128, (Instant, Failure)>>,
}

impl Troubles {
    /// Remembers each for `lasting`, a second at most.
    pub(crate) fn new(lasting: Duration) -> Self {
        Self { lasting: lasting.min(LONGEST), held: Mutex::default() }
    }

    pub(crate) fn note(&self, key: &Key, failure: &Failure) {
        if self.lasting.is_zero() || !failure.is_silence() && failure.answered().is_none() {
            return;
        }
        let now = Instant::now();
        let mut held = self.held.lock();
        if held.len() >= MAX {
            held.retain(|_, (until, _)| *until > now);
        }
        if held.len() < MAX {
            held.insert(key.hash(), (now + self.lasting, failure.clone()));
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Failure> {
        let mut held = self.held.lock();
        let (until, failure) = held.get(&key.hash())?;
        if *until > Instant::now() {
            return Some(failure.clone());
        }
        held.remove(&key.hash());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_remembered_for_a_moment_and_within_bounds() {
        let troubles = Troubles::new(Duration::from_secs(60));
        let key = |n: usize| Key::new("s", &format!("/{n}"), None);
        (0..MAX + 10).for_each(|n| troubles.note(&key(n), &Failure::Unreachable("down".into())));
        assert!(troubles.get(&key(1)).is_some() && troubles.get(&key(MAX + 5)).is_none());
        assert_eq!(troubles.held.lock().len(), MAX);
        assert!(troubles.held.lock()[&key(1).hash()].0 <= Instant::now() + LONGEST);
        let off = Troubles::new(Duration::ZERO);
        off.note(&key(1), &Failure::Broken("x".into()));
        assert!(off.get(&key(1)).is_none());
    }
}
