//! The rules by which an edge is compared with its peers: what most of them show at the same time condemns nobody.

use super::{
    BUSY, DEVIATIONS, FAILING_MS, FAILURES, IDLE, MORE, NETWORKS, RARE, RATIO, RECENT, RELAPSING_MS, SAMPLES,
    SERVED, SERVICE_FLOOR_MS, SLOW, SLOW_IDLE, SLOWING_MS, TURNS_FAILED, WORSE, Why,
    chance::{least_share, ln_chance},
    evidence::{Answers, Evidence, Spells},
};

/// A suspicion, with how bad it is: 1 is the bound itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) why: Why,
    pub(super) weight: f64,
}

/// One live edge under comparison.
pub(super) struct Look<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) reported: f64,
    pub(super) load: f64,
}

/// What the fleet as a whole shows.
pub(super) struct Peers {
    live: usize,
    /// How many fail the selector's checks.
    failing: usize,
    /// Sum of clients' failures, and of loads.
    failures: f64,
    load: f64,
    /// Shares of failures, ascending, of those with enough answers.
    shares: Vec<f64>,
    /// The same of the last seconds only, in which a source may have begun to fail.
    recent: Vec<f64>,
    /// Answers of all, and failures of them.
    answers: f64,
    failed: f64,
    /// Service times in milliseconds, ascending.
    service: Vec<f64>,
}

impl Peers {
    pub(super) fn of(looks: &[Option<Look<'_>>]) -> Peers {
        let looks = || looks.iter().flatten();
        let answers = || looks().filter_map(|look| look.evidence.answers(1));
        let sorted = |values: Vec<f64>| {
            let mut values = values;
            values.sort_by(f64::total_cmp);
            values
        };
        Peers {
            live: looks().count(),
            failing: looks().filter(|look| look.evidence.failed() > 0).count(),
            failures: looks().map(|look| look.evidence.failures().0).sum(),
            load: looks().map(|look| look.load).sum(),
            shares: sorted(
                looks().filter_map(|look| look.evidence.answers(SAMPLES)).map(Answers::share).collect(),
            ),
            recent: sorted(
                looks().filter_map(|look| look.evidence.recently(RECENT)).map(Answers::share).collect(),
            ),
            answers: answers().map(|answers| answers.count as f64).sum(),
            failed: answers().map(|answers| answers.failures as f64).sum(),
            service: sorted(looks().filter_map(|look| look.evidence.service_ms(SERVED, false)).collect()),
        }
    }

    /// The worst that speaks against an edge.
    pub(super) fn charge(&self, look: &Look<'_>) -> Option<Charge> {
        if look.evidence.is_sound() {
            return None;
        }
        let charges = [self.clients(look), self.ratio(look), self.checks(look), self.slow(look)];
        worst_of(charges.into_iter().flatten())
    }

    fn clients(&self, look: &Look<'_>) -> Option<Charge> {
        let (failures, networks) = look.evidence.failures();
        // What its peers' failures let expect of an edge with its load.
        let load = self.load - look.load;
        let others = self.failures - failures;
        let expected = match load > 0.0 {
            true => others * look.load / load,
            false => others / (self.live - 1).max(1) as f64,
        };
        let bound = FAILURES + expected + DEVIATIONS * expected.sqrt();
        (networks >= NETWORKS && failures >= bound)
            .then_some(Charge { why: Why::Clients { failures: failures as u32 }, weight: failures / bound })
    }

    fn ratio(&self, look: &Look<'_>) -> Option<Charge> {
        self.share(look).or_else(|| self.few(look))
    }

    /// Enough answers show it alone.
    fn share(&self, look: &Look<'_>) -> Option<Charge> {
        let bound = self.most_share(look);
        let worst = |answers: Answers| {
            let share = answers.share();
            let least = least_share(share, answers.count as f64);
            (least > bound).then_some(Charge { why: Why::Ratio { share }, weight: least / bound })
        };
        let windows = [look.evidence.answers(SAMPLES), look.evidence.recently(SAMPLES)];
        worst_of(windows.into_iter().flatten().filter_map(worst))
    }

    /// Few show it together with checks: two observers who do not know of each other.
    fn few(&self, look: &Look<'_>) -> Option<Charge> {
        let spells = look.evidence.spells();
        if spells.turns_failed < TURNS_FAILED || self.blind(spells) {
            return None;
        }
        let (usual, bound) = (self.usual_share(look), self.most_share(look));
        let checks = ln_chance(spells.turns, spells.turns_failed, self.usual_checks(look));
        let rarest = |answers: Answers| {
            let (count, failures) = (answers.count as usize, answers.failures as usize);
            let rarity = (checks + ln_chance(count, failures, usual)) / RARE.ln();
            (answers.share() > bound && rarity >= 1.0)
                .then_some(Charge { why: Why::Ratio { share: answers.share() }, weight: rarity })
        };
        let windows = [look.evidence.answers(1), look.evidence.recently(1)];
        worst_of(windows.into_iter().flatten().filter_map(rarest))
    }

    /// A row of failures without end, or one after the other begins.
    fn checks(&self, look: &Look<'_>) -> Option<Charge> {
        let spells = look.evidence.spells();
        if spells.failed == 0 || self.blind(spells) {
            return None;
        }
        let usual = self.usual_checks(look);
        let failing = match spells.longest_ms >= FAILING_MS {
            true => ln_chance(spells.in_a_row, spells.in_a_row, usual),
            false => 0.0,
        };
        let relapsing = match spells.span_ms >= RELAPSING_MS {
            true => ln_chance(spells.turns, spells.turns_failed, usual),
            false => 0.0,
        };
        let rarity = failing.min(relapsing) / RARE.ln();
        let Spells { failed, turns_failed, turns, .. } = spells;
        let [failed, turns_failed, turns] = [failed, turns_failed, turns].map(|count| count as u32);
        let why = Why::Checks { failed, turns_failed, turns };
        (rarity >= 1.0).then_some(Charge { why, weight: rarity })
    }

    /// Where half of the others fail checks as well, it is this selector that cannot see, or the source.
    fn blind(&self, spells: Spells) -> bool {
        let others = self.failing - usize::from(spells.failed > 0);
        others > 0 && others * 2 >= self.live - 1
    }

    /// The share of checks that fails usually: what the way loses, or what the source fails.
    fn usual_checks(&self, look: &Look<'_>) -> f64 {
        self.usual_share(look).max(look.evidence.lost())
    }

    /// The share of failures that is too much for an edge.
    fn most_share(&self, look: &Look<'_>) -> f64 {
        let upper = self.share_of(look, upper_without);
        RATIO.max((WORSE * self.usual_share(look)).min(upper + MORE))
    }

    /// The share of failures of the edge's usual peer.
    fn usual_share(&self, look: &Look<'_>) -> f64 {
        self.share_of(look, median_without)
    }

    /// The share of failures of one of the edge's peers, within the window or lately, whichever is worse; of all others
    /// together where none has enough answers to tell.
    fn share_of(&self, look: &Look<'_>, one_without: impl Fn(&[f64], f64) -> Option<f64>) -> f64 {
        let share = |answers: Option<Answers>| answers.map_or(f64::NAN, Answers::share);
        let own = share(look.evidence.answers(SAMPLES));
        let recently = share(look.evidence.recently(RECENT));
        let peers = [one_without(&self.shares, own), one_without(&self.recent, recently)];
        let together = || {
            let own = look.evidence.answers(1);
            let answers = self.answers - own.map_or(0.0, |own| own.count as f64);
            let failed = self.failed - own.map_or(0.0, |own| own.failures as f64);
            if answers > 0.0 { failed / answers } else { 0.0 }
        };
        peers.into_iter().flatten().reduce(f64::max).unwrap_or_else(together)
    }

    fn slow(&self, look: &Look<'_>) -> Option<Charge> {
        if look.evidence.slow_ms() < SLOWING_MS {
            return None;
        }
        let ms = look.evidence.service_ms(SERVED, true)?;
        let own_ms = look.evidence.service_ms(SERVED, false)?;
        let peers_ms = median_without(&self.service, own_ms)?.max(SERVICE_FLOOR_MS);
        let times = ms / peers_ms;
        match look.reported {
            reported if reported < IDLE && times > SLOW_IDLE => {
                Some(Charge { why: Why::Lying { ms, reported }, weight: times / SLOW_IDLE })
            }
            reported if reported < BUSY && times > SLOW => {
                Some(Charge { why: Why::Slow { ms, peers_ms }, weight: times / SLOW })
            }
            _ => None,
        }
    }
}

fn worst_of(charges: impl Iterator<Item = Charge>) -> Option<Charge> {
    charges.max_by(|a, b| a.weight.total_cmp(&b.weight))
}

/// The median of ascending values, one equal to `own` left out.
fn median_without(values: &[f64], own: f64) -> Option<f64> {
    one_without(values, own, |last| last / 2)
}

/// The same of the upper quartile.
fn upper_without(values: &[f64], own: f64) -> Option<f64> {
    one_without(values, own, |last| (last * 3).div_ceil(4))
}

/// The value whose place `at` tells of the last place.
fn one_without(values: &[f64], own: f64, at: impl Fn(usize) -> usize) -> Option<f64> {
    let left_out = values.iter().position(|value| *value == own).unwrap_or(values.len());
    let left = values.len() - usize::from(left_out < values.len());
    let place = at(left.checked_sub(1)?);
    values.get(if place >= left_out { place + 1 } else { place }).copied()
}
