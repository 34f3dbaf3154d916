//! The field names that this program itself reads or writes, told apart once, when a head is read.

macro_rules! known {
    ($($(#[$doc:meta])* $id:ident = $text:literal,)*) => {
        /// A field name that matters here; all others are [`Known::Other`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Known { Other, $($(#[$doc])* $id,)* }

        const ALL: &[(Known, &str)] = &[$((Known::$id, $text),)*];
    };
}

known! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    Http2Settings = "http2-settings",
    Expect = "expect",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    Forwarded = "forwarded",
    XRequestId = "x-request-id",
    Via = "via",
    Traceparent = "traceparent",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    UserAgent = "user-agent",
    Referer = "referer",
    Accept = "accept",
    Authorization = "authorization",
    ContentType = "content-type",
    Date = "date",
    Location = "location",
    RetryAfter = "retry-after",
    CacheControl = "cache-control",
    Range = "range",
    ContentEncoding = "content-encoding",
    ContentRange = "content-range",
    ContentLocation = "content-location",
    Age = "age",
    Expires = "expires",
    Pragma = "pragma",
    Vary = "vary",
    Etag = "etag",
    LastModified = "last-modified",
    IfMatch = "if-match",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    IfUnmodifiedSince = "if-unmodified-since",
    IfRange = "if-range",
    CdnCacheControl = "cdn-cache-control",
    CacheStatus = "cache-status",
    CacheTag = "cache-tag",
    SurrogateKey = "surrogate-key",
}

const LONGEST: usize = 24;

/// `BY_LENGTH[n]`: the names of n bytes.
static BY_LENGTH: [&[(Known, &str)]; LONGEST + 1] = {
    // The names grouped by length at compile time, each group a slice of one sorted table.
    let mut groups: [&[(Known, &str)]; LONGEST + 1] = [&[]; LONGEST + 1];
    let mut start = 0;
    while start < SORTED.len() {
        let len = SORTED[start].1.len();
        let mut end = start;
        while end < SORTED.len() && SORTED[end].1.len() == len {
            end += 1;
        }
        let (_, tail) = SORTED.split_at(start);
        let (group, _) = tail.split_at(end - start);
        groups[len] = group;
        start = end;
    }
    groups
};

static SORTED: [(Known, &str); ALL.len()] = {
    let mut sorted = [(Known::Other, ""); ALL.len()];
    let mut at = 0;
    let mut len = 0;
    while len <= LONGEST {
        let mut i = 0;
        while i < ALL.len() {
            if ALL[i].1.len() == len {
                sorted[at] = ALL[i];
                at += 1;
            }
            i += 1;
        }
        len += 1;
    }
    assert!(at == ALL.len());
    sorted
};

/// Is it that name in any case? Both are as long.
#[inline]
fn is_same(name: &[u8], text: &[u8]) -> bool {
    if name.first().map(|b| b | 0x20) != text.first().copied() {
        return false;
    }
    let small = |b: u8| if b.is_ascii_uppercase() { b | 0x20 } else { b };
    name.iter().zip(text).fold(0, |apart, (&a, &b)| apart | (small(a) ^ b)) == 0
}

impl Known {
    /// Its bit in a set of names.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        const { assert!(ALL.len() < 64) };
        1 << (self as u8)
    }

    /// Tells a name apart, whatever its case.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        let Some(group) = BY_LENGTH.get(name.len()) else {
            return Known::Other;
        };
        for &(known, text) in *group {
            if is_same(name, text.as_bytes()) {
                return known;
            }
        }
        Known::Other
    }

    /// Does it speak of one connection only, so that a proxy must not pass it on (RFC 9110 §7.6.1)?
    ///
    /// `Upgrade` and `TE` are written anew where they are meant. `Proxy-*` credentials are for a
    /// proxy, and `HTTP2-Settings` belongs to the `h2c` upgrade, which is never passed on.
    #[inline]
    pub fn is_hop_by_hop(self) -> bool {
        use Known::{
            Connection, ContentLength, Http2Settings, KeepAlive, ProxyAuthenticate, ProxyAuthorization,
            ProxyConnection, Te, TransferEncoding, Upgrade,
        };
        // Content-Length is end-to-end, but framing is written anew for each message.
        matches!(
            self,
            Connection
                | KeepAlive
                | ProxyConnection
                | ProxyAuthenticate
                | ProxyAuthorization
                | Te
                | TransferEncoding
                | ContentLength
                | Upgrade
                | Http2Settings
        )
    }

    /// May it stand in a trailer section (RFC 9110 §6.5.1)? A name known here speaks of framing, of
    /// the way, of who asks or of the content: all of them things that were decided by the head, so
    /// that an endpoint that merged such a trailer into it could be lied to. But a validator may only be
    /// known when all is sent (RFC 9110 §8.8.3).
    pub fn may_trail(self) -> bool {
        matches!(self, Known::Other | Known::Etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for &(known, text) in ALL {
            assert_eq!(Known::of(text.as_bytes()), known);
            assert_eq!(Known::of(text.to_uppercase().as_bytes()), known);
        }
        assert_eq!(Known::of(b"x-request-ie"), Known::Other);
        assert_eq!(Known::of(b""), Known::Other);
        assert_eq!(Known::of(&[b'a'; 300]), Known::Other);
    }
}
