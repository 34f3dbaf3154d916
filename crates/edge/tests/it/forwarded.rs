//! What goes out to an endpoint: one request, the one that came in, whatever came in.

use proptest::prelude::*;
use wire::head::Limits;
use wire::{Known, Length, RequestHead, framing};

const LIMITS: Limits = Limits { bytes: 8192, fields: 64 };
/// What is written may be longer than what was read, by the fields that are added.
const OUT: Limits = Limits { bytes: 16384, fields: 80 };

/// Reads what went out, as strictly as what comes in, and holds it against the request.
fn hold(request: &[u8]) {
    let Ok(Some((out, length))) = edge::forwarded(request, LIMITS) else { return };
    let (mut came, mut went) = (RequestHead::default(), RequestHead::default());
    came.read(request, LIMITS).unwrap();
    assert_eq!(went.read(&out, OUT), Ok(Some(out.len())), "{}", String::from_utf8_lossy(&out));
    assert_eq!(went.method_text(), came.method_text());
    assert_eq!(went.target(), came.path_and_query());
    assert_eq!(framing::of_request(&went), Ok(length), "both sides see the same body");
    let count = |known| went.fields.all(known).count();
    for once in [Known::Host, Known::XForwardedFor, Known::XForwardedProto, Known::Via, Known::XRequestId] {
        assert_eq!(count(once), 1, "{once:?}");
    }
    assert_eq!(went.fields.get(Known::XForwardedFor), Some(&b"192.0.2.1"[..]), "no word of the client's");
    assert!(count(Known::ContentLength) + count(Known::TransferEncoding) <= 1);
    for never in [Known::KeepAlive, Known::ProxyConnection, Known::ProxyAuthorization, Known::Forwarded] {
        assert_eq!(count(never), 0, "{never:?}");
    }
    let spoken = went.fields.get(Known::Connection);
    assert!(matches!(spoken, None | Some(b"Upgrade" | b"TE")), "only what this node means itself");
}

fn line() -> impl Strategy<Value = String> {
    let names = "(Host|Connection|Content-Length|Transfer-Encoding|TE|Upgrade|Keep-Alive|Via|X-Forwarded-For|\
                 X_Forwarded_For|X-Request-Id|Traceparent|Cookie|Expect|Forwarded|X-[A-Za-z_]{1,8})";
    let values = "(a\\.example|close|keep-alive, x-a, te|upgrade|5|0|chunked|trailers|websocket|h2c|10\\.0\\.0\\.1|\
                  100-continue|[ -~]{0,12})";
    (names, "(: |:|:  |: \t)", values).prop_map(|(name, colon, value)| format!("{name}{colon}{value}\r\n"))
}

proptest! {
    #[test]
    fn one_request_goes_out(
        method in "(GET|POST|PUT|OPTIONS|BREW)",
        target in "(/|/a/b\\?c=d|\\*|http://b\\.example:81/x|/a%20b|[!-~]{1,12})",
        version in "(1\\.1|1\\.0)",
        lines in proptest::collection::vec(line(), 0..8),
    ) {
        let request = format!("{method} {target} HTTP/{version}\r\nHost: a.example\r\n{}\r\n", lines.concat());
        hold(request.as_bytes());
        let bare = format!("{method} {target} HTTP/{version}\r\n{}\r\n", lines.concat());
        hold(bare.as_bytes());
    }

    #[test]
    fn any_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        hold(&bytes);
    }
}

#[test]
fn a_plain_request_goes_out_whole() {
    let request = b"POST /x?y HTTP/1.1\r\nHost: a.example\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
                    X-Forwarded-For: 10.9.9.9\r\nX_Forwarded_For: 10.8.8.8\r\nX-Kept: 2\r\nContent-Length: 3\r\n\r\nabc";
    let (out, length) = edge::forwarded(request, LIMITS).unwrap().unwrap();
    assert_eq!(length, Length::Exact(3));
    let id = "00000000000000000000000000000001";
    let expected = format!(
        "POST /x?y HTTP/1.1\r\nHost: a.example\r\nX-Kept: 2\r\nX-Forwarded-For: 192.0.2.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nVia: 1.1 nearside\r\nX-Request-Id: {id}\r\n\
         traceparent: 00-{id}-0000000000000001-01\r\ncontent-length: 3\r\n\r\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
