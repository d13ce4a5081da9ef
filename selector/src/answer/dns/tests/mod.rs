//! Messages in, messages out: every answer is read by hickory, which knows nothing of how it was written.
//!
//! - `answers`: what is answered to which question;
//! - `limits`: sizes, rates, cookies, and that strangers get no more than they are owed;
//! - `garbage`: whatever comes, nothing breaks, and what is answered is a message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod garbage;
mod limits;

use std::{net::IpAddr, sync::Mutex};

use hickory_proto::op::Message;
use kromka_config::{DnsServer, DnsZoneConfig, SelectorService, Span};
use kromka_telemetry::Registry;

use super::{
    cookies::Cookies,
    counters::Counters,
    edges::{Ask, Chosen, Edges, Family},
    numbers::{UDP_MAX, option},
    rates::Rates,
    responder::{Asker, Now, Responder, Scratch},
    zones::Zones,
};
use crate::rank::Reach;

/// Where the questions come from.
pub(super) const PEER: &str = "198.51.100.7";

/// A fleet that always answers the same, and remembers what it was asked.
pub(super) struct Fixed {
    edges: Vec<Reach>,
    scope: u8,
    asked: Mutex<Vec<(String, IpAddr)>>,
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

/// A question, built by hand so that it may break any rule.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) bytes: Vec<u8>,
    edns_at: Option<usize>,
}

impl Question {
    /// One question with RD.
    pub(super) fn new(name: &str, kind: u16) -> Question {
        let mut bytes = vec![0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        Question { bytes, edns_at: None }
    }

    /// With EDNS.
    pub(super) fn edns(mut self, size: u16) -> Question {
        self.bytes[11] = 1;
        self.bytes.extend([0, 0, 41]);
        self.bytes.extend(size.to_be_bytes());
        self.bytes.extend([0; 4]);
        self.edns_at = Some(self.bytes.len());
        self.bytes.extend([0, 0]);
        self
    }

    /// With an option of EDNS.
    pub(super) fn option(mut self, code: u16, value: &[u8]) -> Question {
        let at = self.edns_at.unwrap();
        self.bytes.extend(code.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        let length = (self.bytes.len() - at - 2) as u16;
        self.bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// For the clients of an IPv4 network.
    pub(super) fn subnet(self, address: [u8; 4], source: u8) -> Question {
        let used = usize::from(source).div_ceil(8);
        let value = [&[0, 1, source, 0], &address[..used]].concat();
        let question = if self.edns_at.is_some() { self } else { self.edns(1232) };
        question.option(option::SUBNET, &value)
    }
}

/// Asks over UDP at a time; the bytes of the answer.
pub(super) fn ask_at(server: &Responder<Fixed>, question: &[u8], ms: u64) -> Option<Vec<u8>> {
    exchange(server, question, ms, false)
}

/// Asks over TCP.
pub(super) fn ask_tcp(server: &Responder<Fixed>, question: &Question) -> Message {
    Message::from_vec(&exchange(server, &question.bytes, 0, true).unwrap()).unwrap()
}

/// Asks over UDP.
pub(super) fn ask(server: &Responder<Fixed>, question: &Question) -> Message {
    Message::from_vec(&ask_at(server, &question.bytes, 0).unwrap()).unwrap()
}

fn exchange(server: &Responder<Fixed>, question: &[u8], ms: u64, tcp: bool) -> Option<Vec<u8>> {
    let now = Now { us: 1_000_000 + ms * 1_000, unix_s: 1_700_000_000 + (ms / 1_000) as u32 };
    let mut out = vec![0; if tcp { 4_096 } else { UDP_MAX }];
    let asker = Asker { ip: PEER.parse().unwrap(), tcp };
    let length = server.respond(question, asker, now, &mut out, &mut Scratch::default());
    out.truncate(length);
    (length > 0).then_some(out)
}
