//! A real encoder writes a live stream into a folder; real players watch it through shield and edge while it is
//! being made: ffmpeg and hls.js, in segments and in parts.

use std::collections::btree_map::{BTreeMap, Entry};
use std::path::Path;
use std::process::Command;

use super::packager::{self, Packager};
use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::{Process, Viewer, browser, player, until};

/// ffmpeg at the pace of life: a stream so many seconds long, in segments of so many.
fn encoder(folder: &Path, seconds: u64, segment: u64) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"]);
    command.args(["-re", "-f", "lavfi", "-i", "sine=frequency=500", "-t", &seconds.to_string()]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        &(25 * segment).to_string(),
        "-sc_threshold",
        "0",
        "-c:a",
        "aac",
    ]);
    command.args([
        "-f",
        "hls",
        "-hls_time",
        &segment.to_string(),
        "-hls_list_size",
        "5",
        "-hls_flags",
        "temp_file",
    ]);
    command.arg(folder.join("stream/live/index.m3u8"));
    command
}

#[tokio::test]
#[ignore = "needs ffmpeg, which tests/run installs"]
async fn a_live_stream_of_ffmpeg_plays_while_it_is_made_and_never_goes_back() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("stream/live")).unwrap();
    let fleet = Plan::folder(root.path()).start().await;
    let mut encoding = Process::start("encoder", encoder(root.path(), 14, 1), root.path());
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
        let (_, end) = player::numbers(&text);
        assert!(end >= last, "went back from {last} to {end}");
        last = end;
        for name in player::references(&text) {
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

#[tokio::test]
#[ignore = "needs ffmpeg, Chromium and tests/browser/node_modules, which tests/run installs"]
async fn hls_js_plays_a_live_stream_as_it_is_made_and_is_shown_no_older_playlist() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("stream/live")).unwrap();
    let fleet = Plan::folder(root.path()).start().await;
    let _encoding = Process::start("encoder", encoder(root.path(), 90, 2), root.path());
    let url = fleet.signed("/stream/live/index.m3u8");
    until("the stream has begun", || async {
        let got = Viewer::new().get(&url).await;
        (got.status == 200 && got.text().matches("#EXTINF").count() >= 3).then_some(())
    })
    .await;
    let published = || {
        let playlist = std::fs::read_to_string(root.path().join("stream/live/index.m3u8")).unwrap();
        player::numbers(&playlist).1
    };
    let before = (fleet.source_requests().await, published());
    // A crowd beside it, which asks all the time, costs the source nothing.
    let crowd = tokio::spawn({
        let url = url.clone();
        async move {
            let viewers: Vec<Viewer> = (0..10).map(|_| Viewer::new()).collect();
            loop {
                for viewer in &viewers {
                    viewer.get(&url).await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    });
    let facts = browser("live.mjs", &[&url, "20"]).await;
    crowd.abort();
    let after = (fleet.source_requests().await, published());
    let none = serde_json::json!([]);
    assert_eq!((&facts["missing"], &facts["back"], &facts["errors"]), (&none, &none, &none), "{facts:#}");
    let segments = facts["loaded"].as_array().unwrap().len() as f64;
    assert!(segments >= 9.0, "{facts:#}");
    assert_eq!(fleet.edges[0].metric("kromka_live_backwards_total").await, 0.0);
    // Each version lives for a target duration, in which one looks twice; and each segment comes once, whoever else is
    // watching.
    let (asked, versions) = (after.0 - before.0, (after.1 - before.1) as f64);
    assert!(asked <= 2.0 * (versions + 1.0) + segments + 1.0, "{asked} for {versions} versions: {facts:#}");
}

#[tokio::test]
#[ignore = "needs ffmpeg, Chromium and tests/browser/node_modules, which tests/run installs"]
async fn hls_js_plays_a_low_latency_stream_part_by_part_and_each_comes_over_the_way_once() {
    let root = tempfile::tempdir().unwrap();
    let raw = root.path().join("raw");
    let packager = Packager::new(raw.clone(), root.path().join("stream/live"));
    let fleet = Plan::folder(root.path()).start().await;
    let _encoding = Process::start("encoder", packager::encoder(&raw, 90), root.path());
    let url = fleet.signed("/stream/live/index.m3u8");
    let play = async {
        until("the stream has begun", || async {
            let got = Viewer::new().get(&url).await;
            (got.status == 200 && got.text().matches("#EXTINF").count() >= 3).then_some(())
        })
        .await;
        let versions = || packager.versions.load(std::sync::atomic::Ordering::Relaxed);
        let before = (fleet.shield.metric("kromka_requests_total").await, versions());
        let facts = browser("live.mjs", &[&url, "20"]).await;
        let after = (fleet.shield.metric("kromka_requests_total").await, versions());
        (facts, after.0 - before.0, after.1 - before.1)
    };
    let (facts, requests, versions) = tokio::select! {
        played = play => played,
        () = packager.run() => unreachable!("it publishes until it is dropped"),
    };
    let none = serde_json::json!([]);
    assert_eq!((&facts["missing"], &facts["back"], &facts["errors"]), (&none, &none, &none), "{facts:#}");
    let parts = facts["parts"].as_f64().unwrap();
    assert!(parts >= 30.0 && facts["blocked"].as_u64().unwrap() >= 30, "{facts:#}");
    // The shield was asked once for each version of the playlist and once for each part, and a few times to begin with.
    let most = versions as f64 + parts + 5.0;
    assert!(requests <= most, "{requests} for {versions} versions: {facts:#}");
}
