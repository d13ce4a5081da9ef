//! What would happen if nodes were drained, lost or added: a dry run on the snapshot as it is.
//!
//! The viewers that would have to go elsewhere are taken in small slices, each from a cell that the lost edges were
//! measured from, and sent where [`super::decide`] would send them, zones and all, each slice seeing the load of those
//! before.
//! Where nodes are added, all viewers are placed anew: that is where things drift as sessions come and go.

use std::sync::Arc;

use super::{
    Assigned, Candidate, Parts, Question, Ranking, Snapshot, Source,
    cell::Key,
    choice::{Spread, choose},
    distance::{Row, Values},
};

/// Slices that the load to be placed is cut into.
const SLICES: usize = 1_000;

/// One thing that is done to the fleet.
#[derive(Clone, Debug)]
pub enum Change {
    /// The edge of that id is drained.
    Drain(String),
    /// The edge of that id is lost.
    Lose(String),
    /// An edge joins.
    Add(Box<Candidate>),
}

/// What is to be expected of one edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// The edge, by id.
    pub id: String,
    /// Its site.
    pub site: String,
    /// Its utilisation now; 0 for one that joins.
    pub before: f64,
    /// Its utilisation afterwards; 0 for one that leaves, unless all others leave too.
    pub after: f64,
}

/// What is to be expected of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Every edge, ordered by site and id; joining ones too.
    pub edges: Vec<Predicted>,
    /// The share of all load that moves, 0..1.
    pub moved: f64,
    /// The share of all load that finds no edge, 0..1.
    pub homeless: f64,
    /// Mean believed round trip in milliseconds of what moves, before.
    pub rtt_before_ms: f64,
    /// And afterwards.
    pub rtt_after_ms: f64,
    /// What the distances of those who move rest on: false where nothing was measured, and sites count as equally
    /// far.
    pub measured: bool,
}

/// One slice of the load that is placed anew.
struct Slice {
    bps: f64,
    /// The snapshot's site it is served from now.
    site: usize,
    /// Its cell's row in the distances.
    row: Option<Key>,
    key: String,
}

/// Predicts what `changes` would do at `now_ms`. An id that is not there changes nothing.
pub fn forecast(snapshot: &Snapshot, changes: &[Change], now_ms: u64) -> Forecast {
    let drained = |id: &str| changes.iter().any(|change| matches!(change, Change::Drain(gone) if gone == id));
    let lost = |id: &str| changes.iter().any(|change| matches!(change, Change::Lose(gone) if gone == id));
    let leaves = |id: &str| drained(id) || lost(id);
    let adds = changes.iter().any(|change| matches!(change, Change::Add(_)));
    let slices = slices(snapshot, |id| adds || leaves(id));
    // The unit in which what is sent is counted from here on: a slice of mean size.
    let slice_bps = slices.iter().map(|slice| slice.bps).sum::<f64>() / slices.len().max(1) as f64;
    let mut edges: Vec<Candidate> = Vec::with_capacity(snapshot.edges().len());
    for (place, edge) in snapshot.edges().iter().enumerate() {
        let utilisation = snapshot.nodes[place].utilisation() / snapshot.nodes[place].scale;
        let moves = adds || leaves(&edge.called.id);
        edges.push(Candidate {
            reported: if moves { 0.0 } else { utilisation },
            draining: edge.draining || drained(&edge.called.id),
            gone: edge.gone || lost(&edge.called.id),
            session_load: slice_bps / edge.capacity_bps.max(1) as f64,
            gain: 1.0,
            assigned: Arc::new(Assigned::default()),
            ..edge.clone()
        });
    }
    edges.extend(changes.iter().filter_map(|change| match change {
        Change::Add(edge) => Some(Candidate {
            reported: 0.0,
            heard_ms: now_ms,
            session_load: slice_bps / edge.capacity_bps.max(1) as f64,
            gain: 1.0,
            assigned: Arc::new(Assigned::default()),
            ..(**edge).clone()
        }),
        _ => None,
    }));
    let parts = Parts {
        edges,
        distances: Arc::clone(&snapshot.distances),
        zones: snapshot.zones.table(),
        settings: Arc::clone(&snapshot.settings),
    };
    let after = Snapshot::build(parts, None, now_ms);
    let total: f64 = (snapshot.nodes.iter()).map(|node| node.utilisation() * node.weight).sum();
    let share = |bps: f64| if total > 0.0 { bps / total } else { 0.0 };
    let (mut placed, mut homeless, mut rtt_before, mut rtt_after) = (0.0, 0.0, 0.0, 0.0);
    for slice in &slices {
        let values = slice.row.map_or(Values::Equal, |key| snapshot.distances.values(key));
        let row = Row { source: Source::Cell, values };
        let question = Question { content_key: &slice.key, k: 1, now_ms, ..Question::default() };
        let zone = slice.row.and_then(Key::address).and_then(|client| after.zones.mask(client));
        let mut ranking = Ranking::new(&after, None);
        choose(&question, &row, zone, Spread::Sites, &mut ranking);
        let Some(first) = ranking.edges.first() else {
            homeless += slice.bps;
            continue;
        };
        ranking.assign(slice.bps / slice_bps);
        placed += slice.bps;
        rtt_before += slice.bps * f64::from(values.ms(&snapshot.sites[slice.site].column));
        rtt_after += slice.bps * first.rtt_ms;
    }
    let mean = |sum: f64| if placed > 0.0 { sum / placed } else { 0.0 };
    let predicted = |(place, edge): (usize, &Candidate)| Predicted {
        id: edge.called.id.to_string(),
        site: edge.called.site.to_string(),
        before: snapshot.utilisation(&edge.called.id).unwrap_or(0.0),
        after: if edge.gone { 0.0 } else { after.nodes[place].utilisation() },
    };
    Forecast {
        edges: after.edges().iter().enumerate().map(predicted).collect(),
        moved: share(placed + homeless),
        homeless: share(homeless),
        rtt_before_ms: mean(rtt_before),
        rtt_after_ms: mean(rtt_after),
        measured: slices.iter().any(|slice| slice.row.is_some()),
    }
}

/// The load of the edges that `moves` names, cut into slices and laid on the cells that were measured from their
/// sites.
fn slices(snapshot: &Snapshot, moves: impl Fn(&str) -> bool) -> Vec<Slice> {
    let moving = |place: &usize| moves(&snapshot.edges()[*place].called.id);
    let places: Vec<usize> = (0..snapshot.edges().len()).filter(moving).collect();
    let used = |place: usize| snapshot.nodes[place].utilisation() * snapshot.nodes[place].weight;
    let total: f64 = places.iter().map(|place| used(*place)).sum();
    let crowd = &snapshot.distances.crowd;
    let mut slices = Vec::with_capacity(SLICES + places.len());
    for place in places {
        let site = snapshot.nodes[place].site as usize;
        let count = ((used(place) / total * SLICES as f64).ceil() as usize).min(SLICES);
        let of_site = |one: &&super::distance::Crowd| Some(one.site) == snapshot.sites[site].column.column;
        let weight: f64 = crowd.iter().filter(of_site).map(|one| f64::from(one.weight)).sum();
        for n in 0..count {
            // Evenly spread over the cells by their weight.
            let mut left = (n as f64 + 0.5) / count as f64 * weight;
            let row = crowd.iter().filter(of_site).find(|one| {
                left -= f64::from(one.weight);
                left <= 0.0
            });
            slices.push(Slice {
                bps: used(place) / count as f64,
                site,
                row: row.map(|one| one.key),
                key: format!("{place}/{n}"),
            });
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::tests::{Fleet, NOW, edge, fleet};
    use super::super::{Cell, Learner, Whereabouts, Zone, Zones};
    use super::*;

    fn of<'f>(forecast: &'f Forecast, id: &str) -> &'f Predicted {
        forecast.edges.iter().find(|edge| edge.id == id).unwrap()
    }

    fn three() -> Fleet {
        let mut three = fleet(vec![edge("a1", "a", 0.4), edge("b1", "b", 0.4), edge("c1", "c", 0.4)]);
        let mut learner = Learner::default();
        for (cell, times) in [("10.0.1.0", [10.0, 20.0, 200.0]), ("10.0.2.0", [200.0, 20.0, 10.0])] {
            for (site, ms) in ["a", "b", "c"].into_iter().zip(times) {
                let seen_here = ms == 10.0 || site == "b";
                let cell = Cell::of(cell.parse().unwrap());
                learner.learn(cell, &Whereabouts::default(), site, if seen_here { 120 } else { 1 }, ms, NOW);
            }
        }
        three.learner = Some(Arc::new(learner.whole_table(NOW)));
        three
    }

    #[test]
    fn the_viewers_of_a_drained_edge_go_to_the_next_near_one() {
        let snapshot = three().now();
        let drained = forecast(&snapshot, &[Change::Drain("a1".into())], NOW);
        assert_eq!((of(&drained, "a1").before, of(&drained, "a1").after), (0.4, 0.0));
        assert!(of(&drained, "b1").after > 0.65, "{drained:?}");
        let sum: f64 = drained.edges.iter().map(|edge| edge.after).sum();
        assert!((sum - 1.2).abs() < 0.01, "nothing is lost: {sum}");
        assert!((drained.moved - 1.0 / 3.0).abs() < 0.01 && drained.homeless == 0.0 && drained.measured);
        assert!(drained.rtt_after_ms > drained.rtt_before_ms);
        assert_eq!(snapshot.utilisation("b1"), Some(0.4), "the live snapshot is not touched");
    }

    #[test]
    fn a_zone_binds_the_viewers_of_a_drained_edge() {
        let mut fleet = three();
        let after = |fleet: &Fleet| forecast(&fleet.now(), &[Change::Drain("a1".into())], NOW);
        let zone = |zone: Zone| Zones::new([("10.0.1.0/24".parse().unwrap(), zone)]);
        fleet.zones = zone(Zone { prefer: vec!["c".into()], ..Zone::default() });
        assert!(of(&after(&fleet), "c1").after > 0.65, "far, and preferred: {:?}", after(&fleet));
        fleet.zones = zone(Zone { deny: vec!["b".into(), "c".into()], ..Zone::default() });
        let alone = after(&fleet);
        assert!(alone.homeless > 0.25 && of(&alone, "b1").after < 0.5, "{alone:?}");
    }

    #[test]
    fn what_finds_no_edge_is_homeless() {
        let snapshot = three().now();
        let lose = |id: &str| Change::Lose(id.into());
        let lost = forecast(&snapshot, &[lose("a1"), lose("b1"), lose("c1")], NOW);
        assert!((lost.homeless - 1.0).abs() < 1e-9 && (lost.moved - 1.0).abs() < 1e-9);
        // Where all are drained, they serve all the same.
        let drain = |id: &str| Change::Drain(id.into());
        let drained = forecast(&snapshot, &[drain("a1"), drain("b1"), drain("c1")], NOW);
        assert_eq!(drained.homeless, 0.0, "{drained:?}");
        assert!((drained.edges.iter().map(|edge| edge.after).sum::<f64>() - 1.2).abs() < 0.01, "{drained:?}");
        let one_lost = forecast(&snapshot, &[drain("a1"), drain("b1"), lose("c1")], NOW);
        assert_eq!((one_lost.homeless, of(&one_lost, "c1").after), (0.0, 0.0), "{one_lost:?}");
    }

    #[test]
    fn an_edge_that_joins_takes_its_share_in_the_end() {
        let snapshot = three().now();
        let joined = forecast(&snapshot, &[Change::Add(Box::new(edge("a2", "a", 0.0)))], NOW);
        assert!(of(&joined, "a2").after > 0.1, "{joined:?}");
        assert!(of(&joined, "a1").after < 0.4);
        assert_eq!(forecast(&snapshot, &[Change::Drain("nobody".into())], NOW).moved, 0.0);
    }
}
