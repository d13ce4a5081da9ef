//! What one decision costs: 36, 99 and 400 edges, alone and on two threads, with and without counting the viewer.
//!
//! `cargo bench -p kromka-bench --bench decision`. Distances are measured ones, edges are of three sizes and loaded
//! between 30 and 80 %, a question has an address, a title and a session. One edge is wanted, as by a redirect, or
//! three, as by a playback session.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kromka_bench::sim::dice::Dice;
use kromka_selector::rank::{Candidate, Cell, Learner, Parts, Question, Snapshot, Whereabouts, decide};

/// Sites and nodes in each.
const FLEETS: [(usize, usize); 3] = [(12, 3), (33, 3), (100, 4)];

const CELLS: u32 = 1_024;

const NOW_MS: u64 = 1_000_100;

fn client(cell: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0A00_0005 | cell << 12))
}

fn snapshot(sites: usize, per_site: usize) -> Snapshot {
    let mut dice = Dice::new(1, 1);
    let mut learner = Learner::default();
    for cell in 0..CELLS {
        for site in 0..sites {
            let ms = dice.between(5.0, 250.0);
            learner.learn(
                Cell::of(client(cell)),
                &Whereabouts::default(),
                &format!("s{site:03}"),
                120,
                ms,
                0,
            );
        }
    }
    let edges = (0..sites * per_site).map(|number| Candidate {
        heard_ms: NOW_MS - 100,
        reported: dice.between(0.3, 0.8),
        session_load: 1e-9,
        ..Candidate::supposed(
            &format!("edge-{number:04}"),
            &format!("s{:03}", number / per_site),
            [5_000_000_000, 10_000_000_000, 15_000_000_000][number % 3],
        )
    });
    let parts =
        Parts { edges: edges.collect(), distances: Arc::new(learner.whole_table(0)), ..Parts::default() };
    Snapshot::build(parts, None, NOW_MS)
}

struct Questions {
    titles: Vec<String>,
    sessions: Vec<String>,
}

impl Questions {
    fn new() -> Questions {
        Questions {
            titles: (0..512).map(|title| format!("default/stream/{title}/")).collect(),
            sessions: (0..512).map(|session| format!("019d0000-0000-7000-8000-{session:012x}")).collect(),
        }
    }

    fn nth(&self, number: usize, k: usize) -> Question<'_> {
        Question {
            client: Some(client(number as u32 * 31 % CELLS)),
            content_key: &self.titles[number % self.titles.len()],
            session: Some(&self.sessions[number * 7 % self.sessions.len()]),
            k,
            now_ms: NOW_MS,
            ..Question::default()
        }
    }
}

/// The time that `rounds` decisions for `k` edges take on each of `threads` threads at once.
fn time(
    snapshot: &Snapshot,
    questions: &Questions,
    [threads, k]: [usize; 2],
    rounds: u64,
    assign: bool,
) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for round in 0..rounds as usize {
                    let ranking = decide(snapshot, black_box(&questions.nth(round * 7 + thread * 13, k)));
                    if assign {
                        ranking.assign(1.0);
                    }
                    black_box(&ranking.edges);
                }
            });
        }
    });
    began.elapsed()
}

fn decisions(criterion: &mut Criterion) {
    let questions = Questions::new();
    let kinds =
        [("decide, 1 wanted", 1, false), ("decide, 3 wanted", 3, false), ("and assign, 3 wanted", 3, true)];
    for (name, k, assign) in kinds {
        let mut group = criterion.benchmark_group(name);
        group
            .sample_size(20)
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500));
        for (sites, per_site) in FLEETS {
            let snapshot = snapshot(sites, per_site);
            for threads in [1, 2] {
                group.throughput(Throughput::Elements(threads as u64));
                let id =
                    BenchmarkId::new(format!("{} edges", sites * per_site), format!("{threads} threads"));
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|rounds| time(&snapshot, &questions, [threads, k], rounds, assign));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
