//! Edges that leave: drained, stopped, killed in the middle of a play.

use std::time::Duration;

use serde_json::json;

use crate::world::fleet::Plan;
use crate::world::session::Player;
use crate::world::{Fleet, Viewer, media, player, until};

/// Which edge a URL names, by its place in the fleet.
fn edge_of(fleet: &Fleet, url: &str) -> usize {
    let found = fleet.edges.iter().position(|edge| url.starts_with(&edge.url));
    found.unwrap_or_else(|| panic!("{url} is at no edge"))
}

#[tokio::test]
async fn a_drained_edge_gets_no_new_sessions_and_serves_those_it_has_and_comes_back() {
    let fleet = Plan::sample().edges(2).selected().start().await;
    let operator = fleet.operator();
    let before = homes(&fleet).await;
    let session = operator.session(media::DEMO).await;
    let master = session["master_url"].as_str().unwrap().to_owned();
    assert_eq!(edge_of(&fleet, &master), before[0], "a session is where its title is");
    let drained = &fleet.edges[before[0]];

    let got = operator.post(&format!("/v1/nodes/{}:drain", drained.id), json!({})).await;
    assert_eq!((got.status, &got.json()["state"]), (200, &json!("draining")), "{}", got.text());
    for n in 0..50 {
        let path = format!("/stream/title-{n}/master.m3u8");
        assert!(!operator.route(&path).await.header("location").starts_with(&drained.url), "{path}");
        let new = operator.session(media::DEMO).await;
        assert!(!new["master_url"].as_str().unwrap().starts_with(&drained.url), "{new:#}");
    }
    let played = player::play(&Viewer::new(), &master).await;
    assert_eq!(played.len(), media::files(media::DEMO).len(), "who is there stays");

    let got = operator.post(&format!("/v1/nodes/{}:resume", drained.id), json!({})).await;
    assert_eq!((got.status, &got.json()["state"]), (200, &json!("up")), "{}", got.text());
    until("every title is at home again", || async { (homes(&fleet).await == before).then_some(()) }).await;
}

/// The edge that each of many titles has of its own among edges that are equally good, by its place in the fleet;
/// the demo's comes first. Asked without sending anybody there, which would be load.
async fn homes(fleet: &Fleet) -> Vec<usize> {
    let titles = (0..30).map(|n| format!("/stream/title-{n}/master.m3u8"));
    let mut homes = Vec::new();
    for title in [media::DEMO.to_owned()].into_iter().chain(titles) {
        let explain = format!("/v1/select/explain?path={title}&client_ip=127.0.0.1");
        let explained = fleet.operator().get(&explain).await.json();
        homes.push(edge_of(fleet, explained["candidates"][0]["url"].as_str().unwrap()));
    }
    homes
}

#[tokio::test]
async fn an_edge_that_stops_in_order_says_goodbye_and_nobody_is_sent_there_any_more() {
    let mut fleet = Plan::sample().edges(2).selected().start().await;
    let operator = fleet.operator();
    let first = operator.route(media::DEMO).await.header("location");
    let leaving = edge_of(&fleet, &first);
    assert!(fleet.edges[leaving].stop().await.success());
    // The process has ended: from its goodbye on, not one viewer is sent there.
    let gone = fleet.edges[leaving].url.clone();
    for _ in 0..100 {
        assert!(!operator.route(media::DEMO).await.header("location").starts_with(&gone));
    }
}

#[tokio::test]
async fn an_edge_killed_in_the_middle_of_a_play_costs_no_segment_and_two_seconds_later_nobody_is_sent_there()
{
    let mut fleet = Plan::sample().edges(2).selected().start().await;
    let operator = fleet.operator();
    let before = homes(&fleet).await;
    let session = operator.session(media::DEMO).await;
    let mut player = Player::new(&session);
    let victim = edge_of(&fleet, player.bases[0].as_str());
    assert_eq!(victim, before[0], "a session is where its title is");
    let dead = fleet.edges[victim].url.clone();

    for n in 0..4 {
        player.segment(n).await;
    }
    fleet.edges[victim].kill();
    let killed = tokio::time::Instant::now();
    for n in 4..12 {
        player.segment(n).await;
    }
    assert_eq!(player.moves, 1, "one move to an alternate");
    player.lost_nothing();

    tokio::time::sleep_until(killed + Duration::from_secs(2)).await;
    let mut wrong = 0;
    for n in 0..300 {
        let path = format!("/stream/title-{}/master.m3u8", n % 30);
        for asked in [media::DEMO, path.as_str()] {
            let got = operator.route(asked).await;
            assert_eq!(got.status, 307);
            wrong += usize::from(got.header("location").starts_with(&dead));
        }
    }
    assert_eq!(wrong, 0, "viewers were sent to a dead edge");
    let new = operator.session(media::DEMO).await;
    let urls = [&new["master_url"], &new["alternates"][0]];
    assert!(!urls[0].as_str().unwrap().starts_with(&dead), "{new:#}");

    fleet.edges[victim].start().await;
    fleet.edges[victim].ready().await;
    operator.sees(&fleet.edges[victim].id, "up").await;
    // Few viewers come at first: of the titles that it had, and of no others.
    until("some of its own titles lead there again", || async {
        let after = homes(&fleet).await;
        let own = before.iter().zip(&after).all(|(before, after)| *after != victim || *before == victim);
        (own && after.contains(&victim)).then_some(())
    })
    .await;
    until("viewers of some of them are sent there", || async {
        let titles = (0..30).map(|n| format!("/stream/title-{n}/master.m3u8"));
        let own = titles.zip(&before[1..]).filter(|(_, home)| **home == victim);
        for (title, _) in own {
            if operator.route(&title).await.header("location").starts_with(&dead) {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn when_all_edges_fall_silent_the_selector_is_distrusted_before_the_fleet() {
    let mut fleet = Plan::sample().edges(3).selected().start().await;
    let operator = fleet.operator();
    for edge in &mut fleet.edges {
        edge.process().signal(rustix::process::Signal::STOP);
    }
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let got = operator.route(media::DEMO).await;
    for edge in &mut fleet.edges {
        edge.process().signal(rustix::process::Signal::CONT);
    }
    assert_eq!(got.status, 307, "more than half of the fleet looks dead: {}", got.text());
}
