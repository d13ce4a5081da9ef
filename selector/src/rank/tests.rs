//! The decision as a table, and what must hold for any fleet.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{net::IpAddr, sync::Arc};

use kromka_control::NodeState;

use super::*;

pub(super) const NOW: u64 = 1_000_000;

pub(super) fn edge(id: &str, site: &str, load: f64) -> Candidate {
    Candidate {
        id: Arc::from(id),
        site: Arc::from(site),
        url: Arc::from(format!("http://{id}")),
        tls_url: None,
        reach: Default::default(),
        heard_ms: NOW - 100,
        draining: false,
        gone: false,
        ejected: false,
        reported: load,
        capacity_bps: 1_000_000_000,
        session_load: 0.004,
        gain: 1.0,
        share: 1.0,
        returned_ms: None,
        assigned: Arc::default(),
    }
}

/// Edges and what else a snapshot is built of.
#[derive(Clone, Default)]
pub(super) struct Fleet {
    pub(super) edges: Vec<Candidate>,
    pub(super) learner: Option<Arc<Distances>>,
    pub(super) zones: Zones,
    pub(super) settings: Settings,
}

impl Fleet {
    pub(super) fn at(&self, now_ms: u64) -> Snapshot {
        let parts = Parts {
            edges: self.edges.clone(),
            distances: self.learner.clone().unwrap_or_default(),
            zones: Arc::new(self.zones.clone()),
            settings: Arc::new(self.settings.clone()),
        };
        Snapshot::build(parts, None, now_ms)
    }

    pub(super) fn now(&self) -> Snapshot {
        self.at(NOW)
    }

    /// A snapshot that was built so long ago that nothing it reckoned holds.
    fn stale(&self) -> Snapshot {
        self.at(0)
    }
}

pub(super) fn fleet(edges: Vec<Candidate>) -> Fleet {
    Fleet { edges, ..Fleet::default() }
}

pub(super) fn ask(key: &str) -> Question<'_> {
    Question { content_key: key, k: 3, now_ms: NOW, ..Question::default() }
}

pub(super) fn ids(ranking: &Ranking<'_>) -> Vec<String> {
    ranking.edges.iter().map(|ranked| ranked.edge.id.to_string()).collect()
}

pub(super) fn first(snapshot: &Snapshot, key: &str) -> String {
    ids(&decide(snapshot, &ask(key))).first().cloned().unwrap_or_default()
}

fn verdict(fleet: &Fleet) -> Verdict {
    decide(&fleet.now(), &ask("/t/")).verdict
}

#[test]
fn an_empty_fleet_has_no_answer() {
    let nobody = Snapshot::default();
    let ranking = decide(&nobody, &ask("/a/"));
    assert_eq!((ranking.edges.len(), ranking.verdict), (0, Verdict::NoEdge));
}

#[test]
fn alternates_come_from_other_sites_first() {
    let snapshot =
        fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0), edge("b1", "b", 0.4), edge("c1", "c", 0.5)])
            .now();
    let ranking = decide(&snapshot, &Question { k: 4, ..ask("/t/") });
    let sites: Vec<_> = ranking.edges.iter().map(|ranked| ranked.edge.site.to_string()).collect();
    assert_eq!(sites, ["a", "b", "c", "a"]);
    assert_eq!(ranking.edges[0].place, Place::Primary);
    assert_eq!(ranking.edges[1].place, Place::Backup);
    assert!(ranking.edges[1].reasons().contains(&Reason::OtherSite));
    assert!(!ranking.edges[3].reasons().contains(&Reason::OtherSite));
}

#[test]
fn measured_distance_beats_the_prior_and_load_beats_distance() {
    let mut near_and_far = fleet(vec![edge("near", "a", 0.0), edge("far", "b", 0.0)]);
    let client: IpAddr = "203.0.113.9".parse().unwrap();
    let mut learner = Learner::default();
    for (site, ms) in [("a", 10.0), ("b", 40.0)] {
        learner.learn(Cell::of(client), &Whereabouts::default(), site, 500, ms, NOW);
    }
    near_and_far.learner = Some(Arc::new(learner.table(NOW)));
    let question = Question { client: Some(client), ..ask("/t/") };
    let snapshot = near_and_far.now();
    for n in 0..50 {
        let key = format!("/t/{n}/");
        let ranking = decide(&snapshot, &Question { content_key: &key, ..question.clone() });
        assert_eq!(ids(&ranking), ["near", "far"], "{key}");
        assert_eq!((ranking.measured(), ranking.source), (true, Source::Cell));
    }
    near_and_far.edges[0].reported = 0.9;
    assert_eq!(ids(&decide(&near_and_far.now(), &question)), ["far", "near"]);
}

#[test]
fn positions_stand_in_for_measurements() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0)]);
    let (paris, sydney) = (Position::exact(48.9, 2.4), Position::exact(-33.9, 151.2));
    for (site, position) in [("a", paris), ("b", sydney)] {
        two.settings.sites.insert(site.into(), SiteSettings { cost_ms: 0.0, position: Some(position) });
    }
    let snapshot = two.now();
    let near = |position: Position| {
        let place = Whereabouts { position: Some(position), ..Whereabouts::default() };
        let ranking = decide(&snapshot, &Question { place, ..ask("/t/") });
        (ids(&ranking)[0].clone(), ranking.source)
    };
    assert_eq!(near(paris), ("a1".to_owned(), Source::Geography));
    assert_eq!(near(sydney), ("b1".to_owned(), Source::Geography));
    let vague = Position { accuracy_km: f64::INFINITY, ..sydney };
    assert_eq!(near(vague).1, Source::Nothing, "the middle of a country tells nothing");
}

#[test]
fn a_title_stays_on_its_node_until_that_is_loaded_past_the_bound() {
    let mut three = fleet(vec![edge("a1", "a", 0.2), edge("a2", "a", 0.2), edge("a3", "a", 0.2)]);
    let home = first(&three.now(), "/t/1/");
    let place = three.edges.iter().position(|edge| *edge.id == *home).unwrap();
    three.edges[place].reported = 0.3;
    assert_eq!(first(&three.now(), "/t/1/"), home, "within the bound");
    three.edges[place].reported = 0.9;
    let snapshot = three.now();
    let ranking = decide(&snapshot, &ask("/t/1/"));
    assert_ne!(ids(&ranking)[0], home, "past the bound");
    assert_eq!((ranking.verdict, ranking.edges[0].place), (Verdict::Spill, Place::Spill));
    assert_eq!(ids(&ranking)[2], home, "and last among the alternates");
    assert!(ranking.edges[2].reasons().iter().any(|reason| matches!(reason, Reason::OverBound { .. })));
}

#[test]
fn what_we_sent_counts_before_it_is_reported() {
    let two = fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0)]);
    let snapshot = two.now();
    let home = first(&snapshot, "/hot/");
    let mut sent = 0;
    while first(&snapshot, "/hot/") == home {
        decide(&snapshot, &ask("/hot/")).assign(1.0);
        sent += 1;
        assert!(sent < 1_000, "a crowd never spills");
    }
    assert_ne!(first(&two.now(), "/hot/"), home, "nor is it forgotten with the next snapshot");
    let assigned = &two.edges.iter().find(|edge| *edge.id == *home).unwrap().assigned;
    assigned.reported(500, 1_000);
    assert_ne!(first(&two.now(), "/hot/"), home, "one report does not yet show those on their way");
    assigned.reported(500, 1_000);
    assigned.reported(500, 1_000);
    assert_eq!(first(&two.now(), "/hot/"), home, "later ones do");
}

#[test]
fn what_others_send_counts_by_the_gain() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0)]);
    let crowd = |fleet: &Fleet| {
        let snapshot = fleet.now();
        let home = first(&snapshot, "/hot/");
        (0..1_000)
            .take_while(|_| {
                decide(&snapshot, &ask("/hot/")).assign(1.0);
                first(&snapshot, "/hot/") == home
            })
            .count()
    };
    let alone = crowd(&two);
    for edge in &mut two.edges {
        edge.gain = 3.0;
        edge.assigned = Arc::default();
    }
    let together = crowd(&two);
    assert!((together * 3).abs_diff(alone) <= 4, "{alone} alone, {together} of three");
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
fn silence_is_judged_when_it_is_asked_and_not_when_the_snapshot_was_built() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.5)]);
    two.edges[1].heard_ms = NOW + 2_000;
    let snapshot = two.now();
    let first_at = |now_ms: u64| ids(&decide(&snapshot, &Question { now_ms, ..ask("/t/") }));
    assert_eq!(first_at(NOW + 1_150), ["a1", "b1"]);
    assert_eq!(first_at(NOW + 1_151), ["b1"]);
}

#[test]
fn the_worse_are_used_only_when_the_better_are_gone() {
    let mut two = fleet(vec![edge("a1", "a", 0.99), edge("a2", "a", 0.0)]);
    two.edges[1].heard_ms = NOW - 2_000;
    assert_eq!(ids(&decide(&two.now(), &ask("/t/"))), ["a1"], "a suspect is no alternate while one is sound");
    two.edges[0].draining = true;
    assert_eq!((first(&two.now(), "/t/"), verdict(&two)), ("a2".to_owned(), Verdict::Suspect));
    two.edges[1].gone = true;
    assert_eq!((first(&two.now(), "/t/"), verdict(&two)), ("a1".to_owned(), Verdict::Draining));
    two.edges[0].heard_ms = 0;
    assert_eq!(verdict(&two), Verdict::NoEdge);
}

#[test]
fn one_edge_of_two_that_dies_is_dead() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("a2", "b", 0.0)]);
    two.edges[0].heard_ms = 0;
    assert_eq!(ids(&decide(&two.now(), &ask("/t/"))), ["a2"]);
    two.edges[1].heard_ms = 0;
    assert!(decide(&two.now(), &ask("/t/")).edges.is_empty(), "two silent edges are no fleet to believe in");
}

#[test]
fn when_most_of_the_fleet_looks_dead_the_roster_is_distrusted() {
    let mut four =
        fleet(vec![edge("a1", "a", 0.1), edge("b1", "b", 0.1), edge("c1", "c", 0.1), edge("d1", "d", 0.1)]);
    for silent in 0..2 {
        four.edges[silent].heard_ms = 0;
    }
    assert!(!four.now().distrusted(NOW), "half is not more than half");
    assert_eq!(decide(&four.now(), &ask("/t/")).edges.len(), 2);
    four.edges[2].heard_ms = 0;
    let snapshot = four.now();
    let ranking = decide(&snapshot, &ask("/t/"));
    assert_eq!(
        (ids(&ranking)[0].as_str(), ranking.verdict),
        ("d1", Verdict::Best),
        "who answers comes first"
    );
    assert_eq!(ranking.edges.len(), 3, "but the silent are alternates");
    four.edges[3].heard_ms = 0;
    let snapshot = four.now();
    let ranking = decide(&snapshot, &ask("/t/"));
    assert_eq!((ranking.edges.len(), ranking.verdict), (3, Verdict::Distrust));
    for edge in &mut four.edges {
        edge.gone = true;
    }
    assert!(decide(&four.now(), &ask("/t/")).edges.is_empty(), "a goodbye is believed");
}

#[test]
fn survivors_that_are_full_hand_over_to_the_silent() {
    let mut three = fleet(vec![edge("a1", "a", 0.1), edge("b1", "b", 0.1), edge("c1", "c", 0.97)]);
    three.edges[0].heard_ms = 0;
    three.edges[1].heard_ms = 0;
    let snapshot = three.now();
    let ranking = decide(&snapshot, &ask("/t/"));
    assert_eq!(ranking.verdict, Verdict::Distrust);
    assert_ne!(ids(&ranking)[0], "c1");
    assert_eq!(ids(&ranking)[1], "c1", "who answers is the first alternate");
}

#[test]
fn failing_edges_are_left_out_while_the_sound_can_carry_the_load() {
    let mut three = fleet(vec![edge("a1", "a", 0.5), edge("b1", "b", 0.9), edge("c1", "c", 0.9)]);
    three.edges[0].ejected = true;
    assert!(!ids(&decide(&three.now(), &ask("/t/"))).contains(&"a1".to_owned()));
    assert_eq!(verdict(&three), Verdict::Best);
    three.edges[1].ejected = true;
    three.edges[2].reported = 1.1;
    let snapshot = three.now();
    let ranking = decide(&snapshot, &ask("/t/"));
    assert_eq!(
        (ids(&ranking)[0].as_str(), ranking.verdict),
        ("a1", Verdict::Distrust),
        "one for the load of 2.5"
    );
    assert!(ranking.edges[0].reasons().contains(&Reason::Failing));
    three.edges[0].gone = true;
    three.edges[1].heard_ms = 0;
    assert_eq!(ids(&decide(&three.now(), &ask("/t/"))), ["c1"], "the dead stay dead");
}

#[test]
fn a_node_that_came_back_gets_its_share_slowly() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0)]);
    let share = |fleet: &Fleet| {
        let snapshot = fleet.now();
        (0..2_000).filter(|n| first(&snapshot, &format!("/t/{n}/")) == "a1").count() as f64 / 2_000.0
    };
    assert!((share(&two) - 0.5).abs() < 0.05);
    two.edges[0].returned_ms = Some(NOW);
    // Of the two together 55 % have begun.
    assert!((share(&two) - 0.182 / 1.182).abs() < 0.03);
    two.edges[0].returned_ms = Some(NOW - 30_000);
    assert!((share(&two) - 0.71 / 1.71).abs() < 0.04);
    two.edges[1].returned_ms = Some(NOW - 30_000);
    assert!((share(&two) - 0.5).abs() < 0.05, "what both have in common spares none");
    two.edges[1].returned_ms = None;
    two.edges[0].returned_ms = Some(NOW - 60_000);
    assert!((share(&two) - 0.5).abs() < 0.05);
    two.edges[0].share = 0.25;
    assert!((share(&two) - 0.2).abs() < 0.04, "so does the operator's share");
}

#[test]
fn excluded_edges_are_not_answered_with() {
    let snapshot = fleet(vec![edge("a1", "a", 0.0), edge("a2", "a", 0.0)]).now();
    let exclude = ["a1".to_owned()];
    assert_eq!(ids(&decide(&snapshot, &Question { exclude: &exclude, ..ask("/t/") })), ["a2"]);
}

#[test]
fn the_operators_cost_of_a_site_counts_like_distance() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0)]);
    two.settings.sites.insert("a".into(), SiteSettings { cost_ms: 30.0, position: None });
    let snapshot = two.now();
    for n in 0..20 {
        assert_eq!(first(&snapshot, &format!("/t/{n}/")), "b1");
    }
}

#[test]
fn zones_prefer_while_they_can_and_deny_always() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0)]);
    let zone = |prefer: &[&str], deny: &[&str]| Zone {
        prefer: prefer.iter().map(|name| (*name).to_owned()).collect(),
        deny: deny.iter().map(|name| (*name).to_owned()).collect(),
    };
    two.zones = Zones::new([
        ("10.0.0.0/8".parse().unwrap(), zone(&["b"], &[])),
        ("10.1.0.0/16".parse().unwrap(), zone(&[], &["b"])),
        ("10.2.0.0/16".parse().unwrap(), zone(&["elsewhere"], &[])),
    ]);
    let from = |fleet: &Fleet, client: &str| {
        let snapshot = fleet.now();
        let ranking = decide(&snapshot, &Question { client: Some(client.parse().unwrap()), ..ask("/t/") });
        (ids(&ranking), ranking.verdict)
    };
    assert_eq!(from(&two, "10.9.9.9"), (vec!["b1".to_owned(), "a1".to_owned()], Verdict::Zone));
    assert_eq!(from(&two, "10.1.9.9").0, ["a1"]);
    assert_eq!(from(&two, "10.2.9.9").0.len(), 2, "a site that is not there is not preferred");
    two.edges[1].reported = 0.97;
    assert_eq!(from(&two, "10.9.9.9").0, ["a1", "b1"], "what is full is not preferred");
    two.edges[0].gone = true;
    assert_eq!(from(&two, "10.1.9.9"), (Vec::new(), Verdict::NoEdge), "denied is denied");
}

#[test]
fn among_equal_sites_a_title_stays_whoever_asks_and_titles_spread() {
    let snapshot = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0), edge("c1", "c", 0.0)]).now();
    let of_title = |n: usize, session: Option<&str>| {
        let title = format!("/t{n}/");
        let question = Question { session, ..ask(&title) };
        ids(&decide(&snapshot, &question))[0].clone()
    };
    let mut counts = std::collections::BTreeMap::new();
    (0..300).for_each(|n| *counts.entry(of_title(n, None)).or_insert(0) += 1);
    assert!(counts.len() == 3 && counts.values().all(|count| (70..130).contains(count)), "{counts:?}");
    for n in 0..100 {
        assert_eq!(of_title(n, Some("s1")), of_title(n, Some("s2")));
    }
}

#[test]
fn the_tie_is_among_all_that_are_equal_however_many() {
    let many = fleet((0..40).map(|n| edge(&format!("e{n:02}"), &format!("s{n:02}"), 0.0)).collect());
    let snapshot = many.now();
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..600 {
        let ranking = decide(&snapshot, &ask(&format!("/t/{n}/"))).edges.first().unwrap().edge.id.to_string();
        seen.insert(ranking);
    }
    assert!(seen.len() >= 38, "{} of 40 were ever chosen", seen.len());
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

    fn fleet(&mut self) -> Fleet {
        let count = 1 + self.roll(12);
        let node = |dice: &mut Dice, n: u64| {
            let site = format!("s{}", dice.roll(4));
            let mut edge = edge(&format!("e{n}"), &site, dice.roll(130) as f64 / 100.0);
            edge.capacity_bps = 1_000_000_000 * (1 + dice.roll(10));
            edge.heard_ms = NOW - [100, 100, 100, 2_000, 60_000][dice.roll(5) as usize];
            edge.draining = dice.roll(6) == 0;
            edge.gone = dice.roll(10) == 0;
            edge.ejected = dice.roll(8) == 0;
            edge.returned_ms = (dice.roll(8) == 0).then(|| NOW - dice.roll(90_000));
            edge
        };
        fleet((0..count).map(|n| node(self, n)).collect())
    }
}

#[test]
fn any_fleet_same_data_same_answer_no_edge_twice_no_dead_edge() {
    let mut dice = Dice(1);
    for round in 0..1_000 {
        let fleet = dice.fleet();
        let snapshot = fleet.now();
        let key = format!("/t/{}/", dice.roll(50));
        let (once, again) = (decide(&snapshot, &ask(&key)), decide(&snapshot, &ask(&key)));
        assert_eq!(ids(&once), ids(&again), "round {round}");
        let mut unique = ids(&once);
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), once.edges.len(), "round {round}");
        let distrusted = snapshot.distrusted(NOW);
        let mut shuffled = fleet.clone();
        shuffled.edges.reverse();
        assert_eq!(ids(&once), ids(&decide(&shuffled.now(), &ask(&key))), "order of data, round {round}");
        for ranked in once.edges.iter() {
            let standing = ranked.edge.standing(snapshot.settings(), NOW);
            assert!(!ranked.edge.gone, "round {round}");
            assert!(standing != NodeState::Down || distrusted, "round {round}: {:?}", ranked.edge);
        }
        let sound =
            |edge: &&Candidate| edge.standing(snapshot.settings(), NOW) == NodeState::Up && !edge.ejected;
        let sound = snapshot.edges().iter().filter(sound).count();
        assert!(once.edges.len() >= sound.min(3), "round {round}: sound edges are left out");
        if sound > 0 {
            let standing = once.edges[0].edge.standing(snapshot.settings(), NOW);
            let first_choice = standing == NodeState::Up || once.verdict == Verdict::Distrust;
            assert!(first_choice, "round {round}: {standing:?} before what is sound");
        }
    }
}

#[test]
fn any_fleet_answers_the_same_from_what_was_reckoned_and_from_its_nodes() {
    let mut dice = Dice(3);
    for round in 0..2_000 {
        let fleet = dice.fleet();
        let key = format!("/t/{}/", dice.roll(50));
        let question = Question { k: 8, ..ask(&key) };
        // Slow starts are reckoned when a snapshot is built, and so are not the same in one that is stale.
        let mut fleet = fleet;
        fleet.edges.iter_mut().for_each(|edge| edge.returned_ms = None);
        let (fresh, stale) = (fleet.now(), fleet.stale());
        let (fresh, stale) = (decide(&fresh, &question), decide(&stale, &question));
        assert_eq!((ids(&fresh), fresh.verdict), (ids(&stale), stale.verdict), "round {round}");
    }
}

#[test]
fn any_fleet_names_three_sites_where_there_are_three() {
    let mut dice = Dice(4);
    for round in 0..1_000 {
        let mut fleet = dice.fleet();
        fleet.edges.iter_mut().for_each(|edge| (edge.heard_ms, edge.ejected) = (NOW, false));
        let sound: std::collections::BTreeSet<_> = fleet
            .edges
            .iter()
            .filter(|edge| !edge.gone && !edge.draining)
            .map(|edge| edge.site.clone())
            .collect();
        let snapshot = fleet.now();
        let ranking = decide(&snapshot, &ask("/t/"));
        let named: std::collections::BTreeSet<_> =
            ranking.edges.iter().map(|ranked| ranked.edge.site.clone()).collect();
        assert!(named.len() >= sound.len().min(3), "round {round}: {:?}", ids(&ranking));
    }
}

#[test]
fn any_fleet_more_load_never_attracts() {
    let mut dice = Dice(2);
    for round in 0..1_000 {
        let mut fleet = dice.fleet();
        // Failing edges come into play when load grows; that is another rule.
        fleet.edges.iter_mut().for_each(|edge| edge.ejected = false);
        let key = format!("/t/{}/", dice.roll(50));
        let before = first(&fleet.now(), &key);
        let more = dice.roll(fleet.edges.len() as u64) as usize;
        fleet.edges[more].reported += dice.roll(100) as f64 / 100.0;
        let after = first(&fleet.now(), &key);
        let loaded = fleet.edges[more].id.to_string();
        assert!(after != loaded || before == loaded, "round {round}: {loaded} won by being loaded");
    }
}

#[test]
fn a_crowd_spreads_over_a_site_in_proportion_and_never_past_the_bound() {
    let snapshot = fleet((0..5).map(|n| edge(&format!("a{n}"), "a", 0.0)).collect()).now();
    for n in 0..800 {
        let key = format!("/t/{}/", n % 7);
        decide(&snapshot, &ask(&key)).assign(1.0);
    }
    let loads: Vec<f64> =
        snapshot.edges().iter().map(|edge| snapshot.utilisation(&edge.id).unwrap()).collect();
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    let bound = mean + 0.15 * (1.0 - mean) + 0.005;
    assert!(loads.iter().all(|load| *load <= bound), "{loads:?} past {bound}");
}

proptest::proptest! {
    #[test]
    fn any_input_is_answered_and_excludes_are_honoured(
        loads in proptest::collection::vec(
            (proptest::num::f64::ANY, 0u64..u64::MAX, 0u64..2_000_000, 0u8..4, proptest::bool::ANY),
            0..20,
        ),
        excluded in proptest::collection::vec(0usize..20, 0..4),
        k in 0usize..12,
        now_ms in 0u64..2_000_000,
    ) {
        let edges: Vec<Candidate> = loads
            .iter()
            .enumerate()
            .map(|(n, (load, capacity_bps, heard_ms, site, draining))| Candidate {
                heard_ms: *heard_ms,
                capacity_bps: *capacity_bps,
                draining: *draining,
                ..edge(&format!("e{n}"), &format!("s{site}"), *load)
            })
            .collect();
        let exclude: Vec<String> = excluded.iter().map(|n| format!("e{n}")).collect();
        let snapshot = fleet(edges).at(now_ms / 2);
        let ranking = decide(&snapshot, &Question { exclude: &exclude, k, now_ms, ..ask("/t/") });
        proptest::prop_assert!(ranking.edges.len() <= k.min(EDGES_MAX));
        for ranked in ranking.edges.iter() {
            proptest::prop_assert!(!exclude.contains(&ranked.edge.id.to_string()));
            proptest::prop_assert!(ranked.cost_ms.is_finite());
        }
    }
}
