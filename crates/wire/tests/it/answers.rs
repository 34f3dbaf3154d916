//! Answers of endpoints: what is taken, what is refused, how long their bodies are.

use wire::{BadHead, Length, Method, ResponseHead, Version, framing, write};

use crate::LIMITS;

fn read(text: &[u8]) -> Result<ResponseHead, BadHead> {
    let mut head = ResponseHead::default();
    match head.read(text, LIMITS)? {
        Some(len) => assert_eq!(len, text.len()),
        None => panic!("not whole: {text:?}"),
    }
    Ok(head)
}

#[test]
fn first_lines() {
    for (line, version, status, reason) in [
        ("HTTP/1.1 200 OK", Version::Http11, 200, "OK"),
        ("HTTP/1.0 404 Not  Found ", Version::Http10, 404, "Not  Found "),
        ("HTTP/1.1 299 ", Version::Http11, 299, ""),
        ("HTTP/1.1 299", Version::Http11, 299, ""),
        ("HTTP/1.1 999 \u{e4}\t", Version::Http11, 999, "\u{e4}\t"),
    ] {
        let head = read(format!("{line}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(
            (head.version, head.status, head.reason()),
            (version, status, reason.as_bytes()),
            "{line}"
        );
    }
}

#[test]
fn bad_heads() {
    for (text, bad) in [
        ("HTTP/1.1 20 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1\t200 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1 200\tOK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1 200 O\rK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", BadHead::StatusLine),
        (" HTTP/1.1 200 OK\r\n\r\n", BadHead::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", BadHead::StatusLine),
        ("ICY 200 OK\r\n\r\n", BadHead::StatusLine),
        ("http/1.1 200 OK\r\n\r\n", BadHead::StatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", BadHead::Version),
        ("HTTP/1.1 200 OK\n\n", BadHead::BareLineEnd),
        ("HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", BadHead::BareLineEnd),
        ("HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n", BadHead::BareLineEnd),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", BadHead::Folded),
        ("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", BadHead::FieldName),
        ("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", BadHead::FieldValue),
    ] {
        assert_eq!(read(text.as_bytes()).map(|_| ()), Err(bad), "{text:?}");
    }
    let large = format!("HTTP/1.1 200 {}", "a".repeat(LIMITS.bytes));
    assert_eq!(read(large.as_bytes()).map(|_| ()), Err(BadHead::TooLarge));
}

#[test]
fn lengths() {
    use Length::{Chunked, Exact, UntilClose};
    let get = Method::Get;
    for (method, first, lines, expected) in [
        (get, "1.1 200", "", Ok(UntilClose)),
        (get, "1.1 200", "Content-Length: 5\r\n", Ok(Exact(5))),
        (get, "1.1 200", "Content-Length: 5, 5\r\n", Ok(Exact(5))),
        (get, "1.1 200", "Content-Length: 5\r\nContent-Length: 5\r\n", Ok(Exact(5))),
        (get, "1.1 200", "Content-Length: 5\r\nContent-Length: 6\r\n", Err(BadHead::ContentLength)),
        (get, "1.1 200", "Content-Length: 5, 6\r\n", Err(BadHead::ContentLength)),
        (get, "1.1 200", "Content-Length: 5,\r\n", Err(BadHead::ContentLength)),
        (get, "1.1 200", "Content-Length: +5\r\n", Err(BadHead::ContentLength)),
        (get, "1.1 200", "Content-Length:\r\n", Err(BadHead::ContentLength)),
        (get, "1.1 200", "Transfer-Encoding: Chunked\r\n", Ok(Chunked)),
        (get, "1.0 200", "Transfer-Encoding: chunked\r\n", Err(BadHead::TransferEncoding)),
        (get, "1.1 200", "Transfer-Encoding: chunked, chunked\r\n", Err(BadHead::TransferEncoding)),
        (get, "1.1 200", "Transfer-Encoding: gzip, chunked\r\n", Err(BadHead::TransferEncoding)),
        (
            get,
            "1.1 200",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            Err(BadHead::TransferEncoding),
        ),
        (get, "1.1 200", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(BadHead::TwoLengths)),
        (Method::Head, "1.1 200", "Content-Length: 5\r\n", Ok(Exact(0))),
        (Method::Head, "1.1 200", "Transfer-Encoding: chunked\r\n", Ok(Exact(0))),
        (Method::Head, "1.1 200", "Content-Length: x\r\n", Err(BadHead::ContentLength)),
        (get, "1.1 100", "", Ok(Exact(0))),
        (get, "1.1 204", "", Ok(Exact(0))),
        (get, "1.1 304", "Content-Length: 5\r\n", Ok(Exact(0))),
    ] {
        let head = read(format!("HTTP/{first} X\r\n{lines}\r\n").as_bytes()).unwrap();
        assert_eq!(framing::of_answer(&head, method), expected, "{method:?} {first} {lines}");
    }
}

/// What this program writes itself reads back as it was meant.
#[test]
fn own_answers() {
    for status in 100..1000 {
        let mut own = ResponseHead::default();
        own.start(status);
        own.fields.push(b"x-a", b"b");
        let mut out = Vec::new();
        write::status_line(&mut out, own.status, own.reason());
        own.fields.write_to(&mut out, |_| false);
        write::length(&mut out, Length::Exact(u64::from(status)));
        write::field(&mut out, b"x-c", b"");
        out.extend_from_slice(b"\r\n");
        let head = read(&out).unwrap();
        assert_eq!((head.status, head.reason()), (status, write::reason(status).as_bytes()));
        assert_eq!(head.fields.get_named(b"x-a"), Some(&b"b"[..]));
        assert_eq!(head.fields.get_named(b"x-c"), Some(&b""[..]));
        let length = if matches!(status, ..200 | 204 | 304) { 0 } else { u64::from(status) };
        assert_eq!(framing::of_answer(&head, Method::Get), Ok(Length::Exact(length)));
    }
}

#[test]
fn every_status_that_is_sent_has_a_reason() {
    for case in crate::corpus::corpus() {
        assert!(!write::reason(case.status).is_empty(), "{}", case.status);
    }
}
