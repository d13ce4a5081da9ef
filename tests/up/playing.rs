//! What a newcomer gets: one command, and everything plays, byte for byte.

use std::collections::BTreeSet;

use serde_json::json;

use crate::world::{Up, Viewer, media, player};

#[tokio::test]
async fn the_whole_sample_plays_through_the_signed_url_and_equals_the_files() {
    let up = Up::start(&[]).await;
    let viewer = Viewer::new();

    let played = player::play(&viewer, &up.text("/master_url")).await;
    assert_eq!(
        played.into_iter().map(|(path, body)| (path, body.to_vec())).collect::<Vec<_>>(),
        media::files(media::DEMO).into_iter().collect::<Vec<_>>()
    );

    for asset in [media::FMP4, media::TRACK] {
        let session = up.operator().session(asset).await;
        let played = player::play(&viewer, session["master_url"].as_str().unwrap()).await;
        let files = media::files(asset);
        assert_eq!(played.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
        for (path, body) in played {
            assert!(body == files[&path], "{path} differs from its file");
        }
    }
}

#[tokio::test]
async fn the_ready_file_has_the_shape_that_others_build_on() {
    let up = Up::start(&["--edges", "3"]).await;
    let keys: BTreeSet<&str> = up.ready.as_object().unwrap().keys().map(String::as_str).collect();
    for key in
        ["selector", "console", "player", "master_url", "origin", "edges", "dns", "api_token", "data_dir"]
    {
        assert!(keys.contains(key), "no {key} in {:#}", up.ready);
    }
    assert!(up.text("/player").starts_with(&up.text("/selector")));
    let edges = up.ready["edges"].as_array().unwrap();
    let names: Vec<&str> = edges.iter().map(|edge| edge["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["edge-1", "edge-2", "edge-3"]);

    let viewer = Viewer::new();
    let admins = edges.iter().chain([&up.ready["origin"]]).map(|node| node["admin"].as_str().unwrap());
    for admin in admins {
        for path in ["healthz", "readyz"] {
            assert_eq!(viewer.get(&format!("{admin}{path}")).await.status, 200, "{admin}{path}");
        }
        let metrics = viewer.get(&format!("{admin}metrics")).await;
        assert!(metrics.text().contains("kromka_build_info{"), "{admin}");
    }

    let mut ids: Vec<_> = up.operator().nodes().await;
    ids.sort_by_key(|node| node["id"].to_string());
    let known: Vec<_> = ids.iter().map(|node| json!([node["id"], node["role"], node["state"]])).collect();
    let expected = json!([
        ["edge-1", "edge", "up"],
        ["edge-2", "edge", "up"],
        ["edge-3", "edge", "up"],
        ["shield-1", "origin", "up"]
    ]);
    assert_eq!(json!(known), expected);
}

#[tokio::test]
async fn it_prints_a_player_page_and_a_signed_url_and_the_page_is_there() {
    let up = Up::start(&[]).await;
    let printed = up.process.printed();
    assert!(printed.contains(&up.text("/master_url")), "{printed}");
    assert!(printed.contains(&up.text("/player")), "{printed}");
    let page = Viewer::new().get(&up.text("/player")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("<video"), "{}", page.text());
    assert!(!page.text().contains(&up.text("/api_token")), "the page holds the API token");
}

#[tokio::test]
async fn a_folder_of_ones_own_plays_too() {
    let folder = tempfile::tempdir().unwrap();
    let album = folder.path().join("album/one");
    std::fs::create_dir_all(&album).unwrap();
    for name in ["index.m3u8", "000.ts", "001.ts", "002.ts", "003.ts", "004.ts"] {
        std::fs::write(album.join(name), media::file(&format!("/stream/track/320k/{name}"))).unwrap();
    }
    let up = Up::start(&["--media", folder.path().to_str().unwrap(), "--edges", "1"]).await;
    let played = player::play(&Viewer::new(), &up.text("/master_url")).await;
    assert_eq!(played.len(), 6);
    for (path, body) in played {
        assert!(body == std::fs::read(folder.path().join(&path[1..])).unwrap(), "{path} differs");
    }
}

#[tokio::test]
async fn over_tls_a_viewer_who_trusts_the_printed_certificate_plays_the_same_bytes_over_h2() {
    let up = Up::start(&["--edges", "1"]).await;
    let viewer = Viewer::trusting(&up.certificate(), |builder| builder);
    let plain = up.base("/edges/0/url");
    let master = up.text("/master_url").replacen(&plain, &up.base("/edges/0/tls_url"), 1);
    assert!(master.starts_with("https://"), "{master}");
    let played = player::play_with(&viewer, &master, |path, got| {
        assert_eq!(got.version, http::Version::HTTP_2, "{path}");
    })
    .await;
    for (path, file) in media::files(media::DEMO) {
        assert!(played[&path] == file, "{path} differs from its file");
    }
}
