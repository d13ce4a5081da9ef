//! A multivariant playlist without what a viewer's plan leaves out.
//!
//! Lines are dropped, never rewritten: every byte that stays is the publisher's own, so unknown tags,
//! comments and blank lines survive.

use std::collections::HashSet;

use quick_m3u8::tag::hls::Tag;

use crate::line::{Content, lines};
use crate::playlist::{Multivariant, Playlist, PlaylistError, RenditionKind, parse, pixels, rendition_kind};

/// Drops the variants and I-frame playlists above `max_height` (pixels) or `max_bitrate` (peak bits
/// per second), and the renditions that only dropped variants play with.
///
/// A variant without `RESOLUTION`, such as an audio-only one, has no height: only the bitrate can drop
/// it. A media playlist, or a text with no limits to apply, comes back as it is.
///
/// # Errors
/// [`PlaylistError::NoVariantLeft`] when every variant is above the limits; otherwise as [`parse`].
pub fn filter(
    text: &str,
    max_height: Option<u32>,
    max_bitrate: Option<u64>,
) -> Result<String, PlaylistError> {
    let limits = Limits { max_height, max_bitrate };
    let Playlist::Multivariant(playlist) = parse(text)? else { return Ok(text.to_owned()) };
    if playlist.variants.iter().all(|variant| !limits.admit(variant.resolution, variant.bandwidth)) {
        return Err(PlaylistError::NoVariantLeft { max_height, max_bitrate });
    }
    let orphans = orphans(&playlist, limits);
    let mut kept = String::with_capacity(text.len());
    let mut drop_uri = false;
    for line in lines(text)? {
        let line = line?;
        let keep = match &line.content {
            Content::Uri(_) => !std::mem::take(&mut drop_uri),
            Content::Tag(tag) => match tag.as_ref() {
                Tag::StreamInf(tag) => {
                    let admitted = limits.admit(tag.resolution().map(pixels), tag.bandwidth());
                    drop_uri = !admitted;
                    admitted
                }
                Tag::IFrameStreamInf(tag) => limits.admit(tag.resolution().map(pixels), tag.bandwidth()),
                Tag::Media(tag) => {
                    rendition_kind(tag).is_none_or(|kind| !orphans.contains(&(kind, tag.group_id())))
                }
                _ => true,
            },
            Content::Other => true,
        };
        if keep {
            kept.push_str(&text[line.span]);
        }
    }
    Ok(kept)
}

#[derive(Clone, Copy)]
struct Limits {
    max_height: Option<u32>,
    max_bitrate: Option<u64>,
}

impl Limits {
    fn admit(self, resolution: Option<(u32, u32)>, bandwidth: u64) -> bool {
        let too_high =
            matches!((resolution, self.max_height), (Some((_, height)), Some(max)) if height > max);
        let too_fast = self.max_bitrate.is_some_and(|max| bandwidth > max);
        !too_high && !too_fast
    }
}

/// Groups that some variant names, but none that stays: a camera in 2160p must go with its variants.
fn orphans(playlist: &Multivariant, limits: Limits) -> HashSet<(RenditionKind, &str)> {
    let mut dropped = HashSet::new();
    let mut kept = HashSet::new();
    for variant in playlist.variants.iter().chain(&playlist.i_frames) {
        let groups = variant.groups.iter().map(|(kind, group)| (*kind, group.as_str()));
        if limits.admit(variant.resolution, variant.bandwidth) {
            kept.extend(groups);
        } else {
            dropped.extend(groups);
        }
    }
    dropped.retain(|group| !kept.contains(group));
    dropped
}

#[cfg(test)]
mod tests;
