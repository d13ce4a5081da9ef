//! Who may take viewers: the standing of one edge, and what the standing of all makes of it.

use super::{
    Settings,
    snapshot::{Node, Snapshot},
};

/// Demand that sound edges must be able to carry, as a share of it, before failing ones are left out.
const PANIC_SHARE: f64 = 0.5;

/// How an edge stands at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Sound.
    Up,
    /// Heard, but seen to fail.
    Ejected,
    /// Silent for a while.
    Suspect,
    /// Wants no new viewers.
    Draining,
    /// Silent for too long.
    Silent,
    /// Said goodbye, is no longer of the fleet, or was silent while draining.
    Gone,
}

impl Standing {
    /// The standing of `node` at `now_ms`.
    #[inline]
    pub(super) fn of(node: &Node, settings: &Settings, now_ms: u64) -> Standing {
        let age = now_ms.saturating_sub(node.heard_ms);
        match () {
            () if node.gone => Standing::Gone,
            () if age > settings.down_after_ms && node.draining => Standing::Gone,
            () if age > settings.down_after_ms => Standing::Silent,
            () if node.draining => Standing::Draining,
            () if age > settings.suspect_after_ms => Standing::Suspect,
            () if node.ejected => Standing::Ejected,
            () => Standing::Up,
        }
    }

    /// The first instant at which silence alone makes it stand otherwise.
    pub(super) fn holds_until(node: &Node, settings: &Settings, now_ms: u64) -> u64 {
        let limits = [settings.suspect_after_ms, settings.down_after_ms];
        let passed = limits.map(|limit| node.heard_ms.saturating_add(limit).saturating_add(1));
        passed.into_iter().filter(|instant| *instant > now_ms && !node.gone).min().unwrap_or(u64::MAX)
    }
}

/// How good an edge is for who has to do with it already: better ones first. Among the same of these, what one session
/// had trouble with comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Sound.
    Sound,
    /// Silent for a while, or seen to fail.
    Doubted,
    /// Wants no new viewers.
    Draining,
    /// Silent for too long, or no longer there.
    Lost,
}

/// Which standing is good enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// Some edges are sound.
    #[default]
    Up,
    /// None is; those that fail or have been silent for a while are used.
    Suspect,
    /// Nor are there such.
    Draining,
}

/// What the standing of all edges together means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) tier: Tier,
    /// Most of the fleet looks dead: silence alone condemns no edge.
    pub(super) distrusted: bool,
    /// The sound ones could not carry half of the demand: failing ones stay in play.
    pub(super) panic: bool,
}

impl Mode {
    /// The mode at `now_ms` for who will not have the edges that `exclude` names.
    pub(super) fn of(snapshot: &Snapshot, now_ms: u64, exclude: &[String]) -> Mode {
        let (mut fleet, mut silent) = (0usize, 0usize);
        let (mut up, mut ejected, mut suspect, mut silent_left) = (0usize, 0usize, 0usize, 0usize);
        let (mut sound, mut demand) = (0.0, 0.0);
        for (place, node) in snapshot.nodes.iter().enumerate() {
            let standing = Standing::of(node, &snapshot.settings, now_ms);
            if !node.gone {
                fleet += 1;
                let age = now_ms.saturating_sub(node.heard_ms);
                silent += usize::from(age > snapshot.settings.down_after_ms);
                // What it carries does not depend on what it is given.
                demand += node.utilisation() * node.weight;
            }
            if standing == Standing::Up {
                sound += node.weight;
            }
            if excluded(snapshot, place, exclude) {
                continue;
            }
            match standing {
                Standing::Up => up += 1,
                Standing::Ejected => ejected += 1,
                Standing::Suspect => suspect += 1,
                Standing::Silent => silent_left += 1,
                Standing::Draining | Standing::Gone => {}
            }
        }
        let distrusted = fleet >= 3 && silent * 2 > fleet;
        let panic = snapshot.nodes.iter().any(|node| node.ejected) && sound < PANIC_SHARE * demand;
        let tier = match () {
            () if up > 0 || (panic && ejected > 0) => Tier::Up,
            () if ejected + suspect > 0 || (distrusted && silent_left > 0) => Tier::Suspect,
            () => Tier::Draining,
        };
        Mode { tier, distrusted, panic }
    }

    /// Whether an edge of that standing takes viewers, besides the silent ones of a fleet that is distrusted.
    #[inline]
    pub(super) fn takes(self, standing: Standing) -> bool {
        match (self.tier, standing) {
            (Tier::Up, Standing::Up) => true,
            (Tier::Up, Standing::Ejected) => self.panic,
            (Tier::Suspect, Standing::Ejected | Standing::Suspect) => true,
            (Tier::Draining, Standing::Draining) => true,
            _ => false,
        }
    }
}

/// Whether the edge at `place` is one that `exclude` names.
#[inline]
pub(super) fn excluded(snapshot: &Snapshot, place: usize, exclude: &[String]) -> bool {
    !exclude.is_empty() && exclude.iter().any(|id| **id == *snapshot.edges[place].called.id)
}
