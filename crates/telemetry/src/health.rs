//! Whether a role should take traffic.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What stands in the way of taking traffic; a clone is another handle to the same answers.
///
/// A role is ready when at least one check has reported and all that have are well, and it is not draining.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    checks: BTreeMap<&'static str, Result<(), String>>,
    draining: bool,
}

impl Health {
    /// No check has reported: not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports one check, for example `("feed", Err("17 entries behind"))`. The last report counts.
    pub fn set_ready(&self, check: &'static str, state: Result<(), String>) {
        self.0.lock().checks.insert(check, state);
    }

    /// From now on not ready: the process finishes what it has and goes.
    pub fn set_draining(&self) {
        self.0.lock().draining = true;
    }

    /// Takes [`set_draining`](Self::set_draining) back, where an operator resumes a node.
    pub fn resume(&self) {
        self.0.lock().draining = false;
    }

    /// Whether the process is on its way out.
    pub fn draining(&self) -> bool {
        self.0.lock().draining
    }

    /// `Ok`, or every check that is not well with its reason, in the order of their names.
    pub fn ready(&self) -> Result<(), Vec<(&'static str, String)>> {
        let state = self.0.lock();
        let mut reasons = Vec::new();
        if state.draining {
            reasons.push(("drain", "finishing what is in progress; takes nothing new".to_owned()));
        }
        if state.checks.is_empty() {
            reasons.push(("start", "starting".to_owned()));
        }
        for (check, outcome) in &state.checks {
            if let Err(reason) = outcome {
                reasons.push((check, reason.clone()));
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn ready_when_every_check_is_well() {
        let health = Health::new();
        assert_eq!(health.ready().unwrap_err()[0].0, "start");
        health.set_ready("cache", Ok(()));
        health.set_ready("feed", Err("17 entries behind".to_owned()));
        assert_eq!(health.ready().unwrap_err(), [("feed", "17 entries behind".to_owned())]);
        health.set_ready("feed", Ok(()));
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_draining_role_is_never_ready() {
        let health = Health::new();
        health.set_ready("cache", Ok(()));
        health.clone().set_draining();
        assert!(health.draining());
        assert_eq!(health.ready().unwrap_err()[0].0, "drain");
        health.resume();
        assert_eq!(health.ready(), Ok(()));
    }
}
