//! Address ranges.

use std::net::IpAddr;
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

#[cfg(test)]
mod tests {
    use super::{Cidr, CidrError};

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
