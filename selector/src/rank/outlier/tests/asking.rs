//! How often an edge is asked, and how long it is waited for.

use super::*;
use crate::rank::outlier::asking::*;

#[test]
fn a_check_is_waited_for_by_what_one_takes_and_not_past_half_of_the_window() {
    for (timeout_ms, usual_ms, waited_ms) in [
        (2_000.0, Some(0.6), 2_000.6),
        (2_000.0, Some(300.0), 2_300.0),
        (2_000.0, Some(9_000.0), 4_000.0),
        (500.0, None, 1_000.0),
        (4_000.0, Some(3_000.0), 5_000.0),
        (5_000.0, None, 5_000.0),
        (6_000.0, Some(1.0), 6_000.0),
    ] {
        assert_eq!(patience_ms(timeout_ms, usual_ms), waited_ms, "{timeout_ms} {usual_ms:?}");
    }
}

#[test]
fn what_is_known_tells_what_is_late_and_nothing_else_does() {
    assert!(!is_late(1e9, None));
    for (usual_ms, waited_ms, late) in
        [(0.6, 150.0, false), (0.6, 151.0, true), (300.0, 450.0, false), (300.0, 451.0, true)]
    {
        assert_eq!(is_late(waited_ms, Some(usual_ms)), late, "{waited_ms} of {usual_ms}");
    }
    assert_eq!([false, true].map(|soon| next_ms(1_000.0, soon)), [1_000.0, 125.0]);
    assert_eq!(
        [(0, 0), (1, 2), (2, 3), (1, 1)].map(|(some, all)| are_most(some, all)),
        [false, false, true, true]
    );
}

#[test]
fn an_edge_that_answers_no_more_is_found_however_long_it_is_waited_for() {
    let fleet = fleet(3);
    for (timeout_ms, way_ms) in [(2_000.0, 5.0), (2_000.0, 1_500.0), (5_000.0, 5.0), (5_000.0, 1_500.0)] {
        let mut outliers = known(&fleet);
        assert_eq!(outliers.usual_ms("e0"), None);
        outliers.check("e0", over(way_ms, 0.0), 500, 4_000);
        let usual_ms = outliers.usual_ms("e0");
        assert_eq!(usual_ms, Some(2.0 * way_ms));
        let waited = patience_ms(timeout_ms, usual_ms) as u64;
        // One is asked so often where the interval is three seconds.
        let found = (4_000..16_000).step_by(375).any(|began| {
            outliers.check("e0", Check::Lost, began, began + waited);
            ejected(&outliers.judge(&fleet, began + waited)) == [("e0", "checks")]
        });
        assert!(found, "{timeout_ms} ms for an edge {way_ms} ms away");
    }
}

#[test]
fn checks_are_remembered_for_ten_seconds_though_they_come_as_fast_as_they_can() {
    let mut outliers = known(&fleet(2));
    outliers.check("e0", passed(3.0), 990, 995);
    outliers.check("e0", refused(3.0), 1_000, 1_005);
    for now in (1_000..11_000).step_by(LOOK_MS as usize).skip(1) {
        outliers.check("e0", passed(3.0), now, now);
    }
    assert_eq!(outliers.edges["e0"].evidence.failed(), 1);
}
