//! What measurements teach about distances.
//!
//! Edges report what they saw of the clients they served, and clients what they saw of edges. A measurement counts
//! for its cell and, with less, for all that the cell lies in. What is believed of a cell and a site starts from
//! geography, and every level that has measurements pulls it its way, the coarsest first: `n` samples pull by
//! `n / (n + 8)`. Samples fade with a half-life of six hours, and what is far from all that was seen before moves
//! a belief only a little at a time.

use std::{collections::HashMap, sync::Arc};

use super::{
    Position, Whereabouts,
    cell::{Cell, Key},
    distance::{Crowd, Distances, PRIOR_MS, Rows, SHARDS, Spot, UNIT_MS},
    whereabouts::{Medians, distance_km, median_ms},
};

/// How many samples weigh as much as what is believed without them.
const PRIOR_SAMPLES: f32 = 8.0;

/// Samples a belief may accumulate: past it the newest still count, so that a path that changes is followed.
const SAMPLES_MAX: f32 = 128.0;

/// Half-life of samples, in milliseconds.
const HALF_LIFE_MS: f32 = 6.0 * 3_600_000.0;

/// Cells, blocks, networks and areas kept.
const CELLS_MAX: usize = 100_000;

/// Sites kept. Measurements towards further ones are not learnt.
const SITES_MAX: usize = 1_024;

/// What one report may add to a coarser level, as a share of what is known there: one network must not speak for
/// all of its neighbours.
const SHARE_OF_PARENT: f32 = 0.05;

/// Entries looked at to find one to let go of.
const CANDIDATES: usize = 8;

/// Shards written anew for one table; the others follow with the next.
const SHARDS_AT_ONCE: usize = 32;

/// Shards written with every table although nothing in them was measured.
const REFRESHED: usize = 4;

/// Cells that [`super::forecast`] reckons with.
const CROWD_MAX: usize = 2_000;

/// Samples of one cell towards one site.
#[derive(Clone, Copy, Debug)]
struct Belief {
    site: u16,
    count: f32,
    ms: f32,
    /// Mean distance of samples from `ms`.
    spread: f32,
    at_ms: u64,
}

impl Belief {
    fn aged(&self, now_ms: u64) -> f32 {
        self.count * 0.5f32.powf(now_ms.saturating_sub(self.at_ms) as f32 / HALF_LIFE_MS)
    }

    fn take(&mut self, count: f32, ms: f32, now_ms: u64) {
        let known = self.aged(now_ms);
        let off = (ms - self.ms).abs();
        // Past about the 95th percentile a sample is cut to it; the spread grows, so a lasting change gets through.
        let usual = (3.0 * self.spread).max(self.ms * 0.1).max(2.0);
        let taken = if known >= PRIOR_SAMPLES { ms.clamp(self.ms - usual, self.ms + usual) } else { ms };
        let pull = count / (known + count);
        self.ms += (taken - self.ms) * pull;
        self.spread += (off.min(2.0 * usual) - self.spread) * pull.min(0.25);
        self.count = (known + count).min(SAMPLES_MAX);
        self.at_ms = now_ms;
    }
}

#[derive(Debug)]
struct Entry {
    key: Key,
    /// What it lies in, from fine to coarse.
    parents: [Option<Key>; 3],
    position: Option<Position>,
    /// Measured here and not only in what lies in it.
    finest: bool,
    beliefs: Vec<Belief>,
}

impl Entry {
    fn weight(&self, now_ms: u64) -> f32 {
        self.beliefs.iter().map(|belief| belief.aged(now_ms)).sum()
    }
}

#[derive(Debug, Default)]
struct Shard {
    index: HashMap<Key, usize>,
    entries: Vec<Entry>,
    dirty: bool,
}

/// Learns distances; [`table`](Learner::table) makes of them what decisions read.
#[derive(Debug)]
pub struct Learner {
    seed: u64,
    cells_max: usize,
    spots: Vec<Spot>,
    positions: Vec<Option<Position>>,
    shards: Vec<Shard>,
    count: usize,
    /// Where the next look for something to let go of begins, and the next writing of shards.
    hand: usize,
    turn: usize,
    table: Distances,
}

impl Default for Learner {
    fn default() -> Learner {
        Learner::new(0, CELLS_MAX)
    }
}

impl Learner {
    /// Knows nothing. `seed` spreads cells over the table; where clients may choose their addresses it should be
    /// secret. At most `cells_max` cells, blocks, networks and areas are kept.
    pub fn new(seed: u64, cells_max: usize) -> Learner {
        let table = Distances {
            seed,
            shards: (0..SHARDS).map(|_| Arc::default()).collect(),
            medians: Arc::new(Medians::default()),
            ..Distances::default()
        };
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        let (spots, positions) = (Vec::new(), Vec::new());
        Learner { seed, cells_max, spots, positions, shards, count: 0, hand: 0, turn: 0, table }
    }

    /// Makes a site known with its position, and returns its number; `None` when there are too many.
    pub fn site(&mut self, name: &str, position: Option<Position>) -> Option<u16> {
        let known = self.spots.iter().position(|spot| *spot.name == *name);
        let place = match known {
            Some(place) if position.is_none() || self.positions[place] == position => {
                return Some(place as u16);
            }
            Some(place) => place,
            None if self.spots.len() >= SITES_MAX => return None,
            None => {
                self.spots.push(Spot { name: Arc::from(name), vector: None });
                self.positions.push(None);
                self.spots.len() - 1
            }
        };
        self.positions[place] = position.filter(Position::trusted);
        self.spots[place].vector = self.positions[place].map(|position| position.vector());
        self.table.spots = Arc::new(self.spots.clone());
        // Every row has a value for every site.
        self.shards.iter_mut().for_each(|shard| shard.dirty |= !shard.entries.is_empty());
        Some(place as u16)
    }

    /// Cells, blocks, networks and areas that are known.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes in what was measured between `cell`, which is at `place`, and the site: `count` samples with that
    /// median in milliseconds. What is no time (negative, not finite, over a minute) is left out, and so is a site
    /// that is one too many.
    pub fn learn(
        &mut self,
        cell: Cell,
        place: &Whereabouts,
        site: &str,
        count: u64,
        median_ms: f64,
        now_ms: u64,
    ) {
        if count == 0 || !median_ms.is_finite() || !(0.0..=60_000.0).contains(&median_ms) {
            return;
        }
        let Some(site) = self.site(site, None) else { return };
        let address = cell.net().network();
        let [block, network, area] = [Some(Key::block(address)), Key::network(place), Key::area(place)];
        let position = place.trusted();
        let count = (count as f32).min(SAMPLES_MAX);
        let sample = |count| (site, count, median_ms as f32);
        let cell = Key::cell(address);
        self.take(cell, [block, network, area], position, sample(count), true, now_ms);
        let levels = [(block, [network, area, None]), (network, [area, None, None]), (area, [None; 3])];
        for (key, parents) in levels {
            if let Some(key) = key {
                self.take(key, parents, position, sample(count), false, now_ms);
            }
        }
    }

    fn take(
        &mut self,
        key: Key,
        parents: [Option<Key>; 3],
        position: Option<Position>,
        (site, count, ms): (u16, f32, f32),
        finest: bool,
        now_ms: u64,
    ) {
        let shard = key.mixed(self.seed) as usize % SHARDS;
        let place = match self.shards[shard].index.get(&key) {
            Some(place) => *place,
            None => {
                if self.count >= self.cells_max {
                    self.let_go(now_ms);
                }
                let entry = Entry { key, parents, position, finest, beliefs: Vec::with_capacity(2) };
                let shard = &mut self.shards[shard];
                shard.entries.push(entry);
                shard.index.insert(key, shard.entries.len() - 1);
                self.count += 1;
                shard.entries.len() - 1
            }
        };
        self.shards[shard].dirty = true;
        let entry = &mut self.shards[shard].entries[place];
        // A position may become known later.
        entry.position = position.or(entry.position);
        for (known, parent) in entry.parents.iter_mut().zip(parents) {
            *known = parent.or(*known);
        }
        match entry.beliefs.iter_mut().find(|belief| belief.site == site) {
            Some(belief) => {
                let most = if finest { count } else { 1.0 + SHARE_OF_PARENT * belief.aged(now_ms) };
                belief.take(count.min(most), ms, now_ms);
            }
            None => {
                let count = if finest { count } else { 1.0 };
                entry.beliefs.push(Belief { site, count, ms, spread: ms * 0.1, at_ms: now_ms });
            }
        }
    }

    /// Lets go of the least informative of a few entries.
    fn let_go(&mut self, now_ms: u64) {
        let mut least: Option<(f32, usize, usize)> = None;
        let mut seen = 0;
        for _ in 0..SHARDS + CANDIDATES {
            self.hand = self.hand.wrapping_add(1);
            let mixed = Key(self.hand as u64).mixed(self.seed) as usize;
            let shard = mixed % SHARDS;
            let entries = &self.shards[shard].entries;
            if entries.is_empty() {
                continue;
            }
            let place = (mixed / SHARDS) % entries.len();
            let weight = entries[place].weight(now_ms);
            if least.is_none_or(|(lightest, ..)| weight < lightest) {
                least = Some((weight, shard, place));
            }
            seen += 1;
            if seen == CANDIDATES {
                break;
            }
        }
        let Some((_, shard, place)) = least else { return };
        let shard = &mut self.shards[shard];
        let gone = shard.entries.swap_remove(place);
        shard.index.remove(&gone.key);
        if let Some(moved) = shard.entries.get(place) {
            shard.index.insert(moved.key, place);
        }
        shard.dirty = true;
        self.count -= 1;
    }

    /// What is known now, as decisions read it. Only some of what has changed is written anew at a time, and some
    /// of the rest, whose parents may have changed; what is left comes with the next table.
    pub fn table(&mut self, now_ms: u64) -> Distances {
        self.write(now_ms, SHARDS_AT_ONCE);
        self.table.clone()
    }

    /// All that is known now, at once.
    pub fn whole_table(&mut self, now_ms: u64) -> Distances {
        self.shards.iter_mut().for_each(|shard| shard.dirty = true);
        self.write(now_ms, SHARDS);
        self.table.clone()
    }

    fn write(&mut self, now_ms: u64, most: usize) {
        let (mut written, mut next) = (0, self.turn + REFRESHED);
        for step in 0..SHARDS {
            let shard = (self.turn + step) % SHARDS;
            // The first few are written whether or not they have changed: their parents may have.
            let refreshed = step < REFRESHED && !self.shards[shard].entries.is_empty();
            if self.shards[shard].dirty || refreshed {
                self.table.shards[shard] = Arc::new(self.rows(&self.shards[shard], now_ms));
                self.shards[shard].dirty = false;
                written += 1;
            }
            if written == most {
                next = shard + 1;
                break;
            }
        }
        self.turn = next % SHARDS;
        if self.turn < SHARDS_AT_ONCE || most == SHARDS {
            self.table.crowd = Arc::new(self.crowd(now_ms));
        }
    }

    fn rows(&self, shard: &Shard, now_ms: u64) -> Rows {
        let stride = self.spots.len();
        let mut rows = Rows { stride, ..Rows::default() };
        rows.values.reserve(stride * shard.entries.len());
        let mut row = vec![0f32; stride];
        for (place, entry) in shard.entries.iter().enumerate() {
            self.believed(entry, now_ms, &mut row);
            rows.index.insert(entry.key.mixed(self.seed), place as u32);
            rows.values.extend(row.iter().map(|ms| (ms / UNIT_MS).clamp(0.0, f32::from(u16::MAX)) as u16));
        }
        rows
    }

    /// What is believed of one entry and every site: geography, pulled by every level.
    fn believed(&self, entry: &Entry, now_ms: u64, row: &mut [f32]) {
        for (site, ms) in row.iter_mut().enumerate() {
            let positions = entry.position.zip(self.positions[site]);
            *ms = positions.map_or(PRIOR_MS, |(here, there)| median_ms(distance_km(&here, &there))) as f32;
        }
        let parents = entry.parents.iter().rev().flatten().filter_map(|key| {
            let shard = &self.shards[key.mixed(self.seed) as usize % SHARDS];
            shard.index.get(key).map(|place| &shard.entries[*place])
        });
        for level in parents.chain([entry]) {
            for belief in &level.beliefs {
                let count = belief.aged(now_ms);
                let pull = count / (count + PRIOR_SAMPLES);
                if let Some(ms) = row.get_mut(usize::from(belief.site)) {
                    *ms += (belief.ms - *ms) * pull;
                }
            }
        }
    }

    /// The cells that most measurements come from.
    fn crowd(&self, now_ms: u64) -> Vec<Crowd> {
        let entries = self.shards.iter().flat_map(|shard| &shard.entries).filter(|entry| entry.finest);
        let mut crowd: Vec<Crowd> = entries
            .flat_map(|entry| {
                entry.beliefs.iter().map(|belief| Crowd {
                    key: entry.key,
                    site: belief.site,
                    weight: belief.aged(now_ms),
                })
            })
            .collect();
        if crowd.len() > CROWD_MAX {
            crowd.select_nth_unstable_by(CROWD_MAX, |a, b| b.weight.total_cmp(&a.weight));
            crowd.truncate(CROWD_MAX);
        }
        crowd.sort_by_key(|crowd| (crowd.key, crowd.site));
        crowd
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::net::IpAddr;

    use super::super::Source;
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn cell(text: &str) -> Cell {
        Cell::of(text.parse().unwrap())
    }

    fn berlin(asn: u32) -> Whereabouts {
        let position = Some(Position { latitude: 52.5, longitude: 13.4, accuracy_km: 20.0 });
        Whereabouts { asn: Some(asn), country: Some(*b"DE"), position }
    }

    #[test]
    fn few_samples_move_the_belief_a_little_and_many_almost_fully() {
        let nowhere = Whereabouts::default();
        let mut learner = Learner::default();
        let at = client("203.0.113.5");
        assert_eq!(learner.table(0).estimate(at, &nowhere, "ams"), (PRIOR_MS, Source::Nothing));
        learner.learn(cell("203.0.113.0"), &nowhere, "ams", 1, 10.0, 0);
        let few = learner.table(0).estimate(at, &nowhere, "ams").0;
        for _ in 0..20 {
            learner.learn(cell("203.0.113.0"), &nowhere, "ams", 10, 10.0, 0);
        }
        let many = learner.table(0).estimate(at, &nowhere, "ams");
        assert!(few > 35.0 && many.0 < 13.0, "{few} {many:?}");
        assert_eq!(many.1, Source::Cell);
    }

    #[test]
    fn neighbours_and_networks_and_areas_speak_for_who_was_not_measured() {
        let mut learner = Learner::default();
        for _ in 0..200 {
            learner.learn(cell("203.0.113.0"), &berlin(1), "ams", 5, 12.0, 0);
        }
        let table = learner.whole_table(0);
        let of = |address: &str, place: &Whereabouts| table.estimate(client(address), place, "ams");
        assert_eq!(of("203.0.113.9", &Whereabouts::default()).1, Source::Cell);
        assert_eq!(of("203.0.114.9", &Whereabouts::default()).1, Source::Block);
        assert_eq!(of("198.51.100.1", &berlin(1)).1, Source::Network);
        assert_eq!(of("198.51.100.1", &berlin(2)).1, Source::Area);
        for (address, place) in [("203.0.114.9", 0), ("198.51.100.1", 1), ("198.51.100.1", 2)] {
            assert!((of(address, &berlin(place)).0 - 12.0).abs() < 8.0, "{address} {place}");
        }
        assert!(!of("198.51.100.1", &Whereabouts::default()).1.measured());
    }

    #[test]
    fn what_was_not_measured_from_a_cell_comes_from_geography() {
        let mut learner = Learner::default();
        learner.site("ams", Some(Position::exact(52.4, 4.9)));
        learner.site("syd", Some(Position::exact(-33.9, 151.2)));
        learner.learn(cell("203.0.113.0"), &berlin(1), "ams", 100, 12.0, 0);
        let table = learner.whole_table(0);
        let ms = |site: &str| table.estimate(client("203.0.113.1"), &Whereabouts::default(), site).0;
        assert!((ms("ams") - 12.0).abs() < 2.0 && ms("syd") > 200.0, "{} {}", ms("ams"), ms("syd"));
    }

    #[test]
    fn samples_fade_and_a_path_that_changes_is_followed() {
        let nowhere = Whereabouts::default();
        let mut learner = Learner::default();
        let believed = |learner: &mut Learner, now_ms| {
            learner.whole_table(now_ms).estimate(client("203.0.113.1"), &nowhere, "ams").0
        };
        learner.learn(cell("203.0.113.0"), &nowhere, "ams", 100, 10.0, 0);
        assert!(believed(&mut learner, 0) < 15.0);
        assert!(believed(&mut learner, 48 * HOUR_MS) > 40.0, "after two days little is left of it");
        for minute in 0..60 {
            learner.learn(cell("203.0.113.0"), &nowhere, "ams", 20, 80.0, minute * 60_000);
        }
        assert!(believed(&mut learner, HOUR_MS) > 70.0);
    }

    #[test]
    fn one_wild_sample_among_many_moves_little() {
        let nowhere = Whereabouts::default();
        let mut learner = Learner::default();
        for _ in 0..20 {
            learner.learn(cell("203.0.113.0"), &nowhere, "ams", 5, 20.0, 0);
        }
        learner.learn(cell("203.0.113.0"), &nowhere, "ams", 50, 5_000.0, 0);
        let (ms, _) = learner.whole_table(0).estimate(client("203.0.113.1"), &nowhere, "ams");
        assert!(ms < 30.0, "{ms}");
    }

    #[test]
    fn one_network_does_not_speak_for_its_neighbours() {
        let mut learner = Learner::default();
        for n in 0..200 {
            learner.learn(cell(&format!("203.0.{}.0", 112 + n % 8)), &berlin(1), "ams", 1, 20.0, 0);
        }
        for _ in 0..5 {
            learner.learn(cell("203.0.120.0"), &berlin(1), "ams", 1_000, 300.0, 0);
        }
        let (ms, source) =
            learner.whole_table(0).estimate(client("203.0.121.1"), &Whereabouts::default(), "ams");
        assert!(ms < 60.0 && source == Source::Block, "{ms} {source:?}");
    }

    #[test]
    fn nonsense_is_not_learnt() {
        let mut learner = Learner::default();
        for value in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
            learner.learn(Cell::unknown(), &Whereabouts::default(), "ams", 5, value, 0);
        }
        assert!(learner.is_empty());
    }

    #[test]
    fn a_flood_of_cells_is_bounded_and_spares_what_is_known_well() {
        let nowhere = Whereabouts::default();
        let mut learner = Learner::new(7, 500);
        for _ in 0..10 {
            learner.learn(cell("203.0.113.0"), &nowhere, "ams", 50, 12.0, 0);
        }
        for n in 0..20_000u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(0x0A00_0000 | n << 8));
            learner.learn(Cell::of(address), &nowhere, "ams", 1, 30.0, 0);
            assert!(learner.len() <= 500);
        }
        let (_, source) = learner.whole_table(0).estimate(client("203.0.113.1"), &nowhere, "ams");
        assert_eq!(source, Source::Cell, "five hundred samples gave way to one");
    }

    #[test]
    fn tables_follow_a_few_shards_at_a_time() {
        let nowhere = Whereabouts::default();
        let mut learner = Learner::default();
        for n in 0..3_000u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(0x0A00_0000 | n << 8));
            learner.learn(Cell::of(address), &nowhere, "ams", 100, 30.0, 0);
        }
        let mut table = learner.table(0);
        for _ in 0..SHARDS {
            table = learner.table(0);
        }
        for n in 0..3_000u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(0x0A00_0000 | n << 8));
            assert_eq!(table.estimate(Some(address), &nowhere, "ams").1, Source::Cell, "{address}");
        }
    }
}
