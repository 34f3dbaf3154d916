//! Tests of `key`: RFC 3986 §5.2, §6.2, and what routes make of it.

use std::sync::Arc;

use cache::key::{Key, bypasses, of_reference, of_url, prefix};
use config::plan::{Bypass, CacheKey, QueryKey};
use proptest::prelude::*;
use wire::RequestHead;

use crate::heads::request;

fn key(scheme: &str, host: &str, target: &str, rules: &CacheKey) -> Key {
    let mut key = Key { primary: b"left".to_vec(), rule: b"over".to_vec() };
    key.make(scheme, &request(&format!("GET {target}"), &[("Host", host)]), rules);
    key
}

fn primary(host: &str, target: &str) -> String {
    String::from_utf8(key("http", host, target, &CacheKey::default()).primary).unwrap()
}

fn of_query(query: QueryKey, target: &str) -> String {
    let rules = CacheKey { query, ..CacheKey::default() };
    String::from_utf8(key("http", "a", target, &rules).primary).unwrap()
}

fn named(names: &[&str]) -> QueryKey {
    QueryKey::Named(names.iter().map(|name| Arc::from(*name)).collect())
}

#[test]
fn the_host_has_no_case_and_no_needless_port() {
    assert_eq!(primary("Shop.Example", "/Path"), "http://shop.example/Path");
    assert_eq!(primary("a:80", "/"), "http://a/");
    assert_eq!(primary("a:", "/"), "http://a/");
    assert_eq!(primary("a:443", "/"), "http://a:443/");
    assert_eq!(primary("a:8080", "/"), "http://a:8080/");
    assert_eq!(primary("[::1]:80", "/"), "http://[::1]/");
    assert_eq!(primary("[::80]", "/"), "http://[::80]/");
    let secure = |host| String::from_utf8(key("https", host, "/", &CacheKey::default()).primary).unwrap();
    assert_eq!(secure("a:443"), "https://a/");
    assert_eq!(secure("a:80"), "https://a:80/");
}

#[test]
fn an_absolute_target_is_the_same_url() {
    assert_eq!(primary("other", "http://A/b?c"), "http://a/b?c");
    assert_eq!(primary("other", "http://A"), "http://a/");
}

#[test]
fn needless_escapes_of_the_path_are_undone_and_others_are_in_capitals() {
    assert_eq!(primary("a", "/%61%2D%7e%5F"), "http://a/a-~_");
    assert_eq!(primary("a", "/a%2fb%3a"), "http://a/a%2Fb%3A");
    assert_eq!(primary("a", "/a%2Fb"), "http://a/a%2Fb");
    assert_eq!(primary("a", "/%"), "http://a/%");
    assert_eq!(primary("a", "/%4"), "http://a/%4");
    assert_eq!(primary("a", "/%zz%41"), "http://a/%zzA");
    assert_eq!(primary("a", "/%%341"), "http://a/%41", "what comes out is not read again");
}

#[test]
fn the_query_is_all_of_it_as_sent_by_default() {
    assert_eq!(primary("a", "/?b=%61&a"), "http://a/?b=%61&a");
    assert_eq!(primary("a", "/?"), "http://a/?");
    assert_eq!(primary("a", "/?x?y"), "http://a/?x?y");
}

#[test]
fn a_sorted_query_keeps_the_order_within_a_name() {
    assert_eq!(of_query(QueryKey::Sorted, "/?b=2&a=2&&a=1"), "http://a/?a=2&a=1&b=2");
    assert_eq!(of_query(QueryKey::Sorted, "/?"), "http://a/");
    assert_eq!(of_query(QueryKey::None, "/p?a=1"), "http://a/p");
}

#[test]
fn of_named_parameters_none_can_hide_behind_escapes() {
    let query = || named(&["a b", "id"]);
    assert_eq!(of_query(query(), "/?utm=1&id=2&ids=3&a+b=4"), "http://a/?a+b=4&id=2");
    assert_eq!(of_query(query(), "/?%69d=2&a%20b&x"), "http://a/?%69d=2&a%20b");
    assert_eq!(of_query(query(), "/?x=id"), "http://a/");
}

#[test]
fn a_routes_headers_and_cookies_stand_apart() {
    let rules = CacheKey {
        headers: vec!["accept-encoding".into(), "x-device".into()],
        cookies: vec!["ab".into()],
        ..CacheKey::default()
    };
    let of = |fields: &[(&str, &str)]| {
        let mut key = Key::default();
        key.make("http", &request("GET /", &[&[("Host", "a")], fields].concat()), &rules);
        assert_eq!(key.primary, b"http://a/");
        String::from_utf8(key.rule).unwrap()
    };
    assert_eq!(of(&[]), "accept-encoding\nx-device\n;ab\n");
    let some = [("X-Device", "tv"), ("Accept-Encoding", "br, gzip"), ("Cookie", "x=1; ab=2; abc=3")];
    assert_eq!(of(&some), "accept-encoding:br,gzip\nx-device:tv\n;ab;2\n");
    assert_eq!(of(&[("Accept-Encoding", "gzip,br")]), "accept-encoding:br,gzip\nx-device\n;ab\n");
    assert_eq!(of(&[("Cookie", "ab=1"), ("Cookie", "ab=2")]), "accept-encoding\nx-device\n;ab;1;2\n");
    assert_ne!(of(&[("Cookie", "ab=1=2")]), of(&[("Cookie", "ab=1; ab=2")]));
    assert_ne!(of(&[("Cookie", "ab=")]), of(&[("Cookie", "x")]));
    assert_ne!(of(&[("X-Device", "")]), of(&[]));
}

#[test]
fn a_purges_url_is_the_requests_key() {
    for (url, host, target) in [
        ("http://Shop.Example:80/%61?b", "shop.example", "/a?b"),
        ("HTTP://a", "a", "/"),
        ("http://a?b", "a", "/?b"),
        ("http://a/b#c", "a", "/b"),
        ("http://[::1]:8080/", "[::1]:8080", "/"),
    ] {
        let key = key("http", host, target, &CacheKey::default()).primary;
        assert_eq!(of_url(url, &QueryKey::All), Some(key), "{url}");
    }
    assert_eq!(of_url("http://a/?c&b", &QueryKey::Sorted).unwrap(), b"http://a/?b&c");
    for bad in
        ["", "a/b", "/b", "ftp://a/", "http:/a", "http:///b", "http://u@a/", "http://a/\u{e9}", "http://a/ b"]
    {
        assert_eq!(of_url(bad, &QueryKey::All), None, "{bad}");
    }
}

#[test]
fn a_prefix_ends_its_host() {
    assert_eq!(prefix("http://a.example").unwrap(), b"http://a.example/");
    assert_eq!(prefix("http://A/img/%7Eb").unwrap(), b"http://a/img/~b");
    assert!(!primary("a.example.net", "/").as_bytes().starts_with(&prefix("http://a.example").unwrap()));
}

#[test]
fn references_are_resolved() {
    let to = |reference: &str| {
        let head = request("GET /b/c/d?q", &[("Host", "A:80")]);
        of_reference("http", &head, reference.as_bytes(), &QueryKey::All)
            .map(|url| String::from_utf8(url).unwrap())
    };
    let a = |rest: &str| Some(format!("http://a{rest}"));
    // RFC 3986 §5.4, with this base.
    for (reference, rest) in [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d?q"),
        ("g#s", "/b/c/g"),
        ("", "/b/c/d?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./g/.", "/b/c/g/"),
        ("g/../h", "/b/c/h"),
        ("%2e%2e/g", "/b/g"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("//a/g", "/g"),
        ("http://a:80/g", "/g"),
        ("HTTP://A", "/"),
    ] {
        assert_eq!(to(reference), a(rest), "{reference}");
    }
    for other in [
        "https://a/g",
        "http://b/g",
        "//a.example/g",
        "http://a:81/",
        "mailto:x",
        "g:h",
        "g h",
        "http://a@b/",
    ] {
        assert_eq!(to(other), None, "{other}");
    }
}

#[test]
fn a_route_is_bypassed_by_what_it_names() {
    let head = request("GET /?%70review=1&x", &[("Host", "a"), ("Cookie", "session=1; b"), ("X-Debug", "")]);
    let by = |one: Bypass| bypasses(&head, &[Bypass::Header("none".into()), one]);
    assert!(by(Bypass::Header("x-debug".into())));
    assert!(by(Bypass::Cookie("session".into())) && by(Bypass::Cookie("b".into())));
    assert!(by(Bypass::Query("preview".into())) && by(Bypass::Query("x".into())));
    assert!(!by(Bypass::Cookie("sess".into())) && !by(Bypass::Query("1".into())));
    assert!(!bypasses(&head, &[]));
}

proptest! {
    #[test]
    fn any_text_is_taken(text in "(https?://)?[ -~]{0,30}", query in prop::sample::select(vec![QueryKey::All, QueryKey::Sorted])) {
        if let Some(key) = of_url(&text, &query) {
            let again = of_url(std::str::from_utf8(&key).unwrap(), &query);
            // `%%341` becomes `%41`, which a second time is `A`: only a whole escape has one reading.
            prop_assert!(text.contains('%') || again == Some(key));
        }
        let head = request("GET /b/c", &[("Host", "a")]);
        if let Some(key) = of_reference("http", &head, text.as_bytes(), &query) {
            prop_assert!(key.starts_with(b"http://a/"));
        }
    }

    #[test]
    fn a_request_and_its_url_have_one_key(target in "/[a-zA-Z%0-9/&=?_~-]{0,20}") {
        let mut head = RequestHead::default();
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let limits = wire::Limits { bytes: 1000, fields: 4 };
        if let Ok(Some(_)) = head.read(text.as_bytes(), limits) {
            let mut key = Key::default();
            key.make("http", &head, &CacheKey::default());
            prop_assert_eq!(of_url(&format!("http://a{target}"), &QueryKey::All), Some(key.primary));
        }
    }
}
