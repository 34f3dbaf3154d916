//! A request to a receiver as hyper wants it, and an answer's fields as this house knows them.

use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use wire::{Fields, Known, Length, token};

use super::body::Outgoing;
use super::{OutsideError, OutsideRequest};

/// The request's head, and its body apart, since it may be needed for a second try.
///
/// # Errors
/// [`OutsideError::BadMessage`].
pub(super) fn request(request: OutsideRequest<'_>) -> Result<(request::Parts, Outgoing), OutsideError> {
    let body = Outgoing::new(request.body);
    let method =
        Method::from_bytes(request.method.as_bytes()).ok().filter(|method| method != Method::CONNECT);
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method.ok_or(OutsideError::BadMessage("its method isn't one"))?;
    head.uri = uri(request.target.path().unwrap_or(request.path))?;
    head.headers = headers(request.fields)?;
    let host = HeaderValue::from_str(&request.target.authority);
    head.headers.insert(HOST, host.map_err(|_| OutsideError::BadUrl("its host can't be sent"))?);
    frame(&mut head, &body);
    Ok((head, body))
}

fn uri(path: &str) -> Result<Uri, OutsideError> {
    let parsed = PathAndQuery::try_from(path).ok();
    // A path is sent as it is or not at all.
    let same = parsed.filter(|parsed| path.starts_with('/') && parsed.as_str() == path);
    same.map(Uri::from).ok_or(OutsideError::BadMessage("its path can't be sent"))
}

/// Says how long the body is (RFC 9112 §6, RFC 9110 §8.6).
fn frame(head: &mut request::Parts, body: &Outgoing) {
    match body.length() {
        Some(Length::Exact(length)) => head.headers.insert(CONTENT_LENGTH, length.into()),
        Some(_) => head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        None if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) => {
            head.headers.insert(CONTENT_LENGTH, 0.into())
        }
        None => None,
    };
}

/// The fields that are passed on.
fn headers(lines: &[u8]) -> Result<HeaderMap, OutsideError> {
    let bad = || OutsideError::BadMessage("one of its fields isn't one");
    let fields = parse(lines).ok_or_else(bad)?;
    let mut headers = HeaderMap::with_capacity(fields.len() + 2);
    for field in fields.iter().filter(|field| !is_made_anew(field.known)) {
        if !fields.has_member(Known::Connection, field.name) {
            let name = HeaderName::from_bytes(field.name).map_err(|_| bad())?;
            headers.append(name, HeaderValue::from_bytes(field.value).map_err(|_| bad())?);
        }
    }
    Ok(headers)
}

fn is_made_anew(name: Known) -> bool {
    name.is_hop_by_hop() || matches!(name, Known::Host | Known::ContentLength | Known::Expect)
}

fn parse(mut lines: &[u8]) -> Option<Fields> {
    let mut fields = Fields::default();
    while !lines.is_empty() {
        let end = lines.iter().position(|&b| b == b'\n')?;
        let (line, rest) = lines.split_at(end + 1);
        let line = line.strip_suffix(b"\r\n")?;
        let (name, value) = line.split_at(line.iter().position(|&b| b == b':')?);
        let value = token::trim(value.strip_prefix(b":")?);
        if !token::is_token(name) || !token::is_value(value) {
            return None;
        }
        fields.push(name, value);
        lines = rest;
    }
    Some(fields)
}

/// An answer's fields; hyper has checked them.
pub(super) fn fields(headers: &HeaderMap) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in headers {
        fields.push(name.as_str().as_bytes(), token::trim(value.as_bytes()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outside::Target;
    use proptest::prelude::*;

    fn made(url: &str, method: &str, path: &str, fields: &[u8]) -> Result<request::Parts, OutsideError> {
        let target = Target::parse(url).unwrap();
        let (time, connect) = (Duration::MAX, Duration::MAX);
        let asked = OutsideRequest {
            target: &target,
            method,
            path,
            fields,
            body: None,
            time,
            connect,
            allow_private: false,
        };
        request(asked).map(|(head, _)| head)
    }

    fn seen(head: &request::Parts) -> String {
        let mut lines: Vec<String> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        format!("{} {} | {}", head.method, head.uri, lines.join(" | "))
    }

    #[test]
    fn fields_of_one_hop_and_framing_are_left_behind() {
        let fields = b"Host: evil.test\r\nContent-Type: a/b\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n\
            Transfer-Encoding: chunked\r\nContent-Length: 9\r\nExpect: 100-continue\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\n\
            Proxy-Authorization: x\r\nX-Two:a\r\nx-two: \t b \r\n";
        let head = made("https://hooks.test:8443", "POST", "/in?a=%20b", fields).unwrap();
        let expected = "POST /in?a=%20b | content-length: 0 | content-type: a/b | host: hooks.test:8443 | x-two: a | x-two: b";
        assert_eq!(seen(&head), expected);
    }

    #[test]
    fn a_targets_path_is_asked_for_before_a_messages_own() {
        assert_eq!(seen(&made("http://a.test/x?y", "GET", "/z", b"").unwrap()), "GET /x?y | host: a.test");
        assert_eq!(seen(&made("http://a.test", "DELETE", "/z", b"").unwrap()), "DELETE /z | host: a.test");
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (method, path, fields) in [
            ("GE T", "/", &b""[..]),
            ("CONNECT", "/", b""),
            ("", "/", b""),
            ("GET", "x", b""),
            ("GET", "", b""),
            ("GET", "*", b""),
            ("GET", "http://b.test/", b""),
            ("GET", "/a#b", b""),
            ("GET", "/a b", b""),
            ("GET", "/a\r\nx: y", b""),
            ("GET", "/", b"a: b"),
            ("GET", "/", b"a: b\n"),
            ("GET", "/", b"a b: c\r\n"),
            ("GET", "/", b": c\r\n"),
            ("GET", "/", b"a\r\n"),
            ("GET", "/", b"a: \x01\r\n"),
            ("GET", "/", b"\r\n"),
            ("GET", "/", b"a: b\rc: d\r\n"),
        ] {
            let made = made("http://a.test", method, path, fields);
            assert!(matches!(made, Err(OutsideError::BadMessage(_))), "{method} {path} {fields:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_smuggle_a_field_in(lines in "[a:h \r\n\x01-\x7f]{0,40}") {
            if let Ok(headers) = headers(lines.as_bytes()) {
                prop_assert!(headers.len() <= lines.matches("\r\n").count());
                prop_assert!(headers.values().all(|value| !value.as_bytes().iter().any(|b| b"\r\n".contains(b))));
            }
        }
    }
}
