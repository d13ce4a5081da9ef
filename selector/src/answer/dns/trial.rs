//! A server without sockets over a fleet that always answers the same: for the tests, and for fuzzing, which tells
//! what must hold of an answer to whatever comes ([`any_message`]).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{net::IpAddr, sync::Mutex};

use hickory_proto::op::Message;
use kromka_config::{DnsServer, DnsZoneConfig, SelectorService, Span};
use kromka_telemetry::Registry;

use super::{
    cookies::Cookies,
    counters::Counters,
    edges::{Ask, Chosen, Edges, Family},
    numbers::UDP_MAX,
    rates::Rates,
    responder::{AMPLIFICATION, Asker, Now, Responder, Scratch},
    zones::Zones,
};
use crate::rank::Reach;

/// Where the questions come from.
pub(super) const PEER: &str = "198.51.100.7";

/// A fleet that always answers the same, and remembers what it was asked.
pub(super) struct Fixed {
    edges: Vec<Reach>,
    scope: u8,
    pub(super) asked: Mutex<Vec<(String, IpAddr)>>,
}

impl Edges for Fixed {
    fn choose(&self, ask: &Ask<'_>) -> Chosen {
        self.asked.lock().unwrap().push((ask.key.to_owned(), ask.client));
        let mut chosen = Chosen::new(!self.edges.is_empty(), self.scope);
        for reach in &self.edges {
            let wanted = match ask.family {
                Family::V4 => reach.v4.is_some(),
                Family::V6 => reach.v6.is_some(),
                Family::Tls => reach.tls_port.is_some(),
            };
            if wanted {
                chosen.push(*reach);
            }
        }
        chosen
    }
}

/// An edge with both addresses.
pub(super) fn edge(n: u8, tls_port: Option<u16>, h3: bool) -> Reach {
    let v6 = format!("2001:db8::{n}").parse().unwrap();
    Reach { v4: Some([192, 0, 2, n].into()), v6: Some(v6), tls_port, h3 }
}

/// Three edges on the usual port.
pub(super) fn three() -> Vec<Reach> {
    (1..=3).map(|n| edge(n, Some(443), false)).collect()
}

/// A server of two zones, one within the other, with two services.
pub(super) fn server(edges: Vec<Reach>, scope: u8, rate: u32) -> Responder<Fixed> {
    let ns = |name: &str, addresses: &[&str]| DnsServer {
        name: name.into(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    };
    let zone = |name: &str, ns: Vec<DnsServer>, ttl| DnsZoneConfig {
        name: name.into(),
        ns,
        hostmaster: format!("hostmaster.{name}"),
        ttl: Span::secs(ttl),
    };
    let zones = [
        zone(
            "cdn.test",
            vec![ns("ns1.cdn.test", &["192.0.2.53", "2001:db8::53"]), ns("ns.other.test", &[])],
            20,
        ),
        zone("live.cdn.test", vec![ns("ns.other.test", &[])], 5),
        zone(
            "wide.test",
            (1..=8).map(|n| ns(&format!("ns{n}.of-a-rather-long-name.test"), &[])).collect(),
            20,
        ),
    ];
    let services = [
        SelectorService {
            names: vec!["video.a.cdn.test".into(), "cdn.test".into()],
            ..SelectorService::new("video")
        },
        SelectorService { names: vec!["radio.live.cdn.test".into()], ..SelectorService::new("radio") },
    ];
    Responder {
        zones: Zones::new(&zones, &services, 7).unwrap(),
        edges: Fixed { edges, scope, asked: Mutex::default() },
        rates: Rates::new(rate, 1),
        cookies: Cookies::new("a secret of all selectors"),
        counters: Counters::new(&Registry::new("selector", "", "")),
    }
}

/// Asks at a time, over UDP or TCP; the bytes of the answer.
pub(super) fn exchange(server: &Responder<Fixed>, question: &[u8], ms: u64, tcp: bool) -> Option<Vec<u8>> {
    let now = Now { us: 1_000_000 + ms * 1_000, unix_s: 1_700_000_000 + (ms / 1_000) as u32 };
    let mut out = vec![0; if tcp { 4_096 } else { UDP_MAX }];
    let asker = Asker { ip: PEER.parse().unwrap(), tcp };
    let length = server.respond(question, asker, now, &mut out, &mut Scratch::default());
    out.truncate(length);
    (length > 0).then_some(out)
}

/// Asks `question`, whatever it is, over UDP and over TCP.
///
/// # Panics
/// Where an answer is longer than its question allows, cannot be read, or is not one to this question.
// In a test build it is a door to nowhere.
#[cfg_attr(test, allow(unreachable_pub))]
pub fn any_message(question: &[u8]) {
    let server = server(three(), 24, 0);
    for tcp in [false, true] {
        let Some(answer) = exchange(&server, question, 0, tcp) else { continue };
        if !tcp {
            assert!(
                answer.len() <= (AMPLIFICATION * question.len()).min(UDP_MAX),
                "{answer:?} to {question:?}"
            );
        }
        let read = Message::from_vec(&answer);
        assert!(read.is_ok(), "{answer:?} to {question:?}: {read:?}");
        assert_eq!(answer.get(..2), question.get(..2), "another's answer");
        assert!(answer.get(2).is_some_and(|flags| flags & 0x80 != 0), "an answer says that it is one");
    }
}
