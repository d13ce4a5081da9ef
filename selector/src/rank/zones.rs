//! What operators decide by prefix: which sites a network shall use, or never use.
//!
//! The longest prefix that holds an address decides alone. Prefixes are cut into intervals when they are built, so
//! a look-up is one binary search, however many there are.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

/// What one prefix is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// The sites that shall serve it while they can; empty = all alike.
    pub prefer: Vec<String>,
    /// The sites that shall never serve it.
    pub deny: Vec<String>,
}

/// All zones.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    /// Where an interval begins, in the order of addresses; IPv4 is mapped into IPv6.
    starts: Vec<u128>,
    /// Which zone holds from there on.
    holds: Vec<Option<u32>>,
    zones: Vec<(IpNet, Zone)>,
}

impl Zones {
    /// Zones by prefix. Of two for the same prefix the later holds.
    pub fn new(zones: impl IntoIterator<Item = (IpNet, Zone)>) -> Zones {
        let mut zones: Vec<(IpNet, Zone)> =
            zones.into_iter().map(|(net, zone)| (net.trunc(), zone)).collect();
        zones.reverse();
        zones.sort_by_key(|(net, _)| (first(net), width(net)));
        zones.dedup_by(|later, earlier| later.0 == earlier.0);
        // Wider prefixes come first, so those that are open hold each other in turn.
        let mut built = Zones { zones: Vec::new(), ..Zones::default() };
        let mut open: Vec<u32> = Vec::new();
        for (place, (net, _)) in zones.iter().enumerate() {
            while let Some(&inner) = open.last()
                && last(&zones[inner as usize].0) < first(net)
            {
                open.pop();
                built.cut(last(&zones[inner as usize].0).checked_add(1), open.last().copied());
            }
            open.push(place as u32);
            built.cut(Some(first(net)), Some(place as u32));
        }
        while let Some(inner) = open.pop() {
            built.cut(last(&zones[inner as usize].0).checked_add(1), open.last().copied());
        }
        built.zones = zones;
        built
    }

    fn cut(&mut self, start: Option<u128>, holds: Option<u32>) {
        let Some(start) = start else { return };
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.holds.pop();
        }
        self.starts.push(start);
        self.holds.push(holds);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// All of them, in the order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = &(IpNet, Zone)> {
        self.zones.iter()
    }

    /// The number of the zone that holds `address`.
    fn place(&self, address: IpAddr) -> Option<u32> {
        let address = number(address);
        let after = self.starts.partition_point(|start| *start <= address);
        *self.holds.get(after.checked_sub(1)?)?
    }

    /// How many bits of `address` it takes to tell that the zone that holds it, if one does, holds all who share
    /// them; 0 when there are no zones.
    pub fn width(&self, address: IpAddr) -> u8 {
        let here = number(address);
        let after = self.starts.partition_point(|start| *start <= here);
        let below =
            after.checked_sub(1).and_then(|at| self.starts.get(at)).and_then(|start| start.checked_sub(1));
        let above = self.starts.get(after).copied();
        // A prefix keeps out what differs from the address in one of its bits.
        let bits = |other: u128| (here ^ other).leading_zeros() as u8 + 1;
        let width = below.map_or(0, bits).max(above.map_or(0, bits));
        width.saturating_sub(if address.is_ipv4() { 96 } else { 0 })
    }

    /// The zone that holds `address`, and its prefix.
    pub fn of(&self, address: IpAddr) -> Option<&(IpNet, Zone)> {
        self.zones.get(self.place(address)? as usize)
    }
}

/// Zones with their sites as places in one snapshot's list.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    zones: Arc<Zones>,
    masks: Vec<Mask>,
}

/// What one zone says of each site, a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Mask {
    prefer: Box<[u64]>,
    deny: Box<[u64]>,
}

impl Mask {
    /// The site may not be used.
    #[inline]
    pub(super) fn denies(&self, site: usize) -> bool {
        holds(&self.deny, site)
    }

    /// Other sites are preferred to it.
    #[inline]
    pub(super) fn defers(&self, site: usize) -> bool {
        !self.prefer.is_empty() && !holds(&self.prefer, site)
    }
}

fn holds(bits: &[u64], place: usize) -> bool {
    bits.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}

impl Resolved {
    /// Resolves `zones` for sites that stand in this order. A site of that name that is not there cannot be used
    /// anyway; a zone whose preferred sites are all missing prefers none.
    pub(super) fn new(zones: Arc<Zones>, sites: &[Arc<str>]) -> Resolved {
        let mask = |names: &[String]| -> Box<[u64]> {
            let mut bits = vec![0u64; if names.is_empty() { 0 } else { sites.len().div_ceil(64) }];
            for (place, site) in sites.iter().enumerate() {
                if names.iter().any(|name| **name == **site) {
                    bits[place / 64] |= 1 << (place % 64);
                }
            }
            if bits.iter().all(|word| *word == 0) {
                bits.clear();
            }
            bits.into()
        };
        let masks =
            zones.zones.iter().map(|(_, zone)| Mask { prefer: mask(&zone.prefer), deny: mask(&zone.deny) });
        Resolved { masks: masks.collect(), zones }
    }

    /// Whether they are made of these.
    pub(super) fn of(&self, zones: &Arc<Zones>) -> bool {
        Arc::ptr_eq(&self.zones, zones)
    }

    /// What they are made of.
    pub(super) fn table(&self) -> Arc<Zones> {
        Arc::clone(&self.zones)
    }

    /// See [`Zones::width`].
    pub(super) fn width(&self, address: IpAddr) -> u8 {
        self.zones.width(address)
    }

    /// What holds for `address`.
    #[inline]
    pub(super) fn mask(&self, address: IpAddr) -> Option<&Mask> {
        if self.masks.is_empty() {
            return None;
        }
        self.masks.get(self.zones.place(address)? as usize)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn first(net: &IpNet) -> u128 {
    number(net.network())
}

fn last(net: &IpNet) -> u128 {
    number(net.broadcast())
}

/// Bits that a prefix fixes, counted as of IPv6.
fn width(net: &IpNet) -> u8 {
    match net {
        IpNet::V4(v4) => v4.prefix_len() + 96,
        IpNet::V6(v6) => v6.prefix_len(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn zone(prefix: &str, site: &str) -> (IpNet, Zone) {
        (prefix.parse().unwrap(), Zone { prefer: vec![site.to_owned()], deny: Vec::new() })
    }

    #[test]
    fn the_longest_prefix_decides() {
        let zones = Zones::new([
            zone("10.0.0.0/8", "wide"),
            zone("10.1.0.0/16", "first"),
            zone("10.1.0.0/16", "middle"),
            zone("10.1.2.0/24", "narrow"),
            zone("10.255.0.0/16", "end"),
            zone("2001:db8::/32", "six"),
            zone("ffff::/16", "last"),
        ]);
        let of = |address: &str| zones.of(address.parse().unwrap()).map(|(_, zone)| zone.prefer[0].as_str());
        assert_eq!(of("10.0.0.1"), Some("wide"));
        assert_eq!(of("10.1.0.1"), Some("middle"), "the later of two");
        assert_eq!(of("10.1.2.255"), Some("narrow"));
        assert_eq!(of("10.1.3.0"), Some("middle"));
        assert_eq!(of("10.2.0.0"), Some("wide"));
        assert_eq!(of("10.255.255.255"), Some("end"));
        assert_eq!((of("11.0.0.0"), of("9.255.255.255")), (None, None));
        assert_eq!(of("::ffff:10.1.2.3"), Some("narrow"));
        assert_eq!(of("2001:db8:ffff::1"), Some("six"));
        assert_eq!(of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some("last"));
        let width = |address: &str| zones.width(address.parse().unwrap());
        assert_eq!((width("10.1.2.9"), width("10.1.9.9"), width("10.2.0.0")), (24, 21, 15));
        assert_eq!((width("192.0.2.1"), width("2001:db8::1"), width("2a00::1")), (1, 32, 5));
        assert_eq!(Zones::default().width("10.1.2.9".parse().unwrap()), 0);
    }

    #[test]
    fn any_zones_agree_with_a_search_through_all() {
        let mut dice = 7u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for _ in 0..200 {
            let nets: Vec<(IpNet, Zone)> = (0..1 + roll(20))
                .map(|n| {
                    let address = std::net::Ipv4Addr::from(0x0A00_0000 | roll(64) as u32);
                    let net = ipnet::Ipv4Net::new(address, 24 + roll(9) as u8).unwrap();
                    (IpNet::V4(net.trunc()), Zone { prefer: vec![n.to_string()], deny: Vec::new() })
                })
                .collect();
            let zones = Zones::new(nets.clone());
            for last in 0..72u32 {
                let address = IpAddr::V4(std::net::Ipv4Addr::from(0x0A00_0000 | last));
                let holding = nets.iter().enumerate().filter(|(_, (net, _))| net.contains(&address));
                let longest = holding.max_by_key(|(place, (net, _))| (net.prefix_len(), *place));
                assert_eq!(zones.of(address).map(|(_, zone)| zone), longest.map(|(_, (_, zone))| zone));
                // Who shares so many bits is in the same zone, and with one less somebody is not.
                let here = zones.place(address);
                let all_same = |width: u8| {
                    let shared = ipnet::Ipv4Net::new(std::net::Ipv4Addr::from(0x0A00_0000 | last), width);
                    let around = shared.unwrap().trunc();
                    let most = around.hosts().take(256);
                    let ends = [around.network(), around.broadcast()];
                    most.chain(ends).all(|other| zones.place(IpAddr::V4(other)) == here)
                };
                let width = zones.width(address);
                assert!(all_same(width), "{address}/{width}");
                assert!(width == 0 || !all_same(width - 1), "{address}/{width} is too narrow");
            }
        }
    }
}
