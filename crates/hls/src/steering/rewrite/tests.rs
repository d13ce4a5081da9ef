#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

/// As packagers write it: groups with and without URIs, I-frames, unknown tags, comments.
const MASTER: &str = "\
#EXTM3U
#EXT-X-VERSION:6
## made by hand
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=YES,URI=\"de/index.m3u8?v=1,2\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"in der Spur\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"en\",URI=\"../subs/en.m3u8\"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"cc\",INSTREAM-ID=\"CC1\"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,AUDIO=\"aac\",SUBTITLES=\"subs\",CLOSED-CAPTIONS=\"cc\"
#EXT-X-VENDOR:BETWEEN=1
720p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"aac\",CLOSED-CAPTIONS=NONE
/abs/360p.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=200000,URI=\"720p/i.m3u8\"
";

fn other() -> Pathway {
    let base = "https://e2.example:8443/~to.k.en/stream/demo/master.m3u8".parse().unwrap();
    Pathway { id: "edge-2.bbbbbb".into(), base }
}

fn steering(others: &[Pathway]) -> Steering<'_> {
    Steering { server_uri: "https://s.example/steer/default?path=/a", pathway: "edge-1.aaaaaa", others }
}

fn steered(text: &str, others: &[Pathway]) -> Option<String> {
    steer(text, &steering(others)).unwrap()
}

/// What steering added taken off again.
fn undone(text: &str) -> String {
    let added = text.find("#EXT-X-CONTENT-STEERING").unwrap();
    let end = added + text[added..].find('\n').unwrap() + 1;
    format!("{}{}", &text[..added], &text[end..]).replace(",PATHWAY-ID=\"edge-1.aaaaaa\"", "")
}

#[test]
fn one_line_and_one_attribute_are_added_and_no_other_byte_changes() {
    let text = steered(MASTER, &[]).unwrap();
    assert!(text.starts_with(
        "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://s.example/steer/default?path=/a\",\
         PATHWAY-ID=\"edge-1.aaaaaa\"\n#EXT-X-VERSION:6\n"
    ));
    assert_eq!(text.matches(",PATHWAY-ID=\"edge-1.aaaaaa\"\n").count(), 4, "the tag, two variants, I-frames");
    assert_eq!(undone(&text), MASTER);
    // Line breaks of the other kind, and none at the end.
    let windows = MASTER.replace('\n', "\r\n");
    let windows = windows.trim_end();
    assert_eq!(undone(&steered(windows, &[]).unwrap()), windows);
}

#[test]
fn a_pathway_in_full_has_its_own_uris_and_groups() {
    let text = steered(MASTER, &[other()]).unwrap();
    let (own, copy) = text.split_at(steered(MASTER, &[]).unwrap().len());
    assert_eq!(undone(own), MASTER);
    assert_eq!(
        copy,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac@edge-2.bbbbbb\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=YES,\
         URI=\"https://e2.example:8443/~to.k.en/stream/demo/de/index.m3u8?v=1,2\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac@edge-2.bbbbbb\",NAME=\"in der Spur\"\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs@edge-2.bbbbbb\",NAME=\"en\",\
         URI=\"https://e2.example:8443/~to.k.en/stream/subs/en.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,\
         AUDIO=\"aac@edge-2.bbbbbb\",SUBTITLES=\"subs@edge-2.bbbbbb\",CLOSED-CAPTIONS=\"cc\",\
         PATHWAY-ID=\"edge-2.bbbbbb\"\n\
         https://e2.example:8443/~to.k.en/stream/demo/720p/index.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"aac@edge-2.bbbbbb\",CLOSED-CAPTIONS=NONE,\
         PATHWAY-ID=\"edge-2.bbbbbb\"\n\
         https://e2.example:8443/abs/360p.m3u8\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=200000,\
         URI=\"https://e2.example:8443/~to.k.en/stream/demo/720p/i.m3u8\",PATHWAY-ID=\"edge-2.bbbbbb\"\n"
    );
    // What we write we read: three variants' worth along each pathway.
    let Playlist::Multivariant(read) = parse(&text).unwrap() else { panic!() };
    assert_eq!((read.variants.len(), read.i_frames.len(), read.renditions.len()), (4, 2, 7));
}

#[test]
fn where_steering_has_no_place_nothing_is_written() {
    let with = |from: &str, to: &str| {
        assert!(MASTER.contains(from));
        MASTER.replacen(from, to, 1)
    };
    for text in [
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n".to_owned(),
        with("## made", "#EXT-X-CONTENT-STEERING:SERVER-URI=\"x\"\n## made"),
        with("RESOLUTION=1280x720", "PATHWAY-ID=\"a\",RESOLUTION=1280x720"),
        with("720p/index.m3u8", "https://elsewhere.example/720p/index.m3u8"),
        with("720p/index.m3u8", "//elsewhere.example/720p/index.m3u8"),
        with("URI=\"720p/i.m3u8\"", "URI=\"https://elsewhere.example/i.m3u8\""),
        with("URI=\"de/index.m3u8", "URI=\"https://elsewhere.example/index.m3u8"),
    ] {
        assert_eq!(steered(&text, &[other()]), None, "{text}");
    }
    for (server_uri, pathway) in
        [("", "a"), ("a\"b", "a"), ("a\nb", "a"), ("a", ""), ("a", "a\""), ("a", "a b")]
    {
        assert_eq!(steer(MASTER, &Steering { server_uri, pathway, others: &[] }).unwrap(), None);
    }
    assert!(steer("no playlist", &steering(&[])).is_err());
}

#[test]
fn a_playlist_with_variables_is_steered_by_clones_alone() {
    let text = MASTER.replacen("720p/index.m3u8", "{$folder}/index.m3u8", 1);
    assert_eq!(steered(&text, &[other()]), steered(&text, &[]));
    assert!(steered(&text, &[]).is_some());
}

#[test]
fn only_a_tag_at_the_beginning_of_a_line_makes_a_multivariant_playlist() {
    assert!(is_multivariant(MASTER.as_bytes()));
    assert!(!is_multivariant(b"#EXTM3U\n# not #EXT-X-STREAM-INF:\n#EXTINF:4,\na.ts\n"));
}

/// Lines of which some make playlists.
fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8".to_owned()),
        Just("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"a.m3u8\"".to_owned()),
        Just("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"n\"".to_owned()),
        Just("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"".to_owned()),
        Just("#EXT-X-STREAM-INF:BANDWIDTH=1 \t\r\n \r\nv w.m3u8\r".to_owned()),
        Just(String::new()),
        "#[A-Z:=\",-]{0,30}",
        "\\PC{0,20}",
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| format!("#EXTM3U\n{}", lines.join("\n")))
}

proptest! {
    #[test]
    fn bytes_of_the_publisher_stay_and_what_is_written_is_a_playlist(text in text()) {
        let Ok(Some(steered)) = steer(&text, &steering(&[other()])) else { return Ok(()) };
        let alone = steer(&text, &steering(&[])).unwrap().unwrap();
        prop_assert!(steered.starts_with(&alone));
        prop_assert_eq!(undone(&alone), text.clone());
        let Playlist::Multivariant(before) = parse(&text).unwrap() else { panic!() };
        let Playlist::Multivariant(after) = parse(&steered).unwrap() else { panic!() };
        prop_assert_eq!(after.variants.len(), 2 * before.variants.len());
        prop_assert_eq!(after.i_frames.len(), 2 * before.i_frames.len());
        prop_assert!(after.variants.iter().skip(before.variants.len()).all(|v| v.uri.starts_with("https://e2.example:8443/")));
        // Every group that a variant names is there if it was before.
        let groups = |playlist: &crate::Multivariant| -> HashSet<String> {
            playlist.renditions.iter().map(|rendition| rendition.group.clone()).collect()
        };
        let (old, new) = (groups(&before), groups(&after));
        for (was, is) in before.variants.iter().zip(&after.variants[before.variants.len()..]) {
            for ((_, was), (_, is)) in was.groups.iter().zip(&is.groups) {
                prop_assert!(!old.contains(was) || new.contains(is));
            }
        }
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC*") {
        let _ = steer(&text, &steering(&[other()]));
    }
}
