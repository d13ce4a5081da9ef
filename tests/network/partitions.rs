//! Cut links, killed edges, drains: who is playing plays on, and nobody new is sent where nobody answers.

use std::time::Duration;

use super::stage::{BEAT, EDGES, SHIELDS, on_stage, steered};
use crate::world::command::run;
use crate::world::session::Player;
use crate::world::settings::API_TOKEN;
use crate::world::{Operator, Viewer, browser_by, media, until};

/// Waits until the selector sends nobody there, then sees that it stays so.
async fn left_alone(stage: &super::stage::Stage, edge: &str) {
    until(&format!("nobody is sent to {edge}"), || async {
        (stage.sent_to(edge, 20).await == 0).then_some(())
    })
    .await;
    for _ in 0..4 {
        tokio::time::sleep(BEAT).await;
        assert_eq!(stage.sent_to(edge, 20).await, 0, "{edge} came back by itself");
    }
}

async fn back_in_play(operator: &Operator, edge: &str) {
    operator.sees(edge, "up").await;
}

#[test]
#[ignore = "needs root, ip and /dev/net/tun"]
fn an_edge_that_the_selector_cannot_hear_keeps_its_viewers_and_gets_no_new_ones() {
    on_stage(vec![], |stage| async move {
        let operator = stage.operator();
        // One way only: what the selector says still reaches the edge.
        let session = operator.session(media::DEMO).await;
        let mut player = Player::impatient(&session);
        let serving = stage.edge_at(player.bases[0].as_str());
        for n in 0..4 {
            player.segment(n).await;
        }
        stage.cloud.cut(serving, "selector");
        left_alone(&stage, serving).await;
        for n in 4..12 {
            player.segment(n).await;
        }
        player.lost_nothing();
        assert_eq!(player.moves, 0, "the edge was fine for those who played");
        stage.cloud.heal(serving, "selector");
        back_in_play(&operator, serving).await;
    });
}

#[test]
#[ignore = "needs root, ip and /dev/net/tun"]
fn an_edge_that_cannot_hear_the_selector_is_left_alone_too() {
    on_stage(vec![], |stage| async move {
        let operator = stage.operator();
        let serving = stage.edge_at(&operator.route(media::DEMO).await.header("location"));
        stage.cloud.cut("selector", serving);
        left_alone(&stage, serving).await;
        stage.cloud.heal("selector", serving);
        back_in_play(&operator, serving).await;
    });
}

#[test]
#[ignore = "needs root, ip and /dev/net/tun"]
fn a_viewer_whose_way_to_an_edge_is_gone_plays_on_from_another() {
    on_stage(vec![], |stage| async move {
        let session = stage.operator().session(media::DEMO).await;
        let mut player = Player::impatient(&session);
        for n in 0..4 {
            player.segment(n).await;
        }
        // The edge is well, and the selector knows no better: only the player can tell.
        stage.cloud.part("viewer", stage.edge_at(player.bases[0].as_str()));
        for n in 4..12 {
            player.segment(n).await;
        }
        player.lost_nothing();
        assert_eq!(player.moves, 1);
    });
}

#[test]
#[ignore = "needs root, ip and /dev/net/tun"]
fn edges_that_are_cut_off_from_everybody_cost_no_segment() {
    on_stage(vec![], |stage| async move {
        let session = stage.operator().session(media::DEMO).await;
        let mut player = Player::impatient(&session);
        let mut lost = Vec::new();
        for n in 0..12 {
            if n == 3 || n == 7 {
                let serving = stage.edge_at(player.bases[0].as_str());
                for other in ["viewer", "selector"].into_iter().chain(SHIELDS) {
                    stage.cloud.part(serving, other);
                }
                lost.push(serving);
            }
            player.segment(n).await;
        }
        player.lost_nothing();
        assert_eq!(player.moves, 2);
        for edge in lost {
            left_alone(&stage, edge).await;
        }
    });
}

#[test]
#[ignore = "needs root, ip and /dev/net/tun"]
fn a_shield_that_vanishes_from_the_network_costs_its_edges_viewers_nothing() {
    // A host that has lost its power: connections to it stand, and nothing comes back over them.
    let hasty = vec![("edge", "shield", "connect = \"500ms\"".to_owned())];
    on_stage(hasty, |stage| async move {
        let session = stage.operator().session(media::DEMO).await;
        let mut player = Player::new(&session);
        let serving = stage.edge_at(player.bases[0].as_str());
        let mut played = 0;
        while stage.shields[0].metric("kromka_requests_total").await == 0.0 {
            assert!(played < 6, "no segment is asked of the first shield");
            player.segment(played).await;
            played += 1;
        }
        stage.cloud.part(serving, SHIELDS[0]);
        for n in played..12 {
            player.segment(n).await;
        }
        player.lost_nothing();
        assert_eq!(player.moves, 0, "what the edge got from the other shield did");
    });
}

#[test]
#[ignore = "needs root, ip and /dev/net/tun"]
fn an_edge_killed_far_away_costs_no_segment() {
    on_stage(vec![], |mut stage| async move {
        for edge in EDGES {
            stage.cloud.round_trip("viewer", edge, Duration::from_millis(60));
            stage.cloud.round_trip("selector", edge, Duration::from_millis(60));
        }
        let session = stage.operator().session(media::DEMO).await;
        let mut player = Player::impatient(&session);
        for n in 0..4 {
            player.segment(n).await;
        }
        let serving = stage.edge_at(player.bases[0].as_str());
        let index = EDGES.iter().position(|edge| *edge == serving).unwrap();
        stage.edges[index].kill();
        for n in 4..12 {
            player.segment(n).await;
        }
        player.lost_nothing();
        assert_eq!(player.moves, 1);
        left_alone(&stage, serving).await;
    });
}

#[test]
#[ignore = "needs root, ip, /dev/net/tun and ffmpeg, which tests/run installs"]
fn ffmpeg_plays_to_the_end_while_its_edge_is_drained() {
    on_stage(vec![], |stage| async move {
        let operator = stage.operator();
        let session = operator.session(media::DEMO).await;
        let master = session["master_url"].as_str().unwrap().to_owned();
        let serving = stage.edge_at(&master);
        let mut command = stage.cloud.host("viewer").command("ffmpeg");
        // In the time of the media, so that the drain meets it in the middle.
        let words = ["-nostdin", "-v", "error", "-xerror", "-progress", "-", "-readrate", "4", "-i", &master];
        command.args(words).args(["-f", "null", "-"]);
        let drain = async {
            let told = stage.edges[EDGES.iter().position(|edge| *edge == serving).unwrap()].admin.clone();
            until("the play has begun", || async {
                let played = crate::world::role::metric(&told, "kromka_response_bytes_total").await;
                (played > 100_000.0).then_some(())
            })
            .await;
            let got = operator.post(&format!("/v1/nodes/{serving}:drain"), serde_json::json!({})).await;
            assert_eq!(got.status, 200, "{}", got.text());
            assert_eq!(stage.sent_to(serving, 50).await, 0, "none, from the drain on");
        };
        let (ran, ()) = tokio::join!(run(command), drain);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
        let frames = ran.stdout.lines().rev().find_map(|line| line.strip_prefix("frame="));
        assert_eq!(frames, Some("600"), "24 s of 25 frames each: {}", ran.stdout);
    });
}

#[test]
#[ignore = "needs root, ip, /dev/net/tun, Chromium and tests/browser/node_modules, which tests/run installs"]
fn hls_js_is_steered_away_from_a_drained_edge_far_away_and_loses_no_segment() {
    on_stage(steered(), |stage| async move {
        for edge in EDGES {
            stage.cloud.round_trip("viewer", edge, Duration::from_millis(40));
        }
        let session = stage.operator().session(media::DEMO).await;
        let master = session["master_url"].as_str().unwrap().to_owned();
        let node = stage.cloud.host("viewer").command("node");
        let facts = browser_by(node, "steering.mjs", &[&master, &stage.selector.url, API_TOKEN]).await;
        assert_eq!(facts["first"], stage.edge_at(&master), "{facts:#}");
        assert_eq!(facts["edges"].as_object().unwrap().len(), 2, "{facts:#}");
    });
}

#[test]
#[ignore = "needs root, ip, /dev/net/tun, Chromium and tests/browser/node_modules, which tests/run installs"]
fn shaka_is_steered_between_edges_that_differ_in_their_host_once_playlists_name_them_in_full() {
    let mut additions = steered();
    additions.push(("selector", "steering", "in_full = true".to_owned()));
    on_stage(additions, |stage| async move {
        let session = stage.operator().session("/stream/demo-fmp4/master.m3u8").await;
        let master = session["master_url"].as_str().unwrap().to_owned();
        until("the playlist names all edges", || async {
            let got = Viewer::new().get(&master).await;
            (got.text().matches("#EXT-X-STREAM-INF").count() == 3).then_some(())
        })
        .await;
        let node = stage.cloud.host("viewer").command("node");
        let facts = browser_by(node, "shaka.mjs", &[&master, &stage.selector.url, API_TOKEN]).await;
        assert_eq!(facts["first"], stage.edge_at(&master), "{facts:#}");
        assert_eq!(facts["edges"].as_object().unwrap().len(), 2, "{facts:#}");
        assert_eq!(facts["errors"], serde_json::json!([]), "{facts:#}");
    });
}

#[test]
#[ignore = "needs root, ip, /dev/net/tun, Chromium and tests/browser/node_modules, which tests/run installs"]
fn hls_js_leaves_an_edge_whose_packets_vanish_and_loses_no_segment() {
    on_stage(steered(), |stage| async move {
        let operator = stage.operator();
        let session = operator.session(media::DEMO).await;
        let master = session["master_url"].as_str().unwrap().to_owned();
        let serving = stage.edge_at(&master);
        let node = stage.cloud.host("viewer").command("node");
        let args = [master.as_str(), &stage.selector.url];
        let playing = browser_by(node, "silence.mjs", &args);
        let part = async {
            let admin = stage.edges[EDGES.iter().position(|edge| *edge == serving).unwrap()].admin.clone();
            until("segments have been played", || async {
                let played = crate::world::role::metric(&admin, "kromka_response_bytes_total").await;
                (played > 200_000.0).then_some(())
            })
            .await;
            // The edge is well and the selector believes in it: the player alone can tell.
            stage.cloud.part("viewer", serving);
        };
        let (facts, ()) = tokio::join!(playing, part);
        assert_eq!(facts["missing"], serde_json::json!([]), "{facts:#}");
        assert_eq!(facts["back"], 0, "{facts:#}");
        // One wait told it all: no quality of the silent edge was tried after that.
        assert_eq!(facts["errors"].as_array().unwrap().len(), 1, "{facts:#}");
        // It told the selector, which steers this session elsewhere from now on, and blames nobody for one viewer.
        let steering = session["steering_url"].as_str().unwrap();
        until("its own document names the edge last", || async {
            let document = Viewer::new().get(steering).await.json();
            let last = document["PATHWAY-PRIORITY"].as_array()?.last()?.as_str()?.to_owned();
            last.starts_with(serving).then_some(())
        })
        .await;
        operator.sees(serving, "up").await;
    });
}
