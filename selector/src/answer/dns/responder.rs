//! From a message to its answer: limits first, then the name, then the records.

use std::net::IpAddr;

use super::{
    cookies::Cookies,
    counters::Counters,
    edges::{Ask, Chosen, Edges, Family},
    numbers::{Code, HEADER, IN, PLAIN_MAX, QUESTION_NAME, UDP_MAX, kind},
    query::{self, Edns, Query},
    rates::Rates,
    reply::{Opt, Reply, Section},
    zones::{NameServer, Place, Service, What, Zone, Zones},
};

/// How many times its question an answer over UDP may be long, unless a cookie has proven the asker's address: a
/// forger gets no more for his bytes. It is enough for all answers about edges; a longer one is truncated.
pub(super) const AMPLIFICATION: usize = 5;

/// Answers questions; knows no socket.
pub(super) struct Responder<E> {
    pub(super) zones: Zones,
    pub(super) edges: E,
    pub(super) rates: Rates,
    pub(super) cookies: Cookies,
    pub(super) counters: Counters,
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// From where.
    pub(super) ip: IpAddr,
    /// Over TCP: the address is proven, and answers may be large.
    pub(super) tcp: bool,
}

/// When it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Microseconds of a clock that never goes back.
    pub(super) us: u64,
    /// Unix seconds, for cookies; wraps.
    pub(super) unix_s: u32,
}

/// What a thread keeps from question to question.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    key: String,
    limited: u64,
}

/// What becomes of a question, once it is read.
struct Told<'z> {
    code: Code,
    authoritative: bool,
    /// For how long a prefix of the asker's subnet it holds.
    scope: u8,
    /// The zone whose SOA says that there is nothing, and where its name begins in the question's.
    nothing: Option<(&'z Zone, usize)>,
}

impl<E: Edges> Responder<E> {
    /// Answers one message into `out`; the length of the answer, 0 where there is none.
    pub(super) fn respond(
        &self,
        packet: &[u8],
        asker: Asker,
        now: Now,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> usize {
        if asker.tcp { &self.counters.tcp } else { &self.counters.udp }.inc();
        let Some(query) = query::read(packet) else {
            self.counters.ignored.inc();
            return 0;
        };
        let checked = query.cookie().map(|cookie| self.cookies.check(cookie, asker.ip, now.unix_s));
        let proven = asker.tcp || checked.is_some_and(|checked| checked.valid);
        if proven && !asker.tcp {
            self.counters.proven.inc();
        }
        let bound = match (asker.tcp, &query.edns) {
            (true, _) => out.len(),
            (false, None) => PLAIN_MAX,
            (false, Some(edns)) => usize::from(edns.udp_size).clamp(PLAIN_MAX, UDP_MAX),
        };
        let bound = if proven { bound } else { bound.min(AMPLIFICATION * packet.len()) };
        let limited = !proven && !self.rates.admit(asker.ip, now.us);
        if limited {
            scratch.limited += 1;
            // Who is really there comes back by TCP; who is not gets half of an unanswered flood, cut short.
            if scratch.limited % 2 == 1 {
                self.counters.dropped.inc();
                return 0;
            }
            self.counters.slipped.inc();
        }

        let subnet = query.edns.as_ref().and_then(|edns: &Edns| edns.subnet.as_ref());
        let mut opt = query.edns.as_ref().map(|edns| Opt {
            dnssec_ok: edns.dnssec_ok,
            subnet: subnet.map(|subnet| (subnet, 0)),
            cookie: checked.map(|checked| checked.whole),
        });
        let Some(mut reply) = Reply::begin(out, bound, query.question, opt.as_ref()) else {
            self.counters.ignored.inc();
            return 0;
        };
        if subnet.is_some() {
            self.counters.subnets.inc();
        }
        let mut told = Told { code: Code::NoError, authoritative: false, scope: 0, nothing: None };
        match query.fault {
            Some(fault) => told.code = fault,
            None if limited => reply.truncate(),
            None if query.question.is_empty() => {}
            None => {
                let client = subnet.and_then(|subnet| subnet.client());
                let scoped = client.is_some();
                let client = client.unwrap_or(asker.ip.to_canonical());
                told = self.look_up(&query, client, &mut reply, scratch);
                // A subnet that was not used cannot limit for whom the answer holds.
                told.scope = if scoped { told.scope } else { 0 };
            }
        }
        if let Some((zone, apex_at)) = told.nothing {
            let apex = QUESTION_NAME + apex_at as u16;
            if !reply.record(Section::Authority, apex, kind::SOA, zone.ttl, &[&zone.soa]) {
                reply.truncate();
            }
        }
        if let Some(opt) = &mut opt {
            opt.subnet = opt.subnet.map(|(subnet, _)| (subnet, told.scope));
        }
        let (length, truncated) = reply.finish(&query, told.code, told.authoritative, opt);
        if truncated && !limited {
            self.counters.truncated.inc();
        }
        self.counters.answered(told.code);
        debug_assert!(length >= HEADER);
        length
    }

    fn look_up(
        &self,
        query: &Query<'_>,
        client: IpAddr,
        reply: &mut Reply<'_>,
        scratch: &mut Scratch,
    ) -> Told<'_> {
        let refused = Told { code: Code::Refused, authoritative: false, scope: 0, nothing: None };
        let name = query.name.wire();
        // Nobody transfers a zone that changes twice a second.
        if query.class != IN || matches!(query.kind, kind::AXFR | kind::IXFR) {
            return refused;
        }
        if query.kind == kind::OPT {
            return Told { code: Code::FormErr, ..refused };
        }
        let Some(place) = self.zones.find(name) else { return refused };
        let mut told = Told { code: Code::NoError, authoritative: true, scope: 0, nothing: None };
        let Place { zone, apex_at, what } = place;
        let answered = match (what, query.kind) {
            (What::Nothing, _) => {
                told.code = Code::NxDomain;
                false
            }
            (_, kind::ANY) => one(reply, kind::HINFO, zone.ttl, &self.zones.any),
            (What::Apex | What::Service { apex: true, .. }, kind::SOA) => {
                one(reply, kind::SOA, zone.ttl, &zone.soa)
            }
            (What::Apex | What::Service { apex: true, .. }, kind::NS) => servers(reply, zone),
            (What::Server(server), kind::A | kind::AAAA) => address(reply, zone, server, query.kind),
            (What::Service { service, shard, .. }, kind::A | kind::AAAA | kind::HTTPS) => {
                let ask = Ask {
                    service,
                    key: key(service, name.get(..shard).unwrap_or_default(), scratch),
                    client,
                    family: match query.kind {
                        kind::A => Family::V4,
                        kind::AAAA => Family::V6,
                        _ => Family::Tls,
                    },
                    ttl_ms: u64::from(zone.ttl) * 1_000,
                };
                let chosen = self.edges.choose(&ask);
                told.scope = chosen.scope;
                if !chosen.any {
                    // Nobody is asked to remember that a service has no address: it has, only not now.
                    return Told { code: Code::ServFail, ..told };
                }
                edges(reply, zone.ttl, query.kind, &chosen)
            }
            _ => false,
        };
        if !answered {
            told.nothing = Some((zone, apex_at));
        }
        told
    }
}

/// One record at the question's name. True always: that there is no room is another matter.
fn one(reply: &mut Reply<'_>, kind: u16, ttl: u32, data: &[u8]) -> bool {
    if !reply.record(Section::Answer, QUESTION_NAME, kind, ttl, &[data]) {
        reply.truncate();
    }
    true
}

/// The zone's name servers, with their addresses as far as there is room.
fn servers(reply: &mut Reply<'_>, zone: &Zone) -> bool {
    let mut names = [0u16; 13];
    for (server, at) in zone.ns.iter().zip(&mut names) {
        if !reply.record(Section::Answer, QUESTION_NAME, kind::NS, zone.ttl, &[&server.name]) {
            reply.truncate();
            return true;
        }
        *at = reply.pointer(server.name.len());
    }
    for (server, at) in zone.ns.iter().zip(names) {
        let v4 = server
            .v4
            .is_none_or(|v4| reply.record(Section::Additional, at, kind::A, zone.ttl, &[&v4.octets()]));
        let v6 = server
            .v6
            .is_none_or(|v6| reply.record(Section::Additional, at, kind::AAAA, zone.ttl, &[&v6.octets()]));
        if !(v4 && v6) {
            break;
        }
    }
    true
}

/// A name server's address; false if it has none of that family.
fn address(reply: &mut Reply<'_>, zone: &Zone, server: &NameServer, kind: u16) -> bool {
    match (kind, server.v4, server.v6) {
        (kind::A, Some(v4), _) => one(reply, kind, zone.ttl, &v4.octets()),
        (kind::AAAA, _, Some(v6)) => one(reply, kind, zone.ttl, &v6.octets()),
        _ => false,
    }
}

/// The edges' addresses, or how to connect to them; false if there is nothing of that type to say.
fn edges(reply: &mut Reply<'_>, ttl: u32, kind: u16, chosen: &Chosen) -> bool {
    match kind {
        kind::A => chosen.v4().fold(false, |_, v4| one(reply, kind, ttl, &v4.octets())),
        kind::AAAA => chosen.v6().fold(false, |_, v6| one(reply, kind, ttl, &v6.octets())),
        _ => endpoint(reply, ttl, chosen),
    }
}

/// The HTTPS record (RFC 9460): one for all edges of the answer, since their addresses go by one name. It promises
/// only what all of them have; if their ports differ nothing can be promised.
fn endpoint(reply: &mut Reply<'_>, ttl: u32, chosen: &Chosen) -> bool {
    let edges = chosen.edges();
    let Some(port) = edges.first().and_then(|edge| edge.tls_port) else { return false };
    if edges.iter().any(|edge| edge.tls_port != Some(port)) {
        return false;
    }
    let mut data = [0u8; 128];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(free) = data.get_mut(at..at + bytes.len()) {
            free.copy_from_slice(bytes);
            at += bytes.len();
        }
    };
    // Priority 1, the name itself; then the parameters in the order of their numbers: alpn, port, hints.
    put(&[0, 1, 0]);
    match edges.iter().all(|edge| edge.h3) {
        true => put(b"\x00\x01\x00\x06\x02h3\x02h2"),
        false => put(b"\x00\x01\x00\x03\x02h2"),
    }
    if port != 443 {
        put(&[0, 3, 0, 2]);
        put(&port.to_be_bytes());
    }
    for (number, length) in [(4, 4 * chosen.v4().count()), (6, 16 * chosen.v6().count())] {
        if length > 0 {
            put(&[0, number, 0, length as u8]);
        }
        match number {
            4 => chosen.v4().for_each(|v4| put(&v4.octets())),
            _ => chosen.v6().for_each(|v6| put(&v6.octets())),
        }
    }
    one(reply, kind::HTTPS, ttl, data.get(..at).unwrap_or_default())
}

/// What titles are placed by: the service's key, with the shard if there is one, so that each shard has edges of
/// its own among equals.
fn key<'k>(service: &'k Service, shard: &[u8], scratch: &'k mut Scratch) -> &'k str {
    if shard.is_empty() {
        return &service.key;
    }
    scratch.key.clear();
    scratch.key.push_str(&service.key);
    scratch.key.extend(shard.iter().map(|byte| char::from(*byte)));
    scratch.key.push('/');
    &scratch.key
}
