//! The shortest that checks of one edge have taken, and what one takes beyond it.

use super::Took;

/// Objects that are told apart; of more, some share what is known.
const OBJECTS: usize = 64;
/// A connection that takes so many milliseconds more is one whose first packet was dropped and sent again a second later
/// (RFC 6298 §2): by the way, or by an edge whose queue of connections is full. It tells nothing of the distance.
const RESENT_MS: f64 = 950.0;
/// By which share of the way the best times are forgotten with each check: routes change.
const FORGOTTEN: f64 = 0.000_2;
/// The share of the way by which checks over it differ for the better part though the edge is the same; and that of what
/// is longer than half around the earth by cable takes, in milliseconds: such a way goes by satellite, or queues.
const WAY_VARIES: f64 = 0.05;
const LONG_VARIES: f64 = 0.1;
const LONG_MS: f64 = 400.0;

/// The shortest that a connection and the answers over it have taken, each by itself, or one check in which the name or a
/// packet took its time would spoil both. One edge is asked for several objects in turn: one may be the source's, or
/// large, and the next in its memory.
#[derive(Debug)]
pub(super) struct Best {
    /// Ways there and back of a connection.
    trips: u8,
    stood_ms: f64,
    /// Milliseconds that an answer takes, by object; infinite of those that have never come.
    objects: Vec<f64>,
}

impl Best {
    /// Of an edge of which a check has passed.
    pub(super) fn new(took: Took) -> Best {
        Best { trips: took.trips, stood_ms: took.stood_ms, objects: Vec::new() }
    }

    /// Whether it says of such a check what would be best: an edge that begins to speak TLS begins anew.
    pub(super) fn is_of(&self, took: Took) -> bool {
        self.trips == took.trips
    }

    /// Whether the object has ever come.
    pub(super) fn knows(&self, object: usize) -> bool {
        self.objects.get(object % OBJECTS).is_some_and(|ms| ms.is_finite())
    }

    /// Milliseconds that a check takes at best, its connection included, whichever object is asked for.
    pub(super) fn usual_ms(&self) -> f64 {
        let known = self.objects.iter().copied().filter(|ms| ms.is_finite());
        self.stood_ms + known.fold(0.0, f64::max)
    }

    /// What the edge took beyond its best: what the answer took beyond the object's shortest, less what the way has grown
    /// by, as the same connection shows it by how long it took to stand. What remains of the shortest is the source's
    /// distance, or a large object. The best is learnt from what `came`.
    pub(super) fn beyond_ms(&mut self, took: Took, came: bool) -> f64 {
        let trips = f64::from(took.trips.max(1));
        let object = took.object % OBJECTS;
        let forgotten = FORGOTTEN * self.stood_ms;
        let shortest = self.objects.get(object).copied().unwrap_or(f64::INFINITY);
        let ms = took.ms.min(shortest + forgotten / trips);
        let stood_ms = took.stood_ms.min(self.stood_ms + forgotten);
        if came {
            if self.objects.len() <= object {
                self.objects.resize(object + 1, f64::INFINITY);
            }
            // All are reached over the same way: what is forgotten of it is of all.
            self.objects.iter_mut().for_each(|ms| *ms += forgotten / trips);
            self.objects[object] = ms;
            self.stood_ms = stood_ms;
        }
        let (slower_ms, mut grown_ms) = (took.ms - ms, took.stood_ms - stood_ms);
        let mut again_ms = 0.0;
        if grown_ms >= RESENT_MS {
            (again_ms, grown_ms) = (grown_ms, 0.0);
        }
        // Where the way has grown, all its trips have. An edge that is slow for TLS, too, is taken to be as slow for that
        // as for the answer: half of the one would else pass for the way of the other.
        let beyond_ms = again_ms + slower_ms.min(trips * slower_ms - grown_ms);
        beyond_ms - varies_ms(stood_ms / trips)
    }
}

/// By how many milliseconds checks over so long a way differ.
fn varies_ms(way_ms: f64) -> f64 {
    WAY_VARIES * way_ms.min(LONG_MS) + LONG_VARIES * (way_ms - LONG_MS).max(0.0)
}
