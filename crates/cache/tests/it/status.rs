//! Tests of `status`: RFC 9211.

use cache::status::{CacheStatus, Fwd};
use proptest::prelude::*;

fn text(status: CacheStatus<'_>) -> String {
    let mut out = Vec::new();
    status.line(&mut out);
    String::from_utf8(out)
        .unwrap()
        .strip_prefix("Cache-Status: ")
        .unwrap()
        .strip_suffix("\r\n")
        .unwrap()
        .to_owned()
}

#[test]
fn a_hit_says_how_long_it_is_fresh() {
    let mut out = b"Cache-Status: shield; fwd=uri-miss\r\n".to_vec();
    for ttl in [30, -12] {
        CacheStatus { ttl: Some(ttl), ..CacheStatus::default() }.line(&mut out);
    }
    let lines = "Cache-Status: shield; fwd=uri-miss\r\nCache-Status: nearside; hit; ttl=30\r\n\
                 Cache-Status: nearside; hit; ttl=-12\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), lines);
    assert_eq!(text(CacheStatus::default()), "nearside; hit");
    assert_eq!(
        text(CacheStatus { ttl: Some(i64::MIN), ..CacheStatus::default() }),
        "nearside; hit; ttl=-9223372036854775808"
    );
}

#[test]
fn a_forwarded_request_says_why_and_never_that_it_was_a_hit() {
    for (fwd, token) in [
        (Fwd::Bypass, "bypass"),
        (Fwd::Method, "method"),
        (Fwd::UriMiss, "uri-miss"),
        (Fwd::VaryMiss, "vary-miss"),
        (Fwd::Request, "request"),
        (Fwd::Stale, "stale"),
        (Fwd::Partial, "partial"),
    ] {
        assert_eq!(
            text(CacheStatus { fwd: Some(fwd), ..CacheStatus::default() }),
            format!("nearside; fwd={token}")
        );
    }
}

#[test]
fn all_parameters_have_their_form() {
    let all = CacheStatus {
        fwd: Some(Fwd::Stale),
        fwd_status: Some(304),
        ttl: Some(0),
        stored: true,
        collapsed: true,
        detail: Some("no-store"),
    };
    let expected = "nearside; fwd=stale; fwd-status=304; ttl=0; stored; collapsed; detail=no-store";
    assert_eq!(text(all), expected);
    let detail = |detail| text(CacheStatus { detail: Some(detail), ..CacheStatus::default() });
    assert_eq!(detail("too large"), "nearside; hit; detail=\"too large\"");
    assert_eq!(detail("\"\\"), "nearside; hit; detail=\"\\\"\\\\\"");
    assert_eq!(detail("9"), "nearside; hit; detail=\"9\"");
    assert_eq!(detail(""), "nearside; hit; detail=\"\"");
    assert_eq!(detail("caf\u{e9}"), "nearside; hit");
}

proptest! {
    #[test]
    fn whatever_the_detail_its_line_is_one(detail in any::<String>()) {
        let line = text(CacheStatus { detail: Some(&detail), stored: true, ..CacheStatus::default() });
        prop_assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')));
        prop_assert!(line.starts_with("nearside; hit; stored"));
    }
}
