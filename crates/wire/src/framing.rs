//! How long a message's body is (RFC 9112 §6), decided once and in one way.

use crate::head::{BadHead, Method, RequestHead, ResponseHead, Version};
use crate::name::Known;
use crate::token::{decimal, list};

/// The length of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes; 0 also where there is no body at all.
    Exact(u64),
    /// As the chunks say.
    Chunked,
    /// All till the connection is closed; of answers only.
    UntilClose,
}

/// Of a request: chunked, or as `Content-Length` says, or nothing.
///
/// # Errors
/// Two lengths, several, or one that is no number: refused, never chosen among (RFC 9112 §6.3 allows
/// some to be repaired, and smuggling lives on the repairs).
pub fn of_request(head: &RequestHead) -> Result<Length, BadHead> {
    let mut lengths = head.fields.all(Known::ContentLength);
    let length = lengths.next();
    let mut codings = head.fields.all(Known::TransferEncoding);
    let Some(coding) = codings.next() else {
        return match (length, lengths.next()) {
            (None, _) => Ok(Length::Exact(0)),
            (Some(text), None) => decimal(text).map(Length::Exact).ok_or(BadHead::ContentLength),
            (Some(_), Some(_)) => Err(BadHead::ContentLength),
        };
    };
    if length.is_some() {
        return Err(BadHead::TwoLengths);
    }
    if head.version == Version::Http10 || codings.next().is_some() {
        return Err(BadHead::TransferEncoding);
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Length::Chunked);
    }
    let only_known = |c: &[u8]| {
        [&b"gzip"[..], b"deflate", b"compress", b"x-gzip", b"x-compress"]
            .iter()
            .any(|k| c.eq_ignore_ascii_case(k))
    };
    let members: Vec<&[u8]> = list(coding).collect();
    Err(match members.split_last() {
        Some((last, before @ [_, ..]))
            if last.eq_ignore_ascii_case(b"chunked") && before.iter().all(|c| only_known(c)) =>
        {
            BadHead::UnknownCoding
        }
        _ => BadHead::TransferEncoding,
    })
}

/// Of a final answer to a request with `method` (RFC 9112 §6.3).
///
/// # Errors
/// As [`of_request`], except that a `Content-Length` sent twice with the same number counts once.
pub fn of_answer(head: &ResponseHead, method: Method) -> Result<Length, BadHead> {
    let mut codings = head.fields.all(Known::TransferEncoding);
    let coding = codings.next();
    let mut length = None;
    for text in head.fields.all(Known::ContentLength).flat_map(|v| v.split(|&b| b == b',')) {
        let n = decimal(crate::token::trim(text)).ok_or(BadHead::ContentLength)?;
        if length.replace(n).is_some_and(|before| before != n) {
            return Err(BadHead::ContentLength);
        }
    }
    if coding.is_some() && length.is_some() {
        return Err(BadHead::TwoLengths);
    }
    if method == Method::Head || head.status < 200 || matches!(head.status, 204 | 304) {
        return Ok(Length::Exact(0));
    }
    match (coding, length) {
        (Some(coding), _) => {
            let alone = codings.next().is_none() && coding.eq_ignore_ascii_case(b"chunked");
            if alone && head.version == Version::Http11 {
                Ok(Length::Chunked)
            } else {
                Err(BadHead::TransferEncoding)
            }
        }
        (None, Some(n)) => Ok(Length::Exact(n)),
        (None, None) => Ok(Length::UntilClose),
    }
}

/// May the connection be used again after this message, as far as its sender says (RFC 9112 §9.3)?
pub fn keeps_alive(version: Version, fields: &crate::Fields) -> bool {
    match version {
        Version::Http11 => !fields.has_member(Known::Connection, b"close"),
        Version::Http10 => {
            fields.has_member(Known::Connection, b"keep-alive")
                && !fields.has_member(Known::Connection, b"close")
        }
    }
}

/// Does the client wait for `100 Continue` before it sends its body?
///
/// # Errors
/// [`BadHead::Expect`] if it expects anything else.
pub fn expects_continue(head: &RequestHead) -> Result<bool, BadHead> {
    let mut expects = false;
    for value in head.fields.all(Known::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(BadHead::Expect);
        }
        expects = head.version == Version::Http11;
    }
    Ok(expects)
}
