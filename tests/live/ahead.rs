//! What is fetched before a viewer asks: the next segments, and nothing for nobody.

use std::time::Duration;

use crate::world::fleet::Plan;
use crate::world::{Fleet, Source, Viewer, media, until};

const FOLDER: &str = "/stream/film";

fn segment(number: usize) -> String {
    format!("{FOLDER}/{number}.ts")
}

async fn film(segments: usize) -> Source {
    let source = Source::start().await;
    publish(&source, FOLDER, segments);
    source
}

fn publish(source: &Source, folder: &str, segments: usize) {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    for number in 0..segments {
        text.push_str(&format!("#EXTINF:2,\n{number}.ts\n"));
        source.put(&format!("{folder}/{number}.ts"), media::noise(number as _, 50_000));
    }
    source.put(&format!("{folder}/index.m3u8"), text + "#EXT-X-ENDLIST\n");
}

/// Somebody else plays another film, and what he will want next comes before he asks: whatever was to be fetched
/// ahead before that is fetched as well.
async fn others_are_served_ahead(fleet: &Fleet, source: &Source) {
    let other = "/stream/another-film";
    publish(source, other, 9);
    let viewer = Viewer::new();
    viewer.get(&fleet.signed(&format!("{other}/index.m3u8"))).await;
    for number in 0..8 {
        assert_eq!(viewer.get(&fleet.signed(&format!("{other}/{number}.ts"))).await.status, 200);
        until("the next one is fetched", || async {
            (source.asked_for(&format!("{other}/{}.ts", number + 1)) == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn all_segments_of_a_play_are_hits_and_each_is_fetched_once() {
    let source = film(8).await;
    let fleet = Plan::web(&source.url).start().await;
    let (viewer, edge) = (Viewer::new(), &fleet.edges[0]);
    // The first one comes with the playlist, each of the others with the one before it.
    viewer.get(&fleet.signed(&format!("{FOLDER}/index.m3u8"))).await;
    for number in 0..8 {
        until("it is here", || async {
            (edge.metric("kromka_ahead_total").await == number as f64 + 1.0).then_some(())
        })
        .await;
        let got = viewer.get(&fleet.signed(&segment(number))).await;
        assert_eq!(got.bytes(), media::noise(number as _, 50_000));
        assert!(got.edge_hit(), "{number}: {}", got.header("cache-status"));
    }
    assert_eq!(edge.metric("kromka_ahead_used_total").await, 8.0);
    for number in 0..8 {
        assert_eq!(source.asked_for(&segment(number)), 1, "{number}");
    }
    assert_eq!(source.asked_for(&segment(8)), 0, "past the end");
}

#[tokio::test]
async fn a_viewer_who_leaves_leaves_nothing_running() {
    let source = film(20).await;
    let fleet = Plan::web(&source.url)
        .with("edge", "service", "ahead = 2")
        .with("origin", "service", "ahead = 0")
        .start()
        .await;
    let viewer = Viewer::new();
    viewer.get(&fleet.signed(&format!("{FOLDER}/index.m3u8"))).await;
    viewer.get(&fleet.signed(&segment(4))).await;
    until("what is allowed is here", || async { (source.asked_for(&segment(6)) == 1).then_some(()) }).await;
    others_are_served_ahead(&fleet, &source).await;
    let asked: Vec<usize> = (0..20).filter(|number| source.asked_for(&segment(*number)) > 0).collect();
    // The first one came with the playlist: where a play begins.
    assert_eq!(asked, [0, 4, 5, 6]);
}

#[tokio::test]
async fn strangers_do_not_make_an_edge_fetch_more_than_they_ask_for() {
    let source = film(6).await;
    let fleet = Plan::web(&source.url)
        .with("edge", "service", "access = \"public\"")
        .with("origin", "service", "ahead = 0")
        .start()
        .await;
    let viewer = Viewer::new();
    viewer.get(&format!("{}{FOLDER}/index.m3u8", fleet.edges[0].url)).await;
    for number in [1, 3] {
        assert_eq!(viewer.get(&format!("{}{}", fleet.edges[0].url, segment(number))).await.status, 200);
    }
    // Nobody is served ahead here, so nothing tells when it would have been done.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked: Vec<usize> = (0..6).filter(|number| source.asked_for(&segment(*number)) > 0).collect();
    assert_eq!(asked, [1, 3]);
}

#[tokio::test]
async fn what_a_player_says_it_will_ask_for_is_fetched_if_it_may_have_it() {
    let source = film(9).await;
    source.put("/other/secret.ts", "secret");
    let fleet = Plan::web(&source.url).with("origin", "service", "ahead = 0").start().await;
    let viewer = Viewer::new();
    let fields = [("cmcd-request", "bl=2000,nor=\"7.ts\"")];
    viewer.ask(reqwest::Method::GET, &fleet.signed(&segment(2)), &fields).await;
    until("it is here", || async { (source.asked_for(&segment(7)) == 1).then_some(()) }).await;
    // Outside the token's reach.
    let query = format!("{}?CMCD=nor%3D%22..%252F..%252Fother%252Fsecret.ts%22", fleet.signed(&segment(4)));
    assert_eq!(viewer.get(&query).await.status, 200);
    others_are_served_ahead(&fleet, &source).await;
    assert_eq!(source.asked_for("/other/secret.ts"), 0);
}
