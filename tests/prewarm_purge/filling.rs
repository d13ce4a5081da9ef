//! Pre-warm jobs: everything of a title is on every node before the first viewer comes.

use serde_json::json;

use crate::world::fleet::Plan;
use crate::world::source::Asked;
use crate::world::{Conduct, Fleet, Source, Viewer, media, player, until};

/// A token of the selector for an asset, at each edge.
async fn urls(fleet: &Fleet, asset: &str) -> Vec<String> {
    let session = fleet.operator().session(asset).await;
    let master = session["master_url"].as_str().unwrap();
    let target = &master[master.find("/~").unwrap()..];
    fleet.edges.iter().map(|edge| format!("{}{target}", edge.url)).collect()
}

#[tokio::test]
async fn a_tree_is_on_the_shield_and_every_edge_and_then_viewers_cost_the_source_nothing() {
    let source = Source::with_asset(media::DEMO).await;
    let fleet = Plan::web(&source.url).edges(2).selected().start().await;
    let operator = fleet.operator();
    let files = media::files(media::DEMO);
    let operation = operator.done("/v1/prewarm", json!({"service": "default", "trees": [media::DEMO]})).await;

    assert_eq!(operation["kind"], "prewarm");
    let nodes = operation["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{operation:#}");
    let bytes: usize = files.values().map(Vec::len).sum();
    for node in nodes {
        assert_eq!(node["state"], "succeeded", "{node:#}");
        let progress = &node["progress"];
        assert_eq!(
            json!([progress["objects_done"], progress["objects_total"], progress["bytes_done"]]),
            json!([files.len(), files.len(), bytes]),
            "{node:#}"
        );
    }
    assert_eq!(operation["progress"]["objects_done"], 3 * files.len());
    assert_eq!(operation["progress"]["objects_done"], operation["progress"]["objects_total"]);

    let (asked, edges_asked) = (source.asked().len(), source_requests(&fleet).await);
    let again = |asked: &Asked| source.asked_for(&asked.path) != 1;
    let twice: Vec<Asked> = source.asked().into_iter().filter(again).collect();
    assert!(twice.is_empty(), "each object once for the whole fleet: {twice:#?}");
    for url in urls(&fleet, media::DEMO).await {
        let played = player::play_with(&Viewer::new(), &url, |path, got| {
            assert!(got.edge_hit(), "{path}: {}", got.header("cache-status"));
        })
        .await;
        assert_eq!(played.len(), files.len());
    }
    assert_eq!(source.asked().len(), asked);
    assert_eq!(source_requests(&fleet).await, edges_asked);
}

async fn source_requests(fleet: &Fleet) -> f64 {
    let mut sum = 0.0;
    for edge in &fleet.edges {
        sum += edge.metric("kromka_source_requests_total").await;
    }
    sum
}

#[tokio::test]
async fn a_prefix_and_single_urls_are_filled_on_the_nodes_that_were_named() {
    let fleet = Plan::sample().edges(2).selected().start().await;
    let operator = fleet.operator();
    let wanted = json!({
        "service": "default", "prefixes": ["/stream/track/96k/"], "urls": [media::SEGMENT],
        "target": {"nodes": ["edge-1"]}
    });
    let operation = operator.done("/v1/prewarm", wanted).await;
    let nodes = operation["nodes"].as_array().unwrap();
    assert_eq!((nodes.len(), &nodes[0]["node"]), (1, &json!("edge-1")), "{operation:#}");
    assert_eq!(nodes[0]["progress"]["objects_done"], 7, "{operation:#}");
    let track = operator
        .post("/v1/sign", json!({"service": "default", "path": "/stream/", "prefix": true, "ttl_s": 60}));
    let track = track.await.json()["url"].as_str().unwrap().to_owned();
    let target =
        &track[track.find("/~").unwrap()..].trim_end_matches('/').trim_end_matches("/stream").to_owned();
    for (edge, hit) in [(0, true), (1, false)] {
        let got = Viewer::new().get(&format!("{}{target}{}", fleet.edges[edge].url, media::SEGMENT)).await;
        assert_eq!((got.status, got.edge_hit()), (200, hit), "edge {edge}: {}", got.header("cache-status"));
    }
}

#[tokio::test]
async fn a_job_tells_how_far_it_is_and_can_be_cancelled() {
    let source = Source::with_asset(media::DEMO).await;
    source.conduct("/stream/demo/360p/005.ts", Conduct::HoldHead);
    let fleet = Plan::web(&source.url).selected().patient().start().await;
    let operator = fleet.operator();
    let location = operator.begin("/v1/prewarm", json!({"service": "default", "trees": [media::DEMO]})).await;
    let total = media::files(media::DEMO).len() as u64;
    until("a job in the middle", || async {
        let operation = operator.operation(&location).await;
        assert!(["pending", "running"].contains(&operation["state"].as_str().unwrap()), "{operation:#}");
        let nodes = operation["nodes"].as_array().unwrap();
        let some = |node: &serde_json::Value| {
            (1..total).contains(&node["progress"]["objects_done"].as_u64().unwrap_or(0))
        };
        nodes.iter().any(some).then_some(())
    })
    .await;
    let got = operator.post(&format!("{location}:cancel"), json!({})).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let operation = operator.end_of(&location).await;
    assert_eq!(operation["state"], "cancelled", "{operation:#}");
    source.release();
}

#[tokio::test]
async fn a_job_can_be_followed_event_by_event_to_its_end() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    let location =
        operator.begin("/v1/prewarm", json!({"service": "default", "trees": [media::TRACK]})).await;
    let got = operator.get(&format!("{location}/stream")).await;
    assert_eq!((got.status, got.header("content-type").as_str()), (200, "text/event-stream"));
    // The stream ends by itself, with what a last look at the operation would show.
    let last = got.text().trim().rsplit("\n\n").next().unwrap();
    assert!(last.lines().any(|line| line == "event: done"), "{last}");
    let data = last.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    let told: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&told["state"], &told["id"]),
        (&json!("succeeded"), &operator.operation(&location).await["id"])
    );
}

#[tokio::test]
async fn what_cannot_be_filled_fails_by_name_and_the_rest_is_filled() {
    let source = Source::with_asset(media::TRACK).await;
    source.remove("/stream/track/160k/002.ts");
    source.put("/stream/empty/master.m3u8", "");
    source.put("/stream/none/master.m3u8", "this is no playlist");
    let fleet = Plan::web(&source.url).selected().start().await;
    let operator = fleet.operator();
    for (tree, named) in [
        (media::TRACK, "002.ts"),
        ("/stream/empty/master.m3u8", "/stream/empty/master.m3u8"),
        ("/stream/none/master.m3u8", "/stream/none/master.m3u8"),
        ("/stream/missing/master.m3u8", "/stream/missing/master.m3u8"),
    ] {
        let location = operator.begin("/v1/prewarm", json!({"service": "default", "trees": [tree]})).await;
        let operation = operator.end_of(&location).await;
        assert_eq!(operation["state"], "failed", "{tree}: {operation:#}");
        for node in operation["nodes"].as_array().unwrap() {
            let error = node["error"].as_str().unwrap_or_else(|| panic!("no error in {node:#}"));
            assert!(error.contains(named), "{error}");
        }
    }
    let url = &urls(&fleet, media::TRACK).await[0];
    let got = Viewer::new().get(&url.replace("master.m3u8", "160k/003.ts")).await;
    assert!(got.edge_hit(), "what was there is filled: {}", got.header("cache-status"));
    // A web server has no list of its names.
    let location =
        operator.begin("/v1/prewarm", json!({"service": "default", "prefixes": ["/stream/"]})).await;
    let operation = operator.end_of(&location).await;
    assert_eq!(operation["state"], "failed", "{operation:#}");
}

#[tokio::test]
async fn a_request_that_cannot_be_met_is_refused_at_once() {
    let fleet = Plan::sample().selected().start().await;
    let operator = fleet.operator();
    for body in [
        json!({"service": "default"}),
        json!({"service": "nobodys", "trees": [media::DEMO]}),
        json!({"service": "default", "trees": ["no/slash.m3u8"]}),
        json!({"service": "default", "trees": [media::DEMO], "target": {"nodes": ["edge-9"]}}),
        json!({"service": "default", "trees": [media::DEMO], "target": {"sites": ["nowhere"]}}),
        json!({"service": "default", "urls": ["/stream/../x"]}),
    ] {
        let got = operator.post("/v1/prewarm", body.clone()).await;
        assert_eq!((got.status, got.slug().as_str()), (422, "invalid"), "{body}: {}", got.text());
    }
}
