//! ffmpeg reads every rendition through an edge, and its packets are those of the files.

use std::process::Command;

use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::{Up, media, player};

/// The hash of each stream's packets, as ffmpeg reads them from a URL or a file.
async fn packets(input: &str) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror", "-allowed_extensions", "ALL"]);
    if input.starts_with("https:") {
        // The certificate is the edge's own; other scenarios judge it.
        command.args(["-tls_verify", "0"]);
    }
    command.args(["-i", input, "-map", "0", "-c", "copy", "-f", "streamhash", "-hash", "sha256", "-"]);
    let ran = run(command).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{input}: {}", ran.everything());
    assert!(ran.stdout.contains("SHA256="), "{input}: {}", ran.everything());
    ran.stdout
}

#[tokio::test]
#[ignore = "needs ffmpeg, which tests/run installs"]
async fn the_packets_of_every_rendition_are_those_of_the_files() {
    let fleet = Plan::sample().start().await;
    let mut compared = 0;
    for asset in [media::DEMO, media::FMP4, media::TRACK] {
        let text = String::from_utf8(media::file(asset)).unwrap();
        let folder = asset.strip_suffix("master.m3u8").unwrap();
        let renditions = player::references(&text).into_iter().map(|name| format!("{folder}{name}"));
        for path in renditions.chain([asset.to_owned()]) {
            let file = media::root().join(&path[1..]);
            let expected = packets(file.to_str().unwrap()).await;
            assert_eq!(packets(&fleet.signed(&path)).await, expected, "{path}");
            compared += 1;
        }
    }
    assert_eq!(compared, 11, "renditions and multivariant playlists");
}

#[tokio::test]
#[ignore = "needs ffmpeg, which tests/run installs"]
async fn over_tls_the_packets_are_the_same() {
    let fleet = Plan::sample().start().await;
    let (path, edge) = ("/stream/demo/360p/index.m3u8", &fleet.edges[0]);
    let url = fleet.signed(path).replacen(&edge.url, &edge.tls_url, 1);
    assert_eq!(packets(&url).await, packets(media::root().join(&path[1..]).to_str().unwrap()).await);
}

#[tokio::test]
#[ignore = "needs ffmpeg, which tests/run installs"]
async fn what_up_prints_plays_to_the_end_through_the_redirect_too() {
    let up = Up::start(&[]).await;
    let master = up.text("/master_url");
    let routed = format!("{}/route{}", up.base("/selector"), &master[master.find("/~").unwrap()..]);
    for url in [master, routed] {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-xerror", "-progress", "-", "-i", &url, "-f", "null", "-"]);
        let ran = run(command).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
        let frames = ran.stdout.lines().rev().find_map(|line| line.strip_prefix("frame="));
        assert_eq!(frames, Some("600"), "24 s of 25 frames each: {}", ran.stdout);
    }
}
