//! The decision as a table; `any`: what must hold for any fleet.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{net::IpAddr, sync::Arc};

use kromka_control::NodeState;

use super::*;

mod any;

pub(super) const NOW: u64 = 1_000_000;

pub(super) fn edge(id: &str, site: &str, load: f64) -> Candidate {
    Candidate {
        heard_ms: NOW - 100,
        reported: load,
        session_load: 0.004,
        ..Candidate::supposed(id, site, 1_000_000_000)
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
    ranking.edges.iter().map(|ranked| ranked.edge.called.id.to_string()).collect()
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
    let sites: Vec<_> = ranking.edges.iter().map(|ranked| ranked.edge.called.site.to_string()).collect();
    assert_eq!(sites, ["a", "b", "c", "a"]);
    assert_eq!(ranking.edges[0].place, Place::Primary);
    assert_eq!(ranking.edges[1].place, Place::Backup);
    assert!(ranking.edges[1].reasons().any(|reason| reason == Reason::OtherSite));
    assert!(!ranking.edges[3].reasons().any(|reason| reason == Reason::OtherSite));
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
        assert_eq!(ranking.source, Source::Cell);
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
    let place = three.edges.iter().position(|edge| *edge.called.id == *home).unwrap();
    three.edges[place].reported = 0.3;
    assert_eq!(first(&three.now(), "/t/1/"), home, "within the bound");
    three.edges[place].reported = 0.9;
    let snapshot = three.now();
    let ranking = decide(&snapshot, &ask("/t/1/"));
    assert_ne!(ids(&ranking)[0], home, "past the bound");
    assert_eq!((ranking.verdict, ranking.edges[0].place), (Verdict::Spill, Place::Spill));
    assert_eq!(ids(&ranking)[2], home, "and last among the alternates");
    assert!(ranking.edges[2].reasons().any(|reason| matches!(reason, Reason::OverBound { .. })));
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
    let assigned = &two.edges.iter().find(|edge| *edge.called.id == *home).unwrap().assigned;
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
    assert!(ranking.edges[0].reasons().any(|reason| reason == Reason::Failing));
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
fn a_snapshot_says_how_any_edge_is_reached() {
    let mut two = fleet(vec![edge("a1", "a", 0.0), edge("b1", "b", 0.0)]);
    assert_eq!(two.now().reached(), Reached::default());
    two.edges[0].reach.v4 = Some([192, 0, 2, 1].into());
    two.edges[1].reach.tls_port = Some(443);
    assert_eq!(two.now().reached(), Reached { v4: true, v6: false, tls: true });
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
        let ranking =
            decide(&snapshot, &ask(&format!("/t/{n}/"))).edges.first().unwrap().edge.called.id.to_string();
        seen.insert(ranking);
    }
    assert!(seen.len() >= 38, "{} of 40 were ever chosen", seen.len());
}

#[test]
fn a_pair_is_of_the_best_site_where_it_has_two() {
    let load = |name: char| if name == 'c' { 0.1 } else { 0.6 };
    let site = |name: char| (1..=2).map(move |n| edge(&format!("{name}{n}"), &name.to_string(), load(name)));
    let mut many = fleet(('a'..='m').flat_map(site).collect());
    let pair = |fleet: &Fleet, k: usize| {
        let snapshot = fleet.now();
        let ranking = decide_pair(&snapshot, &Question { k, ..ask("/t/") });
        let sites: Vec<String> =
            ranking.edges.iter().map(|ranked| ranked.edge.called.site.to_string()).collect();
        (sites, ids(&ranking))
    };
    for k in 0..=8 {
        let (sites, named) = pair(&many, k);
        assert_eq!(named.iter().collect::<std::collections::BTreeSet<_>>().len(), k, "{named:?}");
        assert!(k < 2 || sites[0] == sites[1], "{sites:?}");
        assert!(k < 3 || sites[2] != sites[0], "{sites:?}");
    }
    many.edges.retain(|edge| *edge.called.id != *"c2");
    let (sites, _) = pair(&many, 3);
    assert_eq!(sites.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "it has one: {sites:?}");
    let few = fleet(vec![edge("a1", "a", 0.1), edge("a2", "a", 0.1), edge("a3", "a", 0.1)]);
    assert_eq!(pair(&few, 3).1.len(), 3);
}
