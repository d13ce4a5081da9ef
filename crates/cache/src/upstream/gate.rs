//! The door to the source: how many fetches at once, how many tries again, and when it is left alone.
//!
//! Each service has a lane of its own, since services have sources of their own: one that hangs, or that
//! asks for a rest, does not hold up the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::Failure;
use crate::upstream::jitter;

/// More services than a node can have share one lane.
const MAX_LANES: usize = 4096;
/// So many answers in a row that say "too much" are the source's word, not one object's.
const IN_A_ROW: u32 = 3;
/// The first rest; doubled each time, and never shorter than the source says.
const FIRST_REST: Duration = Duration::from_millis(250);
/// Tries again that a lane may save up: enough for what breaks at one moment.
const SAVED: u64 = 10;
/// What one try again costs; a fetch earns the configured share of it.
const PRICE: u64 = 100;

/// Leave to ask the source, while it lives.
pub(crate) struct Permit {
    /// It is the one that finds out whether a source that rested is well again.
    _probe: Option<OwnedSemaphorePermit>,
    _lane: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// All lanes of a tier.
pub(crate) struct Gate {
    all: Arc<Semaphore>,
    lanes: Mutex<HashMap<Box<str>, Arc<Lane>>>,
    rules: Rules,
}

/// The settings that a gate keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Fetches at once, in all and for each service.
    pub fills: usize,
    pub each: usize,
    /// Longest wait for leave.
    pub queue: Duration,
    /// Longest rest.
    pub rest: Duration,
    /// Tries again for each hundred fetches.
    pub retries: u32,
}

/// The way to one service's source.
struct Lane {
    permits: Arc<Semaphore>,
    /// Answers in a row that said "too much".
    busy: AtomicU32,
    /// Rests since it was last well.
    rests: AtomicU32,
    rests_until: Mutex<Option<Instant>>,
    /// After a rest one goes first, and the others when it has come back with an answer.
    probe: Arc<Semaphore>,
    recovered: Notify,
    /// Saved up for tries again, in hundredths of one.
    savings: AtomicU64,
}

impl Gate {
    pub(crate) fn new(rules: Rules) -> Self {
        let fills = rules.fills.min(Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(fills)), lanes: Mutex::default(), rules }
    }

    /// Waits for leave to ask a service's source, at most as long as configured. Who has something to
    /// answer with does not wait for a source that rests.
    pub(crate) async fn enter(&self, service: &str, patient: bool) -> Result<Permit, Failure> {
        let lane = self.lane(service);
        let deadline = Instant::now() + self.rules.queue;
        let left_alone = |until: Instant| Failure::Busy {
            message: "the source asked to be left alone".to_owned(),
            retry_after: until.saturating_duration_since(Instant::now()),
        };
        let probe = loop {
            if let Some(until) = lane.rest() {
                // Not all at the end of it.
                let wakes = until + jitter::spread((until - Instant::now()) / 4);
                if !patient || wakes > deadline {
                    return Err(left_alone(until));
                }
                sleep_until(wakes).await;
                continue;
            }
            let mut recovered = std::pin::pin!(lane.recovered.notified());
            recovered.as_mut().enable();
            if lane.busy.load(Ordering::Relaxed) < IN_A_ROW {
                break None;
            }
            let limit = if patient { deadline } else { Instant::now() };
            tokio::select! {
                biased;
                () = &mut recovered => {}
                probe = lane.probe.clone().acquire_owned() => {
                    // Or the one before came back with another request for rest.
                    if let (Ok(probe), None) = (probe, lane.rest()) {
                        break Some(probe);
                    }
                },
                () = sleep_until(limit) => return Err(left_alone(deadline)),
            }
        };
        let waited = async {
            let lane = lane.permits.clone().acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(Permit { _probe: probe, _lane: lane, _all: all })
        };
        match timeout_at(deadline, waited).await {
            Ok(Some(permit)) => Ok(permit),
            _ => Err(Failure::Busy {
                message: format!(
                    "no leave to ask the source within {:?}; cache.fills or cache.service_fills are all in use",
                    self.rules.queue
                ),
                retry_after: self.rules.queue,
            }),
        }
    }

    /// The source answered, with whatever: it is not overrun.
    pub(crate) fn answered(&self, service: &str) {
        let lane = self.lane(service);
        if lane.busy.load(Ordering::Relaxed) > 0 {
            lane.busy.store(0, Ordering::Relaxed);
            lane.rests.store(0, Ordering::Relaxed);
            lane.recovered.notify_waiters();
        }
    }

    /// The source said that it is asked too much. Once may be about one object; again and again is not.
    pub(crate) fn said_busy(&self, service: &str, retry_after: Option<Duration>) {
        let lane = self.lane(service);
        if lane.busy.fetch_add(1, Ordering::Relaxed).saturating_add(1) < IN_A_ROW {
            return;
        }
        let mut rests = lane.rests_until.lock();
        // What was under way when the rest began says nothing new of how long it should be.
        let own = match rests.is_some_and(|until| until > Instant::now()) {
            true => Duration::ZERO,
            false => FIRST_REST * 2u32.pow(lane.rests.fetch_add(1, Ordering::Relaxed).min(10)),
        };
        let rest = own.max(retry_after.unwrap_or_default()).min(self.rules.rest);
        let until = Instant::now() + jitter::spread(rest);
        if rests.is_none_or(|before| before < until) {
            tracing::warn!(service, ?rest, "the source asks to be left alone");
            *rests = Some(until);
        }
    }

    /// Whether a failed fetch may be tried again, which is paid for: not while the source rests.
    pub(crate) fn may_retry(&self, service: &str) -> bool {
        let pay = |saved: u64| saved.checked_sub(PRICE);
        let lane = self.lane(service);
        lane.rest().is_none() && lane.savings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }

    /// A fetch that is no try again: it earns a share of one.
    pub(crate) fn earn(&self, service: &str) {
        let earn = |saved: u64| Some((saved + u64::from(self.rules.retries)).min(SAVED * PRICE));
        // The closure always gives a number.
        let _ = self.lane(service).savings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    fn lane(&self, service: &str) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(service) {
            return lane.clone();
        }
        let name = if lanes.len() < MAX_LANES { service } else { "" };
        let each = self.rules.each.min(Semaphore::MAX_PERMITS);
        let savings = if self.rules.retries == 0 { 0 } else { SAVED * PRICE };
        let lane = || Lane {
            permits: Arc::new(Semaphore::new(each)),
            busy: AtomicU32::new(0),
            rests: AtomicU32::new(0),
            rests_until: Mutex::new(None),
            probe: Arc::new(Semaphore::new(1)),
            recovered: Notify::new(),
            savings: AtomicU64::new(savings),
        };
        lanes.entry(name.into()).or_insert_with(|| Arc::new(lane())).clone()
    }
}

impl Lane {
    /// Until when the source is left alone.
    fn rest(&self) -> Option<Instant> {
        let mut until = self.rests_until.lock();
        if until.is_some_and(|until| until <= Instant::now()) {
            *until = None;
        }
        *until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(fills: usize, each: usize, queue: Duration) -> Gate {
        Gate::new(Rules { fills, each, queue, rest: Duration::from_secs(30), retries: 10 })
    }

    #[tokio::test]
    async fn a_service_that_hangs_leaves_room_for_the_others() {
        let gate = gate(3, 2, Duration::from_millis(20));
        let _held = [gate.enter("a", true).await.unwrap(), gate.enter("a", true).await.unwrap()];
        assert!(matches!(gate.enter("a", true).await, Err(Failure::Busy { .. })));
        let other = gate.enter("b", true).await.unwrap();
        assert!(gate.enter("b", true).await.is_err(), "three in all");
        drop(other);
        assert!(gate.enter("b", true).await.is_ok());
    }

    #[tokio::test]
    async fn a_source_is_left_alone_once_it_has_said_so_again_and_again() {
        let gate = gate(9, 9, Duration::from_secs(20));
        let three = |service, wish: Option<Duration>| (0..3).for_each(|_| gate.said_busy(service, wish));
        gate.said_busy("a", None);
        gate.said_busy("a", None);
        gate.answered("a");
        gate.said_busy("a", None);
        assert!(gate.enter("a", false).await.is_ok(), "never three in a row");
        gate.answered("a");
        three("a", Some(Duration::from_secs(600)));
        let Err(Failure::Busy { retry_after, .. }) = gate.enter("a", true).await else { panic!() };
        let bounds = Duration::from_secs(29)..=Duration::from_secs(45);
        assert!(bounds.contains(&retry_after), "what is configured, and a little chance: {retry_after:?}");
        assert!(gate.enter("b", true).await.is_ok(), "its own affair");
        three("b", None);
        assert!(gate.enter("b", false).await.is_err(), "who has something to answer with does not wait");
        let probe = gate.enter("b", true).await.unwrap();
        assert!(gate.enter("b", false).await.is_err(), "one goes first after a rest");
        let (others, ()) = tokio::join!(
            async { [gate.enter("b", true).await.is_ok(), gate.enter("b", true).await.is_ok()] },
            async { gate.answered("b") },
        );
        assert_eq!(others, [true, true], "and the others when it has an answer");
        drop(probe);
    }

    #[test]
    fn tries_again_are_a_tenth_of_what_is_asked() {
        let gate = gate(9, 9, Duration::ZERO);
        assert_eq!((0..100).filter(|_| gate.may_retry("a")).count(), SAVED as usize);
        (0..100).for_each(|_| gate.earn("a"));
        assert_eq!((0..100).filter(|_| gate.may_retry("a")).count(), 10);
        let without = Gate::new(Rules { retries: 0, ..gate.rules });
        without.earn("a");
        assert!(!without.may_retry("a"));
    }
}
