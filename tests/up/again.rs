//! Stopping, starting again, and several at once.

use crate::world::role::metric;
use crate::world::{Up, Viewer, media, player};

#[tokio::test]
async fn ctrl_c_drains_and_exits_0_and_a_second_start_asks_the_source_for_nothing() {
    let data = tempfile::tempdir().unwrap();
    let viewer = Viewer::new();
    let mut first = Up::start_on(data.path(), &[]).await;
    let played = player::play(&viewer, &first.text("/master_url")).await;
    let asked = metric(&first.base("/origin/admin"), "kromka_source_requests_total").await;
    assert!(asked >= played.len() as f64, "a cold start asked the source {asked} times");
    let status = first.interrupt().await;
    assert_eq!(status.code(), Some(0), "{}", first.process.said());

    let mut second = Up::start_on(data.path(), &[]).await;
    // The edges' choice for an asset does not change with a restart: what is warm is used.
    let again = player::play_with(&viewer, &second.text("/master_url"), |path, got| {
        assert!(got.edge_hit(), "{path}: {}", got.header("cache-status"));
    })
    .await;
    assert_eq!(again, played);
    assert_eq!(metric(&second.base("/origin/admin"), "kromka_source_requests_total").await, 0.0);
    assert_eq!(first.text("/api_token"), second.text("/api_token"), "secrets stay");
    assert_eq!(second.interrupt().await.code(), Some(0));
}

#[tokio::test]
async fn a_url_signed_before_a_restart_still_plays_after_it() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Up::start_on(data.path(), &["--edges", "1"]).await;
    let url = first.text("/master_url");
    let old = first.base("/edges/0/url");
    first.interrupt().await;
    let second = Up::start_on(data.path(), &["--edges", "1"]).await;
    let url = url.replacen(&old, &second.base("/edges/0/url"), 1);
    let got = Viewer::new().get(&url).await;
    assert_eq!((got.status, got.bytes()), (200, media::file(media::DEMO).as_slice()));
}

#[tokio::test]
async fn two_run_side_by_side_and_do_not_mix() {
    let (one, two) = tokio::join!(Up::start(&[]), Up::start(&[]));
    let viewer = Viewer::new();
    for up in [&one, &two] {
        let got = viewer.get(&up.text("/master_url")).await;
        assert_eq!(got.status, 200);
        assert_eq!(player::unsteered(got.text()).as_bytes(), media::file(media::DEMO));
    }
    // A URL of the one is worth nothing at the other.
    let url = one.text("/master_url");
    let path = url.splitn(4, '/').nth(3).unwrap();
    let got = viewer.get(&format!("{}/{path}", two.base("/edges/0/url"))).await;
    assert_eq!((got.status, got.slug().as_str()), (403, "unknown-key"));
}

#[tokio::test]
async fn a_viewer_in_the_middle_of_a_segment_gets_all_of_it_when_ctrl_c_comes() {
    let mut up = Up::start(&["--edges", "1"]).await;
    let session = up.operator().session(media::DEMO).await;
    let master = session["master_url"].as_str().unwrap().to_owned();
    let segment = master.replace("master.m3u8", "360p/001.ts");
    let viewer = Viewer::new();
    let response = viewer.open(reqwest::Method::GET, &segment, &[]).await.unwrap();
    up.process.signal(rustix::process::Signal::INT);
    let body = crate::world::viewer::read(response).await.expect("the body was cut by a drain");
    assert!(body == media::file(media::SEGMENT));
    assert_eq!(up.process.end().await.code(), Some(0));
}
