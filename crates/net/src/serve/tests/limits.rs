//! What is too large, too many, or wrong.

use kromka_config::ByteSize;

use super::http1::{Http1, field};
use super::http2::{End, Http2};
use super::*;

#[tokio::test]
async fn a_plain_request_is_answered_with_a_date_and_the_connection_stays() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    for path in ["/one", "/two"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, path.as_bytes()));
        assert!(field(&answer.head, "date").is_some());
    }
    assert_eq!(server.stats.accepted.load(Relaxed), 1);
    assert_eq!(server.stats.requests.load(Relaxed), 2);
    reaches(&server.stats.in_flight, 0).await;
    assert!(server.stats.sent_bytes.load(Relaxed) > 100);
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge_within_its_limits() {
    let server = start(Limits { streams: 7, ..patient() }, None).await;
    let mut client = Http2::connect(server.addr).await;
    assert_eq!(client.max_streams().await, Some(7));
    let answer = client.get("/h2").await;
    assert_eq!((answer.status, answer.body.as_slice(), answer.end), (0x88, b"/h2".as_slice(), End::Whole));
    // More than one window: it flows on as the client takes it.
    assert_eq!(client.get("/big").await.body.len(), 64 << 20);
}

#[tokio::test]
async fn an_url_beyond_the_limit_is_414() {
    let server = start(Limits { url_bytes: ByteSize::kib(1), ..patient() }, None).await;
    let mut client = Http1::connect(server.addr).await;
    let answer = client.get(&format!("/{}", "a".repeat(1023))).await;
    assert_eq!(answer.status, 200);
    let answer = client.get(&format!("/{}", "a".repeat(1024))).await;
    assert_eq!(answer.status, 414);
    assert_eq!(field(&answer.head, "content-type"), Some("application/problem+json"));
    assert!(answer.whole);
    // The request was understood, so the connection is still good.
    assert_eq!(client.get("/after").await.status, 200);
    let mut client = Http2::connect(server.addr).await;
    let answer = client.get(&format!("/{}", "a".repeat(2000))).await;
    assert_ne!(answer.status, 0x88);
    assert!(String::from_utf8(answer.body).unwrap().contains("url-too-long"));
    assert_eq!(server.stats.malformed.load(Relaxed), 2);
}

#[tokio::test]
async fn a_header_beyond_the_limit_is_431() {
    let server = start(Limits { header_bytes: ByteSize::kib(8), ..patient() }, None).await;
    // Both within hyper's buffer and far beyond it.
    for bytes in [9 << 10, 20 << 10, 300 << 10] {
        let mut client = Http1::connect(server.addr).await;
        client.say(&format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "a".repeat(bytes))).await;
        assert_eq!(client.answer().await.status, 431, "{bytes}");
    }
    let mut client = Http1::connect(server.addr).await;
    client.say(&format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "a: b\r\n".repeat(500))).await;
    assert_eq!(client.answer().await.status, 431);
    reaches(&server.stats.malformed, 4).await;
}

#[tokio::test]
async fn nonsense_is_400_and_counted() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    client.say("\u{1}\u{2} nonsense\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    client.end().await;
    reaches(&server.stats.malformed, 1).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_get_503_and_the_others_go_on() {
    let server = start(Limits { connections: 2, ..patient() }, None).await;
    let mut first = Http1::connect(server.addr).await;
    assert_eq!(first.get("/1").await.status, 200);
    let mut second = Http2::connect(server.addr).await;
    assert_eq!(second.get("/2").await.status, 0x88);

    let mut third = Http1::connect(server.addr).await;
    let answer = third.get("/3").await;
    assert_eq!((answer.status, answer.whole), (503, true));
    assert_eq!(field(&answer.head, "retry-after"), Some("1"));
    assert!(serde_json::from_slice::<crate::Problem>(&answer.body).unwrap().slug() == "too-many-connections");
    assert_eq!(server.stats.refused.load(Relaxed), 1);

    assert_eq!(first.get("/1").await.status, 200);
    drop(second);
    reaches(&server.stats.active, 1).await;
    assert_eq!(Http1::connect(server.addr).await.get("/4").await.status, 200);
}

#[tokio::test]
async fn a_panic_is_500_and_the_server_lives() {
    let server = start(patient(), None).await;
    let mut client = Http1::connect(server.addr).await;
    let answer = client.get("/panic").await;
    assert_eq!((answer.status, answer.whole), (500, true));
    assert!(!String::from_utf8(answer.body).unwrap().contains("as asked"), "the reason stays inside");
    assert_eq!(client.get("/after").await.status, 200);
    assert_eq!(Http2::connect(server.addr).await.get("/panic").await.status, 0x8e);
    assert_eq!(server.stats.panics.load(Relaxed), 2);
    reaches(&server.stats.in_flight, 0).await;
}
