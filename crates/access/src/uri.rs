//! Which paths a token opens: the `cdniuc` claim.

use std::fmt;
use std::str::FromStr;

use crate::Refusal;

/// The URI container of a token (`cdniuc`, RFC 9246 §2.1.15), in kromka's `path:` form.
///
/// `path:/stream/a/` opens everything below that directory; `path:/stream/a.m3u8` opens that one file.
/// Paths are compared decoded and normalised, byte for byte; a directory ends with `/`, so a prefix always
/// ends on a segment boundary. The RFC's `regex:` and `hash:` containers, and any other, are
/// [`Refusal::Container`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything below a directory; the text begins and ends with `/`.
    Below(String),
    /// One file; the text begins with `/` and does not end with it.
    File(String),
}

impl Reach {
    /// Everything below `directory`; a missing last `/` is added.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the path is not absolute and normalised.
    pub fn below(directory: &str) -> Result<Self, Refusal> {
        if directory.is_empty() {
            // The slash that is added would make it the root, which opens everything.
            return Err(Refusal::Malformed("the path in `cdniuc` begins with `/`"));
        }
        let slash = if directory.ends_with('/') { "" } else { "/" };
        format!("path:{directory}{slash}").parse()
    }

    /// One file.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the path is not absolute and normalised, or names a directory.
    pub fn file(path: &str) -> Result<Self, Refusal> {
        match format!("path:{path}").parse()? {
            Self::Below(_) => Err(Refusal::Malformed("a file path does not end in `/`")),
            file => Ok(file),
        }
    }

    /// Everything beside and below the file at `path`: what an asset named by its multivariant playlist needs.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the path is not absolute and normalised.
    pub fn around(path: &str) -> Result<Self, Refusal> {
        Self::below(directory(path))
    }

    /// Whether `path` (decoded, normalised, without the token) is opened. A path with a `.` or `..` segment
    /// never is, whoever forgot to normalise it.
    pub fn opens(&self, path: &str) -> bool {
        match self {
            Self::Below(directory) => path.starts_with(directory.as_str()) && !climbs(path),
            Self::File(file) => path == file,
        }
    }

    /// Whether `path` is a playlist at the top of what this token opens, where playback starts: in the very
    /// directory, or the one file itself.
    pub fn starts(&self, path: &str) -> bool {
        is_playlist(path)
            && match self {
                Self::Below(top) => directory(path) == top,
                Self::File(file) => path == file,
            }
    }
}

impl FromStr for Reach {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let Some(path) = text.strip_prefix("path:") else {
            return Err(Refusal::Container);
        };
        if !path.starts_with('/') {
            return Err(Refusal::Malformed("the path in `cdniuc` begins with `/`"));
        }
        if path.contains("//") || climbs(path) || path.contains(|c: char| c.is_control() || c == '\\') {
            return Err(Refusal::Malformed("the path in `cdniuc` is not normalised"));
        }
        let path = path.to_owned();
        Ok(if path.ends_with('/') { Self::Below(path) } else { Self::File(path) })
    }
}

/// The claim's text, such as `path:/stream/a/`.
impl fmt::Display for Reach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Below(path) | Self::File(path)) = self;
        write!(out, "path:{path}")
    }
}

/// The directory part of an absolute path, with its last `/`.
fn directory(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

fn climbs(path: &str) -> bool {
    // Most paths have no segment that begins with a dot: one search settles those.
    path.contains("/.") && path.split('/').any(|segment| segment == "." || segment == "..")
}

fn is_playlist(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| {
        extension.eq_ignore_ascii_case("m3u8") || extension.eq_ignore_ascii_case("m3u")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn reach(text: &str) -> Reach {
        text.parse().unwrap()
    }

    #[test]
    fn a_directory_opens_what_is_below_and_nothing_beside() {
        let reach = reach("path:/stream/a/");
        for path in ["/stream/a/master.m3u8", "/stream/a/720p/1.ts", "/stream/a/", "/stream/a/.hidden"] {
            assert!(reach.opens(path), "{path}");
        }
        for path in
            ["/stream/ab", "/stream/ab/x", "/stream/a", "/stream", "/", "", "/stream/a/../b", "/stream/a/./x"]
        {
            assert!(!reach.opens(path), "{path}");
        }
    }

    #[test]
    fn a_file_opens_itself_alone() {
        let reach = reach("path:/stream/a");
        assert!(reach.opens("/stream/a"));
        for path in ["/stream/ab", "/stream/a/", "/stream/a/x", "/stream"] {
            assert!(!reach.opens(path), "{path}");
        }
    }

    #[test]
    fn the_root_opens_all() {
        assert!(reach("path:/").opens("/any/thing"));
    }

    #[test]
    fn playback_starts_at_the_top_only() {
        let tree = reach("path:/stream/a/");
        assert!(tree.starts("/stream/a/master.m3u8"));
        assert!(tree.starts("/stream/a/MASTER.M3U8"));
        assert!(!tree.starts("/stream/a/720p/index.m3u8"));
        assert!(!tree.starts("/stream/a/1.ts"));
        let file = reach("path:/live.m3u8");
        assert!(file.starts("/live.m3u8"));
        assert!(!file.starts("/other.m3u8"));
    }

    #[test]
    fn other_containers_and_crooked_paths_are_refused() {
        for text in ["regex:.*", "hash:abc", "uri-pattern:*://*/a/*", "uri-regex:.*", "/stream/", "", "path"]
        {
            assert_eq!(text.parse::<Reach>(), Err(Refusal::Container), "{text}");
        }
        for text in ["path:", "path:a/", "path:/a//b", "path:/a/../b", "path:/..", "path:/a\\b", "path:/a\n"]
        {
            assert!(matches!(text.parse::<Reach>(), Err(Refusal::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn the_builders_say_what_they_mean() {
        assert_eq!(Reach::below("/a").unwrap(), Reach::below("/a/").unwrap());
        assert_eq!(Reach::below("/a").unwrap().to_string(), "path:/a/");
        assert_eq!(Reach::around("/a/master.m3u8").unwrap().to_string(), "path:/a/");
        assert_eq!(Reach::file("/a/b.mp4").unwrap().to_string(), "path:/a/b.mp4");
        assert!(Reach::file("/a/").is_err());
        for text in ["", "a", "a/", "master.m3u8"] {
            assert!(Reach::below(text).is_err() && Reach::around(text).is_err(), "{text:?}");
        }
    }
}
