//! Purge fences: integers that only grow. A generation whose fetch began below the fence of its
//! path, of a prefix of it or of one of its tags must not be answered any more: not at all after a
//! hard purge, not without revalidation after a soft one.
//!
//! A lookup costs the number of distinct prefix lengths in use, not the number of purges; nothing is
//! ever scanned, so a purge of a million objects is as quick as a purge of one.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::Key;

/// Past this many marks in one service they are folded into one over the whole service: forgetting
/// a purge would be wrong, purging too much is only slow.
const MAX_MARKS: usize = 200_000;

/// An order to stop serving what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// The number it raises the fence to; later purges have greater ones.
    pub fence: u64,
    /// The service it is about.
    pub service: String,
    /// Whether stored bytes may be used again once the source confirmed them.
    pub mode: PurgeMode,
    /// Paths of single objects, all their query variants included.
    pub urls: Vec<String>,
    /// Beginnings of paths; `/` is the whole service.
    pub prefixes: Vec<String>,
    /// Tags that the source gave (`Cache-Tag`, `Surrogate-Key`).
    pub tags: Vec<String>,
}

/// How a purge treats stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurgeMode {
    /// They are never used again.
    Hard,
    /// They are stale: used again only after the source said that they are unchanged.
    Soft,
}

/// What a generation's fence must not lie below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Required {
    pub hard: u64,
    pub soft: u64,
}

impl Required {
    fn raise(&mut self, other: Self) {
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
    }

    /// The number to send upstream: no tier there may answer below it.
    pub(crate) fn highest(self) -> u64 {
        self.hard.max(self.soft)
    }
}

#[derive(Default)]
struct Marks {
    urls: HashMap<String, Required>,
    prefixes: HashMap<String, Required>,
    lengths: BTreeSet<usize>,
    tags: HashMap<String, Required>,
}

/// All fences of a tier.
#[derive(Default)]
pub(crate) struct Fences {
    /// The highest fence applied so far; 0 while there was no purge.
    latest: AtomicU64,
    services: RwLock<HashMap<String, Marks>>,
}

impl Fences {
    /// What a generation of `key` with `tags` must have been fetched at or after.
    pub(crate) fn required(&self, key: &Key, tags: &[Box<str>]) -> Required {
        let mut required = Required::default();
        if self.latest() == 0 {
            return required;
        }
        let services = self.services.read();
        let Some(marks) = services.get(key.service()) else { return required };
        let path = key.path();
        if let Some(mark) = marks.urls.get(path) {
            required.raise(*mark);
        }
        for &length in marks.lengths.range(..=path.len()) {
            if let Some(mark) = path.get(..length).and_then(|prefix| marks.prefixes.get(prefix)) {
                required.raise(*mark);
            }
        }
        for tag in tags {
            if let Some(mark) = marks.tags.get(&**tag) {
                required.raise(*mark);
            }
        }
        required
    }

    /// Raises the fences that a purge names.
    pub(crate) fn apply(&self, purge: &Purge) {
        let mark = match purge.mode {
            PurgeMode::Hard => Required { hard: purge.fence, soft: 0 },
            PurgeMode::Soft => Required { hard: 0, soft: purge.fence },
        };
        let mut services = self.services.write();
        let marks = services.entry(purge.service.clone()).or_default();
        for url in &purge.urls {
            marks.urls.entry(url.clone()).or_default().raise(mark);
        }
        for prefix in &purge.prefixes {
            marks.lengths.insert(prefix.len());
            marks.prefixes.entry(prefix.clone()).or_default().raise(mark);
        }
        for tag in &purge.tags {
            marks.tags.entry(tag.clone()).or_default().raise(mark);
        }
        if marks.urls.len() + marks.prefixes.len() + marks.tags.len() > MAX_MARKS {
            fold(marks);
        }
        self.latest.fetch_max(purge.fence, Ordering::AcqRel);
    }

    /// The number to stamp a fetch with that begins now: it is later than every purge applied here,
    /// whatever URL, prefix or tag they named.
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// The fences as purges again, for the journal.
    pub(crate) fn export(&self) -> Vec<Purge> {
        let mut purges = Vec::new();
        for (service, marks) in self.services.read().iter() {
            let lists = [(&marks.urls, 0), (&marks.prefixes, 1), (&marks.tags, 2)];
            for (map, which) in lists {
                for (name, mark) in map {
                    for (fence, mode) in [(mark.hard, PurgeMode::Hard), (mark.soft, PurgeMode::Soft)] {
                        if fence == 0 {
                            continue;
                        }
                        let mut purge = Purge {
                            fence,
                            service: service.clone(),
                            mode,
                            urls: Vec::new(),
                            prefixes: Vec::new(),
                            tags: Vec::new(),
                        };
                        match which {
                            0 => purge.urls.push(name.clone()),
                            1 => purge.prefixes.push(name.clone()),
                            _ => purge.tags.push(name.clone()),
                        }
                        purges.push(purge);
                    }
                }
            }
        }
        purges
    }
}

fn fold(marks: &mut Marks) {
    let mut highest = Required::default();
    let all = marks.urls.values().chain(marks.prefixes.values()).chain(marks.tags.values());
    all.for_each(|mark| highest.raise(*mark));
    *marks = Marks::default();
    marks.lengths.insert(0);
    marks.prefixes.insert(String::new(), highest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purge(fence: u64, mode: PurgeMode, urls: &[&str], prefixes: &[&str], tags: &[&str]) -> Purge {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Purge { fence, service: "s".into(), mode, urls: own(urls), prefixes: own(prefixes), tags: own(tags) }
    }

    #[test]
    fn url_prefix_and_tag() {
        let fences = Fences::default();
        let key = Key::new("s", "/stream/a/1.ts", Some("v=1"));
        assert_eq!(fences.required(&key, &[]), Required::default());
        fences.apply(&purge(5, PurgeMode::Hard, &["/stream/a/1.ts"], &[], &[]));
        fences.apply(&purge(7, PurgeMode::Soft, &[], &["/stream/"], &[]));
        fences.apply(&purge(9, PurgeMode::Hard, &[], &[], &["t"]));
        assert_eq!(fences.required(&key, &[]), Required { hard: 5, soft: 7 });
        assert_eq!(fences.required(&key, &["t".into()]).hard, 9);
        assert_eq!(fences.required(&Key::new("s", "/strea", None), &[]), Required::default());
        assert_eq!(fences.required(&Key::new("other", "/stream/a/1.ts", None), &[]), Required::default());
    }

    #[test]
    fn fences_never_fall_and_survive_export() {
        let fences = Fences::default();
        fences.apply(&purge(9, PurgeMode::Hard, &["/a"], &["/é"], &["t"]));
        fences.apply(&purge(3, PurgeMode::Hard, &["/a"], &[], &[]));
        let again = Fences::default();
        fences.export().iter().for_each(|purge| again.apply(purge));
        for fences in [&fences, &again] {
            assert_eq!(fences.required(&Key::new("s", "/a", None), &[]).hard, 9);
            assert_eq!(fences.required(&Key::new("s", "/éa", None), &[]).hard, 9);
            assert_eq!(fences.required(&Key::new("s", "/ëa", None), &[]).hard, 0);
        }
    }

    #[test]
    fn too_many_marks_purge_too_much_rather_than_too_little() {
        let fences = Fences::default();
        let urls: Vec<String> = (0..=MAX_MARKS).map(|n| format!("/{n}")).collect();
        let mut all = purge(4, PurgeMode::Hard, &[], &[], &[]);
        all.urls = urls;
        fences.apply(&all);
        assert_eq!(fences.required(&Key::new("s", "/17", None), &[]).hard, 4);
        assert_eq!(fences.services.read()["s"].urls.len(), 0);
    }
}
