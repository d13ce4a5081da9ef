//! Whether a session stays on its edge when its player asks again.
//!
//! A move costs a new connection and a colder cache, so it is no way to gain a few milliseconds but a safety valve:
//! away from what is lost or wants to go, away from what is hot (some sessions at a time, or all would rush to the
//! next edge), and towards what is better by far and has been for a while.

use super::{
    Question, Ranked, Ranking, Snapshot,
    choice::{decide, site_cost_ms},
    rendezvous,
    standing::{Mode, Standing, Worth},
};

/// Past this utilisation an edge is hot.
const HOT: f64 = 0.92;

/// Below it an edge that was hot is hot no longer.
const COOL: f64 = 0.80;

/// What sessions that leave a hot edge bring it down to.
const RELIEVED: f64 = 0.85;

/// Least gain of a move in milliseconds, and as a share of what staying costs.
const GAIN_MS: f64 = 15.0;
const GAIN_SHARE: f64 = 0.2;

/// How long a session stays where it was sent, in milliseconds, unless the edge is lost or leaving.
const DWELL_MS: u64 = 60_000;

/// For so long the dice of one session fall the same way, in milliseconds.
const DICE_MS: u64 = 5_000;

/// What is known of a session that asks again. The caller carries it from one answer to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stay<'a> {
    /// The edge it plays from, by id.
    pub edge: &'a str,
    /// When it was sent there, on the clock of [`Question::now_ms`].
    pub since_ms: u64,
    /// [`Kept::gains`] of the last time.
    pub gained: bool,
    /// [`Kept::hot`] of the last time.
    pub hot: bool,
    /// Edges that the session had trouble with, by id: left where there is a sound one to go to, and not gone to
    /// while there is another of the same standing.
    pub blamed: &'a [String],
}

impl Stay<'_> {
    fn blames(&self, edge: &str) -> bool {
        self.blamed.iter().any(|id| id == edge)
    }
}

/// Why a session moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Its edge is not known, dead, or seen to fail, by all or by the session itself.
    Lost,
    /// Its edge is draining.
    Draining,
    /// Its edge is hot.
    Hot,
    /// Another edge is better by far, and was the last time.
    Gain,
}

impl Leave {
    /// As it stands in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Leave::Lost => "lost",
            Leave::Draining => "draining",
            Leave::Hot => "hot",
            Leave::Gain => "gain",
        }
    }
}

/// What is to be done with a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Why it moves to the first choice; `None` = it stays.
    pub leave: Option<Leave>,
    /// Its edge is hot: it should ask again soon.
    pub hot: bool,
    /// Another edge is better by far.
    pub gains: bool,
}

/// Decides whether the session that asks stays where it is. Same data in, same answer out; no allocation.
pub fn keep(snapshot: &Snapshot, question: &Question<'_>, stay: &Stay<'_>) -> Kept {
    keep_ranked(&decide(snapshot, question), question, stay)
}

/// [`keep`] where the `question` has been decided: `ranking` is the answer to it.
pub fn keep_ranked(ranking: &Ranking<'_>, question: &Question<'_>, stay: &Stay<'_>) -> Kept {
    let snapshot = ranking.snapshot;
    let moved = |leave| Kept { leave: Some(leave), ..Kept::default() };
    let worth = |ranked: &Ranked<'_>| ranked.edge.worth(snapshot.settings(), question.now_ms);
    let Some(first) = ranking.edges.first() else { return Kept::default() };
    let as_good =
        |ranked: &&Ranked<'_>| !stay.blames(&ranked.edge.called.id) && worth(ranked) == worth(first);
    let best = ranking.edges.iter().find(as_good).unwrap_or(first);
    // A sound edge that failed this session once is still better than one that fails all, or wants to go.
    let sound = !stay.blames(&best.edge.called.id) && worth(best) == Worth::Sound;
    if sound && stay.blames(stay.edge) {
        return moved(Leave::Lost);
    }
    if *best.edge.called.id == *stay.edge {
        return Kept { hot: is_hot(best.utilisation, stay), ..Kept::default() };
    }
    let Some(place) = snapshot.place_of(stay.edge) else { return moved(Leave::Lost) };
    let node = &snapshot.nodes[place];
    let mode = Mode::of(snapshot, question.now_ms, &[]);
    match Standing::of(node, snapshot.settings(), question.now_ms) {
        Standing::Gone => return moved(Leave::Lost),
        Standing::Silent if !mode.distrusted => return moved(Leave::Lost),
        Standing::Ejected if !mode.panic => return moved(Leave::Lost),
        Standing::Draining => return moved(Leave::Draining),
        _ => {}
    }
    let utilisation = node.utilisation();
    let hot = is_hot(utilisation, stay);
    let here_ms = site_cost_ms(snapshot, question, node.site as usize).unwrap_or(f64::INFINITY);
    let gain_ms = here_ms - best.cost_ms;
    let gains = gain_ms > GAIN_MS && gain_ms > GAIN_SHARE * here_ms;
    let settled = question.now_ms.saturating_sub(stay.since_ms) >= DWELL_MS;
    let leave = match () {
        () if !settled => None,
        () if hot && relieves(best, utilisation, gain_ms) && dice(question) < chance(utilisation) => {
            Some(Leave::Hot)
        }
        () if gains && stay.gained => Some(Leave::Gain),
        () => None,
    };
    Kept { leave, hot, gains }
}

fn is_hot(utilisation: f64, stay: &Stay<'_>) -> bool {
    utilisation > if stay.hot { COOL } else { HOT }
}

/// A move to `best` makes things better: it is not hot itself, and costs no more.
fn relieves(best: &Ranked<'_>, utilisation: f64, gain_ms: f64) -> bool {
    best.utilisation < HOT && best.utilisation < utilisation && gain_ms >= 0.0
}

/// The share of its sessions that a hot edge has to lose.
fn chance(utilisation: f64) -> f64 {
    ((utilisation - RELIEVED) / utilisation).max(0.0)
}

/// The dice of this session at this time, 0..1.
fn dice(question: &Question<'_>) -> f64 {
    let key = question.session.unwrap_or(question.content_key);
    rendezvous::bits(key, question.now_ms / DICE_MS) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::tests::{Fleet, NOW, ask, edge, fleet};
    use super::super::{SiteSettings, decide};
    use super::*;

    const LONG_AGO: u64 = NOW - 600_000;

    fn asked(fleet: &Fleet, stay: &Stay<'_>) -> Kept {
        keep(&fleet.now(), &Question { session: Some("s1"), ..ask("/t/") }, stay)
    }

    fn on(edge: &str) -> Stay<'_> {
        Stay { edge, since_ms: LONG_AGO, ..Stay::default() }
    }

    fn priced(mut fleet: Fleet, site: &str, cost_ms: f64) -> Fleet {
        fleet.settings.sites.insert(site.into(), SiteSettings { cost_ms, position: None });
        fleet
    }

    #[test]
    fn a_session_stays_where_it_is_for_a_small_gain() {
        let two = priced(fleet(vec![edge("a1", "a", 0.3), edge("b1", "b", 0.3)]), "a", 12.0);
        assert_eq!(decide(&two.now(), &ask("/t/")).edges[0].edge.called.id.as_ref(), "b1");
        assert_eq!(asked(&two, &on("a1")), Kept::default());
    }

    #[test]
    fn it_leaves_what_is_lost_failing_or_draining_at_once() {
        let mut two = fleet(vec![edge("a1", "a", 0.3), edge("b1", "b", 0.3)]);
        let fresh = Stay { since_ms: NOW, ..on("a1") };
        let leave = |fleet: &Fleet, stay: &Stay<'_>| asked(fleet, stay).leave;
        assert_eq!(leave(&two, &on("nobody")), Some(Leave::Lost));
        two.edges[0].draining = true;
        assert_eq!(leave(&two, &fresh), Some(Leave::Draining));
        two.edges[0].draining = false;
        two.edges[0].ejected = true;
        assert_eq!(leave(&two, &fresh), Some(Leave::Lost));
        two.edges[0].ejected = false;
        two.edges[0].heard_ms = 0;
        assert_eq!(leave(&two, &fresh), Some(Leave::Lost));
        two.edges[1].heard_ms = 0;
        assert_eq!(leave(&two, &fresh), None, "there is nowhere to go");
    }

    #[test]
    fn it_leaves_what_failed_it_for_what_is_sound_and_for_nothing_worse() {
        let mut three = fleet(vec![edge("a1", "a", 0.3), edge("b1", "b", 0.3), edge("c1", "c", 0.3)]);
        let told = |edges: &[&str]| edges.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let leave = |fleet: &Fleet, blamed: &[String]| {
            asked(fleet, &Stay { since_ms: NOW, blamed, ..on("a1") }).leave
        };
        assert_eq!(leave(&three, &told(&["a1"])), Some(Leave::Lost), "at once");
        assert_eq!(leave(&three, &told(&["b1"])), None);
        assert_eq!(leave(&three, &told(&["a1", "b1", "c1"])), None, "it was not the edges");
        three.edges[1].ejected = true;
        three.edges[2].draining = true;
        assert_eq!(leave(&three, &told(&["a1"])), None, "the others fail all, or want to go");
        three.edges[0].ejected = true;
        three.edges[1].ejected = false;
        assert_eq!(leave(&three, &told(&["a1", "b1"])), Some(Leave::Lost), "seen to fail by all");
    }

    #[test]
    fn it_is_not_drawn_to_what_failed_it() {
        let two = priced(fleet(vec![edge("a1", "a", 0.3), edge("b1", "b", 0.3)]), "a", 80.0);
        let blamed = ["b1".to_owned()];
        let stay = Stay { gained: true, blamed: &blamed, ..on("a1") };
        assert_eq!(asked(&two, &stay), Kept::default());
    }

    #[test]
    fn what_failed_it_comes_behind_all_that_are_no_better_than_it() {
        let mut three = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0), edge("c1", "c", 0.0)]);
        let suspect_ms = NOW - three.settings.suspect_after_ms - 1;
        three.edges.iter_mut().for_each(|edge| edge.heard_ms = suspect_ms);
        // Silent for a moment or seen to fail: neither is better than the other, and an idle fleet has both in play.
        (three.edges[1].heard_ms, three.edges[1].ejected) = (NOW, true);
        let blamed = ["a1".to_owned(), "c1".to_owned()];
        let gains = |cost_ms| {
            let three = priced(fleet(three.edges.clone()), "b", 70.0);
            asked(&priced(three, "c", cost_ms), &Stay { blamed: &blamed, ..on("c1") }).gains
        };
        assert!(!gains(80.0) && gains(200.0), "b1 is where it would go");
    }

    #[test]
    fn it_follows_a_large_gain_that_lasts() {
        let two = priced(fleet(vec![edge("a1", "a", 0.3), edge("b1", "b", 0.3)]), "a", 80.0);
        let once = asked(&two, &on("a1"));
        assert_eq!(once, Kept { leave: None, hot: false, gains: true });
        let twice = Stay { gained: true, ..on("a1") };
        assert_eq!(asked(&two, &twice).leave, Some(Leave::Gain));
        let new = Stay { since_ms: NOW - 59_999, ..twice };
        assert_eq!(asked(&two, &new).leave, None, "not so soon");
        assert_eq!(asked(&two, &Stay { gained: true, ..on("b1") }), Kept::default());
    }

    #[test]
    fn a_hot_edge_loses_the_share_of_its_sessions_that_is_too_much() {
        let two = fleet(vec![edge("a1", "a", 0.95), edge("b1", "b", 0.3)]);
        let snapshot = two.now();
        let leaves = |n: usize| {
            let session = format!("s{n}");
            let question = Question { session: Some(&session), ..ask("/t/") };
            keep(&snapshot, &question, &on("a1")).leave == Some(Leave::Hot)
        };
        let left = (0..4_000).filter(|n| leaves(*n)).count() as f64 / 4_000.0;
        assert!((left - 0.10 / 0.95).abs() < 0.02, "{left}");
    }

    #[test]
    fn hot_is_left_later_than_it_is_entered() {
        let hot = |load: f64, before: bool| {
            asked(&fleet(vec![edge("a1", "a", load)]), &Stay { hot: before, ..on("a1") }).hot
        };
        assert!(!hot(0.90, false) && hot(0.93, false) && hot(0.85, true) && !hot(0.79, true));
    }
}
