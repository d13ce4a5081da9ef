//! A playlist's text as a multivariant or a media playlist (RFC 8216, section 4).
//!
//! The types keep what caching, warming and plan limits ask for, and URIs as they were written;
//! whoever needs the bytes keeps the text.

use std::ops::Range;

mod error;
mod reading;

pub use error::PlaylistError;
pub(crate) use reading::{pixels, rendition_kind};

/// Longest playlist text, in bytes (4 MiB).
pub const MAX_TEXT: usize = 4 << 20;

/// Most URIs in one playlist: variants, renditions, I-frame playlists, sections and segments together.
pub const MAX_URIS: usize = 100_000;

/// A playlist of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist {
    /// Names other playlists.
    Multivariant(Multivariant),
    /// Names segments.
    Media(Media),
}

/// A playlist of playlists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF`, in the order written; never empty.
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA`, in the order written, those without a URI included.
    pub renditions: Vec<Rendition>,
    /// `EXT-X-I-FRAME-STREAM-INF`, in the order written.
    pub i_frames: Vec<Variant>,
}

/// One version of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its media playlist, as written.
    pub uri: String,
    /// Peak bits per second.
    pub bandwidth: u64,
    /// Width and height in pixels, when given; a dimension beyond `u32` counts as its largest value.
    pub resolution: Option<(u32, u32)>,
    /// Codec list, when given.
    pub codecs: Option<String>,
    /// The rendition groups it plays with, by kind.
    pub groups: Vec<(RenditionKind, String)>,
}

/// One alternative rendition: a language, a camera, subtitles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Its media playlist, as written; none where it is carried in the variant itself.
    pub uri: Option<String>,
    /// `TYPE`.
    pub kind: RenditionKind,
    /// `GROUP-ID`.
    pub group: String,
    /// `NAME`.
    pub name: String,
    /// `LANGUAGE` (RFC 5646), when given.
    pub language: Option<String>,
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RenditionKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Subtitles.
    Subtitles,
    /// Closed captions, which never have a URI.
    ClosedCaptions,
}

/// A playlist of segments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target_duration: u64,
    /// Number of the first segment; 0 when not given.
    pub media_sequence: u64,
    /// Nothing will be added or taken away: `EXT-X-ENDLIST`, or the type `VOD` (RFC 8216, section 4.3.3.5).
    pub ended: bool,
    /// Initialisation sections (`EXT-X-MAP`), as written, in the order written.
    pub maps: Vec<String>,
    /// Segments in order of play; empty only while the first one of a low-latency stream is being made.
    pub segments: Vec<SegmentRef>,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`; 0 when not given.
    pub discontinuity_sequence: u64,
    /// The last `EXT-X-PROGRAM-DATE-TIME`, unix milliseconds.
    pub newest_date: Option<i64>,
    /// What the stream says of low latency.
    pub low_latency: LowLatency,
}

/// The tags of a low-latency stream (draft-pantos-hls-rfc8216bis, sections 4.4.3.7, 4.4.3.8, 4.4.4.9,
/// 4.4.5).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LowLatency {
    /// `CAN-BLOCK-RELOAD`: a reload may be held until there is news.
    pub can_block: bool,
    /// `CAN-SKIP-UNTIL`, in seconds: what lies further than this from the end may be left out.
    pub can_skip_until: Option<f64>,
    /// `PART-TARGET`, in seconds.
    pub part_target: Option<f64>,
    /// Parts, in order of play: of the segments near the end, and of the one that is being made.
    pub parts: Vec<PartRef>,
    /// What the server says will come next.
    pub hints: Vec<Hint>,
    /// `SKIPPED-SEGMENTS`: this many are left out before the first segment. Then it is no whole playlist.
    pub skipped: u64,
}

/// One part of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRef {
    /// Where it is, as written.
    pub uri: String,
    /// Number of the segment that it is a part of.
    pub segment: u64,
    /// The part of the file that it is, when it is not the whole.
    pub byte_range: Option<Range<u64>>,
    /// It does not exist and must not be asked for.
    pub gap: bool,
}

/// `EXT-X-PRELOAD-HINT`: something that may be asked for before it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Where it will be, as written.
    pub uri: String,
    /// Where in the file it will begin.
    pub start: u64,
    /// How long it will be, in bytes; up to the end of the file when not given.
    pub length: Option<u64>,
}

/// One segment, as the playlist refers to it.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRef {
    /// Where it is, as written.
    pub uri: String,
    /// `EXTINF`, in seconds; finite and not negative.
    pub duration: f64,
    /// The part of the file that it is, when it is not the whole: first byte to one past the last.
    pub byte_range: Option<Range<u64>>,
    /// `EXT-X-GAP`: the segment does not exist and must not be asked for.
    pub gap: bool,
}

/// Reads a playlist.
///
/// Unknown tags, comments and blank lines are passed over. What is read follows RFC 8216: `#EXTM3U`
/// first, every address after its `EXTINF` or `EXT-X-STREAM-INF`, a target duration in every media
/// playlist, never both kinds in one.
///
/// # Errors
/// [`PlaylistError`], with the line wherever there is one.
pub fn parse(text: &str) -> Result<Playlist, PlaylistError> {
    reading::read(text)
}

#[cfg(test)]
mod tests;
