#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

/// As ffmpeg 5.1 writes it: VERSION 3 for transport streams, a blank line after every variant.
const TS_MASTER: &str = "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-STREAM-INF:BANDWIDTH=2340800,AVERAGE-BANDWIDTH=2100000,RESOLUTION=1280x720,CODECS=\"avc1.64001f,mp4a.40.2\"
720p/index.m3u8

#EXT-X-STREAM-INF:BANDWIDTH=140800,CODECS=\"mp4a.40.2\"
audio/index.m3u8

";

const FMP4_MASTER: &str = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"group_snd\",NAME=\"audio_1\",DEFAULT=YES,LANGUAGE=\"ru\",URI=\"snd/index.m3u8\"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"CC\",INSTREAM-ID=\"CC1\"
#EXT-X-MEDIA:TYPE=SMELL,GROUP-ID=\"x\",NAME=\"y\",URI=\"smell.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360,AUDIO=\"group_snd\",CLOSED-CAPTIONS=\"cc\"
360p/index.m3u8

#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,RESOLUTION=640x360,URI=\"360p/iframes.m3u8\"
";

const TS_MEDIA: &str = "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:17
#EXT-X-PLAYLIST-TYPE:VOD
#EXTINF:2.000000,
000.ts
#EXTINF:1.960000,
001.ts
#EXT-X-ENDLIST
";

const FMP4_MEDIA: &str = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"800@0\"
#EXTINF:4.000000,
#EXT-X-BYTERANGE:1000@800
all.m4s
#EXT-X-BYTERANGE:500
#EXTINF:4.000000,
all.m4s
#EXT-X-GAP
#EXTINF:4.000000,
lost.m4s
";

fn multivariant(text: &str) -> Multivariant {
    match parse(text).unwrap() {
        Playlist::Multivariant(playlist) => playlist,
        Playlist::Media(_) => panic!("read as a media playlist"),
    }
}

fn media(text: &str) -> Media {
    match parse(text).unwrap() {
        Playlist::Media(playlist) => playlist,
        Playlist::Multivariant(_) => panic!("read as a multivariant playlist"),
    }
}

#[test]
fn multivariant_of_transport_streams() {
    let playlist = multivariant(TS_MASTER);
    assert_eq!(
        playlist.variants,
        [
            Variant {
                uri: "720p/index.m3u8".into(),
                bandwidth: 2_340_800,
                resolution: Some((1280, 720)),
                codecs: Some("avc1.64001f,mp4a.40.2".into()),
                groups: vec![],
            },
            Variant {
                uri: "audio/index.m3u8".into(),
                bandwidth: 140_800,
                resolution: None,
                codecs: Some("mp4a.40.2".into()),
                groups: vec![],
            },
        ]
    );
    assert!(playlist.renditions.is_empty() && playlist.i_frames.is_empty());
}

#[test]
fn multivariant_with_renditions() {
    let playlist = multivariant(FMP4_MASTER);
    assert_eq!(
        playlist.renditions,
        [
            Rendition {
                uri: Some("snd/index.m3u8".into()),
                kind: RenditionKind::Audio,
                group: "group_snd".into(),
                name: "audio_1".into(),
                language: Some("ru".into()),
            },
            Rendition {
                uri: None,
                kind: RenditionKind::ClosedCaptions,
                group: "cc".into(),
                name: "CC".into(),
                language: None,
            },
        ]
    );
    let groups = [(RenditionKind::Audio, "group_snd".into()), (RenditionKind::ClosedCaptions, "cc".into())];
    assert_eq!(playlist.variants[0].groups, groups);
    assert_eq!(playlist.i_frames[0].uri, "360p/iframes.m3u8");
    assert_eq!(playlist.i_frames[0].resolution, Some((640, 360)));
}

#[test]
fn media_of_transport_streams() {
    let segment =
        |uri: &str, duration| SegmentRef { uri: uri.into(), duration, byte_range: None, gap: false };
    assert_eq!(
        media(TS_MEDIA),
        Media {
            target_duration: 2,
            media_sequence: 17,
            ended: true,
            maps: vec![],
            segments: vec![segment("000.ts", 2.0), segment("001.ts", 1.96)],
            ..Media::default()
        }
    );
}

#[test]
fn media_of_one_fragmented_file() {
    let playlist = media(FMP4_MEDIA);
    assert!(!playlist.ended);
    assert_eq!(playlist.maps, ["init.mp4"]);
    let ranges: Vec<_> = playlist.segments.iter().map(|segment| segment.byte_range.clone()).collect();
    assert_eq!(ranges, [Some(800..1800), Some(1800..2300), None]);
    let gaps: Vec<_> = playlist.segments.iter().map(|segment| segment.gap).collect();
    assert_eq!(gaps, [false, false, true]);
}

#[test]
fn line_ends_blanks_and_strangers_change_nothing() {
    let expected = media(TS_MEDIA);
    assert_eq!(media(&TS_MEDIA.replace('\n', "\r\n")), expected);
    assert_eq!(media(&TS_MEDIA.replace('\n', " \t\n\n")), expected);
    assert_eq!(media(TS_MEDIA.trim_end()), expected);
    let strange = "#EXT\n# a comment\n#EXT-X-VENDOR:KEY=\"\n#EXT-X-CUE-OUT\n#EXTINF";
    assert_eq!(media(&TS_MEDIA.replace("#EXTINF", strange)), expected);
    assert_eq!(media(&TS_MEDIA.replace("TYPE:VOD", "TYPE:LIVE")), expected);
    let vod = TS_MEDIA.replace("#EXT-X-ENDLIST\n", "");
    assert_eq!(media(&vod), expected);
    assert!(!media(&vod.replace("VOD", "EVENT")).ended);
}

#[test]
fn what_is_not_a_playlist_says_why_and_where() {
    use PlaylistError::*;
    let bad = |line, tag: &str, why: &str| BadTag { line, tag: tag.into(), why: why.into() };
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    let cases = [
        (String::new(), Empty),
        (" \r\n\n".into(), Empty),
        ("<html>".into(), MissingHeader),
        (format!("\n{TS_MEDIA}"), MissingHeader),
        ("#EXTM3U8\n".into(), MissingHeader),
        (format!("\u{feff}{TS_MEDIA}"), ByteOrderMark),
        (
            TS_MEDIA.replace("VERSION:3", &"3".repeat(MAX_TEXT)),
            TooLong { bytes: TS_MEDIA.len() + MAX_TEXT - 9 },
        ),
        ("#EXTM3U\n".into(), NothingToPlay),
        (format!("{head}#EXT-X-ENDLIST\n"), NothingToPlay),
        ("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\",URI=\"c\"\n".into(), NothingToPlay),
        ("#EXTM3U\n#EXTINF:2,\na.ts\n".into(), MissingTargetDuration),
        (format!("{head}a.ts\n"), StrayUri { line: 3 }),
        (format!("{head}#EXTINF:2,\na.ts\nb.ts\n"), StrayUri { line: 5 }),
        (format!("{head}#EXTINF:2,\n\n"), MissingUri { line: 3, tag: "#EXTINF" }),
        (format!("{head}#EXTINF:2,\n#EXTINF:2,\na.ts\n"), MissingUri { line: 3, tag: "#EXTINF" }),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n".into(), MissingUri { line: 2, tag: "#EXT-X-STREAM-INF" }),
        (TS_MASTER.replace("audio/index.m3u8\n", "#EXT-X-ENDLIST\n"), Mixed { line: 7 }),
        (TS_MEDIA.replace("#EXT-X-ENDLIST", "#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8"), Mixed { line: 10 }),
        (
            TS_MASTER.replace("BANDWIDTH=140800,", ""),
            bad(6, "#EXT-X-STREAM-INF", "required attribute BANDWIDTH is missing"),
        ),
        (
            TS_MEDIA.replace("1.960000", "-1"),
            bad(8, "#EXTINF", "the duration must be a number of seconds, 0 or more"),
        ),
        (
            TS_MEDIA.replace("1.960000", "nan"),
            bad(8, "#EXTINF", "the duration must be a number of seconds, 0 or more"),
        ),
        (
            FMP4_MEDIA.replace("1000@800", "1000"),
            bad(7, "#EXT-X-BYTERANGE", "no offset, and the segment before is not a part of the same file"),
        ),
        (
            FMP4_MEDIA.replace("1000@800", "1@18446744073709551615"),
            bad(7, "#EXT-X-BYTERANGE", "the range ends past any file"),
        ),
    ];
    for (text, expected) in cases {
        let shown = &text[..text.len().min(200)];
        assert_eq!(parse(&text), Err(expected), "{shown:?}");
    }
    for (text, line, tag) in [
        (TS_MEDIA.replace("DURATION:2", "DURATION:two"), 3, "#EXT-X-TARGETDURATION"),
        (TS_MEDIA.replace("2.000000", "soon"), 6, "#EXTINF"),
        (FMP4_MEDIA.replace("URI=", "URL="), 5, "#EXT-X-MAP"),
        (FMP4_MASTER.replace("NAME=\"audio_1\",", ""), 3, "#EXT-X-MEDIA"),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.line(), Some(line), "{error}");
        assert!(error.to_string().starts_with(&format!("line {line}: {tag}: ")), "{error}");
    }
}

#[test]
fn addresses_are_counted() {
    let many = |count| {
        let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:2\n");
        text.extend((0..count).map(|number| format!("#EXTINF:2,\n{number}.ts\n")));
        parse(&text)
    };
    assert!(many(MAX_URIS).is_ok());
    assert_eq!(many(MAX_URIS + 1), Err(PlaylistError::TooManyUris { line: 2 + 2 * (MAX_URIS + 1) }));
}

/// Texts made of the lines that playlists are made of, whole and broken.
fn lines_of_playlists() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1x2,AUDIO=\"a\""),
        Just("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"../../../u\""),
        Just("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"%2e%2e/i\""),
        Just("#EXT-X-TARGETDURATION:2"),
        Just("#EXTINF:2,"),
        Just("#EXT-X-BYTERANGE:5"),
        Just("#EXT-X-BYTERANGE:5@18446744073709551610"),
        Just("#EXT-X-MAP:URI=\"..\\\\..\\\\m\""),
        Just("#EXT-X-MAP:URI=\""),
        Just("#EXT"),
        Just("#EXT:"),
        Just("#"),
        Just("..//..;/%2e%2e/a.ts?b#c"),
        Just("a.ts"),
        Just("//h/a"),
        Just("\r"),
        Just(""),
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| format!("#EXTM3U\n{}", lines.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn no_text_panics(text in "(#EXTM3U\n)?(#EXT[-A-Z0-9:=,\"x@.\n\r]*|\\PC*|\n){0,8}") {
        let _ = parse(&text);
    }

    #[test]
    fn children_are_clean_and_filtering_only_drops(text in lines_of_playlists(), height in 0u32..3) {
        let Ok(playlist) = parse(&text) else { return Ok(()) };
        for child in playlist.children("/a/b.m3u8") {
            prop_assert!(child.starts_with('/'), "{child}");
            prop_assert!(!child.split('/').any(|segment| segment == ".." || segment == "."), "{child}");
            prop_assert!(!child.contains('\\') && !child.contains('#') && !child.contains("//"), "{child}");
        }
        if let Ok(filtered) = crate::filter(&text, Some(height), None) {
            prop_assert!(parse(&filtered).is_ok(), "{filtered}");
            let mut kept = text.split_inclusive('\n');
            for line in filtered.split_inclusive('\n') {
                prop_assert!(kept.any(|original| original == line), "{line}");
            }
        }
    }
}
