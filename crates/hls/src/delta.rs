//! Playlist delta updates: a live playlist without what its reader has already
//! (draft-pantos-hls-rfc8216bis, section 6.2.5.1).
//!
//! Made from the whole text by leaving lines out: every byte that stays is the publisher's own, but for the
//! version where it was below the one that knows `EXT-X-SKIP`.

use quick_m3u8::tag::hls::Tag;

use crate::line::{Content, Line, lines};
use crate::playlist::{Media, Playlist, PlaylistError, parse};

/// The version that a playlist with `EXT-X-SKIP` has at least (section 8).
const SKIP_VERSION: u64 = 9;

/// The delta update of a playlist: segments further from its end than `CAN-SKIP-UNTIL` seconds are replaced
/// by `EXT-X-SKIP`. None where there is nothing to leave out, or the playlist does not offer it, or has
/// ended; then the whole one is the answer.
///
/// Date ranges all stay: they are applied to the playlist, not to a segment.
///
/// # Errors
/// As [`parse`].
pub fn delta(text: &str) -> Result<Option<String>, PlaylistError> {
    let Playlist::Media(media) = parse(text)? else { return Ok(None) };
    let mut skip = skippable(&media);
    if skip > 0 {
        let leaning = leaning(text)?;
        // What begins where the one before it ends stays behind it.
        while leaning.get(skip).is_some_and(|leans| *leans) {
            skip -= 1;
        }
    }
    if skip == 0 {
        return Ok(None);
    }
    let mut left = String::with_capacity(text.len());
    let (mut passed, mut begun) = (0, false);
    for line in lines(text)? {
        let line = line?;
        let of_segment = of_segment(&line, &text[line.span.clone()]);
        if of_segment && passed < skip {
            if !begun {
                left.push_str(&format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skip}\n"));
                begun = true;
            }
            passed += usize::from(matches!(line.content, Content::Uri(_)));
            continue;
        }
        let written = &text[line.span];
        match version(written) {
            Some(version) if version < SKIP_VERSION => {
                left.push_str(&format!("#EXT-X-VERSION:{SKIP_VERSION}\n"));
            }
            _ => left.push_str(written),
        }
    }
    Ok(Some(left))
}

/// Which segments begin in their file where the one before ends, themselves or with their first part: they say no
/// offset.
fn leaning(text: &str) -> Result<Vec<bool>, PlaylistError> {
    let (mut all, mut leans, mut first) = (Vec::new(), false, true);
    let mut before = None;
    for line in lines(text)? {
        match line?.content {
            Content::Tag(tag) => match *tag {
                Tag::Byterange(tag) => leans |= tag.offset().is_none(),
                Tag::Part(part) => {
                    // Of another file than the part before, it begins with the file.
                    let file = Some(part.uri().to_owned());
                    let open = part.byterange().is_some_and(|range| range.offset.is_none());
                    leans |= first && open && before == file;
                    (first, before) = (false, file);
                }
                _ => {}
            },
            Content::Uri(_) => {
                all.push(leans);
                (leans, first) = (false, true);
            }
            Content::Other => {}
        }
    }
    Ok(all)
}

/// How many segments, from the first on, lie wholly before the skip boundary.
fn skippable(media: &Media) -> usize {
    let low_latency = &media.low_latency;
    let may = !media.ended && low_latency.skipped == 0;
    // A boundary at the very end is a publisher's mistake: it would leave no segment at all.
    let Some(boundary) = low_latency.can_skip_until.filter(|boundary| may && *boundary > 0.0) else {
        return 0;
    };
    let mut after = 0.0;
    for (place, segment) in media.segments.iter().enumerate().rev() {
        if after >= boundary {
            return place + 1;
        }
        after += segment.duration;
    }
    0
}

/// Whether a line belongs to one segment, and goes with it: its address, and the tags applied to it. Blank
/// lines and comments between segments go too.
fn of_segment(line: &Line<'_>, written: &str) -> bool {
    const TAGS: [&str; 7] = [
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-KEY",
        "#EXT-X-BITRATE",
        "#EXT-X-PROGRAM-DATE-TIME",
        "#EXT-X-MAP",
        "#EXT-X-GAP",
        "#EXT-X-PART",
    ];
    match &line.content {
        Content::Uri(_) => true,
        Content::Tag(tag) => matches!(
            tag.as_ref(),
            Tag::Inf(_)
                | Tag::Byterange(_)
                | Tag::Gap(_)
                | Tag::Map(_)
                | Tag::Part(_)
                | Tag::ProgramDateTime(_)
        ),
        Content::Other => {
            let name = written.trim_end().split(':').next().unwrap_or_default();
            TAGS.contains(&name)
        }
    }
}

fn version(written: &str) -> Option<u64> {
    written.trim_end().strip_prefix("#EXT-X-VERSION:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:6\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=8.0\n\
        #EXT-X-PART-INF:PART-TARGET=1\n#EXT-X-MEDIA-SEQUENCE:10\n";

    #[test]
    fn old_segments_go_with_all_that_is_theirs() {
        let text = format!(
            "{HEAD}#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,\n10.mp4\n\
            #EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-01-01T00:00:00Z\"\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXTINF:4,\n11.mp4\n\
            #EXT-X-DISCONTINUITY\n#EXTINF:4,\n12.mp4\n#EXT-X-PART:DURATION=1,URI=\"13.0.mp4\"\n\
            #EXT-X-PART:DURATION=3,URI=\"13.1.mp4\"\n#EXTINF:4,\n13.mp4\n\
            #EXT-X-PART:DURATION=1,URI=\"14.0.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.mp4\"\n"
        );
        let expected = format!(
            "{}#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n\
            #EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-01-01T00:00:00Z\"\n\
            #EXT-X-DISCONTINUITY\n#EXTINF:4,\n12.mp4\n#EXT-X-PART:DURATION=1,URI=\"13.0.mp4\"\n\
            #EXT-X-PART:DURATION=3,URI=\"13.1.mp4\"\n#EXTINF:4,\n13.mp4\n\
            #EXT-X-PART:DURATION=1,URI=\"14.0.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.mp4\"\n",
            HEAD.replace("VERSION:6", "VERSION:9")
        );
        assert_eq!(delta(&text).unwrap().unwrap(), expected);
        let newer = text.replace("VERSION:6", "VERSION:10");
        assert!(delta(&newer).unwrap().unwrap().contains("#EXT-X-VERSION:10\n"));
        for whole in [
            text.replace(",CAN-SKIP-UNTIL=8.0", ""),
            text.replace("=8.0", "=24.0"),
            text.replace("=8.0", "=0.0"),
            format!("{text}#EXT-X-ENDLIST\n"),
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n".to_owned(),
        ] {
            assert_eq!(delta(&whole).unwrap(), None, "{whole}");
        }
    }

    #[test]
    fn a_segment_that_begins_where_another_ends_stays_behind_it() {
        let media = "#EXTINF:4,\n#EXT-X-BYTERANGE:9@0\na.mp4\n#EXTINF:4,\n#EXT-X-BYTERANGE:5@9\na.mp4\n";
        let last = "#EXTINF:4,\n#EXT-X-BYTERANGE:3\na.mp4\n#EXTINF:4,\nb.mp4\n";
        let left = delta(&format!("{HEAD}{media}{last}")).unwrap().unwrap();
        assert!(left.contains("SKIPPED-SEGMENTS=1\n#EXTINF:4,\n#EXT-X-BYTERANGE:5@9\n"), "{left}");
        assert!(parse(&left).is_ok(), "{left}");
        // All the way to the first: then there is nothing to leave out.
        let chain = media.replace("5@9", "5");
        assert_eq!(delta(&format!("{HEAD}{chain}{last}")).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A reader who puts the skipped segments back has the whole playlist.
        #[test]
        fn skipped_and_left_make_the_whole(count in 1usize..30, boundary in 1u32..40, long in 1u32..5) {
            let head = HEAD.replace("=8.0", &format!("={boundary}"));
            let mut text = head;
            for number in 0..count {
                text.push_str(&format!("#EXTINF:{long},\n{number}.mp4\n"));
            }
            let Playlist::Media(whole) = parse(&text).unwrap() else { panic!() };
            match delta(&text).unwrap() {
                None => prop_assert!((count - 1) as u32 * long < boundary),
                Some(delta) => {
                    let Playlist::Media(left) = parse(&delta).unwrap() else { panic!() };
                    let skipped = usize::try_from(left.low_latency.skipped).unwrap();
                    prop_assert_eq!(left.position(), whole.position());
                    prop_assert_eq!(&left.segments[..], &whole.segments[skipped..]);
                    let kept = left.segments.len() as u32 * long;
                    prop_assert!(kept >= boundary && kept - long < boundary);
                }
            }
        }
    }
}
