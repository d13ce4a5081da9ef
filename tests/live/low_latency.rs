//! Low-latency streams: reloads are held and released together, for one request upstream, whatever stands
//! behind the shield.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::encoder::{Place, Stream, folder};
use super::order::two_shields;
use crate::world::fleet::Plan;
use crate::world::player::numbers;
use crate::world::{Fleet, Source, Viewer, until, wire, within};

/// A fleet over a folder that a packager writes into.
async fn over_folder(stream: &Stream) -> (Fleet, tempfile::TempDir, Place<'static>) {
    let root = tempfile::tempdir().unwrap();
    let place = folder(root.path());
    stream.publish(&place);
    (Plan::folder(root.path()).start().await, root, place)
}

#[tokio::test]
async fn five_thousand_held_reloads_are_released_by_one_request_to_the_shield() {
    const VIEWERS: usize = 5000;
    let stream = Stream { target: 12, ..Stream::in_parts(5, 8, 1) };
    let root = tempfile::tempdir().unwrap();
    let place = folder(root.path());
    stream.publish(&place);
    // Parts that are announced would be asked for, too.
    let fleet = Plan::folder(root.path()).with("edge", "service", "ahead = 0").start().await;
    let edge = &fleet.edges[0];
    Viewer::new().get(&fleet.signed(&stream.path())).await;
    let before = fleet.shield.metric("kromka_requests_total").await;
    let token = fleet.tokens.good();
    let path = stream.path();
    let request = format!(
        "GET /~{token}{path}?_HLS_part=1&_HLS_msn=8 HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n"
    );
    let mut viewers = Vec::with_capacity(VIEWERS);
    for _ in 0..VIEWERS {
        let mut viewer = wire::connect(&edge.url).await;
        viewer.write_all(request.as_bytes()).await.unwrap();
        viewers.push(viewer);
    }
    until("all are held", || async {
        (edge.metric("kromka_live_held").await == VIEWERS as f64).then_some(())
    })
    .await;
    let news = Stream { parts: Some(2), ..stream };
    news.publish(&place);
    let answers = viewers.into_iter().map(|mut viewer| async move {
        let mut all = Vec::new();
        within("an answer", viewer.read_to_end(&mut all)).await.unwrap();
        wire::parse(all).unwrap()
    });
    let expected = news.playlist();
    let answers: Vec<wire::Answer> = join_all(answers).await;
    let right = answers.iter().filter(|one| one.status == 200 && one.body == expected.as_bytes()).count();
    assert_eq!(right, VIEWERS);
    assert!(answers[0].header("cache-control").contains("max-age=72"), "{}", answers[0].head);
    // The one that was held there; another begins only when somebody waits again.
    assert_eq!(fleet.shield.metric("kromka_requests_total").await, before + 1.0);
    // Who does not wait has the news too.
    let plain = Viewer::new().get(&fleet.signed(&path)).await;
    assert_eq!(plain.text(), expected);
    assert_eq!(fleet.shield.metric("kromka_requests_total").await, before + 1.0);
}

#[tokio::test]
async fn a_folder_is_watched_only_while_somebody_waits() {
    let stream = Stream::in_parts(5, 8, 1);
    let (fleet, _root, place) = over_folder(&stream).await;
    let (viewer, url) = (Viewer::new(), fleet.signed(&stream.path()));
    assert_eq!(numbers(viewer.get(&url).await.text()), (5, 8));
    let waiting = tokio::spawn({
        let (viewer, url) = (viewer.clone(), format!("{url}?_HLS_msn=8"));
        async move { viewer.get(&url).await }
    });
    until("it is held", || async { (fleet.edges[0].metric("kromka_live_held").await == 1.0).then_some(()) })
        .await;
    for parts in 2..5 {
        let part = Stream { parts: Some(parts), ..stream.clone() };
        part.publish(&place);
        until("the part is shown", || async {
            (viewer.get(&url).await.text() == part.playlist()).then_some(())
        })
        .await;
        assert!(!waiting.is_finished(), "part {parts} of the segment is not the segment");
    }
    let whole = Stream::in_parts(5, 9, 0);
    whole.publish(&place);
    let got = waiting.await.unwrap();
    assert_eq!((got.status, got.text()), (200, whole.playlist().as_str()));
    until("nobody waits", || async { (fleet.shield.metric("kromka_live_held").await == 0.0).then_some(()) })
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = fleet.source_requests().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fleet.source_requests().await, asked, "nobody asks for it any more");
}

#[tokio::test]
async fn directives_are_answered_as_the_protocol_says() {
    let stream = Stream::in_parts(0, 20, 1);
    let (fleet, _root, place) = over_folder(&stream).await;
    let (viewer, url) = (Viewer::new(), fleet.signed(&stream.path()));
    let ask = async |query: &str| viewer.get(&format!("{url}?{query}")).await;
    for there in ["_HLS_msn=3", "_HLS_msn=19", "_HLS_msn=20&_HLS_part=0", "_HLS_msn=19&_HLS_part=9"] {
        let got = ask(there).await;
        assert_eq!((got.status, got.text()), (200, stream.playlist().as_str()), "{there}");
    }
    for (wrong, slug) in [
        ("_HLS_part=1", "bad-directive"),
        ("_HLS_msn=x", "bad-directive"),
        ("_HLS_msn=22", "too-far"),
        ("_HLS_msn=20&_HLS_part=40", "too-far"),
    ] {
        let got = ask(wrong).await;
        assert_eq!((got.status, got.slug().as_str()), (400, slug), "{wrong}");
    }
    let delta = ask("_HLS_skip=YES").await;
    assert!(delta.text().contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=14\n"), "{}", delta.text());
    assert!(!delta.text().contains("\ns13.ts\n") && delta.text().contains("\ns14.ts\n"));
    let whole = viewer.get(&url).await;
    assert_ne!(delta.header("etag"), whole.header("etag"));
    let again = viewer
        .ask(
            reqwest::Method::GET,
            &format!("{url}?_HLS_skip=YES"),
            &[("if-none-match", &delta.header("etag"))],
        )
        .await;
    assert_eq!(again.status, 304);
    // Nothing comes: 503 after three target durations.
    let got = ask("_HLS_msn=20&_HLS_part=1").await;
    assert_eq!((got.status, got.slug().as_str()), (503, "no-news"));
    assert!(!got.header("retry-after").is_empty());
    // A delta of what was waited for.
    let waiting = tokio::spawn({
        let (viewer, url) = (viewer.clone(), format!("{url}?_HLS_msn=20&_HLS_part=1&_HLS_skip=YES"));
        async move { viewer.get(&url).await }
    });
    until("it is held", || async { (fleet.edges[0].metric("kromka_live_held").await == 1.0).then_some(()) })
        .await;
    Stream { parts: Some(2), ..stream }.publish(&place);
    let got = waiting.await.unwrap();
    assert!(got.text().contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=14\n") && got.text().contains("s20.1.ts"));
}

#[tokio::test]
async fn a_part_that_is_only_announced_comes_when_it_is_there() {
    let stream = Stream { target: 4, ..Stream::in_parts(5, 8, 1) };
    let (fleet, _root, place) = over_folder(&stream).await;
    let viewer = Viewer::new();
    viewer.get(&fleet.signed(&stream.path())).await;
    let announced = fleet.signed(&stream.part(1));
    let waiting = tokio::spawn({
        let (viewer, announced) = (viewer.clone(), announced.clone());
        async move { viewer.get(&announced).await }
    });
    until("it is held", || async { (fleet.edges[0].metric("kromka_live_held").await == 1.0).then_some(()) })
        .await;
    let news = Stream { parts: Some(2), ..stream.clone() };
    news.publish(&place);
    let got = waiting.await.unwrap();
    assert_eq!((got.status, got.bytes()), (200, &news.bytes(1001)[..]));
    assert_eq!(viewer.get(&fleet.signed(&news.part(0))).await.bytes(), news.bytes(1000));
}

/// A viewer follows a stream for one part, and the part that was announced with it is on the edge before he asks
/// for it; then he follows no further.
async fn follows_for_a_part(fleet: &Fleet, source: &Source, stream: &Stream) {
    let upto = |parts| Stream { parts: Some(parts), ..stream.clone() };
    let (edge, viewer, url) = (&fleet.edges[0], Viewer::new(), fleet.signed(&stream.path()));
    let fetched = edge.metric("kromka_ahead_total").await;
    let used = edge.metric("kromka_ahead_used_total").await;
    upto(1).publish(&Place::Web(source));
    viewer.get(&url).await;
    let waiting = tokio::spawn({
        let (viewer, url) = (viewer.clone(), format!("{url}?_HLS_msn=8&_HLS_part=1"));
        async move { viewer.get(&url).await }
    });
    until("it is held", || async { (edge.metric("kromka_live_held").await == 1.0).then_some(()) }).await;
    upto(2).publish(&Place::Web(source));
    assert_eq!(waiting.await.unwrap().text(), upto(2).playlist());
    // It was shown that part 2 will come: the edge asks for it, and the shield has it wait.
    shield_holds(fleet, 1.0).await;
    assert_eq!(source.asked_for(&stream.part(2)), 0, "nobody bothers the source with what is not there");
    upto(3).publish(&Place::Web(source));
    // Beside it came the segment that a play begins with.
    until("the part is on the edge", || async {
        (edge.metric("kromka_ahead_total").await >= fetched + 2.0).then_some(())
    })
    .await;
    let got = viewer.get(&fleet.signed(&stream.part(2))).await;
    assert!(got.edge_hit(), "{}", got.header("cache-status"));
    assert_eq!((got.bytes(), source.asked_for(&stream.part(2))), (&stream.bytes(1002)[..], 1));
    assert_eq!(edge.metric("kromka_ahead_used_total").await, used + 1.0);
    upto(4).publish(&Place::Web(source));
    shield_holds(fleet, 0.0).await;
}

async fn shield_holds(fleet: &Fleet, count: f64) {
    until("the shield holds that many", || async {
        (fleet.shield.metric("kromka_live_held").await == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_part_that_is_announced_is_on_the_edge_before_anybody_asks_and_none_once_nobody_follows() {
    let source = Source::start().await;
    let stream = Stream { target: 4, ..Stream::in_parts(5, 8, 1) };
    let fleet = Plan::web(&source.url).with("origin", "service", "ahead = 0").start().await;
    follows_for_a_part(&fleet, &source, &stream).await;
    // What comes now comes for nobody; with another stream all goes on as before, one part after the other.
    Stream { parts: Some(5), ..stream.clone() }.publish(&Place::Web(&source));
    follows_for_a_part(&fleet, &source, &Stream { folder: "/stream/other", ..stream.clone() }).await;
    assert_eq!(source.asked_for(&stream.part(3)) + source.asked_for(&stream.part(4)), 0);
}

#[tokio::test]
async fn announced_parts_are_asked_of_the_shield_that_knows_of_them_and_come_once() {
    let source = Source::start().await;
    let stream = Stream { target: 4, ..Stream::in_parts(5, 8, 1) };
    let upto = |parts| Stream { parts: Some(parts), ..stream.clone() };
    stream.publish(&Place::Web(&source));
    // By its own name each part belongs to one shield or the other.
    let (fleet, _second) = two_shields(&source, &source, 1).await;
    let (viewer, url) = (Viewer::new(), fleet.signed(&stream.path()));
    viewer.get(&url).await;
    let edge = &fleet.edges[0];
    for part in 1..9 {
        let waiting = tokio::spawn({
            let (viewer, url) = (viewer.clone(), format!("{url}?_HLS_msn=8&_HLS_part={part}"));
            async move { viewer.get(&url).await }
        });
        until("it is held", || async { (edge.metric("kromka_live_held").await == 1.0).then_some(()) }).await;
        assert_eq!(source.asked_for(&stream.part(part)), 0, "part {part} is not there");
        upto(part + 1).publish(&Place::Web(&source));
        assert_eq!(waiting.await.unwrap().text(), upto(part + 1).playlist());
        let got = viewer.get(&fleet.signed(&stream.part(part))).await;
        assert_eq!((got.status, got.bytes()), (200, &stream.bytes(1000 + part)[..]));
        assert_eq!(source.asked_for(&stream.part(part)), 1, "part {part}");
    }
}

#[tokio::test]
async fn a_web_server_that_knows_no_directives_is_watched_too() {
    let source = Source::start().await;
    let stream = Stream::in_parts(5, 8, 1);
    stream.publish(&Place::Web(&source));
    let fleet = Plan::web(&source.url).edges(2).start().await;
    let viewer = Viewer::new();
    let waiting = join_all((0..40).map(|n| {
        let (viewer, url) = (viewer.clone(), fleet.signed_at(n % 2, &stream.path()));
        async move { viewer.get(&format!("{url}?_HLS_msn=8&_HLS_part=1")).await }
    }));
    let waiting = tokio::spawn(waiting);
    until("all are held", || async {
        let held =
            fleet.edges[0].metric("kromka_live_held").await + fleet.edges[1].metric("kromka_live_held").await;
        (held == 40.0).then_some(())
    })
    .await;
    let news = Stream { parts: Some(2), ..stream };
    news.publish(&Place::Web(&source));
    for got in waiting.await.unwrap() {
        assert_eq!((got.status, got.text()), (200, news.playlist().as_str()));
    }
}

/// A stream whose parts are byte ranges of the segment's file, which grows.
fn growing_playlist(end: u64, parts: &[usize]) -> String {
    let mut text = Stream { target: 4, ..Stream::in_parts(5, end, 0) }.playlist();
    text.truncate(text.find("#EXT-X-PRELOAD-HINT").unwrap());
    let mut start = 0;
    for length in parts {
        text.push_str(&format!(
            "#EXT-X-PART:DURATION=0.2,URI=\"s{end}.ts\",BYTERANGE=\"{length}@{start}\"\n"
        ));
        start += length;
    }
    text.push_str(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s{end}.ts\",BYTERANGE-START={start}\n"));
    text
}

#[tokio::test]
async fn parts_of_a_file_that_still_grows_come_right_and_once_and_then_the_file_is_whole() {
    const FIRST: usize = 7000;
    const SECOND: usize = 9000;
    let stream = Stream { target: 4, ..Stream::in_parts(5, 8, 0) };
    let (fleet, _root, place) = over_folder(&stream).await;
    let body = crate::world::media::noise(77, FIRST + SECOND);
    let (path, list) = (stream.segment(8), stream.path());
    place.put(&path, &body[..FIRST]);
    place.put(&list, growing_playlist(8, &[FIRST]).as_bytes());
    let viewer = Viewer::new();
    let url = fleet.signed(&path);
    viewer.get(&fleet.signed(&list)).await;
    let range = async |range: &str| viewer.ask(reqwest::Method::GET, &url, &[("range", range)]).await;

    let first = format!("bytes=0-{}", FIRST - 1);
    let got = range(&first).await;
    assert_eq!((got.status, got.bytes()), (206, &body[..FIRST]));
    assert_eq!(got.header("content-range"), format!("bytes 0-{}/*", FIRST - 1));
    let asked = fleet.source_requests().await;
    assert!(range(&first).await.edge_hit());
    assert_eq!(fleet.source_requests().await, asked);

    // The next one is asked for before it is there, as far as it will go.
    let waiting = tokio::spawn({
        let (viewer, url) = (viewer.clone(), url.clone());
        async move { viewer.ask(reqwest::Method::GET, &url, &[("range", "bytes=7000-")]).await }
    });
    until("it is held", || async { (fleet.edges[0].metric("kromka_live_held").await == 1.0).then_some(()) })
        .await;
    place.put(&path, &body);
    place.put(&list, growing_playlist(8, &[FIRST, SECOND]).as_bytes());
    let got = waiting.await.unwrap();
    assert_eq!((got.status, got.bytes()), (206, &body[FIRST..]));
    assert_eq!(got.header("content-range"), format!("bytes 7000-{}/*", FIRST + SECOND - 1));

    // The segment is complete: its file is an object like any other.
    place.put(&list, growing_playlist(9, &[]).as_bytes());
    until("the segment is named", || async {
        viewer.get(&fleet.signed(&list)).await.text().contains("\ns8.ts\n").then_some(())
    })
    .await;
    let got = viewer.get(&url).await;
    assert_eq!((got.status, got.bytes()), (200, &body[..]));
    let got = range("bytes=6000-7999").await;
    assert_eq!((got.status, got.bytes()), (206, &body[6000..8000]));
    assert!(got.header("content-range").ends_with("/16000"));
}
