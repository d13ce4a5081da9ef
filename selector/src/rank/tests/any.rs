//! What must hold for any fleet: made by dice that always fall the same, or by proptest.

use super::*;

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

/// Distances of one client to the sites of a fleet.
fn measured(dice: &mut Dice, fleet: &mut Fleet, client: IpAddr) {
    if dice.roll(2) == 0 {
        let sites = fleet.edges.iter_mut().enumerate();
        sites
            .for_each(|(n, edge)| Arc::make_mut(&mut edge.called).site = format!("s{:02}", n * 2 / 3).into());
    }
    let mut learner = Learner::default();
    for site in
        fleet.edges.iter().map(|edge| edge.called.site.clone()).collect::<std::collections::BTreeSet<_>>()
    {
        // Some are equally far, and some are not measured.
        if dice.roll(8) > 0 {
            let ms = dice.roll(12) as f64 * 10.0 + 1.0;
            learner.learn(Cell::of(client), &Whereabouts::default(), &site, 200, ms, NOW);
        }
    }
    fleet.learner = Some(Arc::new(learner.whole_table(NOW)));
}

#[test]
fn any_fleet_answers_the_same_from_what_was_reckoned_and_from_its_nodes() {
    let mut dice = Dice(3);
    let client: IpAddr = "203.0.113.9".parse().unwrap();
    for round in 0..2_000 {
        let mut fleet = dice.fleet();
        let key = format!("/t/{}/", dice.roll(50));
        if round % 2 == 0 {
            measured(&mut dice, &mut fleet, client);
        }
        // Slow starts are reckoned when a snapshot is built, and so are not the same in one that is stale.
        fleet.edges.iter_mut().for_each(|edge| edge.returned_ms = None);
        let (fresh, stale) = (fleet.now(), fleet.stale());
        for k in 1..=8 {
            let question = Question { client: Some(client), k, ..ask(&key) };
            let (fresh, stale) = (decide(&fresh, &question), decide(&stale, &question));
            assert_eq!(
                (ids(&fresh), fresh.verdict),
                (ids(&stale), stale.verdict),
                "round {round}, {k} wanted"
            );
            let (fresh, stale) =
                (decide_pair(fresh.snapshot(), &question), decide_pair(stale.snapshot(), &question));
            assert_eq!(
                (ids(&fresh), fresh.verdict),
                (ids(&stale), stale.verdict),
                "round {round}, {k} as a pair"
            );
        }
    }
}

#[test]
fn any_fleet_answers_the_same_after_a_crowd_has_come() {
    let mut dice = Dice(5);
    let client: IpAddr = "203.0.113.9".parse().unwrap();
    let nobody = ["nobody".to_owned()];
    for round in 0..300 {
        let mut fleet = dice.fleet();
        measured(&mut dice, &mut fleet, client);
        // Whether failing edges are needed is judged by the demand when a snapshot is built.
        fleet.edges.iter_mut().for_each(|edge| (edge.returned_ms, edge.ejected) = (None, false));
        let snapshot = fleet.now();
        for crowd in 0..60 {
            let key = format!("/t/{}/", dice.roll(5));
            let question = Question { client: Some(client), k: 1 + crowd % 3, ..ask(&key) };
            let ranking = decide(&snapshot, &question);
            // What excludes somebody is reckoned from the nodes; sums may be rounded otherwise there.
            let anew = decide(&snapshot, &Question { exclude: &nobody, ..question.clone() });
            assert_eq!(ranking.edges.len(), anew.edges.len(), "round {round}");
            for (one, other) in ranking.edges.iter().zip(anew.edges.iter()) {
                let (ms, anew_ms) = (one.cost_ms, other.cost_ms);
                assert!((ms - anew_ms).abs() <= 0.05 + 0.001 * anew_ms, "round {round}: {ms} and {anew_ms}");
            }
            ranking.assign(3.0);
        }
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
            .map(|edge| edge.called.site.clone())
            .collect();
        let snapshot = fleet.now();
        let ranking = decide(&snapshot, &ask("/t/"));
        let named: std::collections::BTreeSet<_> =
            ranking.edges.iter().map(|ranked| ranked.edge.called.site.clone()).collect();
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
        let loaded = fleet.edges[more].called.id.to_string();
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
        snapshot.edges().iter().map(|edge| snapshot.utilisation(&edge.called.id).unwrap()).collect();
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
            proptest::prop_assert!(!exclude.contains(&ranked.edge.called.id.to_string()));
            proptest::prop_assert!(ranked.cost_ms.is_finite());
        }
    }
}
