//! Which fields go on: to an endpoint, and back to the client.

use std::net::IpAddr;
use std::time::SystemTime;

use config::plan::HeaderRules;
use wire::head::Version;
use wire::{Fields, Known, Length, RequestHead, ResponseHead, token, write};

/// How this program names itself to both sides (RFC 9110 §7.6.3).
const VIA: &[u8] = b"1.1 nearside";

/// What is known of a client beyond its request.
pub(crate) struct Client<'a> {
    /// Its address as text.
    pub(crate) address: &'a str,
    /// Its `X-Forwarded-*` and `X-Request-Id` are believed.
    pub(crate) trusted: bool,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// [`said_of`] it: the same for all its requests.
    pub(crate) said: &'a [u8],
}

/// The fields that endpoints get about a client that isn't trusted.
pub(crate) fn said_of(address: &str, scheme: &str) -> Vec<u8> {
    format!("X-Forwarded-For: {address}\r\nX-Forwarded-Proto: {scheme}\r\n").into_bytes()
}

/// Fields that one message may nominate.
const NOMINATED: usize = 32;

/// Does a request nominate more fields than are looked at? The rest would go on, against its wish.
pub(crate) fn nominates_too_many(head: &RequestHead) -> bool {
    head.fields.get(Known::Connection).is_some()
        && head.fields.all(Known::Connection).flat_map(token::list).count() > NOMINATED
}

/// Would an endpoint that takes `_` for `-` in names, as CGI does, read this as a field that is written
/// or judged here? Such a field is dropped: `X_Forwarded_For` must not pass for `X-Forwarded-For`.
fn is_disguised(name: &[u8]) -> bool {
    memchr::memchr(b'_', name).is_some() && {
        let plain: Vec<u8> = name.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
        Known::of(&plain) != Known::Other
    }
}

/// The names that a message's `Connection` fields nominate (RFC 9110 §7.6.1), without those that
/// are hop-by-hop anyway. `Host` can't be nominated away.
#[derive(Default)]
struct Nominated(Vec<Vec<u8>>);

impl Nominated {
    fn of(fields: &Fields) -> Nominated {
        let mut names = Vec::new();
        for name in fields.all(Known::Connection).flat_map(token::list) {
            let plain = matches!(Known::of(name), known if known.is_hop_by_hop() || known == Known::Host);
            if !plain && !name.eq_ignore_ascii_case(b"close") && names.len() < NOMINATED {
                names.push(name.to_vec());
            }
        }
        Nominated(names)
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|n| n.eq_ignore_ascii_case(name))
    }
}

/// Removes what an endpoint won't get of a client's request: what `Connection` nominates, and what only a
/// trusted client may say. Nothing that is stored may depend on it.
pub(crate) fn drop_unsent(fields: &mut Fields, trusted: bool) {
    if fields.get(Known::Connection).is_some() {
        for name in Nominated::of(fields).0 {
            fields.remove_named(&name);
        }
    }
    if !trusted {
        for name in [Known::XForwardedProto, Known::XForwardedHost, Known::XForwardedPort, Known::Forwarded] {
            fields.remove(name);
        }
    }
}

/// The protocol that a request asks to change to, if it may (RFC 9110 §7.8). `h2c` never goes on: what
/// follows it would pass every rule of this node unseen.
pub(crate) fn upgrade(head: &RequestHead, length: Length) -> Option<&[u8]> {
    let wanted = head.version == Version::Http11
        && length == Length::Exact(0)
        && head.fields.has_member(Known::Connection, b"upgrade");
    let protocol = wanted.then(|| head.fields.get(Known::Upgrade)).flatten()?;
    let plain = !token::list(protocol).any(|p| p.len() >= 2 && p[..2].eq_ignore_ascii_case(b"h2"));
    plain.then_some(protocol)
}

/// The request id: a trusted peer's, or a new one made of `random`.
pub(crate) fn request_id(head: &RequestHead, client: &Client<'_>, random: u128) -> String {
    let given = client.trusted.then(|| head.fields.get(Known::XRequestId)).flatten();
    match given.map(std::str::from_utf8) {
        Some(Ok(id)) if !id.is_empty() && id.len() <= 128 => id.to_owned(),
        _ => new_id(random),
    }
}

/// The two digits of each byte.
static DIGITS: [[u8; 2]; 256] = {
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [b"0123456789abcdef"[byte >> 4], b"0123456789abcdef"[byte & 0xf]];
        byte += 1;
    }
    digits
};

/// `N` hexadecimal digits, the lowest of `n`; an even number of them.
fn hex<const N: usize>(n: u128) -> [u8; N] {
    let mut digits = [0; N];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().rev().zip(n.to_le_bytes()) {
        *pair = DIGITS[usize::from(byte)];
    }
    digits
}

/// A new request id made of `random`.
pub(crate) fn new_id(random: u128) -> String {
    String::from_utf8(hex::<32>(random).to_vec()).unwrap_or_default()
}

/// Writes the head of the request to an endpoint.
pub(crate) fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    client: &Client<'_>,
    length: Length,
    request_id: &str,
    service: &str,
    random: u128,
) {
    out.extend_from_slice(head.method_text());
    out.push(b' ');
    out.extend_from_slice(head.path_and_query());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    forwarded(out, head, client, request_id, service, random);
    if let Some(protocol) = upgrade(head, length) {
        write::field(out, b"Connection", b"Upgrade");
        write::field(out, b"Upgrade", protocol);
    } else if head.fields.has_member(Known::Te, b"trailers") {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
    // A body that is there, even an empty one, is told of; a GET without one says nothing.
    if length != Length::Exact(0) || head.fields.get(Known::ContentLength).is_some() {
        write::length(out, length);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the field lines that any endpoint gets, however its connection and the body are framed.
pub(crate) fn forwarded(
    out: &mut Vec<u8>,
    head: &RequestHead,
    client: &Client<'_>,
    request_id: &str,
    service: &str,
    random: u128,
) {
    let host = match head.authority() {
        [] => service.as_bytes(),
        authority => authority,
    };
    write::field(out, b"Host", host);
    let fields = &head.fields;
    let nominated = Nominated::of(fields);
    let trusted = client.trusted;
    let traced = is_traced(fields);
    fields.write_to(out, |f| match f.known {
        Known::Traceparent => !traced,
        Known::Other => is_disguised(f.name) || (!nominated.0.is_empty() && nominated.has(f.name)),
        Known::Host | Known::XForwardedFor | Known::Via | Known::XRequestId => true,
        Known::XForwardedProto | Known::XForwardedHost | Known::XForwardedPort | Known::Forwarded => !trusted,
        known => known.is_hop_by_hop() || (!nominated.0.is_empty() && nominated.has(f.name)),
    });
    if trusted {
        list(out, b"X-Forwarded-For", fields.all(Known::XForwardedFor), client.address.as_bytes());
        if fields.get(Known::XForwardedProto).is_none() {
            write::field(out, b"X-Forwarded-Proto", client.scheme.as_bytes());
        }
    } else {
        out.extend_from_slice(client.said);
    }
    if !trusted || fields.get(Known::XForwardedHost).is_none() {
        write::field(out, b"X-Forwarded-Host", host);
    }
    list(out, b"Via", fields.all(Known::Via), VIA);
    write::field(out, b"X-Request-Id", request_id.as_bytes());
    if !traced {
        begin_trace(out, random);
    }
}

/// Does the request go on with a trace (W3C Trace Context)? An absent or broken one is replaced.
fn is_traced(fields: &Fields) -> bool {
    let whole =
        |v: &[u8]| v.len() >= 55 && v[2] == b'-' && v[35] == b'-' && v[52] == b'-' && !v.starts_with(b"ff");
    fields.get(Known::Traceparent).is_some_and(whole)
}

fn begin_trace(out: &mut Vec<u8>, random: u128) {
    let mut line = *b"traceparent: 00-00000000000000000000000000000000-0000000000000000-01\r\n";
    line[16..48].copy_from_slice(&hex::<32>(random | 1)); // all zeros would be invalid
    line[49..65].copy_from_slice(&hex::<16>((random >> 64) | 1));
    out.extend_from_slice(&line);
}

/// One field whose value is a list: what was there, then `last`.
fn list<'a>(out: &mut Vec<u8>, name: &[u8], before: impl Iterator<Item = &'a [u8]>, last: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    for value in before.filter(|v| !v.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(last);
    out.extend_from_slice(b"\r\n");
}

/// Writes the status line and the fields of an endpoint's answer for the client, but not what
/// [`crate::outgoing::Outgoing::end_head`] adds. `keep_length`: the answer has no body, and its
/// `Content-Length` tells of another one (HEAD, 304).
pub(crate) fn answer(out: &mut Vec<u8>, head: &ResponseHead, request_id: &str, keep_length: bool) {
    write::status_line(out, head.status, head.reason());
    let nominated = Nominated::of(&head.fields);
    let mut lengths = 0;
    head.fields.write_to(out, |f| match f.known {
        Known::ContentLength => {
            lengths += 1;
            !keep_length || lengths > 1
        }
        Known::Via | Known::XRequestId => true,
        Known::Other => !nominated.0.is_empty() && nominated.has(f.name),
        known => known.is_hop_by_hop() || (!nominated.0.is_empty() && nominated.has(f.name)),
    });
    if head.fields.get(Known::Date).is_none() {
        write::field(out, b"Date", &today());
    }
    list(out, b"Via", head.fields.all(Known::Via), VIA);
    write::field(out, b"X-Request-Id", request_id.as_bytes());
}

/// The fields of this node in an answer whose others are already written.
pub(crate) fn own(out: &mut Vec<u8>, request_id: &str) {
    write::field(out, b"Via", VIA);
    write::field(out, b"X-Request-Id", request_id.as_bytes());
}

/// The time as `Date` tells it (RFC 9110 §5.6.7), made once a second by each thread.
fn today() -> [u8; 29] {
    thread_local! {
        static LAST: std::cell::Cell<(u64, [u8; 29])> = const { std::cell::Cell::new((0, [0; 29])) };
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (made, text) = LAST.get();
    if made == now && now > 0 {
        return text;
    }
    let text = cache::date::write(now);
    LAST.set((now, text));
    text
}

/// Applies a route's rules: removals, then `set`, then `add`.
pub(crate) fn apply(rules: &HeaderRules, fields: &mut Fields) {
    for name in &rules.remove {
        fields.remove_named(name.as_bytes());
    }
    for (name, value) in &rules.set {
        fields.set(name.as_bytes(), value.as_bytes());
    }
    for (name, value) in &rules.add {
        fields.push(name.as_bytes(), value.as_bytes());
    }
}

/// The value of a cookie in a request (RFC 6265 §4.2.1).
pub(crate) fn cookie<'h>(head: &'h RequestHead, name: &str) -> Option<&'h [u8]> {
    head.fields.all(Known::Cookie).flat_map(|v| v.split(|&b| b == b';')).find_map(|pair| {
        let pair = token::trim(pair);
        pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
    })
}

/// The value of a query parameter, as sent.
pub(crate) fn query<'h>(head: &'h RequestHead, name: &str) -> Option<&'h [u8]> {
    head.query()?
        .split(|&b| b == b'&')
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The client behind a trusted peer: the last address in `X-Forwarded-For` that `is_trusted` doesn't
/// know; else the peer's own.
pub(crate) fn client_address(
    head: &RequestHead,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let values: Vec<&[u8]> = head.fields.all(Known::XForwardedFor).flat_map(token::list).collect();
    let mut client = peer;
    for value in values.into_iter().rev() {
        let Some(address) = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()) else {
            break;
        };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}
