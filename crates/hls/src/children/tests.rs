#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::parse;

const MASTER: &str = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"snd\",NAME=\"one\",URI=\"snd/index.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"snd\",NAME=\"muxed\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"sub\",NAME=\"en\",URI=\"sub/en.m3u8\"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"cc\",INSTREAM-ID=\"CC1\",URI=\"cc.m3u8\"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"720p/iframes.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,AUDIO=\"snd\"
720p/index.m3u8

#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360,AUDIO=\"snd\"
360p/index.m3u8

#EXT-X-STREAM-INF:BANDWIDTH=2100000,RESOLUTION=1280x720,AUDIO=\"other\"
720p/index.m3u8
";

fn children(base: &str, text: &str) -> Vec<String> {
    parse(text).unwrap().children(base)
}

/// The only child of a media playlist at `base` with this segment, if it has one.
fn child(base: &str, uri: &str) -> Option<String> {
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{uri}\n");
    children(base, &text).pop()
}

#[test]
fn of_a_multivariant_playlist() {
    assert_eq!(
        children("/stream/demo/master.m3u8", MASTER),
        [
            "/stream/demo/720p/index.m3u8",
            "/stream/demo/360p/index.m3u8",
            "/stream/demo/snd/index.m3u8",
            "/stream/demo/sub/en.m3u8",
            "/stream/demo/720p/iframes.m3u8",
        ]
    );
}

#[test]
fn of_a_media_playlist() {
    let text = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/1\"
#EXT-X-MAP:URI=\"init.mp4\"
#EXTINF:2.000000,
#EXT-X-BYTERANGE:10@0
all.m4s
#EXTINF:2.000000,
#EXT-X-BYTERANGE:10@10
all.m4s
#EXT-X-GAP
#EXTINF:2.000000,
lost.m4s
#EXTINF:2.000000,
last.m4s
#EXT-X-ENDLIST
";
    assert_eq!(children("/a/v/index.m3u8", text), ["/a/v/init.mp4", "/a/v/all.m4s", "/a/v/last.m4s"]);
}

#[test]
fn uris_are_resolved_by_the_rules_for_urls() {
    let base = "/stream/my show/v/index.m3u8";
    for (uri, expected) in [
        ("000.ts", Some("/stream/my show/v/000.ts")),
        ("./000.ts", Some("/stream/my show/v/000.ts")),
        ("../000.ts", Some("/stream/my show/000.ts")),
        ("a/../b.ts", Some("/stream/my show/v/b.ts")),
        ("../../../../../etc/passwd", Some("/etc/passwd")),
        ("%2e%2e/%2E%2E/000.ts", Some("/stream/000.ts")),
        ("..\\..\\000.ts", Some("/stream/000.ts")),
        ("/other/000.ts", Some("/other/000.ts")),
        ("/~t0k.en/other/000.ts?kt=t0k.en", Some("/other/000.ts")),
        ("a%20b.ts", Some("/stream/my show/v/a b.ts")),
        ("a b.ts", Some("/stream/my show/v/a b.ts")),
        ("кот.ts", Some("/stream/my show/v/кот.ts")),
        ("100%25.ts", Some("/stream/my show/v/100%.ts")),
        ("000.ts#t=3", Some("/stream/my show/v/000.ts")),
        ("000.ts?v=2#t=3", Some("/stream/my show/v/000.ts")),
        ("http://cdn.example/000.ts", None),
        ("https://playlist.invalid/000.ts", None),
        ("//cdn.example/000.ts", None),
        ("data:text/plain,x", None),
        ("file:///etc/passwd", None),
        ("http://[", None),
        ("a//b.ts", None),
        ("a%2fb.ts", None),
        ("%252e%252e/b.ts", None),
        ("a%00.ts", None),
        ("{$host}/b.ts", None),
    ] {
        assert_eq!(child(base, uri).as_deref(), expected, "{uri}");
    }
}

#[test]
fn queries_make_children_differ_where_they_matter() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts?v=1\n#EXTINF:2,\na.ts?v=2&kt=t\n";
    let playlist = parse(text).unwrap();
    let of = |query: &str| Child { path: "/a.ts".into(), query: Some(query.into()) };
    assert_eq!(playlist.targets("/index.m3u8"), [of("v=1"), of("v=2")]);
    assert_eq!(playlist.children("/index.m3u8"), ["/a.ts"]);
}

#[test]
fn the_base_decides() {
    assert_eq!(child("/~anna/index.m3u8", "a.ts").as_deref(), Some("/~anna/a.ts"));
    assert_eq!(child("/what?/index.m3u8", "a.ts").as_deref(), Some("/what?/a.ts"));
    assert_eq!(child("/", "a.ts").as_deref(), Some("/a.ts"));
    assert_eq!(child("not a path", "a.ts"), None);
    assert_eq!(child("", "/a.ts"), None);
}
