//! A player without a screen: it reads a playlist, all playlists below it and every segment.
//!
//! It reads playlists by its own few rules, so that it does not believe what the code under test believes.

use std::collections::BTreeMap;

use bytes::Bytes;
use url::Url;

use super::viewer::{Got, Viewer};

/// What was played: the body of each URL, by its path without the token. Multivariant playlists are there as the
/// publisher wrote them: this player stays on the edge it was given, and `selector::steering` has one that moves.
pub(crate) type Played = BTreeMap<String, Bytes>;

/// Plays everything below a signed playlist; each answer must be whole and 200.
pub(crate) async fn play(viewer: &Viewer, master: &str) -> Played {
    play_with(viewer, master, |_, _| ()).await
}

/// The same, with a look at every answer.
pub(crate) async fn play_with(viewer: &Viewer, master: &str, mut look: impl FnMut(&str, &Got)) -> Played {
    let mut played = Played::new();
    let mut ahead = vec![Url::parse(master).unwrap()];
    while let Some(url) = ahead.pop() {
        let path = plain(url.path()).to_owned();
        if played.contains_key(&path) {
            continue;
        }
        let got = viewer.get(url.as_str()).await;
        assert_eq!(got.status, 200, "{path}: {}", String::from_utf8_lossy(got.bytes()));
        look(&path, &got);
        let mut body = Bytes::copy_from_slice(got.bytes());
        if path.ends_with(".m3u8") {
            let text = unsteered(got.text());
            ahead.extend(references(&text).iter().map(|reference| url.join(reference).unwrap()));
            body = text.into();
        }
        played.insert(path, body);
    }
    played
}

/// The path behind a token.
pub(crate) fn plain(path: &str) -> &str {
    match path.strip_prefix("/~") {
        Some(rest) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => path,
    }
}

/// A multivariant playlist as its publisher wrote it: without what steering has added.
pub(crate) fn unsteered(playlist: &str) -> String {
    let mut own = "";
    let mut text = String::new();
    for line in playlist.split_inclusive('\n') {
        let pathway = line.split_once("PATHWAY-ID=\"").and_then(|(_, rest)| rest.split_once('"'));
        if line.starts_with("#EXT-X-CONTENT-STEERING") {
            own = pathway.expect("a pathway of its own").0;
            continue;
        }
        match pathway {
            Some((id, _)) if id == own => {
                text.push_str(&line.replace(&format!(",PATHWAY-ID=\"{own}\""), ""));
            }
            // Copies for other pathways stand at the end.
            Some(_) => break,
            None if line.starts_with("#EXT-X-MEDIA")
                && line.contains("GROUP-ID=\"")
                && line.contains('@') =>
            {
                break;
            }
            None => text.push_str(line),
        }
    }
    text
}

/// The number of a playlist's first segment, and of the one after its last.
pub(crate) fn numbers(playlist: &str) -> (u64, u64) {
    let first = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap();
    let first: u64 = first.parse().unwrap();
    (first, first + playlist.lines().filter(|line| line.starts_with("#EXTINF")).count() as u64)
}

/// Everything a playlist refers to, in its order.
pub(crate) fn references(playlist: &str) -> Vec<String> {
    assert!(playlist.starts_with("#EXTM3U"), "no playlist: {playlist}");
    let mut found = Vec::new();
    for line in playlist.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.starts_with('#') {
            false => found.push(line.to_owned()),
            true => {
                let uri = line.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"'));
                found.extend(uri.map(|(uri, _)| uri.to_owned()));
            }
        }
    }
    found
}
