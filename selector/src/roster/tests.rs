//! What heartbeats do to the roster when they are lost, late, replayed, out of order, from the future or from a
//! process that is gone; and what it says of itself when it hears too little.
//!
//! Time does not pass by itself here: silence is made by setting back when somebody was heard.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use kromka_config::GeoConfig;
use kromka_control::{CellRtt, Load};

use super::*;
use crate::{
    checks::Ended,
    rank::{
        Question, Reach, Verdict, decide,
        outlier::{Check, Took},
    },
    store::nodes::{Decided, Ordered},
};

fn roster() -> Roster {
    Roster::new(
        &RoutingConfig::default(),
        &[],
        Duration::from_secs(30),
        Duration::from_secs(20),
        Arc::new(Geo::new(&GeoConfig::default())),
    )
}

fn beat(id: &str, boot: &str, seq: u64) -> Heartbeat {
    Heartbeat {
        id: id.into(),
        site: format!("site-{id}"),
        url: format!("http://{id}.example/"),
        tls_url: None,
        addresses: vec![],
        alpn: vec![],
        role: NodeRole::Edge,
        boot: boot.into(),
        seq,
        t_ms: 0,
        state: NodeState::Up,
        unready: false,
        known: false,
        version: "0".into(),
        load: Load { egress_bps: seq, egress_limit_bps: 1_000_000_000, ..Load::default() },
        sessions_started: 0,
        bytes_per_session: 0,
        cache: Default::default(),
        feed_seq: 0,
        feed_id: String::new(),
        jobs: vec![],
        errors: Errors::default(),
        rtt: vec![],
        rtt_first: 0,
        probes: false,
        goodbye: false,
    }
}

impl Roster {
    fn hear(&self, id: &str, boot: &str, seq: u64) -> bool {
        self.heartbeat(&beat(id, boot, seq)).unwrap().newer
    }

    fn silence(&self, id: &str, ms: u64) {
        let mut nodes = self.nodes.lock();
        let entry = nodes.entries.get_mut(id).unwrap();
        entry.heard_ms -= ms;
        entry.judged_ms -= ms;
        self.publish(&mut nodes);
    }

    /// The load that the last heartbeat which counts has told.
    fn load_of(&self, id: &str) -> u64 {
        self.node(id).unwrap().0.load.egress_bps
    }

    fn state_of(&self, id: &str) -> NodeState {
        self.node(id).unwrap().0.state
    }

    fn chosen(&self) -> (Option<String>, Verdict) {
        let snapshot = self.snapshot();
        let question = Question { content_key: "k", k: 8, now_ms: self.now_ms(), ..Question::default() };
        let ranking = decide(&snapshot, &question);
        (ranking.edges.first().map(|ranked| ranked.edge.called.id.to_string()), ranking.verdict)
    }
}

#[test]
fn replayed_and_disordered_heartbeats_change_nothing() {
    let roster = roster();
    for (seq, newer, told) in
        [(5, true, 5), (5, false, 5), (3, false, 5), (9, true, 9), (6, false, 9), (10, true, 10)]
    {
        assert_eq!(roster.hear("e1", "b1", seq), newer, "{seq}");
        assert_eq!(roster.load_of("e1"), told);
    }
}

#[test]
fn a_node_that_says_that_it_drains_is_sent_nobody_from_that_heartbeat_on() {
    let roster = roster();
    // So many that not each heartbeat makes a snapshot.
    for n in 0..400 {
        roster.hear(&format!("e{n}"), "b1", 1);
    }
    let drains = |id: &str| {
        let snapshot = roster.snapshot();
        snapshot.edges().iter().any(|edge| *edge.called.id == *id && edge.draining)
    };
    for n in 0..20 {
        let id = format!("e{n}");
        for (seq, state) in [(2, NodeState::Draining), (3, NodeState::Up)] {
            roster.heartbeat(&Heartbeat { state, ..beat(&id, "b1", seq) }).unwrap();
            assert_eq!(drains(&id), state == NodeState::Draining, "{id}");
        }
    }
}

#[test]
fn who_is_silent_for_a_day_is_let_go_whatever_was_decided_about_it() {
    let roster = roster();
    for (id, silent_ms) in [("e1", FORGOTTEN_MS), ("e2", FORGOTTEN_MS / 2)] {
        roster.hear(id, "b1", 1);
        let decided = Decided { revision: 3, feed_id: "f".into(), feed_seq: 7 };
        assert!(roster.set_drained(id, true, &decided));
        roster.silence(id, silent_ms);
    }
    roster.tick();
    assert!(roster.node("e1").is_none() && roster.node("e2").is_some());
    roster.hear("e1", "b1", 2);
    roster.remember("e1", Ordered { drained: true, revision: 3 });
    assert_eq!((roster.state_of("e1"), roster.node("e1").unwrap().1), (NodeState::Draining, 3));
}

#[test]
fn a_lost_fifth_of_heartbeats_makes_nobody_suspect() {
    let roster = roster();
    let mut dice = 7u64;
    roster.hear("e1", "b1", 0);
    for seq in 1..2_000 {
        // Half a second passes, give or take a tenth.
        roster.silence("e1", 550);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if dice >> 33 > (1 << 31) / 5 {
            roster.hear("e1", "b1", seq);
        }
        assert_ne!(roster.state_of("e1"), NodeState::Down, "{seq}");
    }
}

#[test]
fn a_heartbeat_that_is_fifteen_seconds_late_is_heard_and_no_newer_one_is_forgotten_for_it() {
    let roster = roster();
    roster.hear("e1", "b1", 1);
    roster.silence("e1", 15_000);
    assert_eq!(roster.state_of("e1"), NodeState::Down);
    assert!(roster.hear("e1", "b1", 2), "all that there is");
    assert_eq!(roster.state_of("e1"), NodeState::Up);
    assert!(roster.hear("e1", "b1", 40) && !roster.hear("e1", "b1", 12));
    assert_eq!(roster.load_of("e1"), 40);
}

#[test]
fn the_clock_of_a_node_decides_nothing() {
    let roster = roster();
    for (seq, t_ms) in [(1, u64::MAX), (2, 0), (3, 1 << 60)] {
        assert!(roster.heartbeat(&Heartbeat { t_ms, ..beat("e1", "b1", seq) }).unwrap().newer);
        assert_eq!(roster.state_of("e1"), NodeState::Up);
    }
}

#[test]
fn the_word_of_a_process_that_is_gone_comes_too_late() {
    let roster = roster();
    assert!(roster.hear("e1", "b1", 900));
    assert!(roster.hear("e1", "b2", 1), "restarted");
    assert!(!roster.hear("e1", "b1", 901), "sent before, heard after");
    assert!(!roster.heartbeat(&Heartbeat { goodbye: true, ..beat("e1", "b1", 902) }).unwrap().newer);
    assert_eq!((roster.load_of("e1"), roster.state_of("e1")), (1, NodeState::Up));
    // A clock set back makes the newer process look older: believed once the other is silent.
    assert!(!roster.hear("e1", "b0", 1));
    roster.silence("e1", 5_000);
    assert!(roster.hear("e1", "b0", 2));
}

#[test]
fn an_edge_that_restarts_in_a_loop_never_gets_its_full_share() {
    let roster = roster();
    for id in ["e1", "e2", "e3"] {
        roster.hear(id, "b0", 1);
    }
    // How long it has been back, in milliseconds; it gets its share within a minute.
    let back = |id: &str| {
        let snapshot = roster.snapshot();
        let edge = snapshot.edges().iter().find(|edge| *edge.called.id == *id).unwrap();
        edge.returned_ms.map(|returned| roster.now_ms() - returned)
    };
    for restart in 1..50 {
        assert!(roster.hear("e1", &format!("b{restart:02}"), 1));
        roster.tick();
        assert!(back("e1").is_some_and(|ms| ms < 30_000), "{:?}", back("e1"));
        assert_eq!(back("e2"), None);
        roster.silence("e1", 2_000);
    }
}

#[test]
fn distances_are_read_once_whatever_is_lost_or_repeated() {
    let roster = roster();
    let told = |boot: &str, seq, first, cells: usize| {
        let rtt = |n| CellRtt { cell: format!("203.0.{n}.0/24"), n: 1, min_ms: 9.0, p50_ms: 9.0, loss: 0.0 };
        let rtt = (first..first + cells).map(rtt).collect();
        roster.heartbeat(&Heartbeat { rtt, rtt_first: first as u64, ..beat("e1", boot, seq) }).unwrap();
        let nodes = roster.nodes.lock();
        assert!(nodes.entries["e1"].heartbeat.rtt.is_empty(), "what is read is not kept");
        nodes.entries["e1"].rtt_read
    };
    assert_eq!(told("b1", 1, 3, 4), 7);
    assert_eq!(told("b1", 2, 3, 4), 7, "the answer was lost: it comes again");
    assert_eq!(told("b1", 3, 3, 6), 9);
    assert_eq!(told("b1", 4, 20, 2), 22, "what was between has given way at the edge");
    assert_eq!(told("b2", 1, 0, 2), 2, "a restart counts from 0");
}

#[test]
fn two_selectors_that_hear_different_halves_each_say_so_only_when_it_is_less_than_half() {
    let (one, two) = (roster(), roster());
    let ids: Vec<String> = (0..8).map(|n| format!("e{n}")).collect();
    for roster in [&one, &two] {
        for id in &ids {
            roster.hear(id, "b1", 1);
        }
    }
    for (n, id) in ids.iter().enumerate() {
        if n < 5 { one.silence(id, 20_000) } else { two.silence(id, 20_000) }
    }
    assert_eq!((one.hearing().heard, one.hearing().known), (3, 8));
    assert!(one.hearing().isolated() && one.hearing().ready().unwrap_err().contains("3 of 8"));
    assert!(!two.hearing().isolated() && two.hearing().ready().is_ok());
    // The isolated one keeps all of its table in play, those that it hears first; the other one only what it hears.
    let known = |roster: &Roster| {
        let snapshot = roster.snapshot();
        let question = Question { content_key: "k", k: 8, now_ms: roster.now_ms(), ..Question::default() };
        decide(&snapshot, &question).edges.len()
    };
    assert_eq!((known(&one), known(&two)), (8, 5));
    assert!(["e5", "e6", "e7"].contains(&one.chosen().0.unwrap().as_str()));
    assert_eq!(one.down(), [], "nobody is called dead on its word");
    for id in &ids {
        one.hear(id, "b1", 2);
    }
    assert!(!one.hearing().isolated());
}

#[test]
fn when_all_edges_are_silent_the_last_table_stays_in_use() {
    let roster = roster();
    for id in ["e1", "e2", "e3", "e4"] {
        roster.hear(id, "b1", 1);
    }
    for id in ["e1", "e2", "e3", "e4"] {
        roster.silence(id, 60_000);
    }
    let (chosen, verdict) = roster.chosen();
    assert!(chosen.is_some());
    assert_eq!(verdict, Verdict::Distrust);
    assert!(roster.hearing().isolated());
    for id in ["e1", "e2", "e3", "e4"] {
        roster.heartbeat(&Heartbeat { goodbye: true, ..beat(id, "b1", 9) }).unwrap();
    }
    assert_eq!(roster.chosen(), (None, Verdict::NoEdge), "they said goodbye: that is believed");
    assert!(!roster.hearing().isolated(), "nobody is missing");
}

#[test]
fn an_edge_that_fails_is_passed_over_and_comes_back_slowly() {
    let roster = roster();
    for id in ["e1", "e2", "e3"] {
        roster.hear(id, "b1", 1);
    }
    roster.tick();
    let first = roster.chosen().0.unwrap();
    // What an edge answers itself: a third of it fails.
    for seq in 2..6 {
        for id in ["e1", "e2", "e3"] {
            let failures = if *id == *first { seq * 33 } else { 0 };
            let errors = Errors { requests: seq * 100, failures };
            roster.heartbeat(&Heartbeat { errors, ..beat(id, "b1", seq) }).unwrap();
        }
        roster.tick();
    }
    assert_ne!(roster.chosen().0.unwrap(), first);
    let info = roster.node(&first).unwrap().0;
    assert!(info.ejected.as_deref().is_some_and(|why| why.contains("33 %")), "{info:?}");
    assert_eq!(info.state, NodeState::Up, "it is heard, and may end what it has begun");
    assert_eq!((roster.ejected(), roster.changes()), (1, vec!["ratio"]));
    assert_eq!(roster.changes(), [] as [&str; 0], "counted once");
    // Its time passes.
    {
        let mut nodes = roster.nodes.lock();
        let later = roster.now_ms() + 31_000;
        roster.judge(&mut nodes, later);
    }
    assert_eq!(roster.ejected(), 0);
    assert!(roster.nodes.lock().entries[&first].returned_ms.is_some());
}

#[test]
fn who_is_doubted_is_judged_by_it_and_still_shown_as_heard_when_it_was() {
    let (roster, heard) = (roster(), Instant::now());
    for id in ["e1", "e2"] {
        roster.hear(id, "b1", 1);
    }
    roster.doubt("e1");
    assert_eq!((roster.state_of("e1"), roster.state_of("e2")), (NodeState::Suspect, NodeState::Up));
    let shown = |id: &str| roster.node(id).unwrap().0.heartbeat_age_ms.unwrap();
    let kept = || roster.heard().iter().map(|(_, silent_ms, _)| *silent_ms).max().unwrap();
    assert!(u128::from(shown("e1").max(kept())) <= heard.elapsed().as_millis() + 1, "nobody was silent");
    roster.hear("e1", "b1", 2);
    assert_eq!(roster.state_of("e1"), NodeState::Up);
    let entry = |read: fn(&Entry) -> Option<u64>| read(&roster.nodes.lock().entries["e1"]);
    assert_eq!(entry(|entry| entry.returned_ms), None, "it had not been away");
}

#[test]
fn a_fleet_whose_connections_end_together_is_not_a_snapshot_for_each() {
    let roster = roster();
    let ids: Vec<String> = (0..400).map(|n| format!("e{n}")).collect();
    ids.iter().for_each(|id| assert!(roster.hear(id, "b1", 1)));
    let before = roster.snapshot().version;
    ids.iter().for_each(|id| roster.doubt(id));
    let made = roster.snapshot().version - before;
    assert!(made < 200, "{made} snapshots");
    roster.tick();
    let snapshot = roster.snapshot();
    let standing = |edge: &Candidate| edge.standing(snapshot.settings(), roster.now_ms());
    assert!(snapshot.edges().iter().all(|edge| standing(edge) != NodeState::Up), "all are doubted");
}

#[test]
fn a_drain_goes_on_where_the_node_is_silent_for_a_moment() {
    let roster = roster();
    let begun = |roster: &Roster| roster.nodes.lock().entries["e1"].drain;
    let beat = |seq, sessions, drains| {
        let state = if drains { NodeState::Draining } else { NodeState::Up };
        let load = Load { sessions, ..Load::default() };
        roster.heartbeat(&Heartbeat { state, load, ..beat("e1", "b1", seq) }).unwrap();
        roster.tick();
        roster.node("e1").unwrap().0.drain
    };
    assert_eq!(beat(1, 400, false), None);
    assert_eq!(beat(2, 400, true).unwrap().sessions_then, 400);
    roster.silence("e1", 60_000);
    roster.tick();
    let away = roster.node("e1").unwrap().0;
    assert_eq!((away.state, away.drain), (NodeState::Down, None), "nothing is known of its sessions");
    let back = beat(3, 100, true).unwrap();
    assert_eq!((back.sessions_then, back.sessions_left, back.done), (400, 100, false));
    assert!(begun(&roster).is_some() && beat(4, 100, false).is_none() && begun(&roster).is_none());
}

#[test]
fn checks_reach_all_that_are_heard_and_count() {
    let roster = roster();
    for id in ["e1", "e2", "e3"] {
        roster.hear(id, "b1", 1);
    }
    roster.hear("gone", "b1", 1);
    roster.silence("gone", 60_000);
    roster.tick();
    let ids: Vec<_> = roster.to_check().iter().map(|edge| edge.id.to_string()).collect();
    assert_eq!(ids, ["e1", "e2", "e3"]);
    assert_eq!(&*roster.to_check()[0].url, "http://e1.example");
    let ended = |edge: &str, check| Ended { edge: edge.into(), check, began: Instant::now() };
    let passed = Check::Passed(Took { ms: 0.25, stood_ms: 0.5, trips: 1, object: 0 });
    let suspicious = || roster.to_check().iter().map(|edge| edge.suspicious).collect::<Vec<_>>();
    roster.checked(&[ended("e1", passed), ended("e2", passed), ended("e3", passed)]);
    assert_eq!(suspicious(), [false, false, false]);
    assert_eq!(roster.to_check()[0].usual_ms, Some(0.75), "though it is next door");
    roster.checked(&[ended("e2", passed), ended("e1", Check::Lost)]);
    assert_eq!(suspicious(), [true, false, false], "one of three is checked sooner");
    roster.checked(&[ended("e2", Check::Lost), ended("e3", Check::Lost)]);
    assert_eq!(suspicious(), [false, false, false], "most of them are not");
}

#[test]
fn an_edge_that_names_no_addresses_is_reached_at_the_one_in_its_url() {
    let roster = roster();
    let mut seq = 0;
    let mut reach = |url: &str, addresses: &[&str]| {
        seq += 1;
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        roster.heartbeat(&Heartbeat { url: url.into(), addresses, ..beat("e1", "b1", seq) }).unwrap();
        roster.tick();
        roster.snapshot().edges()[0].reach
    };
    let v4 = Reach { v4: Some([192, 0, 2, 7].into()), ..Reach::default() };
    assert_eq!(reach("http://192.0.2.7:8080/", &[]), v4);
    assert_eq!(reach("http://e1.example/", &["192.0.2.7"]), v4);
    assert_eq!(reach("http://198.51.100.1/", &["192.0.2.7"]), v4, "what it names counts");
    assert_eq!(reach("http://[2001:db8::7]/", &[]).v6, Some("2001:db8::7".parse().unwrap()));
    assert_eq!(reach("http://e1.example/", &[]), Reach::default());
}
