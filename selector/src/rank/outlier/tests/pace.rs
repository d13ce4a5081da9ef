//! What is slow, and what only the way or the source is.

use super::*;

#[test]
fn slowness_condemns_the_idle_and_the_liar_and_leaves_overload_to_its_price() {
    for (reported, ms, word) in
        [(0.6, 130.0, "slow"), (0.1, 130.0, "lying"), (0.95, 500.0, ""), (0.6, 45.0, "")]
    {
        let mut fleet = fleet(3);
        fleet[0].reported = reported;
        let mut outliers = known(&fleet);
        for now in (1_000..6_000).step_by(500) {
            for id in ["e0", "e1", "e2"] {
                let slow = if id == "e0" && now > 3_000 { ms } else { 0.0 };
                outliers.check(id, passed(20.0 + slow), now, now);
            }
        }
        let changes = outliers.judge(&fleet, 6_000);
        let found = ejected(&changes).first().map_or("", |(_, word)| word);
        assert_eq!(found, word, "{reported} {ms}");
    }
}

#[test]
fn a_long_way_that_varies_is_no_slow_edge() {
    let fleet = fleet(4);
    let mut outliers = known(&fleet);
    let mut dice = Dice(7);
    for now in (0..120_000u64).step_by(500) {
        // Routes change by a half, and each packet is on its way a little longer or shorter.
        let detour = if now < 60_000 { 1.0 } else { 1.5 };
        for (id, way, trips) in [("e0", 300.0, 1), ("e1", 10.0, 1), ("e2", 15.0, 2), ("e3", 300.0, 2)] {
            let mut ms = |times| (0..times).map(|_| way * detour * (1.0 + 0.1 * dice.roll())).sum::<f64>();
            let (way_ms, back_ms) = (ms(trips), ms(1));
            // Now and then the first packet is dropped.
            let stood_ms = way_ms + if dice.chance(0.01) { 1_000.0 } else { 0.0 };
            let took = Took { ms: back_ms + 5.0 + 5.0 * dice.roll(), stood_ms, trips, object: 0 };
            outliers.check(id, Check::Passed(took), now, now);
        }
        assert_eq!(outliers.judge(&fleet, now), [], "at {now} ms");
    }
    for now in (120_000..123_000u64).step_by(500) {
        outliers.check("e0", over(450.0 * (1.0 + 0.1 * dice.roll()), 80.0 + 50.0 * dice.roll()), now, now);
    }
    assert_eq!(ejected(&outliers.judge(&fleet, 123_000)), [("e0", "slow")], "ten times its usual 5 to 10 ms");
}

#[test]
fn an_edge_whose_queue_of_connections_is_full_is_slow() {
    for trips in [1, 2] {
        let fleet = fleet(3);
        let mut outliers = known(&fleet);
        for now in (0..10_000u64).step_by(500) {
            for id in ["e0", "e1", "e2"] {
                // The first packet of a connection is dropped, and sent again after a second.
                let again_ms = if id == "e0" && now >= 5_000 { 1_000.0 } else { 0.0 };
                let took = Took { ms: 22.0, stood_ms: again_ms + 20.0 * f64::from(trips), trips, object: 0 };
                outliers.check(id, Check::Passed(took), now, now);
            }
        }
        assert_eq!(ejected(&outliers.judge(&fleet, 10_000)), [("e0", "slow")], "{trips} trips");
    }
}

/// Three edges, of which `e0` shows what `first` says for ten seconds and then what `then` does; who is condemned.
fn changes(reported: f64, first: impl Fn(u64) -> Took, then: Took) -> Option<&'static str> {
    let mut fleet = fleet(3);
    fleet[0].reported = reported;
    let mut outliers = known(&fleet);
    for now in (0..30_000u64).step_by(500) {
        let took = if now < 10_000 { first(now) } else { then };
        outliers.check("e0", Check::Passed(took), now, now);
        for id in ["e1", "e2"] {
            outliers.check(id, passed(5.0), now, now);
        }
        if let Some((id, word)) = ejected(&outliers.judge(&fleet, now)).first() {
            assert_eq!(*id, "e0");
            return Some(word);
        }
    }
    None
}

#[test]
fn an_edge_that_stands_still_for_a_second_is_not_slow() {
    for (slow_until, word) in [(0, None), (7_500, Some("slow"))] {
        let fleet = fleet(3);
        let mut outliers = known(&fleet);
        let (mut waiting, mut found) = (Vec::new(), None);
        for now in (0..12_000u64).step_by(150) {
            waiting.push(now);
            // It answers all that came meanwhile when it goes on, and then is slow no more, or is for a while.
            if !(5_000..6_000).contains(&now) {
                let more_ms = if (6_000..slow_until).contains(&now) { 100.0 } else { 5.0 };
                for began in waiting.drain(..) {
                    outliers.check("e0", passed((now - began) as f64 + more_ms), began, now);
                }
            }
            for id in ["e1", "e2"] {
                outliers.check(id, passed(5.0), now, now);
            }
            found = found.or(ejected(&outliers.judge(&fleet, now)).first().map(|(_, word)| *word));
        }
        assert_eq!(found, word, "slow until {slow_until} ms");
    }
}

#[test]
fn two_quick_answers_end_a_suspicion_and_one_does_not() {
    let fleet = fleet(3);
    let mut outliers = known(&fleet);
    let mut now = 0;
    for (ms, times, suspicious) in
        [(5.0, 6, false), (90.0, 1, true), (5.0, 1, false), (90.0, 6, true), (5.0, 1, true), (5.0, 1, false)]
    {
        for _ in 0..times {
            now += 150;
            outliers.check("e0", passed(ms), now, now);
        }
        assert_eq!(outliers.suspicious("e0", now), suspicious, "after {times} of {ms} ms");
    }
}

#[test]
fn one_connection_that_stood_late_spoils_nothing() {
    let usual = Took { ms: 250.0, stood_ms: 150.0, trips: 1, object: 0 };
    // Its first, or any: a packet of the handshake was late, and the source is a hundred milliseconds from the edge.
    for late in [0, 4_000] {
        let first = |now| if now == late { Took { stood_ms: 650.0, ..usual } } else { usual };
        assert_eq!(changes(0.1, first, usual), None, "late at {late} ms");
        let slow = Took { ms: 320.0, ..usual };
        assert_eq!(changes(0.1, first, slow), Some("lying"), "late at {late} ms");
    }
}

#[test]
fn an_edge_that_is_slow_for_tls_too_is_slow() {
    let usual = |_| Took { ms: 25.0, stood_ms: 42.0, trips: 2, object: 0 };
    for (what, ms, stood_ms, word) in [
        ("both", 85.0, 102.0, Some("slow")),
        ("the answer alone", 85.0, 42.0, Some("slow")),
        ("the handshake alone, which viewers bear once", 25.0, 142.0, None),
        ("a little", 65.0, 82.0, None),
    ] {
        assert_eq!(changes(0.6, usual, Took { ms, stood_ms, trips: 2, object: 0 }), word, "{what}");
    }
}

#[test]
fn a_way_that_has_grown_for_good_is_no_slow_edge() {
    for trips in [1, 2] {
        let over =
            |way_ms: f64| Took { ms: way_ms + 5.0, stood_ms: way_ms * f64::from(trips), trips, object: 0 };
        assert_eq!(changes(0.1, |_| over(60.0), over(180.0)), None, "{trips} trips");
        // By satellite even two trips without loss take more than a second.
        assert_eq!(changes(0.1, |_| over(610.0), over(660.0)), None, "{trips} trips");
        let slow = Took { ms: 700.0, ..over(610.0) };
        assert_eq!(changes(0.1, |_| over(610.0), slow), Some("lying"), "{trips} trips");
    }
}

#[test]
fn an_edge_that_begins_to_speak_tls_begins_anew() {
    let plain = |_| Took { ms: 105.0, stood_ms: 100.0, trips: 1, object: 0 };
    let both =
        |now| if now < 5_000 { plain(now) } else { Took { ms: 105.0, stood_ms: 203.0, trips: 2, object: 0 } };
    assert_eq!(changes(0.1, plain, both(10_000)), None);
    assert_eq!(changes(0.1, both, Took { ms: 160.0, ..both(10_000) }), Some("lying"));
}

#[test]
fn each_object_of_an_edge_is_measured_by_itself() {
    // One that is fetched beside one that is in memory; of so many, two always share what is known of one.
    for (objects, quiet) in [([0, 1], true), ([3, 7], true), ([0, 64], false)] {
        let fleet = fleet(3);
        let mut outliers = known(&fleet);
        let mut found = None;
        for n in 0..60 {
            let now = 500 * n as u64;
            let (usual_ms, object) = ([15.0, 160.0][n % 2], objects[n % 2]);
            let more_ms = if n >= 40 { 110.0 } else { 0.0 };
            let took = Took { ms: usual_ms + more_ms, stood_ms: 10.0, trips: 1, object };
            outliers.check("e0", Check::Passed(took), now, now);
            for id in ["e1", "e2"] {
                outliers.check(id, passed(5.0), now, now);
            }
            if n > 1 && n < 40 {
                assert_eq!(outliers.suspicious("e0", now), !quiet && n % 2 == 1, "{objects:?}, {n}");
            }
            found = found.or(ejected(&outliers.judge(&fleet, now)).first().map(|_| n));
        }
        assert!(found.is_some_and(|n| n >= 40), "{objects:?}: {found:?}");
        let longest = if quiet { 170.0 } else { 25.0 };
        assert!((outliers.usual_ms("e0").unwrap() - longest).abs() < 1.0, "what takes longest is waited for");
    }
}

#[test]
fn the_longest_ways_vary_and_their_edges_are_no_slow_ones() {
    // Six checks in a row over 850 ms come 85 ms later than the quickest; where the edge takes 50 ms more, it is that.
    for (more_ms, found) in [(0.0, None), (50.0, Some("lying"))] {
        let over = |ms: f64| Took { ms: 855.0 + ms, stood_ms: 1_700.0, trips: 2, object: 0 };
        assert_eq!(changes(0.1, |_| over(0.0), over(85.0 + more_ms)), found, "{more_ms} ms more");
    }
}
