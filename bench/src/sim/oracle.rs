//! The best that could be done: a convex min-cost flow from cities to sites.
//!
//! It knows the true demand, distances and capacities and may split viewers as it likes. The free oracle moves
//! everybody each minute at no cost; the sticky one places only those who arrive. No policy can know as much; the
//! distance to the free oracle is the *regret*, and the sticky one tells how much of it nobody could avoid.

use super::{cost::Curve, world::World};

/// Gap in milliseconds below which no more is moved.
const GAP_MS: f64 = 0.02;

/// Sweeps over all cities at most, or as many visits of some; full sites take a thousand.
const SWEEPS: usize = 4_000;

/// Halvings of a step at most.
const HALVINGS: usize = 40;

/// A flow from cities to sites in viewers.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Viewers by city and site.
    pub from: Vec<f64>,
    /// Viewers by site, those that cannot be moved included.
    pub at: Vec<f64>,
    sites: usize,
}

impl Flow {
    /// Nobody flows.
    pub fn new(world: &World) -> Flow {
        let sites = world.sites.len();
        Flow { from: vec![0.0; world.weights.len() * sites], at: vec![0.0; sites], sites }
    }

    /// Sends `demand` viewers of each city where all together pay least, besides those of `fixed` who stay where
    /// they are. Begins with the flow as it is, so that small changes are quick. Whether it has come to rest.
    pub fn solve(
        &mut self,
        world: &World,
        curve: &Curve,
        rtt: &[f64],
        demand: &[f64],
        fixed: &[f64],
    ) -> bool {
        self.scale(rtt, demand);
        self.at.copy_from_slice(fixed);
        for (place, viewers) in self.from.iter().enumerate() {
            self.at[place % self.sites] += viewers;
        }
        let mut price: Vec<f64> =
            (0..self.sites).map(|site| curve.marginal_ms(self.at[site] / world.capacity[site])).collect();
        let all: Vec<usize> = (0..demand.len()).filter(|city| demand[*city] > 0.0).collect();
        let (mut visited, mut moving) = (all.clone(), Vec::new());
        let mut visits = SWEEPS * all.len();
        while visits >= visited.len() {
            visits -= visited.len();
            for city in &visited {
                let wanted = demand[*city];
                let row = city * self.sites..(city + 1) * self.sites;
                let (mut best, mut least) = (0, f64::INFINITY);
                let (mut worst, mut most) = (0, f64::NEG_INFINITY);
                let (ways, flows) = (&rtt[row.clone()], &self.from[row.clone()]);
                for (site, ((way, price), flow)) in ways.iter().zip(&price).zip(flows).enumerate() {
                    let cost = way + price;
                    if cost < least {
                        (best, least) = (site, cost);
                    }
                    if cost > most && *flow > 1e-9 * wanted {
                        (worst, most) = (site, cost);
                    }
                }
                let gap = most - least;
                // Nobody flows from here where the worst is none.
                if gap <= GAP_MS || worst == best {
                    continue;
                }
                moving.push(*city);
                let most = self.from[row.start + worst];
                let moved = self.step(world, curve, [worst, best], gap + price[best] - price[worst], most);
                self.from[row.start + worst] -= moved;
                self.from[row.start + best] += moved;
                for (site, change) in [(worst, -moved), (best, moved)] {
                    self.at[site] += change;
                    price[site] = curve.marginal_ms(self.at[site] / world.capacity[site]);
                }
            }
            // Most cities have one site that is the nearest by far: the others are let come to rest among themselves.
            match (moving.is_empty(), visited.len() == all.len()) {
                (true, true) => return true,
                (true, false) => visited.clone_from(&all),
                (false, _) => std::mem::swap(&mut visited, &mut moving),
            }
            moving.clear();
        }
        false
    }

    /// How many viewers to move from one site to another so that both cost them the same; `nearer` is how many
    /// milliseconds the other is nearer.
    fn step(&self, world: &World, curve: &Curve, [from, to]: [usize; 2], nearer: f64, most: f64) -> f64 {
        let gap = |moved: f64| {
            nearer + curve.marginal_ms((self.at[from] - moved) / world.capacity[from])
                - curve.marginal_ms((self.at[to] + moved) / world.capacity[to])
        };
        if gap(most) >= 0.0 {
            return most;
        }
        let (mut low, mut high) = (0.0, most);
        // So near that it counts as equal: on the steep part of the curve a hundredth of a viewer does not.
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            match gap(middle) {
                close if close.abs() < GAP_MS / 4.0 => return middle,
                wide if wide > 0.0 => low = middle,
                _ => high = middle,
            }
        }
        low
    }

    /// Makes what flows from each city its demand; what is new goes to the nearest site at first.
    fn scale(&mut self, rtt: &[f64], demand: &[f64]) {
        for (city, wanted) in demand.iter().enumerate() {
            let row = &mut self.from[city * self.sites..(city + 1) * self.sites];
            let now: f64 = row.iter().sum();
            if now > 1e-9 {
                row.iter_mut().for_each(|viewers| *viewers *= wanted / now);
            } else if let Some(nearest) = (0..self.sites)
                .min_by(|a, b| rtt[city * self.sites + a].total_cmp(&rtt[city * self.sites + b]))
            {
                row.fill(0.0);
                row[nearest] = *wanted;
            }
        }
    }

    /// Milliseconds that all those viewers pay together, waiting included, if sites spread load evenly.
    pub fn cost_ms(&self, world: &World, curve: &Curve) -> f64 {
        let distance: f64 = self.from.iter().zip(&world.rtt_ms).map(|(viewers, ms)| viewers * ms).sum();
        let waiting = |site: usize| self.at[site] * curve.wait_ms(self.at[site] / world.capacity[site]);
        distance + (0..self.sites).map(waiting).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cost::Waiting, dice::Dice, world::Globe};
    use super::*;

    #[test]
    fn it_comes_to_rest_where_sites_are_full_too() {
        let curve = Curve::new(Waiting::default());
        for seed in 1..=5 {
            let world = World::new(&Globe::synthetic(seed, 150), 12, 6_000.0, seed);
            let mut flow = Flow::new(&world);
            for viewers in [3_000.0, 5_400.0, 5_990.0, 6_100.0, 9_000.0, 100.0] {
                let demand: Vec<f64> = world.weights.iter().map(|weight| weight * viewers).collect();
                assert!(flow.solve(&world, &curve, &world.rtt_ms, &demand, &[0.0; 12]), "{seed}, {viewers}");
            }
        }
    }

    #[test]
    fn nobody_could_do_better_by_moving() {
        let globe = Globe::synthetic(3, 40);
        let world = World::new(&globe, 5, 1_000.0, 3);
        let curve = Curve::new(Waiting::default());
        let demand: Vec<f64> = world.weights.iter().map(|weight| weight * 750.0).collect();
        let mut flow = Flow::new(&world);
        assert!(flow.solve(&world, &curve, &world.rtt_ms, &demand, &[0.0; 5]));
        let least = flow.cost_ms(&world, &curve);
        for (city, wanted) in demand.iter().enumerate() {
            let sent: f64 = flow.from[city * 5..city * 5 + 5].iter().sum();
            assert!((sent - wanted).abs() < 1e-6);
        }
        let mut dice = Dice::new(1, 1);
        for _ in 0..2_000 {
            let (city, from, to) = (dice.below(40), dice.below(5), dice.below(5));
            let mut other = flow.clone();
            let moved = dice.unit() * other.from[city * 5 + from];
            for (site, change) in [(from, -moved), (to, moved)] {
                other.from[city * 5 + site] += change;
                other.at[site] += change;
            }
            assert!(other.cost_ms(&world, &curve) >= least * (1.0 - 1e-6));
        }
    }
}
