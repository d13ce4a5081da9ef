//! Bodies that break: no client may take a part for the whole.

use super::http1::Http1;
use super::http2::{End, Http2};
use super::*;

#[tokio::test]
async fn a_broken_body_with_a_length_ends_the_connection_early() {
    let server = start(patient(), None).await;
    let answer = Http1::connect(server.addr).await.get("/broken-length").await;
    assert_eq!((answer.status, answer.whole), (200, false));
    assert!(answer.body.len() <= 1000);
    assert_eq!(server.stats.body_errors.load(Relaxed), 1);
}

#[tokio::test]
async fn a_broken_body_in_chunks_has_no_last_chunk() {
    let server = start(patient(), None).await;
    let answer = Http1::connect(server.addr).await.get("/broken-chunked").await;
    assert_eq!((answer.status, answer.whole), (200, false));
}

#[tokio::test]
async fn a_broken_body_until_close_is_a_reset() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    // HTTP/1.0 knows neither chunks nor, here, a length: only a reset can tell.
    client.say("GET /broken-chunked HTTP/1.0\r\n\r\n").await;
    let mut read = Vec::new();
    let error = soon(tokio::io::AsyncReadExt::read_to_end(&mut client.0, &mut read)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_broken_body_resets_its_http2_stream_and_no_other() {
    let server = start(patient(), None).await;
    let mut client = Http2::connect(server.addr).await;
    assert_eq!(client.get("/broken-length").await.end, End::Reset);
    assert_eq!(client.get("/broken-chunked").await.end, End::Reset);
    assert_eq!(client.get("/after").await.end, End::Whole);
    assert_eq!(server.stats.accepted.load(Relaxed), 1);
}

#[tokio::test]
async fn a_panicking_body_breaks_like_any_other() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    client.say("GET /panic-body HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(!client.end().await.ends_with(b"0\r\n\r\n"));
    assert_eq!(Http2::connect(server.addr).await.get("/panic-body").await.end, End::Reset);
    reaches(&server.stats.panics, 2).await;
    reaches(&server.stats.in_flight, 0).await;
    assert_eq!(Http1::connect(server.addr).await.get("/after").await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_exchange() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    client.say("GET /half HTTP/1.1\r\nhost: test\r\n\r\n").await;
    reaches(&server.stats.in_flight, 1).await;
    drop(client);
    reaches(&server.stats.active, 0).await;
    reaches(&server.stats.in_flight, 0).await;
}
