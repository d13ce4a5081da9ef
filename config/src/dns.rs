//! `[dns]`: where a selector answers DNS, for which zones, and how much it lets strangers ask.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::reader::{DOMAIN, Table, unique};
use crate::{SelectorService, Span};

const SERVER: &str =
    "\"NAME\", or for a server within the zone \"NAME ADDRESS …\" with one IPv4 and IPv6 address";

/// Answers to DNS questions. Without `listen` there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Addresses and ports that are answered at, over UDP and TCP alike; port 0 = a free one. At most 16, no
    /// default: no DNS.
    pub listen: Vec<SocketAddr>,
    /// Threads that answer UDP at each address, 1..64, default 1: one answers more than most fleets are asked.
    pub workers: u32,
    /// Answers per second to one network (/24, IPv6 /56) that has not proven its address by TCP or a cookie
    /// (RFC 7873), 0..1000000, default 200; 0 = no bound. Of what is beyond it every second question is sent to
    /// TCP, the others get nothing.
    pub rate: u32,
    /// TCP connections open at once, 1..65536, default 1024; one more is closed.
    pub connections: u32,
    /// Of these, by one network (/24, IPv6 /56), 1..65536, default 32: a resolver needs one, and who needs more
    /// leaves the others theirs.
    pub connections_per_network: u32,
    /// A TCP connection without a whole question for this long is closed, 1s..5m, default 10s.
    pub idle_timeout: Span,
    /// `[[dns.zone]]`: what it has the say over, at least one where there is a `listen`, at most 64.
    pub zone: Vec<DnsZoneConfig>,
}

/// A zone that the selector is authoritative for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsZoneConfig {
    /// Its name, that of the delegation. Required, unique.
    pub name: String,
    /// Its name servers, as the delegation has them: this selector and the others, 1 to 13. Required.
    pub ns: Vec<DnsServer>,
    /// Whom to write to about the zone, as a name (SOA RNAME). Default: `hostmaster.` and the zone.
    pub hostmaster: String,
    /// How long answers may be kept, 1s..1h, default 20s. Resolvers and players may keep them longer.
    pub ttl: Span,
}

/// One name server of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsServer {
    /// Its name.
    pub name: String,
    /// Its addresses, where its name lies within the zone.
    pub addresses: Vec<IpAddr>,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            workers: 1,
            rate: 200,
            connections: 1024,
            connections_per_network: 32,
            idle_timeout: Span::secs(10),
            zone: Vec::new(),
        }
    }
}

impl DnsConfig {
    pub(crate) fn read(mut table: Table<'_>) -> Self {
        let usual = Self::default();
        let dns = Self {
            listen: table.addresses("listen", 16),
            workers: table.count("workers", usual.workers, 1, 64),
            rate: table.count("rate", usual.rate, 0, 1_000_000),
            connections: table.count("connections", usual.connections, 1, 65_536),
            connections_per_network: table.count(
                "connections_per_network",
                usual.connections_per_network,
                1,
                65_536,
            ),
            idle_timeout: table.span("idle_timeout", usual.idle_timeout, Span::secs(1), Span::minutes(5)),
            zone: DnsZoneConfig::read_all(&mut table),
        };
        if table.has("listen") && !table.has("zone") {
            table.fault("zone", "is required where DNS is answered", "at least one [[dns.zone]]");
        }
        if table.has("zone") && !table.has("listen") {
            table.fault("listen", "is required where there are zones", "addresses such as \"0.0.0.0:53\"");
        }
        table.close();
        dns
    }

    /// Holds the names of services against the zones.
    pub(crate) fn check_names(&self, services: &[SelectorService], root: &Table<'_>) {
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        for (index, service) in services.iter().enumerate() {
            for name in &service.names {
                let fault = |why: &str, allowed: &str| {
                    root.fault_in("service", index, "names", &format!("`{name}` {why}"), allowed);
                };
                if !self.zone.iter().any(|zone| within(name, &zone.name)) {
                    fault("lies in no zone", "names within a [[dns.zone]]");
                }
                if self.zone.iter().flat_map(|zone| &zone.ns).any(|server| server.name == *name) {
                    fault("is the name of a name server", "another name");
                }
                if let Some(other) = taken.insert(name, &service.id) {
                    fault(&format!("is a name of service `{other}` already"), "a name of its own");
                }
            }
        }
    }
}

impl DnsZoneConfig {
    fn read_all(dns: &mut Table<'_>) -> Vec<Self> {
        let mut lines = BTreeMap::new();
        dns.tables("zone", 64).into_iter().map(|table| Self::read(table, &mut lines)).collect()
    }

    fn read(mut table: Table<'_>, lines: &mut BTreeMap<String, usize>) -> Self {
        let name = table.text("name", None, DOMAIN);
        let name = table.required("name", name, DOMAIN.allowed, String::new());
        unique(lines, &table, "name", &name);
        let ns = table.list("ns", None, 13, SERVER, |text| server(text, &name));
        let ns = table.required("ns", ns, SERVER, Vec::new());
        if table.is_empty_list("ns") {
            table.fault("ns", "is empty", SERVER);
        }
        let hostmaster = table.text("hostmaster", None, DOMAIN);
        let zone = Self {
            hostmaster: hostmaster.unwrap_or_else(|| format!("hostmaster.{name}")),
            ttl: table.span("ttl", Span::secs(20), Span::secs(1), Span::hours(1)),
            name,
            ns,
        };
        table.close();
        zone
    }
}

/// Whether `name` is `zone` or lies below it.
fn within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Reads `NAME ADDRESS …`. A server within the zone can be found by its address alone (RFC 1034 section 4.2.1);
/// one outside of it has its addresses where its own zone is.
fn server(text: &str, zone: &str) -> Result<DnsServer, String> {
    let mut words = text.split_ascii_whitespace();
    let name = words.next().unwrap_or_default().to_owned();
    if !(DOMAIN.holds)(&name) {
        return Err(format!("`{}` is no name", name.escape_debug()));
    }
    let mut addresses = Vec::new();
    for word in words {
        addresses.push(word.parse::<IpAddr>().map_err(|_| format!("`{word}` is no IP address"))?);
    }
    one_of_each(&addresses)?;
    match (within(&name, zone), addresses.is_empty()) {
        (true, true) => Err(format!("`{name}` lies within the zone and has no address")),
        (false, false) => Err(format!("`{name}` lies outside the zone, which cannot tell its addresses")),
        _ => Ok(DnsServer { name, addresses }),
    }
}

/// Whether there is at most one address of each family, and each is one that can be connected to.
pub(crate) fn one_of_each(addresses: &[IpAddr]) -> Result<(), String> {
    for (at, address) in addresses.iter().enumerate() {
        if address.is_unspecified() || address.is_multicast() {
            return Err(format!("`{address}` is no address of a host"));
        }
        if addresses[..at].iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            return Err(format!("`{address}` is the second address of its family"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_labels_of_bounded_length() {
        for good in ["a", "cdn.example.com", "_x.a-b.c0", &format!("{0}.{0}.{0}", "a".repeat(63))] {
            assert!((DOMAIN.holds)(good), "{good}");
        }
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join(".");
        for bad in ["", ".", "a.", ".a", "a..b", "-a", "a-", "Ä", "A.b", &"a".repeat(64), &long] {
            assert!(!(DOMAIN.holds)(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_lies_in_a_zone_by_whole_labels() {
        assert!(within("cdn.example.com", "cdn.example.com") && within("a.b.c", "b.c"));
        assert!(!within("xcdn.example.com", "cdn.example.com") && !within("example.com", "cdn.example.com"));
    }

    #[test]
    fn a_server_has_addresses_exactly_within_its_zone() {
        let read = |text: &str| server(text, "cdn.test");
        assert_eq!(read("ns.cdn.test 192.0.2.1 2001:db8::1").unwrap().addresses.len(), 2);
        assert_eq!(read("ns.other.test").unwrap().addresses, Vec::<IpAddr>::new());
        for bad in [
            "",
            "ns.cdn.test",
            "ns.other.test 192.0.2.1",
            "ns.cdn.test 192.0.2.1 192.0.2.2",
            "ns.cdn.test 0.0.0.0",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
