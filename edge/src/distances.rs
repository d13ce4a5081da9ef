//! How far this edge's clients are: samples of connections, added up by neighbourhood, for the selectors.
//!
//! A neighbourhood (cell) is a /24, or a /48 of IPv6. Samples gather for [`WINDOW`]; then each cell becomes one
//! entry of a numbered log, which every selector reads at its own pace, so that each entry reaches each selector
//! once. Everything is bounded: cells that gather, samples kept of each, entries that wait.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kromka_control::CellRtt;
use kromka_net::{RttLog, RttSample};
use kromka_telemetry::{Histogram, LATENCY_BUCKETS, Registry};
use parking_lot::Mutex;

/// How long samples gather before they are told.
const WINDOW: Duration = Duration::from_secs(2);
/// Cells that gather at once; one more ends the window early.
const CELLS: usize = 4096;
/// Samples of one cell whose median is taken; the others only count.
const KEPT: usize = 32;
/// Entries that wait for the slowest selector; older ones give way. About 1.5 MB.
const ENTRIES: usize = 16_384;

/// What the clients' connections show.
pub(crate) struct Distances {
    samples: Arc<RttLog>,
    state: Mutex<State>,
    distance: Histogram,
    queue: Histogram,
}

/// Segments sent and repeated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    pub(crate) sent: u64,
    pub(crate) repeated: u64,
}

struct State {
    began: Instant,
    open: HashMap<IpAddr, Gathered>,
    log: VecDeque<CellRtt>,
    /// The number of the log's first entry.
    first: u64,
    segments: Segments,
}

/// The samples of one cell within one window.
#[derive(Default)]
struct Gathered {
    n: u64,
    least: Duration,
    /// At most [`KEPT`]; once full, each new sample replaces one with the odds that keep all equally likely.
    kept: Vec<Duration>,
    segments: Segments,
}

impl Distances {
    pub(crate) fn new(samples: Arc<RttLog>, registry: &Registry) -> Distances {
        let histogram = |name, help| registry.histogram(name, help, &LATENCY_BUCKETS);
        let state = State {
            began: Instant::now(),
            open: HashMap::new(),
            log: VecDeque::new(),
            first: 0,
            segments: Segments::default(),
        };
        Distances {
            samples,
            state: Mutex::new(state),
            distance: histogram("kromka_client_rtt_seconds", "Least round trip of a client's connection."),
            queue: histogram(
                "kromka_client_queue_seconds",
                "What queues on the way add to the least round trip of a client's connection.",
            ),
        }
    }

    /// Up to `most` entries from the one numbered `from` on, and the number of the first of them.
    pub(crate) fn read(&self, from: u64, most: usize, now: Instant) -> (u64, Vec<CellRtt>) {
        let state = self.gather(now);
        let skip = usize::try_from(from.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let entries: Vec<CellRtt> = state.log.iter().skip(skip).take(most).cloned().collect();
        // A number from beyond the log is an earlier process's.
        let end = state.first + state.log.len() as u64;
        (from.clamp(state.first, end), entries)
    }

    /// Segments sent to clients and repeated, since the start.
    pub(crate) fn segments(&self) -> Segments {
        self.state.lock().segments
    }

    fn gather(&self, now: Instant) -> parking_lot::MutexGuard<'_, State> {
        let samples = self.samples.take();
        let mut state = self.state.lock();
        for sample in samples {
            self.distance.observe(sample.min_rtt.as_secs_f64());
            self.queue.observe(sample.rtt.saturating_sub(sample.min_rtt).as_secs_f64());
            state.add(&sample);
        }
        if now.saturating_duration_since(state.began) >= WINDOW {
            state.close();
            state.began = now;
        }
        state
    }
}

impl State {
    fn add(&mut self, sample: &RttSample) {
        let cell = network(sample.peer);
        if self.open.len() >= CELLS && !self.open.contains_key(&cell) {
            self.close();
        }
        let gathered = self.open.entry(cell).or_default();
        gathered.add(sample);
        self.segments.sent += u64::from(sample.sent);
        self.segments.repeated += u64::from(sample.repeated);
    }

    /// Ends the window: what gathered becomes entries.
    fn close(&mut self) {
        for (cell, gathered) in self.open.drain() {
            self.log.push_back(gathered.told(cell));
        }
        let over = self.log.len().saturating_sub(ENTRIES);
        self.log.drain(..over);
        self.first += over as u64;
    }
}

impl Gathered {
    fn add(&mut self, sample: &RttSample) {
        self.least = if self.n == 0 { sample.min_rtt } else { self.least.min(sample.min_rtt) };
        self.n += 1;
        self.segments.sent += u64::from(sample.sent);
        self.segments.repeated += u64::from(sample.repeated);
        if self.kept.len() < KEPT {
            self.kept.push(sample.min_rtt);
        } else if let Some(place) =
            usize::try_from(scattered(self.n) % self.n).ok().and_then(|at| self.kept.get_mut(at))
        {
            *place = sample.min_rtt;
        }
    }

    fn told(mut self, cell: IpAddr) -> CellRtt {
        self.kept.sort_unstable();
        let median = self.kept.get(self.kept.len() / 2).copied().unwrap_or_default();
        let ms = |span: Duration| (span.as_secs_f64() * 1e6).round() / 1e3;
        CellRtt {
            cell: format!("{cell}/{}", if cell.is_ipv4() { 24 } else { 48 }),
            n: self.n,
            min_ms: ms(self.least),
            p50_ms: ms(median),
            loss: self.segments.loss(),
        }
    }
}

impl Segments {
    /// The share that was repeated, 0..1.
    fn loss(self) -> f64 {
        if self.sent == 0 { 0.0 } else { (self.repeated as f64 / self.sent as f64).min(1.0) }
    }
}

/// The first address of a client's cell.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// A number spread over all of 64 bits (splitmix64): chance enough to choose samples by, and the same each time.
fn scattered(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn distances() -> (Distances, Arc<RttLog>) {
        let log = Arc::new(RttLog::default());
        (Distances::new(Arc::clone(&log), &Registry::new("edge", "", "")), log)
    }

    fn sample(peer: &str, ms: u64) -> RttSample {
        let min_rtt = Duration::from_millis(ms);
        let rtt = min_rtt + Duration::from_millis(3);
        RttSample { peer: peer.parse().unwrap(), min_rtt, rtt, sent: 10, repeated: 1 }
    }

    #[test]
    fn clients_of_one_network_are_one_entry_once_the_window_is_over() {
        let (distances, log) = distances();
        let start = Instant::now();
        for (peer, ms) in
            [("203.0.113.7", 30), ("::ffff:203.0.113.9", 10), ("203.0.113.200", 20), ("2001:db8:1:2::5", 80)]
        {
            log.push(sample(peer, ms));
        }
        assert_eq!(distances.read(0, 10, start), (0, vec![]), "the window is open");
        let (first, mut entries) = distances.read(0, 10, start + WINDOW);
        entries.sort_by(|a, b| b.cell.cmp(&a.cell));
        let v4 = CellRtt { cell: "203.0.113.0/24".into(), n: 3, min_ms: 10.0, p50_ms: 20.0, loss: 0.1 };
        let v6 = CellRtt { cell: "2001:db8:1::/48".into(), n: 1, min_ms: 80.0, p50_ms: 80.0, loss: 0.1 };
        assert_eq!((first, entries), (0, vec![v4, v6]));
        assert_eq!(distances.segments(), Segments { sent: 40, repeated: 4 });
    }

    #[test]
    fn every_reader_gets_every_entry_once_at_its_own_pace() {
        let (distances, log) = distances();
        let mut now = Instant::now();
        let (mut quick, mut slow) = (0, 0);
        let (mut seen_quick, mut seen_slow) = (vec![], vec![]);
        for round in 0..20u8 {
            log.push(sample(&format!("203.0.{round}.1"), 10));
            now += WINDOW;
            let (first, entries) = distances.read(quick, 100, now);
            quick = first + entries.len() as u64;
            seen_quick.extend(entries.into_iter().map(|entry| entry.cell));
            if round % 7 == 0 {
                // What was not confirmed comes again.
                let _lost = distances.read(slow, 2, now);
                let (first, entries) = distances.read(slow, 2, now);
                slow = first + entries.len() as u64;
                seen_slow.extend(entries.into_iter().map(|entry| entry.cell));
            }
        }
        seen_slow.extend(distances.read(slow, 100, now).1.into_iter().map(|entry| entry.cell));
        let all: Vec<String> = (0..20).map(|round| format!("203.0.{round}.0/24")).collect();
        assert_eq!(seen_quick, all);
        assert_eq!(seen_slow, all);
    }

    #[test]
    fn a_flood_of_networks_and_samples_takes_bounded_room_and_numbers_go_on() {
        let (distances, log) = distances();
        let now = Instant::now();
        for n in 0..40_000u32 {
            let [_, a, b, c] = n.to_be_bytes();
            log.push(sample(&format!("{}.{b}.{c}.1", a + 11), 10));
            if n % 1000 == 0 {
                distances.read(0, 0, now);
            }
        }
        distances.read(0, 0, now);
        for _ in 0..4000 {
            log.push(sample("203.0.113.7", 5));
        }
        let (first, entries) = distances.read(0, usize::MAX, now + WINDOW);
        assert_eq!(entries.len(), ENTRIES);
        assert_eq!(first, 40_001 - ENTRIES as u64, "what gave way keeps its number");
        let state = distances.state.lock();
        assert!(state.open.is_empty());
        assert!(entries.iter().any(|entry| entry.n == 4000 && entry.p50_ms == 5.0));
    }

    #[test]
    fn the_median_is_that_of_all_samples_not_of_the_first() {
        let mut gathered = Gathered::default();
        for n in 0..10_000 {
            gathered.add(&sample("203.0.113.7", if n < 1000 { 10 } else { 90 }));
        }
        assert_eq!(gathered.kept.len(), KEPT);
        let told = gathered.told("203.0.113.0".parse().unwrap());
        assert_eq!((told.n, told.min_ms, told.p50_ms), (10_000, 10.0, 90.0));
    }

    #[test]
    fn a_number_of_an_earlier_process_begins_at_the_end() {
        let (distances, _) = distances();
        assert_eq!(distances.read(77, 10, Instant::now()), (0, vec![]));
    }
}
