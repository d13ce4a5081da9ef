//! Pre-warm and purge while the selector or a node is away.

use serde_json::json;

use crate::world::fleet::Plan;
use crate::world::{Conduct, Operator, Source, Viewer, media, player, until};

async fn opened(operator: &Operator) -> String {
    let wanted = json!({"service": "default", "path": "/stream/", "prefix": true, "ttl_s": 3600});
    let signed = operator.post("/v1/sign", wanted).await.json();
    let url = signed["url"].as_str().unwrap();
    url[url.find("/~").unwrap()..url.find("/stream").unwrap()].to_owned()
}

#[tokio::test]
async fn both_work_after_the_selector_was_killed_and_started_again() {
    let source = Source::with_asset(media::TRACK).await;
    let mut fleet = Plan::web(&source.url).edges(2).selected().start().await;
    let operator = fleet.operator();
    let selector = fleet.selector.as_mut().unwrap();
    selector.kill();
    selector.start().await;
    fleet.ready().await;

    let operation =
        operator.done("/v1/prewarm", json!({"service": "default", "trees": [media::TRACK]})).await;
    assert_eq!(operation["nodes"].as_array().unwrap().len(), 3, "{operation:#}");
    let token = opened(&operator).await;
    for edge in &fleet.edges {
        let url = format!("{}{token}{}", edge.url, media::TRACK);
        player::play_with(&Viewer::new(), &url, |path, got| assert!(got.edge_hit(), "{path}")).await;
    }
    source.put(media::TRACK, "#EXTM3U\n");
    let purge = json!({"service": "default", "mode": "hard", "urls": [media::TRACK]});
    let operation = operator.done("/v1/purge", purge).await;
    assert_eq!(operation["nodes"].as_array().unwrap().len(), 3, "{operation:#}");
    for edge in &fleet.edges {
        let got = Viewer::new().get(&format!("{}{token}{}", edge.url, media::TRACK)).await;
        assert_eq!(got.text(), "#EXTM3U\n");
    }
}

#[tokio::test]
async fn a_job_goes_on_while_the_selector_is_away_and_its_end_is_told_when_it_is_back() {
    let source = Source::with_asset(media::DEMO).await;
    source.conduct("/stream/demo/360p/005.ts", Conduct::HoldHead);
    let mut fleet = Plan::web(&source.url).selected().patient().start().await;
    let operator = fleet.operator();
    let location = operator.begin("/v1/prewarm", json!({"service": "default", "trees": [media::DEMO]})).await;
    until("the job has begun everywhere", || async {
        let operation = operator.operation(&location).await;
        let begun = |node: &serde_json::Value| node["progress"]["objects_done"].as_u64().unwrap_or(0) > 0;
        operation["nodes"].as_array().unwrap().iter().all(begun).then_some(())
    })
    .await;
    fleet.selector.as_mut().unwrap().kill();
    source.release();
    fleet.selector.as_mut().unwrap().start().await;
    let operation = operator.end_of(&location).await;
    assert_eq!(operation["state"], "succeeded", "{operation:#}");
    let files = media::files(media::DEMO).len();
    for node in operation["nodes"].as_array().unwrap() {
        assert_eq!(node["progress"]["objects_done"], files, "{node:#}");
    }
}

#[tokio::test]
async fn a_purge_that_was_accepted_right_before_a_kill_of_the_selector_is_carried_out() {
    let source = Source::start().await;
    source.put("/stream/a.ts", "old");
    let mut fleet = Plan::web(&source.url).edges(2).selected().start().await;
    let operator = fleet.operator();
    let token = opened(&operator).await;
    for edge in &fleet.edges {
        assert_eq!(Viewer::new().get(&format!("{}{token}/stream/a.ts", edge.url)).await.text(), "old");
    }
    source.put("/stream/a.ts", "new");
    let purge = json!({"service": "default", "mode": "hard", "urls": ["/stream/a.ts"]});
    let location = operator.begin("/v1/purge", purge).await;
    let selector = fleet.selector.as_mut().unwrap();
    selector.kill();
    selector.start().await;
    let operation = operator.end_of(&location).await;
    assert_eq!(operation["state"], "succeeded", "{operation:#}");
    for edge in &fleet.edges {
        assert_eq!(Viewer::new().get(&format!("{}{token}/stream/a.ts", edge.url)).await.text(), "new");
    }
}

#[tokio::test]
async fn a_node_that_missed_a_purge_applies_it_before_it_takes_traffic() {
    let source = Source::start().await;
    source.put("/stream/a.ts", "old");
    let mut fleet = Plan::web(&source.url).edges(2).selected().start().await;
    let operator = fleet.operator();
    let token = opened(&operator).await;
    for edge in &fleet.edges {
        assert_eq!(Viewer::new().get(&format!("{}{token}/stream/a.ts", edge.url)).await.text(), "old");
    }
    assert!(fleet.edges[1].stop().await.success());
    operator.sees("edge-2", "down").await;
    source.put("/stream/a.ts", "new");
    let purge = json!({"service": "default", "mode": "hard", "urls": ["/stream/a.ts"]});
    let location = operator.begin("/v1/purge", purge).await;
    let all_live = || async {
        let operation = operator.operation(&location).await;
        let nodes = operation["nodes"].as_array().unwrap().clone();
        let done = |id: &str| nodes.iter().any(|node| node["node"] == id && node["state"] == "succeeded");
        (done("shield-1") && done("edge-1")).then_some(())
    };
    until("the live nodes have given their receipts", all_live).await;

    fleet.edges[1].start().await;
    fleet.edges[1].ready().await;
    // At the first moment it says it is ready, the old version is gone.
    let got = Viewer::new().get(&format!("{}{token}/stream/a.ts", fleet.edges[1].url)).await;
    assert_eq!(got.text(), "new");
    until("its receipt has come too", || async {
        let operation = operator.operation(&location).await;
        let nodes = operation["nodes"].as_array().unwrap();
        nodes.iter().any(|node| node["node"] == "edge-2" && !node["applied_at"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_sent_to_a_node_that_has_not_yet_applied_what_it_missed() {
    let source = Source::start().await;
    source.put("/stream/a.ts", "0");
    let mut fleet = Plan::web(&source.url).edges(2).selected().start().await;
    let operator = fleet.operator();
    let token = opened(&operator).await;
    let url = format!("{}{token}/stream/a.ts", fleet.edges[1].url);
    // Several times, since what is wrong here is wrong for moments only.
    for round in 1..=4 {
        assert_eq!(Viewer::new().get(&url).await.text(), (round - 1).to_string());
        assert!(fleet.edges[1].stop().await.success());
        operator.sees("edge-2", "down").await;
        source.put("/stream/a.ts", round.to_string());
        operator
            .begin("/v1/purge", json!({"service": "default", "mode": "hard", "urls": ["/stream/a.ts"]}))
            .await;
        let (_, answer) = tokio::join!(fleet.edges[1].start(), async {
            loop {
                if operator.state_of("edge-2").await == "up" {
                    return Viewer::new().get(&url).await;
                }
            }
        });
        assert_eq!(answer.text(), round.to_string(), "the selector sends viewers to what was taken back");
        fleet.edges[1].ready().await;
    }
}

#[tokio::test]
async fn a_killed_edge_finishes_its_job_after_its_restart() {
    let source = Source::with_asset(media::DEMO).await;
    source.conduct("/stream/demo/180p/003.ts", Conduct::HoldHead);
    let mut fleet = Plan::web(&source.url).selected().patient().start().await;
    let operator = fleet.operator();
    let wanted = json!({"service": "default", "trees": [media::DEMO], "target": {"nodes": ["edge-1"]}});
    let location = operator.begin("/v1/prewarm", wanted).await;
    until("the job has begun", || async {
        let operation = operator.operation(&location).await;
        (operation["nodes"][0]["progress"]["objects_done"].as_u64().unwrap_or(0) > 0).then_some(())
    })
    .await;
    fleet.edges[0].kill();
    source.release();
    fleet.edges[0].start().await;
    let operation = operator.end_of(&location).await;
    assert_eq!(operation["state"], "succeeded", "{operation:#}");
}
