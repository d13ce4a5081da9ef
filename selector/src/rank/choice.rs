//! The choice: which site, which node.
//!
//! Two ways lead through it. Usually what the snapshot reckoned when it was built still holds, and a decision reads
//! one number per site. Where the question excludes edges, or silence has meanwhile changed how one stands, the
//! same is reckoned anew from the nodes. Both give the same answer, and neither allocates.

use std::net::IpAddr;

use super::{
    Whereabouts,
    distance::{PRIOR_MS, Row, Values, stored_ms},
    ranking::{EDGES_MAX, Edges, Marks, Place, Ranked, Ranking, Terms, Verdict},
    rendezvous,
    shortlist::Shortlist,
    snapshot::{Node, Snapshot},
    standing::{Mode, Standing, Tier, excluded},
    stripes,
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
#[inline]
pub fn decide<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Ranking<'s> {
    let mut ranking = Ranking::new(snapshot, question.client);
    choose_for_client(question, Spread::Sites, &mut ranking);
    ranking
}

/// [`decide`] for an answer whose edges are used all alike, as addresses in DNS are: what comes second is another
/// node of the best site, where it has one, and then one of each other site in turn.
#[inline]
pub fn decide_pair<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Ranking<'s> {
    let mut ranking = Ranking::new(snapshot, question.client);
    choose_for_client(question, Spread::Pair, &mut ranking);
    ranking
}

/// [`choose`] for the client who asks, wherever he is.
fn choose_for_client(question: &Question<'_>, spread: Spread, ranking: &mut Ranking<'_>) {
    let snapshot = ranking.snapshot;
    let row = snapshot.distances.row(question.client, &question.place);
    let zone = question.client.and_then(|client| snapshot.zones.mask(client));
    choose(question, &row, zone, spread, ranking);
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

/// Whether the edge at `place` takes viewers, when it is asked.
pub(super) fn takes(snapshot: &Snapshot, question: &Question<'_>, place: usize) -> bool {
    Lens::new(snapshot, question).fit(place, &snapshot.nodes[place], false)
}

/// Where alternates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// From other sites first.
    Sites,
    /// The first of them from the best site.
    Pair,
}

/// Ranks for a client of these distances, to whom this zone applies. The answer is written where it is wanted, since
/// it is too large to be handed on.
pub(super) fn choose(
    question: &Question<'_>,
    row: &Row<'_>,
    zone: Option<&Mask>,
    spread: Spread,
    ranking: &mut Ranking<'_>,
) {
    let mut lens = Lens::new(ranking.snapshot, question);
    let (wanted, key, edges) = (question.k.min(EDGES_MAX), question.content_key, &mut ranking.edges);
    let mut sound = Shortlist::new(wanted, lens.snapshot.settings.tie_ms as f32);
    lens.shortlist(&mut sound, row, zone, false);
    lens.tied = lens.settle_tie(&mut sound, row, zone, question);
    if lens.mode.distrusted && lens.mode.tier != Tier::Draining {
        lens.fill_distrusted(&sound, row, zone, question, spread, edges);
    } else if sound.count >= wanted {
        // Each of these sites has a node that is fit, and gives one.
        let reckoned = lens.prepared && zone.is_none();
        for (at, site) in sound.sites[..wanted].iter().enumerate() {
            if edges.len() >= wanted {
                break;
            }
            let mut group = match reckoned {
                true => lens.group_as_reckoned(*site as usize, row),
                false => match lens.group(*site as usize, row, zone, false, f32::INFINITY) {
                    Some(group) => group,
                    None => break,
                },
            };
            lens.take_one(&mut group, false, key, edges);
            if spread == Spread::Pair && at == 0 && wanted > 1 {
                lens.take_one(&mut group, false, key, edges);
            }
        }
    } else {
        let mut groups = lens.groups(&sound, row, zone, false, wanted);
        lens.lead(&mut groups, false, wanted, key, spread, edges);
        lens.fill(&mut groups, false, wanted, key, edges);
    }
    ranking.verdict = match sound.count {
        // Nothing was asked for, but there would be something.
        count if count > 0 && wanted == 0 => Verdict::Best,
        _ => lens.verdict(edges, zone),
    };
    ranking.source = row.source;
    ranking.distrusted = lens.mode.distrusted;
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

/// One snapshot as one question sees it.
struct Lens<'s, 'q> {
    snapshot: &'s Snapshot,
    exclude: &'q [String],
    now_ms: u64,
    mode: Mode,
    /// What the snapshot reckoned holds.
    prepared: bool,
    /// What this thread holds back of the load of sites.
    own: stripes::Row<'s>,
    /// The first site is one of several that cost the same.
    tied: bool,
}

impl<'s, 'q> Lens<'s, 'q> {
    fn new(snapshot: &'s Snapshot, question: &Question<'q>) -> Lens<'s, 'q> {
        let (now_ms, exclude) = (question.now_ms, question.exclude);
        let holds = now_ms >= snapshot.built_ms && now_ms < snapshot.valid_until_ms;
        let prepared = holds && exclude.is_empty() && !snapshot.mode.distrusted;
        let mode = if prepared { snapshot.mode } else { Mode::of(snapshot, now_ms, exclude) };
        Lens { snapshot, exclude, now_ms, mode, prepared, own: snapshot.held.row(), tied: false }
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
        if !self.prepared {
            return self.load_now(site, silent);
        }
        let of = &self.snapshot.sites[site];
        (of.weight > 0.0).then(|| (of.load(self.own.of(site)), of.weight))
    }

    /// The same where the snapshot's word no longer holds.
    #[cold]
    fn load_now(&self, site: usize, silent: bool) -> Option<(f64, f64)> {
        let of = &self.snapshot.sites[site];
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

    /// What a site costs that is known to be usable, where what the snapshot reckoned holds.
    #[inline]
    fn group_as_reckoned(&self, site: usize, row: &Row<'_>) -> Group {
        let of = &self.snapshot.sites[site];
        let (rtt_ms, load) = (row.values.ms(&of.column), of.load(self.own.of(site)));
        let price_ms = self.snapshot.settings.prices.at(load as f32);
        let (site_ms, zone_ms) = (of.cost_ms, 0.0);
        let cost_ms = rtt_ms + site_ms + price_ms;
        let terms = Terms { rtt_ms, price_ms, site_ms, zone_ms, load: load as f32, source: row.source };
        Group { site: site as u32, cost_ms, terms, bound: self.bound(load), taken: 0 }
    }

    /// Past which utilisation the nodes of a site so loaded are passed over.
    #[inline]
    fn bound(&self, load: f64) -> f64 {
        load + self.snapshot.settings.spill * (1.0 - load).max(0.0) + HAIR
    }

    /// What a site costs; `None` when it cannot be used, or would cost more than `limit`.
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
        Some(Group { site: site as u32, cost_ms, terms, bound: self.bound(load), taken: 0 })
    }

    /// Lists the sites that cost least: of nodes that answer, or of those that are silent in a distrusted fleet.
    #[inline]
    fn shortlist(&self, list: &mut Shortlist, row: &Row<'_>, zone: Option<&Mask>, silent: bool) {
        let snapshot = self.snapshot;
        if self.prepared && zone.is_none() && !silent {
            match row.values {
                Values::Table(values) => list.scan(snapshot, self.own, |_, outline| {
                    values.get(outline.column as usize).map_or(PRIOR_MS as f32, |value| stored_ms(*value))
                }),
                other => list.scan(snapshot, self.own, |site, _| other.ms(&snapshot.sites[site].column)),
            }
            return;
        }
        for site in 0..snapshot.sites.len() {
            if let Some(group) = self.group(site, row, zone, silent, list.limit_ms) {
                list.insert(group.site, group.cost_ms);
            }
        }
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

    /// Puts a pair of the first site into an answer that is to begin with one.
    fn lead(
        &self,
        groups: &mut Groups,
        silent: bool,
        wanted: usize,
        key: &str,
        spread: Spread,
        edges: &mut Edges<'s>,
    ) {
        let Some(first) = groups.of[..groups.count].first_mut() else { return };
        while spread == Spread::Pair && edges.len() < wanted.min(2) {
            let before = edges.len();
            self.take_one(first, silent, key, edges);
            if edges.len() == before {
                return;
            }
        }
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
        spread: Spread,
        edges: &mut Edges<'s>,
    ) {
        let (wanted, key) = (question.k.min(EDGES_MAX), question.content_key);
        let mut list = Shortlist::new(wanted, self.snapshot.settings.tie_ms as f32);
        self.shortlist(&mut list, row, zone, true);
        let silent_first = match (sound.least(), list.least()) {
            (Some(sound), Some(silent)) => silent < sound,
            (None, Some(_)) => true,
            _ => false,
        };
        let mut sound = self.groups(sound, row, zone, false, wanted);
        let mut silent = self.groups(&list, row, zone, true, wanted);
        if silent_first && silent.count > 0 && wanted > 0 {
            self.take_one(&mut silent.of[0], true, key, edges);
            self.lead(&mut silent, true, wanted, key, spread, edges);
        } else {
            self.lead(&mut sound, false, wanted, key, spread, edges);
        }
        self.fill(&mut sound, false, wanted, key, edges);
        self.fill(&mut silent, true, wanted, key, edges);
    }

    /// Among sites that cost the same as the cheapest the title decides, so that it stays where it is cached. Returns
    /// whether there was more than one.
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
        let mut chosen: Option<(rendezvous::Draw, u32, f32)> = None;
        let mut consider = |site: u32, cost_ms: f32| {
            let of = &self.snapshot.sites[site as usize];
            let weight = self.load(site as usize, false).map_or(1.0, |(_, weight)| weight);
            let drawn = rendezvous::Draw { bits: rendezvous::bits(key, of.seed), weight };
            if chosen.is_none_or(|(best, ..)| drawn.beats(best)) {
                chosen = Some((drawn, site, cost_ms));
            }
        };
        if equals < EDGES_MAX || self.snapshot.sites.len() == EDGES_MAX {
            for place in 0..equals {
                consider(list.sites[place], list.costs_ms[place]);
            }
        } else {
            // More may be equal than the list holds.
            let reckoned = self.prepared && zone.is_none();
            let group = |site: usize| match reckoned {
                true => (self.snapshot.sites[site].weight > 0.0).then(|| self.group_as_reckoned(site, row)),
                false => self.group(site, row, zone, false, limit),
            };
            let all = (0..self.snapshot.sites.len()).filter_map(group);
            let equal = all.filter(|group| group.cost_ms <= limit);
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
            let draw = rendezvous::Draw { bits: rendezvous::bits(key, node.seed), weight: node.weight };
            let drawn = Drawn { place, draw, utilisation: node.utilisation() };
            let over = drawn.utilisation > group.bound;
            if !over && within.as_ref().is_none_or(|best| draw.beats(best.draw)) {
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
        let first = edges.is_empty();
        marks.set(Marks::TIE, first && self.tied && !silent);
        let other = edges.iter().all(|taken| self.snapshot.nodes[taken.number as usize].site != node.site);
        marks.set(Marks::OTHER_SITE, !first && other);
        group.taken += 1;
        edges.push(Ranked {
            edge,
            rtt_ms: f64::from(group.terms.rtt_ms),
            cost_ms: f64::from(group.cost_ms),
            utilisation,
            place: match first {
                true if mark.has(Marks::SPILLED) => Place::Spill,
                true => Place::Primary,
                false => Place::Backup,
            },
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
    draw: rendezvous::Draw,
    utilisation: f64,
}

impl Drawn {
    /// Less loaded, or as loaded and earlier in the title's order.
    fn lighter(&self, other: &Drawn) -> bool {
        self.utilisation < other.utilisation
            || self.utilisation == other.utilisation && self.draw.beats(other.draw)
    }
}
