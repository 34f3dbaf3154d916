//! Address ranges.

use std::net::IpAddr;

/// A range of addresses, as `10.0.0.0/8` (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The first address; bits after the prefix are zero.
    pub base: IpAddr,
    /// Length of the prefix in bits: 0 to 32 or 128.
    pub bits: u8,
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
}
