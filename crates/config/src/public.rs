//! Does an address belong to the world, or to the machine, its network or nobody?
//!
//! A receiver's URL may come from people whom the operator doesn't trust as himself. Without this
//! check they could make the node ask what only it can reach: its own ports, its neighbours, a cloud's
//! metadata. The tables follow IANA's special-purpose registries (RFC 6890), and where those are
//! undecided, refuse.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Cidr;

/// IPv4 ranges that aren't public.
const RESERVED_V4: [Cidr; 15] = [
    v4([0, 0, 0, 0], 8),       // this network; 0.0.0.0 reaches this machine
    v4([10, 0, 0, 0], 8),      // private (RFC 1918)
    v4([100, 64, 0, 0], 10),   // behind a carrier's NAT (RFC 6598)
    v4([127, 0, 0, 0], 8),     // this machine
    v4([169, 254, 0, 0], 16),  // the link, and metadata of clouds (RFC 3927)
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments (RFC 6890)
    v4([192, 0, 2, 0], 24),    // documentation (RFC 5737)
    v4([192, 88, 99, 0], 24),  // 6to4 relays, given up (RFC 7526)
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarks (RFC 2544)
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 4),     // multicast
    v4([240, 0, 0, 0], 4),     // reserved, and broadcast
];

/// All that was given out of IPv6 for the world. Loopback, link-local and unique local addresses,
/// multicast, and those that only wrap an IPv4 address (`::a.b.c.d`, `::ffff:a.b.c.d`) lie outside.
const GLOBAL_V6: Cidr = v6([0x2000, 0], 3);

/// What of it isn't public.
const RESERVED_V6: [Cidr; 4] = [
    v6([0x2001, 0], 23),     // protocol assignments, Teredo among them (RFC 2928)
    v6([0x2001, 0xdb8], 32), // documentation (RFC 3849)
    v6([0x2002, 0], 16),     // 6to4, given up (RFC 7526)
    v6([0x3fff, 0], 20),     // documentation (RFC 9637)
];

/// An IPv4 address in its last four bytes, reached through a translator (RFC 6052 §2.1): what a name
/// server with DNS64 answers for hosts that have only IPv4.
const TRANSLATED: Cidr = v6([0x64, 0xff9b], 96);

/// Is it an address of the world?
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => !within(&RESERVED_V4, ip),
        IpAddr::V6(long) if TRANSLATED.contains(ip) => is_public(IpAddr::V4(last_four(long))),
        IpAddr::V6(_) => GLOBAL_V6.contains(ip) && !within(&RESERVED_V6, ip),
    }
}

fn within(ranges: &[Cidr], ip: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(ip))
}

fn last_four(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Cidr {
    Cidr { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
}

const fn v6([a, b]: [u16; 2], bits: u8) -> Cidr {
    Cidr { base: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_edges_of_each_range_are_told_apart() {
        let public = "
            1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
            169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0
            192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 203.0.114.0
            223.255.255.255 8.8.8.8 2000:: 2001:200:: 2001:db7:ffff:: 2001:db9:: 2003::1
            2606:4700::1111 3ffe:ffff:: 64:ff9b::8.8.8.8";
        let private = "
            0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1
            127.255.255.255 169.254.0.0 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.8
            192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.7
            203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::8.8.8.8
            ::ffff:8.8.8.8 ::ffff:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8
            64:ff9b::1:8.8.8.8 100::1 1fff:ffff:: 2001::1 2001:1ff:ffff:: 2001:db8::1
            2001:db8:ffff:: 2002:808:808:: 3fff::1 3fff:fff:ffff:: 4000:: 5f00::1 fc00::1
            fd12:3456::1 fe80::1 febf::1 fec0::1 ff02::1 ffff::1";
        for (texts, expected) in [(public, true), (private, false)] {
            for text in texts.split_whitespace() {
                assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
            }
        }
    }

    fn inside(range: &Cidr, random: u128) -> IpAddr {
        match range.base {
            IpAddr::V4(base) => {
                let free = u32::MAX.checked_shr(range.bits.into()).unwrap_or(0);
                IpAddr::V4((base.to_bits() | (random as u32 & free)).into())
            }
            IpAddr::V6(base) => {
                let free = u128::MAX.checked_shr(range.bits.into()).unwrap_or(0);
                IpAddr::V6((base.to_bits() | (random & free)).into())
            }
        }
    }

    proptest! {
        #[test]
        fn no_address_of_a_reserved_range_is_public(random: u128, which in 0..RESERVED_V4.len() + RESERVED_V6.len()) {
            let range = RESERVED_V4.iter().chain(&RESERVED_V6).nth(which).unwrap();
            let ip = inside(range, random);
            prop_assert!(!is_public(ip), "{} of {}", ip, range);
        }

        #[test]
        fn what_wraps_an_ipv4_address_is_public_at_most_if_that_is(bits: u32, local: u16) {
            let ip = Ipv4Addr::from_bits(bits);
            let low = u128::from(bits);
            let wrapped = |prefix: u128| is_public(IpAddr::V6((prefix | low).into()));
            prop_assert!(!wrapped(0) && !wrapped(0xffff << 32), "compatible or mapped");
            prop_assert!(!wrapped(u128::from(local) << 32 | 0x64_ff9b_0001 << 80), "a translator of its own");
            prop_assert!(!is_public(IpAddr::V6((0x2002 << 112 | low << 80).into())), "6to4");
            prop_assert_eq!(wrapped(0x64_ff9b << 96), is_public(IpAddr::V4(ip)));
        }

        #[test]
        fn what_the_standard_library_calls_special_is_never_public(random: u128) {
            let v4 = Ipv4Addr::from_bits(random as u32);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
                || v4.is_multicast() || v4.is_documentation() || v4.is_broadcast()
            {
                prop_assert!(!is_public(v4.into()));
            }
            let v6 = Ipv6Addr::from_bits(random);
            if v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local()
                || v6.is_unicast_link_local()
            {
                prop_assert!(!is_public(v6.into()));
            }
        }
    }
}
