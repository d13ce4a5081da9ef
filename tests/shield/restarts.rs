//! What is stored survives: an orderly stop, and a kill.

use crate::world::fleet::Plan;
use crate::world::{Source, Viewer, media, player, until};

#[tokio::test]
async fn a_shield_that_was_stopped_or_killed_comes_back_warm() {
    let source = Source::with_asset(media::TRACK).await;
    let mut fleet = Plan::web(&source.url).edges(3).start().await;
    let viewer = Viewer::new();
    let files = media::files(media::TRACK);
    let played = player::play(&viewer, &fleet.signed(media::TRACK)).await;
    assert_eq!(played.len(), files.len());
    let asked = source.asked().len();
    assert_eq!(asked, files.len(), "each object once");

    assert!(fleet.shield.stop().await.success());
    fleet.shield.start().await;
    fleet.shield.ready().await;
    let again = player::play(&viewer, &fleet.signed_at(1, media::TRACK)).await;
    assert_eq!(again, played);
    assert_eq!(
        source.asked().len(),
        asked,
        "after a stop the shield asked again: {:?}",
        &source.asked()[asked..]
    );

    fleet.shield.kill();
    fleet.shield.start().await;
    fleet.shield.ready().await;
    let again = player::play(&viewer, &fleet.signed_at(2, media::TRACK)).await;
    assert_eq!(again, played);
    assert_eq!(
        source.asked().len(),
        asked,
        "after a kill the shield asked again: {:?}",
        &source.asked()[asked..]
    );
}

#[tokio::test]
async fn a_shield_killed_right_after_a_fill_serves_right_bytes_and_keeps_what_reached_the_disk() {
    let source = Source::start().await;
    let files: Vec<(String, Vec<u8>)> =
        (0..24).map(|n| (format!("/stream/{n}.ts"), media::noise(n, 300_000 + n as usize))).collect();
    for (path, body) in &files {
        source.put(path, body.clone());
    }
    let mut fleet = Plan::web(&source.url).edges(2).start().await;
    for (path, _) in &files {
        assert_eq!(Viewer::new().get(&fleet.signed(path)).await.status, 200);
    }
    until("all objects are on disk", || async {
        (fleet.shield.metric("kromka_cache_disk_objects").await >= files.len() as f64).then_some(())
    })
    .await;
    fleet.shield.kill();
    fleet.shield.start().await;
    fleet.shield.ready().await;
    let before = source.asked().len();
    for (path, body) in &files {
        assert!(Viewer::new().get(&fleet.signed_at(1, path)).await.bytes() == body, "{path}: wrong bytes");
    }
    let lost = source.asked().len() - before;
    assert!(lost * 100 <= files.len() * 10, "{lost} of {} finished objects were lost", files.len());
}

#[tokio::test]
async fn an_edge_that_was_killed_comes_back_warm_and_never_with_wrong_bytes() {
    let mut fleet = Plan::sample().start().await;
    let viewer = Viewer::new();
    let played = player::play(&viewer, &fleet.signed(media::DEMO)).await;
    until("all objects are on disk", || async {
        (fleet.edges[0].metric("kromka_cache_disk_objects").await >= played.len() as f64).then_some(())
    })
    .await;
    fleet.edges[0].kill();
    fleet.edges[0].start().await;
    fleet.edges[0].ready().await;
    let mut hits = 0;
    let again =
        player::play_with(&viewer, &fleet.signed(media::DEMO), |_, got| hits += usize::from(got.edge_hit()))
            .await;
    assert_eq!(again, played);
    assert!(hits * 10 >= played.len() * 9, "{hits} hits of {}", played.len());
}
