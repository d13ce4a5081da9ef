//! The network that an address lies in: what strangers are rationed and viewers are counted by.

use std::net::IpAddr;

/// Bits that a network of IPv4 has in common.
const V4: u32 = 24;

/// A number for the /24 of an address, or for its prefix of `v6` bits, 1..=63; no two networks have the same. An IPv4
/// address that is mapped into IPv6, as sockets for both report it, is the IPv4 address.
pub(super) fn number(address: IpAddr, v6: u32) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits() >> (32 - V4)),
        IpAddr::V6(address) => 1 << 63 | (address.to_bits() >> (128 - v6.clamp(1, 63))) as u64,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn of(address: &str, v6: u32) -> u64 {
        number(address.parse().unwrap(), v6)
    }

    #[test]
    fn a_network_has_one_number_however_it_is_written() {
        assert_eq!(of("192.0.2.1", 56), of("192.0.2.255", 56));
        assert_ne!(of("192.0.2.1", 56), of("192.0.3.1", 56));
        assert_eq!(of("::ffff:192.0.2.1", 56), of("192.0.2.7", 56));
        assert_eq!(of("2001:db8:1:200::1", 56), of("2001:db8:1:2ff::9", 56));
        assert_ne!(of("2001:db8:1:200::1", 56), of("2001:db8:1:300::1", 56));
        assert_eq!(of("2001:db8:1:200::1", 48), of("2001:db8:1:300::1", 48));
        assert_ne!(of("::1", 56), of("0.0.0.1", 56), "another family is another network");
    }
}
