//! What an answer says about the way it came.

use crate::world::fleet::Plan;
use crate::world::{Source, Viewer, media, until};

#[tokio::test]
async fn both_tiers_say_what_they_did_and_a_second_viewer_hits() {
    let fleet = Plan::sample().edges(2).start().await;
    let viewer = Viewer::new();

    let cold = viewer.get(&fleet.signed(media::SEGMENT)).await;
    let (edge, shield) = (cold.tier("kromka-edge"), cold.tier("kromka-shield"));
    assert!(edge.contains("fwd=miss"), "{}", cold.header("cache-status"));
    assert!(shield.contains("fwd=miss"), "{}", cold.header("cache-status"));
    // RFC 9211: the tier nearest to the source stands first.
    let status = cold.header("cache-status");
    assert!(status.find("kromka-shield") < status.find("kromka-edge"), "{status}");

    let warm = viewer.get(&fleet.signed(media::SEGMENT)).await;
    assert!(warm.edge_hit(), "{}", warm.header("cache-status"));
    assert!(!warm.header("age").is_empty());

    // The other edge is cold, the shield is not.
    let other = viewer.get(&fleet.signed_at(1, media::SEGMENT)).await;
    assert!(other.tier("kromka-edge").contains("fwd=miss"), "{}", other.header("cache-status"));
    assert!(other.tier("kromka-shield").contains("; hit"), "{}", other.header("cache-status"));
    assert_eq!(fleet.source_requests().await, 1.0);
}

#[tokio::test]
async fn an_answer_names_its_way_and_its_lifetime_and_nothing_that_is_not_for_viewers() {
    let fleet = Plan::sample().start().await;
    let got = Viewer::new().get(&fleet.signed(media::SEGMENT)).await;
    assert!(got.header("via").contains("kromka-edge-edge-1"), "{}", got.header("via"));
    assert!(got.header("server-timing").contains("edge;desc=\"edge-1\""), "{}", got.header("server-timing"));
    assert_eq!(got.header("content-type"), "video/mp2t");
    let lifetime = got.header("cache-control");
    assert!(lifetime.contains("immutable") && lifetime.contains("private"), "{lifetime}");
    let playlist = Viewer::new().get(&fleet.signed(media::DEMO)).await;
    assert_eq!(playlist.header("content-type"), "application/vnd.apple.mpegurl");
    assert!(!playlist.header("cache-control").contains("immutable"), "{}", playlist.header("cache-control"));
    let names: Vec<&str> = got.headers.keys().map(http::HeaderName::as_str).collect();
    for internal in ["cdn-cache-control", "surrogate-key", "cache-tag", "kromka-fence"] {
        assert!(!names.contains(&internal), "{names:?}");
    }
}

#[tokio::test]
async fn a_stale_object_is_asked_about_and_kept_if_it_is_the_same() {
    let source = Source::start().await;
    source.put("/stream/live.ts", "as it was");
    source.cache_control("/stream/live.ts", "max-age=1");
    let fleet = Plan::web(&source.url).start().await;
    let viewer = Viewer::new();
    let url = fleet.signed("/stream/live.ts");
    assert_eq!(viewer.get(&url).await.text(), "as it was");
    until("the source is asked whether it has changed", || async {
        assert_eq!(viewer.get(&url).await.text(), "as it was");
        source.asked().iter().any(|asked| asked.fields.contains_key("if-none-match")).then_some(())
    })
    .await;
    source.put("/stream/live.ts", "as it is now");
    source.cache_control("/stream/live.ts", "max-age=1");
    until("the new version is served", || async {
        let got = viewer.get(&url).await;
        assert!(["as it was", "as it is now"].contains(&got.text()), "{}", got.text());
        (got.text() == "as it is now").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_must_not_be_stored_is_asked_for_each_time() {
    let source = Source::start().await;
    source.put("/stream/mine.ts", "for you alone");
    source.cache_control("/stream/mine.ts", "no-store");
    let fleet = Plan::web(&source.url).start().await;
    for _ in 0..3 {
        assert_eq!(Viewer::new().get(&fleet.signed("/stream/mine.ts")).await.text(), "for you alone");
    }
    assert_eq!(source.asked_for("/stream/mine.ts"), 3);
}
