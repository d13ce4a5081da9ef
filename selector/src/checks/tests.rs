//! When which edge is checked, with which object, and what comes of it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use kromka_config::Span;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::*;
use crate::rank::outlier::{CHECK_MS, HOLD_MS, TIMEOUT_MS};

const SECOND: Duration = Duration::from_secs(1);

fn edges(count: usize) -> Vec<ToCheck> {
    let edge = |n| ToCheck {
        id: format!("e{n}").into(),
        url: "http://edge.example".into(),
        suspicious: false,
        usual_ms: None,
    };
    (0..count).map(edge).collect()
}

/// Whose checks begin at one instant.
fn begin(plan: &mut Plan, edges: &[ToCheck], at: Instant) -> Vec<Arc<str>> {
    plan.due(edges, AT_ONCE, at).iter().map(|(edge, _)| Arc::clone(&edge.id)).collect()
}

/// Who is checked how often while so much time goes by, and the turns of each.
fn checked(
    plan: &mut Plan,
    edges: &[ToCheck],
    most: usize,
    from: Instant,
    passes: Duration,
) -> BTreeMap<String, Vec<usize>> {
    let mut checked: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for tick in 0..passes.as_millis() / TICK.as_millis() {
        for (edge, turn) in plan.due(edges, most, from + TICK * tick as u32) {
            checked.entry(edge.id.to_string()).or_default().push(turn);
        }
    }
    checked
}

#[test]
fn each_edge_is_checked_at_its_interval_and_a_suspicious_one_sooner() {
    let (mut edges, mut plan, now) = (edges(4), Plan::new(SECOND), Instant::now());
    edges[2].suspicious = true;
    let checked = checked(&mut plan, &edges, AT_ONCE, now, 10 * SECOND);
    let counts: Vec<usize> = checked.values().map(Vec::len).collect();
    assert_eq!(counts[..2], [10, 10]);
    assert!(counts[2] > 60, "an eighth of the interval, in steps of a tick: {counts:?}");
}

#[test]
fn an_edge_whose_check_takes_longer_than_usual_is_checked_sooner_before_it_ends() {
    // The first tick on which one is late: an edge next door is looked after as well.
    for (usual_ms, late) in [(100.0, 6), (0.6, 4)] {
        let (mut edges, mut plan, now) = (edges(2), Plan::new(SECOND), Instant::now());
        edges[0].usual_ms = Some(usual_ms);
        let mut begun = Vec::new();
        for tick in 0..120 {
            let at = now + TICK * tick;
            // Each is over at once, but for the first, which takes two seconds.
            for id in begin(&mut plan, &edges, at) {
                if &*id == "e0" {
                    begun.push(tick);
                }
                if &*id != "e0" || tick > 0 {
                    plan.ended(&id, at);
                }
            }
            if tick == 40 {
                plan.ended("e0", now);
            }
        }
        let between: Vec<_> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(between[..4], [late, 3, 3, 3], "usually {usual_ms} ms: {begun:?}");
        assert_eq!(between.last(), Some(&20), "as usual again: {begun:?}");
    }
}

#[test]
fn an_edge_is_late_until_all_that_take_longer_have_ended() {
    let (mut edges, mut plan, now) = (edges(2), Plan::new(SECOND), Instant::now());
    edges[0].usual_ms = Some(10.0);
    let mut begun = Vec::new();
    for tick in 0..60 {
        let at = now + TICK * tick;
        begun.extend(begin(&mut plan, &edges, at).iter().filter(|id| ***id == *"e0").map(|_| at));
        // Each takes half a second.
        for began in begun.iter().filter(|began| at.duration_since(**began) == TICK * 10) {
            plan.ended("e0", *began);
        }
    }
    let between: Vec<_> = begun.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(between.len() > 15 && between[1..].iter().all(|ms| *ms == 150), "{between:?}");
}

#[test]
fn where_most_are_late_nobody_is_asked_sooner() {
    // The source stalls, or this selector's line: what begins does not end. Each third tick one is asked sooner; the
    // third of four is late 0.7 s after the first was asked.
    for (stalled, times) in [(2, 33), (3, 9), (4, 9)] {
        let (mut edges, mut plan, now) = (edges(4), Plan::new(SECOND), Instant::now());
        edges.iter_mut().for_each(|edge| edge.usual_ms = Some(20.0));
        let mut begun = 0;
        for tick in 0..100 {
            let at = now + TICK * tick;
            for id in begin(&mut plan, &edges, at) {
                begun += usize::from(&*id == "e0");
                if edges[stalled..].iter().any(|edge| edge.id == id) {
                    plan.ended(&id, at);
                }
            }
        }
        assert_eq!(begun, times, "{stalled} of 4 stall");
    }
}

#[test]
fn of_an_edge_of_which_no_check_ever_passes_it_is_said_once() {
    let (edges, mut plan, now) = (edges(2), Plan::new(SECOND), Instant::now());
    plan.due(&edges, AT_ONCE, now);
    let said: Vec<_> = (1..40).filter(|_| plan.has_never_passed("e0", Check::Lost)).collect();
    assert_eq!(said, [10]);
    let passed = Check::Passed(Took { ms: 1.0, stood_ms: 1.0, trips: 1, object: 0 });
    assert!(!plan.has_never_passed("e1", passed));
    assert!(
        (0..40).all(|_| !plan.has_never_passed("e1", Check::Lost)),
        "one that has passed fails as edges fail"
    );
    assert!(!plan.has_never_passed("else", Check::Lost));
}

#[test]
fn a_new_fleet_is_not_knocked_at_in_step() {
    let (edges, mut plan, now) = (edges(10), Plan::new(SECOND), Instant::now());
    for tick in 0..20 {
        let due = plan.due(&edges, AT_ONCE, now + TICK * tick).len();
        assert!(due <= 1, "{due} at tick {tick}");
    }
}

#[test]
fn every_edge_shows_the_objects_of_all_services() {
    // Were the services counted over all edges, each of four edges would be shown the same of two for ever.
    let (edges, mut plan, now) = (edges(4), Plan::new(SECOND), Instant::now());
    for (edge, turns) in checked(&mut plan, &edges, AT_ONCE, now, 6 * SECOND) {
        let of_two: Vec<usize> = turns.iter().map(|turn| turn % 2).collect();
        assert!(of_two.windows(2).all(|pair| pair[0] != pair[1]), "{edge}: {turns:?}");
    }
}

#[test]
fn where_not_all_can_be_checked_at_once_those_that_wait_longest_are() {
    let (edges, mut plan, now) = (edges(40), Plan::new(SECOND), Instant::now());
    // One at a tick: twenty a second of forty.
    let checked = checked(&mut plan, &edges, 1, now, 20 * SECOND);
    assert_eq!(checked.len(), 40, "nobody is left out");
    for (edge, turns) in checked {
        assert!((8..=12).contains(&turns.len()), "{edge}: {}", turns.len());
    }
}

#[test]
fn who_has_left_is_forgotten() {
    let (edges, mut plan, now) = (edges(5), Plan::new(SECOND), Instant::now());
    plan.due(&edges, AT_ONCE, now);
    plan.due(&edges[..2], AT_ONCE, now);
    assert_eq!(plan.edges.len(), 2);
}

#[test]
fn what_is_usual_is_what_is_configured_by_itself() {
    let usual = ChecksConfig::default();
    let ms = [usual.interval, usual.timeout, usual.hold].map(|span| span.as_millis());
    assert_eq!(ms, [CHECK_MS, TIMEOUT_MS, HOLD_MS].map(u128::from));
}

/// A server that says `bytes` to each request and closes; nothing, and holds on, where there are none.
async fn says(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            match bytes {
                "" => held.push(stream),
                bytes => stream.write_all(bytes.as_bytes()).await.unwrap(),
            }
        }
    });
    url
}

fn patient(timeout_ms: u64) -> Checker {
    Checker::new(&ChecksConfig { timeout: Span::millis(timeout_ms), ..ChecksConfig::default() }).unwrap()
}

#[tokio::test]
async fn what_comes_tells_what_a_check_has_shown() {
    for (answer, outcome) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "passed"),
        ("HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nok", "passed"),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "refused"),
        ("HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", "refused"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", "lost"),
        ("nonsense\r\n\r\n", "lost"),
    ] {
        let edge = ToCheck { url: says(answer).await.into(), ..edges(1).remove(0) };
        let (began, checker) = (Instant::now(), patient(5_000));
        let Ended { edge, check, .. } = checker.check(edge, Asked::built_in(), began).await;
        let took = match check {
            Check::Passed(took) if outcome == "passed" => took,
            Check::Refused(took) if outcome == "refused" => took,
            Check::Lost if outcome == "lost" => continue,
            other => panic!("{answer:?} is {outcome}, not {other:?}"),
        };
        assert_eq!((&*edge, took.trips), ("e0", 1));
        assert!(took.stood_ms > 0.0 && took.ms > 0.0, "{took:?}");
        assert!(took.stood_ms + took.ms <= began.elapsed().as_secs_f64() * 1000.0, "{took:?}");
    }
}

/// An address where who knocks hears nothing: the queue of a server that takes nobody in is full. Holds while what comes
/// with it does.
async fn nobody_answers() -> (String, impl Sized) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut knocked = Vec::new();
    while let Ok(stood) = timeout(Duration::from_millis(300), TcpStream::connect(addr)).await {
        knocked.push(stood.unwrap());
    }
    (format!("http://{addr}"), (listener, knocked))
}

#[tokio::test]
async fn a_connection_to_an_edge_that_is_not_known_yet_is_waited_for_as_long_as_an_answer() {
    let (url, _held) = nobody_answers().await;
    let (began, checker) = (Instant::now(), patient(200));
    let edge = ToCheck { url: url.into(), ..edges(1).remove(0) };
    assert_eq!(checker.check(edge, Asked::built_in(), began).await.check, Check::Lost);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_far_edge_is_waited_for_longer_and_nobody_for_ever() {
    let url: Arc<str> = says("").await.into();
    let checker = patient(200);
    for (usual_ms, patience_ms) in [(None, 400), (Some(0.6), 200), (Some(150.0), 350), (Some(3.6e6), 400)] {
        let edge = ToCheck { url: Arc::clone(&url), usual_ms, ..edges(1).remove(0) };
        let patience = checker.patience(&edge);
        assert_eq!(patience.as_millis(), patience_ms, "usually {usual_ms:?} ms");
        let began = Instant::now();
        let ended = checker.check(edge, Asked::built_in(), began).await;
        assert_eq!(ended.check, Check::Lost);
        assert!(began.elapsed() >= patience, "usually {usual_ms:?} ms");
    }
}
