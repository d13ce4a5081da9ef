//! A real encoder writes a live stream into a folder; real players watch it through shield and edge while it is
//! being made.

use std::collections::btree_map::{BTreeMap, Entry};
use std::process::Command;

use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::{Process, Viewer, player, until};

/// Seconds of the stream.
const LONG: &str = "14";

/// ffmpeg at the pace of life, in segments of a second.
fn encoder(folder: &std::path::Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"]);
    command.args(["-re", "-f", "lavfi", "-i", "sine=frequency=500", "-t", LONG]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        "-sc_threshold",
        "0",
        "-c:a",
        "aac",
    ]);
    command.args(["-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags", "temp_file"]);
    command.arg(folder.join("stream/live/index.m3u8"));
    command
}

#[tokio::test]
#[ignore = "needs ffmpeg, which tests/run installs"]
async fn a_live_stream_of_ffmpeg_plays_while_it_is_made_and_never_goes_back() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("stream/live")).unwrap();
    let fleet = Plan::folder(root.path()).start().await;
    let mut encoding = Process::start("encoder", encoder(root.path()), root.path());
    let url = fleet.signed("/stream/live/index.m3u8");
    let viewer = Viewer::new();
    until("the stream has begun", || async {
        let got = viewer.get(&url).await;
        (got.status == 200 && got.text().matches("#EXTINF").count() >= 3).then_some(())
    })
    .await;

    // ffmpeg plays from near the end on, until the stream ends.
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror", "-progress", "-", "-i", &url, "-f", "null", "-"]);
    let playing = tokio::spawn(run(command));

    // And a viewer takes each segment the moment it is named.
    let (mut last, mut segments, mut ended) = (0, BTreeMap::new(), false);
    while !ended {
        let got = viewer.get(&url).await;
        let text = got.text().to_owned();
        let first = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap();
        let first: u64 = first.parse().unwrap();
        let names = player::references(&text);
        let end = first + names.len() as u64;
        assert!(end >= last, "went back from {last} to {end}");
        last = end;
        for name in names {
            let Entry::Vacant(place) = segments.entry(name) else { continue };
            let got = viewer.get(&fleet.signed(&format!("/stream/live/{}", place.key()))).await;
            assert_eq!(got.status, 200, "{}", place.key());
            place.insert(got.bytes().to_vec());
        }
        ended = text.contains("#EXT-X-ENDLIST");
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    assert!(encoding.end().await.success(), "{}", encoding.said());
    assert!(segments.len() >= 8, "{} segments", segments.len());
    for (name, bytes) in &segments {
        let file = std::fs::read(root.path().join("stream/live").join(name)).unwrap();
        assert!(*bytes == file, "{name} differs");
    }
    let ran = playing.await.unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
    let frames = ran.stdout.lines().rev().find_map(|line| line.strip_prefix("frame="));
    let frames: u64 = frames.unwrap().trim().parse().unwrap();
    assert!(frames >= 200, "{frames} frames of some 250: {}", ran.stdout);
    assert_eq!(fleet.edges[0].metric("kromka_live_backwards_total").await, 0.0);
}
