//! Heads of requests and answers (RFC 9112 §2 to §5), read as a whole or refused.
//!
//! A head is read only when all of it is there; till then [`may_be_whole`] looks just at what is new,
//! so a head that trickles in byte by byte costs no more than one that comes at once.

use std::ops::Range;

use crate::fields::{Fields, Place};
use crate::name::Known;
use crate::target::{self, Form, Parts};
use crate::token::{is_target, is_text, is_token, is_value, token_length, trim};

/// What a head may take up; over it is [`BadHead::TooLarge`] or [`BadHead::TooMany`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, first line and end included.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message says it
pub enum BadHead {
    #[error("a line ends in a bare LF or holds a bare CR; lines end in CR LF (RFC 9112 §2.2)")]
    BareLineEnd,
    #[error("the first line isn't `method target HTTP/1.1` with single spaces (RFC 9112 §3)")]
    RequestLine,
    #[error("the first line isn't `HTTP/1.1 status reason` (RFC 9112 §4)")]
    StatusLine,
    #[error("this HTTP version isn't served on this connection; use HTTP/1.1")]
    Version,
    #[error("the request target has a form or a byte that none may have (RFC 9112 §3.2)")]
    Target,
    #[error("the path has a `.` or `..` segment; resolve it before sending (RFC 3986 §5.2.4)")]
    DotSegment,
    #[error("CONNECT isn't served here")]
    Connect,
    #[error("a field line is folded; write it in one line (RFC 9112 §5.2)")]
    Folded,
    #[error(
        "a field name is empty, holds a byte that names can't have, or is followed by white space (RFC 9112 §5.1)"
    )]
    FieldName,
    #[error("a field value holds a control byte (RFC 9110 §5.5)")]
    FieldValue,
    #[error("the request line is longer than this node takes (RFC 9112 §3)")]
    LineTooLong,
    #[error("the head is larger than this node takes")]
    TooLarge,
    #[error("the head has more fields than this node takes")]
    TooMany,
    #[error("there must be one Host field with a host in it (RFC 9112 §3.2)")]
    Host,
    #[error("Content-Length isn't one decimal number (RFC 9110 §8.6)")]
    ContentLength,
    #[error("Transfer-Encoding isn't just `chunked` (RFC 9112 §6.1)")]
    TransferEncoding,
    #[error("this transfer coding isn't known here; `chunked` is (RFC 9112 §6.1)")]
    UnknownCoding,
    #[error(
        "both Content-Length and Transfer-Encoding are there: two lengths for one message (RFC 9112 §6.3)"
    )]
    TwoLengths,
    #[error("Expect may only be `100-continue` (RFC 9110 §10.1.1)")]
    Expect,
}

impl BadHead {
    /// The status that a client gets for it.
    pub fn status(self) -> u16 {
        match self {
            BadHead::LineTooLong => 414,
            BadHead::TooLarge | BadHead::TooMany => 431,
            BadHead::Version => 505,
            BadHead::UnknownCoding | BadHead::Connect => 501,
            BadHead::Expect => 417,
            _ => 400,
        }
    }
}

/// Of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// Without kept connections, chunks or interim answers.
    Http10,
    /// And any later minor version.
    #[default]
    Http11,
}

/// A request's method (RFC 9110 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Other,
}

impl Method {
    /// By its name, which is case-sensitive (RFC 9110 §9.1).
    pub fn of(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }

    /// Only asks, changes nothing (RFC 9110 §9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Twice is as good as once (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

/// A request's head.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// Which method, if it is one that matters here; its text is [`RequestHead::method_text`].
    pub method: Method,
    /// The client's.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    method_text: Range<usize>,
    target: Range<usize>,
    parts: Parts,
    host_len: usize,
}

impl RequestHead {
    /// The method as sent.
    pub fn method_text(&self) -> &[u8] {
        self.fields.text(&self.method_text)
    }

    /// The whole target as sent.
    pub fn target(&self) -> &[u8] {
        self.fields.text(&self.target)
    }

    /// Which form the target has.
    pub fn form(&self) -> Form {
        self.parts.form
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.target().get(range.clone()).unwrap_or_default()
    }

    /// `/path?query`, or `*`. An absolute target without a path stands for `/`, and with OPTIONS for
    /// `*` (RFC 9112 §3.2.4).
    pub fn path_and_query(&self) -> &[u8] {
        match self.part(&self.parts.path_and_query) {
            [] if self.method == Method::Options => b"*",
            [] => b"/",
            whole => whole,
        }
    }

    /// Without the query.
    pub fn path(&self) -> &[u8] {
        let whole = self.path_and_query();
        memchr::memchr(b'?', whole).map_or(whole, |at| &whole[..at])
    }

    /// What follows the first `?`, if there is one.
    pub fn query(&self) -> Option<&[u8]> {
        let whole = self.path_and_query();
        memchr::memchr(b'?', whole).map(|at| &whole[at + 1..])
    }

    /// The authority that the client asks: of an absolute target, else of `Host` (RFC 9112 §3.2.2);
    /// empty if an HTTP/1.0 client names none.
    pub fn authority(&self) -> &[u8] {
        match self.parts.form {
            Form::Absolute => self.part(&self.parts.authority),
            _ => self.fields.get(Known::Host).unwrap_or_default(),
        }
    }

    /// The host in it, without the port; as sent, in any case of letters.
    pub fn host(&self) -> &[u8] {
        self.authority().get(..self.host_len).unwrap_or_default()
    }

    /// Reads a head from the front of `buf` into `self`, forgetting what was there; returns its
    /// length, or none if it isn't whole yet.
    ///
    /// # Errors
    /// [`BadHead`]: nothing of it may be passed on, and the connection can't be kept.
    pub fn read(&mut self, buf: &[u8], limits: Limits) -> Result<Option<usize>, BadHead> {
        self.forget();
        let skipped = if buf.starts_with(b"\r\n") { 2 } else { 0 }; // RFC 9112 §2.2: one empty line
        let buf = &buf[skipped..];
        let limits = Limits { bytes: limits.bytes.saturating_sub(skipped), ..limits };
        let Some((line, rest)) = first_line(buf, limits, BadHead::LineTooLong)? else {
            return Ok(None);
        };
        let (method, target, version) = request_line(line)?;
        let Some(end) = read_fields(&mut self.fields, buf, rest, limits)? else {
            return Ok(None);
        };
        self.method = Method::of(&buf[method.clone()]);
        self.version = version;
        self.method_text = method;
        self.target = target;
        if self.method_text() == b"CONNECT" {
            return Err(BadHead::Connect);
        }
        self.parts = target::split(self.target(), self.method == Method::Options)?;
        self.host_len = self.check_host()?;
        if target::has_dot_segment(self.path()) {
            return Err(BadHead::DotSegment);
        }
        Ok(Some(end + skipped))
    }

    /// Forgets all but the memory, so that nothing of one request is ever taken for the next one's.
    fn forget(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = RequestHead { fields, ..RequestHead::default() };
    }

    /// Exactly one `Host`, with a host in it; HTTP/1.0 may do without (RFC 9112 §3.2).
    /// The length of the host in the authority.
    fn check_host(&self) -> Result<usize, BadHead> {
        let mut hosts = self.fields.all(Known::Host);
        let (named, more) = (hosts.next(), hosts.next());
        let absolute = self.parts.form == Form::Absolute;
        if more.is_some() || (named.is_none() && self.version == Version::Http11) {
            return Err(BadHead::Host);
        }
        // Beside an absolute target the field is passed over, but it must be one.
        if let Some(host) = named.filter(|host| absolute && !host.is_empty()) {
            target::host(host).ok_or(BadHead::Host)?;
        }
        match self.authority() {
            [] if self.version == Version::Http10 && !absolute => Ok(0),
            authority => target::host(authority).map(<[u8]>::len).ok_or(BadHead::Host),
        }
    }
}

/// An answer's head.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// The endpoint's.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    reason: Range<usize>,
}

impl ResponseHead {
    /// The reason phrase as sent, maybe empty.
    pub fn reason(&self) -> &[u8] {
        self.fields.text(&self.reason)
    }

    /// Makes it the head of an answer of our own, without fields.
    pub fn start(&mut self, status: u16) {
        self.fields.clear();
        self.fields.block.extend_from_slice(crate::write::reason(status).as_bytes());
        self.reason = 0..self.fields.block.len();
        self.status = status;
        self.version = Version::Http11;
    }

    /// Reads a head as [`RequestHead::read`] does.
    ///
    /// # Errors
    /// [`BadHead`]: the endpoint doesn't speak HTTP/1.1; the connection can't be kept.
    pub fn read(&mut self, buf: &[u8], limits: Limits) -> Result<Option<usize>, BadHead> {
        self.fields.clear();
        self.reason = 0..0;
        let Some((line, rest)) = first_line(buf, limits, BadHead::TooLarge)? else {
            return Ok(None);
        };
        let (version, status, reason) = status_line(line)?;
        let Some(end) = read_fields(&mut self.fields, buf, rest, limits)? else {
            return Ok(None);
        };
        self.version = version;
        self.status = status;
        self.reason = reason;
        Ok(Some(end))
    }
}

/// Could `buf` hold a whole head, or a bare line end that makes it a bad one, if the first `seen`
/// bytes didn't? Cheap, and never wrongly no. It knows no limit: whoever holds [`Limits::bytes`] reads
/// in any case, and learns that the head is too large.
pub fn may_be_whole(buf: &[u8], seen: usize) -> bool {
    memchr::memchr_iter(b'\n', buf.get(seen..).unwrap_or_default()).any(|at| {
        let at = seen + at;
        at == 0 || buf[at - 1] != b'\r' || (at >= 3 && buf[at - 2] == b'\n')
    })
}

/// The first line without its end, and where the next begins; none if it isn't whole yet; `too_long`
/// if it never will be within the limit.
fn first_line(buf: &[u8], limits: Limits, too_long: BadHead) -> Result<Option<(&[u8], usize)>, BadHead> {
    match memchr::memchr(b'\n', &buf[..buf.len().min(limits.bytes)]) {
        Some(0) => Err(BadHead::BareLineEnd),
        Some(at) if buf[at - 1] != b'\r' => Err(BadHead::BareLineEnd),
        Some(at) => Ok(Some((&buf[..at - 1], at + 1))),
        None if buf.len() >= limits.bytes => Err(too_long),
        None => Ok(None),
    }
}

fn request_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>, Version), BadHead> {
    let first = memchr::memchr(b' ', line).ok_or(BadHead::RequestLine)?;
    let last = memchr::memrchr(b' ', line).ok_or(BadHead::RequestLine)?;
    if first == last || !is_token(&line[..first]) {
        return Err(BadHead::RequestLine);
    }
    let version = version(&line[last + 1..]).ok_or(BadHead::RequestLine)??;
    if !is_target(&line[first + 1..last]) {
        return Err(BadHead::Target);
    }
    Ok((0..first, first + 1..last, version))
}

fn status_line(line: &[u8]) -> Result<(Version, u16, Range<usize>), BadHead> {
    let version = line.get(..8).and_then(version).ok_or(BadHead::StatusLine)??;
    let status = match line.get(8..12) {
        Some([b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(BadHead::StatusLine),
    };
    let reason = match line.get(12) {
        None => line.len()..line.len(),
        Some(b' ') => 13..line.len(), // the space is required, but many leave it out with the reason
        Some(_) => return Err(BadHead::StatusLine),
    };
    if !is_value(&line[reason.clone()]) {
        return Err(BadHead::StatusLine);
    }
    Ok((version, status, reason))
}

/// None: no HTTP version at all; an error: one that isn't HTTP/1.
fn version(text: &[u8]) -> Option<Result<Version, BadHead>> {
    match text {
        b"HTTP/1.1" => Some(Ok(Version::Http11)),
        b"HTTP/1.0" => Some(Ok(Version::Http10)),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Some(Ok(Version::Http11)),
        [b'H', b'T', b'T', b'P', b'/', b'0' | b'2'..=b'9', b'.', b'0'..=b'9'] => Some(Err(BadHead::Version)),
        _ => None,
    }
}

/// Reads the field lines of `buf` from `start` to the empty line; returns where the head ends. Unless
/// it is whole and good, no field is left in `fields`.
fn read_fields(
    fields: &mut Fields,
    buf: &[u8],
    start: usize,
    limits: Limits,
) -> Result<Option<usize>, BadHead> {
    let end = find_fields(&mut fields.places, buf, start, limits);
    match end {
        Ok(Some(end)) => {
            fields.block.extend_from_slice(&buf[..end]);
            fields.note_known();
        }
        _ => fields.clear(),
    }
    end
}

fn find_fields(
    places: &mut Vec<Place>,
    buf: &[u8],
    start: usize,
    limits: Limits,
) -> Result<Option<usize>, BadHead> {
    let within = &buf[..buf.len().min(limits.bytes)];
    let mut at = start;
    loop {
        let Some(len) = line_end(&within[at..])? else {
            return if buf.len() >= limits.bytes { Err(BadHead::TooLarge) } else { Ok(None) };
        };
        let line = &within[at..at + len];
        if line.is_empty() {
            // All values are looked at in one go: names are tokens, and lines hold no line ends.
            return if is_text(&within[start..at]) { Ok(Some(at + 2)) } else { Err(BadHead::FieldValue) };
        }
        if places.len() == limits.fields {
            return Err(BadHead::TooMany);
        }
        places.push(place(line, at)?);
        at += len + 2;
    }
}

/// How long the first line is, without its CR LF; none if its end isn't there yet.
fn line_end(buf: &[u8]) -> Result<Option<usize>, BadHead> {
    match memchr::memchr2(b'\r', b'\n', buf) {
        Some(at) if buf[at] == b'\r' => match buf.get(at + 1) {
            Some(b'\n') => Ok(Some(at)),
            Some(_) => Err(BadHead::BareLineEnd),
            None => Ok(None),
        },
        Some(_) => Err(BadHead::BareLineEnd),
        None => Ok(None),
    }
}

/// One line on its own, that begins at `at` in its block: a trailer.
pub(crate) fn field_line(line: &[u8], at: usize) -> Result<Place, BadHead> {
    let place = place(line, at)?;
    if is_value(line) {
        return Ok(place);
    }
    Err(if line.contains(&b'\r') || line.contains(&b'\n') {
        BadHead::BareLineEnd
    } else {
        BadHead::FieldValue
    })
}

/// Where name and value stand in a line that begins at `at` in its block. Whether the value holds
/// control bytes is left to the caller.
fn place(line: &[u8], at: usize) -> Result<Place, BadHead> {
    let colon = token_length(line);
    if colon == 0 || line.get(colon) != Some(&b':') {
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        return Err(if folded { BadHead::Folded } else { BadHead::FieldName });
    }
    let rest = &line[colon + 1..];
    let value = trim(rest);
    let leading = rest.len() - trim_start(rest).len();
    let value_at = at + colon + 1 + leading;
    Ok(Place {
        name_at: u32::try_from(at).map_err(|_| BadHead::TooLarge)?,
        value_at: u32::try_from(value_at).map_err(|_| BadHead::TooLarge)?,
        value_len: u32::try_from(value.len()).map_err(|_| BadHead::TooLarge)?,
        name_len: u16::try_from(colon).map_err(|_| BadHead::TooLarge)?,
        known: Known::of(&line[..colon]),
        plain: leading == 1 && rest.first() == Some(&b' ') && rest.len() == value.len() + 1,
    })
}

fn trim_start(mut s: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = s {
        s = rest;
    }
    s
}
