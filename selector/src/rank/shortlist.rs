//! The sites that cost a client least, found among all of a snapshot's.

use super::{
    ranking::EDGES_MAX,
    snapshot::{Outline, Snapshot},
    stripes,
};

/// The sites that cost least, in order: as many as are wanted, and what costs hardly more than the first of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortlist {
    pub(super) costs_ms: [f32; EDGES_MAX],
    pub(super) sites: [u32; EDGES_MAX],
    pub(super) count: usize,
    wanted: usize,
    tie_ms: f32,
    /// What costs more is not listed.
    pub(super) limit_ms: f32,
    /// A hair more, for sums that were rounded in another order.
    floor_limit_ms: f32,
}

impl Shortlist {
    /// An empty one, of sites that count as equal when they differ by no more than `tie_ms`.
    pub(super) fn new(wanted: usize, tie_ms: f32) -> Shortlist {
        let (costs_ms, sites) = ([0.0; EDGES_MAX], [0; EDGES_MAX]);
        let wanted = wanted.clamp(1, EDGES_MAX);
        let (limit_ms, floor_limit_ms) = (f32::MAX, f32::MAX);
        Shortlist { costs_ms, sites, count: 0, wanted, tie_ms, limit_ms, floor_limit_ms }
    }

    /// The least cost.
    pub(super) fn least(&self) -> Option<f32> {
        self.costs_ms[..self.count].first().copied()
    }

    /// Puts a site where it belongs; of equals the one that came first stays first, and the last of a full list
    /// falls out.
    #[inline]
    pub(super) fn insert(&mut self, site: u32, cost_ms: f32) {
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
            self.floor_limit_ms = self.limit_ms + self.limit_ms.abs() * 1e-6;
        }
    }

    /// Puts the site at `place` before all others, or one that is not listed in the last one's place.
    pub(super) fn prefer(&mut self, site: u32, cost_ms: f32) {
        let place = self.sites[..self.count].iter().position(|listed| *listed == site);
        let place = place.unwrap_or(self.count.saturating_sub(1));
        self.sites.copy_within(0..place, 1);
        self.costs_ms.copy_within(0..place, 1);
        (self.costs_ms[0], self.sites[0]) = (cost_ms, site);
    }

    /// Lists the sites of a snapshot as it reckoned them, at these distances. Most are passed over by their distance
    /// and by what they cost when the snapshot was built, which is compared without a branch; where few are wanted,
    /// the least of these numbers show beforehand which need not be looked at.
    #[inline]
    pub(super) fn scan(
        &mut self,
        snapshot: &Snapshot,
        own: stripes::Row<'_>,
        rtt_ms: impl Fn(usize, &Outline) -> f32,
    ) {
        let floor = |site: usize, outline: &Outline| rtt_ms(site, outline) + outline.floor_ms;
        let floors = || snapshot.outlines.iter().enumerate().map(|(site, outline)| floor(site, outline));
        let bound = match self.wanted {
            1 => least::<1>(floors()),
            2 | 3 => least::<3>(floors()),
            _ => f32::MAX,
        };
        let mut bound = bound + 2.0 * self.tie_ms;
        loop {
            self.scan_below(snapshot, own, bound, &rtt_ms);
            // What was passed over costs more than all that is listed, unless viewers came since.
            if self.floor_limit_ms <= bound || bound >= f32::MAX {
                return;
            }
            bound = self.floor_limit_ms;
            *self = Shortlist::new(self.wanted, self.tie_ms);
        }
    }

    /// Lists those that may cost no more than `bound`.
    #[inline]
    fn scan_below(
        &mut self,
        snapshot: &Snapshot,
        own: stripes::Row<'_>,
        bound: f32,
        rtt_ms: impl Fn(usize, &Outline) -> f32,
    ) {
        let prices = &snapshot.settings.prices;
        for (site, (outline, of)) in snapshot.outlines.iter().zip(&snapshot.sites).enumerate() {
            let rtt_ms = rtt_ms(site, outline);
            let floor_ms = rtt_ms + outline.floor_ms;
            if floor_ms <= bound && floor_ms <= self.floor_limit_ms {
                let cost_ms = rtt_ms + outline.cost_ms + prices.at(of.load(own.of(site)) as f32);
                if cost_ms <= self.limit_ms {
                    self.insert(site as u32, cost_ms);
                }
            }
        }
    }
}

/// The `K`th least of some numbers.
#[inline]
fn least<const K: usize>(numbers: impl Iterator<Item = f32>) -> f32 {
    let mut least = [f32::MAX; K];
    for mut number in numbers {
        for kept in &mut least {
            let (low, high) =
                (if number < *kept { number } else { *kept }, if number < *kept { *kept } else { number });
            (*kept, number) = (low, high);
        }
    }
    least[K - 1]
}
