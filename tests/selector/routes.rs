//! Where viewers are sent.

use crate::world::fleet::Plan;
use crate::world::{Viewer, media, player};

#[tokio::test]
async fn a_playlist_is_sent_to_an_edge_with_its_token_and_plays_there() {
    let fleet = Plan::sample().edges(2).selected().start().await;
    let operator = fleet.operator();
    let session = operator.session(media::DEMO).await;
    let master = session["master_url"].as_str().unwrap();
    let target = &master[master.find("/~").unwrap()..];

    let got = operator.route(target).await;
    assert_eq!(got.status, 307, "{}", got.text());
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(got.header("access-control-allow-origin"), "*");
    let location = got.header("location");
    assert!(fleet.edges.iter().any(|edge| location == format!("{}{target}", edge.url)), "{location}");
    // A title stays where it is: the same question, the same edge.
    assert_eq!(location, master);
    let played = player::play(&Viewer::new(), &location).await;
    assert_eq!(played.len(), media::files(media::DEMO).len());
}

#[tokio::test]
async fn only_playlists_are_sent_and_bad_paths_are_refused() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    for (path, status) in [
        (media::SEGMENT, 404),
        ("/stream/demo/", 404),
        ("/stream/../master.m3u8", 400),
        ("/stream/%2e%2e/master.m3u8", 400),
        ("//evil.example/master.m3u8", 400),
    ] {
        let base = &fleet.selector.as_ref().unwrap().url;
        let answer = crate::world::wire::get(base, &format!("/route{path}")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.head);
        assert_eq!(answer.header("location"), "", "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    let got = operator.route("/stream/any/media.m3u8?v=1").await;
    assert_eq!(got.status, 307);
    assert!(got.header("location").ends_with("/stream/any/media.m3u8?v=1"));
}

#[tokio::test]
async fn titles_are_spread_over_the_edges_and_each_keeps_its_own() {
    let fleet = Plan::sample().edges(3).selected().start().await;
    let operator = fleet.operator();
    let mut counts = std::collections::BTreeMap::new();
    let mut moved = 0;
    for n in 0..150 {
        let path = format!("/stream/title-{n}/master.m3u8");
        let first = operator.route(&path).await.header("location");
        moved += usize::from(operator.route(&path).await.header("location") != first);
        *counts.entry(first.split("/stream").next().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(counts.values().all(|count| *count >= 15), "{counts:?}");
    // Load moves some: three processes on a small machine are never loaded alike.
    assert!(moved <= 15, "{moved} of 150 titles moved between two questions");
}

#[tokio::test]
async fn the_ranked_list_has_its_shape_and_agrees_with_the_redirect() {
    let fleet = Plan::sample().edges(3).selected().start().await;
    let operator = fleet.operator();
    let got = operator.get(&format!("/v1/select?path={}&client_ip=127.0.0.1", media::DEMO)).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let answer = got.json();
    for key in ["decision_id", "ttl_s", "cell", "source", "edges", "reason"] {
        assert!(!answer[key].is_null(), "no {key} in {answer:#}");
    }
    let edges = answer["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 3);
    for edge in edges {
        for key in ["id", "url", "site", "rtt_ms", "cost_ms", "utilisation", "role", "reasons"] {
            assert!(!edge[key].is_null(), "no {key} in {edge:#}");
        }
    }
    let first = edges[0]["url"].as_str().unwrap().trim_end_matches('/');
    assert_eq!(operator.route(media::DEMO).await.header("location"), format!("{first}{}", media::DEMO));
    // Viewers ask too: no token is needed, and any page may.
    let base = &fleet.selector.as_ref().unwrap().url;
    let got = Viewer::new().get(&format!("{base}/v1/select?path={}", media::DEMO)).await;
    assert_eq!((got.status, got.header("access-control-allow-origin").as_str()), (200, "*"));
    for wrong in ["/v1/select", "/v1/select?path=/a.m3u8&client_ip=here", "/v1/select?path=/a.m3u8&x=1"] {
        assert_eq!(operator.get(wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn without_an_edge_it_says_so_and_when_to_come_back() {
    let mut fleet = Plan::sample().selected().prepare();
    let selector = fleet.selector.as_mut().unwrap();
    selector.start().await;
    selector.ready().await;
    let got = fleet.operator().route(media::DEMO).await;
    assert_eq!((got.status, got.slug().as_str()), (503, "no-edge"));
    assert!(got.header("retry-after").parse::<u64>().unwrap() >= 1);
}
