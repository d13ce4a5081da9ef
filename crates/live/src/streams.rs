//! All streams that went by here lately, found by name or by what they name.
//!
//! Two halves bound it: a full young one becomes the old one, and what nobody asked for in the meantime goes
//! with the next turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kromka_cache::Key;
use kromka_hls::Listed;
use kromka_hls::upcoming::folder_hash;
use parking_lot::Mutex;

use crate::stream::Stream;
use crate::version::Version;
use crate::{Place, parts};

/// Playlists in one half.
const COUNT: usize = 2048;

/// Bytes that one half may take; a parsed playlist takes some four times its text.
const BYTES: usize = 64 << 20;

/// Playlists that may name files in one folder and still be looked at.
const BESIDE: usize = 64;

/// The streams of a node.
#[derive(Default)]
pub(crate) struct Streams(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: Half,
    old: Half,
}

#[derive(Default)]
struct Half {
    by_key: HashMap<u128, Arc<Stream>>,
    by_folder: HashMap<u64, Vec<Arc<Stream>>>,
    bytes: usize,
}

impl Streams {
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Stream>> {
        let mut halves = self.0.lock();
        if let Some(stream) = halves.young.by_key.get(&key.hash()) {
            return Some(stream.clone()).filter(|stream| stream.key == *key);
        }
        let stream = halves.old.by_key.get(&key.hash()).filter(|stream| stream.key == *key).cloned()?;
        halves.keep(&stream);
        Some(stream)
    }

    /// Keeps a stream under its name, unless there is one, which is returned.
    pub(crate) fn insert(&self, stream: Arc<Stream>) -> Option<Arc<Stream>> {
        if let Some(known) = self.get(&stream.key) {
            return Some(known);
        }
        self.0.lock().keep(&stream);
        None
    }

    /// Counts a stream anew and finds it by its newest version.
    pub(crate) fn renew(&self, stream: &Arc<Stream>) {
        self.0.lock().keep(stream);
    }

    pub(crate) fn place(&self, service: &str, path: &str) -> Option<Place> {
        let folder = folder_hash(path);
        let halves = self.0.lock();
        let beside = [&halves.young, &halves.old].into_iter().filter_map(|half| half.by_folder.get(&folder));
        let mut found: Option<(Arc<Stream>, Arc<Version>, Listed)> = None;
        for stream in beside.flatten().filter(|stream| stream.key.service() == service) {
            let version = stream.newest();
            let Some(listed) = version.listing.find(path).cloned() else { continue };
            if found.as_ref().is_none_or(|(_, known, _)| known.since < version.since) {
                found = Some((stream.clone(), version, listed));
            }
        }
        let (stream, version, listed) = found?;
        drop(halves);
        let grows = listed == Listed::Part && parts::grows(&version.media, &version.listing, path);
        Some(Place { stream, version, listed, grows })
    }

    pub(crate) fn len(&self) -> usize {
        let halves = self.0.lock();
        let only_old = halves.old.by_key.keys().filter(|key| !halves.young.by_key.contains_key(key)).count();
        halves.young.by_key.len() + only_old
    }
}

impl Halves {
    fn keep(&mut self, stream: &Arc<Stream>) {
        let version = stream.newest();
        let bytes = version.text.len() * 4 + 1024;
        if !self.young.by_key.contains_key(&stream.key.hash()) {
            if self.young.by_key.len() >= COUNT || self.young.bytes > BYTES {
                self.old = std::mem::take(&mut self.young);
            }
            stream.weight.store(0, Ordering::Relaxed);
            self.young.by_key.insert(stream.key.hash(), stream.clone());
        }
        let before = stream.weight.swap(bytes, Ordering::Relaxed);
        self.young.bytes = (self.young.bytes + bytes).saturating_sub(before);
        for folder in version.listing.folders() {
            let beside = self.young.by_folder.entry(*folder).or_default();
            if beside.len() < BESIDE && !beside.iter().any(|known| Arc::ptr_eq(known, stream)) {
                beside.push(stream.clone());
            }
        }
    }
}
