//! Gray failures: an edge that fails its viewers while its heartbeats say that all is well. How soon does the production
//! code (`rank::outlier`) take it out, and does it ever take out one that is sound?
//!
//! One selector watches the fleet of the world as production does: a check of a real object each second and sooner when
//! the edge is suspicious (of half of them over TLS and by a name, of a third of an object that is not kept there),
//! heartbeats with requests and failures, players that report failures, a judgement each quarter of a second. Life is noisy:
//! some requests always fail, paths, edges and the selector's own line hiccup, the source has bad minutes, evenings are
//! busy, a network of clients is broken all day, and each node is restarted once.

use std::sync::Arc;

use kromka_selector::rank::Cell;
use kromka_selector::rank::outlier::{
    CHECK_MS, Change, Check, HOLD_MS, LOOK_MS, Member, Outliers, Seen, TIMEOUT_MS, Took, Why,
    asking::{are_most, is_late, next_ms, patience_ms},
};
use serde::Serialize;

use super::{cost::Curve, cost::Waiting, dice::Dice, world::World};

/// Milliseconds between heartbeats, and judgements; from which silence on a node is doubted.
const REPORT_MS: u64 = 500;
const JUDGE_MS: u64 = 250;
const SUSPECT_MS: u64 = 1_250;

/// Requests of a viewer in a second, and the share of viewers whose player reports failures.
const REQUESTS: f64 = 0.4;
const REPORTING: f64 = 0.1;
/// Networks that clients are in.
const NETWORKS: usize = 2_000;

/// Milliseconds that an idle edge takes for an object and for a handshake of TLS, and how far the source is where the
/// object that is checked is not kept, which it is at two of three.
const SERVICE_MS: f64 = 10.0;
const TLS_MS: f64 = 3.0;
const SOURCE_MS: f64 = 150.0;
/// The share of requests that always fail.
const FAILING: f64 = 0.002;
/// How much of its requests the source fails in bad minutes.
const SOURCE_FAILING: f64 = 0.2;

/// Load at the busiest hour, and how far it falls at night.
const PEAK: f64 = 0.8;
const SWING: f64 = 0.35;
const DAY_MS: u64 = 86_400_000;

/// How much longer than at its best a way can be, each time and each direction of asking.
const JITTER: f64 = 0.1;
/// Share of packets that are lost, and milliseconds until one is sent again: the first of a connection, and others.
const PACKET_LOST: f64 = 0.005;
const FIRST_AGAIN_MS: f64 = 1_000.0;
const AGAIN_MS: f64 = 200.0;

/// Share of the searches for a name that take their time, and how many milliseconds at most.
const NAME_SLOW: f64 = 0.01;
const NAME_MS: f64 = 1_500.0;

/// How long a restarted node is away.
const AWAY_MS: u64 = 4_000;

/// Failures that begin in each seed, of each kind; how long one is waited for.
const BEGINNINGS: usize = 12;
const WAITED_MS: u64 = 60_000;
/// Seconds from which on it is late.
pub const LATE_S: f64 = 5.0;
/// How long the selector has watched before.
const WATCHED_MS: u64 = 30_000;

/// What is wrong with a gray edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 30 % of its answers are 503, and it counts them.
    Errors,
    /// It takes ten times as long.
    Slow,
    /// Both, and its heartbeats say that it is 10 % busy and nothing has failed.
    Lying,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 3] = [Fault::Errors, Fault::Slow, Fault::Lying];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Errors => "30 % of answers are 503",
            Fault::Slow => "ten times slower",
            Fault::Lying => "both, and heartbeats say 10 % busy and no failure",
        }
    }

    fn share(self) -> f64 {
        if self == Fault::Slow { 0.0 } else { 0.3 }
    }

    fn slower(self) -> f64 {
        if self == Fault::Errors { 1.0 } else { 10.0 }
    }
}

/// What came of the failures of one kind in one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The kind.
    pub fault: Fault,
    /// Seconds until the edge got no new viewers, of each failure; a minute where it was not found.
    pub after_s: Vec<f64>,
    /// Those that took long: which edge, how far away, how many answers it gives.
    pub late: Vec<String>,
    /// Sound edges that were taken out meanwhile, with the reason.
    pub wrong: Vec<String>,
}

/// What one seed came to.
#[derive(Clone, Debug, Serialize)]
pub struct Watch {
    /// Failures, by kind.
    pub found: Vec<Found>,
    /// Sound edges that were taken out in those hours, with the hour and the reason.
    pub false_ejections: Vec<String>,
    /// Days that were watched.
    pub days: f64,
    /// Edges of the fleet.
    pub edges: usize,
}

impl Watch {
    /// Sound edges that were taken out at any time.
    pub fn wrong(&self) -> usize {
        self.false_ejections.len() + self.found.iter().map(|found| found.wrong.len()).sum::<usize>()
    }
}

/// Watches the fleet of `world` for so many hours, and through failures that begin at any hour of the day.
pub fn watch(world: &World, seed: u64, hours: u64) -> Watch {
    let found = Fault::ALL.map(|fault| {
        let mut dice = Dice::new(seed, 40 + fault as u64);
        let mut found = Found { fault, after_s: Vec::new(), late: Vec::new(), wrong: Vec::new() };
        for _ in 0..BEGINNINGS {
            let begin_ms = dice.below(DAY_MS as usize) as u64;
            let node = dice.below(world.nodes.len());
            let mut fleet = Fleet::new(world, dice.bits(), begin_ms);
            let after_s = fleet.until_found(node, fault, &mut found.wrong);
            found.after_s.push(after_s);
            if after_s > LATE_S {
                found.late.push(format!("{after_s} s, {}", fleet.about(node)));
            }
        }
        found
    });
    let mut fleet = Fleet::new(world, seed, 0);
    let mut false_ejections = Vec::new();
    for now_ms in (0..hours * DAY_MS / 24).step_by(LOOK_MS as usize) {
        for change in fleet.step(now_ms, now_ms.is_multiple_of(JUDGE_MS)) {
            if let Change::Ejected(id, held) = change {
                false_ejections.push(fleet.told(now_ms, &id, held.why));
            }
        }
    }
    Watch { found: found.into(), false_ejections, days: hours as f64 / 24.0, edges: world.nodes.len() }
}

/// A node, and what the selector has under way with it.
struct Edge {
    /// It speaks TLS, and is reached by a name.
    tls: bool,
    /// What of an object's time is the source's distance.
    source_ms: f64,
    next_report_ms: u64,
    /// When the last check began.
    checked_ms: u64,
    /// When checks end, when they began, and how they end.
    checks: Vec<(u64, u64, Check)>,
    heard_ms: u64,
    /// Something has happened that may make it suspicious, or it was.
    suspect: bool,
    load: f64,
    /// Answered and failed since the last heartbeat.
    answered: f64,
    failed: u64,
    hidden_until_ms: u64,
    /// It stands still until then, and is heard all the same.
    still_until_ms: u64,
    /// When it is restarted, in the milliseconds of the day.
    restart_ms: u64,
}

struct Fleet<'w> {
    world: &'w World,
    curve: Curve,
    dice: Dice,
    phase: f64,
    /// The city of the selector.
    city: usize,
    edges: Vec<Edge>,
    members: Vec<Member>,
    outliers: Outliers,
    gray: Option<(usize, Fault)>,
    /// Checks of most edges take longer than usual.
    most_late: bool,
    last_ms: u64,
    judged_ms: u64,
    blind_until_ms: u64,
    source_until_ms: u64,
}

impl<'w> Fleet<'w> {
    fn new(world: &'w World, seed: u64, begin_ms: u64) -> Fleet<'w> {
        let mut dice = Dice::new(seed, 45);
        let edges = (0..world.nodes.len()).map(|node| Edge {
            tls: node % 2 == 1,
            source_ms: if node % 3 == 2 { SOURCE_MS } else { 0.0 },
            next_report_ms: begin_ms + dice.below(REPORT_MS as usize) as u64,
            checked_ms: begin_ms + dice.below(CHECK_MS as usize) as u64,
            checks: Vec::new(),
            heard_ms: begin_ms,
            suspect: false,
            load: 0.5,
            answered: 0.0,
            failed: 0,
            hidden_until_ms: 0,
            still_until_ms: 0,
            restart_ms: dice.below(DAY_MS as usize) as u64,
        });
        let edges = edges.collect();
        let members = world.nodes.iter().enumerate().map(|(n, node)| Member {
            id: Arc::from(format!("n{n:04}")),
            capacity: node.capacity,
            reported: 0.5,
            live: true,
        });
        let members: Vec<Member> = members.collect();
        let mut outliers = Outliers::new(HOLD_MS);
        outliers.judge(&members, begin_ms);
        Fleet {
            curve: Curve::new(Waiting::default()),
            phase: dice.unit(),
            city: world.sites[dice.below(world.sites.len())],
            dice,
            edges,
            members,
            outliers,
            gray: None,
            most_late: false,
            last_ms: begin_ms,
            judged_ms: begin_ms,
            blind_until_ms: 0,
            source_until_ms: 0,
            world,
        }
    }

    /// What makes an edge easy or hard to judge.
    fn about(&self, node: usize) -> String {
        let way_ms = self.world.rtt(self.city, self.world.nodes[node].site);
        let load = self.edges[node].load;
        let answers = self.world.nodes[node].capacity * load * REQUESTS;
        let id = &self.members[node].id;
        format!("{id}, {way_ms:.0} ms away, load {load:.2}, {answers:.1} answers a second")
    }

    /// A line about an edge that was taken out.
    fn told(&self, now_ms: u64, id: &str, why: Why) -> String {
        let hour = now_ms as f64 / 3.6e6;
        let node = self.members.iter().position(|member| &*member.id == id).unwrap_or(0);
        let restarted = self.edges[node].restart_ms as f64 / 3.6e6;
        format!("{hour:.4} h, {}, restarted at {restarted:.4} h: {why}", self.about(node))
    }

    /// Seconds from the beginning of the failure until the node is taken out.
    fn until_found(&mut self, node: usize, fault: Fault, wrong: &mut Vec<String>) -> f64 {
        let begin_ms = self.last_ms;
        // Restarts are the day's affair: this is about one node that fails.
        self.edges.iter_mut().for_each(|edge| edge.restart_ms = u64::MAX);
        let from_ms = begin_ms + WATCHED_MS;
        for now_ms in (begin_ms..from_ms + WAITED_MS).step_by(LOOK_MS as usize) {
            if now_ms >= from_ms {
                self.gray = Some((node, fault));
            }
            for change in self.step(now_ms, true) {
                match change {
                    Change::Ejected(id, _) if id == self.members[node].id && now_ms >= from_ms => {
                        return (now_ms - from_ms) as f64 / 1_000.0;
                    }
                    Change::Ejected(id, held) => wrong.push(self.told(now_ms, &id, held.why)),
                    Change::Returned(_) => {}
                }
            }
        }
        WAITED_MS as f64 / 1_000.0
    }

    /// All that happens up to `now_ms`; or with `all` not set only to those that are suspicious, of which much is asked in
    /// little time.
    fn step(&mut self, now_ms: u64, all: bool) -> Vec<Change> {
        let mut failed = false;
        let late = (0..self.edges.len()).filter(|node| self.is_late(*node, now_ms)).count();
        self.most_late = are_most(late, self.edges.len());
        if !all {
            for node in 0..self.edges.len() {
                if self.edges[node].suspect {
                    failed |= self.look(node, now_ms);
                }
            }
            return if failed { self.judge(now_ms) } else { Vec::new() };
        }
        let passed_s = now_ms.saturating_sub(self.last_ms) as f64 / 1_000.0;
        self.last_ms = now_ms;
        if self.dice.unit() < passed_s / 3_600.0 {
            self.blind_until_ms = now_ms + self.dice.between(1_000.0, 4_000.0) as u64;
        }
        if self.dice.unit() < passed_s / 20_000.0 {
            self.source_until_ms = now_ms + 120_000;
        }
        for node in 0..self.edges.len() {
            self.serve(node, now_ms, passed_s);
            failed |= self.look(node, now_ms);
            self.members[node].live = now_ms - self.edges[node].heard_ms <= SUSPECT_MS;
        }
        // One network fails everywhere, all day.
        let node = self.dice.below(self.edges.len());
        if self.dice.unit() < 2.0 * passed_s {
            self.outliers.client(&self.members[node].id, cell(NETWORKS), Seen::Failed, now_ms);
        }
        if !failed && now_ms < self.judged_ms + JUDGE_MS {
            return Vec::new();
        }
        self.judge(now_ms)
    }

    fn judge(&mut self, now_ms: u64) -> Vec<Change> {
        self.judged_ms = now_ms;
        self.outliers.judge(&self.members, now_ms)
    }

    /// Begins a check that is due, and ends those that are over; true when one calls for a judgement.
    fn look(&mut self, node: usize, now_ms: u64) -> bool {
        self.check(node, now_ms);
        let mut bad = false;
        let edge = &mut self.edges[node];
        for (_, began_ms, check) in edge.checks.extract_if(.., |(at_ms, ..)| *at_ms <= now_ms) {
            bad |= self.outliers.check(&self.members[node].id, check, began_ms, now_ms);
            edge.suspect = true;
        }
        bad
    }

    fn away(&self, node: usize, now_ms: u64) -> bool {
        let restart_ms = self.edges[node].restart_ms;
        (restart_ms..restart_ms.saturating_add(AWAY_MS)).contains(&now_ms)
    }

    fn fault(&self, node: usize) -> Option<Fault> {
        self.gray.filter(|(gray, _)| *gray == node).map(|(_, fault)| fault)
    }

    /// The share of answers that fail.
    fn failing(&self, node: usize, now_ms: u64) -> f64 {
        let source = if now_ms < self.source_until_ms { SOURCE_FAILING } else { 0.0 };
        (FAILING + source + self.fault(node).map_or(0.0, Fault::share)).min(1.0)
    }

    /// Viewers are served, some are not, and the node reports.
    fn serve(&mut self, node: usize, now_ms: u64, passed_s: f64) {
        if self.dice.unit() < passed_s / 8_000.0 {
            self.edges[node].hidden_until_ms = now_ms + self.dice.between(300.0, 1_200.0) as u64;
        }
        if self.dice.unit() < passed_s / 8_000.0 {
            self.edges[node].still_until_ms = now_ms + self.dice.between(300.0, 1_200.0) as u64;
        }
        if self.away(node, now_ms) {
            return;
        }
        let odds = self.failing(node, now_ms);
        let asked = self.world.nodes[node].capacity * self.edges[node].load * REQUESTS * passed_s;
        let failed = self.dice.poisson(asked * odds);
        for _ in 0..failed {
            if self.dice.unit() < REPORTING {
                let network = cell(self.dice.below(NETWORKS));
                self.outliers.client(&self.members[node].id, network, Seen::Failed, now_ms);
            }
        }
        let fault = self.fault(node);
        let edge = &mut self.edges[node];
        edge.answered += asked;
        edge.failed += failed as u64;
        if edge.next_report_ms > now_ms {
            return;
        }
        edge.next_report_ms += (REPORT_MS as f64 * self.dice.between(0.95, 1.05)) as u64;
        edge.next_report_ms = edge.next_report_ms.max(now_ms);
        edge.heard_ms = now_ms;
        let longitude = self.world.cities[self.world.sites[self.world.nodes[node].site]].longitude;
        let local = now_ms as f64 / DAY_MS as f64 + longitude / 360.0 + self.phase;
        let usual = PEAK * (1.0 + SWING * (std::f64::consts::TAU * local).sin()) / (1.0 + SWING);
        edge.load = usual * self.dice.between(0.9, 1.1);
        let (answered, failed) = (edge.answered as u64, std::mem::take(&mut edge.failed));
        edge.answered = edge.answered.fract();
        let lies = fault == Some(Fault::Lying);
        self.members[node].reported = if lies { 0.1 } else { edge.load };
        let failed = if lies { 0 } else { failed };
        edge.suspect |= failed > 0;
        self.outliers.report(&self.members[node].id, answered, failed, now_ms);
    }

    /// Whether a check of the node takes longer than usual.
    fn is_late(&self, node: usize, now_ms: u64) -> bool {
        let under_way = self.edges[node].checks.iter().filter(|(at_ms, ..)| *at_ms > now_ms);
        let waited_ms = under_way.map(|(_, began_ms, _)| now_ms - began_ms).max();
        waited_ms.is_some_and(|ms| is_late(ms as f64, self.outliers.usual_ms(&self.members[node].id)))
    }

    /// Begins a check that is due.
    fn check(&mut self, node: usize, now_ms: u64) {
        let late = !self.most_late && self.is_late(node, now_ms);
        let edge = &mut self.edges[node];
        edge.suspect = edge.suspect && self.outliers.suspicious(&self.members[node].id, now_ms);
        if now_ms < edge.checked_ms + next_ms(CHECK_MS as f64, edge.suspect || late) as u64 {
            return;
        }
        edge.checked_ms = now_ms;
        let hidden = now_ms < edge.hidden_until_ms.max(self.blind_until_ms);
        let &mut Edge { tls, source_ms, load, still_until_ms, .. } = edge;
        let rtt_ms = self.world.rtt(self.city, self.world.nodes[node].site);
        let refused = self.away(node, now_ms);
        let slower = self.fault(node).map_or(1.0, Fault::slower);
        // What takes its time at the edge does for TLS as well.
        let dice = &mut self.dice;
        let mut edge_ms =
            |idle_ms: f64| (idle_ms + self.curve.wait_ms(load)) * slower * dice.between(0.7, 1.6);
        let (served_ms, tls_ms) = (edge_ms(SERVICE_MS), edge_ms(TLS_MS));
        // A connection of its own, then the object; now and then a packet is sent again.
        let mut trip_ms = |again_ms| {
            let lost = dice.unit() < PACKET_LOST;
            rtt_ms * dice.between(1.0, 1.0 + JITTER) + if lost { again_ms } else { 0.0 }
        };
        let mut stood_ms = trip_ms(FIRST_AGAIN_MS);
        let mut ms = trip_ms(AGAIN_MS) + source_ms + served_ms;
        // The kernel of one that stands still takes connections, and no more.
        let still_ms = (still_until_ms as f64 - now_ms as f64 - stood_ms - rtt_ms / 2.0).max(0.0);
        let (mut name_ms, mut trips) = (0.0, 1);
        if tls {
            stood_ms += trip_ms(AGAIN_MS) + tls_ms + still_ms;
            trips = 2;
            name_ms = if dice.unit() < NAME_SLOW { dice.between(0.0, NAME_MS) } else { 0.0 };
        } else {
            ms += still_ms;
        }
        let whole_ms = name_ms + stood_ms + ms;
        let failing = self.dice.unit() < self.failing(node, now_ms);
        let usual_ms = self.outliers.usual_ms(&self.members[node].id);
        let wait_ms = patience_ms(TIMEOUT_MS as f64, usual_ms);
        let took = Took { ms, stood_ms, trips, object: 0 };
        let (ends_ms, check) = match () {
            () if hidden || whole_ms > wait_ms => (wait_ms as u64, Check::Lost),
            () if refused => (rtt_ms as u64, Check::Lost),
            () if failing => (whole_ms as u64, Check::Refused(took)),
            () => (whole_ms as u64, Check::Passed(took)),
        };
        self.edges[node].checks.push((now_ms + ends_ms, now_ms, check));
    }
}

fn cell(network: usize) -> Cell {
    Cell::of(std::net::Ipv4Addr::from(0x0A00_0000 | (network as u32) << 8).into())
}
