//! A decision allocates nothing: counted by the allocator itself.

#![allow(clippy::unwrap_used, clippy::expect_used, unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell as Local,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use kromka_selector::rank::{
    Candidate, Cell, Learner, Parts, Position, Question, Snapshot, Stay, Whereabouts, Zone, Zones, decide,
    keep,
};

thread_local! {
    static ALLOCATIONS: Local<u64> = const { Local::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system's allocator as it came; the counter is a plain number of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const NOW_MS: u64 = 1_000_000;

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0A00_0001 | n << 8))
}

/// Edges that are sound, loaded, failing, draining, suspect, dead and just back, with distances and zones.
fn snapshot(dead: usize) -> Snapshot {
    let edge = |n: usize| Candidate {
        heard_ms: if n < dead { 0 } else { NOW_MS - [100, 100, 100, 2_000][n % 4] },
        draining: n % 7 == 3,
        gone: n % 13 == 5,
        ejected: n % 11 == 2,
        reported: n as f64 / 40.0,
        session_load: 0.001,
        gain: 2.0,
        returned_ms: n.is_multiple_of(5).then_some(NOW_MS - 10_000),
        ..Candidate::supposed(
            &format!("e{n:03}"),
            &format!("s{:02}", n / 3),
            1_000_000_000 * (1 + n as u64 % 3),
        )
    };
    let mut learner = Learner::default();
    for cell in 0..64 {
        for site in 0..12 {
            let place = Whereabouts { asn: Some(cell), country: Some(*b"NL"), position: None };
            let ms = f64::from(cell * 7 % 90 + site);
            learner.learn(Cell::of(client(cell)), &place, &format!("s{site:02}"), 50, ms, 0);
        }
    }
    let zone = Zone { prefer: vec!["s03".into()], deny: vec!["s00".into()] };
    let parts = Parts {
        edges: (0..36).map(edge).collect(),
        distances: Arc::new(learner.whole_table(0)),
        zones: Arc::new(Zones::new([("10.0.3.0/24".parse().unwrap(), zone)])),
        ..Parts::default()
    };
    Snapshot::build(parts, None, NOW_MS)
}

#[test]
fn no_decision_allocates() {
    let exclude = ["e001".to_owned(), "e020".to_owned()];
    let place = Whereabouts {
        asn: Some(5),
        country: Some(*b"NL"),
        position: Some(Position { latitude: 52.0, longitude: 5.0, accuracy_km: 20.0 }),
    };
    let keys: Vec<String> = (0..97).map(|n| format!("default/stream/{n}/")).collect();
    for dead in [0, 12, 30, 36] {
        let snapshot = snapshot(dead);
        let before = ALLOCATIONS.get();
        let mut edges = 0;
        for n in 0..2_000u32 {
            let key = keys[n as usize % keys.len()].as_str();
            let question = Question {
                client: (!n.is_multiple_of(5)).then(|| client(n % 200)),
                place: if n.is_multiple_of(3) { place } else { Whereabouts::default() },
                content_key: key,
                session: n.is_multiple_of(2).then_some(key),
                exclude: if n.is_multiple_of(7) { &exclude } else { &[] },
                k: (n % 9) as usize,
                // Also when what the snapshot reckoned no longer holds.
                now_ms: NOW_MS + u64::from(n % 4) * 800,
            };
            let ranking = decide(&snapshot, &question);
            ranking.assign(1.0);
            edges += ranking.edges.len();
            black_box(keep(&snapshot, &question, &Stay { edge: "e007", ..Stay::default() }));
        }
        assert!(edges > 0);
        assert_eq!(ALLOCATIONS.get() - before, 0, "{dead} dead edges");
    }
}
