//! A source or a shield that dies midway never yields a body that looks complete, over h1 and h2.

use futures_util::StreamExt;
use reqwest::Method;

use crate::world::fleet::Plan;
use crate::world::{Conduct, Source, Viewer, media, until, wire, within};

const PATH: &str = "/stream/film/001.ts";

#[tokio::test]
async fn a_source_that_dies_midway_is_an_error_over_h1_and_h2_and_nothing_of_it_is_kept_as_whole() {
    dies(Conduct::CutAfter(700_000)).await;
}

#[tokio::test]
async fn a_source_that_dies_midway_without_having_told_the_length_is_an_error_too() {
    dies(Conduct::CutChunksAfter(700_000)).await;
}

#[tokio::test]
async fn a_source_that_dies_before_the_first_byte_is_an_error_too() {
    dies(Conduct::CutAfter(0)).await;
}

async fn dies(conduct: Conduct) {
    let segment = media::noise(5, 1_500_000);
    let source = Source::start().await;
    source.put(PATH, segment.clone());
    source.conduct(PATH, conduct);
    let fleet = Plan::web(&source.url).start().await;
    let url = fleet.signed(PATH);
    for (name, viewer) in [("h1", Viewer::new()), ("h2", Viewer::h2())] {
        match viewer.try_ask(Method::GET, &url, &[]).await {
            Err(_) => {}
            Ok(got) if got.status == 200 => {
                let Err(part) = got.body else { panic!("{name}: a broken body looks complete") };
                assert!(part.len() < segment.len() && segment.starts_with(&part), "{name}: other bytes");
            }
            Ok(got) => {
                assert_eq!((got.status, got.slug().as_str()), (502, "source-unreachable"), "{name}")
            }
        }
    }
    // On the wire as well: no last chunk, and fewer bytes than were promised.
    let target = url.strip_prefix(&fleet.edges[0].url).unwrap().to_owned();
    let answer = wire::get(&fleet.edges[0].url, &target).await;
    if answer.status == 200 {
        assert!(!answer.body.ends_with(b"0\r\n\r\n"), "a last chunk");
        let promised = answer.header("content-length").parse::<usize>().ok();
        assert!(promised.is_none_or(|length| answer.body.len() < length), "as many bytes as promised");
    }
    source.conduct(PATH, Conduct::Whole);
    until("the source is well and all is whole again", || async {
        let got = Viewer::new().get(&url).await;
        (got.status == 200 && got.body.is_ok_and(|body| body == segment)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_source_that_resets_midway_is_an_error_and_afterwards_only_what_is_missing_is_fetched() {
    const BLOCK: usize = 256 << 10;
    for (name, viewer) in [("h1", Viewer::new()), ("h2", Viewer::h2())] {
        let segment = media::noise(9, 1_500_000);
        let source = Source::start().await;
        source.put(PATH, segment.clone());
        source.conduct(PATH, Conduct::ResetAfter(700_000));
        let fleet = Plan::web(&source.url).start().await;
        let url = fleet.signed(PATH);
        let mut pieces = viewer.open(Method::GET, &url, &[]).await.unwrap().bytes_stream();
        let mut come = Vec::new();
        while come.len() < 2 * BLOCK {
            come.extend_from_slice(&within("a piece", pieces.next()).await.unwrap().unwrap());
        }
        source.release();
        let broke = loop {
            match within("the end of the body", pieces.next()).await {
                Some(Ok(piece)) => come.extend_from_slice(&piece),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(broke && come.len() < segment.len(), "{name}: a body that was reset looks complete");
        assert!(segment.starts_with(&come), "{name}: other bytes");
        source.conduct(PATH, Conduct::Whole);
        let before = source.asked_for(PATH);
        until("all is whole again", || async {
            let got = Viewer::new().get(&url).await;
            (got.status == 200 && got.body.is_ok_and(|body| body == segment)).then_some(())
        })
        .await;
        let asked = source.asked();
        let ranges: Vec<&str> = asked[before..].iter().map(|asked| asked.fields["range"].as_str()).collect();
        let rest = format!("bytes={}-{}", 2 * BLOCK, segment.len() - 1);
        assert_eq!(ranges, [rest.as_str()], "{name}: what had come came again");
    }
}

#[tokio::test]
async fn a_source_that_falls_silent_midway_is_an_error_in_bounded_time() {
    let source = Source::start().await;
    let segment = media::noise(6, 1_000_000);
    source.put(PATH, segment.clone());
    source.conduct(PATH, Conduct::HoldAfter(400_000));
    let fleet = Plan::web(&source.url)
        .with("edge", "cache", "stall = \"2s\"")
        .with("edge", "shield", "stall = \"2s\"")
        .with("origin", "cache", "stall = \"1s\"")
        .start()
        .await;
    for viewer in [Viewer::new(), Viewer::h2()] {
        if let Ok(got) = viewer.try_ask(Method::GET, &fleet.signed(PATH), &[]).await {
            assert!(got.status >= 500 || got.body.is_err(), "{}: looks complete", got.status);
        }
    }
    source.release();
    until("all is whole again", || async {
        let got = Viewer::new().get(&fleet.signed(PATH)).await;
        (got.status == 200 && got.body.is_ok_and(|body| body == segment)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_source_that_never_answers_is_504_and_one_that_is_not_there_is_502() {
    let source = Source::start().await;
    source.put(PATH, "late");
    source.conduct(PATH, Conduct::HoldHead);
    let fleet = Plan::web(&source.url).with("origin", "cache", "first_byte = \"500ms\"").start().await;
    let got = Viewer::new().get(&fleet.signed(PATH)).await;
    assert_eq!((got.status, got.slug().as_str()), (504, "source-timeout"));
    assert!(got.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(got.header("access-control-allow-origin"), "*");
    assert!(!got.text().contains(source.url.trim_start_matches("http://")), "{}", got.text());
    drop(fleet);

    let nowhere = format!("http://{}", crate::world::ports::address());
    let fleet = Plan::web(&nowhere).start().await;
    let got = Viewer::new().get(&fleet.signed(PATH)).await;
    assert_eq!((got.status, got.slug().as_str()), (502, "source-unreachable"));
    assert!(got.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn an_error_of_the_source_is_passed_on_with_words() {
    let source = Source::start().await;
    source.put(PATH, "x");
    let fleet = Plan::web(&source.url).start().await;
    for status in [403, 410, 500, 503] {
        source.put(&format!("/stream/{status}.ts"), "x");
        source.conduct(&format!("/stream/{status}.ts"), Conduct::Status(status));
        let got = Viewer::new().get(&fleet.signed(&format!("/stream/{status}.ts"))).await;
        assert_eq!(got.status, status);
        assert!(!got.slug().is_empty());
    }
    // The source's word about the shield's credentials is not one about the viewer's.
    source.put("/stream/401.ts", "x");
    source.conduct("/stream/401.ts", Conduct::Status(401));
    assert_eq!(Viewer::new().get(&fleet.signed("/stream/401.ts")).await.status, 502);
}

#[tokio::test]
async fn a_shield_that_is_killed_midway_is_an_error_and_what_was_whole_stays() {
    let source = Source::start().await;
    let segment = media::noise(8, 8_000_000);
    source.put(PATH, segment.clone());
    source.put("/stream/other.ts", "whole before");
    source.conduct(PATH, Conduct::HoldAfter(4_000_000));
    let mut fleet = Plan::web(&source.url).start().await;
    let url = fleet.signed(PATH);
    assert_eq!(Viewer::new().get(&fleet.signed("/stream/other.ts")).await.text(), "whole before");
    let mut bodies = Vec::new();
    for viewer in [Viewer::new(), Viewer::h2()] {
        let response = viewer.open(Method::GET, &url, &[]).await.unwrap();
        let mut pieces = response.bytes_stream();
        assert!(!pieces.next().await.unwrap().unwrap().is_empty());
        bodies.push(pieces);
    }
    fleet.shield.kill();
    for mut pieces in bodies {
        let mut broke = false;
        while let Some(piece) = within("the end of a body", pieces.next()).await {
            if piece.is_err() {
                broke = true;
                break;
            }
        }
        assert!(broke, "a body without its end looks complete");
    }
    // What an edge has, it serves without a shield.
    assert_eq!(Viewer::new().get(&fleet.signed("/stream/other.ts")).await.text(), "whole before");
    let got = Viewer::new().get(&fleet.signed("/stream/unknown.ts")).await;
    assert_eq!((got.status, got.slug().as_str()), (502, "source-unreachable"));

    source.release();
    fleet.shield.start().await;
    until("the shield is back and all is whole", || async {
        let got = Viewer::new().get(&url).await;
        (got.status == 200 && got.body.is_ok_and(|body| body == segment)).then_some(())
    })
    .await;
}
