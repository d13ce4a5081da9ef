//! Sources that lie, each in its own way: nothing that is not what it seems reaches a viewer as whole.

use crate::world::fleet::Plan;
use crate::world::{Fleet, Said, Script, Viewer, media, until};
use reqwest::Method;

const PATH: &str = "/stream/film/001.ts";
const KEPT: &str = "cache-control: max-age=3600";

async fn site() -> (Script, Fleet) {
    let script = Script::start().await;
    let fleet = Plan::web(&script.url).start().await;
    (script, fleet)
}

/// A header and a body, as they stand.
fn with(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat()
}

/// Asks until the whole of it comes, which it must.
async fn comes_whole(fleet: &Fleet, path: &str, body: &[u8]) {
    until("all is whole again", || async {
        let got = Viewer::new().get(&fleet.signed(path)).await;
        (got.status == 200 && got.body.is_ok_and(|came| came == body)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_longer_than_its_length_ends_at_its_length_and_spoils_nothing_behind_it() {
    let (script, fleet) = site().await;
    let evil = "HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: 4\r\n\r\nevil";
    let long = with(&format!("200 OK\r\ncontent-length: 4\r\n{KEPT}"), format!("good{evil}").as_bytes());
    script.says(PATH, vec![Said::raw(long)]);
    script.says("/stream/next.ts", vec![Said::answer("200 OK", &[KEPT], "next")]);
    for _ in 0..2 {
        assert_eq!(Viewer::new().get(&fleet.signed(PATH)).await.text(), "good");
        comes_whole(&fleet, "/stream/next.ts", b"next").await;
    }
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_never_whole() {
    let (script, fleet) = site().await;
    let body = media::noise(1, 500_000);
    let head = format!("200 OK\r\ncontent-length: {}\r\n{KEPT}", body.len());
    script.says(PATH, vec![Said::then_close(with(&head, &body[..300_000])), Said::raw(with(&head, &body))]);
    if let Ok(got) = Viewer::new().try_ask(Method::GET, &fleet.signed(PATH), &[]).await {
        assert!(got.status >= 500 || got.body.is_err(), "half a body without a validator looks complete");
    }
    comes_whole(&fleet, PATH, &body).await;
}

#[tokio::test]
async fn a_tag_that_changes_midway_never_mixes_two_versions() {
    let (script, fleet) = site().await;
    let (old, new) = (media::noise(2, 900_000), media::noise(3, 900_000));
    let head = |tag: &str| format!("200 OK\r\ncontent-length: 900000\r\netag: {tag}\r\n{KEPT}");
    // It breaks off, and the rest is of another version, whichever part of it is asked for.
    let rest = |from: usize| {
        let head = format!(
            "206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-899999/900000\r\netag: \"2\"\r\n{KEPT}",
            900_000 - from
        );
        Said::raw(with(&head, &new[from..]))
    };
    let (blocks, broken) = (512 << 10, Said::then_close(with(&head("\"1\""), &old[..600_000])));
    script.says(PATH, vec![broken, rest(blocks), Said::raw(with(&head("\"2\""), &new))]);
    if let Ok(got) = Viewer::new().try_ask(Method::GET, &fleet.signed(PATH), &[]).await
        && let Ok(body) = got.body
    {
        assert!(got.status >= 500 || body == old || body == new, "a mixture of two versions");
    }
    comes_whole(&fleet, PATH, &new).await;
}

#[tokio::test]
async fn a_part_in_the_wrong_place_and_the_whole_instead_of_a_part_are_understood() {
    let (script, fleet) = site().await;
    let body = media::noise(4, 700_000);
    let whole = Said::raw(with(&format!("200 OK\r\ncontent-length: 700000\r\netag: \"1\"\r\n{KEPT}"), &body));
    let shifted = format!(
        "206 Partial Content\r\ncontent-length: 1000\r\ncontent-range: bytes 5-1004/700000\r\netag: \"1\"\r\n{KEPT}"
    );
    for (path, first) in
        [("/stream/shifted.ts", Said::raw(with(&shifted, &body[..1000]))), (PATH, whole.clone())]
    {
        script.says(path, vec![first, whole.clone()]);
        for (range, part) in [("bytes=300000-300099", 300_000..300_100), ("bytes=-100", 699_900..700_000)] {
            let got = Viewer::new().ask(Method::GET, &fleet.signed(path), &[("range", range)]).await;
            assert_eq!(got.status, 206, "{path} {range}");
            assert!(got.bytes() == &body[part], "{path} {range}");
        }
        assert!(script.heard_of(path).len() <= 3, "{path}: {}", script.heard_of(path).len());
    }
}

#[tokio::test]
async fn what_is_compressed_though_it_was_not_to_be_says_so() {
    let (script, fleet) = site().await;
    let fields = [KEPT, "content-encoding: gzip", "content-type: application/vnd.apple.mpegurl"];
    for path in [PATH, "/stream/master.m3u8"] {
        script.says(path, vec![Said::answer("200 OK", &fields, "not really gzip")]);
        for _ in 0..2 {
            let got = Viewer::new().get(&fleet.signed(path)).await;
            assert_eq!((got.status, got.text()), (200, "not really gzip"));
            assert_eq!(got.header("content-encoding"), "gzip", "{path}");
        }
        assert!(script.heard_of(path).iter().all(|heard| heard.field("accept-encoding") == Some("identity")));
    }
}

#[tokio::test]
async fn a_header_without_end_is_given_up() {
    let (script, fleet) = site().await;
    let endless = format!(
        "HTTP/1.1 200 OK\r\n{}",
        "x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(40_000)
    );
    script.says(PATH, vec![Said::raw(endless), Said::answer("200 OK", &[KEPT], "good")]);
    let got = Viewer::new().get(&fleet.signed(PATH)).await;
    assert!(got.status == 502 || got.text() == "good", "{}", got.status);
    comes_whole(&fleet, PATH, b"good").await;
}

#[tokio::test]
async fn redirects_are_answers_and_lead_the_shield_nowhere() {
    let (script, fleet) = site().await;
    for hop in 1..4 {
        let to = format!("location: {}/stream/hop{}.ts", script.url, hop + 1);
        script.says(&format!("/stream/hop{hop}.ts"), vec![Said::answer("302 Found", &[&to], "")]);
    }
    let got = Viewer::new().get(&fleet.signed("/stream/hop1.ts")).await;
    assert_eq!(got.status, 302);
    assert!(
        script.heard().iter().all(|heard| heard.target == "/stream/hop1.ts"),
        "the source chose what was asked"
    );
}

#[tokio::test]
async fn two_versions_that_a_source_gives_in_turn_are_never_mixed() {
    let (script, fleet) = site().await;
    let bodies = [media::noise(5, 600_000), media::noise(6, 600_000)];
    let turn = |n: usize| {
        let head =
            format!("200 OK\r\ncontent-length: 600000\r\netag: \"{}\"\r\ncache-control: max-age=0", n % 2);
        Said::raw(with(&head, &bodies[n % 2]))
    };
    script.says(PATH, (0..200).map(turn).collect());
    let url = fleet.signed(PATH);
    let viewers = (0..40).map(|n| {
        let (url, bodies) = (url.clone(), bodies.clone());
        tokio::spawn(async move {
            let viewer = if n % 2 == 0 { Viewer::new() } else { Viewer::h2() };
            let mut whole = [0; 2];
            for _ in 0..3 {
                if let Ok(got) = viewer.try_ask(Method::GET, &url, &[]).await
                    && got.status == 200
                    && let Ok(body) = &got.body
                {
                    let version: usize = got.header("etag").trim_matches('"').parse().unwrap();
                    assert!(*body == bodies[version], "the tag of one version over bytes of another");
                    whole[version] += 1;
                }
            }
            whole
        })
    });
    let mut whole = [0; 2];
    for viewer in viewers.collect::<Vec<_>>() {
        let seen = viewer.await.unwrap();
        whole = [whole[0] + seen[0], whole[1] + seen[1]];
    }
    assert!(whole[0] > 0 && whole[1] > 0, "of each version somebody has the whole: {whole:?}");
}

#[tokio::test]
async fn a_bucket_that_says_slow_down_is_asked_little_and_viewers_are_told_when_to_come_back() {
    let script = Script::start().await;
    let source = format!("{{ s3 = \"s3://media\", endpoint = {:?} }}", script.url);
    let fleet = Plan::over(source)
        .with("origin", "cache", "queue = \"100ms\"")
        .with("edge", "cache", "queue = \"100ms\"")
        .start()
        .await;
    let words = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>";
    for n in 0..60 {
        let slow =
            Said::answer("503 Slow Down", &["content-type: application/xml", "retry-after: 600"], words);
        script.says(&format!("/media/stream/{n}.ts"), vec![slow]);
    }
    let wave = || async {
        let asks: Vec<_> = (0..60)
            .map(|n| {
                let url = fleet.signed(&format!("/stream/{n}.ts"));
                tokio::spawn(async move { Viewer::new().get(&url).await })
            })
            .collect();
        for ask in asks {
            let got = ask.await.unwrap();
            assert_eq!((got.status, got.slug().as_str()), (503, "busy"));
            assert!(got.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
        script.heard().len()
    };
    // 60 at once. The third "slow down" in a row begins a rest; the two before it may be tried again once.
    let burst = wave().await;
    assert!(burst <= 62, "{burst} requests for 60 objects");
    // One goes first after each rest, and each rest is twice as long as the one before.
    let after = wave().await - burst;
    assert!(after <= 5, "{after} more requests to a bucket that wants to be left alone");
}
