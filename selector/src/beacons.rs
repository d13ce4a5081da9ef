//! Beacons of players, on their way into what the selector believes: counted, bounded, and only then believed a little.
//!
//! A token proves a session, not honesty. So a session counts once a minute for each site, a network may send so many
//! beacons a minute, and what all sessions of a network say within ten seconds becomes one median of a few samples.
//! What is past a bound is left out and counted; nothing here grows with the number of those who send.
//!
//! - `blame`: what a session's errors mean for that session itself, at once.

mod blame;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use kromka_config::BeaconsConfig;
use kromka_control::{Beacon, BeaconSample};
use parking_lot::{Mutex, RwLock};

use crate::rank::{Cell, outlier::Seen};
use blame::Blame;

/// What is counted anew, in milliseconds.
const MINUTE_MS: u64 = 60_000;
/// How long samples of a network gather to one median, in milliseconds.
const GATHER_MS: u64 = 10_000;
/// Beacons taken in a minute from all together: what their signatures cost stays below a tenth of a processor.
const TOTAL: u32 = 60_000;
/// Networks and sessions told apart in a minute; what more of them send is left out.
const NETWORKS: usize = 50_000;
const SESSIONS: usize = 50_000;
/// Errors of one session that count in a minute.
const ERRORS: u32 = 6;
/// Networks times sites whose samples gather, and samples kept of each.
const GATHERED: usize = 20_000;
const KEPT: usize = 64;
/// As how many samples a median counts at most, however many sessions stand behind it.
const WEIGHT: usize = 8;
/// Round trips, in milliseconds, beyond which a sample tells of something else than the way.
const RTT_MAX_MS: f64 = 3_000.0;

/// What may not be taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// A session. Backends that sign with secrets of their own name sessions as they like: what a session of one service
/// tells is nothing to another's of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionOf<'a> {
    /// Its service, by id.
    pub(crate) service: &'a str,
    /// Its id.
    pub(crate) sid: &'a str,
}

/// What a beacon says of an edge, as far as it counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// The edge, by id.
    pub(crate) edge: String,
    /// What was seen.
    pub(crate) seen: Seen,
}

/// A median that is ready to be learnt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Median {
    /// Whose way it is.
    pub(crate) cell: Cell,
    /// Where to.
    pub(crate) site: Arc<str>,
    /// As how many samples it counts.
    pub(crate) count: u64,
    /// Milliseconds.
    pub(crate) ms: f64,
}

/// Counts and gathers.
#[derive(Debug)]
pub(crate) struct Beacons {
    config: BeaconsConfig,
    /// Names of sessions come from outside: where they land must not be foreseeable.
    hasher: RandomState,
    tally: Mutex<Tally>,
    /// Apart from what is counted: every steering document reads it.
    blame: RwLock<Blame>,
    /// Some session blames, or has; until then no document need look.
    blames: AtomicBool,
}

#[derive(Debug, Default)]
struct Tally {
    minute: u64,
    total: u32,
    networks: HashMap<Cell, u32>,
    sessions: HashMap<u64, Session>,
    gathered: HashMap<(Cell, Arc<str>), Vec<f32>>,
    flushed_ms: u64,
}

#[derive(Debug, Default)]
struct Session {
    sites: HashSet<Arc<str>>,
    errors: u32,
}

impl Beacons {
    pub(crate) fn new(config: &BeaconsConfig) -> Beacons {
        Beacons {
            config: config.clone(),
            hasher: RandomState::new(),
            tally: Mutex::default(),
            blame: RwLock::default(),
            blames: AtomicBool::new(false),
        }
    }

    /// Whether beacons are taken at all.
    pub(crate) fn enabled(&self) -> bool {
        self.config.enabled
    }

    /// The share of sessions that explore, 0..1.
    pub(crate) fn explore(&self) -> f64 {
        if self.config.enabled { self.config.explore } else { 0.0 }
    }

    /// The edges that a session had trouble with in the last five minutes, the latest first.
    pub(crate) fn blamed(&self, session: SessionOf<'_>, now_ms: u64) -> Vec<String> {
        match self.blames.load(Relaxed) {
            true => self.blame.read().of(self.hasher.hash_one(session), now_ms),
            false => Vec::new(),
        }
    }

    /// Lets one more beacon of a network in, before anything about it is looked at.
    ///
    /// # Errors
    /// When the network, or all together, have sent enough this minute.
    pub(crate) fn admit(&self, cell: Cell, now_ms: u64) -> Result<(), TooMany> {
        let mut tally = self.tally.lock();
        tally.turn(now_ms);
        let full = tally.networks.len() >= NETWORKS;
        let sent = match tally.networks.get_mut(&cell) {
            Some(sent) => sent,
            None if full => return Err(TooMany),
            None => tally.networks.entry(cell).or_default(),
        };
        if *sent >= self.config.per_network {
            return Err(TooMany);
        }
        *sent += 1;
        if tally.total >= TOTAL {
            return Err(TooMany);
        }
        tally.total += 1;
        Ok(())
    }

    /// Takes a beacon of a session that was vouched for; `sites` are those of the edges that it names, as far as there are
    /// such. Answers with what it says of edges, and how many of its entries do not count.
    pub(crate) fn take(
        &self,
        session: SessionOf<'_>,
        cell: Cell,
        beacon: &Beacon,
        sites: &HashMap<&str, Arc<str>>,
        now_ms: u64,
    ) -> (Vec<Told>, u64) {
        let name = self.hasher.hash_one(session);
        let mut tally = self.tally.lock();
        tally.turn(now_ms);
        if tally.sessions.len() >= SESSIONS && !tally.sessions.contains_key(&name) {
            return (Vec::new(), (beacon.samples.len() + beacon.errors.len()) as u64);
        }
        let Tally { sessions, gathered, .. } = &mut *tally;
        let session = sessions.entry(name).or_default();
        let (mut told, mut left_out) = (Vec::new(), 0);
        for sample in &beacon.samples {
            let site = sites.get(&*sample.edge);
            let Some(site) = site.filter(|site| session.sites.insert(Arc::clone(site))) else {
                left_out += 1;
                continue;
            };
            told.extend(seen(sample).map(|seen| Told { edge: sample.edge.clone(), seen }));
            if let Some(ms) = rtt_ms(sample) {
                let key = (cell, Arc::clone(site));
                if gathered.len() < GATHERED || gathered.contains_key(&key) {
                    let kept = gathered.entry(key).or_default();
                    if kept.len() < KEPT {
                        kept.push(ms as f32);
                    }
                }
            }
        }
        let mut blamed = Vec::new();
        for error in &beacon.errors {
            // What is older than the evidence reaches back is no news.
            let counts =
                session.errors < ERRORS && error.ago_ms < MINUTE_MS && sites.contains_key(&*error.edge);
            if !counts {
                left_out += 1;
                continue;
            }
            session.errors += 1;
            blamed.push(error.edge.as_str());
            told.push(Told { edge: error.edge.clone(), seen: Seen::Failed });
        }
        drop(tally);
        if !blamed.is_empty() {
            let mut blame = self.blame.write();
            blamed.into_iter().for_each(|edge| blame.add(name, edge, now_ms));
            self.blames.store(true, Relaxed);
        }
        (told, left_out)
    }

    /// The medians of what has gathered, every ten seconds.
    pub(crate) fn medians(&self, now_ms: u64) -> Vec<Median> {
        let mut tally = self.tally.lock();
        if now_ms < tally.flushed_ms + GATHER_MS {
            return Vec::new();
        }
        tally.flushed_ms = now_ms;
        let gathered = std::mem::take(&mut tally.gathered);
        drop(tally);
        let median = |((cell, site), mut kept): ((Cell, Arc<str>), Vec<f32>)| {
            kept.sort_by(f32::total_cmp);
            let ms = f64::from(*kept.get(kept.len() / 2)?);
            Some(Median { cell, site, count: kept.len().min(WEIGHT) as u64, ms })
        };
        gathered.into_iter().filter_map(median).collect()
    }
}

impl Tally {
    fn turn(&mut self, now_ms: u64) {
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.total = 0;
            self.networks.clear();
            self.sessions.clear();
        }
    }
}

fn good(sample: &BeaconSample) -> bool {
    sample.status.is_none_or(|status| status < 400)
}

/// What the sample says of the edge.
fn seen(sample: &BeaconSample) -> Option<Seen> {
    match sample.status {
        Some(500..) => Some(Seen::Failed),
        _ if !good(sample) => None,
        // Only where the way is known apart does the rest tell of the edge.
        _ => sample
            .connect_ms
            .filter(|ms| *ms > 0.0)
            .map(|way| Seen::Served { ms: (sample.ttfb_ms - way).max(0.0) }),
    }
}

/// What the sample says of the way.
fn rtt_ms(sample: &BeaconSample) -> Option<f64> {
    let connect = sample.connect_ms.filter(|ms| *ms > 0.0);
    let ms = connect.map_or(sample.ttfb_ms, |connect| connect.min(sample.ttfb_ms.max(connect * 0.5)));
    (good(sample) && ms > 0.0 && ms <= RTT_MAX_MS).then_some(ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use kromka_control::{BeaconError, BeaconFault};

    use super::*;

    fn named(sid: &str) -> SessionOf<'_> {
        SessionOf { service: "default", sid }
    }

    fn cell(n: u32) -> Cell {
        Cell::of(std::net::Ipv4Addr::from((10 << 24) | (n << 8)).into())
    }

    fn sample(edge: &str, connect_ms: f64) -> BeaconSample {
        BeaconSample {
            edge: edge.into(),
            ttfb_ms: 2.0 + connect_ms,
            connect_ms: Some(connect_ms),
            kbps: None,
            status: None,
        }
    }

    fn beacon(samples: Vec<BeaconSample>, errors: usize) -> Beacon {
        let error = BeaconError { edge: "a-1".into(), kind: BeaconFault::Timeout, ago_ms: 0 };
        Beacon { token: "t".into(), samples, errors: vec![error; errors] }
    }

    /// Edges are called after their site.
    fn sites() -> HashMap<&'static str, Arc<str>> {
        ["a-1", "a-2", "b-1"].into_iter().map(|edge| (edge, Arc::from(&edge[..1]))).collect()
    }

    #[test]
    fn a_session_counts_once_a_minute_for_each_site() {
        let beacons = Beacons::new(&BeaconsConfig::default());
        let first =
            beacon(vec![sample("a-1", 10.0), sample("a-2", 11.0), sample("b-1", 20.0), sample("?", 1.0)], 0);
        let (told, left_out) = beacons.take(named("s"), cell(1), &first, &sites(), 1_000);
        assert_eq!((told.len(), left_out), (2, 2));
        assert_eq!(told[0], Told { edge: "a-1".into(), seen: Seen::Served { ms: 2.0 } });
        let (told, left_out) = beacons.take(named("s"), cell(1), &first, &sites(), 30_000);
        assert_eq!((told.len(), left_out), (0, 4), "the same minute");
        let (told, _) = beacons.take(named("s"), cell(1), &first, &sites(), 61_000);
        assert_eq!(told.len(), 2);
        let (told, left_out) = beacons.take(named("s"), cell(1), &beacon(vec![], 32), &sites(), 62_000);
        assert_eq!((told.len(), left_out), (ERRORS as usize, 26));
    }

    #[test]
    fn many_sessions_of_a_network_make_one_median_of_a_few_samples() {
        let beacons = Beacons::new(&BeaconsConfig::default());
        for n in 0..1_000 {
            // A few lie, all as well as they can.
            let ms = if n % 4 == 0 { 1.0 } else { 30.0 + f64::from(n % 7) };
            beacons.take(
                named(&n.to_string()),
                cell(1),
                &beacon(vec![sample("a-1", ms)], 0),
                &sites(),
                20_000,
            );
        }
        let medians = beacons.medians(20_000);
        assert_eq!(medians.len(), 1);
        assert_eq!((medians[0].cell, &*medians[0].site, medians[0].count), (cell(1), "a", WEIGHT as u64));
        assert!((30.0..37.0).contains(&medians[0].ms), "{medians:?}");
        assert_eq!(beacons.medians(20_001), [], "told once");
    }

    #[test]
    fn a_flood_takes_bounded_room_and_ends_at_its_bounds() {
        let beacons = Beacons::new(&BeaconsConfig { per_network: 3, ..BeaconsConfig::default() });
        let admitted = (0..100).filter(|_| beacons.admit(cell(1), 5).is_ok()).count();
        assert_eq!(admitted, 3);
        assert!(
            beacons.admit(cell(2), 5).is_ok() && beacons.admit(cell(1), MINUTE_MS).is_ok(),
            "others, later"
        );
        let admitted = (0..200_000).filter(|n| beacons.admit(cell(*n), 2 * MINUTE_MS).is_ok()).count();
        assert!(admitted <= TOTAL as usize && admitted >= NETWORKS, "{admitted}");
        for n in 0..120_000u32 {
            let samples = vec![sample("a-1", 9.0), sample("b-1", 9.0)];
            beacons.take(named(&n.to_string()), cell(n), &beacon(samples, 1), &sites(), 2 * MINUTE_MS);
        }
        let tally = beacons.tally.lock();
        assert_eq!(
            (tally.sessions.len(), tally.networks.len(), tally.gathered.len()),
            (SESSIONS, NETWORKS, GATHERED)
        );
    }

    #[test]
    fn what_is_no_round_trip_is_not_learnt() {
        let bad = |ttfb_ms, connect_ms, status| {
            rtt_ms(&BeaconSample { ttfb_ms, status, ..sample("a-1", connect_ms) })
        };
        assert_eq!(bad(50.0, 20.0, Some(503)), None);
        assert_eq!(bad(50.0, 20.0, Some(404)), None);
        assert_eq!(bad(9_000.0, 8_000.0, None), None);
        assert_eq!(bad(50.0, 20.0, Some(200)), Some(20.0));
        assert_eq!(bad(50.0, 0.0, None), Some(50.0), "over a connection that was open before");
    }

    #[test]
    fn nobody_explores_where_beacons_are_not_taken() {
        let share = |enabled| Beacons::new(&BeaconsConfig { enabled, ..BeaconsConfig::default() }).explore();
        assert_eq!((share(true), share(false)), (0.015, 0.0));
    }

    #[test]
    fn what_is_counted_holds_up_no_steering() {
        let beacons = Beacons::new(&BeaconsConfig::default());
        let told = beacon(vec![sample("b-1", 9.0)], 1);
        assert_eq!(beacons.take(named("s"), cell(1), &told, &sites(), 1_000).0.len(), 2);
        let _counting = beacons.tally.lock();
        assert_eq!(beacons.blamed(named("s"), 1_000), ["a-1"]);
    }

    #[test]
    fn who_had_trouble_with_an_edge_blames_it_and_nobody_else_does() {
        let beacons = Beacons::new(&BeaconsConfig::default());
        beacons.take(named("s"), cell(1), &beacon(vec![], 1), &sites(), 5_000);
        assert_eq!(beacons.blamed(named("s"), 6_000), ["a-1"]);
        assert_eq!(beacons.blamed(named("t"), 6_000), [""; 0]);
        let elsewhere = SessionOf { service: "music", sid: "s" };
        assert_eq!(beacons.blamed(elsewhere, 6_000), [""; 0], "of the same name, of another service");
        let unknown = BeaconError { edge: "?".into(), kind: BeaconFault::Stall, ago_ms: 0 };
        let told = Beacon { errors: vec![unknown], ..beacon(vec![], 0) };
        beacons.take(named("s"), cell(1), &told, &sites(), 6_000);
        assert_eq!(beacons.blamed(named("s"), 6_000), ["a-1"], "no name that no edge has");
    }
}
