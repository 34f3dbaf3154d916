//! What makes two requests ask for the same object: the URL, normalised, and what a route adds.
//!
//! The primary key is what purges name, so it is readable and the same for a request and for a URL in a
//! purge. What a route adds of headers and cookies stands apart from it (`rule`): a purge of the URL
//! takes all of these along. Both are made for every request, so they reuse their memory.

use config::plan::{Bypass, CacheKey, QueryKey};
use smallvec::SmallVec;
use wire::token::{is_target, trim};
use wire::{Fields, Known, RequestHead};

use crate::vary;

/// Parameters of a query that are sorted without asking for memory.
const FEW: usize = 16;

/// The keys of a request; its memory is reused by the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// `scheme://host[:port]/path[?query]`, normalised (RFC 3986 §6.2.2, §6.2.3).
    pub primary: Vec<u8>,
    /// A line for each header and cookie that the route names; empty if it names none.
    pub rule: Vec<u8>,
}

impl Key {
    /// Makes the keys of a request that came by `scheme`, forgetting what was there.
    pub fn make(&mut self, scheme: &str, request: &RequestHead, rules: &CacheKey) {
        self.primary.clear();
        self.rule.clear();
        origin(&mut self.primary, scheme, request.authority());
        target(&mut self.primary, request.path_and_query(), &rules.query);
        for name in &rules.headers {
            vary::line(&mut self.rule, name.as_bytes(), &request.fields);
            self.rule.push(b'\n');
        }
        for name in &rules.cookies {
            // A header's line can't begin so; all of a cookie's values count, whichever is believed.
            self.rule.push(b';');
            self.rule.extend_from_slice(name.as_bytes());
            for value in cookies(&request.fields, name) {
                self.rule.push(b';'); // which no value has
                self.rule.extend_from_slice(value);
            }
            self.rule.push(b'\n');
        }
    }
}

/// The primary key of a URL that a purge names; none if it is no `http` or `https` URL with a host.
/// `query`: as the URL's route has it, so that the URL is found in whatever order its parameters are.
pub fn of_url(url: &str, query: &QueryKey) -> Option<Vec<u8>> {
    let (scheme, authority, rest) = split(url)?;
    let mut primary = Vec::with_capacity(url.len() + 1);
    origin(&mut primary, scheme, authority);
    if !rest.starts_with(b"/") {
        primary.push(b'/');
    }
    target(&mut primary, rest, query);
    Some(primary)
}

/// What the primary keys of all URLs that begin so begin with. The host is always whole:
/// `http://a.example` means `http://a.example/`, not `http://a.example.net/` too.
pub fn prefix(url: &str) -> Option<Vec<u8>> {
    of_url(url, &QueryKey::All)
}

/// The primary key of the URL that a reference in an answer means (RFC 3986 §5.2), if it has the same
/// origin as the request (RFC 9111 §4.4); none otherwise.
pub fn of_reference(
    scheme: &str,
    request: &RequestHead,
    reference: &[u8],
    query: &QueryKey,
) -> Option<Vec<u8>> {
    let reference = reference.split(|&b| b == b'#').next().unwrap_or_default();
    let text = std::str::from_utf8(reference).ok()?;
    let first_part = text.split(['/', '?']).next().unwrap_or_default();
    let mut here = Vec::new();
    origin(&mut here, scheme, request.authority());
    if first_part.contains(':') || text.starts_with("//") {
        let there = if text.starts_with("//") { format!("{scheme}:{text}") } else { text.to_owned() };
        here.push(b'/');
        return of_url(&there, query).filter(|url| url.starts_with(&here));
    }
    if !text.is_empty() && !is_target(reference) {
        return None;
    }
    let base = request.path();
    let joined = match reference {
        [] => request.path_and_query().to_vec(),
        [b'/', ..] => reference.to_vec(),
        [b'?', ..] => [base, reference].concat(),
        _ => [&base[..memchr::memrchr(b'/', base).map_or(0, |at| at + 1)], reference].concat(),
    };
    target(&mut here, &without_dots(&joined), query);
    Some(here)
}

/// Is the request one that a route passes by the cache?
pub fn bypasses(request: &RequestHead, bypass: &[Bypass]) -> bool {
    bypass.iter().any(|one| match one {
        Bypass::Header(name) => request.fields.get_named(name.as_bytes()).is_some(),
        Bypass::Cookie(name) => cookies(&request.fields, name).next().is_some(),
        Bypass::Query(name) => {
            parameters(request.query().unwrap_or_default()).any(|p| is_named(p, name.as_bytes()))
        }
    })
}

/// All values of a cookie.
fn cookies<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let name = name.as_bytes();
    fields.all(Known::Cookie).flat_map(|line| line.split(|&b| b == b';')).filter_map(move |pair| {
        let value = trim(pair).strip_prefix(name)?;
        if value.is_empty() { Some(value) } else { value.strip_prefix(b"=") }
    })
}

/// Scheme, authority, and what follows without the fragment.
fn split(url: &str) -> Option<(&'static str, &[u8], &[u8])> {
    let url = url.split('#').next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = ["http", "https"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = (&rest.as_bytes()[..end], &rest.as_bytes()[end..]);
    wire::target::host(authority)?;
    (rest.is_empty() || is_target(rest)).then_some((scheme, authority, rest))
}

/// `scheme://host`, and the port unless it is the scheme's own.
fn origin(out: &mut Vec<u8>, scheme: &str, authority: &[u8]) {
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"://");
    let own: &[u8] = if scheme == "https" { b":443" } else { b":80" };
    let authority = authority.strip_suffix(own).or(authority.strip_suffix(b":")).unwrap_or(authority);
    let start = out.len();
    out.extend_from_slice(authority);
    out[start..].make_ascii_lowercase();
}

/// The path, normalised, and what of the query counts.
fn target(out: &mut Vec<u8>, path_and_query: &[u8], key: &QueryKey) {
    let end = memchr::memchr(b'?', path_and_query).unwrap_or(path_and_query.len());
    path(out, &path_and_query[..end]);
    let Some(query) = path_and_query.get(end + 1..) else { return };
    match key {
        QueryKey::All => out.extend_from_slice(&path_and_query[end..]),
        QueryKey::None => {}
        QueryKey::Sorted => sorted(out, parameters(query)),
        QueryKey::Named(names) => {
            sorted(out, parameters(query).filter(|p| names.iter().any(|name| is_named(p, name.as_bytes()))));
        }
    }
}

/// A path with the escapes undone that nobody needs, and the others in capitals (RFC 3986 §6.2.2).
fn path(out: &mut Vec<u8>, path: &[u8]) {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = match unescape(&rest[at..]) {
            Some((byte, after)) if is_unreserved(byte) => {
                out.push(byte);
                after
            }
            Some((_, after)) => {
                out.extend(rest[at..at + 3].iter().map(u8::to_ascii_uppercase));
                after
            }
            None => {
                out.push(b'%');
                &rest[at + 1..]
            }
        };
    }
    out.extend_from_slice(rest);
}

/// A query of these parameters, by name; those of one name stay in their order, which may matter.
fn sorted<'a>(out: &mut Vec<u8>, parameters: impl Iterator<Item = &'a [u8]>) {
    let mut all: SmallVec<[&[u8]; FEW]> = parameters.collect();
    all.sort_by_key(|parameter| name(parameter));
    for (i, parameter) in all.iter().enumerate() {
        out.push(if i == 0 { b'?' } else { b'&' });
        out.extend_from_slice(parameter);
    }
}

fn parameters(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|&b| b == b'&').filter(|parameter| !parameter.is_empty())
}

fn name(parameter: &[u8]) -> &[u8] {
    parameter.split(|&b| b == b'=').next().unwrap_or_default()
}

/// Has a parameter this name, however it is escaped? Else one could be smuggled past the key.
fn is_named(parameter: &[u8], wanted: &[u8]) -> bool {
    let mut rest = name(parameter);
    for &byte in wanted {
        rest = match rest {
            [first, after @ ..] if *first == byte => after,
            [b'+', after @ ..] if byte == b' ' => after,
            _ => match unescape(rest) {
                Some((escaped, after)) if escaped == byte => after,
                _ => return false,
            },
        };
    }
    rest.is_empty()
}

/// The byte that `%xx` at the front stands for, and what follows.
fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let [b'%', high, low, after @ ..] = text else { return None };
    Some((digit(*high)? << 4 | digit(*low)?, after))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// A path and query without the segments `.` and `..` (RFC 3986 §5.2.4).
fn without_dots(path_and_query: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'?', path_and_query).unwrap_or(path_and_query.len());
    let mut plain = Vec::with_capacity(end);
    path(&mut plain, &path_and_query[..end]);
    let mut kept: SmallVec<[&[u8]; FEW]> = SmallVec::new();
    let mut segments = plain.split(|&b| b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            other => {
                kept.push(other);
                continue;
            }
        }
        if segments.peek().is_none() {
            kept.push(b""); // `/a/.` is `/a/`
        }
    }
    let mut out = Vec::with_capacity(path_and_query.len() + 1);
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out.extend_from_slice(&path_and_query[end..]);
    out
}
