//! A request's target in its four forms (RFC 9112 §3.2), and the authority in it or in `Host`.

use crate::head::BadHead;
use crate::token::{decimal, is_host_byte};

/// What kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://authority/path?query`
    Absolute,
    /// `*`, of OPTIONS only.
    Asterisk,
}

/// Where the parts of a target stand in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) form: Form,
    /// In the target; empty but in absolute form.
    pub(crate) authority: std::ops::Range<usize>,
    /// With the query; for `http://host` it is empty and stands for `/`.
    pub(crate) path_and_query: std::ops::Range<usize>,
}

/// Takes a target apart. `options`: the method is OPTIONS, which alone may ask for `*`.
pub(crate) fn split(target: &[u8], options: bool) -> Result<Parts, BadHead> {
    let whole = 0..target.len();
    match target {
        [b'/', ..] => Ok(Parts { form: Form::Origin, authority: 0..0, path_and_query: whole }),
        b"*" if options => Ok(Parts { form: Form::Asterisk, authority: 0..0, path_and_query: whole }),
        _ => {
            let start = match target {
                t if starts_with_ignore_case(t, b"http://") => 7,
                t if starts_with_ignore_case(t, b"https://") => 8,
                _ => return Err(BadHead::Target),
            };
            let rest = &target[start..];
            let len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            if rest.get(len) == Some(&b'?') {
                // `http://host?query` has an empty path; what it is joined to differs by reader.
                return Err(BadHead::Target);
            }
            Ok(Parts {
                form: Form::Absolute,
                authority: start..start + len,
                path_and_query: start + len..target.len(),
            })
        }
    }
}

fn starts_with_ignore_case(s: &[u8], prefix: &[u8]) -> bool {
    s.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// The host of an authority, without port; none if it isn't `host[:port]` (RFC 9110 §7.2): user
/// information, an empty host, a port that is no number, or bytes that no host name has.
pub fn host(authority: &[u8]) -> Option<&[u8]> {
    let (host, port) = if let [b'[', rest @ ..] = authority {
        let end = memchr::memchr(b']', rest)?;
        let inside = &rest[..end];
        let fits = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
        if inside.is_empty() || !inside.iter().all(fits) {
            return None;
        }
        (&authority[..end + 2], &rest[end + 1..])
    } else {
        let end = authority.iter().position(|&b| !is_host_byte(b)).unwrap_or(authority.len());
        if end == 0 {
            return None;
        }
        (&authority[..end], &authority[end..])
    };
    match port {
        [] => Some(host),
        [b':'] => Some(host),
        [b':', digits @ ..] => decimal(digits).filter(|&n| n <= u64::from(u16::MAX)).map(|_| host),
        _ => None,
    }
}

/// With the percent-encoded bytes decoded that need no encoding (RFC 3986 §6.2.2.2): `/%61dmin` is
/// `/admin`, and whoever decides by the path must see it so. Others, `%2F` above all, stay as they are.
pub fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, behind @ ..]) = (*first, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
            && let byte = high << 4 | low
            && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
        {
            out.push(byte);
            rest = behind;
        } else {
            out.push(*first);
        }
    }
    out
}

/// Has the path a segment `.` or `..`, however it is written (RFC 3986 §5.2.4, §6.2.2)?
///
/// Clients resolve those before they send. One that arrives means that this node and the endpoint
/// could see different paths, so that a rule for `/admin/` would be passed by `/static/../admin/`.
/// Some endpoints decode `%2f` first, take `\` for `/`, or cut `;parameters` off a segment.
pub fn has_dot_segment(path: &[u8]) -> bool {
    let suspicious =
        memchr::memmem::find(path, b"/.").is_some() || memchr::memchr2(b'%', b'\\', path).is_some();
    suspicious && some_segment_is_dots(path)
}

fn some_segment_is_dots(path: &[u8]) -> bool {
    let mut dots = None; // how many a segment has, as long as it has nothing else
    let mut rest = path;
    while let Some((byte, behind)) = decoded(rest) {
        rest = behind;
        dots = match (byte, dots) {
            (b'/' | b'\\' | b';', Some(1 | 2)) => return true,
            (b'/' | b'\\', _) => Some(0),
            (b'.', Some(n)) => Some(n + 1),
            _ => None,
        };
    }
    matches!(dots, Some(1 | 2))
}

/// The first byte of a path, and what follows it; percent-encoding is undone.
fn decoded(path: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |b: u8| char::from(b).to_digit(16);
    if let [b'%', a, b, rest @ ..] = path
        && let (Some(high), Some(low)) = (digit(*a), digit(*b))
    {
        return Some(((high << 4 | low) as u8, rest));
    }
    path.split_first().map(|(&byte, rest)| (byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(host(b"a.example:80"), Some(&b"a.example"[..]));
        assert_eq!(host(b"[::1]:8080"), Some(&b"[::1]"[..]));
        assert_eq!(host(b"[::1]"), Some(&b"[::1]"[..]));
        for bad in [
            "", "u@h", "h:port", "h:123456", "h:65536", "h:+80", "%61", "[::1", "[]", "[::1]x", "a/b", "a b",
            "h:1:2", ":80",
        ] {
            assert_eq!(host(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_needs_no_encoding_is_decoded() {
        for (path, plain) in [
            ("/%61dmin", "/admin"),
            ("/a%2Fb%20%7e", "/a%2Fb%20~"),
            ("/%", "/%"),
            ("/%6", "/%6"),
            ("/%6g", "/%6g"),
        ] {
            assert_eq!(decode_unreserved(path.as_bytes()), plain.as_bytes(), "{path}");
        }
    }

    #[test]
    fn dot_segments() {
        for bad in [
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e%2E/x",
            "/a/.%2e",
            "/a/..\\b",
            "/.",
            "/a\\..\\b",
            "/a%2f..%2Fb",
            "/a%5c..",
            "/..;/b",
            "/a/.%2e;x=1/b",
            "/..%3b/b",
        ] {
            assert!(has_dot_segment(bad.as_bytes()), "{bad}");
        }
        for good in [
            "/",
            "/.well-known/x",
            "/a..b",
            "/...",
            "/a/.b",
            "/%2f..x",
            "/a%20b",
            "/a%2fb",
            "/%",
            "/%2",
            "/a;../b",
            "/%252e%252e/",
        ] {
            assert!(!has_dot_segment(good.as_bytes()), "{good}");
        }
    }
}
