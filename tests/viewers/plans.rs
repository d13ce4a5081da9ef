//! What a session's plan leaves of a playlist.

use crate::world::fleet::Plan;
use crate::world::{Viewer, media, player};

#[tokio::test]
async fn a_plan_with_a_height_and_a_bitrate_sees_only_the_renditions_below_them() {
    let fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    let small = fleet.tokens.sign(|claims| claims.maxh = Some(200));
    let got = viewer.get(&format!("{}/~{small}{}", fleet.edges[0].url, media::DEMO)).await;
    assert_eq!(player::references(got.text()), ["180p/index.m3u8", "audio/index.m3u8"]);
    let slow = fleet.tokens.sign(|claims| claims.maxbr = Some(100_000));
    let got = viewer.get(&format!("{}/~{slow}{}", fleet.edges[0].url, media::DEMO)).await;
    assert_eq!(player::references(got.text()), ["audio/index.m3u8"]);
    // Another viewer of the same object sees it whole.
    let got = viewer.get(&fleet.signed(media::DEMO)).await;
    assert_eq!(got.bytes(), media::file(media::DEMO));
}

#[tokio::test]
async fn a_plan_that_leaves_nothing_says_so() {
    let fleet = Plan::sample().start().await;
    let none = fleet.tokens.sign(|claims| claims.maxbr = Some(1));
    let got = Viewer::new().get(&format!("{}/~{none}{}", fleet.edges[0].url, media::DEMO)).await;
    assert_eq!((got.status, got.slug().as_str()), (403, "nothing-left"));
}

#[tokio::test]
async fn an_empty_or_broken_playlist_is_no_panic_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("stream")).unwrap();
    for (name, text) in [
        ("empty.m3u8", ""),
        ("header.m3u8", "#EXTM3U\n"),
        ("noise.m3u8", "\u{0}\u{1}not a playlist"),
        ("half.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"),
    ] {
        std::fs::write(folder.path().join("stream").join(name), text).unwrap();
    }
    let fleet = Plan::folder(folder.path()).start().await;
    let viewer = Viewer::new();
    let limited = fleet.tokens.sign(|claims| claims.maxh = Some(200));
    for name in ["empty.m3u8", "header.m3u8", "noise.m3u8", "half.m3u8"] {
        let file = std::fs::read(folder.path().join("stream").join(name)).unwrap();
        let got = viewer.get(&fleet.signed(&format!("/stream/{name}"))).await;
        assert_eq!((got.status, got.bytes()), (200, file.as_slice()), "{name}: bytes are bytes");
        // A plan cannot be applied to what is none; it must not become more than it was.
        let got = viewer.get(&format!("{}/~{limited}/stream/{name}", fleet.edges[0].url)).await;
        match got.status {
            200 => assert_eq!(got.bytes(), file, "{name}"),
            status => assert!((400..600).contains(&status) && !got.slug().is_empty(), "{name}: {status}"),
        }
    }
}
