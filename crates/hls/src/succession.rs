//! Whether one version of a live playlist may follow another: never backwards, unless the stream began anew.
//!
//! A lagging copy of a source shows what was true a moment ago. It is told from a restarted encoder by what
//! the playlist says (other segments under the same numbers, later dates, a stream that had ended), and where
//! it says nothing, by patience: a stream that stays behind, or goes on behind, while nobody shows the newer
//! one any more, is the stream now.

use std::time::{Duration, Instant};

use crate::playlist::Media;

/// A stream that goes on far behind is a new one after this many target durations, in halves.
const GOES_ON_HALVES: u32 = 3;

/// One that stays behind, after this many target durations.
const STAYS: u32 = 3;

/// What a version of a playlist is to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Newer, or the same with other words.
    Forward,
    /// The same to the letter, or as good as.
    Same,
    /// Older: not to be shown to who saw the other.
    Backward,
    /// Another stream under the same name.
    Restart,
}

/// What two versions tell by themselves.
pub fn step(held: &Media, came: &Media) -> Step {
    if held == came {
        return Step::Same;
    }
    let (before, after) = (held.position(), came.position());
    if after > before {
        return Step::Forward;
    }
    let same = overlap(held, came);
    let dates = held.newest_date.zip(came.newest_date);
    let later = dates.is_some_and(|(held, came)| came > held);
    if same == Overlap::Differs || later || held.ended && !came.ended && same == Overlap::None {
        return Step::Restart;
    }
    let revived = held.ended && !came.ended;
    let shrunk = came.media_sequence < held.media_sequence
        || came.discontinuity_sequence < held.discontinuity_sequence
        || dates.is_some_and(|(held, came)| came < held);
    if after < before || revived || shrunk { Step::Backward } else { Step::Forward }
}

#[derive(Clone, Copy, PartialEq)]
enum Overlap {
    None,
    Agrees,
    Differs,
}

/// Whether segments of the same number are the same.
fn overlap(held: &Media, came: &Media) -> Overlap {
    let first = |media: &Media| media.media_sequence.saturating_add(media.low_latency.skipped);
    let start = first(held).max(first(came));
    let from = |media: &Media| usize::try_from(start - first(media)).unwrap_or(usize::MAX);
    let mut pairs = held
        .segments
        .iter()
        .skip(from(held))
        .zip(came.segments.iter().skip(from(came)))
        .map(|(held, came)| held.uri == came.uri && held.byte_range == came.byte_range)
        .peekable();
    match pairs.peek() {
        None => Overlap::None,
        Some(_) => {
            if pairs.all(|same| same) {
                Overlap::Agrees
            } else {
                Overlap::Differs
            }
        }
    }
}

/// Doubt about whether a stream that went back has begun anew. One for each stream.
#[derive(Debug, Clone, Default)]
pub struct Doubt(Option<Behind>);

#[derive(Debug, Clone)]
struct Behind {
    since: Instant,
    first: Media,
}

impl Doubt {
    /// Judges the version that came at `now` after `held`: as [`step`], but a stream that has been behind for
    /// long enough, with nothing newer seen in between, is a [`Step::Restart`].
    pub fn judge(&mut self, held: &Media, came: &Media, now: Instant) -> Step {
        let step = step(held, came);
        if step != Step::Backward {
            self.0 = None;
            return step;
        }
        let behind = self.0.get_or_insert_with(|| Behind { since: now, first: came.clone() });
        let waited = now.saturating_duration_since(behind.since);
        let target = Duration::from_secs(held.target_duration.clamp(1, 300));
        let goes_on = came.position() > behind.first.position() && overlap(held, came) == Overlap::None;
        let enough = if goes_on { target * GOES_ON_HALVES / 2 } else { target * STAYS };
        if waited < enough {
            return Step::Backward;
        }
        self.0 = None;
        Step::Restart
    }

    /// The held version was confirmed by a source.
    pub fn settle(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Playlist, parse};

    fn playlist(first: u64, names: &str, more: &str) -> Media {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for name in names.split(' ') {
            text.push_str(&format!("#EXTINF:2,\n{name}.ts\n"));
        }
        match parse(&format!("{text}{more}")).unwrap() {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("read as a multivariant playlist"),
        }
    }

    const END: &str = "#EXT-X-ENDLIST\n";

    fn dated(date: &str) -> String {
        format!("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{date}Z\n")
    }

    #[test]
    fn what_playlists_tell_by_themselves() {
        let held = || playlist(5, "s5 s6 s7", "");
        for (came, expected) in [
            (held(), Step::Same),
            (playlist(6, "s6 s7 s8", ""), Step::Forward),
            (playlist(900, "x", ""), Step::Forward),
            (playlist(5, "s5 s6 s7", END), Step::Forward),
            (playlist(6, "s6 s7", ""), Step::Forward),
            (playlist(4, "s4 s5 s6", ""), Step::Backward),
            (playlist(4, "s4 s5 s6 s7", ""), Step::Backward),
            (playlist(0, "s0 s1", ""), Step::Backward),
            // Other names under the same numbers: another encoder's work.
            (playlist(5, "t5", ""), Step::Restart),
        ] {
            assert_eq!(step(&held(), &came), expected, "{came:?}");
        }
        assert_eq!(step(&playlist(5, "s5 s6", END), &playlist(5, "s5 s6", "")), Step::Backward);
        assert_eq!(step(&playlist(5, "s5 s6", END), &playlist(0, "s0", "")), Step::Restart);
        let (early, late) = (playlist(5, "a b", &dated("10")), playlist(0, "c", &dated("11")));
        assert_eq!(step(&early, &late), Step::Restart);
        assert_eq!(step(&late, &playlist(0, "c", &dated("10"))), Step::Backward);
    }

    #[test]
    fn parts_count_as_progress() {
        let part = |count: usize| "#EXT-X-PART:DURATION=1,URI=\"p\"\n".repeat(count);
        assert_eq!(step(&playlist(5, "s5", &part(1)), &playlist(5, "s5", &part(2))), Step::Forward);
        assert_eq!(step(&playlist(5, "s5", &part(2)), &playlist(5, "s5", &part(1))), Step::Backward);
        assert_eq!(step(&playlist(5, "s5", &part(3)), &playlist(5, "s5 s6", "")), Step::Forward);
    }

    #[test]
    fn a_lagging_copy_beside_the_newer_one_never_becomes_the_stream() {
        let (newer, older) = (playlist(5, "s5 s6", ""), playlist(4, "s4 s5", ""));
        let (mut doubt, begun) = (Doubt::default(), Instant::now());
        for second in 0..60 {
            let now = begun + Duration::from_secs(second);
            assert_eq!(doubt.judge(&newer, &older, now), Step::Backward);
            assert_eq!(doubt.judge(&newer, &newer, now), Step::Same);
        }
    }

    #[test]
    fn a_stream_that_stays_or_goes_on_behind_is_the_stream_after_a_while() {
        let held = playlist(50, "s50 s51", "");
        let begun = Instant::now();
        let mut doubt = Doubt::default();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let older = playlist(49, "s49 s50", "");
        assert_eq!(doubt.judge(&held, &older, after(0)), Step::Backward);
        assert_eq!(doubt.judge(&held, &older, after(5)), Step::Backward);
        assert_eq!(doubt.judge(&held, &older, after(6)), Step::Restart);
        assert_eq!(doubt.judge(&held, &playlist(0, "s0", ""), after(7)), Step::Backward);
        assert_eq!(doubt.judge(&held, &playlist(0, "s0 s1", ""), after(9)), Step::Backward);
        assert_eq!(doubt.judge(&held, &playlist(0, "s0 s1", ""), after(10)), Step::Restart);
    }
}
