//! Clients that are slow, silent or greedy.

use super::http1::Http1;
use super::http2::Http2;
use super::*;

#[tokio::test]
async fn a_header_that_trickles_ends_the_connection() {
    let server = start(Limits { header_timeout: Span::millis(200), ..patient() }, None).await;
    let mut client = Http1::connect(server.addr).await;
    let trickle = async {
        client.say("GET / HTTP/1.1\r\n").await;
        while server.stats.header_timeouts.load(Relaxed) == 0 {
            client.say("x-slow: 1\r\n").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(trickle).await;
    client.end().await;
    reaches(&server.stats.active, 0).await;
    assert_eq!(server.stats.requests.load(Relaxed), 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_let_go() {
    let server = start(Limits { header_timeout: Span::millis(100), ..patient() }, None).await;
    let mut silent = Http1::connect(server.addr).await;
    let mut half_a_preface = Http1::connect(server.addr).await;
    half_a_preface.say("PRI * HTTP/2.0\r\n\r\n").await;
    let mut only_a_preface = Http2::connect(server.addr).await;
    silent.end().await;
    half_a_preface.end().await;
    only_a_preface.end().await;
    reaches(&server.stats.header_timeouts, 3).await;
}

#[tokio::test]
async fn the_second_header_must_not_trickle_either() {
    let server = start(Limits { header_timeout: Span::secs(1), ..patient() }, None).await;
    let mut client = Http1::connect(server.addr).await;
    assert_eq!(client.get("/first").await.status, 200);
    client.say("GET /second HTTP/1.1\r\nx-slow").await;
    client.end().await;
    reaches(&server.stats.header_timeouts, 1).await;
}

#[tokio::test]
async fn between_requests_the_idle_time_counts_and_not_the_header_time() {
    let limits = Limits { header_timeout: Span::secs(1), ..patient() };
    let server = start(limits, None).await;
    let mut client = Http1::connect(server.addr).await;
    let mut client2 = Http2::connect(server.addr).await;
    assert_eq!(client.get("/first").await.status, 200);
    assert_eq!(client2.get("/first").await.status, 0x88);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(client.get("/second").await.status, 200);
    assert_eq!(client2.get("/second").await.status, 0x88);
    assert_eq!(server.stats.accepted.load(Relaxed), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_with_a_goodbye() {
    let server = start(Limits { idle_timeout: Span::millis(300), ..patient() }, None).await;
    let mut client = Http1::connect(server.addr).await;
    let mut client2 = Http2::connect(server.addr).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(client2.get("/").await.status, 0x88);
    assert_eq!(client.end().await, b"");
    assert!(client2.goaway().await);
    drop(client2);
    reaches(&server.stats.active, 0).await;
    assert_eq!(server.stats.header_timeouts.load(Relaxed), 0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let server = start(Limits { send_timeout: Span::millis(500), ..patient() }, None).await;
    // It reads every frame but never opens the window: only our own clock can notice.
    let mut client = Http2::connect(server.addr).await;
    client.reading = false;
    client.ask("/big").await;
    client.end().await;
    reaches(&server.stats.stalled, 1).await;
    reaches(&server.stats.active, 0).await;
    reaches(&server.stats.in_flight, 0).await;
    // And one that does not even read.
    let mut client = Http1::connect(server.addr).await;
    client.say("GET /big HTTP/1.1\r\nhost: test\r\n\r\n").await;
    reaches(&server.stats.in_flight, 1).await;
    reaches(&server.stats.active, 0).await;
    reaches(&server.stats.in_flight, 0).await;
}

#[tokio::test]
async fn a_slow_handler_is_not_the_clients_fault() {
    let server = start(Limits { send_timeout: Span::millis(200), ..patient() }, None).await;
    let mut waiting = Http2::connect(server.addr).await;
    let stream = waiting.ask("/half").await;
    let mut held = Http1::connect(server.addr).await;
    held.say("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    reaches(&server.stats.in_flight, 2).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    server.demo.gate.add_permits(2);
    assert_eq!(waiting.answer(stream).await.body.len(), 20);
    assert_eq!(held.answer().await.status, 200);
    assert_eq!(server.stats.stalled.load(Relaxed), 0);
}
