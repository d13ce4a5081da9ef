#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::{Playlist, parse};

/// Segments 100 to 103 of four seconds, the last two and the one being made in parts of one second.
pub(crate) const LIVE: &str = "\
#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-VERSION:9
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI=\"init.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T00:00:01.500+03:00
#EXTINF:4.0,
s100.mp4
#EXTINF:4.0,
s101.mp4
#EXT-X-PART:DURATION=1.0,URI=\"s102.mp4\",BYTERANGE=\"100@0\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"s102.mp4\",BYTERANGE=\"50\"
#EXT-X-PART:DURATION=1.0,URI=\"s102.mp4\",BYTERANGE=\"70\"
#EXT-X-PART:DURATION=1.0,URI=\"s102.mp4\",BYTERANGE=\"80@220\"
#EXTINF:4.0,
s102.mp4
#EXT-X-PART:DURATION=1.0,URI=\"s103.0.mp4\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"s103.1.mp4\",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s103.2.mp4\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s103.mp4\",BYTERANGE-START=20,BYTERANGE-LENGTH=9
#EXT-X-RENDITION-REPORT:URI=\"../audio/index.m3u8\",LAST-MSN=103,LAST-PART=1
";

fn media(text: &str) -> Media {
    match parse(text).unwrap() {
        Playlist::Media(media) => media,
        Playlist::Multivariant(_) => panic!("read as a multivariant playlist"),
    }
}

fn read(query: &str) -> Result<Directives, DirectiveError> {
    Directives::read(Some(query))
}

fn wanted(segment: u64, part: Option<u64>) -> Wanted {
    Wanted { segment, part }
}

#[test]
fn parts_hints_and_control_are_read() {
    let media = media(LIVE);
    let low_latency = &media.low_latency;
    assert!(low_latency.can_block);
    assert_eq!((low_latency.can_skip_until, low_latency.part_target), (Some(24.0), Some(1.0)));
    assert_eq!((media.discontinuity_sequence, low_latency.skipped), (3, 0));
    assert_eq!(media.newest_date, Some(1_772_312_401_500));
    let ranges: Vec<_> =
        low_latency.parts.iter().map(|part| (part.segment, part.byte_range.clone(), part.gap)).collect();
    assert_eq!(
        ranges,
        [
            (102, Some(0..100), false),
            (102, Some(100..150), false),
            (102, Some(150..220), false),
            (102, Some(220..300), false),
            (103, None, false),
            (103, None, true),
        ]
    );
    let hints: Vec<_> =
        low_latency.hints.iter().map(|hint| (hint.uri.as_str(), hint.start, hint.length)).collect();
    assert_eq!(hints, [("s103.2.mp4", 0, None), ("s103.mp4", 20, Some(9))]);
    assert_eq!(media.position(), Position { segment: 103, parts: 2 });
    assert_eq!(media.position().next(true).query(), "_HLS_msn=103&_HLS_part=2");
    assert_eq!(media.position().next(false).query(), "_HLS_msn=103");
}

#[test]
fn a_stream_may_begin_with_parts_alone() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1\n\
        #EXT-X-PART:DURATION=1,URI=\"a\"\n";
    assert_eq!(media(text).position(), Position { segment: 0, parts: 1 });
}

#[test]
fn dates_that_cannot_be_read_are_no_dates() {
    assert_eq!(media(&LIVE.replace("2026-03-01T00", "yesterday")).newest_date, None);
    let epoch = LIVE.replace("2026-03-01T00:00:01.500+03:00", "1970-01-01T00:00:00Z");
    assert_eq!(media(&epoch).newest_date, Some(0));
    let west = LIVE.replace("2026-03-01T00:00:01.500+03:00", "2000-02-29T23:59:59-01:30");
    assert_eq!(media(&west).newest_date, Some(951_874_199_000));
}

#[test]
fn directives_are_read_whatever_their_order() {
    let both = Directives { wanted: Some(wanted(7, Some(2))), skip: true };
    assert_eq!(read("_HLS_part=2&v=1&_HLS_skip=YES&_HLS_msn=7"), Ok(both));
    assert_eq!(read("_HLS_skip=v2").map(|read| read.skip), Ok(true));
    assert_eq!(read("_HLS_skip=NO&_HLS_new=1"), Ok(Directives::default()));
    assert_eq!(Directives::read(None), Ok(Directives::default()));
    assert_eq!(read("_HLS_part=0"), Err(DirectiveError::PartAlone));
    for query in [
        "_HLS_msn=",
        "_HLS_msn",
        "_HLS_msn=-1",
        "_HLS_msn=+1",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=99999999999999999999",
    ] {
        assert_eq!(read(query), Err(DirectiveError::NotANumber("_HLS_msn")), "{query}");
    }
}

#[test]
fn a_reload_is_answered_when_what_it_waits_for_is_there() {
    let media = media(LIVE);
    for (segment, part, there) in [
        (1, Some(9), true),
        (101, Some(9), true),
        (102, None, true),
        (102, Some(3), true),
        // Beyond the last part of a whole segment: the first part of the next one, which is there.
        (102, Some(4), true),
        (103, None, false),
        (103, Some(0), true),
        (103, Some(1), true),
        (103, Some(2), false),
        (104, Some(0), false),
    ] {
        assert_eq!(media.reached(wanted(segment, part)), there, "{segment} {part:?}");
    }
    let ended = self::media(&format!("{LIVE}#EXT-X-ENDLIST\n"));
    assert!(ended.reached(wanted(900, None)) && !ended.is_too_far(wanted(900, None)));
}

#[test]
fn what_lies_too_far_ahead_is_known() {
    let media = media(LIVE);
    for (segment, part, far) in [
        (103, None, false),
        (104, None, false),
        (105, None, true),
        (103, Some(4), false),
        (103, Some(5), true),
        (104, Some(90), false),
        (3, Some(90), false),
    ] {
        assert_eq!(media.is_too_far(wanted(segment, part)), far, "{segment} {part:?}");
    }
    let fine = self::media(&LIVE.replace("PART-TARGET=1.0", "PART-TARGET=0.33"));
    assert!(!fine.is_too_far(wanted(103, Some(11))) && fine.is_too_far(wanted(103, Some(12))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a playlist has come to, it answers what lies before and waits for what lies behind.
    #[test]
    fn reaching_follows_the_position(first in 0u64..1000, whole in 0u64..6, parts in 0u64..5, segment in 0u64..1010, part in proptest::option::of(0u64..6)) {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in 0..whole {
            text.push_str(&format!("#EXTINF:4,\n{number}.ts\n"));
        }
        for number in 0..parts {
            text.push_str(&format!("#EXT-X-PART:DURATION=1,URI=\"p{number}.ts\"\n"));
        }
        prop_assume!(whole + parts > 0);
        let media = media(&text);
        let at = media.position();
        prop_assert_eq!(at, Position { segment: first + whole, parts });
        let asked = wanted(segment, part);
        prop_assert!(!(media.reached(asked) && media.is_too_far(asked)));
        if segment + 1 < at.segment {
            prop_assert!(media.reached(asked));
        }
        if segment > at.segment {
            prop_assert!(!media.reached(asked));
        }
        prop_assert!(!media.reached(at.next(true)) && !media.reached(at.next(false)));
        prop_assert!(!media.is_too_far(at.next(true)) && !media.is_too_far(at.next(false)));
    }
}
