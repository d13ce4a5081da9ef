//! What stands in a media playlist under which path, and what comes after it.
//!
//! A [`Listing`] is made once for each version of a playlist and then asked for every segment, so it keeps
//! hashes of paths, not the paths.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use crate::children::Addresses;
use crate::playlist::Media;

/// One hasher for all, so that hashes of different listings can be compared.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What a path is to a playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A segment, by its place in the list.
    Segment(usize),
    /// An initialisation section.
    Map,
    /// A file of parts whose segment is not complete.
    Part,
    /// Announced by a preload hint; not there yet.
    Hint,
    /// Not there yet, but the one that the names lead to expect next.
    Next,
}

impl Listed {
    /// Whether the playlist says that it is there.
    pub fn exists(&self) -> bool {
        matches!(self, Self::Segment(_) | Self::Map | Self::Part)
    }
}

/// What stands in one media playlist, found by decoded path.
#[derive(Debug)]
pub struct Listing {
    by_path: HashMap<u64, Listed>,
    folders: Vec<u64>,
    addresses: Option<Addresses>,
}

/// Most folders that one playlist's files may lie in and still be found.
const FOLDERS: usize = 8;

/// The hash that listings know a path by.
pub fn path_hash(path: &str) -> u64 {
    HASHER.hash_one(path)
}

/// The hash of the folder that a path lies in.
pub fn folder_hash(path: &str) -> u64 {
    path_hash(&path[..path.rfind('/').map_or(0, |slash| slash + 1)])
}

impl Listing {
    /// Lists what a playlist at `base_path` (decoded) names on its own origin.
    pub fn new(media: &Media, base_path: &str) -> Listing {
        let mut listing =
            Listing { by_path: HashMap::new(), folders: Vec::new(), addresses: Addresses::of(base_path) };
        // In this order, so that what exists wins over what is only announced.
        for (place, segment) in media.segments.iter().enumerate().filter(|(_, segment)| !segment.gap) {
            listing.add(&segment.uri, Listed::Segment(place));
        }
        for map in &media.maps {
            listing.add(map, Listed::Map);
        }
        for part in media.low_latency.parts.iter().filter(|part| !part.gap) {
            listing.add(&part.uri, Listed::Part);
        }
        for hint in &media.low_latency.hints {
            listing.add(&hint.uri, Listed::Hint);
        }
        if !media.ended
            && let [.., before, last] = &media.segments[..]
            && let Some(next) = following_name(&before.uri, &last.uri)
        {
            listing.add(&next, Listed::Next);
        }
        listing
    }

    fn add(&mut self, uri: &str, listed: Listed) {
        let Some(path) = self.addresses.as_ref().and_then(|addresses| addresses.path(uri)) else { return };
        let folder = folder_hash(&path);
        if !self.folders.contains(&folder) && self.folders.len() < FOLDERS {
            self.folders.push(folder);
        }
        self.by_path.entry(path_hash(&path)).or_insert(listed);
    }

    /// What a path is to the playlist.
    pub fn find(&self, path: &str) -> Option<&Listed> {
        self.by_path.get(&path_hash(path))
    }

    /// Hashes of the folders that its files lie in.
    pub fn folders(&self) -> &[u64] {
        &self.folders
    }

    /// The path that an address in this playlist leads to.
    pub fn path(&self, uri: &str) -> Option<String> {
        self.addresses.as_ref()?.path(uri)
    }

    /// At most `count` pieces that are played after the segment at `place`, with the bytes of each, if it is
    /// not a whole file. Never past the end of the list; behind the last segment come the parts of the one
    /// that is being made. A file that is asked for whole stands there once.
    pub fn after(&self, media: &Media, place: usize, count: usize) -> Vec<(String, Option<Range<u64>>)> {
        let mut found: Vec<(String, Option<Range<u64>>)> = Vec::new();
        let open = media.position().segment;
        let parts = media.low_latency.parts.iter().filter(|part| part.segment == open && !part.gap);
        let segments = media.segments.iter().skip(place.saturating_add(1)).filter(|segment| !segment.gap);
        let pieces = segments
            .map(|segment| (&segment.uri, &segment.byte_range))
            .chain(parts.map(|part| (&part.uri, &part.byte_range)));
        for (uri, range) in pieces {
            if found.len() >= count {
                break;
            }
            let Some(path) = self.path(uri) else { continue };
            if !found.iter().any(|(known, of)| *known == path && (of.is_none() || of == range)) {
                found.push((path, range.clone()));
            }
        }
        found
    }
}

/// The name after two that differ by a number which grew by one: `s8.ts`, `s9.ts` lead to `s10.ts`.
fn following_name(before: &str, last: &str) -> Option<String> {
    let number = |name: &str| -> Option<Range<usize>> {
        // The number of `.mp4` is not the one that counts.
        let stem = match name.rfind('.') {
            Some(dot) if !name[dot..].contains('/') => &name[..dot],
            _ => name,
        };
        let end = stem.rfind(|c: char| c.is_ascii_digit())? + 1;
        let start = stem[..end].trim_end_matches(|c: char| c.is_ascii_digit()).len();
        Some(start..end)
    };
    let (one, two) = (number(before)?, number(last)?);
    let (low, high) = (before[one.clone()].parse::<u64>().ok()?, last[two.clone()].parse::<u64>().ok()?);
    let same = before[..one.start] == last[..two.start] && before[one.end..] == last[two.end..];
    if !same || low.checked_add(1) != Some(high) {
        return None;
    }
    let width = two.len();
    Some(format!("{}{:0width$}{}", &last[..two.start], high.checked_add(1)?, &last[two.end..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Playlist, parse};

    fn listed(text: &str) -> (Media, Listing) {
        let Playlist::Media(media) = parse(text).unwrap() else { panic!() };
        let listing = Listing::new(&media, "/live/a/index.m3u8");
        (media, listing)
    }

    #[test]
    fn names_that_count_tell_the_next_one() {
        for (before, last, next) in [
            ("s8.ts", "s9.ts", Some("s10.ts")),
            ("s008.m4s", "s009.m4s", Some("s010.m4s")),
            ("2026-1/7.mp4", "2026-1/8.mp4", Some("2026-1/9.mp4")),
            ("999", "1000", Some("1001")),
            ("серия1.ts", "серия2.ts", Some("серия3.ts")),
            ("3ܒ36", "3ܒ37", Some("3ܒ38")),
            ("1я.ts", "2я.ts", Some("3я.ts")),
            ("s8.ts", "s8.ts", None),
            ("s8.ts", "t9.ts", None),
            ("a.ts", "b.ts", None),
            ("a.m4s", "b.m4s", None),
            ("s7.ts", "s9.ts", None),
        ] {
            assert_eq!(following_name(before, last).as_deref(), next, "{before} {last}");
        }
    }

    #[test]
    fn paths_are_found_as_what_they_are() {
        let (media, listing) = listed(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:8\n#EXT-X-MAP:URI=\"../init.mp4\"\n\
            #EXTINF:4,\ns8.m4s\n#EXTINF:4,\ns9.m4s\n#EXT-X-GAP\n#EXTINF:4,\ngone.m4s\n#EXTINF:4,\n./s%2011.m4s?v=2\n\
            #EXT-X-PART:DURATION=1,URI=\"p12.0.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p12.1.m4s\"\n",
        );
        for (path, expected) in [
            ("/live/a/s8.m4s", Some(Listed::Segment(0))),
            ("/live/a/s 11.m4s", Some(Listed::Segment(3))),
            ("/live/init.mp4", Some(Listed::Map)),
            ("/live/a/p12.0.m4s", Some(Listed::Part)),
            ("/live/a/p12.1.m4s", Some(Listed::Hint)),
            ("/live/a/gone.m4s", None),
            ("/live/b/s8.m4s", None),
        ] {
            assert_eq!(listing.find(path), expected.as_ref(), "{path}");
        }
        assert_eq!(listing.folders(), [folder_hash("/live/a/x"), folder_hash("/live/x")]);
        let after = |place, count| -> Vec<String> {
            listing.after(&media, place, count).into_iter().map(|(path, _)| path).collect()
        };
        assert_eq!(after(0, 2), ["/live/a/s9.m4s", "/live/a/s 11.m4s"]);
        assert_eq!(after(1, 9), ["/live/a/s 11.m4s", "/live/a/p12.0.m4s"]);
        assert!(after(3, 0).is_empty() && after(900, 9) == ["/live/a/p12.0.m4s"]);
        let (_, counting) =
            listed("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ns8.ts\n#EXTINF:4,\ns9.ts\n");
        assert_eq!(counting.find("/live/a/s10.ts"), Some(&Listed::Next));
        let (_, ended) = listed(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ns8.ts\n#EXTINF:4,\ns9.ts\n#EXT-X-ENDLIST\n",
        );
        assert_eq!(ended.find("/live/a/s10.ts"), None);
    }

    #[test]
    fn pieces_of_one_file_keep_their_ranges() {
        let (media, listing) = listed(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n#EXT-X-BYTERANGE:10@0\nall.mp4\n\
            #EXTINF:4,\n#EXT-X-BYTERANGE:20\nall.mp4\n#EXTINF:4,\n#EXT-X-BYTERANGE:5\nall.mp4\n",
        );
        let all = "/live/a/all.mp4".to_owned();
        assert_eq!(listing.after(&media, 0, 2), [(all.clone(), Some(10..30)), (all, Some(30..35))]);
    }
}
