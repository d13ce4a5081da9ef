//! One run: viewers come, watch and go; nodes report; a policy decides; the oracle is asked what was possible.

mod accidents;

use super::{
    best::{ORACLE_S, SESSION_S, Seen},
    cost::Curve,
    demand::Demand,
    dice::{Dice, Weighted},
    outcome::{BUCKETS, Outcome, bucket, quantile},
    policies::{Again, Kind, Knowledge, Memory, Policy, Report, Viewer},
    scenario::Scenario,
    titles::{Kept, Popularity},
    world::World,
};

/// Seconds between two questions of a session that is steered.
const RELOAD_S: f64 = 30.0;

/// Response time of an idle node in milliseconds, besides what it makes viewers wait.
const SERVICE_MS: f64 = 10.0;

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Viewers at the busiest hour.
    pub viewers: f64,
    /// Seconds that count.
    pub seconds: usize,
    /// Seconds before, in which the world fills.
    pub warm_up: usize,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    city: u16,
    node: u16,
    title: u16,
    alive: bool,
    since_ms: u64,
    memory: Memory,
    /// Where it was moved from, and when.
    left: Option<(u16, u64)>,
    generation: u32,
}

/// A world while it runs.
struct Engine<'w, 'p> {
    world: &'w World,
    scenario: &'w Scenario,
    length: Length,
    policy: Box<dyn Policy + 'p>,
    curve: &'w Curve,
    /// Capacities as nodes believe them to be.
    configured: Vec<f64>,
    dice: Dice,
    selectors: Weighted,
    sessions: Vec<Session>,
    free: Vec<u32>,
    /// Sessions that end, and that ask again, by the second.
    ending: Vec<Vec<(u32, u32)>>,
    asking: Vec<Vec<(u32, u32)>>,
    /// Sessions that have lost their node and look for another.
    seeking: Vec<Vec<(u32, u32)>>,
    on_node: Vec<f64>,
    in_city: Vec<f64>,
    distance_ms: f64,
    started: Vec<u64>,
    kept: Vec<Kept>,
    boots: Vec<u32>,
    dead: Vec<bool>,
    unheard: Vec<bool>,
    draining: Vec<bool>,
    accident_s: usize,
    /// When the operator was answered who drained its victims.
    answered_ms: u64,
    victims: Vec<usize>,
    /// What selectors will have heard of nodes, the earliest first.
    news: Vec<accidents::Word>,
    probed_ms: u64,
    /// The world as it will be when routes have changed.
    later: Option<&'w World>,
    outcome: Outcome,
    counted: u64,
    hits: u64,
    moves: u64,
    returns: u64,
    explored: u64,
    overloaded: f64,
    session_time: f64,
    rtts: Vec<u32>,
    starts: Vec<u32>,
}

/// Runs one policy through one scenario; returns what came of it and what oracles have to know of it.
pub(super) fn run(
    kind: Kind,
    known: &Knowledge<'_>,
    curve: &Curve,
    popularity: &Popularity,
    length: Length,
) -> (Outcome, Seen) {
    let (world, scenario) = (known.world, known.scenario);
    let seconds = length.warm_up + length.seconds;
    let horizon = seconds + 1;
    let nodes = world.nodes.len();
    let rerouted =
        (scenario.rerouted > 0.0).then(|| world.rerouted(scenario.rerouted, &mut Dice::new(known.seed, 24)));
    let shares = (0..scenario.selectors).map(|selector| if selector == 0 { 1.5 } else { 1.0 });
    let mut engine = Engine {
        policy: kind.build(known),
        dice: Dice::new(known.seed, 21),
        selectors: Weighted::new(shares),
        sessions: Vec::new(),
        free: Vec::new(),
        ending: vec![Vec::new(); horizon],
        asking: vec![Vec::new(); horizon],
        seeking: vec![Vec::new(); horizon],
        on_node: vec![0.0; nodes],
        in_city: vec![0.0; world.weights.len()],
        distance_ms: 0.0,
        started: vec![0; nodes],
        kept: vec![Kept::new(); nodes],
        boots: vec![0; nodes],
        dead: vec![false; nodes],
        unheard: vec![false; nodes],
        draining: vec![false; nodes],
        accident_s: length.warm_up + length.seconds / 2,
        answered_ms: 0,
        victims: accidents::victims(world, scenario),
        news: Vec::new(),
        probed_ms: 0,
        later: rerouted.as_ref(),
        outcome: Outcome::default(),
        counted: 0,
        hits: 0,
        moves: 0,
        returns: 0,
        explored: 0,
        overloaded: 0.0,
        session_time: 0.0,
        rtts: vec![0; BUCKETS],
        starts: vec![0; BUCKETS],
        configured: known.capacity.clone(),
        world,
        scenario,
        length,
        curve,
    };
    let mut dice = Dice::new(known.seed, 22);
    let phase = dice.unit();
    let mut demand = Demand { world, scenario, mean: 1.0, phase };
    // The busiest second of the run without its crowd is what `peak` speaks of.
    let all = |demand: &Demand<'_>, second: usize| demand.usual(second as f64).iter().sum::<f64>();
    let busiest = (0..seconds).step_by(60).map(|second| all(&demand, second)).fold(0.0, f64::max);
    demand.mean = length.viewers / busiest;
    // Their own, so that viewers are the same however often nodes report, and to how many.
    let mut reporting = Dice::new(known.seed, 26);
    let mut due: Vec<f64> =
        (0..nodes * scenario.selectors).map(|_| reporting.unit() * scenario.report_s).collect();
    let (mut usual, mut crowd) = (Weighted::new([]), Weighted::new([]));
    let mut viewers = Vec::new();
    for second in 0..seconds {
        let share_of_run = (second as f64 - length.warm_up as f64) / length.seconds as f64;
        if second.is_multiple_of(20) {
            let viewers = demand.usual(second as f64);
            crowd = Weighted::new(demand.crowd(&viewers, share_of_run));
            usual = Weighted::new(viewers);
        }
        engine.accidents(second);
        engine.reroute(second);
        engine.departures(second);
        let arrivals = [dice.poisson(usual.total() / SESSION_S), dice.poisson(crowd.total() / SESSION_S)];
        let together = arrivals[0] + arrivals[1];
        for quarter in 0..4 {
            let now = second as f64 + f64::from(quarter) * 0.25;
            engine.reports(&mut due, now, &mut reporting);
            engine.policy.tick((now * 1_000.0) as u64);
            let range = together * quarter as usize / 4..together * (quarter as usize + 1) / 4;
            for number in range {
                let of_crowd = dice.unit() * (together as f64) < arrivals[1] as f64;
                let now_ms = second as u64 * 1_000 + number as u64 * 1_000 / together as u64;
                let (city, title) = match of_crowd {
                    // All of the crowd wants one title.
                    true => (crowd.draw(&mut dice), 7),
                    false => (usual.draw(&mut dice), popularity.draw(&mut dice)),
                };
                // Drawn here, so that all policies meet the same viewers.
                let stays_s = dice.exponential(SESSION_S);
                engine.hear(now_ms);
                engine.arrival(city, title, now_ms, stays_s);
            }
        }
        engine.hear(second as u64 * 1_000 + 999);
        engine.asking_again(second);
        let split = matches!(kind, Kind::Split);
        if split && (second as f64) % scenario.report_s.max(1.0) < 1.0 {
            engine.policy.plan(&engine.in_city);
        }
        if second >= length.warm_up {
            engine.account(second);
            if (second - length.warm_up).is_multiple_of(ORACLE_S) {
                viewers.push(engine.in_city.clone());
            }
        }
    }
    let seen = Seen { viewers, after: engine.after() };
    (engine.finish(), seen)
}

impl Engine<'_, '_> {
    fn rho(&self, node: usize) -> f64 {
        self.on_node[node] / self.world.nodes[node].capacity
    }

    /// Takes a session off its node without ending it.
    fn leave(&mut self, number: usize) {
        let session = self.sessions[number];
        let node = usize::from(session.node);
        self.on_node[node] -= 1.0;
        self.distance_ms -= self.world.rtt(usize::from(session.city), self.world.nodes[node].site);
    }

    /// Routes change: what everybody's way is from now on.
    fn reroute(&mut self, second: usize) {
        if second != self.accident_s {
            return;
        }
        let Some(later) = self.later.take() else { return };
        self.world = later;
        let way = |session: &Session| {
            self.world.rtt(usize::from(session.city), self.world.nodes[usize::from(session.node)].site)
        };
        self.distance_ms = self.sessions.iter().filter(|session| session.alive).map(way).sum();
    }

    fn join(&mut self, number: usize, node: usize) {
        self.sessions[number].node = node as u16;
        self.on_node[node] += 1.0;
        self.started[node] += 1;
        let city = usize::from(self.sessions[number].city);
        self.distance_ms += self.world.rtt(city, self.world.nodes[node].site);
    }

    fn departures(&mut self, second: usize) {
        for (number, generation) in std::mem::take(&mut self.ending[second]) {
            let session = self.sessions[number as usize];
            if !session.alive || session.generation != generation {
                continue;
            }
            if !self.dead[usize::from(session.node)] {
                self.leave(number as usize);
                if self.scenario.measures() {
                    let (city, site) =
                        (usize::from(session.city), self.world.nodes[usize::from(session.node)].site);
                    self.measure(city, site, second as u64 * 1_000);
                }
            }
            self.in_city[usize::from(session.city)] -= 1.0;
            self.sessions[number as usize].alive = false;
            self.free.push(number);
        }
        for (number, generation) in std::mem::take(&mut self.seeking[second]) {
            let session = self.sessions[number as usize];
            if !session.alive || session.generation != generation {
                continue;
            }
            let viewer = Viewer {
                city: usize::from(session.city),
                title: usize::from(session.title),
                session: number,
                exclude: Some(usize::from(session.node)),
                now_ms: second as u64 * 1_000,
            };
            match self.place(&viewer) {
                Some(node) => self.join(number as usize, node),
                None => {
                    self.outcome.failed += 1;
                    self.in_city[usize::from(session.city)] -= 1.0;
                    self.sessions[number as usize].alive = false;
                    self.free.push(number);
                }
            }
        }
    }

    fn measure(&mut self, city: usize, site: usize, now_ms: u64) {
        let ms = self.world.rtt(city, site) * self.dice.between(1.0, 1.15);
        self.policy.measured(city, site, ms, now_ms);
    }

    fn reports(&mut self, due: &mut [f64], now: f64, dice: &mut Dice) {
        let nodes = self.world.nodes.len();
        for (place, due) in due.iter_mut().enumerate() {
            if *due > now {
                continue;
            }
            // Jittered, so that nodes do not report in step.
            *due += self.scenario.report_s * dice.between(0.95, 1.05);
            let (selector, node) = (place / nodes, place % nodes);
            if self.unheard[node] || dice.unit() < self.scenario.lost {
                continue;
            }
            let heard_ms = (now * 1_000.0) as u64 + self.on_its_way_ms(selector, node);
            let report = Report {
                load: self.on_node[node] / self.configured[node],
                started: self.started[node],
                service_ms: SERVICE_MS + self.curve.wait_ms(self.rho(node)),
                draining: self.draining[node] && self.knows_of_its_drain(node, heard_ms),
                boot: self.boots[node],
            };
            self.policy.report(selector, node, &report, heard_ms);
        }
    }

    /// The node that serves the viewer: the first of the policy's list that does.
    fn place(&mut self, viewer: &Viewer) -> Option<usize> {
        let selector = self.selectors.draw(&mut self.dice);
        let choice = self.policy.choose(selector, viewer);
        let first = choice.nodes().next()?;
        if self.dead[first] || self.draining[first] || self.unheard[first] {
            self.outcome.to_dead += 1;
            self.sent_there(viewer.now_ms);
        }
        choice.nodes().find(|node| !self.dead[*node])
    }

    fn arrival(&mut self, city: usize, title: usize, now_ms: u64, stays_s: f64) {
        let second = (now_ms / 1_000) as usize;
        let viewer = Viewer { city, title, session: self.counted as u32, exclude: None, now_ms };
        let counts = second >= self.length.warm_up;
        self.counted += 1;
        let Some(node) = self.place(&viewer) else {
            self.outcome.failed += u64::from(counts);
            return;
        };
        if self.scenario.measures() {
            let plan = self.policy.explore(&viewer);
            self.explored += u64::from(plan[0].is_some());
            for site in plan.into_iter().flatten() {
                self.measure(city, site, now_ms);
            }
        }
        let hit = self.kept[node].watch(title);
        if counts {
            let site = self.world.nodes[node].site;
            let rtt = self.world.rtt(city, site);
            let miss = if hit { 0.0 } else { self.world.origin_ms[site] };
            let start = rtt + self.curve.wait_ms(self.rho(node)) + miss;
            self.hits += u64::from(hit);
            self.rtts[bucket(rtt).min(BUCKETS - 1)] += 1;
            self.starts[bucket(start).min(BUCKETS - 1)] += 1;
        }
        let mut new = Session {
            city: city as u16,
            node: node as u16,
            title: title as u16,
            alive: true,
            since_ms: now_ms,
            memory: Memory::default(),
            left: None,
            generation: 0,
        };
        let number = self.free.pop().unwrap_or(self.sessions.len() as u32);
        match self.sessions.get_mut(number as usize) {
            Some(old) => {
                new.generation = old.generation + 1;
                *old = new;
            }
            None => self.sessions.push(new),
        }
        self.in_city[city] += 1.0;
        self.join(number as usize, node);
        let end = second + 1 + stays_s as usize;
        if let Some(ending) = self.ending.get_mut(end) {
            ending.push((number, new.generation));
        }
        self.ask_again_later(number, new.generation, second);
    }

    fn ask_again_later(&mut self, number: u32, generation: u32, second: usize) {
        if self.policy.asks_again() {
            let when = second + (RELOAD_S * self.dice.between(0.9, 1.1)) as usize;
            if let Some(asking) = self.asking.get_mut(when) {
                asking.push((number, generation));
            }
        }
    }

    fn asking_again(&mut self, second: usize) {
        for (number, generation) in std::mem::take(&mut self.asking[second]) {
            let session = self.sessions[number as usize];
            if !session.alive || session.generation != generation {
                continue;
            }
            self.ask_again_later(number, generation, second);
            let (city, node) = (usize::from(session.city), usize::from(session.node));
            if self.dead[node] {
                continue;
            }
            let now_ms = second as u64 * 1_000 + 999;
            let viewer = Viewer {
                city,
                title: usize::from(session.title),
                session: number.wrapping_mul(31).wrapping_add(generation),
                exclude: None,
                now_ms,
            };
            let mut again = Again { viewer, node, since_ms: session.since_ms, memory: session.memory };
            let selector = self.selectors.draw(&mut self.dice);
            let moved = self.policy.again(selector, &mut again);
            self.sessions[number as usize].memory = again.memory;
            let Some(to) = moved.filter(|to| *to != node && !self.dead[*to]) else { continue };
            self.leave(number as usize);
            self.join(number as usize, to);
            self.kept[to].watch(usize::from(session.title));
            let back =
                session.left.is_some_and(|(from, at)| usize::from(from) == to && now_ms - at < 300_000);
            self.returns += u64::from(back);
            self.moves += 1;
            let session = &mut self.sessions[number as usize];
            (session.left, session.since_ms) = (Some((node as u16, now_ms)), now_ms);
            session.memory = Memory::default();
        }
    }

    fn account(&mut self, second: usize) {
        let mut paid = self.distance_ms;
        for node in 0..self.on_node.len() {
            let (viewers, rho) = (self.on_node[node], self.rho(node));
            paid += viewers * self.curve.wait_ms(rho);
            self.session_time += viewers;
            self.overloaded += if rho > 1.0 { viewers } else { 0.0 };
        }
        let period = (second - self.length.warm_up) / ORACLE_S;
        if self.outcome.paid_ms.len() == period {
            self.outcome.paid_ms.push(0.0);
        }
        self.outcome.paid_ms[period] += paid / ORACLE_S as f64;
    }

    fn finish(mut self) -> Outcome {
        let counted = self.starts.iter().map(|count| f64::from(*count)).sum::<f64>().max(1.0);
        let all = (self.counted as f64).max(1.0);
        self.outcome.overloaded = self.overloaded / self.session_time.max(1.0);
        self.outcome.p50_ms = quantile(&self.rtts, 0.5);
        self.outcome.start_p99_ms = quantile(&self.starts, 0.99);
        self.outcome.hits = self.hits as f64 / counted;
        self.outcome.moves = self.moves as f64 / all;
        self.outcome.back_and_forth = self.returns as f64 / all;
        self.outcome.explored = self.explored as f64 / all;
        self.outcome
    }
}
