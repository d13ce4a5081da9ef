#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// Blocks end with blank lines, as ffmpeg 5.1 writes them; the rest is what others add.
const MASTER: &str = "\
#EXTM3U
#EXT-X-VERSION:6
## made by hand
#EXT-X-VENDOR:KEEP=\"me\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"lo\",NAME=\"lo\",URI=\"lo.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"hi\",URI=\"hi.m3u8\"
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"cam\",NAME=\"cam\",URI=\"cam.m3u8\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"unused\",NAME=\"en\",URI=\"en.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1920x1080,AUDIO=\"hi\",VIDEO=\"cam\"
#EXT-X-VENDOR-BETWEEN:1
1080p.m3u8

#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,AUDIO=\"lo\"
720p.m3u8

#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS=\"mp4a.40.2\",AUDIO=\"lo\"
audio.m3u8

#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=600000,RESOLUTION=1920x1080,URI=\"i1080.m3u8\"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=200000,RESOLUTION=1280x720,URI=\"i720.m3u8\"
";

/// The master without the lines that begin so.
fn without(starts: &[&str]) -> String {
    let lines = MASTER.split_inclusive('\n');
    lines.filter(|line| !starts.iter().any(|start| line.starts_with(start))).collect()
}

#[test]
fn lines_above_the_limits_go_and_the_rest_stays_byte_for_byte() {
    let above_720 = without(&[
        "#EXT-X-STREAM-INF:BANDWIDTH=6000000",
        "1080p",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=600000",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\"",
        "#EXT-X-MEDIA:TYPE=VIDEO",
    ]);
    assert_eq!(filter(MASTER, Some(720), None).unwrap(), above_720);
    assert_eq!(filter(MASTER, Some(1079), None).unwrap(), above_720);
    let only_audio = without(&[
        "#EXT-X-STREAM-INF:BANDWIDTH=6000000",
        "1080p",
        "#EXT-X-STREAM-INF:BANDWIDTH=2000000",
        "720p",
        "#EXT-X-I-FRAME",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\"",
        "#EXT-X-MEDIA:TYPE=VIDEO",
    ]);
    assert_eq!(filter(MASTER, None, Some(128_000)).unwrap(), only_audio);
    assert_eq!(filter(MASTER, Some(144), Some(6_000_000)).unwrap(), only_audio);
    for (height, bitrate) in [(None, None), (Some(1080), None), (None, Some(6_000_000))] {
        assert_eq!(filter(MASTER, height, bitrate).unwrap(), MASTER);
    }
    let dos = MASTER.replace('\n', "\r\n");
    assert_eq!(filter(&dos, Some(720), None).unwrap(), above_720.replace('\n', "\r\n"));
}

#[test]
fn plans_of_a_music_service_are_bitrates() {
    let text = "#EXTM3U\n#EXT-X-VERSION:3\n\
        #EXT-X-STREAM-INF:BANDWIDTH=353251,CODECS=\"mp4a.40.2\"\n320k/index.m3u8\n\n\
        #EXT-X-STREAM-INF:BANDWIDTH=105751,CODECS=\"mp4a.40.2\"\n96k/index.m3u8\n\n";
    let filtered = filter(text, Some(144), Some(200_000)).unwrap();
    assert_eq!(
        filtered,
        "#EXTM3U\n#EXT-X-VERSION:3\n\n#EXT-X-STREAM-INF:BANDWIDTH=105751,CODECS=\"mp4a.40.2\"\n96k/index.m3u8\n\n"
    );
}

#[test]
fn nothing_left_is_an_error_not_an_empty_playlist() {
    let error = filter(MASTER, Some(144), Some(1000)).unwrap_err();
    assert_eq!(error, PlaylistError::NoVariantLeft { max_height: Some(144), max_bitrate: Some(1000) });
    assert_eq!(error.line(), None);
}

#[test]
fn a_media_playlist_has_nothing_to_drop() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n";
    assert_eq!(filter(text, Some(1), Some(1)).unwrap(), text);
    assert_eq!(filter("", Some(1), None), Err(PlaylistError::Empty));
}
