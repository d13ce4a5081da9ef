//! What a playlist refers to on its own origin.
//!
//! A relative URI is resolved against the playlist's own path by the rules for URLs, which stop at the
//! root; then it goes through [`crate::split`] like any viewer's request, so that a child never
//! has a name that a viewer could not ask for.

use std::collections::HashSet;

use url::Url;

use crate::path::{encode_path, split, split_plain};
use crate::{Playlist, RenditionKind};

/// Stands for the playlist's own host, which nobody here knows. `.invalid` is reserved (RFC 2606), so
/// no playlist names it by chance.
const OWN_ORIGIN: &str = "http://playlist.invalid";

/// Something that a playlist refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Child {
    /// Its path: decoded, clean, without a token, as in [`crate::RequestPath::path`].
    pub path: String,
    /// Its query as written, without a token.
    pub query: Option<String>,
}

impl Playlist {
    /// The paths of all that this playlist refers to, each once, in the order to fetch them: for a
    /// multivariant playlist variants, renditions, I-frame playlists; for a media playlist the
    /// initialisation sections, then the segments. `base_path` is the playlist's own decoded path.
    ///
    /// Left out: other hosts and schemes, keys (`EXT-X-KEY`), segments marked as gaps, URIs with
    /// variables (`EXT-X-DEFINE`), and names that a viewer's request could not have either. Queries are
    /// dropped: for a service whose queries belong to the key, see [`Playlist::targets`].
    pub fn children(&self, base_path: &str) -> Vec<String> {
        let mut seen = HashSet::new();
        let paths = self.targets(base_path).into_iter().map(|child| child.path);
        paths.filter(|path| seen.insert(path.clone())).collect()
    }

    /// As [`Playlist::children`], with queries; the same path with two queries is two children.
    pub fn targets(&self, base_path: &str) -> Vec<Child> {
        let Some(base) = base(base_path) else { return Vec::new() };
        // In a service without tokens a tree may lie under `/~name/`.
        let take = if base_path.starts_with("/~") { split_plain } else { split };
        let mut seen = HashSet::new();
        let children = self.uris().into_iter().filter_map(|uri| {
            let parts = take(&target(&base, uri)?).ok()?;
            Some(Child { path: parts.path, query: parts.query })
        });
        children.filter(|child| seen.insert(child.clone())).collect()
    }

    /// URIs as written, in the order to fetch them.
    fn uris(&self) -> Vec<&str> {
        match self {
            Self::Multivariant(playlist) => {
                let variants = playlist.variants.iter().map(|variant| variant.uri.as_str());
                let renditions = playlist.renditions.iter().filter_map(|rendition| {
                    // Closed captions travel inside the video; a URI there is a mistake.
                    rendition.uri.as_deref().filter(|_| rendition.kind != RenditionKind::ClosedCaptions)
                });
                let i_frames = playlist.i_frames.iter().map(|i_frame| i_frame.uri.as_str());
                variants.chain(renditions).chain(i_frames).collect()
            }
            Self::Media(playlist) => {
                let maps = playlist.maps.iter().map(String::as_str);
                let segments = playlist.segments.iter().filter(|segment| !segment.gap);
                maps.chain(segments.map(|segment| segment.uri.as_str())).collect()
            }
        }
    }
}

/// The decoded path that an address in (or beside) the object at a decoded path leads to, if it is one on the
/// same origin that a viewer could ask for.
pub fn resolve(base_path: &str, uri: &str) -> Option<String> {
    Addresses::of(base_path)?.path(uri)
}

/// The addresses in one playlist, as paths on its own origin.
#[derive(Debug)]
pub(crate) struct Addresses {
    base: Url,
    /// The decoded folder of the playlist, with the slash at its end.
    folder: String,
    tokens: bool,
}

impl Addresses {
    /// Of a playlist at this decoded path; none for a path that is not one.
    pub(crate) fn of(base_path: &str) -> Option<Addresses> {
        let folder = base_path[..base_path.rfind('/')? + 1].to_owned();
        Some(Addresses { base: base(base_path)?, folder, tokens: !base_path.starts_with("/~") })
    }

    /// The decoded path that an address leads to, without its query.
    pub(crate) fn path(&self, uri: &str) -> Option<String> {
        // Nearly all are plain names, which need no rules for URLs.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !uri.is_empty() && !uri.starts_with('.') && uri.bytes().all(plain) {
            let path = format!("{}{uri}", self.folder);
            return (path.len() <= crate::path::MAX_PATH).then_some(path);
        }
        let take = if self.tokens { split } else { split_plain };
        take(&target(&self.base, uri)?).ok().map(|parts| parts.path)
    }
}

/// The playlist's own URL; none for a path that is not one.
fn base(path: &str) -> Option<Url> {
    let path = path.strip_prefix('/')?;
    Url::parse(&format!("{OWN_ORIGIN}/{}", encode_path(path))).ok()
}

/// The request target of a URI on the playlist's own origin.
fn target(base: &Url, uri: &str) -> Option<String> {
    if uri.contains("{$") {
        return None;
    }
    let url = base.join(uri).ok()?;
    if url.origin() != base.origin() {
        return None;
    }
    Some(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
}

#[cfg(test)]
mod tests;
