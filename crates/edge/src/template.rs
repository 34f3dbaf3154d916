//! Where a redirect leads: `{rest}`, `{path}`, `{query}` and `{host}` filled in with the request's own.
//!
//! What a client sends must not become more than a path or a query of the place that the operator
//! wrote. So every byte that is not a plain URI character is percent-encoded (RFC 3986, 2.1), which
//! leaves no line end for another header field and no `\` that browsers read as `/`; a target
//! without an authority always begins with exactly one `/`; and in a target with one, nothing but
//! `{host}`, and that only if it is a plain host, becomes part of it.

use config::plan::PathMatch;

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The request's host, without a port.
    pub host: &'a [u8],
    /// As sent, without the query.
    pub path: &'a [u8],
    /// Without its `?`; empty if there is none.
    pub query: &'a [u8],
    /// What [`rest`] gave.
    pub rest: &'a [u8],
}

/// What a route's path leaves over of a request's: of `/old/a/b`, `/old/*` leaves `a/b`.
pub fn rest<'p>(wanted: &PathMatch, path: &'p [u8]) -> &'p [u8] {
    match wanted {
        PathMatch::Prefix(prefix) => path.strip_prefix(prefix.as_bytes()).unwrap_or_default(),
        PathMatch::Any => path.strip_prefix(b"/").unwrap_or(path),
        PathMatch::Exact(_) => b"",
    }
}

/// The value of `Location` (RFC 9110, 10.2.2): `to` with its placeholders filled in. A `?` that an
/// empty `{query}` leaves at the end goes too. Braces with another word are text.
///
/// None where no safe target can be made: `{host}` is asked for and the request's is not a plain
/// host (400), or `to` leaves it to the client to name the authority.
pub fn fill(to: &str, values: &Values<'_>) -> Option<String> {
    let mut target = Target::begin(to);
    let mut text = to;
    while let Some((before, part, after)) = next_part(text) {
        target.literal(before)?;
        match part {
            Part::Host => target.host(values.host)?,
            Part::Path => target.value(values.path)?,
            Part::Query => target.value(values.query)?,
            Part::Rest => target.value(values.rest)?,
        }
        text = after;
    }
    target.literal(text)?;
    target.end(to.ends_with("?{query}") && values.query.is_empty())
}

#[derive(Clone, Copy)]
enum Part {
    Host,
    Path,
    Query,
    Rest,
}

const PARTS: [(&str, Part); 4] =
    [("{host}", Part::Host), ("{path}", Part::Path), ("{query}", Part::Query), ("{rest}", Part::Rest)];

/// The first placeholder, with what is before and after it.
fn next_part(text: &str) -> Option<(&str, Part, &str)> {
    let found = PARTS
        .iter()
        .filter_map(|&(name, part)| text.split_once(name).map(|(before, after)| (before, part, after)));
    found.min_by_key(|(before, ..)| before.len())
}

/// A target as it grows.
struct Target {
    out: String,
    /// Where the authority begins: after `scheme://` or `//`. None: the target has none.
    authority: Option<usize>,
    /// What comes now is still part of the authority.
    in_authority: bool,
}

impl Target {
    fn begin(to: &str) -> Target {
        let scheme = to.find("//").filter(|&at| at == 0 || is_scheme(&to[..at]));
        let authority = scheme.map(|at| at + "//".len());
        Target { out: String::new(), authority, in_authority: authority.is_some() }
    }

    /// Text of the operator's.
    fn literal(&mut self, text: &str) -> Option<()> {
        for byte in text.bytes() {
            let past_scheme = self.authority.is_some_and(|start| self.out.len() >= start);
            if self.in_authority && past_scheme && matches!(byte, b'/' | b'?' | b'#') {
                self.leave_authority()?;
            }
            self.push(byte, is_uri(byte));
        }
        Some(())
    }

    /// A path or query of the client's.
    fn value(&mut self, value: &[u8]) -> Option<()> {
        if self.in_authority {
            self.leave_authority()?;
            if !value.starts_with(b"/") {
                self.out.push('/');
            }
        }
        for &byte in value {
            self.push(byte, is_uri(byte) && byte != b'#');
        }
        Some(())
    }

    fn host(&mut self, host: &[u8]) -> Option<()> {
        let host = str::from_utf8(host).ok().filter(|host| is_host(host))?;
        self.out.push_str(host);
        Some(())
    }

    /// An empty authority would let browsers take the first part of the path for it.
    fn leave_authority(&mut self) -> Option<()> {
        self.in_authority = false;
        self.authority.filter(|&start| self.out.len() > start).map(|_| ())
    }

    fn end(mut self, drop_question_mark: bool) -> Option<String> {
        if self.in_authority {
            self.leave_authority()?;
        }
        if drop_question_mark {
            self.out.pop();
        }
        if self.authority.is_none() {
            let path = self.out.trim_start_matches('/').len();
            self.out.replace_range(..self.out.len() - path, "/");
        }
        Some(self.out)
    }

    fn push(&mut self, byte: u8, plain: bool) {
        const HEX: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
        if plain {
            self.out.push(char::from(byte));
        } else {
            let digits = ['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            self.out.extend(digits);
        }
    }
}

/// A scheme with its colon (RFC 3986, 3.1).
fn is_scheme(text: &str) -> bool {
    let name = text.strip_suffix(':').unwrap_or_default();
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A character that a URI may hold (RFC 3986, 2.2 and 2.3), or the `%` of one that is encoded.
fn is_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !host.is_empty() && host.bytes().all(plain)
        }
    }
}
