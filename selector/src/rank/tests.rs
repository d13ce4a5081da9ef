//! The decision as a table, and what must hold for any fleet.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use kromka_control::NodeState;

use super::*;

const NOW: u64 = 1_000_000;

fn edge(id: &str, site: &str, load: f64) -> Candidate {
    Candidate {
        id: Arc::from(id),
        site: Arc::from(site),
        url: Arc::from(format!("http://{id}")),
        tls_url: None,
        reach: Default::default(),
        heard_ms: NOW - 100,
        draining: false,
        gone: false,
        reported: load,
        capacity_bps: 1_000_000_000,
        session_bps: 4_000_000,
        assigned: Arc::default(),
    }
}

fn fleet(edges: Vec<Candidate>) -> Snapshot {
    Snapshot { edges, ..Snapshot::default() }
}

fn ask(key: &str) -> Question<'_> {
    Question { client: None, content_key: key, exclude: &[], k: 3, now_ms: NOW }
}

fn ids(ranking: &Ranking<'_>) -> Vec<String> {
    ranking.edges.iter().map(|ranked| ranked.edge.id.to_string()).collect()
}

fn first(snapshot: &Snapshot, key: &str) -> String {
    ids(&rank(snapshot, &ask(key))).first().cloned().unwrap_or_default()
}

#[test]
fn an_empty_fleet_has_no_answer() {
    let nobody = Snapshot::default();
    let ranking = rank(&nobody, &ask("/a/"));
    assert_eq!((ranking.edges.len(), ranking.verdict), (0, Verdict::NoEdge));
}

#[test]
fn alternates_come_from_other_sites_first() {
    let snapshot =
        fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0), edge("b1", "b", 0.4), edge("c1", "c", 0.5)]);
    let ranking = rank(&snapshot, &ask("/t/"));
    let sites: Vec<_> = ranking.edges.iter().map(|ranked| ranked.edge.site.to_string()).collect();
    assert_eq!(sites, ["a", "b", "c"]);
    assert_eq!(ranking.edges[0].place, Place::Primary);
    assert_eq!(ranking.edges[1].place, Place::Backup);
    assert!(ranking.edges[1].reasons.contains(&Reason::OtherSite));
}

#[test]
fn measured_distance_beats_the_prior_and_load_beats_distance() {
    let mut snapshot = fleet(vec![edge("near", "a", 0.0), edge("far", "b", 0.0)]);
    let client: std::net::IpAddr = "203.0.113.9".parse().unwrap();
    let mut distances = Distances::default();
    distances.learn(Cell::of(client), &Arc::from("a"), 500, 10.0);
    distances.learn(Cell::of(client), &Arc::from("b"), 500, 40.0);
    snapshot.distances = Arc::new(distances);
    let question = Question { client: Some(client), ..ask("/t/") };
    for n in 0..50 {
        let key = format!("/t/{n}/");
        let ranking = rank(&snapshot, &Question { content_key: &key, ..question.clone() });
        assert_eq!(ids(&ranking), ["near", "far"], "{key}");
        assert!(ranking.measured);
    }
    snapshot.edges[0].reported = 0.9;
    assert_eq!(ids(&rank(&snapshot, &question)), ["far", "near"]);
}

#[test]
fn a_title_stays_on_its_node_until_that_is_loaded_past_the_bound() {
    let mut snapshot = fleet(vec![edge("a1", "a", 0.2), edge("a2", "a", 0.2), edge("a3", "a", 0.2)]);
    let home = first(&snapshot, "/t/1/");
    let place = snapshot.edges.iter().position(|edge| *edge.id == *home).unwrap();
    snapshot.edges[place].reported = 0.3;
    assert_eq!(first(&snapshot, "/t/1/"), home, "within the bound");
    snapshot.edges[place].reported = 0.9;
    let ranking = rank(&snapshot, &ask("/t/1/"));
    assert_ne!(ids(&ranking)[0], home, "past the bound");
    assert_eq!((ranking.verdict, ranking.edges[0].place), (Verdict::Spill, Place::Spill));
    assert_eq!(ids(&ranking)[2], home, "and last among the alternates");
}

#[test]
fn what_we_sent_counts_before_it_is_reported() {
    let snapshot = fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0)]);
    let home = first(&snapshot, "/hot/");
    let assigned = &snapshot.edges.iter().find(|edge| *edge.id == *home).unwrap().assigned;
    let mut sent = 0;
    while first(&snapshot, "/hot/") == home {
        assigned.add();
        sent += 1;
        assert!(sent < 1_000, "a crowd never spills");
    }
    assigned.reported();
    assert_ne!(first(&snapshot, "/hot/"), home, "one report does not yet show those on their way");
    assigned.reported();
    assert_eq!(first(&snapshot, "/hot/"), home, "the second does");
}

#[test]
fn silence_moves_an_edge_from_sound_to_suspect_to_dead() {
    let settings = Settings::default();
    let edge = edge("a1", "a", 0.0);
    let standing = |age: u64| edge.standing(&settings, edge.heard_ms + age);
    assert_eq!(standing(1_250), NodeState::Up);
    assert_eq!(standing(1_251), NodeState::Suspect);
    assert_eq!(standing(3_000), NodeState::Suspect);
    assert_eq!(standing(3_001), NodeState::Down);
}

#[test]
fn the_worse_are_used_only_when_the_better_are_gone() {
    let mut snapshot = fleet(vec![edge("a1", "a", 0.99), edge("a2", "a", 0.0)]);
    snapshot.edges[1].heard_ms = NOW - 2_000;
    assert_eq!(ids(&rank(&snapshot, &ask("/t/"))), ["a1"], "a suspect is no alternate while one is sound");
    snapshot.edges[0].draining = true;
    let ranking = rank(&snapshot, &ask("/t/"));
    assert_eq!((ids(&ranking), ranking.verdict), (vec!["a2".to_owned()], Verdict::Suspect));
    snapshot.edges[1].gone = true;
    let ranking = rank(&snapshot, &ask("/t/"));
    assert_eq!((ids(&ranking), ranking.verdict), (vec!["a1".to_owned()], Verdict::Draining));
    snapshot.edges[0].heard_ms = 0;
    assert_eq!(rank(&snapshot, &ask("/t/")).verdict, Verdict::NoEdge);
}

#[test]
fn one_edge_of_two_that_dies_is_dead() {
    let mut snapshot = fleet(vec![edge("a1", "a", 0.0), edge("a2", "b", 0.0)]);
    snapshot.edges[0].heard_ms = 0;
    assert_eq!(ids(&rank(&snapshot, &ask("/t/"))), ["a2"]);
    snapshot.edges[1].heard_ms = 0;
    assert!(rank(&snapshot, &ask("/t/")).edges.is_empty(), "two silent edges are no fleet to believe in");
}

#[test]
fn when_most_of_the_fleet_looks_dead_the_roster_is_distrusted() {
    let mut snapshot =
        fleet(vec![edge("a1", "a", 0.1), edge("b1", "b", 0.1), edge("c1", "c", 0.1), edge("d1", "d", 0.1)]);
    for silent in 0..2 {
        snapshot.edges[silent].heard_ms = 0;
    }
    assert!(!snapshot.distrusted(NOW), "half is not more than half");
    assert_eq!(rank(&snapshot, &ask("/t/")).edges.len(), 2);
    snapshot.edges[2].heard_ms = 0;
    let ranking = rank(&snapshot, &ask("/t/"));
    assert_eq!(
        (ids(&ranking)[0].as_str(), ranking.verdict),
        ("d1", Verdict::Best),
        "who answers comes first"
    );
    assert_eq!(ranking.edges.len(), 3, "but the silent are alternates");
    snapshot.edges[3].heard_ms = 0;
    let ranking = rank(&snapshot, &ask("/t/"));
    assert_eq!((ranking.edges.len(), ranking.verdict), (3, Verdict::Distrust));
    for edge in &mut snapshot.edges {
        edge.gone = true;
    }
    assert!(rank(&snapshot, &ask("/t/")).edges.is_empty(), "a goodbye is believed");
}

#[test]
fn survivors_that_are_full_hand_over_to_the_silent() {
    let mut snapshot = fleet(vec![edge("a1", "a", 0.1), edge("b1", "b", 0.1), edge("c1", "c", 0.97)]);
    snapshot.edges[0].heard_ms = 0;
    snapshot.edges[1].heard_ms = 0;
    let ranking = rank(&snapshot, &ask("/t/"));
    assert_eq!(ranking.verdict, Verdict::Distrust);
    assert_ne!(ids(&ranking)[0], "c1");
    assert_eq!(ids(&ranking)[1], "c1", "who answers is the first alternate");
}

#[test]
fn excluded_edges_are_not_answered_with() {
    let snapshot = fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0)]);
    let exclude = ["a1".to_owned()];
    assert_eq!(ids(&rank(&snapshot, &Question { exclude: &exclude, ..ask("/t/") })), ["a2"]);
}

#[test]
fn the_operators_cost_of_a_site_counts_like_distance() {
    let mut snapshot = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0)]);
    let site_cost_ms = [("a".to_owned(), 30.0)].into();
    snapshot.settings = Arc::new(Settings { site_cost_ms, ..Settings::default() });
    for n in 0..20 {
        assert_eq!(first(&snapshot, &format!("/t/{n}/")), "b1");
    }
}

/// A small generator (SplitMix64), so that every run tests the same thousand fleets.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn fleet(&mut self) -> Snapshot {
        let count = 1 + self.roll(12);
        let node = |dice: &mut Dice, n: u64| {
            let site = format!("s{}", dice.roll(4));
            let mut edge = edge(&format!("e{n}"), &site, dice.roll(130) as f64 / 100.0);
            edge.capacity_bps = 1_000_000_000 * (1 + dice.roll(10));
            edge.heard_ms = NOW - [100, 100, 100, 2_000, 60_000][dice.roll(5) as usize];
            edge.draining = dice.roll(6) == 0;
            edge.gone = dice.roll(10) == 0;
            edge
        };
        fleet((0..count).map(|n| node(self, n)).collect())
    }
}

#[test]
fn any_fleet_same_data_same_answer_no_edge_twice_no_dead_edge() {
    let mut dice = Dice(1);
    for round in 0..1_000 {
        let snapshot = dice.fleet();
        let key = format!("/t/{}/", dice.roll(50));
        let (once, again) = (rank(&snapshot, &ask(&key)), rank(&snapshot, &ask(&key)));
        assert_eq!(ids(&once), ids(&again), "round {round}");
        let mut unique = ids(&once);
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), once.edges.len(), "round {round}");
        let distrusted = snapshot.distrusted(NOW);
        let mut shuffled = snapshot.clone();
        shuffled.edges.reverse();
        assert_eq!(ids(&once), ids(&rank(&shuffled, &ask(&key))), "order of data, round {round}");
        for ranked in &once.edges {
            let standing = ranked.edge.standing(&snapshot.settings, NOW);
            assert!(!ranked.edge.gone, "round {round}");
            assert!(standing != NodeState::Down || distrusted, "round {round}: {:?}", ranked.edge);
        }
        let sound = |edge: &&Candidate| edge.standing(&snapshot.settings, NOW) == NodeState::Up;
        let sound = snapshot.edges.iter().filter(sound).count();
        assert!(once.edges.len() >= sound.min(3), "round {round}: sound edges are left out");
    }
}

#[test]
fn any_fleet_more_load_never_attracts() {
    let mut dice = Dice(2);
    for round in 0..1_000 {
        let mut snapshot = dice.fleet();
        let key = format!("/t/{}/", dice.roll(50));
        let before = first(&snapshot, &key);
        let more = dice.roll(snapshot.edges.len() as u64) as usize;
        snapshot.edges[more].reported += dice.roll(100) as f64 / 100.0;
        let after = first(&snapshot, &key);
        let loaded = snapshot.edges[more].id.to_string();
        assert!(after != loaded || before == loaded, "round {round}: {loaded} won by being loaded");
    }
}

#[test]
fn a_crowd_spreads_over_a_site_in_proportion_and_never_past_the_bound() {
    let snapshot = fleet((0..5).map(|n| edge(&format!("a{n}"), "a", 0.0)).collect());
    for n in 0..800 {
        let key = format!("/t/{}/", n % 7);
        let ranking = rank(&snapshot, &ask(&key));
        ranking.edges[0].edge.assigned.add();
    }
    let loads: Vec<f64> = snapshot.edges.iter().map(Candidate::utilisation).collect();
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    let bound = mean + 0.15 * (1.0 - mean) + 0.005;
    assert!(loads.iter().all(|load| *load <= bound), "{loads:?} past {bound}");
}
