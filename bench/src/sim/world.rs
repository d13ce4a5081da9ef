//! Where viewers and edges are: cities with their distances, sites among them, nodes in the sites.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::dice::Dice;

/// Exponent of a city's population in its demand: the larger, the less per head.
const POPULATION_POWER: f64 = 0.8;

/// Cities that are considered as places for sites.
const CANDIDATES: usize = 60;

/// Share of all capacity that is built where demand is; the rest is spread evenly.
const BY_DEMAND: f64 = 0.7;

/// Share of the demand that lives in the region of a synthetic world.
const REGION: f64 = 0.25;

/// Capacities of the nodes of a site, relative to each other.
const NODES: [f64; 3] = [0.5, 1.0, 1.5];

/// A place where viewers are.
#[derive(Clone, Debug, PartialEq)]
pub struct City {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its share of the demand.
    pub weight: f64,
    /// It lies in the region where crowds gather.
    pub in_region: bool,
}

/// Cities and the round trips between them.
#[derive(Clone, Debug)]
pub struct Globe {
    /// What the world is called in results.
    pub name: &'static str,
    /// The cities.
    pub cities: Vec<City>,
    rtt_ms: Vec<f32>,
}

impl Globe {
    /// Reads `cities.csv` (city, lat, lon, population) and `rtt_ms.csv` (a square of milliseconds in the same
    /// order, empty where nothing was measured). What was not measured is taken to be the best way over a third
    /// city.
    ///
    /// # Errors
    /// A file that is missing or not of that form, with its line.
    pub fn read(folder: &Path) -> Result<Globe> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let mut cities = Vec::new();
        for (line, row) in text("cities.csv")?.lines().enumerate().skip(1) {
            let fields: Vec<&str> = row.rsplitn(4, ',').collect();
            let number = |place: usize| -> Result<f64> {
                let field = fields.get(place).copied().unwrap_or_default().trim();
                field.parse().with_context(|| format!("cities.csv:{}: `{field}` is no number", line + 1))
            };
            let (population, longitude, latitude) = (number(0)?, number(1)?, number(2)?);
            let in_region = (35.0..72.0).contains(&latitude) && (-12.0..40.0).contains(&longitude);
            let weight = population.max(1.0).powf(POPULATION_POWER);
            cities.push(City { latitude, longitude, weight, in_region });
        }
        let count = cities.len();
        ensure!(count > 1, "cities.csv names {count} cities");
        let mut rtt_ms = Vec::with_capacity(count * count);
        for (line, row) in text("rtt_ms.csv")?.lines().enumerate() {
            for field in row.split(',') {
                let field = field.trim();
                let value = match field {
                    "" => f32::NAN,
                    _ => field.parse().with_context(|| format!("rtt_ms.csv:{}: `{field}`", line + 1))?,
                };
                rtt_ms.push(value);
            }
        }
        ensure!(rtt_ms.len() == count * count, "rtt_ms.csv has {} values for {count} cities", rtt_ms.len());
        fill_holes(&mut rtt_ms, count);
        Ok(Globe { name: "cities", cities, rtt_ms })
    }

    /// A world that nobody has measured: towns in clusters on a map of 20,000 by 10,000 km, round trips by the
    /// distance, with detours and last miles that differ.
    pub fn synthetic(seed: u64, count: usize) -> Globe {
        let mut dice = Dice::new(seed, 1);
        let centres: Vec<(f64, f64)> =
            (0..12).map(|_| (dice.between(-60.0, 60.0), dice.between(-170.0, 170.0))).collect();
        let mut cities: Vec<City> = (0..count)
            .map(|_| {
                let (latitude, longitude) = centres[dice.below(centres.len())];
                let mut near = |degrees: f64, most: f64| {
                    (degrees + dice.between(-1.0, 1.0) * dice.between(0.0, 14.0)).clamp(-most, most)
                };
                let (latitude, longitude) = (near(latitude, 89.0), near(longitude, 179.0));
                City { latitude, longitude, weight: dice.exponential(1.0) + 0.05, in_region: false }
            })
            .collect();
        let plane_km =
            |a: &City, b: &City| (a.latitude - b.latitude).hypot((a.longitude - b.longitude) * 0.5) * 111.0;
        let last_mile: Vec<f64> = (0..count).map(|_| dice.between(1.0, 8.0)).collect();
        let mut rtt_ms = vec![1.0; count * count];
        for from in 0..count {
            for to in 0..from {
                let detour = 1.0 + dice.exponential(0.35);
                let km = plane_km(&cities[from], &cities[to]) * detour;
                let ms = (last_mile[from] + last_mile[to] + km / 75.0) as f32;
                rtt_ms[from * count + to] = ms;
                rtt_ms[to * count + from] = ms;
            }
        }
        let centre = cities[dice.below(count)].clone();
        let mut near: Vec<usize> = (0..count).collect();
        near.sort_by(|a, b| plane_km(&centre, &cities[*a]).total_cmp(&plane_km(&centre, &cities[*b])));
        let total: f64 = cities.iter().map(|city| city.weight).sum();
        let mut share = 0.0;
        for place in near {
            if share < REGION {
                share += cities[place].weight / total;
                cities[place].in_region = true;
            }
        }
        Globe { name: "synthetic", cities, rtt_ms }
    }

    /// Milliseconds between two cities.
    pub fn rtt_ms(&self, from: usize, to: usize) -> f64 {
        f64::from(self.rtt_ms[from * self.cities.len() + to])
    }

    /// Kilometres between two cities along the great circle.
    pub fn km(&self, from: usize, to: usize) -> f64 {
        let position = |place: usize| {
            let city = &self.cities[place];
            kromka_selector::rank::Position::exact(city.latitude, city.longitude)
        };
        kromka_selector::rank::whereabouts::distance_km(&position(from), &position(to))
    }
}

fn fill_holes(rtt_ms: &mut [f32], count: usize) {
    let known = rtt_ms.to_vec();
    for from in 0..count {
        for to in 0..count {
            let value = &mut rtt_ms[from * count + to];
            let back = known[to * count + from];
            if value.is_nan() && !back.is_nan() {
                *value = back;
            } else if value.is_nan() {
                let over = |by: usize| known[from * count + by] + known[by * count + to];
                *value = (0..count).map(over).filter(|ms| !ms.is_nan()).fold(f32::INFINITY, f32::min);
            }
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its site.
    pub site: usize,
    /// Viewers it can serve at once.
    pub capacity: f64,
}

/// Sites and nodes on a globe.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Demand by city, together 1.
    pub weights: Vec<f64>,
    /// Region and longitude of the cities.
    pub cities: Vec<City>,
    /// The city of each site.
    pub sites: Vec<usize>,
    /// Capacity of each site in viewers.
    pub capacity: Vec<f64>,
    /// All nodes, site by site.
    pub nodes: Vec<Node>,
    /// Milliseconds from each city to each site, city by city.
    pub rtt_ms: Vec<f64>,
    /// Kilometres likewise.
    pub km: Vec<f64>,
    /// Milliseconds from each site to the origin.
    pub origin_ms: Vec<f64>,
}

impl World {
    /// Builds `sites` sites of three nodes that can serve `capacity` viewers together. Some are larger than what
    /// their surroundings need, some smaller.
    pub fn new(globe: &Globe, sites: usize, capacity: f64, seed: u64) -> World {
        let mut dice = Dice::new(seed, 2);
        let total: f64 = globe.cities.iter().map(|city| city.weight).sum();
        let weights: Vec<f64> = globe.cities.iter().map(|city| city.weight / total).collect();
        let sites = k_median(globe, &weights, sites, &mut dice);
        let nearest = |city: usize| {
            let ms = |site: usize| globe.rtt_ms(city, sites[site]);
            (0..sites.len()).min_by(|a, b| ms(*a).total_cmp(&ms(*b))).unwrap_or(0)
        };
        let mut shares = vec![0.0; sites.len()];
        for (city, weight) in weights.iter().enumerate() {
            shares[nearest(city)] += weight;
        }
        let even = 1.0 / sites.len() as f64;
        let mut sizes: Vec<f64> = shares
            .iter()
            .map(|share| (BY_DEMAND * share + (1.0 - BY_DEMAND) * even) * dice.between(0.6, 1.4))
            .collect();
        let sum: f64 = sizes.iter().sum();
        sizes.iter_mut().for_each(|size| *size *= capacity / sum);
        let parts: f64 = NODES.iter().sum();
        let nodes = sizes.iter().enumerate().flat_map(|(site, size)| {
            NODES.iter().map(move |part| Node { site, capacity: size * part / parts })
        });
        let cities = 0..globe.cities.len();
        let to_sites = |of: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            cities.clone().flat_map(|city| sites.iter().map(move |site| of(city, *site))).collect()
        };
        // The origin stands where it is near to all.
        let mean_ms = |city: &usize| -> f64 {
            weights.iter().enumerate().map(|(viewer, weight)| weight * globe.rtt_ms(viewer, *city)).sum()
        };
        let origin = cities.clone().min_by(|a, b| mean_ms(a).total_cmp(&mean_ms(b))).unwrap_or(0);
        World {
            rtt_ms: to_sites(&|city, site| globe.rtt_ms(city, site)),
            km: to_sites(&|city, site| globe.km(city, site)),
            origin_ms: sites.iter().map(|site| globe.rtt_ms(*site, origin)).collect(),
            nodes: nodes.collect(),
            cities: globe.cities.clone(),
            capacity: sizes,
            weights,
            sites,
        }
    }

    /// The same world after routes have changed: this share of all distances have grown or shrunk by half of
    /// themselves.
    pub fn rerouted(&self, share: f64, dice: &mut Dice) -> World {
        let mut other = self.clone();
        for ms in &mut other.rtt_ms {
            if dice.unit() < share {
                *ms *= if dice.unit() < 0.5 { 1.5 } else { 0.5 };
            }
        }
        other
    }

    /// Milliseconds between a city and a site.
    pub fn rtt(&self, city: usize, site: usize) -> f64 {
        self.rtt_ms[city * self.sites.len() + site]
    }

    /// The nodes of a site.
    pub fn nodes_of(&self, site: usize) -> std::ops::Range<usize> {
        site * NODES.len()..(site + 1) * NODES.len()
    }
}

/// Places for sites: of some random cities those that bring viewers nearest, added one after
/// the other; none is exchanged afterwards.
fn k_median(globe: &Globe, weights: &[f64], count: usize, dice: &mut Dice) -> Vec<usize> {
    let mut pool: Vec<usize> = (0..globe.cities.len()).collect();
    let wanted = CANDIDATES.max(count * 2).min(pool.len());
    for place in 0..wanted {
        let other = place + dice.below(pool.len() - place);
        pool.swap(place, other);
    }
    pool.truncate(wanted);
    let mut best = vec![f64::INFINITY; weights.len()];
    let mut chosen: Vec<usize> = Vec::new();
    let gain = |best: &[f64], site: usize| -> f64 {
        weights
            .iter()
            .enumerate()
            .map(|(city, weight)| weight * best[city].min(globe.rtt_ms(city, site)))
            .sum()
    };
    while chosen.len() < count.min(wanted) {
        let left = pool.iter().filter(|site| !chosen.contains(site));
        let next = left.min_by(|a, b| gain(&best, **a).total_cmp(&gain(&best, **b))).copied();
        let Some(next) = next else { break };
        for (city, ms) in best.iter_mut().enumerate() {
            *ms = ms.min(globe.rtt_ms(city, next));
        }
        chosen.push(next);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synthetic_world_is_whole_and_the_same_each_time() {
        let globe = Globe::synthetic(7, 60);
        let (one, other) = (World::new(&globe, 6, 1_000.0, 3), World::new(&globe, 6, 1_000.0, 3));
        assert_eq!((one.sites.len(), one.nodes.len()), (6, 18));
        assert_eq!(one.sites, other.sites);
        let capacity: f64 = one.nodes.iter().map(|node| node.capacity).sum();
        assert!((capacity - 1_000.0).abs() < 1e-6);
        assert!((one.weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(one.rtt_ms.iter().all(|ms| ms.is_finite() && *ms >= 1.0));
        assert!(one.nodes_of(2).all(|node| one.nodes[node].site == 2));
        assert!(globe.cities.iter().any(|city| city.in_region));
    }
}
