//! What a file is, judged by its name alone.

/// What a path leads to, as far as caching and play are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A playlist, multivariant or media.
    Playlist,
    /// Media: a segment, an initialisation section, a whole file, a subtitle.
    Segment,
    /// Anything else: a key, an image, a page.
    Other,
}

/// What a path leads to, by the extension of its last segment, without regard to case.
pub fn kind(path: &str) -> Kind {
    row(path).map_or(Kind::Other, |row| row.1)
}

/// The media type to send when the source names none (RFC 8216, section 4; IANA's registry);
/// `application/octet-stream` for a name that says nothing.
pub fn content_type(path: &str) -> &'static str {
    row(path).map_or("application/octet-stream", |row| row.2)
}

/// Extension, kind, media type.
const EXTENSIONS: &[(&str, Kind, &str)] = &[
    ("ts", Kind::Segment, "video/mp2t"),
    ("m4s", Kind::Segment, "video/mp4"),
    ("m3u8", Kind::Playlist, "application/vnd.apple.mpegurl"),
    ("m3u", Kind::Playlist, "application/vnd.apple.mpegurl"),
    ("mp4", Kind::Segment, "video/mp4"),
    ("m4v", Kind::Segment, "video/mp4"),
    ("cmfv", Kind::Segment, "video/mp4"),
    ("m4a", Kind::Segment, "audio/mp4"),
    ("cmfa", Kind::Segment, "audio/mp4"),
    ("cmft", Kind::Segment, "application/mp4"),
    ("aac", Kind::Segment, "audio/aac"),
    ("mp3", Kind::Segment, "audio/mpeg"),
    ("ac3", Kind::Segment, "audio/ac3"),
    ("ec3", Kind::Segment, "audio/eac3"),
    ("flac", Kind::Segment, "audio/flac"),
    ("vtt", Kind::Segment, "text/vtt"),
    ("webvtt", Kind::Segment, "text/vtt"),
    ("key", Kind::Other, "application/octet-stream"),
    ("json", Kind::Other, "application/json"),
    ("jpg", Kind::Other, "image/jpeg"),
    ("jpeg", Kind::Other, "image/jpeg"),
    ("png", Kind::Other, "image/png"),
    ("webp", Kind::Other, "image/webp"),
    ("html", Kind::Other, "text/html; charset=utf-8"),
    ("txt", Kind::Other, "text/plain; charset=utf-8"),
];

fn row(path: &str) -> Option<&'static (&'static str, Kind, &'static str)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, extension) = name.rsplit_once('.')?;
    EXTENSIONS.iter().find(|row| row.0.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kind_and_media_type() {
        for (path, expected, media_type) in [
            ("/a/master.m3u8", Kind::Playlist, "application/vnd.apple.mpegurl"),
            ("/a/OLD.M3U8", Kind::Playlist, "application/vnd.apple.mpegurl"),
            ("/a/000.ts", Kind::Segment, "video/mp2t"),
            ("/a/000.m4s", Kind::Segment, "video/mp4"),
            ("/a/init.mp4", Kind::Segment, "video/mp4"),
            ("/a/000.aac", Kind::Segment, "audio/aac"),
            ("/a/en.vtt", Kind::Segment, "text/vtt"),
            ("/a/b.c.ts", Kind::Segment, "video/mp2t"),
            ("/a/poster.jpg", Kind::Other, "image/jpeg"),
            ("/a.ts/readme", Kind::Other, "application/octet-stream"),
            ("/a/ts", Kind::Other, "application/octet-stream"),
            ("/a/", Kind::Other, "application/octet-stream"),
            ("", Kind::Other, "application/octet-stream"),
        ] {
            assert_eq!(kind(path), expected, "{path}");
            assert_eq!(content_type(path), media_type, "{path}");
        }
    }
}
