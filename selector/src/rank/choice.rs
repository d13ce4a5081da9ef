//! The choice: which site, which node.
//!
//! Two ways lead through it. Usually what the snapshot reckoned when it was built still holds, and a decision reads
//! one number per site. Where the question excludes edges, or silence has meanwhile changed how one stands, the
//! same is reckoned anew from the nodes. Both give the same answer, and neither allocates.

use std::net::IpAddr;

use super::{
    Whereabouts,
    distance::{Distances, PRIOR_MS, Row, Values, stored_ms},
    ranking::{EDGES_MAX, Edges, Marks, Place, Ranked, Ranking, Terms, Verdict},
    rendezvous,
    snapshot::{Node, Outline, Snapshot},
    standing::{Mode, Standing, Tier, excluded},
    zones::Mask,
};

/// What an edge costs more, in milliseconds, when only the distrust of the roster keeps it in play. It equals the
/// price of an edge that is nine tenths full: the ones that answer carry the load until they are about to break.
const SILENT_MS: f32 = 950.0;

/// What a site costs more, in milliseconds, when an operator prefers others for the client. It equals the price of
/// a site that is 95 % full: what is preferred is used until it is about to break.
const NOT_PREFERRED_MS: f32 = 4_000.0;

/// A hair of tolerance: the mean of equal loads may round to just below them.
const HAIR: f64 = 1e-6;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    /// The viewer's address, where it is known.
    pub client: Option<IpAddr>,
    /// Where the viewer is, as far as a database tells; used where nothing is measured of its network.
    pub place: Whereabouts,
    /// What is played: service and directory of the asset, never a segment.
    pub content_key: &'a str,
    /// The viewer's session, where there is one: what it measures besides, and whether it leaves a hot edge, is by
    /// its lot.
    pub session: Option<&'a str>,
    /// Edges not to answer with, by id.
    pub exclude: &'a [String],
    /// How many edges are wanted; there are at most [`EDGES_MAX`].
    pub k: usize,
    /// Now, on the clock of [`super::Candidate::heard_ms`].
    pub now_ms: u64,
}

/// Ranks the edges of `snapshot` for one question, best first. Same data in, same answer out; no lock, no
/// allocation.
pub fn decide<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Ranking<'s> {
    let row = snapshot.distances.row(question.client, &question.place);
    let zone = question.client.and_then(|client| snapshot.zones.mask(client));
    choose(snapshot, question, &row, zone)
}

/// What a site costs who asks, term by term, and whether it is denied to him; `None` when no node of it is fit.
pub(super) fn site_terms(snapshot: &Snapshot, question: &Question<'_>, site: usize) -> Option<(Terms, bool)> {
    let lens = Lens::new(snapshot, question);
    let row = snapshot.distances.row(question.client, &question.place);
    let zone = question.client.and_then(|client| snapshot.zones.mask(client));
    let denied = zone.is_some_and(|zone| zone.denies(site));
    let zone = zone.filter(|_| !denied);
    let group = lens.group(site, &row, zone, false, f32::INFINITY);
    group.or_else(|| lens.group(site, &row, zone, true, f32::INFINITY)).map(|group| (group.terms, denied))
}

/// What a site costs who asks, in milliseconds; `None` when no node of it is fit, or it is denied to him.
pub(super) fn site_cost_ms(snapshot: &Snapshot, question: &Question<'_>, site: usize) -> Option<f64> {
    let (terms, denied) = site_terms(snapshot, question, site)?;
    let cost_ms = terms.rtt_ms + terms.price_ms + terms.site_ms + terms.zone_ms;
    (!denied).then(|| f64::from(cost_ms))
}

/// [`decide`] for a client of these distances, to whom this zone applies.
pub(super) fn choose<'s>(
    snapshot: &'s Snapshot,
    question: &Question<'_>,
    row: &Row<'_>,
    zone: Option<&Mask>,
) -> Ranking<'s> {
    let lens = Lens::new(snapshot, question);
    let mut ranking = Ranking {
        cell: Distances::cell(question.client),
        source: row.source,
        edges: Edges::default(),
        verdict: Verdict::NoEdge,
        snapshot,
    };
    let wanted = question.k.min(EDGES_MAX);
    let mut sound = lens.shortlist(row, zone, false, wanted);
    let tied = lens.settle_tie(&mut sound, row, zone, question);
    if lens.mode.distrusted && lens.mode.tier != Tier::Draining {
        lens.fill_distrusted(&sound, row, zone, question, &mut ranking.edges);
    } else if sound.count >= wanted {
        // Each of these sites has a node that is fit, and gives one.
        for site in &sound.sites[..wanted] {
            if let Some(mut group) = lens.group(*site as usize, row, zone, false, f32::INFINITY) {
                lens.take_one(&mut group, false, question.content_key, &mut ranking.edges);
            }
        }
    } else {
        let mut groups = lens.groups(&sound, row, zone, false, wanted);
        lens.fill(&mut groups, false, wanted, question.content_key, &mut ranking.edges);
    }
    if let Some(first) = ranking.edges.first_mut() {
        let spilled = first.marks.has(Marks::SPILLED);
        first.marks.set(Marks::TIE, tied && !first.marks.has(Marks::SILENT));
        first.place = if spilled { Place::Spill } else { Place::Primary };
    }
    ranking.verdict = match sound.count {
        // Nothing was asked for, but there would be something.
        count if count > 0 && wanted == 0 => Verdict::Best,
        _ => lens.verdict(&ranking.edges, zone),
    };
    ranking
}

/// A site on the shortlist.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    site: u32,
    cost_ms: f32,
    terms: Terms,
    /// Its nodes with a higher utilisation are passed over.
    bound: f64,
    taken: u32,
}

/// The sites that nodes are taken from, in order.
#[derive(Clone, Copy, Debug, Default)]
struct Groups {
    of: [Group; EDGES_MAX],
    count: usize,
}

/// The sites that cost least, in order: as many as are wanted, and what costs hardly more than the first of them.
#[derive(Clone, Copy, Debug)]
struct Shortlist {
    costs_ms: [f32; EDGES_MAX],
    sites: [u32; EDGES_MAX],
    count: usize,
    wanted: usize,
    tie_ms: f32,
    /// What costs more is not listed.
    limit_ms: f32,
}

impl Shortlist {
    fn new(wanted: usize, tie_ms: f32) -> Shortlist {
        let (costs_ms, sites) = ([0.0; EDGES_MAX], [0; EDGES_MAX]);
        let wanted = wanted.clamp(1, EDGES_MAX);
        Shortlist { costs_ms, sites, count: 0, wanted, tie_ms, limit_ms: f32::MAX }
    }

    /// The least cost.
    fn least(&self) -> Option<f32> {
        self.costs_ms[..self.count].first().copied()
    }

    /// Puts a site where it belongs; of equals the one that came first stays first, and the last of a full list
    /// falls out.
    #[inline]
    fn insert(&mut self, site: u32, cost_ms: f32) {
        let mut place = self.count;
        if place == EDGES_MAX {
            place -= 1;
            if cost_ms >= self.costs_ms[place] {
                return;
            }
        } else {
            self.count += 1;
        }
        while place > 0 && self.costs_ms[place - 1] > cost_ms {
            self.costs_ms[place] = self.costs_ms[place - 1];
            self.sites[place] = self.sites[place - 1];
            place -= 1;
        }
        (self.costs_ms[place], self.sites[place]) = (cost_ms, site);
        if self.count >= self.wanted {
            self.limit_ms = self.costs_ms[self.wanted - 1].max(self.costs_ms[0] + self.tie_ms);
        }
    }

    /// Puts the site at `place` before all others, or one that is not listed in the last one's place.
    fn prefer(&mut self, site: u32, cost_ms: f32) {
        let place = self.sites[..self.count].iter().position(|listed| *listed == site);
        let place = place.unwrap_or(self.count.saturating_sub(1));
        self.sites.copy_within(0..place, 1);
        self.costs_ms.copy_within(0..place, 1);
        (self.costs_ms[0], self.sites[0]) = (cost_ms, site);
    }

    /// Lists all sites of a snapshot as it reckoned them, at these distances. Most are passed over by their
    /// distance alone.
    #[inline]
    fn scan(&mut self, snapshot: &Snapshot, rtt_ms: impl Fn(usize, &Outline) -> f32) {
        let prices = &snapshot.settings.prices;
        for (site, (outline, of)) in snapshot.outlines.iter().zip(&snapshot.sites).enumerate() {
            let free_of_load = rtt_ms(site, outline) + outline.cost_ms;
            if free_of_load <= self.limit_ms {
                let cost_ms = free_of_load + prices.at(of.load() as f32);
                if cost_ms <= self.limit_ms {
                    self.insert(site as u32, cost_ms);
                }
            }
        }
    }
}

/// One snapshot as one question sees it.
struct Lens<'s, 'q> {
    snapshot: &'s Snapshot,
    exclude: &'q [String],
    now_ms: u64,
    mode: Mode,
    /// What the snapshot reckoned holds.
    prepared: bool,
}

impl<'s, 'q> Lens<'s, 'q> {
    fn new(snapshot: &'s Snapshot, question: &Question<'q>) -> Lens<'s, 'q> {
        let (now_ms, exclude) = (question.now_ms, question.exclude);
        let holds = now_ms >= snapshot.built_ms && now_ms < snapshot.valid_until_ms;
        let prepared = holds && exclude.is_empty() && !snapshot.mode.distrusted;
        let mode = if prepared { snapshot.mode } else { Mode::of(snapshot, now_ms, exclude) };
        Lens { snapshot, exclude, now_ms, mode, prepared }
    }

    /// Whether the node takes viewers, as one that answers or as one that is silent in a distrusted fleet.
    #[inline]
    fn fit(&self, place: usize, node: &Node, silent: bool) -> bool {
        if self.prepared { node.fit && !silent } else { self.fit_now(place, node, silent) }
    }

    /// The same where the snapshot's word no longer holds.
    #[cold]
    fn fit_now(&self, place: usize, node: &Node, silent: bool) -> bool {
        let standing = Standing::of(node, &self.snapshot.settings, self.now_ms);
        let fit = if silent { standing == Standing::Silent } else { self.mode.takes(standing) };
        fit && !excluded(self.snapshot, place, self.exclude)
    }

    /// The utilisation of a site's fit nodes together, and their weight; `None` when there are none.
    #[inline]
    fn load(&self, site: usize, silent: bool) -> Option<(f64, f64)> {
        let of = &self.snapshot.sites[site];
        if self.prepared {
            return (of.weight > 0.0).then(|| (of.load(), of.weight));
        }
        let (mut used, mut weight) = (0.0, 0.0);
        for place in of.nodes() {
            let node = &self.snapshot.nodes[place];
            if self.fit(place, node, silent) {
                used += node.utilisation() * node.weight;
                weight += node.weight;
            }
        }
        (weight > 0.0).then(|| (used / weight, weight))
    }

    /// What a site costs; `None` when it cannot be used, or would cost more than `limit`.
    #[inline]
    fn group(
        &self,
        site: usize,
        row: &Row<'_>,
        zone: Option<&Mask>,
        silent: bool,
        limit: f32,
    ) -> Option<Group> {
        let of = &self.snapshot.sites[site];
        let rtt_ms = row.values.ms(&of.column);
        let zone_ms = match zone {
            Some(mask) if mask.denies(site) => return None,
            Some(mask) if mask.defers(site) => NOT_PREFERRED_MS,
            _ => 0.0,
        };
        let silent_ms = if silent { SILENT_MS } else { 0.0 };
        let free_of_load = rtt_ms + of.cost_ms + zone_ms + silent_ms;
        if free_of_load > limit {
            return None;
        }
        let (load, _) = self.load(site, silent)?;
        let price_ms = self.snapshot.settings.prices.at(load as f32);
        let cost_ms = free_of_load + price_ms;
        if cost_ms > limit {
            return None;
        }
        let terms =
            Terms { rtt_ms, price_ms, site_ms: of.cost_ms, zone_ms, load: load as f32, source: row.source };
        let bound = load + self.snapshot.settings.spill * (1.0 - load).max(0.0) + HAIR;
        Some(Group { site: site as u32, cost_ms, terms, bound, taken: 0 })
    }

    /// The sites that cost least: of nodes that answer, or of those that are silent in a distrusted fleet.
    fn shortlist(&self, row: &Row<'_>, zone: Option<&Mask>, silent: bool, wanted: usize) -> Shortlist {
        let snapshot = self.snapshot;
        let mut list = Shortlist::new(wanted, snapshot.settings.tie_ms as f32);
        if self.prepared && zone.is_none() && !silent {
            match row.values {
                Values::Table(values) => list.scan(snapshot, |_, outline| {
                    values.get(outline.column as usize).map_or(PRIOR_MS as f32, |value| stored_ms(*value))
                }),
                other => list.scan(snapshot, |site, _| other.ms(&snapshot.sites[site].column)),
            }
            return list;
        }
        for site in 0..snapshot.sites.len() {
            if let Some(group) = self.group(site, row, zone, silent, list.limit_ms) {
                list.insert(group.site, group.cost_ms);
            }
        }
        list
    }

    /// The sites of a list with all that is known of them.
    fn groups(
        &self,
        list: &Shortlist,
        row: &Row<'_>,
        zone: Option<&Mask>,
        silent: bool,
        most: usize,
    ) -> Groups {
        let mut groups = Groups::default();
        for site in &list.sites[..list.count.min(most)] {
            if let Some(group) = self.group(*site as usize, row, zone, silent, f32::INFINITY) {
                groups.of[groups.count] = group;
                groups.count += 1;
            }
        }
        groups
    }

    /// Puts nodes of these sites into the answer until it has as many as are wanted: one of each site in turn, so
    /// that what comes second fails for other reasons than what comes first.
    fn fill(&self, groups: &mut Groups, silent: bool, wanted: usize, key: &str, edges: &mut Edges<'s>) {
        for depth in 0.. {
            let before = edges.len();
            let mut ahead = false;
            for group in &mut groups.of[..groups.count] {
                ahead |= group.taken > depth;
                if group.taken <= depth && edges.len() < wanted {
                    self.take_one(group, silent, key, edges);
                }
            }
            if edges.len() >= wanted || (edges.len() == before && !ahead) {
                break;
            }
        }
    }

    /// The same where silence is not believed: who is silent comes after all that answer, except where it costs
    /// least of all.
    #[cold]
    fn fill_distrusted(
        &self,
        sound: &Shortlist,
        row: &Row<'_>,
        zone: Option<&Mask>,
        question: &Question<'_>,
        edges: &mut Edges<'s>,
    ) {
        let (wanted, key) = (question.k.min(EDGES_MAX), question.content_key);
        let list = self.shortlist(row, zone, true, wanted);
        let silent_first = match (sound.least(), list.least()) {
            (Some(sound), Some(silent)) => silent < sound,
            (None, Some(_)) => true,
            _ => false,
        };
        let mut sound = self.groups(sound, row, zone, false, wanted);
        let mut silent = self.groups(&list, row, zone, true, wanted);
        if silent_first && silent.count > 0 && wanted > 0 {
            self.take_one(&mut silent.of[0], true, key, edges);
        }
        self.fill(&mut sound, false, wanted, key, edges);
        self.fill(&mut silent, true, wanted, key, edges);
    }

    /// Among sites that cost the same as the cheapest, the session decides, or else the title, so that it stays
    /// where it is cached. Returns whether one of them did.
    fn settle_tie(
        &self,
        list: &mut Shortlist,
        row: &Row<'_>,
        zone: Option<&Mask>,
        question: &Question<'_>,
    ) -> bool {
        let Some(best) = list.least() else { return false };
        let limit = best + self.snapshot.settings.tie_ms as f32;
        let equals = list.costs_ms[..list.count].iter().take_while(|cost_ms| **cost_ms <= limit).count();
        if equals < 2 {
            return false;
        }
        // Not the session: a title that every session takes elsewhere is cold everywhere.
        let key = question.content_key;
        let mut chosen: Option<(f64, u32, f32)> = None;
        let mut consider = |site: u32, cost_ms: f32| {
            let of = &self.snapshot.sites[site as usize];
            let weight = self.load(site as usize, false).map_or(1.0, |(_, weight)| weight);
            let drawn = rendezvous::weighted(rendezvous::bits(key, of.seed), weight);
            if chosen.is_none_or(|(best, ..)| drawn > best) {
                chosen = Some((drawn, site, cost_ms));
            }
        };
        if equals < EDGES_MAX || self.snapshot.sites.len() == EDGES_MAX {
            for place in 0..equals {
                consider(list.sites[place], list.costs_ms[place]);
            }
        } else {
            // More may be equal than the list holds.
            let all = 0..self.snapshot.sites.len();
            let groups = all.filter_map(|site| self.group(site, row, zone, false, f32::INFINITY));
            let equal = groups.filter(|group| group.cost_ms <= limit);
            equal.for_each(|group| consider(group.site, group.cost_ms));
        }
        let Some((_, site, cost_ms)) = chosen else { return false };
        list.prefer(site, cost_ms);
        true
    }

    /// Puts the next node of a site into the answer: the first of the title's order that is within the bound, and
    /// when there are no more such, the least loaded. One node is always within it, for none can all be above
    /// their mean.
    fn take_one(&self, group: &mut Group, silent: bool, key: &str, edges: &mut Edges<'s>) {
        let home = (group.taken == 0).then(|| self.home(group, silent, key)).flatten();
        if let Some(place) = home {
            let utilisation = self.snapshot.nodes[place].utilisation();
            let over = utilisation > group.bound;
            if !over {
                return self.put(group, silent, place, utilisation, Marks::AFFINITY, edges);
            }
        }
        let site = &self.snapshot.sites[group.site as usize];
        let (mut within, mut beyond): (Option<Drawn>, Option<Drawn>) = (None, None);
        for place in site.nodes() {
            let node = &self.snapshot.nodes[place];
            let taken = group.taken > 0 && edges.iter().any(|taken| taken.number as usize == place);
            if taken || !self.fit(place, node, silent) {
                continue;
            }
            let bits = rendezvous::bits(key, node.seed);
            let draw = if site.uniform { bits as f64 } else { rendezvous::weighted(bits, node.weight) };
            let drawn = Drawn { place, draw, utilisation: node.utilisation() };
            let over = drawn.utilisation > group.bound;
            if !over && within.as_ref().is_none_or(|best| draw > best.draw) {
                within = Some(drawn);
            } else if over && beyond.as_ref().is_none_or(|best| drawn.lighter(best)) {
                beyond = Some(drawn);
            }
        }
        let mark = match (&within, group.taken) {
            (None, _) => Marks::OVER_BOUND,
            (Some(_), 0) => Marks::SPILLED,
            _ => Marks::default(),
        };
        if let Some(Drawn { place, utilisation, .. }) = within.or(beyond) {
            self.put(group, silent, place, utilisation, mark, edges);
        }
    }

    /// The node of the title in a site, whatever its load.
    #[inline]
    fn home(&self, group: &Group, silent: bool, key: &str) -> Option<usize> {
        let site = &self.snapshot.sites[group.site as usize];
        let mut home: Option<(usize, rendezvous::Draw)> = None;
        for place in site.nodes() {
            let node = &self.snapshot.nodes[place];
            if self.fit(place, node, silent) {
                let draw = rendezvous::Draw { bits: rendezvous::bits(key, node.seed), weight: node.weight };
                if home.is_none_or(|(_, best)| draw.beats(best)) {
                    home = Some((place, draw));
                }
            }
        }
        home.map(|(place, _)| place)
    }

    /// Puts a node of a site into the answer.
    #[inline]
    fn put(
        &self,
        group: &mut Group,
        silent: bool,
        place: usize,
        utilisation: f64,
        mark: Marks,
        edges: &mut Edges<'s>,
    ) {
        let node = &self.snapshot.nodes[place];
        let edge = &self.snapshot.edges[place];
        let standing = Standing::of(node, &self.snapshot.settings, self.now_ms);
        let mut marks = mark;
        marks.set(Marks::SILENT, silent);
        marks.set(Marks::SUSPECT, standing == Standing::Suspect);
        marks.set(Marks::FAILING, standing == Standing::Ejected);
        marks.set(Marks::DRAINING, standing == Standing::Draining);
        let other = !edges.is_empty()
            && edges.iter().all(|taken| self.snapshot.nodes[taken.number as usize].site != node.site);
        marks.set(Marks::OTHER_SITE, other);
        group.taken += 1;
        edges.push(Ranked {
            edge,
            rtt_ms: f64::from(group.terms.rtt_ms),
            cost_ms: f64::from(group.cost_ms),
            utilisation,
            place: Place::Backup,
            number: place as u32,
            bound: group.bound as f32,
            age_ms: edge.age_ms(self.now_ms),
            terms: group.terms,
            marks,
        });
    }

    fn verdict(&self, edges: &Edges<'_>, zone: Option<&Mask>) -> Verdict {
        let Some(first) = edges.first() else { return Verdict::NoEdge };
        match () {
            () if self.mode.tier == Tier::Draining => Verdict::Draining,
            () if first.marks.has(Marks::SILENT) => Verdict::Distrust,
            () if self.mode.panic && first.marks.has(Marks::FAILING) => Verdict::Distrust,
            () if self.mode.tier == Tier::Suspect => Verdict::Suspect,
            () if first.place == Place::Spill => Verdict::Spill,
            () if zone.is_some() => Verdict::Zone,
            () => Verdict::Best,
        }
    }
}

/// A node with what it drew for the title.
struct Drawn {
    place: usize,
    draw: f64,
    utilisation: f64,
}

impl Drawn {
    /// Less loaded, or as loaded and earlier in the title's order.
    fn lighter(&self, other: &Drawn) -> bool {
        (other.utilisation, self.draw).partial_cmp(&(self.utilisation, other.draw))
            == Some(std::cmp::Ordering::Greater)
    }
}
