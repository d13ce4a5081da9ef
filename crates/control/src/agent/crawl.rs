//! What a warm job has to fetch: trees are read playlist by playlist, prefixes are listed.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use kromka_hls::{Playlist, parse};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::bucket::Bucket;
use super::faults::{Faults, tried};
use super::live::Live;
use super::node::Node;
use crate::feed::WarmOrder;

/// Playlists below playlists: a multivariant and its media playlists make two, a third leaves room.
const MAX_DEPTH: u32 = 3;
/// Most objects of one job: days of segments. More is a mistake or an attack.
const MAX_OBJECTS: usize = 200_000;
/// Longest wait for a playlist. The cache has closer deadlines; this one is for the worst day.
const PLAYLIST: Duration = Duration::from_secs(60);
/// Longest wait for a listing.
const LISTING: Duration = Duration::from_secs(600);

/// An object to warm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    /// Whether its size was listed and stands in the totals already.
    pub(super) listed: bool,
}

/// Finds all objects of an order. Playlists are read through the node's cache and so are warm when this
/// returns; what is left to warm comes back in the order of play. Ends early when cancelled.
pub(super) async fn crawl(
    node: &impl Node,
    order: &WarmOrder,
    live: &Live,
    bucket: &Bucket,
    faults: &Faults,
    cancel: &CancellationToken,
) -> Vec<Target> {
    let mut found = Found { seen: HashSet::new(), targets: Vec::new(), live, faults };
    let mut playlists = VecDeque::new();
    for path in &order.trees {
        if found.claim(path, None) {
            playlists.push_back((path.clone(), 1));
        }
    }
    while let Some((path, depth)) = playlists.pop_front() {
        if cancel.is_cancelled() {
            return found.targets;
        }
        tokio::select! {
            () = bucket.turn() => {}
            () = cancel.cancelled() => return found.targets,
        }
        let fetched = tried(cancel, || async {
            match timeout(PLAYLIST, node.fetch_playlist(&order.service, &path)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(format!("no playlist within {PLAYLIST:?}")),
            }
        });
        let text = match fetched.await {
            Ok(text) => text,
            Err(error) => {
                faults.add(&path, error);
                continue;
            }
        };
        let size = text.len() as u64;
        bucket.took(size, Instant::now());
        live.done(size, 0, false);
        let playlist = match parse(&text) {
            Ok(playlist) => playlist,
            Err(error) => {
                faults.add(&path, format!("not a playlist: {error}"));
                continue;
            }
        };
        let below = matches!(playlist, Playlist::Multivariant(_)) && depth < MAX_DEPTH;
        for child in playlist.children(&path) {
            if !found.claim(&child, None) {
                continue;
            }
            if below {
                playlists.push_back((child, depth + 1));
            } else {
                found.targets.push(Target { path: child, listed: false });
            }
        }
    }
    for path in &order.urls {
        if found.claim(path, None) {
            found.targets.push(Target { path: path.clone(), listed: false });
        }
    }
    for prefix in &order.prefixes {
        if cancel.is_cancelled() {
            return found.targets;
        }
        let listed = tried(cancel, || async {
            match timeout(LISTING, node.list(&order.service, prefix)).await {
                Ok(listed) => listed,
                Err(_) => Err(format!("no listing within {LISTING:?}")),
            }
        });
        match listed.await {
            Ok(objects) => {
                for (path, size) in objects {
                    if found.claim(&path, Some(size)) {
                        found.targets.push(Target { path, listed: true });
                    }
                }
            }
            Err(error) => faults.add(prefix, error),
        }
    }
    found.targets
}

struct Found<'a> {
    seen: HashSet<String>,
    targets: Vec<Target>,
    live: &'a Live,
    faults: &'a Faults,
}

impl Found<'_> {
    /// Whether the path is new and there is room for it.
    fn claim(&mut self, path: &str, size: Option<u64>) -> bool {
        if self.seen.contains(path) {
            return false;
        }
        if self.seen.len() >= MAX_OBJECTS {
            self.faults.add(path, format!("left out: a job warms at most {MAX_OBJECTS} objects, split it"));
            return false;
        }
        self.seen.insert(path.to_owned());
        self.live.found(size);
        true
    }
}
