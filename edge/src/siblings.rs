//! The other edges of this site as a source: each object has one owner among them (rendezvous hashing, the
//! same on all), which alone asks the shields for it.
//!
//! One hop and no more: who is asked answers only as the owner, and an owner fills from the shields. An edge
//! that does not think itself the owner refuses, and the asking one goes to a shield. So does one whose owner
//! does not answer, at once for the next second: a dead sibling costs little.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use kromka_cache::Key;
use kromka_config::SiblingsConfig;
use parking_lot::RwLock;
use url::Url;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::server::Server;

mod answer;

pub(crate) use answer::of_sibling;

/// Says that an edge asks, and which.
pub(crate) const SIBLING: HeaderName = HeaderName::from_static("kromka-sibling");

/// Most siblings; a site with more edges than this has them behind something else.
const MAX: usize = 64;

/// The edges of this site.
pub(crate) struct Siblings {
    fill: bool,
    /// How the others name this edge.
    own: RwLock<String>,
    others: RwLock<Arc<Vec<Arc<Server>>>>,
    /// Whether the list is the configuration's, and no selector's.
    listed: bool,
    /// Longest wait for a sibling's header.
    pub(crate) wait: Duration,
    pub(crate) name: HeaderValue,
    pub(crate) counters: Counters,
}

/// What is counted of siblings.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) filled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Siblings {
    pub(crate) fn new(config: &SiblingsConfig, name: HeaderValue) -> Arc<Siblings> {
        let siblings = Siblings {
            fill: config.fill,
            own: RwLock::default(),
            others: RwLock::default(),
            listed: !config.urls.is_empty(),
            wait: *config.first_byte,
            name,
            counters: Counters::default(),
        };
        siblings.set(config.urls.iter().map(Url::as_str));
        Arc::new(siblings)
    }

    /// Learns its own name, which the others' lists hold.
    pub(crate) fn call(&self, own: &Url) {
        *self.own.write() = trimmed(own.as_str()).to_owned();
    }

    /// What a selector says who is there now; a configured list is not replaced.
    pub(crate) fn learn(&self, urls: &[String]) {
        let same = |others: &[Arc<Server>]| {
            others.len() == urls.len().min(MAX)
                && urls.iter().all(|url| others.iter().any(|one| one.url == trimmed(url)))
        };
        if self.fill && !self.listed && !same(&self.others.read()) {
            tracing::info!(siblings = urls.len(), "the edges of this site");
            self.set(urls.iter().map(String::as_str));
        }
    }

    fn set<'a>(&self, urls: impl Iterator<Item = &'a str>) {
        let others: Vec<_> = urls.take(MAX).map(|url| Arc::new(Server::new(trimmed(url)))).collect();
        *self.others.write() = Arc::new(others);
    }

    /// The sibling that owns an object; none if this edge does, or fills from nobody beside it.
    pub(crate) fn owner(&self, key: &Key) -> Option<Arc<Server>> {
        if !self.fill {
            return None;
        }
        let others = self.others.read().clone();
        let weight = |url: &str| xxh3_64_with_seed(url.as_bytes(), key.hash() as u64);
        let best = others.iter().max_by_key(|one| weight(&one.url))?;
        (weight(&best.url) > weight(&self.own.read())).then(|| best.clone())
    }

    /// Whether this edge answers siblings at all.
    pub(crate) fn answers(&self) -> bool {
        self.fill
    }

    /// The counts, as the registry shows them.
    pub(crate) fn metrics(&self) -> [(&'static str, &'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { filled, failed, answered, refused } = &self.counters;
        [
            ("kromka_siblings", "Edges beside this one that it fills from.", self.others.read().len() as u64),
            ("kromka_sibling_fills_total", "Fetches that a sibling answered.", read(filled)),
            ("kromka_sibling_failures_total", "Fetches that a sibling did not answer.", read(failed)),
            ("kromka_sibling_answers_total", "Fetches of siblings that were answered.", read(answered)),
            ("kromka_sibling_refusals_total", "Fetches of siblings that were another's.", read(refused)),
        ]
    }
}

/// Whether a sibling's answer is the object's, rather than a trouble of its own.
pub(crate) fn settles(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::NOT_FOUND
                | StatusCode::GONE
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

fn trimmed(url: &str) -> &str {
    url.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn site(own: &str, others: &[&str]) -> Arc<Siblings> {
        let config = SiblingsConfig { fill: true, ..SiblingsConfig::default() };
        let siblings = Siblings::new(&config, HeaderValue::from_static("e"));
        siblings.call(&Url::parse(own).unwrap());
        siblings.learn(&others.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>());
        siblings
    }

    #[test]
    fn all_edges_of_a_site_agree_on_one_owner_and_share_the_objects() {
        let urls = ["http://a:1/", "http://b:1", "http://c:1/"];
        let sites: Vec<_> = (0..3)
            .map(|n| {
                let others: Vec<&str> = (0..3).filter(|other| *other != n).map(|other| urls[other]).collect();
                site(urls[n], &others)
            })
            .collect();
        let mut owned = [0; 3];
        for number in 0..300 {
            let key = Key::new("s", &format!("/{number}.ts"), None);
            let owners: Vec<usize> = (0..3).filter(|n| sites[*n].owner(&key).is_none()).collect();
            let [owner] = owners[..] else { panic!("{number}: {owners:?}") };
            owned[owner] += 1;
            for n in (0..3).filter(|n| *n != owner) {
                assert_eq!(sites[n].owner(&key).unwrap().url, urls[owner].trim_end_matches('/'));
            }
        }
        assert!(owned.iter().all(|count| *count > 50), "{owned:?}");
    }

    #[test]
    fn alone_or_switched_off_it_asks_nobody() {
        let key = Key::new("s", "/a.ts", None);
        assert!(site("http://a:1", &[]).owner(&key).is_none());
        let off = Siblings::new(&SiblingsConfig::default(), HeaderValue::from_static("e"));
        off.learn(&["http://b:1".to_owned()]);
        assert!(off.owner(&key).is_none() && off.metrics()[0].2 == 0);
    }
}
