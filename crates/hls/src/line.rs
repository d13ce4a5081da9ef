//! A playlist's text as numbered lines.
//!
//! Lines are cut here rather than by the parser's own reader, because errors name a line number and
//! the filter copies the bytes of the lines it keeps.

use std::ops::Range;
use std::sync::LazyLock;

use quick_m3u8::config::{ParsingOptions, ParsingOptionsBuilder};
use quick_m3u8::custom_parsing::line::parse;
use quick_m3u8::tag::{KnownTag, hls};
use quick_m3u8::{HlsLine, tag::UnknownTag};

use crate::playlist::{MAX_TEXT, PlaylistError};

/// One line: where it stands and what it says.
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Its bytes in the text, the line break included.
    pub(crate) span: Range<usize>,
    pub(crate) content: Content<'a>,
}

/// What a line says to us. Comments and the many tags that change nothing here are `Other`.
pub(crate) enum Content<'a> {
    Tag(Box<hls::Tag<'a>>),
    Uri(&'a str),
    Other,
}

/// The lines of a playlist, first of all its `#EXTM3U`.
///
/// # Errors
/// At once for a text that is no playlist at all; at its line for a tag that cannot be read.
pub(crate) fn lines(
    text: &str,
) -> Result<impl Iterator<Item = Result<Line<'_>, PlaylistError>>, PlaylistError> {
    if text.len() > MAX_TEXT {
        return Err(PlaylistError::TooLong { bytes: text.len() });
    }
    if text.trim().is_empty() {
        return Err(PlaylistError::Empty);
    }
    let first = text.lines().next().unwrap_or_default();
    if first.starts_with('\u{feff}') {
        return Err(PlaylistError::ByteOrderMark);
    }
    if first.trim_end() != "#EXTM3U" {
        return Err(PlaylistError::MissingHeader);
    }
    let mut start = 0;
    Ok(text.split_inclusive('\n').enumerate().map(move |(index, whole)| {
        let span = start..start + whole.len();
        start = span.end;
        Ok(Line { number: index + 1, span, content: read(whole.trim_end(), index + 1)? })
    }))
}

/// One line without its line break and without the blanks that some writers leave before it.
fn read(line: &str, number: usize) -> Result<Content<'_>, PlaylistError> {
    if line.is_empty() {
        return Ok(Content::Other);
    }
    if !line.starts_with('#') {
        return Ok(Content::Uri(line));
    }
    match parse(line, &OPTIONS).map(|slice| slice.parsed) {
        Ok(HlsLine::KnownTag(KnownTag::Hls(tag))) => Ok(Content::Tag(Box::new(tag))),
        Ok(HlsLine::UnknownTag(tag)) => unreadable(&tag, number).map_or(Ok(Content::Other), Err),
        // A comment; or a bare `#EXT`, which has no name and so says nothing.
        Ok(_) | Err(_) => Ok(Content::Other),
    }
}

/// A tag that we rely on and cannot read is an error; a tag that nobody here knows is not (RFC 8216,
/// section 6.3.1). An unheard-of playlist type promises nothing, so it counts as none; neither does a date
/// that cannot be read.
fn unreadable(tag: &UnknownTag<'_>, line: usize) -> Option<PlaylistError> {
    let why = tag.validation_error()?;
    if matches!(tag.name(), "-X-PLAYLIST-TYPE" | "-X-PROGRAM-DATE-TIME") {
        return None;
    }
    Some(PlaylistError::BadTag { line, tag: format!("#EXT{}", tag.name()), why: why.to_string() })
}

/// Only what is used is parsed; the rest passes as it is.
static OPTIONS: LazyLock<ParsingOptions> = LazyLock::new(|| {
    ParsingOptionsBuilder::new()
        .with_parsing_for_targetduration()
        .with_parsing_for_media_sequence()
        .with_parsing_for_endlist()
        .with_parsing_for_playlist_type()
        .with_parsing_for_inf()
        .with_parsing_for_byterange()
        .with_parsing_for_map()
        .with_parsing_for_gap()
        .with_parsing_for_discontinuity_sequence()
        .with_parsing_for_program_date_time()
        .with_parsing_for_server_control()
        .with_parsing_for_part_inf()
        .with_parsing_for_part()
        .with_parsing_for_preload_hint()
        .with_parsing_for_skip()
        .with_parsing_for_media()
        .with_parsing_for_stream_inf()
        .with_parsing_for_i_frame_stream_inf()
        .build()
});
