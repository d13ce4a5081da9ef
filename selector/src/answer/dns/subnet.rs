//! EDNS client subnet (RFC 7871): for whom a resolver asks, and for whom the answer holds.
//!
//! An option that breaks the rules is FORMERR. One that names nobody on the Internet (private, loopback, link-local
//! and other special networks, or a prefix of length 0) is repeated with scope 0 and the resolver's own address
//! decides. Whoever lies in it gets answers for a place where he is not, and moves nobody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::numbers::Code;

/// The option of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    family: u16,
    source: u8,
    address: [u8; 16],
}

impl Subnet {
    /// Reads the option's value.
    pub(super) fn read(value: &[u8]) -> Result<Subnet, Code> {
        let &[high, low, source, scope, ref bytes @ ..] = value else { return Err(Code::FormErr) };
        let family = u16::from_be_bytes([high, low]);
        let longest = match family {
            // An asker who wants no subnet to be used need not say of which family.
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(Code::FormErr),
        };
        // Exactly the bytes of the prefix, and nothing in them beyond it (section 6).
        if scope != 0 || source > longest || bytes.len() != usize::from(source).div_ceil(8) {
            return Err(Code::FormErr);
        }
        let beyond = source.next_multiple_of(8) - source;
        if bytes.last().is_some_and(|last| last.trailing_zeros() < u32::from(beyond)) {
            return Err(Code::FormErr);
        }
        let mut address = [0; 16];
        address[..bytes.len()].copy_from_slice(bytes);
        Ok(Subnet { family, source, address })
    }

    /// The network's first address, where it is one that clients can have.
    pub(super) fn client(&self) -> Option<IpAddr> {
        let [a, b, c, d, ..] = self.address;
        let address = match self.family {
            _ if self.source == 0 => return None,
            1 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            _ => IpAddr::V6(Ipv6Addr::from(self.address)),
        };
        public(address).then_some(address)
    }

    /// Length of the option's value in an answer.
    pub(super) fn len(&self) -> usize {
        4 + usize::from(self.source).div_ceil(8)
    }

    /// The option's value in an answer: the question's, with the scope.
    pub(super) fn write(&self, scope: u8, out: &mut [u8]) {
        let [high, low] = self.family.to_be_bytes();
        let head = [high, low, self.source, scope];
        for (to, from) in out.iter_mut().zip(head.iter().chain(&self.address)) {
            *to = *from;
        }
    }
}

/// Whether clients on the Internet can have this address (RFC 6890); networks for documentation count as public.
fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let carrier = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || carrier || a == 0 || a >= 224)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let mapped = v6.to_ipv4_mapped().is_some();
            // Unspecified and loopback lie in ::/16 as well.
            !(mapped || first == 0 || v6.is_unique_local() || v6.is_unicast_link_local() || first >= 0xFF00)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn option(family: u16, source: u8, scope: u8, bytes: &[u8]) -> Vec<u8> {
        [&family.to_be_bytes(), [source, scope].as_slice(), bytes].concat()
    }

    #[test]
    fn a_network_is_read_and_repeated_with_its_scope() {
        let value = option(1, 22, 0, &[203, 0, 112]);
        let subnet = Subnet::read(&value).unwrap();
        assert_eq!(subnet.client(), Some("203.0.112.0".parse().unwrap()));
        let mut out = vec![0; subnet.len()];
        subnet.write(24, &mut out);
        assert_eq!(out, option(1, 22, 24, &[203, 0, 112]));
        let value = option(2, 48, 0, &[0x20, 1, 0xd, 0xb8, 0, 1]);
        assert_eq!(Subnet::read(&value).unwrap().client(), Some("2001:db8:1::".parse().unwrap()));
    }

    #[test]
    fn what_breaks_the_rules_is_a_format_error() {
        for (bad, why) in [
            (option(1, 24, 0, &[203, 0]), "too few bytes"),
            (option(1, 24, 0, &[203, 0, 113, 0]), "too many bytes"),
            (option(1, 33, 0, &[203, 0, 113, 0, 0]), "longer than an address"),
            (option(2, 129, 0, &[1; 17]), "longer than an address"),
            (option(1, 22, 0, &[203, 0, 113]), "bits beyond the prefix"),
            (option(1, 24, 24, &[203, 0, 113]), "a scope in a question"),
            (option(3, 24, 0, &[203, 0, 113]), "an unknown family"),
            (option(0, 8, 0, &[1]), "a network of no family"),
            (vec![0, 1, 24], "cut off"),
            (vec![], "empty"),
        ] {
            assert_eq!(Subnet::read(&bad), Err(Code::FormErr), "{why}");
        }
    }

    #[test]
    fn networks_that_no_client_on_the_internet_has_are_not_used() {
        let first = |family, bytes: &[u8]| {
            Subnet::read(&option(family, bytes.len() as u8 * 8, 0, bytes)).unwrap().client()
        };
        for private in [
            [10, 1, 2],
            [127, 0, 0],
            [192, 168, 1],
            [172, 16, 0],
            [169, 254, 1],
            [100, 64, 0],
            [0, 1, 2],
            [224, 0, 0],
            [255, 255, 255],
        ] {
            assert_eq!(first(1, &private), None, "{private:?}");
        }
        for private in [[0xfd, 0], [0xfe, 0x80], [0xff, 2], [0, 0]] {
            assert_eq!(first(2, &private), None, "{private:?}");
        }
        assert_eq!(first(1, &[]), None, "a prefix of length 0 names nobody");
        assert_eq!(Subnet::read(&option(0, 0, 0, &[])).unwrap().client(), None);
        assert!(first(1, &[100, 128, 0]).is_some() && first(1, &[172, 32, 0]).is_some());
    }
}
