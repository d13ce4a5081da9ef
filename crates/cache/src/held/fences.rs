//! Purge fences: integers that only grow. A generation whose fetch began below the fence of its
//! path, of a prefix of it or of one of its tags must not be answered any more: not at all after a
//! hard purge, not without revalidation after a soft one.
//!
//! A lookup reads the path once, whatever the number of purges, and a purge writes one mark for each
//! name in it, whatever the number of objects: nothing is ever scanned. Marks are bounded: past the
//! bound the older half is melted into one mark over the whole service, at the height of the newest of
//! them, which forbids what was stored before that one and leaves what came since.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::Key;

/// Marks of one service.
const MAX_MARKS: usize = 200_000;
/// Bytes of the names of one service's marks.
const MAX_BYTES: usize = 64 << 20;

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
    /// They are stale, whatever is left of their lifetime: used again only after the source said that they
    /// are unchanged, or where it fails and what is stale may stand in (`stale-if-error`, RFC 5861 §4).
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

/// What one service's purges have forbidden.
#[derive(Default)]
struct Marks {
    /// Over everything: melted marks, and prefixes that are `/`.
    all: Required,
    urls: HashMap<String, Required>,
    prefixes: Prefixes,
    tags: HashMap<String, Required>,
    bytes: usize,
}

/// Marked beginnings of paths, found by a hash that grows with the path as it is read.
#[derive(Default)]
struct Prefixes {
    /// By length and hash; two of one length that hash alike share the mark, so that one of them is purged
    /// for nothing.
    marks: HashMap<(u32, u64), (String, Required)>,
    /// Which lengths occur: bit n of word n / 64.
    lengths: Vec<u64>,
}

/// FNV-1a, one byte further.
fn grown(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

impl Prefixes {
    fn raise(&mut self, prefix: &str, mark: Required) -> bool {
        let length = prefix.len();
        if self.lengths.len() <= length / 64 {
            self.lengths.resize(length / 64 + 1, 0);
        }
        self.lengths[length / 64] |= 1 << (length % 64);
        let name = (u32::try_from(length).unwrap_or(u32::MAX), prefix.bytes().fold(EMPTY, grown));
        match self.marks.entry(name) {
            Entry::Occupied(mut held) => {
                held.get_mut().1.raise(mark);
                false
            }
            Entry::Vacant(free) => {
                free.insert((prefix.to_owned(), mark));
                true
            }
        }
    }

    /// The marks of all beginnings of a path, in one reading.
    fn required(&self, path: &str, required: &mut Required) {
        let mut hash = EMPTY;
        for (at, byte) in path.bytes().enumerate() {
            hash = grown(hash, byte);
            let length = at + 1;
            match self.lengths.get(length / 64) {
                None => return,
                Some(word) if word >> (length % 64) & 1 == 0 => {}
                Some(_) => {
                    let name = (u32::try_from(length).unwrap_or(u32::MAX), hash);
                    if let Some((_, mark)) = self.marks.get(&name) {
                        required.raise(*mark);
                    }
                }
            }
        }
    }
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
        required.raise(marks.all);
        if let Some(mark) = marks.urls.get(key.path()) {
            required.raise(*mark);
        }
        marks.prefixes.required(key.path(), &mut required);
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
            let new = raise(&mut marks.urls, url, mark);
            marks.took(new, url);
        }
        for prefix in &purge.prefixes {
            if prefix.is_empty() || prefix == "/" {
                marks.all.raise(mark);
                continue;
            }
            let new = marks.prefixes.raise(prefix, mark);
            marks.took(new, prefix);
        }
        for tag in &purge.tags {
            let new = raise(&mut marks.tags, tag, mark);
            marks.took(new, tag);
        }
        while marks.len() > MAX_MARKS || marks.bytes > MAX_BYTES {
            marks.melt();
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
            let mut tell =
                |mark: Required, urls: Option<&String>, prefixes: Option<&str>, tags: Option<&String>| {
                    for (fence, mode) in [(mark.hard, PurgeMode::Hard), (mark.soft, PurgeMode::Soft)] {
                        if fence > 0 {
                            purges.push(Purge {
                                fence,
                                service: service.clone(),
                                mode,
                                urls: urls.into_iter().cloned().collect(),
                                prefixes: prefixes.into_iter().map(str::to_owned).collect(),
                                tags: tags.into_iter().cloned().collect(),
                            });
                        }
                    }
                };
            tell(marks.all, None, Some("/"), None);
            marks.urls.iter().for_each(|(url, mark)| tell(*mark, Some(url), None, None));
            marks.prefixes.marks.values().for_each(|(prefix, mark)| tell(*mark, None, Some(prefix), None));
            marks.tags.iter().for_each(|(tag, mark)| tell(*mark, None, None, Some(tag)));
        }
        purges
    }
}

fn raise(marks: &mut HashMap<String, Required>, name: &str, mark: Required) -> bool {
    match marks.get_mut(name) {
        Some(held) => {
            held.raise(mark);
            false
        }
        None => {
            marks.insert(name.to_owned(), mark);
            true
        }
    }
}

impl Marks {
    fn took(&mut self, new: bool, name: &str) {
        if new {
            self.bytes += name.len();
        }
    }

    fn len(&self) -> usize {
        self.urls.len() + self.prefixes.marks.len() + self.tags.len()
    }

    /// Melts the older half of the marks into the one over everything. Forgetting a purge would be wrong;
    /// purging too much is only slow, and purging what is older than all of them least so.
    fn melt(&mut self) {
        let prefixes = self.prefixes.marks.values().map(|(_, mark)| mark);
        let marks = self.urls.values().chain(prefixes).chain(self.tags.values());
        let mut heights: Vec<u64> = marks.map(|mark| mark.highest()).collect();
        let middle = heights.len().saturating_sub(1) / 2;
        let Some((_, &mut height, _)) = (!heights.is_empty()).then(|| heights.select_nth_unstable(middle))
        else {
            self.bytes = 0;
            return;
        };
        let (mut melted, mut freed) = (Required::default(), 0);
        let mut stays = |name: &str, mark: Required| {
            let stays = mark.highest() > height;
            if !stays {
                melted.raise(mark);
                freed += name.len();
            }
            stays
        };
        self.urls.retain(|name, mark| stays(name, *mark));
        self.tags.retain(|name, mark| stays(name, *mark));
        self.prefixes.marks.retain(|_, (name, mark)| stays(name, *mark));
        self.all.raise(melted);
        self.bytes = self.bytes.saturating_sub(freed);
        tracing::warn!(
            height,
            "more purges than are remembered one by one: the older half holds for all now"
        );
    }
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
    fn too_many_marks_purge_what_is_old_rather_than_too_little() {
        let fences = Fences::default();
        for half in [4, 8] {
            let mut many = purge(half, PurgeMode::Hard, &[], &[], &[]);
            many.urls = (0..MAX_MARKS / 2 + 1).map(|n| format!("/{half}/{n}")).collect();
            fences.apply(&many);
        }
        let services = fences.services.read();
        assert!(services["s"].len() <= MAX_MARKS);
        assert_eq!(services["s"].all, Required { hard: 4, soft: 0 }, "what is older than the older half");
        drop(services);
        assert_eq!(fences.required(&Key::new("s", "/8/17", None), &[]).hard, 8, "the newer are as they were");
        assert_eq!(fences.required(&Key::new("s", "/4/17", None), &[]).hard, 4);
        assert_eq!(fences.required(&Key::new("s", "/other", None), &[]).hard, 4);
        let again = Fences::default();
        fences.export().iter().for_each(|purge| again.apply(purge));
        assert_eq!(again.required(&Key::new("s", "/other", None), &[]).hard, 4);
    }

    #[test]
    fn the_bytes_of_the_names_are_bounded_as_well() {
        let fences = Fences::default();
        let long = "x".repeat(4000);
        for batch in 0..20u64 {
            let mut many = purge(batch + 1, PurgeMode::Soft, &[], &[], &[]);
            many.prefixes = (0..1000).map(|n| format!("/{batch}/{n}/{long}/")).collect();
            fences.apply(&many);
        }
        let services = fences.services.read();
        assert!(services["s"].bytes <= MAX_BYTES, "{}", services["s"].bytes);
        assert!(services["s"].all.soft > 0 && services["s"].all.soft < 20);
    }

    #[test]
    fn a_purge_of_the_whole_service_is_one_mark_and_another_service_is_not_meant() {
        let fences = Fences::default();
        fences.apply(&purge(3, PurgeMode::Hard, &[], &["/"], &[]));
        assert_eq!(fences.required(&Key::new("s", "/any/thing", None), &["t".into()]).hard, 3);
        assert_eq!(fences.required(&Key::new("o", "/any/thing", None), &[]), Required::default());
        assert_eq!(fences.services.read()["s"].len(), 0);
    }

    #[test]
    fn every_beginning_of_a_path_is_found_and_nothing_else() {
        let fences = Fences::default();
        let path = format!("/{}", "ab/".repeat(50));
        for length in (1..path.len()).step_by(7) {
            fences.apply(&purge(length as u64, PurgeMode::Hard, &[], &[&path[..length]], &[]));
        }
        for length in 1..path.len() {
            let highest = (1..=length).rev().find(|one| (one - 1) % 7 == 0).unwrap();
            assert_eq!(fences.required(&Key::new("s", &path[..length], None), &[]).hard, highest as u64);
        }
        assert_eq!(fences.required(&Key::new("s", "/zz", None), &[]).hard, 1);
    }
}
