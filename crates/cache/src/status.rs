//! `Cache-Status` (RFC 9211): how the cache came by an answer.
//!
//! Each cache on the way adds a member to the list, the one nearest to the client last. So this node's is
//! a line of its own, written after those that the answer came with.

use wire::token::is_token;

use crate::range::number;

/// This cache's name, and the start of its line.
const START: &[u8] = b"Cache-Status: nearside";

/// Why a request went to an endpoint (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fwd {
    /// The route or the request passes the cache by.
    Bypass,
    /// The method is never answered from the cache.
    Method,
    /// Nothing is stored for the URL.
    UriMiss,
    /// Something is, but no variant that fits.
    VaryMiss,
    /// Something fresh is, but the request's directives don't want it.
    Request,
    /// Something is, but it is stale.
    Stale,
    /// Some of the bytes are, but not all that is wanted.
    Partial,
}

impl Fwd {
    /// As RFC 9211 writes it.
    pub fn token(self) -> &'static str {
        match self {
            Fwd::Bypass => "bypass",
            Fwd::Method => "method",
            Fwd::UriMiss => "uri-miss",
            Fwd::VaryMiss => "vary-miss",
            Fwd::Request => "request",
            Fwd::Stale => "stale",
            Fwd::Partial => "partial",
        }
    }
}

/// What this node says about an answer; by default a hit and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatus<'a> {
    /// Why it was forwarded; none: it was a hit (RFC 9211 §2.1).
    pub fwd: Option<Fwd>,
    /// The endpoint's status, where it isn't the answer's (§2.3).
    pub fwd_status: Option<u16>,
    /// Seconds that the answer is still fresh; negative: stale for so long (§2.4).
    pub ttl: Option<i64>,
    /// The answer was stored (§2.5).
    pub stored: bool,
    /// The request waited for another one's fetch (§2.6).
    pub collapsed: bool,
    /// Anything else (§2.8), visible ASCII or spaces: why it isn't stored.
    pub detail: Option<&'a str>,
}

impl CacheStatus<'_> {
    /// Writes the line.
    pub fn line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(START);
        match self.fwd {
            None => out.extend_from_slice(b"; hit"),
            Some(fwd) => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(fwd.token().as_bytes());
            }
        }
        if let Some(status) = self.fwd_status {
            out.extend_from_slice(b"; fwd-status=");
            number(out, u64::from(status));
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(if ttl < 0 { b"; ttl=-" } else { b"; ttl=" });
            number(out, ttl.unsigned_abs());
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            if is_token(detail.as_bytes()) && detail.starts_with(|c: char| c.is_ascii_alphabetic()) {
                out.extend_from_slice(b"; detail=");
                out.extend_from_slice(detail.as_bytes());
            } else {
                parameter(out, b"; detail=", detail.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes a parameter whose value is a String (RFC 9651 §3.3.3), if it can be one.
fn parameter(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !value.iter().all(|b| matches!(b, b' '..=b'~')) {
        return;
    }
    out.extend_from_slice(name);
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
