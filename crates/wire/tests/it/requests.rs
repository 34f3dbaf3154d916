//! Requests that are taken, and what is seen in them.

use wire::target::Form;
use wire::{BadHead, Known, Length, Limits, Method, RequestHead, Version, framing};

use crate::LIMITS;

fn read(text: &str) -> RequestHead {
    let mut head = RequestHead::default();
    assert_eq!(head.read(text.as_bytes(), LIMITS), Ok(Some(text.len())), "{text:?}");
    head
}

/// A head with these further lines.
fn with(lines: &str) -> RequestHead {
    read(&format!("POST / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n"))
}

#[test]
fn parts_of_a_head() {
    let head = read(
        "\r\nPATCH /a/b?c=d?e HTTP/1.1\r\nhOST: a.example:80\r\nX-Y:\t z  \r\nEmpty:\r\nObs: \u{e4}\r\n\r\n",
    );
    assert_eq!((head.method, head.method_text()), (Method::Patch, &b"PATCH"[..]));
    assert_eq!(head.version, Version::Http11);
    assert_eq!((head.form(), head.target()), (Form::Origin, &b"/a/b?c=d?e"[..]));
    assert_eq!((head.path(), head.query()), (&b"/a/b"[..], Some(&b"c=d?e"[..])));
    assert_eq!(head.authority(), b"a.example:80");
    assert_eq!(head.fields.get_named(b"x-y"), Some(&b"z"[..]));
    assert_eq!(head.fields.get_named(b"empty"), Some(&b""[..]));
    assert_eq!(head.fields.get_named(b"obs"), Some("\u{e4}".as_bytes()));
    assert_eq!(head.fields.get_named(b"missing"), None);
    assert_eq!(head.fields.len(), 4);
}

/// Target, then form, authority, path with query.
#[test]
fn targets() {
    use Form::{Absolute, Asterisk, Origin};
    for (method, target, form, authority, path) in [
        ("GET", "/", Origin, "h", "/"),
        ("GET", "//a", Origin, "h", "//a"),
        ("GET", "/?", Origin, "h", "/?"),
        ("GET", "/a|b\"{}\\", Origin, "h", "/a|b\"{}\\"),
        ("GET", "/a:1@b", Origin, "h", "/a:1@b"),
        ("GET", "/a?b=../c", Origin, "h", "/a?b=../c"),
        ("GET", "http://a.example/b?c", Absolute, "a.example", "/b?c"),
        ("GET", "HTTP://a.example:81", Absolute, "a.example:81", "/"),
        ("GET", "https://[::1]:8/b", Absolute, "[::1]:8", "/b"),
        ("OPTIONS", "*", Asterisk, "h", "*"),
        ("OPTIONS", "/a", Origin, "h", "/a"),
        ("OPTIONS", "http://a.example", Absolute, "a.example", "*"),
        ("options", "/a", Origin, "h", "/a"),
    ] {
        let head = read(&format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let seen = (head.form(), head.authority(), head.path_and_query());
        assert_eq!(seen, (form, authority.as_bytes(), path.as_bytes()), "{method} {target}");
    }
}

#[test]
fn versions() {
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n").version, Version::Http10);
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n").authority(), b"");
    assert_eq!(read("GET http://a/ HTTP/1.0\r\n\r\n").authority(), b"a");
    assert_eq!(read("GET / HTTP/1.9\r\nHost: a\r\n\r\n").version, Version::Http11);
}

#[test]
fn hosts() {
    for host in [
        "a",
        "a.example",
        "A.Example.",
        "a_b.example:8080",
        "a:",
        "127.0.0.1",
        "[::1]",
        "[2001:db8::1]:443",
        "xn--4ca.example",
    ] {
        assert_eq!(read(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).authority(), host.as_bytes());
    }
}

#[test]
fn lengths() {
    for (lines, length) in [
        ("", Length::Exact(0)),
        ("Content-Length: 0\r\n", Length::Exact(0)),
        ("content-length:5\r\n", Length::Exact(5)),
        ("Content-Length: \t007 \r\n", Length::Exact(7)),
        ("Content-Length: 9999999999999999999\r\n", Length::Exact(9_999_999_999_999_999_999)),
        ("Transfer-Encoding: chunked\r\n", Length::Chunked),
        ("transfer-encoding:  CHUNKED\t\r\n", Length::Chunked),
    ] {
        assert_eq!(framing::of_request(&with(lines)), Ok(length), "{lines}");
    }
}

#[test]
fn kept_alive() {
    for (version, lines, keeps) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: x, , CLOSE\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = read(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(framing::keeps_alive(head.version, &head.fields), keeps, "{version} {lines}");
    }
}

#[test]
fn expectations() {
    assert_eq!(framing::expects_continue(&with("")), Ok(false));
    assert_eq!(framing::expects_continue(&with("Expect: 100-Continue\r\n")), Ok(true));
    assert_eq!(
        framing::expects_continue(&with("Expect: 100-continue\r\nExpect: 100-continue\r\n")),
        Ok(true)
    );
    let old = read("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(framing::expects_continue(&old), Ok(false));
}

/// What fits into the limits exactly is taken, one more is not, whatever follows.
#[test]
fn limits_are_exact() {
    let text = "\r\nGET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let more = format!("{text}GET / HTTP/1.1\r\n");
    for (bytes, fields, expected) in [
        (text.len(), 2, Ok(Some(text.len()))),
        (text.len() - 1, 2, Err(BadHead::TooLarge)),
        (10, 2, Err(BadHead::LineTooLong)),
        (text.len(), 1, Err(BadHead::TooMany)),
    ] {
        for input in [text, &more] {
            let result = RequestHead::default().read(input.as_bytes(), Limits { bytes, fields });
            assert_eq!(result, expected, "{bytes} bytes, {fields} fields");
        }
    }
}

/// A reader whose buffer is as large as the limit always gets an answer when that is full.
#[test]
fn a_full_buffer_is_never_called_unfinished() {
    for text in
        ["\r\nGET / HTTP/1.1\r\nHost: a", "\r\nGET /aaaaaaaaaaaaaaaaaaaaa", "GET / HTTP/1.1\r\nHost: a\r"]
    {
        let limits = Limits { bytes: text.len(), fields: 9 };
        assert!(RequestHead::default().read(text.as_bytes(), limits).is_err(), "{text:?}");
    }
}

/// After a bad head, nothing of the request before it is seen.
#[test]
fn nothing_stays_of_the_head_before() {
    let mut head = read("DELETE /private HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n");
    for bad in ["", "GET", "GET\r\n", "GET /x HTTP/1.1\r\nX: y\r\nBad\r\n\r\n", "GET /x HTTP/1.1\r\nX: y\r\n"]
    {
        assert_ne!(head.read(bad.as_bytes(), LIMITS), Ok(Some(bad.len())));
        assert_eq!(head.fields.iter().count(), 0, "{bad:?}");
        assert_eq!((head.method_text(), head.target(), head.authority()), (&b""[..], &b""[..], &b""[..]));
        assert_eq!((head.method, head.query(), head.fields.get(Known::Cookie)), (Method::Get, None, None));
    }
    head = read("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    head.fields.clear();
    assert_eq!((head.method_text(), head.target(), head.path()), (&b""[..], &b""[..], &b"/"[..]));
}
