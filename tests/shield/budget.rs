//! What a tier takes of its machine is what it was given, whatever is asked of it.

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::Method;

use crate::world::fleet::Plan;
use crate::world::{Fleet, Source, Viewer, media, within};

/// What `world::settings` gives every tier.
const MEMORY: u64 = 64 << 20;
const OBJECT: usize = 1 << 20;
/// Objects that viewers dawdle over: more than sockets take off a tier's hands.
const LONG: usize = 16 << 20;
const DAWDLERS: usize = 24;
/// What a fetch takes besides blocks: what its two connections hold of what they read and write.
const EACH: u64 = 1 << 20;
/// The most that a tier may take. Records and what is on its way need something as well.
const ALLOWED: u64 = MEMORY * 3 / 2 + EACH * DAWDLERS as u64;
const _: () = assert!(ALLOWED < 2 * MEMORY);
/// Of the flood, at once.
const AT_ONCE: usize = 8;

/// What a process holds in memory, memory files included, and the most it ever held, bytes.
fn resident(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    };
    (of("VmRSS"), of("VmHWM"))
}

/// What both tiers' accounts say of the memory for blocks, right now: never more than was given.
async fn within_their_accounts(fleet: &Fleet, when: &str) {
    for role in [&fleet.edges[0], &fleet.shield] {
        let held = role.metric("kromka_cache_memory_bytes").await;
        let limit = role.metric("kromka_cache_memory_limit_bytes").await;
        assert_eq!(limit, MEMORY as f64, "{}", role.id);
        assert!(held <= limit, "{}, {when}: {held} of {limit} bytes", role.id);
    }
}

/// Opens as many connections as the flood and the dawdlers will use, for next to nothing.
async fn connect(viewer: &Viewer, fleet: &Fleet, source: &Source) {
    let paths: Vec<String> = (0..DAWDLERS + AT_ONCE).map(|n| format!("/stream/tiny-{n}.ts")).collect();
    paths.iter().for_each(|path| source.put(path, "tiny"));
    let opened = join_all(
        paths
            .iter()
            .map(|path| async move { viewer.open(Method::GET, &fleet.signed(path), &[]).await.unwrap() }),
    );
    for response in within("tiny objects", opened).await {
        assert_eq!(crate::world::viewer::read(response).await.unwrap(), "tiny");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_with_readers_that_dawdle_stays_within_the_memory_that_was_given_and_nobody_gets_an_error() {
    let source = Source::start().await;
    let bodies: Vec<Bytes> = (0..8).map(|seed| media::noise(seed, OBJECT).into()).collect();
    let flood: Vec<String> = (0..3 * MEMORY as usize / OBJECT).map(|n| format!("/stream/{n}.ts")).collect();
    for (n, path) in flood.iter().enumerate() {
        source.put(path, bodies[n % bodies.len()].clone());
    }
    let long: Bytes = media::noise(99, LONG).into();
    let slow: Vec<String> = (0..DAWDLERS).map(|n| format!("/stream/long-{n}.ts")).collect();
    slow.iter().for_each(|path| source.put(path, long.clone()));

    let mut fleet = Plan::web(&source.url).start().await;
    let processes = [fleet.edges[0].process().id(), fleet.shield.process().id()];
    let viewer = Viewer::new();
    let before = processes.map(|process| resident(process).0);
    connect(&viewer, &fleet, &source).await;
    let mut dawdling = Vec::new();
    for path in &slow {
        let response = viewer.open(Method::GET, &fleet.signed(path), &[]).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut pieces = response.bytes_stream();
        let first = within("a first piece", pieces.next()).await.unwrap().unwrap();
        dawdling.push((first, pieces));
    }
    within_their_accounts(&fleet, "the dawdlers have begun").await;
    let mut peaks = Vec::new();
    for pass in 0..4 {
        let asked = flood.iter().enumerate().map(|(n, path)| {
            let (viewer, url, body) = (viewer.clone(), fleet.signed(path), &bodies[n % bodies.len()]);
            async move {
                let got = viewer.get(&url).await;
                assert_eq!((got.status, got.bytes() == body), (200, true), "{url}");
            }
        });
        stream::iter(asked).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        within_their_accounts(&fleet, &format!("pass {pass} of the flood")).await;
        peaks.push(processes.map(|process| resident(process).1));
    }
    for (first, mut pieces) in dawdling {
        let mut come = first.len();
        assert!(long.starts_with(&first));
        while let Some(piece) = within("the rest", pieces.next()).await {
            let piece = piece.expect("an error to one who dawdled");
            assert!(long[come..].starts_with(&piece), "foreign bytes at {come}");
            come += piece.len();
        }
        assert_eq!(come, LONG);
    }
    within_their_accounts(&fleet, "all have what they asked for").await;
    for (n, (process, before)) in processes.into_iter().zip(before).enumerate() {
        let most = resident(process).1 - before;
        assert!(most < ALLOWED, "{most} bytes for a budget of {MEMORY}");
        assert!(most > MEMORY / 2, "{most} bytes: it was no flood");
        // The system adds up what its processors count, and may come to a little less later on.
        let grown = peaks[3][n].saturating_sub(peaks[1][n]);
        assert!(grown < MEMORY / 16, "twice as long a flood holds {grown} bytes more");
    }
}
