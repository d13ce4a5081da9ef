//! The networks and areas that distances are kept for, from fine to coarse.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Whereabouts;

/// The network a client is taken to live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell(IpNet);

impl Cell {
    /// The cell of one address: its /24 or /48. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn of(address: IpAddr) -> Cell {
        Cell(match address.to_canonical() {
            IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new_assert(v4, 24).trunc()),
            IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new_assert(v6, 48).trunc()),
        })
    }

    /// The cell used where the client is not known.
    pub fn unknown() -> Cell {
        Cell(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)))
    }

    /// Reads `203.0.113.0/24`; a prefix longer than a cell is widened to its cell.
    pub fn parse(text: &str) -> Option<Cell> {
        text.parse::<IpNet>().ok().map(|net| Cell::of(net.network()))
    }

    /// How many bits of an address decide that it lies in the cell.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Its network.
    pub fn net(&self) -> IpNet {
        self.0
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How near to the client the measurements were taken that a distance rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// In the client's own /24 or /48.
    Cell,
    /// In its /20 or /40.
    Block,
    /// In its autonomous system, in the same area or, where positions are not known, country.
    Network,
    /// Within its two degrees of latitude and longitude.
    Area,
    /// Nowhere: reckoned from positions.
    Geography,
    /// Nowhere: all sites are taken to be equally far.
    #[default]
    Nothing,
}

impl Source {
    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Cell | Source::Block => "rum",
            Source::Network => "asn",
            Source::Area => "area",
            Source::Geography => "geo",
            Source::Nothing => "prior",
        }
    }

    /// Whether measurements stand behind it.
    pub fn measured(self) -> bool {
        self <= Source::Area
    }
}

/// One cell, block, network or area as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u64);

impl Key {
    const PAYLOAD: u64 = (1 << 60) - 1;

    fn new(kind: u64, payload: u64) -> Key {
        Key(kind << 60 | payload & Key::PAYLOAD)
    }

    /// The /24 or /48.
    pub(super) fn cell(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(v4) => Key::new(1, u64::from(v4.to_bits() >> 8)),
            IpAddr::V6(v6) => Key::new(2, (v6.to_bits() >> 80) as u64),
        }
    }

    /// The first address of a /24 or /48; none of anything else.
    pub(super) fn address(self) -> Option<IpAddr> {
        let payload = self.0 & Key::PAYLOAD;
        match self.0 >> 60 {
            1 => u32::try_from(payload << 8).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
            2 => Some(Ipv6Addr::from_bits(u128::from(payload) << 80).into()),
            _ => None,
        }
    }

    /// The /20 or /40.
    pub(super) fn block(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(v4) => Key::new(3, u64::from(v4.to_bits() >> 12)),
            IpAddr::V6(v6) => Key::new(4, (v6.to_bits() >> 88) as u64),
        }
    }

    /// The autonomous system in this area, or in this country where the position is not known: one that spans a
    /// continent has no distance.
    pub(super) fn network(place: &Whereabouts) -> Option<Key> {
        let asn = u64::from(place.asn?);
        if let Some(position) = place.trusted() {
            return Some(Key::new(5, asn << 16 | position.area()));
        }
        let [a, b] = place.country?;
        Some(Key::new(6, asn << 16 | u64::from(a) << 8 | u64::from(b)))
    }

    /// The area.
    pub(super) fn area(place: &Whereabouts) -> Option<Key> {
        place.trusted().map(|position| Key::new(7, position.area()))
    }

    /// Spread over all bits. `seed` keeps those who choose their addresses from choosing their places too.
    #[inline]
    pub(super) fn mixed(self, seed: u64) -> u64 {
        let mut z = self.0 ^ seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn clients_of_one_network_share_a_cell() {
        let cell = |text: &str| Cell::of(text.parse().unwrap());
        assert_eq!(cell("203.0.113.7"), cell("203.0.113.200"));
        assert_eq!(cell("203.0.113.7"), cell("::ffff:203.0.113.9"));
        assert_ne!(cell("203.0.113.7"), cell("203.0.114.7"));
        assert_eq!(cell("2001:db8:1:2::5").to_string(), "2001:db8:1::/48");
        assert_eq!(Cell::parse("203.0.113.128/25").unwrap(), cell("203.0.113.1"));
        assert!(Cell::parse("elsewhere").is_none());
    }

    #[test]
    fn keys_of_different_kinds_never_meet() {
        let (v4, v6) = ("0.0.1.0".parse().unwrap(), "::1:0:0:0:0:0".parse().unwrap());
        let place = Whereabouts { asn: Some(0), country: Some([0, 0]), position: None };
        let keys =
            [Key::cell(v4), Key::cell(v6), Key::block(v4), Key::block(v6), Key::network(&place).unwrap()];
        assert_eq!(keys.map(Key::address), [Some(v4), Some(v6), None, None, None]);
        for (n, key) in keys.iter().enumerate() {
            assert!(keys[n + 1..].iter().all(|other| other != key), "{n}");
        }
    }
}
