//! What a disk's policy is worth: byte hit ratios of the cache's own policy code beside what others do, on one
//! deterministic stream of requests.
//!
//! Popularity is Zipf, sizes are those of media segments, a crawl through objects that nobody else wants runs
//! through the second half of the measured part, and (in the rows "drifting") what is popular changes.

use std::collections::{HashMap, VecDeque};

use anyhow::Result;
use clap::Parser;
use kromka_bench::facts::Facts;
use kromka_bench::frame::Evidence;
use kromka_bench::report::Report;
use kromka_bench::table::Table;
use kromka_cache::policy::{Entries, Policy, Seen};
use moka::sync::Cache as Moka;
use serde::Serialize;

const WHAT: &str = "Byte hit ratio in percent, before and during a one-off crawl of ten times the cache. Ours is \
    `kromka_cache::policy` with and without admission; S3-FIFO (small queue 10 %, ghosts as many as objects) and \
    LRU are written here, W-TinyLFU is moka. Deterministic: the same numbers on every machine.";

/// Byte hit ratios of eviction and admission.
#[derive(Parser)]
struct Args {
    /// Objects in the catalogue.
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
    /// Requests of each run.
    #[arg(long, default_value_t = 1_600_000)]
    requests: usize,
    #[command(flatten)]
    evidence: Evidence,
}

#[derive(Serialize)]
struct Row {
    drifting: bool,
    alpha: f64,
    cache_percent: u64,
    policy: &'static str,
    quiet: f64,
    crawled: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut rows = Vec::new();
    for drifting in [false, true] {
        for alpha in [0.8, 0.9, 1.0, 1.1] {
            let popularity = Zipf::new(args.objects, alpha);
            for percent in [1, 3, 10] {
                let total: u64 = (0..args.objects as u64).map(size).sum();
                let room = total / 100 * percent;
                let rivals: [(&'static str, Box<dyn Cache>); 5] = [
                    ("ours", Box::new(Ours::new(room, true))),
                    ("ours, always", Box::new(Ours::new(room, false))),
                    ("s3-fifo", Box::new(S3Fifo::new(room))),
                    ("w-tinylfu", Box::new(TinyLfu::new(room))),
                    ("lru", Box::new(Lru::new(room))),
                ];
                for (policy, mut cache) in rivals {
                    let (quiet, crawled) = run(&args, cache.as_mut(), &popularity, room, drifting);
                    rows.push(Row { drifting, alpha, cache_percent: percent, policy, quiet, crawled });
                }
            }
        }
    }
    let names = ["ours", "ours, always", "s3-fifo", "w-tinylfu", "lru"];
    let mut table = Table::new(&[
        "stream",
        "Zipf",
        "cache",
        "ours",
        "ours, always",
        "S3-FIFO",
        "W-TinyLFU",
        "LRU",
        "to the better",
    ]);
    for group in rows.chunks(names.len()) {
        let cell = |row: &Row| format!("{:.1} / {:.1}", row.quiet, row.crawled);
        let better = |of: fn(&Row) -> f64| of(&group[0]) - of(&group[2]).max(of(&group[3]));
        let mut cells = vec![
            if group[0].drifting { "drifting" } else { "steady" }.to_owned(),
            format!("{:.1}", group[0].alpha),
            format!("{} %", group[0].cache_percent),
        ];
        cells.extend(group.iter().map(cell));
        cells.push(format!("{:+.1} / {:+.1}", better(|row| row.quiet), better(|row| row.crawled)));
        table.line(cells);
    }
    let facts = Facts::of_itself();
    let settings = [("objects", args.objects.to_string()), ("requests", args.requests.to_string())];
    let report = Report {
        name: "hit-ratio",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &table.markdown(),
        numbers: &rows,
    };
    args.evidence.tell(&report)
}

/// Ratios in percent: before the crawl, and from its beginning on.
fn run(args: &Args, cache: &mut dyn Cache, popularity: &Zipf, room: u64, drifting: bool) -> (f64, f64) {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut ranks: Vec<u64> = (0..args.objects as u64).collect();
    let mut ratios = [(0u64, 0u64); 2];
    let mut crawled = 1u64 << 40;
    let crawl_ends = crawled + room * 10 / 1_100_000;
    for request in 0..args.requests {
        if drifting && request % 20 == 0 {
            let swap = |random: &mut Random| (random.next() % args.objects as u64) as usize;
            ranks.swap(swap(&mut random), swap(&mut random));
        }
        let part = usize::from(request >= args.requests * 6 / 10);
        if part == 1 && crawled < crawl_ends {
            for _ in 0..2 {
                cache.ask(crawled, size(crawled));
                crawled += 1;
            }
        }
        let object = ranks[popularity.draw(&mut random)];
        let bytes = size(object);
        let hit = cache.ask(object, bytes);
        if request >= args.requests * 3 / 10 {
            ratios[part].0 += if hit { bytes } else { 0 };
            ratios[part].1 += bytes;
        }
    }
    let percent = |(hit, all): (u64, u64)| 100.0 * hit as f64 / all.max(1) as f64;
    (percent(ratios[0]), percent(ratios[1]))
}

/// Bytes of an object: 0.2 to 2 MB.
fn size(object: u64) -> u64 {
    200_000 + (object.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 1_800_000
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

struct Zipf(Vec<f64>);

impl Zipf {
    fn new(objects: usize, alpha: f64) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=objects)
            .map(|rank| {
                sum += (rank as f64).powf(-alpha);
                sum
            })
            .collect();
        sums.iter_mut().for_each(|it| *it /= sum);
        Self(sums)
    }

    fn draw(&self, random: &mut Random) -> usize {
        let at = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        self.0.partition_point(|sum| *sum < at).min(self.0.len() - 1)
    }
}

trait Cache {
    /// Whether it was a hit; what missed is offered to the cache.
    fn ask(&mut self, object: u64, bytes: u64) -> bool;
}

/// The policy of the disk tier, driven as the disk drives it.
struct Ours {
    policy: Policy,
    held: Held,
    used: u64,
    room: u64,
    selective: bool,
}

/// Bytes and uses of what is held.
struct Held(HashMap<u128, (u64, u8)>);

impl Entries for Held {
    fn seen(&mut self, name: u128) -> Seen {
        let Some((_, uses)) = self.0.get_mut(&name) else { return Seen::Gone };
        let seen = *uses;
        *uses = seen.saturating_sub(1);
        Seen::Used(seen)
    }
}

impl Ours {
    fn new(room: u64, selective: bool) -> Self {
        Self { policy: Policy::with_capacity(0), held: Held(HashMap::new()), used: 0, room, selective }
    }
}

impl Cache for Ours {
    fn ask(&mut self, object: u64, bytes: u64) -> bool {
        // Names are hashes in the tier as well.
        let half = object.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ object >> 29;
        let name =
            u128::from(half) << 64 | u128::from(half.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if let Some((_, uses)) = self.held.0.get_mut(&name) {
            *uses = (*uses + 1).min(3);
            return true;
        }
        self.policy.missed(name);
        if self.used + bytes > self.room && self.selective && !self.policy.admits(name, &mut self.held) {
            return false;
        }
        while self.used + bytes > self.room {
            let Some(victim) = self.policy.victim(&mut self.held) else { return false };
            self.used -= self.held.0.remove(&victim).map_or(0, |(bytes, _)| bytes);
        }
        self.used += bytes;
        self.held.0.insert(name, (bytes, 0));
        self.policy.entered(name);
        false
    }
}

/// S3-FIFO (Yang and others, 2023): a small queue, a main one, and ghosts of what left the small one.
struct S3Fifo {
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    ghosts: VecDeque<u64>,
    ghostly: HashMap<u64, u32>,
    held: HashMap<u64, (u64, u8)>,
    small_bytes: u64,
    main_bytes: u64,
    room: u64,
}

impl S3Fifo {
    fn new(room: u64) -> Self {
        let (small, main, ghosts) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (ghostly, held) = (HashMap::new(), HashMap::new());
        Self { small, main, ghosts, ghostly, held, small_bytes: 0, main_bytes: 0, room }
    }

    fn evict(&mut self) {
        if self.small_bytes >= self.room / 10 || self.main.is_empty() {
            while let Some(object) = self.small.pop_front() {
                let Some((bytes, uses)) = self.held.get_mut(&object) else { continue };
                self.small_bytes -= *bytes;
                if *uses > 1 {
                    *uses = 0;
                    self.main_bytes += *bytes;
                    self.main.push_back(object);
                    continue;
                }
                self.held.remove(&object);
                self.haunt(object);
                return;
            }
        }
        while let Some(object) = self.main.pop_front() {
            let Some((bytes, uses)) = self.held.get_mut(&object) else { continue };
            if *uses > 0 {
                *uses -= 1;
                self.main.push_back(object);
                continue;
            }
            self.main_bytes -= *bytes;
            self.held.remove(&object);
            return;
        }
    }

    fn haunt(&mut self, object: u64) {
        *self.ghostly.entry(object).or_default() += 1;
        self.ghosts.push_back(object);
        while self.ghosts.len() > self.small.len() + self.main.len() {
            let Some(old) = self.ghosts.pop_front() else { return };
            if let Some(count) = self.ghostly.get_mut(&old) {
                *count -= 1;
                if *count == 0 {
                    self.ghostly.remove(&old);
                }
            }
        }
    }
}

impl Cache for S3Fifo {
    fn ask(&mut self, object: u64, bytes: u64) -> bool {
        if let Some((_, uses)) = self.held.get_mut(&object) {
            *uses = (*uses + 1).min(3);
            return true;
        }
        while self.small_bytes + self.main_bytes + bytes > self.room {
            self.evict();
        }
        if self.ghostly.contains_key(&object) {
            self.main.push_back(object);
            self.main_bytes += bytes;
        } else {
            self.small.push_back(object);
            self.small_bytes += bytes;
        }
        self.held.insert(object, (bytes, 0));
        false
    }
}

/// moka's W-TinyLFU, with its housekeeping done after every request.
struct TinyLfu(Moka<u64, u32>);

impl TinyLfu {
    fn new(room: u64) -> Self {
        Self(Moka::builder().weigher(|_, bytes| *bytes).max_capacity(room).build())
    }
}

impl Cache for TinyLfu {
    fn ask(&mut self, object: u64, bytes: u64) -> bool {
        let hit = self.0.get(&object).is_some();
        if !hit {
            self.0.insert(object, u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        self.0.run_pending_tasks();
        hit
    }
}

/// Least recently used, by lazily dropped entries of a queue.
struct Lru {
    held: HashMap<u64, (u64, u64)>,
    row: VecDeque<(u64, u64)>,
    now: u64,
    used: u64,
    room: u64,
}

impl Lru {
    fn new(room: u64) -> Self {
        Self { held: HashMap::new(), row: VecDeque::new(), now: 0, used: 0, room }
    }
}

impl Cache for Lru {
    fn ask(&mut self, object: u64, bytes: u64) -> bool {
        self.now += 1;
        self.row.push_back((object, self.now));
        if let Some((_, last)) = self.held.get_mut(&object) {
            *last = self.now;
            return true;
        }
        self.held.insert(object, (bytes, self.now));
        self.used += bytes;
        while self.used > self.room {
            let Some((old, at)) = self.row.pop_front() else { break };
            if self.held.get(&old).is_some_and(|(_, last)| *last == at)
                && let Some((bytes, _)) = self.held.remove(&old)
            {
                self.used -= bytes;
            }
        }
        false
    }
}
