//! For how long an answer may be kept.
//!
//! A playlist speaks for itself: one that has ended never changes, a live one changes once per target
//! duration. Everything else has the lifetime that its kind is given.

use std::time::Duration;

use crate::{Kind, Media, Playlist};

/// Longest time that a live playlist is kept, whatever target duration it claims.
const LIVE_MAX: Duration = Duration::from_secs(300);

/// For how long an answer may be kept, and what may be done after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Fresh for this long.
    pub max_age: Duration,
    /// Will not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// May be given out this much longer while a new one is fetched (RFC 5861, section 3).
    pub stale_while_revalidate: Duration,
    /// May be given out this much longer while the source fails (RFC 5861, section 4).
    pub stale_if_error: Duration,
}

impl Lifetime {
    /// The value of `Cache-Control`, in whole seconds. Parts of a second are cut off, but what is kept
    /// at all is kept for a second: `max-age=0` would send every viewer upstream.
    ///
    /// `public`, because between our tiers requests carry `Authorization` (RFC 9111, section 3.5).
    pub fn cache_control(&self) -> String {
        let mut value = format!("public, max-age={}", whole_seconds(self.max_age));
        if self.immutable {
            value.push_str(", immutable");
        }
        for (name, time) in
            [("stale-while-revalidate", self.stale_while_revalidate), ("stale-if-error", self.stale_if_error)]
        {
            if !time.is_zero() {
                value.push_str(&format!(", {name}={}", whole_seconds(time)));
            }
        }
        value
    }

    fn for_ever(max_age: Duration) -> Self {
        Self {
            max_age,
            immutable: true,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::from_secs(86_400),
        }
    }

    fn for_a_while(max_age: Duration) -> Self {
        Self {
            max_age,
            immutable: false,
            stale_while_revalidate: max_age,
            stale_if_error: Duration::from_secs(86_400),
        }
    }
}

/// The lifetimes that a service gives to what does not speak for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Segments, and playlists that have ended. Default 365 days.
    pub segment: Duration,
    /// Multivariant playlists, and playlists that could not be read. Default 60 s.
    pub multivariant: Duration,
    /// Everything else. Default 1 h.
    pub other: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(365 * 86_400),
            multivariant: Duration::from_secs(60),
            other: Duration::from_secs(3600),
        }
    }
}

/// For how long a playlist may be kept.
///
/// One that has ended is kept as long as a segment. A live one is kept for half its target duration
/// (draft-pantos-hls-rfc8216bis, appendix B.1) and for one more half while a new one is fetched, so it
/// is never more than one target duration old; if the source fails, for three more, after which a
/// player has given up. A multivariant playlist has its default.
pub fn playlist_lifetime(playlist: &Playlist, defaults: &Lifetimes) -> Lifetime {
    match playlist {
        Playlist::Multivariant(_) => Lifetime::for_a_while(defaults.multivariant),
        Playlist::Media(media) => media_lifetime(media, defaults),
    }
}

/// The same for a media playlist.
pub fn media_lifetime(media: &Media, defaults: &Lifetimes) -> Lifetime {
    if media.ended {
        return Lifetime::for_ever(defaults.segment);
    }
    let target = Duration::from_secs(media.target_duration).clamp(Duration::from_secs(1), LIVE_MAX);
    Lifetime {
        max_age: target / 2,
        immutable: false,
        stale_while_revalidate: target / 2,
        stale_if_error: target * 3,
    }
}

/// For how long a file of a kind may be kept, when its content is not looked at.
pub fn object_lifetime(kind: Kind, defaults: &Lifetimes) -> Lifetime {
    match kind {
        Kind::Playlist => Lifetime::for_a_while(defaults.multivariant),
        Kind::Segment => Lifetime::for_ever(defaults.segment),
        Kind::Other => Lifetime::for_a_while(defaults.other),
    }
}

fn whole_seconds(time: Duration) -> u64 {
    if time.is_zero() { 0 } else { time.as_secs().max(1) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::parse;

    fn cache_control(text: &str) -> String {
        playlist_lifetime(&parse(text).unwrap(), &Lifetimes::default()).cache_control()
    }

    fn live(target: u64) -> String {
        format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{target}\n#EXTINF:1.9,\n7.ts\n")
    }

    #[test]
    fn what_has_ended_never_changes() {
        let for_ever = "public, max-age=31536000, immutable, stale-if-error=86400";
        assert_eq!(cache_control(&format!("{}#EXT-X-ENDLIST\n", live(6))), for_ever);
        let vod = live(6).replace("#EXTINF", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF");
        assert_eq!(cache_control(&vod), for_ever);
    }

    #[test]
    fn live_playlists_last_half_their_target_duration() {
        for (target, expected) in [
            (6, "public, max-age=3, stale-while-revalidate=3, stale-if-error=18"),
            (5, "public, max-age=2, stale-while-revalidate=2, stale-if-error=15"),
            (1, "public, max-age=1, stale-while-revalidate=1, stale-if-error=3"),
            (0, "public, max-age=1, stale-while-revalidate=1, stale-if-error=3"),
            (u64::MAX, "public, max-age=150, stale-while-revalidate=150, stale-if-error=900"),
        ] {
            assert_eq!(cache_control(&live(target)), expected, "{target}");
        }
        let event = live(6).replace("#EXTINF", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF");
        assert_eq!(cache_control(&event), cache_control(&live(6)));
    }

    #[test]
    fn the_service_decides_the_rest() {
        let defaults = Lifetimes { multivariant: Duration::from_secs(5), ..Lifetimes::default() };
        let multivariant = parse("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n").unwrap();
        let expected = "public, max-age=5, stale-while-revalidate=5, stale-if-error=86400";
        assert_eq!(playlist_lifetime(&multivariant, &defaults).cache_control(), expected);
        assert_eq!(object_lifetime(Kind::Playlist, &defaults).cache_control(), expected);
        assert!(object_lifetime(Kind::Segment, &defaults).immutable);
        assert_eq!(object_lifetime(Kind::Other, &defaults).max_age, defaults.other);
    }

    #[test]
    fn nothing_is_kept_when_the_service_says_so() {
        let defaults = Lifetimes { multivariant: Duration::ZERO, ..Lifetimes::default() };
        let value = object_lifetime(Kind::Playlist, &defaults).cache_control();
        assert_eq!(value, "public, max-age=0, stale-if-error=86400");
    }
}
