//! The verbs that ask a selector: what a script relies on.

use std::process::Stdio;

use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::process::binary;
use crate::world::settings::{API_TOKEN, SCOPES};
use crate::world::{Conduct, Fleet, Process, Ran, Source, Viewer, kromka, media, player, until};

/// Runs a verb with the selector and the token in the environment, as an operator has them.
async fn ask(fleet: &Fleet, words: &[&str]) -> Ran {
    ask_as(fleet, API_TOKEN, words).await
}

async fn ask_as(fleet: &Fleet, token: &str, words: &[&str]) -> Ran {
    let mut command = binary();
    command.env("KROMKA_SELECTOR", &fleet.selector.as_ref().unwrap().url).env("KROMKA_TOKEN", token);
    command.args(words).stdout(Stdio::piped());
    let ran = run(command).await;
    assert!(
        !ran.stdout.contains(token) && !ran.stderr.contains(token),
        "a token is shown: {}",
        ran.everything()
    );
    // Bars and colours are for terminals.
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stdout.contains('\u{1b}'), "{}", ran.everything());
    ran
}

#[tokio::test]
async fn a_session_is_created_and_what_is_printed_plays() {
    let fleet = Plan::sample().selected().start().await;
    let ran = ask(&fleet, &["sessions", "create", "--asset", media::DEMO, "--subject", "me"]).await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{}", ran.everything());
    let played = player::play(&Viewer::new(), ran.stdout.trim()).await;
    assert_eq!(played.len(), media::files(media::DEMO).len());

    let words = [
        "sessions",
        "create",
        "--asset",
        media::DEMO,
        "--subject",
        "me",
        "--output",
        "json",
        "--max-height",
        "200",
    ];
    let ran = ask(&fleet, &words).await;
    let session = ran.json();
    for key in ["session_id", "master_url", "alternates", "start_expires_at", "expires_at"] {
        assert!(session.get(key).is_some(), "no {key}: {}", ran.everything());
    }
    let ran = ask(&fleet, &["sign", "--path", media::SEGMENT, "--ttl", "1m"]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    assert_eq!(Viewer::new().get(ran.stdout.trim()).await.status, 200);
    let ran = ask(&fleet, &["verify", ran.stdout.trim()]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
}

#[tokio::test]
async fn prewarm_and_purge_wait_for_the_last_node_and_say_how_it_went() {
    let source = Source::with_asset(media::TRACK).await;
    let fleet = Plan::web(&source.url).edges(2).selected().start().await;
    let ran = ask(&fleet, &["prewarm", "--tree", media::TRACK, "--wait", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let operation = ran.json();
    assert_eq!(operation["state"], "succeeded");
    let files = media::files(media::TRACK).len();
    for node in operation["nodes"].as_array().unwrap() {
        assert_eq!(node["progress"]["objects_done"], files, "{node:#}");
    }
    let id = operation["id"].as_str().unwrap();
    let ran = ask(&fleet, &["operations", id, "--output", "json"]).await;
    assert_eq!(ran.json()["state"], "succeeded", "{}", ran.everything());

    let ran = ask(&fleet, &["purge", "--prefix", "/stream/track/", "--wait", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let nodes = ran.json()["nodes"].as_array().unwrap().clone();
    assert_eq!(nodes.iter().filter(|node| !node["applied_at"].is_null()).count(), 3, "{}", ran.everything());
    let ran = ask(&fleet, &["operations", "--output", "json"]).await;
    assert_eq!(ran.json()["items"].as_array().unwrap().len(), 2, "{}", ran.everything());

    let ran = ask(&fleet, &["prewarm", "--tree", "/stream/none/master.m3u8", "--wait"]).await;
    assert_eq!(ran.code, 1, "what fails is not 0: {}", ran.everything());
    assert!(ran.stderr.contains("failed") && ran.stderr.contains("edge-1"), "{}", ran.everything());
}

#[tokio::test]
async fn on_a_terminal_there_are_bars_and_the_data_come_after_them() {
    let source = Source::with_asset(media::TRACK).await;
    source.conduct("/stream/track/96k/002.ts", Conduct::HoldHead);
    let fleet = Plan::web(&source.url).selected().patient().start().await;
    // script(1) gives the command a terminal, and keeps what it shows.
    let shown = fleet.folder().join("shown");
    let words = format!("{} prewarm --tree {} --wait", env!("CARGO_BIN_EXE_kromka"), media::TRACK);
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", &words]).arg(&shown).env("TERM", "xterm");
    command.env("KROMKA_SELECTOR", &fleet.selector.as_ref().unwrap().url).env("KROMKA_TOKEN", API_TOKEN);
    let mut process = Process::start("script", command, fleet.folder());
    let text = || String::from_utf8_lossy(&std::fs::read(&shown).unwrap_or_default()).into_owned();
    until("a bar for each node", || async {
        let text = text();
        (text.contains('\u{1b}') && text.contains("edge-1") && text.contains("shield-1")).then_some(())
    })
    .await;
    source.release();
    assert_eq!(process.end().await.code(), Some(0), "{}", text());
    let shown = text();
    assert!(shown.rfind("succeeded") > shown.rfind('\u{1b}'), "a bar is drawn over the answer: {shown}");
}

#[tokio::test]
async fn nodes_are_listed_drained_and_resumed() {
    let fleet = Plan::sample().edges(2).selected().start().await;
    let ran = ask(&fleet, &["nodes", "list", "--output", "json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
    let listed = ran.json();
    let ids: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["edge-1", "edge-2", "shield-1"]);
    let ran = ask(&fleet, &["nodes", "list"]).await;
    assert_eq!(ran.stdout.lines().count(), 4, "a head and three nodes: {}", ran.everything());

    let ran = ask(&fleet, &["nodes", "drain", "edge-1", "--output", "json"]).await;
    assert_eq!((ran.code, &ran.json()["state"]), (0, &"draining".into()), "{}", ran.everything());
    let ran = ask(&fleet, &["nodes", "resume", "edge-1", "--output", "json"]).await;
    assert_eq!((ran.code, &ran.json()["state"]), (0, &"up".into()), "{}", ran.everything());
    let ran = ask(&fleet, &["nodes", "drain", "edge-9"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.everything());
}

#[tokio::test]
async fn a_selector_that_says_no_or_nothing_is_told_with_a_remedy() {
    let fleet = Plan::sample().selected().start().await;
    let ran = ask_as(&fleet, "nobodys-token-0123456789", &["nodes", "list"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.everything());
    assert!(ran.stderr.contains("KROMKA_TOKEN"), "{}", ran.everything());
    let ran = ask_as(&fleet, SCOPES[4].1, &["purge", "--url", "/stream/x.ts"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains("purge:write"), "{}", ran.everything());
    let ran = ask(&fleet, &["sessions", "create", "--asset", "/a.ts", "--subject", "me"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains("asset"), "{}", ran.everything());
    drop(fleet);

    let nowhere = format!("http://{}", crate::world::ports::address());
    let ran = kromka(&["nodes", "list", "--selector", &nowhere, "--token", "t"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(ran.stderr.contains("selector"), "{}", ran.everything());
    let ran = kromka(&["nodes", "list"]).await;
    assert_eq!(ran.code, 2, "{}", ran.everything());
    assert!(ran.stderr.contains("--selector"), "{}", ran.everything());
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let fleet = Plan::sample().selected().start().await;
    let mut command = binary();
    command.args([
        "nodes",
        "list",
        "--selector",
        &fleet.selector.as_ref().unwrap().url,
        "--token",
        API_TOKEN,
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("panicked"), "{:?}: {said}", output.status);
}
