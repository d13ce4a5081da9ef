use std::collections::HashMap;

use super::*;

/// Objects of equal size in a cache of a hundred.
#[derive(Default)]
struct Held {
    uses: HashMap<u128, u8>,
    busy: Option<u128>,
}

impl Entries for Held {
    fn seen(&mut self, name: u128) -> Seen {
        if self.busy == Some(name) {
            return Seen::Busy;
        }
        match self.uses.get_mut(&name) {
            None => Seen::Gone,
            Some(uses) => {
                let seen = *uses;
                *uses = uses.saturating_sub(1);
                Seen::Used(seen)
            }
        }
    }
}

struct Cache {
    policy: Policy,
    held: Held,
    selective: bool,
}

impl Cache {
    fn new(selective: bool) -> Self {
        Self { policy: Policy::with_capacity(0), held: Held::default(), selective }
    }

    /// Whether it was a hit.
    fn ask(&mut self, name: u128) -> bool {
        if let Some(uses) = self.held.uses.get_mut(&name) {
            *uses = (*uses + 1).min(3);
            return true;
        }
        self.policy.missed(name);
        if self.held.uses.len() == 100 {
            if self.selective && !self.policy.admits(name, &mut self.held) {
                return false;
            }
            let victim = self.policy.victim(&mut self.held).unwrap();
            self.held.uses.remove(&victim).unwrap();
        }
        self.held.uses.insert(name, 0);
        self.policy.entered(name);
        false
    }
}

fn spread(n: u128) -> u128 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// Hits among the hot hundred, asked for again and again, with or without a crawl of a thousand others.
fn hot_hits(selective: bool, crawl: bool) -> usize {
    let mut cache = Cache::new(selective);
    let mut hits = 0;
    for round in 0..40 {
        for n in 0..90 {
            hits += usize::from(cache.ask(spread(n)));
            // Each of the crawl's objects once.
            if crawl && round >= 20 && n % 2 == 0 {
                cache.ask(spread(1_000_000 + round * 1000 + n));
            }
        }
    }
    hits
}

#[test]
fn a_crawl_of_ten_times_the_cache_costs_the_hot_set_less_than_two_points() {
    let (quiet, crawled) = (hot_hits(true, false), hot_hits(true, true));
    assert!(quiet - crawled < 90 * 40 * 2 / 100, "{quiet} hits became {crawled}");
}

#[test]
fn a_disk_with_room_takes_everything_and_a_new_favourite_gets_in() {
    let mut cache = Cache::new(true);
    assert!((0..100).all(|n| !cache.ask(spread(n))));
    assert!((0..100).all(|n| cache.ask(spread(n))));
    let asked = (0..40).take_while(|_| !cache.ask(spread(5000))).count();
    assert!((1..10).contains(&asked), "{asked} misses until it was in");
}

#[test]
fn what_is_busy_stays() {
    let mut policy = Policy::with_capacity(0);
    let mut held = Held { uses: [(1, 0)].into(), busy: Some(1) };
    policy.entered(1);
    assert_eq!(policy.victim(&mut held), None);
    held.busy = None;
    assert_eq!(policy.victim(&mut held), Some(1));
    assert_eq!(policy.victim(&mut held), None);
}

#[test]
fn the_row_does_not_grow_with_what_comes_and_goes() {
    let mut policy = Policy::with_capacity(0);
    for n in 0..100_000 {
        policy.entered(n % 7);
        policy.tidy(3, |name| name < 3);
    }
    assert!(policy.memory() < 100_000, "{}", policy.memory());
    let mut held = Held { uses: (0..7).map(|n| (n, 0)).collect(), busy: None };
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.extend(policy.victim(&mut held));
    }
    assert!(seen.len() >= 3);
}

#[test]
fn the_sketch_counts_and_forgets() {
    let mut sketch = Sketch::with_capacity(0);
    for n in 0..1000u128 {
        sketch.add(spread(n), (n % 4) as u8);
    }
    let low = (0..1000).filter(|&n| sketch.estimate(spread(n)) < (n % 4) as u8).count();
    assert_eq!(low, 0, "never too little");
    let exact = (0..1000).filter(|&n| sketch.estimate(spread(n)) == (n % 4) as u8).count();
    assert!(exact > 900, "{exact} of 1000");
    sketch.add(spread(7), 15);
    for n in 2000..14_000 {
        sketch.add(spread(n), 1);
    }
    assert!(sketch.estimate(spread(7)) <= 9, "{}", sketch.estimate(spread(7)));
}
