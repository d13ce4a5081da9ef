//! Many viewers, one request upstream; viewers who come and go.

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::fleet::Plan;
use crate::world::viewer::read;
use crate::world::{Conduct, Source, Viewer, media, until, wire, within};

const PATH: &str = "/stream/live/001.ts";

#[tokio::test]
async fn two_thousand_viewers_of_a_cold_segment_make_one_request_upstream() {
    const VIEWERS: usize = 2000;
    let source = Source::start().await;
    let segment = media::noise(1, 60_000);
    source.put(PATH, segment.clone());
    source.conduct(PATH, Conduct::HoldHead);
    let fleet = Plan::web(&source.url).edges(2).patient().start().await;
    let token = fleet.tokens.good();
    let request = format!("GET /~{token}{PATH} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n");

    let connect = async |n: usize| {
        let mut stream = wire::connect(&fleet.edges[n % 2].url).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut viewers = Vec::with_capacity(VIEWERS);
    for n in 0..VIEWERS {
        viewers.push(connect(n).await);
    }
    until("all viewers wait for the one answer", || async {
        let open = fleet.edges[0].metric("kromka_connections").await
            + fleet.edges[1].metric("kromka_connections").await;
        (open >= VIEWERS as f64).then_some(())
    })
    .await;
    source.release();

    let answers = viewers.into_iter().map(|mut stream| async move {
        let mut all = Vec::new();
        within("an answer", stream.read_to_end(&mut all)).await.unwrap();
        wire::parse(all).unwrap()
    });
    let answers: Vec<wire::Answer> = join_all(answers).await;
    let whole = answers.iter().filter(|answer| answer.status == 200 && answer.body == segment).count();
    assert_eq!(whole, VIEWERS);
    assert_eq!(source.asked_for(PATH), 1, "{:?}", source.asked());
    assert_eq!(fleet.shield.metric("kromka_requests_total").await, 2.0, "one request of each edge");
}

#[tokio::test]
async fn a_viewer_who_leaves_does_not_break_the_others_nor_ask_again() {
    let source = Source::start().await;
    let segment = media::noise(2, 3_000_000);
    source.put(PATH, segment.clone());
    source.conduct(PATH, Conduct::HoldAfter(1_000_000));
    let fleet = Plan::web(&source.url).edges(2).patient().start().await;
    let url = fleet.signed(PATH);
    let viewer = Viewer::new();

    // The one who came first, and whose request began the fetch, leaves in the middle.
    let first = viewer.open(Method::GET, &url, &[]).await.unwrap();
    let mut pieces = first.bytes_stream();
    assert!(!pieces.next().await.unwrap().unwrap().is_empty());
    let second = viewer.open(Method::GET, &url, &[]).await.unwrap();
    let third = Viewer::h2().open(Method::GET, &url, &[]).await.unwrap();
    drop(pieces);
    source.release();

    for (name, response) in [("h1", second), ("h2", third)] {
        let body = read(response).await.unwrap_or_else(|part| panic!("{name} broke off at {}", part.len()));
        assert!(body == segment, "{name}: other bytes");
    }
    assert_eq!(source.asked_for(PATH), 1);
    let got = viewer.get(&url).await;
    assert!(got.edge_hit() && got.bytes() == segment, "{}", got.header("cache-status"));
}

#[tokio::test]
async fn a_fetch_that_everybody_left_is_finished_for_the_next_one() {
    let source = Source::start().await;
    let segment = media::noise(3, 2_000_000);
    source.put(PATH, segment.clone());
    source.conduct(PATH, Conduct::HoldAfter(500_000));
    let fleet = Plan::web(&source.url).edges(2).patient().start().await;
    let url = fleet.signed(PATH);
    let viewer = Viewer::new();
    let only = viewer.open(Method::GET, &url, &[]).await.unwrap();
    let mut pieces = only.bytes_stream();
    pieces.next().await.unwrap().unwrap();
    drop(pieces);
    source.release();
    until("the fetch ends", || async {
        let active = fleet.edges[0].metric("kromka_fill_active").await
            + fleet.shield.metric("kromka_fill_active").await;
        (active == 0.0).then_some(())
    })
    .await;
    let got = viewer.get(&url).await;
    assert!(got.edge_hit(), "{}", got.header("cache-status"));
    assert!(got.bytes() == segment);
    assert_eq!(source.asked_for(PATH), 1);
}

#[tokio::test]
async fn bytes_stream_through_both_tiers_before_the_source_has_sent_all() {
    let source = Source::start().await;
    let segment = media::noise(4, 4_000_000);
    source.put(PATH, segment.clone());
    source.conduct(PATH, Conduct::HoldAfter(2_000_000));
    let fleet = Plan::web(&source.url).edges(2).patient().start().await;
    let response = Viewer::new().open(Method::GET, &fleet.signed(PATH), &[]).await.unwrap();
    let mut pieces = response.bytes_stream();
    let mut seen = 0;
    // The source holds the rest until this much has come through.
    while seen < 1_000_000 {
        seen += within("bytes", pieces.next()).await.unwrap().unwrap().len();
    }
    source.release();
    while let Some(piece) = pieces.next().await {
        seen += piece.unwrap().len();
    }
    assert_eq!(seen, segment.len());
}

#[tokio::test]
async fn a_missing_segment_is_asked_for_once_by_a_crowd() {
    let source = Source::start().await;
    let fleet = Plan::web(&source.url).start().await;
    let url = fleet.signed("/stream/none.ts");
    let viewer = Viewer::new();
    let answers = join_all((0..100).map(|_| viewer.get(&url))).await;
    assert!(answers.iter().all(|got| got.status == 404));
    // One, and one more if the crowd took longer than the second that a 404 is remembered.
    assert!(source.asked_for("/stream/none.ts") <= 3, "{}", source.asked_for("/stream/none.ts"));
}
