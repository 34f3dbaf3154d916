//! One line of the access log: what it tells, as JSON and in the Common Log Format.
//!
//! Whatever a client sends, a line stays one line, valid in its format, with nothing in it that a
//! terminal would obey. Numbers are written by hand because the general formatting costs several
//! times as much, and this runs for each request.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::time::Clock;

/// Bytes of a client's field that are logged; the rest is cut off.
pub const FIELD: usize = 8 * 1024;

/// What is told of one request. It has no place for `Authorization` and `Cookie`, on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When the request's first byte came.
    pub at: SystemTime,
    /// The client's address.
    pub peer: IpAddr,
    /// As sent.
    pub method: &'a [u8],
    /// As sent, with the query.
    pub target: &'a [u8],
    /// `HTTP/1.1`
    pub version: &'a str,
    /// As sent.
    pub host: &'a [u8],
    /// Of the answer.
    pub status: u16,
    /// Of the answer's body.
    pub bytes_out: u64,
    /// From the request's first byte to the answer's last.
    pub duration: Duration,
    /// From the request's being sent to the answer's head, if an endpoint answered.
    pub upstream: Option<Duration>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The service's name.
    pub service: Option<&'a str>,
    /// The endpoint's URL.
    pub endpoint: Option<&'a str>,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    /// Endpoints that the request was sent to.
    pub tries: u32,
    /// What the cache did, as in `Cache-Status`: `hit`, or why not; none if the route has no cache.
    pub cache: Option<&'a str>,
    /// The answer was not sent whole.
    pub aborted: bool,
    /// What the last endpoint that failed did, if no endpoint answered whole.
    pub error: Option<&'a str>,
}

/// Adds one line: a JSON object (RFC 8259) whose absent values are left out. A byte that is not
/// UTF-8 is shown as the character of that number.
pub(super) fn json(out: &mut Vec<u8>, record: &Record<'_>, at: &Clock) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(at.rfc3339().as_bytes());
    out.push(b'.');
    padded(out, u64::from(at.millis()), 3);
    out.extend_from_slice(b"Z\",\"peer\":\"");
    address(out, record.peer);
    out.push(b'"');
    text(out, "method", Some(record.method));
    text(out, "host", Some(record.host));
    text(out, "target", Some(record.target));
    text(out, "version", Some(record.version.as_bytes()));
    number(out, "status", u64::from(record.status));
    number(out, "bytes", record.bytes_out);
    name(out, "seconds");
    seconds(out, record.duration);
    if let Some(upstream) = record.upstream {
        name(out, "upstream_seconds");
        seconds(out, upstream);
    }
    text(out, "route", record.route.map(str::as_bytes));
    text(out, "service", record.service.map(str::as_bytes));
    text(out, "endpoint", record.endpoint.map(str::as_bytes));
    number(out, "tries", u64::from(record.tries));
    text(out, "cache", record.cache.map(str::as_bytes));
    text(out, "request_id", Some(record.request_id.as_bytes()));
    text(out, "user_agent", record.user_agent);
    text(out, "referer", record.referer);
    text(out, "error", record.error.map(str::as_bytes));
    if record.aborted {
        out.extend_from_slice(b",\"aborted\":true");
    }
    out.extend_from_slice(b"}\n");
}

/// Adds one line in the Common Log Format, with the request's seconds at the end.
pub(super) fn common(out: &mut Vec<u8>, record: &Record<'_>, at: &Clock) {
    address(out, record.peer);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(at.common().as_bytes());
    out.extend_from_slice(b"] \"");
    hex_escaped(out, record.method);
    out.push(b' ');
    hex_escaped(out, record.target);
    out.push(b' ');
    hex_escaped(out, record.version.as_bytes());
    out.extend_from_slice(b"\" ");
    decimal(out, u64::from(record.status));
    out.push(b' ');
    decimal(out, record.bytes_out);
    out.push(b' ');
    seconds(out, record.duration);
    out.push(b'\n');
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    name(out, key);
    decimal(out, value);
}

fn text(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    if let Some(value) = value {
        name(out, key);
        out.push(b'"');
        json_escaped(out, cut(value));
        out.push(b'"');
    }
}

fn cut(value: &[u8]) -> &[u8] {
    &value[..value.len().min(FIELD)]
}

/// Nearly all values have nothing to escape and are copied as they are.
fn json_escaped(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend([b'\\', character as u8]),
                // All control characters are below U+00A0.
                _ if character.is_control() => unicode_escaped(out, character as u8),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|&byte| unicode_escaped(out, byte));
    }
}

fn unicode_escaped(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    hex(out, byte);
}

fn hex_escaped(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in cut(value) {
        if is_plain(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            hex(out, byte);
        }
    }
}

/// A byte that both formats show as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn address(out: &mut Vec<u8>, peer: IpAddr) {
    let _a_vector_takes_all = write!(out, "{peer}");
}

/// With six decimal places.
fn seconds(out: &mut Vec<u8>, time: Duration) {
    decimal(out, time.as_secs());
    out.push(b'.');
    padded(out, u64::from(time.subsec_micros()), 6);
}

fn decimal(out: &mut Vec<u8>, value: u64) {
    padded(out, value, 1);
}

/// With zeros in front, to at least `width` digits.
fn padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    const LONGEST: usize = 20;
    let mut digits = [b'0'; LONGEST];
    let mut first = LONGEST;
    while value > 0 {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[first.min(LONGEST - width)..]);
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    pub(in super::super) const RECORD: Record<'static> = Record {
        at: SystemTime::UNIX_EPOCH,
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        method: b"GET",
        target: b"/a?b=c",
        version: "HTTP/1.1",
        host: b"shop.test",
        status: 200,
        bytes_out: 1024,
        duration: Duration::from_micros(1_002_003),
        upstream: Some(Duration::from_nanos(999_999)),
        route: Some("*/*"),
        service: Some("shop"),
        endpoint: Some("http://10.0.0.1:3000"),
        request_id: "0a1b",
        user_agent: Some(b"curl/8"),
        referer: None,
        tries: 1,
        cache: None,
        aborted: false,
        error: None,
    };

    fn line(format: fn(&mut Vec<u8>, &Record<'_>, &Clock), record: &Record<'_>) -> String {
        let mut out = Vec::new();
        format(&mut out, record, Clock::default().at(record.at));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_tells_all() {
        let expected = concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","peer":"192.0.2.7","method":"GET","#,
            r#""host":"shop.test","target":"/a?b=c","version":"HTTP/1.1","status":200,"#,
            r#""bytes":1024,"seconds":1.002003,"upstream_seconds":0.000999,"route":"*/*","#,
            r#""service":"shop","endpoint":"http://10.0.0.1:3000","tries":1,"request_id":"0a1b","#,
            r#""user_agent":"curl/8"}"#,
            "\n"
        );
        assert_eq!(line(json, &RECORD), expected);
        let cut_short = line(json, &Record { aborted: true, ..RECORD });
        assert!(cut_short.ends_with(",\"aborted\":true}\n"));
    }

    #[test]
    fn common_tells_the_usual() {
        let request = r#""GET /a?b=c HTTP/1.1" 200 1024 1.002003"#;
        let expected = format!("192.0.2.7 - - [01/Jan/1970:00:00:00 +0000] {request}\n");
        assert_eq!(line(common, &RECORD), expected);
        let record = Record { target: b"/\"\\\r\n\x1b\xff", ..RECORD };
        assert!(line(common, &record).contains(r"/\x22\x5c\x0d\x0a\x1b\xff HTTP/1.1"));
    }

    #[test]
    fn bytes_that_are_not_text_are_shown_by_number() {
        let agent = b"\xffz\xc3\xa9\xc2\x9b\x00\"\\\x7f";
        let shown = line(json, &Record { user_agent: Some(agent), ..RECORD });
        assert!(shown.contains(r#""\u00ffzé\u009b\u0000\"\\\u007f""#), "{shown}");
    }

    #[test]
    fn numbers_have_all_their_digits() {
        let shown = |value, width| {
            let mut out = Vec::new();
            padded(&mut out, value, width);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(0, 1), "0");
        assert_eq!(shown(7, 3), "007");
        assert_eq!(shown(12_345, 3), "12345");
        assert_eq!(shown(u64::MAX, 1), u64::MAX.to_string());
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_valid_line(
            target in prop::collection::vec(any::<u8>(), 0..64),
            agent in ".{0,16}",
            millis in 0u64..4_000_000_000_000,
        ) {
            let record = Record {
                at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
                target: &target,
                user_agent: Some(agent.as_bytes()),
                ..RECORD
            };
            let json = line(json, &record);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(value["user_agent"].as_str(), Some(agent.as_str()));
            if let Ok(target) = str::from_utf8(&target) {
                prop_assert_eq!(value["target"].as_str(), Some(target));
            }
            for line in [json, line(common, &record)] {
                let text = line.strip_suffix('\n').unwrap();
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
        }

        #[test]
        fn long_fields_are_cut(length in 0..3 * FIELD) {
            let target = vec![b'x'; length];
            let shown = line(json, &Record { target: &target, ..RECORD });
            prop_assert_eq!(shown.bytes().filter(|&byte| byte == b'x').count(), length.min(FIELD));
        }
    }
}
