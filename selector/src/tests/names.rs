//! DNS over real sockets, with edges that say where they are and how far from whom.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use kromka_config::{DnsConfig, DnsServer, DnsZoneConfig, Span};
use kromka_control::{CellRtt, Heartbeat};
use tokio::net::UdpSocket;

use super::rig::{Rig, config, node};

async fn rig(listen: &str) -> (Rig, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.dns = DnsConfig {
        listen: vec![listen.parse().unwrap()],
        zone: vec![DnsZoneConfig {
            name: "cdn.test".into(),
            ns: vec![DnsServer { name: "ns.other.test".into(), addresses: vec![] }],
            hostmaster: "hostmaster.cdn.test".into(),
            ttl: Span::secs(20),
        }],
        ..DnsConfig::default()
    };
    config.service[0].names = vec!["video.cdn.test".into()];
    let rig = Rig::with(config, folder).await;
    let dns = rig.running.dns[0];
    (rig, dns)
}

/// An edge whose address ends in `number`, and its distance from the clients of 203.0.113.0/24.
async fn beat(rig: &Rig, id: &str, number: u8, ms: Option<f64>) {
    let rtt =
        ms.map(|ms| CellRtt { cell: "203.0.113.0/24".into(), n: 400, min_ms: ms, p50_ms: ms, loss: 0.0 });
    let addresses = vec![Ipv4Addr::new(192, 0, 2, number).into()];
    let heartbeat = Heartbeat { addresses, rtt: rtt.into_iter().collect(), ..node(id) };
    assert_eq!(rig.beat(&heartbeat).await.status, 200);
}

/// Asks for the clients of a network; the last bytes of the addresses, and the scope.
async fn ask(server: SocketAddr, network: [u8; 3]) -> (Vec<u8>, u8) {
    let mut question =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x05video\x03cdn\x04test\x00\x00\x01\x00\x01"
            .to_vec();
    let end = question.len();
    question.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x00");
    question.extend(network);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    // Takes answers from that address alone.
    socket.connect(server).await.unwrap();
    socket.send(&question).await.unwrap();
    let mut answer = vec![0; 1232];
    let length =
        tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut answer)).await.unwrap().unwrap();
    answer.truncate(length);
    assert_eq!(answer[12..end], question[12..end]);
    let count = usize::from(answer[7]);
    let records = &answer[end..end + 16 * count];
    let scope = answer[end + 16 * count + 11 + 4 + 3];
    (records.chunks(16).map(|record| record[15]).collect(), scope)
}

#[tokio::test]
async fn two_edges_of_the_nearest_site_and_one_of_the_next_for_the_network_that_asks() {
    let (rig, dns) = rig("127.0.0.1:0").await;
    let edges = [("a-1", 1, 80.0), ("a-2", 2, 80.0), ("b-1", 3, 10.0), ("b-2", 4, 10.0), ("c-1", 5, 40.0)];
    for (id, number, ms) in edges {
        beat(&rig, id, number, Some(ms)).await;
    }
    let (mut near, scope) = ask(dns, [203, 0, 113]).await;
    assert_eq!(scope, 24, "the distance of this /24 decided");
    assert_eq!(near.pop(), Some(5), "the next site");
    near.sort_unstable();
    assert_eq!(near, [3, 4], "both of the nearest");
    let (unknown, scope) = ask(dns, [198, 51, 100]).await;
    assert_eq!(
        (unknown.len(), scope),
        (3, 24),
        "it was not measured, but others were: it is answered otherwise"
    );
}

#[tokio::test]
async fn where_each_site_has_one_edge_they_come_nearest_first() {
    let (rig, dns) = rig("127.0.0.1:0").await;
    for (id, number, ms) in [("a-1", 1, 80.0), ("b-1", 2, 10.0), ("c-1", 3, 40.0), ("d-1", 4, 160.0)] {
        beat(&rig, id, number, Some(ms)).await;
    }
    assert_eq!(ask(dns, [203, 0, 113]).await.0, [2, 3, 1]);
}

#[tokio::test]
async fn where_all_are_silent_the_names_still_lead_to_them() {
    let (rig, dns) = rig("127.0.0.1:0").await;
    for (id, number, ms) in [("a-1", 1, 80.0), ("b-1", 2, 10.0), ("c-1", 3, 40.0)] {
        beat(&rig, id, number, Some(ms)).await;
    }
    // It is their hearing, more likely than all of them, that is gone.
    let silent = async {
        while rig.get("/v1/select?path=/a/master.m3u8").await.json["reason"] != "panic" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), silent).await.expect("all are taken for down");
    let mut named = ask(dns, [203, 0, 113]).await.0;
    named.sort_unstable();
    assert_eq!(named, [1, 2, 3]);
}

#[tokio::test]
async fn an_edge_without_an_address_is_left_out_and_without_any_the_answer_is_a_failure() {
    let (rig, dns) = rig("127.0.0.1:0").await;
    assert_eq!(rig.beat(&node("a-1")).await.status, 200);
    assert_eq!(ask(dns, [203, 0, 113]).await.0, [0u8; 0]);
    beat(&rig, "b-1", 7, None).await;
    assert_eq!(ask(dns, [203, 0, 113]).await.0, [7]);
    let metrics = {
        let admin = rig.running.admin.join("metrics").unwrap();
        let addr = admin.socket_addrs(|| None).unwrap()[0];
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    for (name, label, value) in [
        ("kromka_dns_answers_total", "code=\"servfail\"", " 1"),
        ("kromka_dns_answers_total", "code=\"noerror\"", " 1"),
        ("kromka_dns_queries_total", "proto=\"udp\"", " 2"),
        ("kromka_route_decisions_total", "surface=\"dns\"", " 2"),
    ] {
        let fits = |line: &str| line.starts_with(name) && line.contains(label) && line.ends_with(value);
        assert!(metrics.lines().any(fits), "{name} {label} {value}: {metrics}");
    }
}

#[tokio::test]
async fn a_socket_of_all_addresses_answers_from_the_one_that_was_asked() {
    let (rig, dns) = rig("0.0.0.0:0").await;
    beat(&rig, "a-1", 9, None).await;
    for address in ["127.0.0.1", "127.0.0.2", "127.9.8.7"] {
        let server = SocketAddr::new(address.parse().unwrap(), dns.port());
        assert_eq!(ask(server, [203, 0, 113]).await.0, [9], "{address}");
    }
    rig.running.drain().await;
}
