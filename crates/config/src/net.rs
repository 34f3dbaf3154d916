//! Address ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A range of addresses, as `10.0.0.0/8` (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The first address; bits after the prefix are zero.
    pub base: IpAddr,
    /// Length of the prefix in bits: 0 to 32 or 128.
    pub bits: u8,
}

/// Why a text is not a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CidrError {
    /// What is before the `/` is not an IP address.
    #[error("it doesn't begin with an IP address")]
    Address,
    /// What is after the `/` is not a number of bits that the address has.
    #[error("its prefix is not a number of bits from 0 to {0}")]
    Bits(u8),
    /// The address has bits beyond the prefix; the range that it lies in is inside.
    #[error("the range that holds it is {0}")]
    Host(Cidr),
}

impl Cidr {
    /// Is `ip` in this range? An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.bits);
                shift == 32 || (base.to_bits() >> shift) == (ip.to_bits() >> shift)
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.bits);
                shift == 128 || (base.to_bits() >> shift) == (ip.to_bits() >> shift)
            }
            _ => false,
        }
    }

    /// The range of that prefix length around an address.
    fn around(ip: IpAddr, bits: u8) -> Self {
        let base = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        };
        Self { base, bits }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/8`, or one address as the range that holds only it.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let ip: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let digits = |bits: &&str| bits.bytes().all(|b| b.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) => Some(bits)
                .filter(digits)
                .and_then(|bits| bits.parse().ok())
                .filter(|bits| *bits <= most)
                .ok_or(CidrError::Bits(most))?,
        };
        let range = Self::around(ip, bits);
        if range.base == ip { Ok(range) } else { Err(CidrError::Host(range)) }
    }
}

/// Ranges that don't lead to the public network (RFC 6890), IPv4.
const PRIVATE_V4: [(Ipv4Addr, u8); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The same of IPv6: all but 2000::/3, and in it what is for documentation and what stands for an IPv4
/// address in ways that hide it (Teredo, 6to4).
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const PRIVATE_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Does an address lead to this machine, its own network, or anywhere else that is not the public
/// network? Who may name a URL for requests to be sent to may not thereby reach what only this machine can.
pub fn is_private(ip: IpAddr) -> bool {
    let within = |base: IpAddr, bits| Cidr { base, bits }.contains(ip);
    match ip.to_canonical() {
        IpAddr::V4(_) => PRIVATE_V4.iter().any(|(base, bits)| within((*base).into(), *bits)),
        IpAddr::V6(_) => {
            !within(PUBLIC_V6.0.into(), PUBLIC_V6.1)
                || PRIVATE_V6.iter().any(|(base, bits)| within((*base).into(), *bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, CidrError, is_private};

    #[test]
    fn what_is_not_public_is_private() {
        let private = |ip: &str| is_private(ip.parse().unwrap());
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(private(ip), "{ip}");
        }
        for ip in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8"] {
            assert!(!private(ip), "{ip}");
        }
    }

    #[test]
    fn ranges_are_read_and_hold_what_they_should() {
        let holds = |range: &str, ip: &str| range.parse::<Cidr>().unwrap().contains(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "255.255.255.255") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1") && holds("2001:db8::/32", "2001:db8:ffff::"));
        assert!(!holds("2001:db8::/32", "2001:db9::"));
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        let wrong = |text: &str| text.parse::<Cidr>().unwrap_err();
        assert_eq!(wrong("shop"), CidrError::Address);
        assert_eq!(wrong("10.0.0.0/33"), CidrError::Bits(32));
        assert_eq!(wrong("10.0.0.0/+8"), CidrError::Bits(32));
        assert_eq!(wrong("::/"), CidrError::Bits(128));
        assert_eq!(wrong("10.1.0.0/8").to_string(), "the range that holds it is 10.0.0.0/8");
    }
}
