//! Distance is measured where viewers are served, and decides who serves them next.

use std::time::Duration;

use serde_json::Value;

use super::cloud::{Cloud, Host};
use super::stage::{EDGES, on_stage};
use crate::world::command::run;
use crate::world::{media, until};

/// Round trips of both viewers to the edges, milliseconds.
const NEAR: [u64; 3] = [8, 60, 150];
const FAR: [u64; 3] = [150, 60, 8];

/// What a host is answered; each request is a connection of its own.
async fn ask(host: &Host, url: &str) -> String {
    let mut command = host.command("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "30", url]);
    let ran = run(command).await;
    assert_eq!(ran.code, 0, "{url}: {}", ran.everything());
    ran.stdout
}

/// Puts both viewers where [`NEAR`] and [`FAR`] say.
fn spread(cloud: &Cloud) {
    for (at, edge) in EDGES.into_iter().enumerate() {
        cloud.round_trip("viewer", edge, Duration::from_millis(NEAR[at]));
        cloud.round_trip("far-viewer", edge, Duration::from_millis(FAR[at]));
    }
}

#[test]
#[ignore = "needs root, ip, /dev/net/tun and curl, which tests/run installs"]
fn each_viewer_is_sent_to_the_edge_that_was_measured_to_be_near() {
    on_stage(vec![], |stage| async move {
        spread(&stage.cloud);
        let session = stage.operator().session(media::DEMO).await;
        let master = session["master_url"].as_str().unwrap();
        let target = &master[master.find("/~").unwrap()..];
        for (viewer, nearest) in [("viewer", EDGES[0]), ("far-viewer", EDGES[2])] {
            let host = stage.cloud.host(viewer).clone();
            let select = format!("{}/v1/select?path={}", stage.selector.url, media::DEMO);
            until(&format!("{viewer} is near {nearest}"), || async {
                for edge in &stage.edges {
                    ask(&host, &format!("{}{target}", edge.url)).await;
                }
                let answer: Value = serde_json::from_str(&ask(&host, &select).await).unwrap();
                let edges = answer["edges"].as_array().unwrap();
                let rtt = |id: &str| {
                    let edge = edges.iter().find(|edge| edge["id"] == id).unwrap();
                    edge["rtt_ms"].as_f64().unwrap()
                };
                let order: Vec<&str> = edges.iter().map(|edge| edge["id"].as_str().unwrap()).collect();
                let measured = rtt(nearest) < rtt(EDGES[1]) && rtt(EDGES[1]) < rtt(order[2]);
                (answer["source"] == "rum" && order[0] == nearest && measured).then_some(())
            })
            .await;
            // What was learnt decides where the next play of this viewer begins.
            let routed = stage.cloud.host(viewer).clone();
            let mut command = routed.command("curl");
            let url = format!("{}/route{}", stage.selector.url, media::DEMO);
            command.args(["--silent", "--output", "/dev/null", "--write-out", "%{redirect_url}", &url]);
            assert_eq!(stage.edge_at(&run(command).await.stdout), nearest);
        }
    });
}

#[test]
#[ignore = "needs root, ip, /dev/net/tun and curl, which tests/run installs"]
fn edges_that_probe_learn_how_far_viewers_are_who_never_came_to_them() {
    let probing = vec![("edge", "probe", "enabled = true".to_owned())];
    on_stage(probing, |stage| async move {
        spread(&stage.cloud);
        let operator = stage.operator();
        for (viewer, trips) in [("viewer", NEAR), ("far-viewer", FAR)] {
            // It asks for an edge and goes to none.
            let host = stage.cloud.host(viewer).clone();
            let mut command = host.command("curl");
            let url = format!("{}/route{}", stage.selector.url, media::DEMO);
            command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url]);
            assert_eq!(run(command).await.stdout, "307");
            let explain = format!("/v1/select/explain?path={}&client_ip={}", media::DEMO, host.address);
            let told = until(&format!("{viewer} is measured from everywhere"), || async {
                let told = operator.get(&explain).await.json();
                let rtt = |id: &str| {
                    let candidates = told["candidates"].as_array().unwrap();
                    candidates.iter().find(|edge| edge["id"] == id).unwrap()["rtt_ms"].as_f64().unwrap()
                };
                let order = |list: [f64; 3]| [list[0] < list[1], list[1] < list[2]];
                let real = order(trips.map(|ms| ms as f64));
                (told["source"] == "rum" && order(EDGES.map(rtt)) == real).then_some(told.clone())
            })
            .await;
            let nearest = EDGES[if viewer == "viewer" { 0 } else { 2 }];
            assert_eq!(told["candidates"][0]["id"], nearest, "{told:#}");
        }
    });
}
