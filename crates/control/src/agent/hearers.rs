//! Which selectors have heard of the node's last change of state: a drain counts as applied when none of those that can
//! be reached sends viewers here any more, not when one knows.

use tokio::sync::watch;

/// What one selector has heard.
#[derive(Clone, Copy, Debug)]
struct Hearer {
    /// The last change in a heartbeat that it has answered.
    heard: u64,
    /// Its last answer came. Who waits does not wait for one that is gone.
    reachable: bool,
}

/// Changes of state, counted, and how far each selector has heard of them.
#[derive(Debug)]
pub(super) struct Hearers(watch::Sender<Heard>);

#[derive(Debug)]
struct Heard {
    change: u64,
    by: Vec<Hearer>,
}

impl Hearers {
    /// So many selectors, none of which has answered yet.
    pub(super) fn new(selectors: usize) -> Self {
        let by = vec![Hearer { heard: 0, reachable: false }; selectors];
        Self(watch::Sender::new(Heard { change: 0, by }))
    }

    /// The state has changed.
    pub(super) fn change(&self) {
        self.0.send_modify(|heard| heard.change += 1);
    }

    /// The last change: to be asked before a heartbeat is made, which tells at least of that.
    pub(super) fn last(&self) -> u64 {
        self.0.borrow().change
    }

    /// A selector has answered a heartbeat that told of `change`, or has not: `None`.
    pub(super) fn told(&self, selector: usize, change: Option<u64>) {
        self.0.send_if_modified(|heard| {
            let Some(hearer) = heard.by.get_mut(selector) else { return false };
            hearer.reachable = change.is_some();
            hearer.heard = change.unwrap_or(hearer.heard);
            true
        });
    }

    /// Returns when all selectors that answer have heard of the last change.
    pub(super) async fn all(&self) {
        let mut changes = self.0.subscribe();
        // It cannot be closed: it belongs to this.
        let _ = changes.wait_for(Heard::all).await;
    }

    /// Whether they have.
    pub(super) fn know(&self) -> bool {
        self.0.borrow().all()
    }
}

impl Heard {
    fn all(&self) -> bool {
        self.by.iter().all(|hearer| !hearer.reachable || hearer.heard >= self.change)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_answers_is_waited_for_and_who_does_not_is_not() {
        let hearers = Hearers::new(3);
        let known = || {
            assert_eq!(hearers.all().now_or_never().is_some(), hearers.know());
            hearers.know()
        };
        assert!(known(), "nobody answers");
        hearers.told(0, Some(hearers.last()));
        hearers.told(1, Some(hearers.last()));
        assert!(known(), "nothing has changed");
        let on_its_way = hearers.last();
        hearers.change();
        hearers.told(0, Some(hearers.last()));
        hearers.told(1, Some(on_its_way));
        assert!(!known(), "that heartbeat was made before the change");
        hearers.told(1, None);
        assert!(known(), "one that does not answer sends nobody for long");
        hearers.told(1, Some(hearers.last()));
        assert!(known());
    }
}
