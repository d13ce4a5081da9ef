//! Outliers: edges that fail or crawl where their peers do not, whatever they say of themselves.
//!
//! Three observers tell: clients (errors and how long the edge took), the edge itself (requests and failures on its
//! heartbeats), and this selector's own checks of a real object. None is believed blindly. What most of the fleet
//! shows at the same time is the source's or the observer's fault and condemns nobody; a few failures must come from
//! several networks; a share must lie above its bound by more than chance (Wilson's interval).
//!
//! An edge that is found out gets no new viewers for a while ([`HOLD_MS`]), longer each time, and comes back through slow
//! start. At most a third of the fleet's capacity is held back, or one edge if that is more; the worst first.
//!
//! - [`asking`]: how often an edge is asked, and how long it is waited for.
//! - `evidence`: what was seen of one edge lately, bounded. `best`: the shortest that its checks have taken. `chance`: what
//!   accident explains.
//! - `peers`: the rules, by which an edge is compared with all others.
//! - [`Outliers`]: who is held back, and until when.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::Cell;

pub mod asking;
mod best;
mod chance;
mod evidence;
mod peers;
#[cfg(test)]
mod tests;

use asking::are_most;
use evidence::{Evidence, Suspicion};
use peers::{Charge, Look, Peers};

/// Milliseconds between two checks of an edge that are usual.
pub const CHECK_MS: u64 = 1_000;
/// Milliseconds that a check is usually waited for beyond [what it takes at best](asking::patience_ms).
pub const TIMEOUT_MS: u64 = 2_000;
/// Milliseconds between two looks which edge is due: none is asked more often.
pub const LOOK_MS: u64 = 50;
/// How many times as often an edge is checked while it is [suspicious](Outliers::suspicious): a third of failures is
/// seen in seconds.
pub const SOONER: u32 = 8;
/// The same while a check of it takes so many milliseconds more than one does at best.
pub const LATE_MS: u64 = 150;

/// How long an edge is usually held back the first time, in milliseconds; the n-th time n times as long.
pub const HOLD_MS: u64 = 30_000;
/// Most times that this is counted.
const TIMES_MAX: u32 = 10;
/// A sound stretch of this length, in milliseconds, takes one time off the count.
const FORGIVEN_MS: u64 = 600_000;
/// Share of the fleet's capacity that may be held back.
const HELD_MAX: f64 = 1.0 / 3.0;

/// Failures within the window that condemn where peers have none,
const FAILURES: f64 = 5.0;
/// and the networks that they must come from.
const NETWORKS: usize = 3;
/// How many standard deviations above what its peers would have.
const DEVIATIONS: f64 = 5.0;

/// Share of failures that is too much,
const RATIO: f64 = 0.05;
/// of at least so many answers,
const SAMPLES: u64 = 50;
/// with this confidence (standard deviations),
const CONFIDENCE: f64 = 4.0;
/// how many times the share of its usual peer it must be,
const WORSE: f64 = 3.0;
/// or by how much more than that of three quarters of its peers: where the source fails a third of all, nothing can fail
/// three times as much.
const MORE: f64 = 0.15;

/// Answers of the last seconds that show what is usual now.
const RECENT: u64 = 20;

/// What chance explains this rarely is no chance: a hundred edges that are checked each second for a year are checked
/// three thousand million times.
const RARE: f64 = 1e-10;
/// What fails of a sound fleet, blips of the path included, is not less.
const USUAL_LEAST: f64 = 0.002;
const USUAL_MOST: f64 = 0.99;
/// How long checks must fail without one that passes, in milliseconds, before an edge counts as failing: a blip of the
/// path is no fault of the edge;
const FAILING_MS: u64 = 2_000;
/// and how long they must go on failing among others that pass.
const RELAPSING_MS: u64 = 3_000;
/// Turns of checks that must fail to make of a share of failures among few answers more than one viewer's accident.
const TURNS_FAILED: usize = 2;

/// How many times its peers' service time is too slow,
const SLOW: f64 = 10.0;
/// how many times where the edge says that it has nothing to do,
const SLOW_IDLE: f64 = 5.0;
/// the load up to which it says so, and the one past which slowness is known overload, which has its price,
const IDLE: f64 = 0.5;
const BUSY: f64 = 0.9;
/// the service time in milliseconds below which nothing is slow,
const SERVICE_FLOOR_MS: f64 = 5.0;
/// the measurements that it takes,
const SERVED: usize = 5;
/// and how long they must go on being slow, in milliseconds: a machine that stands still for a second is no slow one.
const SLOWING_MS: u64 = 1_000;

/// What a check of an edge showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// The object came, over a connection of its own.
    Passed(Took),
    /// An answer came that is not the object. The path is innocent of that.
    Refused(Took),
    /// Nothing came in time, or not all of it.
    Lost,
}

/// How long an answer took, and the connection that was made for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Took {
    /// Milliseconds from when the connection stood to the last byte, one way there and back included.
    pub ms: f64,
    /// Milliseconds that the connection took to stand, without the search for its name.
    pub stood_ms: f64,
    /// Ways there and back in that: one for TCP, and one for TLS where it is spoken.
    pub trips: u8,
    /// Which object was asked for, counted from 0: one may take longer than another.
    pub object: usize,
}

impl Check {
    /// Whether the object did not come.
    pub fn failed(self) -> bool {
        !matches!(self, Check::Passed(_))
    }
}

/// What a client showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// It got what it asked for; the edge took so many milliseconds, without the way there and back.
    Served {
        /// Milliseconds.
        ms: f64,
    },
    /// It did not.
    Failed,
}

/// An edge of the fleet at one instant.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub id: Arc<str>,
    /// Its capacity, in any unit common to all.
    pub capacity: f64,
    /// How busy it says it is, 0..1 and above.
    pub reported: f64,
    /// It is heard and takes viewers: only such edges are judged and compared with.
    pub live: bool,
}

/// Why an edge is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// Clients of several networks report failures.
    Clients {
        /// Within ten seconds.
        failures: u32,
    },
    /// Too large a share of its answers are failures.
    Ratio {
        /// The share, 0..1.
        share: f64,
    },
    /// It fails this selector's checks.
    Checks {
        /// Within ten seconds.
        failed: u32,
        /// In so many turns: a row of checks of which nothing came is one.
        turns_failed: u32,
        /// Of so many from the first failure to the last.
        turns: u32,
    },
    /// It is much slower than its peers.
    Slow {
        /// Its service time in milliseconds.
        ms: f64,
        /// That of its peers.
        peers_ms: f64,
    },
    /// The same, and it says that it is idle.
    Lying {
        /// Its service time in milliseconds.
        ms: f64,
        /// How busy it says it is.
        reported: f64,
    },
}

impl Why {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Clients { .. } => "clients",
            Why::Ratio { .. } => "ratio",
            Why::Checks { .. } => "checks",
            Why::Slow { .. } => "slow",
            Why::Lying { .. } => "lying",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 5] = ["clients", "ratio", "checks", "slow", "lying"];
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Clients { failures } => write!(f, "clients of several networks report {failures} failures"),
            Why::Ratio { share } => write!(f, "{:.0} % of its answers are failures", share * 100.0),
            Why::Checks { failed, turns_failed, turns } => {
                write!(f, "{failed} checks failed within ten seconds, in {turns_failed} of {turns} turns")
            }
            Why::Slow { ms, peers_ms } => write!(f, "takes {ms:.0} ms where its peers take {peers_ms:.0} ms"),
            Why::Lying { ms, reported } => {
                write!(f, "says it is {:.0} % busy, and takes {ms:.0} ms", reported * 100.0)
            }
        }
    }
}

/// An edge that is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Why.
    pub why: Why,
    /// Since when, in milliseconds of the caller's clock.
    pub since_ms: u64,
    /// Until when at least.
    pub until_ms: u64,
    /// Which time it is, counted from 1.
    pub times: u32,
}

/// What [`Outliers::judge`] changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The edge gets no new viewers from now on.
    Ejected(Arc<str>, Held),
    /// It gets some again.
    Returned(Arc<str>),
}

/// Who is held back.
#[derive(Debug)]
pub struct Outliers {
    edges: BTreeMap<Arc<str>, Watched>,
    hold_ms: u64,
    /// What makes more than half of those that are live suspicious.
    most: Suspicion,
}

impl Default for Outliers {
    fn default() -> Outliers {
        Outliers::new(HOLD_MS)
    }
}

#[derive(Debug, Default)]
struct Watched {
    evidence: Evidence,
    held: Option<Held>,
    times: u32,
    /// When it last came back, or one time was taken off.
    sound_since_ms: u64,
    /// It is heard and takes viewers,
    live: bool,
    /// and has been since then, in milliseconds of the caller's clock.
    live_since_ms: u64,
}

impl Outliers {
    /// Nobody is held back yet; whoever will be is for `hold_ms` the first time.
    pub fn new(hold_ms: u64) -> Outliers {
        Outliers { edges: BTreeMap::new(), hold_ms, most: Suspicion::default() }
    }

    /// A client in `cell` tells of the edge. What is told of edges that [`judge`](Self::judge) does not know is left
    /// out.
    pub fn client(&mut self, edge: &str, cell: Cell, seen: Seen, now_ms: u64) {
        if let Some(watched) = self.edges.get_mut(edge) {
            watched.evidence.client(cell, seen, now_ms);
        }
    }

    /// The edge tells of itself: so many more requests answered since the last time, and of these failed.
    pub fn report(&mut self, edge: &str, requests: u64, failures: u64, now_ms: u64) {
        if let Some(watched) = self.edges.get_mut(edge) {
            watched.evidence.report(requests, failures, now_ms);
        }
    }

    /// A check that began at `began_ms` has ended; true where the edge should be judged soon. Checks of an edge that is not
    /// live tell nothing new, and nothing of what it will be worth; so do those that began before it was.
    pub fn check(&mut self, edge: &str, check: Check, began_ms: u64, now_ms: u64) -> bool {
        let counts = |watched: &&mut Watched| watched.live && began_ms >= watched.live_since_ms;
        let Some(watched) = self.edges.get_mut(edge).filter(counts) else { return false };
        watched.evidence.check(check, began_ms, now_ms);
        if watched.held.is_none() {
            watched.evidence.learn(check);
        }
        check.failed() || watched.evidence.suspicion(now_ms).slow
    }

    /// Whether a check has just failed or was slow, or answers fail, so that the next check should come soon. Not where the
    /// same was so of [most](are_most) edges when they were last judged.
    pub fn suspicious(&self, edge: &str, now_ms: u64) -> bool {
        self.edges.get(edge).is_some_and(|watched| {
            let Suspicion { fails, slow } = watched.evidence.suspicion(now_ms);
            fails && !self.most.fails || slow && !self.most.slow
        })
    }

    /// Milliseconds that a check of the edge takes at best, its connection included, where one has passed.
    pub fn usual_ms(&self, edge: &str) -> Option<f64> {
        self.edges.get(edge)?.evidence.usual_ms()
    }

    /// The edge, if it is held back.
    pub fn held(&self, edge: &str) -> Option<Held> {
        self.edges.get(edge).and_then(|watched| watched.held)
    }

    /// How many are held back.
    pub fn count(&self) -> usize {
        self.edges.values().filter(|watched| watched.held.is_some()).count()
    }

    /// Judges the fleet as it is at `now_ms`. Edges that are not in it are forgotten.
    pub fn judge(&mut self, fleet: &[Member], now_ms: u64) -> Vec<Change> {
        if self.know(fleet, now_ms) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let charges = self.charges(fleet);
        for (member, charge) in fleet.iter().zip(&charges) {
            let Some(watched) = self.edges.get_mut(&member.id) else { continue };
            if watched.ends(charge.is_some() && member.live, self.hold_ms, now_ms) {
                changes.push(Change::Returned(Arc::clone(&member.id)));
            }
        }
        let mut charged: Vec<(&Member, Charge)> =
            fleet.iter().zip(charges).filter_map(|(member, charge)| Some((member, charge?))).collect();
        charged.sort_by(|a, b| b.1.weight.total_cmp(&a.1.weight).then_with(|| a.0.id.cmp(&b.0.id)));
        let live = || fleet.iter().filter(|member| member.live);
        let capacity: f64 = live().map(|member| member.capacity.max(0.0)).sum();
        let held = |edges: &BTreeMap<Arc<str>, Watched>, member: &&Member| {
            edges.get(&member.id).is_some_and(|watched| watched.held.is_some())
        };
        for (member, charge) in charged {
            let (mut count, mut share, mut left) = (0usize, member.capacity.max(0.0), 0usize);
            for other in live().filter(|other| other.id != member.id) {
                if held(&self.edges, &other) {
                    count += 1;
                    share += other.capacity.max(0.0);
                } else {
                    left += 1;
                }
            }
            // One may always go, as long as another is left.
            if left == 0 || count > 0 && share > capacity * HELD_MAX {
                continue;
            }
            if let Some(watched) = self.edges.get_mut(&member.id).filter(|watched| watched.held.is_none()) {
                let held = watched.hold(charge.why, self.hold_ms, now_ms);
                changes.push(Change::Ejected(Arc::clone(&member.id), held));
            }
        }
        changes
    }

    /// Takes in who is there. True where nobody is held back and nothing speaks against anybody, which is most of the
    /// time: then there is nothing to judge.
    fn know(&mut self, fleet: &[Member], now_ms: u64) -> bool {
        let (mut quiet, mut live, mut fails, mut slow) = (true, 0, 0, 0);
        if self.edges.len() > fleet.len() {
            let names: std::collections::BTreeSet<&str> = fleet.iter().map(|member| &*member.id).collect();
            self.edges.retain(|id, _| names.contains(&**id));
        }
        for member in fleet {
            let watched = match self.edges.get_mut(&member.id) {
                Some(watched) => watched,
                None => {
                    let new = Watched { sound_since_ms: now_ms, ..Watched::default() };
                    self.edges.entry(Arc::clone(&member.id)).or_insert(new)
                }
            };
            watched.evidence.age(now_ms);
            // A restart is seen in its silence; the checks that it failed meanwhile are no second reason.
            if watched.live && !member.live {
                watched.evidence.away();
            }
            if member.live && !watched.live {
                watched.live_since_ms = now_ms;
            }
            watched.live = member.live;
            watched.evidence.load(member.reported, now_ms);
            if member.live {
                let suspicion = watched.evidence.suspicion(now_ms);
                live += 1;
                fails += usize::from(suspicion.fails);
                slow += usize::from(suspicion.slow);
            }
            quiet &= watched.times == 0 && (!member.live || watched.evidence.is_sound());
        }
        self.most = Suspicion { fails: are_most(fails, live), slow: are_most(slow, live) };
        quiet
    }

    /// What speaks against each edge, in the order of the fleet.
    fn charges(&self, fleet: &[Member]) -> Vec<Option<Charge>> {
        let Some(looks) = self.looks(fleet) else { return vec![None; fleet.len()] };
        let peers = Peers::of(&looks);
        looks.iter().map(|look| look.as_ref().and_then(|look| peers.charge(look))).collect()
    }

    /// What there is of each live edge; nothing at all where no two can be compared.
    fn looks<'a>(&'a self, fleet: &'a [Member]) -> Option<Vec<Option<Look<'a>>>> {
        let look = |member: &'a Member| {
            let watched = self.edges.get(&member.id).filter(|_| member.live)?;
            let load = member.capacity.max(0.0) * if member.reported > 0.0 { member.reported } else { 0.0 };
            Some(Look { evidence: &watched.evidence, reported: member.reported, load })
        };
        let looks: Vec<_> = fleet.iter().map(look).collect();
        (looks.iter().flatten().count() >= 2).then_some(looks)
    }
}

impl Watched {
    fn hold(&mut self, why: Why, hold_ms: u64, now_ms: u64) -> Held {
        self.times = (self.times + 1).min(TIMES_MAX);
        let until_ms = now_ms + hold_ms * u64::from(self.times);
        let held = Held { why, since_ms: now_ms, until_ms, times: self.times };
        self.held = Some(held);
        held
    }

    /// Ends the hold when its time is over and nothing new speaks against the edge; true when it has ended.
    fn ends(&mut self, charged: bool, hold_ms: u64, now_ms: u64) -> bool {
        match &mut self.held {
            Some(held) if held.until_ms > now_ms => false,
            // It still fails: once more, without letting viewers find out.
            Some(held) if charged => {
                self.times = (self.times + 1).min(TIMES_MAX);
                *held =
                    Held { until_ms: now_ms + hold_ms * u64::from(self.times), times: self.times, ..*held };
                false
            }
            Some(_) => {
                self.held = None;
                self.sound_since_ms = now_ms;
                true
            }
            None => {
                if self.times > 0 && now_ms.saturating_sub(self.sound_since_ms) >= FORGIVEN_MS {
                    self.times -= 1;
                    self.sound_since_ms = now_ms;
                }
                false
            }
        }
    }
}
