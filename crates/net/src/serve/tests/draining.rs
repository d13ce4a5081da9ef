//! Leaving without slamming the door.

use tokio::net::TcpStream;

use super::http1::{Http1, field};
use super::http2::{End, Http2};
use super::*;

#[tokio::test]
async fn what_runs_is_finished_and_nothing_new_is_accepted() {
    let server = start(patient(), None).await;
    let mut half = Http1::connect(server.addr).await;
    half.say("GET /half HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut held = Http1::connect(server.addr).await;
    held.say("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut half2 = Http2::connect(server.addr).await;
    let stream = half2.ask("/half").await;
    let mut idle = Http1::connect(server.addr).await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut fresh = Http1::connect(server.addr).await;
    reaches(&server.stats.active, 5).await;
    reaches(&server.stats.in_flight, 3).await;

    let drained = tokio::spawn(server.serving.drain(Duration::from_secs(60)));
    // Whoever waits for nothing is let go at once, and the door is shut.
    assert_eq!(idle.end().await, b"");
    assert_eq!(fresh.end().await, b"");
    assert!(TcpStream::connect(server.addr).await.is_err());
    assert!(!drained.is_finished());

    server.demo.gate.add_permits(3);
    let answer = held.answer().await;
    assert_eq!((answer.status, answer.whole), (200, true));
    assert_eq!(field(&answer.head, "connection"), Some("close"));
    let answer = half.answer().await;
    assert_eq!((answer.whole, answer.body.len()), (true, 20));
    let answer = half2.answer(stream).await;
    assert_eq!((answer.end, answer.body.len()), (End::Whole, 20));
    half2.end().await;
    drop((half, held, half2));
    assert_eq!(soon(drained).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn http2_clients_are_told_to_go() {
    let server = start(patient(), None).await;
    let mut client = Http2::connect(server.addr).await;
    assert_eq!(client.get("/").await.end, End::Whole);
    let drained = tokio::spawn(server.serving.drain(Duration::from_secs(60)));
    assert!(client.goaway().await);
    client.end().await;
    drop(client);
    assert_eq!(soon(drained).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn the_deadline_cuts_what_is_left() {
    let server = start(patient(), None).await;
    let mut half = Http1::connect(server.addr).await;
    half.say("GET /half HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut half2 = Http2::connect(server.addr).await;
    let stream = half2.ask("/half").await;
    reaches(&server.stats.in_flight, 2).await;
    let drained = soon(server.serving.drain(Duration::from_millis(50))).await;
    assert_eq!(drained, Drained { cut: 2 });
    assert!(!half.answer().await.whole);
    assert_ne!(half2.answer(stream).await.end, End::Whole);
    assert_eq!(server.stats.active.load(Relaxed), 0);
    reaches(&server.stats.in_flight, 0).await;
}

#[tokio::test]
async fn dropping_the_server_ends_it() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    assert_eq!(client.get("/").await.status, 200);
    drop(server.serving);
    client.end().await;
    soon(async {
        while TcpStream::connect(server.addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    reaches(&server.stats.active, 0).await;
}
