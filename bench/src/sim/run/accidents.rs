//! What goes wrong at nodes in a run, and when selectors hear of it.
//!
//! Nothing is known by magic. A process that dies has its connections ended by its kernel, which selectors hear half a
//! round trip later, or after a retransmission where that packet is lost. A host without power ends nothing: only
//! silence tells. An operator drains at one selector; the others hear it from the node, which hears it from that one,
//! and the operator is answered when the node has told them all: what counts is who is sent there afterwards.
//! Until when selectors would still have sent somebody there is found out by asking them all, again and again, for
//! viewers beside the node who are sent nowhere: real arrivals are too few to tell.

use super::{Engine, ORACLE_S, World};
use crate::sim::{
    best::After,
    dice::Dice,
    policies::{News, Viewer},
    scenario::{Accident, Scenario},
    titles::Kept,
};

/// Seconds within which players notice that a node is gone.
const NOTICE_S: f64 = 4.0;

/// Seconds that a restarting node is away, and between two restarts.
const AWAY_S: usize = 4;
const RESTART_EVERY_S: usize = 2;

/// Share of packets that are lost, and milliseconds until one is sent again.
const PACKET_LOST: f64 = 0.01;
const SENT_AGAIN_MS: u64 = 200;

/// How long a node gathers news before it tells them, in milliseconds.
const GATHERED_MS: u64 = 20;

/// Milliseconds between two rounds of questions after an accident, and how long they go on.
const PROBE_MS: u64 = 20;
const PROBED_MS: u64 = 5_000;

/// Cities and titles of a round.
const CITIES: usize = 4;
const TITLES: usize = 12;

/// What a selector hears, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    at_ms: u64,
    selector: usize,
    node: usize,
    news: News,
}

/// The nodes that the accident of a scenario hits: the largest, or all of its site.
pub(super) fn victims(world: &World, scenario: &Scenario) -> Vec<usize> {
    let capacity = |a: &usize, b: &usize| world.nodes[*a].capacity.total_cmp(&world.nodes[*b].capacity);
    let largest = (0..world.nodes.len()).max_by(capacity).unwrap_or(0);
    match scenario.accident {
        Some(Accident::SiteCut) => world.nodes_of(world.nodes[largest].site).collect(),
        _ => vec![largest],
    }
}

impl Engine<'_, '_> {
    /// How the world is for the oracle after what happens halfway.
    pub(super) fn after(&self) -> Option<After> {
        let from = (self.accident_s - self.length.warm_up) / ORACLE_S;
        if self.scenario.rerouted > 0.0 {
            return Some(After { from, world: self.world.clone(), lost: false });
        }
        let accident = self.scenario.accident.filter(|accident| *accident != Accident::Storm);
        accident.map(|_| {
            let mut world = self.world.clone();
            for node in &self.victims {
                world.capacity[world.nodes[*node].site] -= world.nodes[*node].capacity;
            }
            After { from, world, lost: true }
        })
    }

    /// What happens at the beginning of a second.
    pub(super) fn accidents(&mut self, second: usize) {
        let Some(accident) = self.scenario.accident else { return };
        let Some(passed) = second.checked_sub(self.accident_s) else { return };
        if let Accident::Storm = accident {
            return self.restart(passed, second);
        }
        if passed > 0 {
            return;
        }
        let now_ms = second as u64 * 1_000;
        self.answered_ms = now_ms;
        let mut dice = Dice::new(self.accident_s as u64 ^ self.counted, 25);
        for node in self.victims.clone() {
            for selector in 0..self.scenario.selectors {
                let way_ms = self.way_ms(selector, node);
                let again_ms = if dice.unit() < PACKET_LOST { SENT_AGAIN_MS + way_ms } else { 0 };
                let (news, at_ms) = match accident {
                    Accident::Kill => (News::Ended, now_ms + way_ms + again_ms),
                    // The selector that the operator asks; then the node, which tells the others at once.
                    Accident::Drain if selector == 0 => (News::Drained, now_ms),
                    Accident::Drain => {
                        let told_ms = now_ms + self.way_ms(0, node) + GATHERED_MS + way_ms + again_ms;
                        let back_ms = self.way_ms(0, node);
                        let back_again_ms =
                            if dice.unit() < PACKET_LOST { SENT_AGAIN_MS + back_ms } else { 0 };
                        let receipt_ms = told_ms + way_ms + GATHERED_MS + back_ms + back_again_ms;
                        self.answered_ms = self.answered_ms.max(receipt_ms);
                        (News::Drained, told_ms)
                    }
                    _ => continue,
                };
                self.news.push(Word { at_ms, selector, node, news });
            }
            match accident {
                Accident::Kill | Accident::PowerCut | Accident::SiteCut => {
                    (self.dead[node], self.unheard[node]) = (true, true);
                    self.evict(node, second);
                }
                Accident::Partition => self.unheard[node] = true,
                Accident::Drain => self.draining[node] = true,
                Accident::Storm => {}
            }
        }
        self.outcome.answered_s = (self.answered_ms - now_ms) as f64 / 1_000.0;
        self.news.sort_by_key(|word| word.at_ms);
        self.probed_ms = now_ms;
    }

    fn restart(&mut self, passed: usize, second: usize) {
        let nodes = self.world.nodes.len();
        if passed.is_multiple_of(RESTART_EVERY_S) && passed / RESTART_EVERY_S < nodes {
            let node = passed / RESTART_EVERY_S;
            (self.dead[node], self.unheard[node]) = (true, true);
            self.evict(node, second);
        }
        if let Some(up) = passed.checked_sub(AWAY_S)
            && up.is_multiple_of(RESTART_EVERY_S)
            && up / RESTART_EVERY_S < nodes
        {
            let node = up / RESTART_EVERY_S;
            (self.dead[node], self.unheard[node]) = (false, false);
            self.boots[node] += 1;
            self.started[node] = 0;
            self.kept[node] = Kept::new();
        }
    }

    /// All sessions of a node lose it, and look for another when their players notice.
    fn evict(&mut self, node: usize, second: usize) {
        for number in 0..self.sessions.len() {
            let session = self.sessions[number];
            if session.alive && usize::from(session.node) == node {
                self.leave(number);
                let when = second + 1 + (self.dice.unit() * NOTICE_S) as usize;
                if let Some(seeking) = self.seeking.get_mut(when) {
                    seeking.push((number as u32, session.generation));
                }
            }
        }
    }

    /// From a node to a selector, or back. Selectors stand at sites that are apart.
    fn way_ms(&self, selector: usize, node: usize) -> u64 {
        let sites = self.world.sites.len();
        let city = self.world.sites[selector * sites / self.scenario.selectors % sites];
        (self.world.rtt(city, self.world.nodes[node].site) / 2.0) as u64
    }

    /// How long a report is on its way; that matters only where milliseconds are counted, after an accident.
    pub(super) fn on_its_way_ms(&self, selector: usize, node: usize) -> u64 {
        if self.scenario.accident.is_some() { self.way_ms(selector, node) } else { 0 }
    }

    /// Whether what a selector hears from the node at that time was said after it had heard that it is drained.
    pub(super) fn knows_of_its_drain(&self, node: usize, heard_ms: u64) -> bool {
        heard_ms >= self.accident_s as u64 * 1_000 + 2 * self.way_ms(0, node)
    }

    /// Lets selectors hear what has reached them by then, and asks them whom they would send where.
    pub(super) fn hear(&mut self, now_ms: u64) {
        while let Some(word) = self.news.first().copied().filter(|word| word.at_ms <= now_ms) {
            self.probe(word.at_ms);
            self.news.remove(0);
            self.policy.told(word.selector, word.node, word.news, word.at_ms);
        }
        self.probe(now_ms + 1);
    }

    /// Asks at all times due before `until_ms`.
    fn probe(&mut self, until_ms: u64) {
        let accident_ms = self.accident_s as u64 * 1_000;
        let over = until_ms <= accident_ms || self.probed_ms >= accident_ms + PROBED_MS;
        if over || matches!(self.scenario.accident, None | Some(Accident::Storm)) {
            return;
        }
        let sites = self.world.sites.len();
        let site = self.victims.first().map_or(0, |node| self.world.nodes[*node].site);
        let mut near: Vec<usize> = (0..self.world.weights.len()).collect();
        let ms = |city: &usize| self.world.rtt_ms[city * sites + site];
        near.sort_by(|a, b| ms(a).total_cmp(&ms(b)));
        while self.probed_ms < until_ms {
            let now_ms = self.probed_ms;
            let sent = (0..self.scenario.selectors).any(|selector| {
                near.iter().take(CITIES).any(|city| {
                    (0..TITLES).any(|title| {
                        let viewer = Viewer { city: *city, title, session: 0, exclude: None, now_ms };
                        let node = self.policy.would_choose(selector, &viewer);
                        node.is_some_and(|node| self.victims.contains(&node))
                    })
                })
            });
            if sent {
                self.sent_there(now_ms);
            }
            self.probed_ms += PROBE_MS;
        }
    }

    /// Somebody is sent, or would be, where nobody should be any more.
    pub(super) fn sent_there(&mut self, now_ms: u64) {
        if !matches!(self.scenario.accident, Some(Accident::Storm)) {
            let passed_s = |from_ms| now_ms.saturating_sub(from_ms) as f64 / 1_000.0;
            let outcome = &mut self.outcome;
            outcome.to_dead_s = outcome.to_dead_s.max(passed_s(self.accident_s as u64 * 1_000));
            outcome.to_drained_s = outcome.to_drained_s.max(passed_s(self.answered_ms));
        }
    }
}
