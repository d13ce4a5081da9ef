//! From lines to a playlist.

use std::ops::Range;

use quick_m3u8::date::DateTime;
use quick_m3u8::tag::DecimalResolution;
use quick_m3u8::tag::HlsPlaylistType;
use quick_m3u8::tag::hls::{self, EnumeratedString, MediaType, Tag};

use super::{
    Hint, MAX_URIS, Media, Multivariant, PartRef, Playlist, PlaylistError, Rendition, RenditionKind,
    SegmentRef, Variant,
};
use crate::line::{Content, lines};

pub(super) fn read(text: &str) -> Result<Playlist, PlaylistError> {
    let mut reading = Reading::default();
    for line in lines(text)? {
        let line = line?;
        match line.content {
            Content::Tag(tag) => reading.tag(*tag, line.number)?,
            Content::Uri(uri) => reading.uri(uri, line.number)?,
            Content::Other => {}
        }
    }
    reading.finish()
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    multivariant: Multivariant,
    media: Media,
    target_duration: Option<u64>,
    side: Option<Side>,
    variant: Option<(Variant, usize)>,
    segment: NextSegment,
    uris: usize,
}

/// Which kind of playlist the tags so far belong to.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Multivariant,
    Media,
}

/// What the tags say about the next segment.
#[derive(Default)]
struct NextSegment {
    announced: Option<(f64, usize)>,
    byte_range: Option<(u64, Option<u64>, usize)>,
    gap: bool,
}

impl Reading {
    fn tag(&mut self, tag: Tag<'_>, line: usize) -> Result<(), PlaylistError> {
        self.choose(&tag, line)?;
        match tag {
            Tag::StreamInf(tag) => self.stream_inf(&tag, line)?,
            Tag::IFrameStreamInf(tag) => {
                self.count(line)?;
                self.multivariant.i_frames.push(Variant {
                    uri: tag.uri().to_owned(),
                    bandwidth: tag.bandwidth(),
                    resolution: tag.resolution().map(pixels),
                    codecs: tag.codecs().map(str::to_owned),
                    groups: groups([(RenditionKind::Video, tag.video())]),
                });
            }
            Tag::Media(tag) => self.rendition(&tag, line)?,
            Tag::Targetduration(tag) => self.target_duration = Some(tag.target_duration()),
            Tag::MediaSequence(tag) => self.media.media_sequence = tag.media_sequence(),
            Tag::Endlist(_) => self.media.ended = true,
            Tag::PlaylistType(tag) => self.media.ended |= tag.playlist_type() == HlsPlaylistType::Vod,
            Tag::Map(tag) => {
                self.count(line)?;
                self.media.maps.push(tag.uri().to_owned());
            }
            Tag::Inf(tag) => self.inf(tag.duration(), line)?,
            Tag::Byterange(tag) => self.segment.byte_range = Some((tag.length(), tag.offset(), line)),
            Tag::Gap(_) => self.segment.gap = true,
            Tag::DiscontinuitySequence(tag) => {
                self.media.discontinuity_sequence = tag.discontinuity_sequence();
            }
            Tag::ProgramDateTime(tag) => self.media.newest_date = Some(unix_ms(&tag.program_date_time())),
            Tag::ServerControl(tag) => {
                self.media.low_latency.can_block = tag.can_block_reload();
                self.media.low_latency.can_skip_until = tag.can_skip_until().filter(|s| s.is_finite());
            }
            Tag::PartInf(tag) => {
                self.media.low_latency.part_target = Some(tag.part_target()).filter(|s| s.is_finite());
            }
            Tag::Part(tag) => self.low_latency_part(&tag, line)?,
            Tag::PreloadHint(tag) => {
                self.count(line)?;
                self.media.low_latency.hints.push(Hint {
                    uri: tag.uri().to_owned(),
                    start: tag.byterange_start(),
                    length: tag.byterange_length(),
                });
            }
            Tag::Skip(tag) => self.media.low_latency.skipped = tag.skipped_segments(),
            _ => {}
        }
        Ok(())
    }

    /// Parts are counted from the first segment until the playlist's number of it is known for sure.
    fn low_latency_part(&mut self, tag: &hls::Part<'_>, line: usize) -> Result<(), PlaylistError> {
        self.count(line)?;
        let parts = &self.media.low_latency.parts;
        let byte_range = tag.byterange().map(|range| {
            let before = || parts.last().filter(|before| before.uri == tag.uri())?.byte_range.as_ref();
            let start = range.offset.or_else(|| before().map(|before| before.end)).unwrap_or(0);
            start..start.saturating_add(range.length)
        });
        let segment = self.media.segments.len() as u64;
        let (uri, gap) = (tag.uri().to_owned(), tag.gap());
        self.media.low_latency.parts.push(PartRef { uri, segment, byte_range, gap });
        Ok(())
    }

    /// A playlist that mixes both kinds must not be read as either (RFC 8216, section 4.1).
    fn choose(&mut self, tag: &Tag<'_>, line: usize) -> Result<(), PlaylistError> {
        let side = match tag {
            Tag::StreamInf(_) | Tag::IFrameStreamInf(_) | Tag::Media(_) => Side::Multivariant,
            Tag::Targetduration(_)
            | Tag::MediaSequence(_)
            | Tag::Endlist(_)
            | Tag::PlaylistType(_)
            | Tag::Map(_)
            | Tag::Inf(_)
            | Tag::Byterange(_)
            | Tag::Gap(_)
            | Tag::DiscontinuitySequence(_)
            | Tag::ProgramDateTime(_)
            | Tag::ServerControl(_)
            | Tag::PartInf(_)
            | Tag::Part(_)
            | Tag::PreloadHint(_)
            | Tag::Skip(_) => Side::Media,
            _ => return Ok(()),
        };
        if *self.side.get_or_insert(side) != side {
            return Err(PlaylistError::Mixed { line });
        }
        Ok(())
    }

    fn stream_inf(&mut self, tag: &hls::StreamInf<'_>, line: usize) -> Result<(), PlaylistError> {
        self.no_variant_waits()?;
        let variant = Variant {
            uri: String::new(),
            bandwidth: tag.bandwidth(),
            resolution: tag.resolution().map(pixels),
            codecs: tag.codecs().map(str::to_owned),
            groups: groups([
                (RenditionKind::Audio, tag.audio()),
                (RenditionKind::Video, tag.video()),
                (RenditionKind::Subtitles, tag.subtitles()),
                // `NONE`, unquoted, is no group, and the parser gives quoted values only.
                (RenditionKind::ClosedCaptions, tag.closed_captions()),
            ]),
        };
        self.variant = Some((variant, line));
        Ok(())
    }

    fn rendition(&mut self, tag: &hls::Media<'_>, line: usize) -> Result<(), PlaylistError> {
        self.count(line)?;
        let Some(kind) = rendition_kind(tag) else { return Ok(()) };
        self.multivariant.renditions.push(Rendition {
            uri: tag.uri().map(str::to_owned),
            kind,
            group: tag.group_id().to_owned(),
            name: tag.name().to_owned(),
            language: tag.language().map(str::to_owned),
        });
        Ok(())
    }

    fn inf(&mut self, duration: f64, line: usize) -> Result<(), PlaylistError> {
        self.no_segment_waits()?;
        if !duration.is_finite() || duration < 0.0 {
            return Err(bad("#EXTINF", line, "the duration must be a number of seconds, 0 or more"));
        }
        self.segment.announced = Some((duration, line));
        Ok(())
    }

    fn uri(&mut self, uri: &str, line: usize) -> Result<(), PlaylistError> {
        self.count(line)?;
        if let Some((mut variant, _)) = self.variant.take() {
            variant.uri = uri.to_owned();
            self.multivariant.variants.push(variant);
            return Ok(());
        }
        let NextSegment { announced, byte_range, gap } = std::mem::take(&mut self.segment);
        let Some((duration, _)) = announced else { return Err(PlaylistError::StrayUri { line }) };
        let byte_range = byte_range.map(|part| self.part(uri, part)).transpose()?;
        self.media.segments.push(SegmentRef { uri: uri.to_owned(), duration, byte_range, gap });
        Ok(())
    }

    /// A part without an offset begins where the part before it ends, in the same file (RFC 8216,
    /// section 4.3.2.2).
    fn part(
        &self,
        uri: &str,
        (length, offset, line): (u64, Option<u64>, usize),
    ) -> Result<Range<u64>, PlaylistError> {
        let before = || {
            let before = self.media.segments.last().filter(|before| before.uri == uri)?;
            Some(before.byte_range.as_ref()?.end)
        };
        let start = offset.or_else(before).ok_or_else(|| {
            bad("#EXT-X-BYTERANGE", line, "no offset, and the segment before is not a part of the same file")
        })?;
        let end = start
            .checked_add(length)
            .ok_or_else(|| bad("#EXT-X-BYTERANGE", line, "the range ends past any file"))?;
        Ok(start..end)
    }

    fn count(&mut self, line: usize) -> Result<(), PlaylistError> {
        self.uris += 1;
        if self.uris > MAX_URIS {
            return Err(PlaylistError::TooManyUris { line });
        }
        Ok(())
    }

    fn no_variant_waits(&self) -> Result<(), PlaylistError> {
        match self.variant {
            Some((_, line)) => Err(PlaylistError::MissingUri { line, tag: "#EXT-X-STREAM-INF" }),
            None => Ok(()),
        }
    }

    fn no_segment_waits(&self) -> Result<(), PlaylistError> {
        match self.segment.announced {
            Some((_, line)) => Err(PlaylistError::MissingUri { line, tag: "#EXTINF" }),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Playlist, PlaylistError> {
        self.no_variant_waits()?;
        self.no_segment_waits()?;
        if !self.multivariant.variants.is_empty() {
            return Ok(Playlist::Multivariant(self.multivariant));
        }
        if self.media.segments.is_empty() && self.media.low_latency.parts.is_empty() {
            return Err(PlaylistError::NothingToPlay);
        }
        let first = self.media.media_sequence.saturating_add(self.media.low_latency.skipped);
        for part in &mut self.media.low_latency.parts {
            part.segment = part.segment.saturating_add(first);
        }
        self.media.target_duration = self.target_duration.ok_or(PlaylistError::MissingTargetDuration)?;
        Ok(Playlist::Media(self.media))
    }
}

/// The kind of a rendition; none for a type that nobody has heard of.
pub(crate) fn rendition_kind(tag: &hls::Media<'_>) -> Option<RenditionKind> {
    match tag.media_type() {
        EnumeratedString::Known(MediaType::Audio) => Some(RenditionKind::Audio),
        EnumeratedString::Known(MediaType::Video) => Some(RenditionKind::Video),
        EnumeratedString::Known(MediaType::Subtitles) => Some(RenditionKind::Subtitles),
        EnumeratedString::Known(MediaType::ClosedCaptions) => Some(RenditionKind::ClosedCaptions),
        EnumeratedString::Unknown(_) => None,
    }
}

/// Unix milliseconds of a date as RFC 3339 writes it (days by Howard Hinnant's civil calendar).
fn unix_ms(date: &DateTime) -> i64 {
    let (year, month, day) =
        (i64::from(date.date_fullyear), i64::from(date.date_month), i64::from(date.date_mday));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let zone = &date.timezone_offset;
    let sign = if zone.time_hour < 0 { -1 } else { 1 };
    let minutes = i64::from(date.time_hour) * 60 + i64::from(date.time_minute)
        - (i64::from(zone.time_hour) * 60 + sign * i64::from(zone.time_minute));
    days * 86_400_000 + minutes * 60_000 + (date.time_second * 1000.0).round() as i64
}

/// Width and height, cut to what pictures can have.
pub(crate) fn pixels(resolution: DecimalResolution) -> (u32, u32) {
    let cut = |pixels: u64| u32::try_from(pixels).unwrap_or(u32::MAX);
    (cut(resolution.width), cut(resolution.height))
}

fn groups<const N: usize>(named: [(RenditionKind, Option<&str>); N]) -> Vec<(RenditionKind, String)> {
    named.into_iter().filter_map(|(kind, group)| Some((kind, group?.to_owned()))).collect()
}

fn bad(tag: &str, line: usize, why: &str) -> PlaylistError {
    PlaylistError::BadTag { line, tag: tag.to_owned(), why: why.to_owned() }
}
