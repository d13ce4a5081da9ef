//! The sample media of the repository, as they lie on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The three assets of the sample.
pub(crate) const DEMO: &str = "/stream/demo/master.m3u8";
pub(crate) const FMP4: &str = "/stream/demo-fmp4/master.m3u8";
pub(crate) const TRACK: &str = "/stream/track/master.m3u8";

/// A segment of the sample, of some 60 kB.
pub(crate) const SEGMENT: &str = "/stream/demo/360p/001.ts";

/// The folder that the sample's paths start in.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("media")
}

/// The bytes of one file of the sample.
pub(crate) fn file(path: &str) -> Vec<u8> {
    std::fs::read(root().join(&path[1..])).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below the folder of an asset, by its path in URLs.
pub(crate) fn files(asset: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = &asset[..asset.rfind('/').unwrap()];
    let mut found = BTreeMap::new();
    collect(&root().join(&folder[1..]), folder, &mut found);
    found
}

fn collect(folder: &Path, path: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => collect(&entry.path(), &path, found),
            false => _ = found.insert(path, std::fs::read(entry.path()).unwrap()),
        }
    }
}

/// Bytes that differ from place to place, so that a piece of another place or object shows.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
