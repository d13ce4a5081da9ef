//! The names that are answered: zones, services, name servers, and what lies between them.
//!
//! Made once from the configuration; whatever does not change is kept as bytes, encoded by hickory.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::{
    ProtoError,
    rr::{
        Name, RData,
        rdata::{HINFO, NS, SOA},
    },
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};
use kromka_config::{DnsZoneConfig, SelectorService};

/// All names.
pub(super) struct Zones {
    /// By the name on the wire, in small letters.
    nodes: HashMap<Box<[u8]>, Node>,
    zones: Vec<Zone>,
    services: Vec<Service>,
    /// What ANY is answered with (RFC 8482 section 4.2).
    pub(super) any: Vec<u8>,
}

/// One zone.
#[derive(Debug)]
pub(super) struct Zone {
    /// How long answers may be kept, in seconds.
    pub(super) ttl: u32,
    /// The data of its SOA record.
    pub(super) soa: Vec<u8>,
    /// Its name servers.
    pub(super) ns: Vec<NameServer>,
    /// Length of its name on the wire.
    length: usize,
}

/// One name server.
#[derive(Debug)]
pub(super) struct NameServer {
    /// The data of its NS record: its name in full.
    pub(super) name: Vec<u8>,
    /// Its addresses, where it lies within the zone.
    pub(super) v4: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub(super) v6: Option<Ipv6Addr>,
}

/// One service with names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Its number, for hashing.
    pub(super) number: u64,
    /// What its titles are placed by, where no shard is named: as for a path, so that both voices agree.
    pub(super) key: String,
}

/// What there is at one name.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    zone: usize,
    /// It is the zone's own name.
    apex: bool,
    service: Option<usize>,
    /// It is a name server: which one.
    server: Option<usize>,
}

/// Where a question's name lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'z> {
    /// The zone.
    pub(super) zone: &'z Zone,
    /// Where the zone's name begins in the question's.
    pub(super) apex_at: usize,
    /// What is there.
    pub(super) what: What<'z>,
}

/// What is at a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum What<'z> {
    /// A service; its shard are the first bytes of the name.
    Service {
        service: &'z Service,
        /// Length of the labels before the service's name.
        shard: usize,
        /// It is the zone's own name as well.
        apex: bool,
    },
    /// The zone's own name.
    Apex,
    /// A name server.
    Server(&'z NameServer),
    /// Nothing, but there are names below it (RFC 8020: it exists).
    Between,
    /// Nothing.
    Nothing,
}

impl Zones {
    /// Reads the configuration, which has been checked. `serial` is that of the SOA records.
    ///
    /// # Errors
    /// A name is none.
    pub(super) fn new(
        zones: &[DnsZoneConfig],
        services: &[SelectorService],
        serial: u32,
    ) -> Result<Zones, ProtoError> {
        let mut made = Zones {
            nodes: HashMap::new(),
            zones: Vec::new(),
            services: Vec::new(),
            any: data(&RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new())))?,
        };
        // The longest first: a name belongs to the zone that is nearest to it.
        let mut zones: Vec<&DnsZoneConfig> = zones.iter().collect();
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.name.len()));
        for config in &zones {
            made.add_zone(config, serial)?;
        }
        for config in services {
            if config.names.is_empty() {
                continue;
            }
            let number = made.services.len();
            made.services.push(Service { number: number as u64, key: format!("{}/", config.id) });
            for name in &config.names {
                let wire = wire(name)?;
                if let Some(node) = made.add(&wire) {
                    node.service = Some(number);
                }
            }
        }
        Ok(made)
    }

    fn add_zone(&mut self, config: &DnsZoneConfig, serial: u32) -> Result<(), ProtoError> {
        let own = wire(&config.name)?;
        let number = self.zones.len();
        self.nodes.insert(own.clone().into(), Node { zone: number, apex: true, ..Node::default() });
        let ttl = config.ttl.as_secs() as u32;
        let mut ns = Vec::with_capacity(config.ns.len());
        for server in &config.ns {
            let (mut v4, mut v6) = (None, None);
            for address in &server.addresses {
                match address {
                    IpAddr::V4(address) => v4 = Some(*address),
                    IpAddr::V6(address) => v6 = Some(*address),
                }
            }
            ns.push(NameServer { name: data(&RData::NS(NS(name(&server.name)?)))?, v4, v6 });
        }
        let first = config.ns.first().map_or(config.name.as_str(), |server| server.name.as_str());
        // Nobody transfers the zone, so the times of secondaries are only of good form; the last one is how long
        // a missing name may be remembered (RFC 2308).
        let soa = SOA::new(name(first)?, name(&config.hostmaster)?, serial, 3_600, 600, 604_800, ttl);
        self.zones.push(Zone { ttl, soa: data(&RData::SOA(soa))?, ns, length: own.len() });
        for (at, server) in config.ns.iter().enumerate().filter(|(_, server)| !server.addresses.is_empty()) {
            let wire = wire(&server.name)?;
            if let Some(node) = self.add(&wire) {
                node.server = Some(at);
            }
        }
        Ok(())
    }

    /// The node of that name, made if missing, with those between it and its zone.
    fn add(&mut self, name: &[u8]) -> Option<&mut Node> {
        let missing: Vec<usize> =
            suffixes(name).take_while(|at| !self.nodes.contains_key(&name[*at..])).collect();
        let nearest = suffixes(name).nth(missing.len())?;
        let zone = self.nodes.get(&name[nearest..])?.zone;
        for at in missing {
            self.nodes.insert(name[at..].into(), Node { zone, ..Node::default() });
        }
        self.nodes.get_mut(name)
    }

    /// Where a name lies, which is given on the wire in small letters; none outside of all zones.
    pub(super) fn find(&self, name: &[u8]) -> Option<Place<'_>> {
        let (at, node) = suffixes(name).find_map(|at| Some((at, self.nodes.get(&name[at..])?)))?;
        let zone = self.zones.get(node.zone)?;
        let service = node.service.and_then(|service| self.services.get(service));
        let server = node.server.and_then(|server| zone.ns.get(server));
        // Below a name only a service has more names: its shards, as by a wildcard (RFC 4592).
        let what = match (service, server) {
            (Some(service), _) => What::Service { service, shard: at, apex: at == 0 && node.apex },
            _ if at > 0 => What::Nothing,
            (None, Some(server)) => What::Server(server),
            (None, None) if node.apex => What::Apex,
            (None, None) => What::Between,
        };
        Some(Place { zone, apex_at: name.len() - zone.length, what })
    }
}

/// Where the labels of a name begin, the root's excluded: each is the start of a longer name's end.
fn suffixes(name: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = *name.get(at)?;
        let begins = at;
        at += 1 + usize::from(length);
        (length != 0).then_some(begins)
    })
}

fn name(text: &str) -> Result<Name, ProtoError> {
    Name::from_ascii(format!("{text}."))
}

/// A name as it stands in questions.
fn wire(text: &str) -> Result<Vec<u8>, ProtoError> {
    encoded(&name(text)?.to_lowercase())
}

/// The data of a record, names in full.
fn data(data: &RData) -> Result<Vec<u8>, ProtoError> {
    encoded(data)
}

fn encoded(what: &impl BinEncodable) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    // A pointer would point into these bytes, not into the answer they become part of.
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    what.emit(&mut encoder)?;
    Ok(bytes)
}
