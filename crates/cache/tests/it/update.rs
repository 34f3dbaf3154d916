//! Tests of `update` and `tags`: RFC 9111 §3.1, §3.2, §4.3.4, §4.3.5, §4.4.

use cache::date;
use cache::object::{Body, Facts, New, Object};
use cache::tags::{self, LONGEST_TAG, MOST_TAGS, TooManyTags};
use cache::update::{HeadSays, confirms, freshened, head_agrees, invalidated, stored_lines};
use config::plan::{CacheKey, QueryKey};
use proptest::prelude::*;

use crate::heads::{answer, fields, request};

const NOW: u64 = 784_111_777;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn object(lines: &str) -> Object {
    Object::new(New {
        facts: Facts { status: 200, ..Facts::default() },
        primary: b"http://a/",
        variant: b"",
        lines: lines.as_bytes(),
        tags: b"",
        body: Body::Whole("01234".into()),
    })
}

fn kept(status: u16, of: &[(&str, &str)]) -> String {
    let mut out = Vec::new();
    stored_lines(&mut out, &answer(status, of), NOW, |_| false);
    String::from_utf8(out).unwrap()
}

/// The lines after an answer, and without it if it changes nothing.
fn after(stored: &str, of: &[(&str, &str)]) -> String {
    let mut out = Vec::new();
    freshened(&mut out, &object(stored), &fields(of), NOW, |_| false);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_speaks_of_one_connection_is_not_stored() {
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Content-Length",
        "Age",
        "X-Request-Id",
        "Surrogate-Key",
        "Cache-Tag",
        "HTTP2-Settings",
    ] {
        assert_eq!(kept(200, &[("Date", DATE), (name, "x")]), format!("Date: {DATE}\r\n"), "{name}");
    }
}

#[test]
fn all_else_is_stored_as_it_came() {
    for name in [
        "Test-Header",
        "Content-Foo",
        "X-Content-Foo",
        "Cache-Control",
        "Content-Encoding",
        "Content-Location",
        "Content-MD5",
        "Content-Range",
        "Content-Security-Policy",
        "Content-Type",
        "Clear-Site-Data",
        "ETag",
        "Expires",
        "Public-Key-Pins",
        "Set-Cookie",
        "Set-Cookie2",
        "X-Frame-Options",
        "Cache-Status",
        "Via",
        "CDN-Cache-Control",
        "Vary",
        "WWW-Authenticate",
    ] {
        let both = [("Date", DATE), (name, "x, y"), (name, "z")];
        assert_eq!(kept(200, &both), format!("Date: {DATE}\r\n{name}: x, y\r\n{name}: z\r\n"), "{name}");
    }
}

#[test]
fn what_connection_names_is_not_stored() {
    let of = [("Connection", "a, B"), ("A", "1"), ("b", "2"), ("c", "3"), ("connection", "d"), ("D", "4")];
    assert_eq!(kept(200, &of), format!("c: 3\r\nDate: {DATE}\r\n"));
    assert_eq!(kept(200, &[("Connection", "date"), ("Date", "x")]), format!("Date: {DATE}\r\n"));
}

#[test]
fn what_the_answer_keeps_to_itself_is_not_stored() {
    let mut out = Vec::new();
    let head = answer(200, &[("Date", DATE), ("Set-Cookie", "a"), ("b", "c")]);
    stored_lines(&mut out, &head, NOW, |name| name.eq_ignore_ascii_case(b"set-cookie"));
    assert_eq!(out, format!("Date: {DATE}\r\nb: c\r\n").into_bytes());
}

#[test]
fn an_answer_without_a_date_gets_the_time_it_came() {
    assert_eq!(kept(200, &[]), format!("Date: {DATE}\r\n"));
    assert_eq!(kept(200, &[("a", "b")]), format!("a: b\r\nDate: {DATE}\r\n"));
}

#[test]
fn where_a_part_stands_is_no_field_of_the_whole() {
    assert_eq!(kept(206, &[("Date", DATE), ("Content-Range", "bytes 0-4/10")]), format!("Date: {DATE}\r\n"));
}

#[test]
fn a_304_replaces_what_it_has_and_keeps_the_rest() {
    let stored = format!("a: 1\r\nDate: {}\r\nETag: \"x\"\r\nB: 2\r\nb: 3\r\n", str_date(NOW - 100));
    let new = [("Date", DATE), ("B", "4"), ("c", "5"), ("ETag", "\"x\""), ("C", "6")];
    assert_eq!(
        after(&stored, &new),
        format!("a: 1\r\nETag: \"x\"\r\nB: 4\r\nc: 5\r\nC: 6\r\nDate: {DATE}\r\n")
    );
}

fn str_date(at: u64) -> String {
    String::from_utf8(date::write(at).to_vec()).unwrap()
}

#[test]
fn a_304_updates_all_fields_but_those_that_describe_the_bytes() {
    let tag = ("ETag", "\"x\"");
    for name in [
        "Test-Header",
        "Content-Foo",
        "X-Content-Foo",
        "Cache-Control",
        "Content-Location",
        "Content-Type",
        "Vary",
        "Content-Security-Policy",
        "Clear-Site-Data",
        "Expires",
        "Set-Cookie",
        "Set-Cookie2",
        "X-Frame-Options",
        "Last-Modified",
        "Cache-Status",
    ] {
        let now = after(&format!("ETag: \"x\"\r\n{name}: old\r\n"), &[tag, (name, "new"), ("Date", DATE)]);
        assert_eq!(now, format!("ETag: \"x\"\r\n{name}: new\r\nDate: {DATE}\r\n"), "{name}");
    }
    for name in
        ["Content-Encoding", "Content-Range", "Content-MD5", "Content-Length", "Connection", "Age", "TE"]
    {
        let stored = format!("ETag: \"x\"\r\n{name}: old\r\n");
        let now = after(&stored, &[tag, (name, "new"), ("Date", DATE)]);
        assert_eq!(now, format!("{stored}Date: {DATE}\r\n"), "{name}");
    }
}

#[test]
fn a_304_adds_nothing_that_would_change_the_bytes() {
    let new =
        [("ETag", "\"x\""), ("Content-Encoding", "gzip"), ("Connection", "d"), ("d", "1"), ("Date", DATE)];
    assert_eq!(after("ETag: \"x\"\r\n", &new), format!("ETag: \"x\"\r\nDate: {DATE}\r\n"));
}

#[test]
fn a_304_without_a_date_came_when_it_came() {
    let now = after(&format!("a: 1\r\nDate: {}\r\n", str_date(NOW - 9)), &[("a", "2")]);
    assert_eq!(now, format!("a: 2\r\nDate: {DATE}\r\n"));
}

#[test]
fn a_304_about_something_else_changes_only_the_date() {
    let stored = "ETag: \"x\"\r\na: 1\r\n";
    let now = after(stored, &[("ETag", "\"y\""), ("a", "2"), ("Date", DATE)]);
    assert_eq!(now, format!("{stored}Date: {DATE}\r\n"));
}

#[test]
fn fields_that_a_304_keeps_to_itself_are_stored_no_longer() {
    let mut out = Vec::new();
    let new = fields(&[("Set-Cookie", "new"), ("Date", DATE)]);
    freshened(&mut out, &object("Set-Cookie: old\r\na: 1\r\n"), &new, NOW, |name| {
        name.eq_ignore_ascii_case(b"set-cookie")
    });
    assert_eq!(out, format!("a: 1\r\nDate: {DATE}\r\n").into_bytes());
}

#[test]
fn a_304_confirms_what_has_its_validators() {
    let confirmed = |stored: &str, new: &[(&str, &str)]| confirms(&object(stored), &fields(new), NOW);
    let strong = "ETag: \"x\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:00 GMT\r\n";
    let rfc850 = ("Last-Modified", "Sunday, 06-Nov-94 08:49:00 GMT");
    let other = ("Last-Modified", DATE);
    assert!(confirmed(strong, &[("ETag", "\"x\"")]));
    assert!(confirmed(strong, &[("ETag", "\"x\""), other]), "the stronger one decides");
    assert!(confirmed(strong, &[("ETag", "W/\"x\"")]));
    assert!(confirmed(strong, &[rfc850]));
    assert!(confirmed(strong, &[]), "it was asked about this one");
    assert!(confirmed("", &[]));
    assert!(!confirmed(strong, &[("ETag", "\"y\"")]));
    assert!(!confirmed(strong, &[("ETag", "\"y\""), rfc850]));
    assert!(!confirmed(strong, &[("ETag", "W/\"y\"")]));
    assert!(!confirmed(strong, &[other]));
    assert!(!confirmed("ETag: W/\"x\"\r\n", &[("ETag", "\"x\"")]), "a strong one needs a strong one");
    assert!(confirmed("ETag: W/\"x\"\r\n", &[("ETag", "W/\"x\"")]));
    assert!(!confirmed("a: b\r\n", &[("ETag", "\"x\"")]));
    assert!(!confirmed("a: b\r\n", &[other]));
    assert!(confirmed("Last-Modified: odd\r\n", &[("Last-Modified", "odd")]));
}

#[test]
fn an_answer_to_head_updates_what_it_agrees_with() {
    let stored = object(&format!("ETag: \"x\"\r\nLast-Modified: {DATE}\r\n"));
    let says = |status, of: &[(&str, &str)]| head_agrees(&stored, &answer(status, of), Some(5), NOW);
    assert_eq!(says(200, &[]), HeadSays::Update);
    assert_eq!(
        says(200, &[("ETag", "\"x\""), ("Last-Modified", DATE), ("Content-Length", "5")]),
        HeadSays::Update
    );
    assert_eq!(says(200, &[("ETag", "\"y\"")]), HeadSays::Invalidate);
    assert_eq!(says(200, &[("ETag", "\"x\""), ("Last-Modified", &str_date(NOW + 1))]), HeadSays::Invalidate);
    assert_eq!(says(200, &[("Content-Length", "6")]), HeadSays::Invalidate);
    for status in [204, 206, 304, 404, 410, 500] {
        assert_eq!(says(status, &[("ETag", "\"y\"")]), HeadSays::Nothing, "{status}");
    }
    let unknown = head_agrees(&stored, &answer(200, &[("Content-Length", "6")]), None, NOW);
    assert_eq!(unknown, HeadSays::Update);
}

fn wrong_after(method: &str, status: u16, of: &[(&str, &str)]) -> Vec<String> {
    let head = request(&format!("{method} /b/c?q"), &[("Host", "A")]);
    let found = invalidated(&head, &answer(status, of), "http", &CacheKey::default());
    found.into_iter().map(|url| String::from_utf8(url).unwrap()).collect()
}

#[test]
fn unsafe_methods_that_succeed_make_their_target_wrong() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        for status in [200, 201, 204, 299, 303, 399] {
            assert_eq!(wrong_after(method, status, &[]), ["http://a/b/c?q"], "{method} {status}");
        }
        for status in [400, 404, 500, 599] {
            assert_eq!(wrong_after(method, status, &[("Location", "/x")]), [""; 0], "{method} {status}");
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(wrong_after(method, 200, &[("Location", "/x")]), [""; 0], "{method}");
    }
}

#[test]
fn and_the_places_they_name_of_the_same_origin() {
    let of = [("Location", "/x"), ("Content-Location", "y?z")];
    assert_eq!(wrong_after("POST", 201, &of), ["http://a/b/c?q", "http://a/x", "http://a/b/y?z"]);
    let of = [("Location", "http://A:80/x"), ("Content-Location", "http://b/y")];
    assert_eq!(wrong_after("POST", 201, &of), ["http://a/b/c?q", "http://a/x"]);
    let of = [("Location", "https://a/x"), ("Content-Location", "c?q")];
    assert_eq!(wrong_after("POST", 201, &of), ["http://a/b/c?q"]);
}

#[test]
fn they_are_named_as_the_routes_key_names_them() {
    let rules = CacheKey { query: QueryKey::None, ..CacheKey::default() };
    let head = request("POST /b?q", &[("Host", "a")]);
    let found = invalidated(&head, &answer(200, &[("Location", "/x?y")]), "http", &rules);
    assert_eq!(found[..], [b"http://a/b".to_vec(), b"http://a/x".to_vec()]);
}

#[test]
fn tags_of_both_fields_are_one_set() {
    let of = [
        ("Surrogate-Key", "two  one\ttwo"),
        ("Cache-Tag", "three,, four five ,one"),
        ("surrogate-key", "Two"),
    ];
    assert_eq!(tags::of(&fields(&of)).unwrap(), b"Two\nfour five\none\nthree\ntwo\n");
    assert_eq!(tags::of(&fields(&[("Surrogate-Key", " "), ("Cache-Tag", ",")])).unwrap(), b"");
    assert_eq!(tags::of(&fields(&[])).unwrap(), b"");
}

#[test]
fn an_answer_with_more_tags_than_are_kept_is_refused_not_cut() {
    let tags = |count: usize| (0..count).map(|i| format!("t{i}")).collect::<Vec<_>>().join(" ");
    assert_eq!(tags::of(&fields(&[("Surrogate-Key", &tags(MOST_TAGS + 1))])), Err(TooManyTags));
    assert!(tags::of(&fields(&[("Surrogate-Key", &tags(MOST_TAGS))])).is_ok());
    let repeated = "t0 ".repeat(MOST_TAGS + 1);
    assert_eq!(tags::of(&fields(&[("Surrogate-Key", &repeated)])).unwrap(), b"t0\n");
    assert!(tags::of(&fields(&[("Cache-Tag", &"x".repeat(LONGEST_TAG))])).is_ok());
    assert_eq!(tags::of(&fields(&[("Cache-Tag", &"x".repeat(LONGEST_TAG + 1))])), Err(TooManyTags));
}

proptest! {
    #[test]
    fn an_update_keeps_each_line_or_replaces_its_name(
        stored in prop::collection::vec(("[a-d]", "[x-z]{0,2}"), 0..8),
        new in prop::collection::vec(("[a-d]", "[x-z]{0,2}"), 0..8),
    ) {
        let lines: String = stored.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let of: Vec<(&str, &str)> = new.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let kept = stored.iter().filter(|(name, _)| new.iter().all(|(other, _)| other != name));
        let expected: String = kept.chain(&new).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        prop_assert_eq!(after(&lines, &of), format!("{expected}Date: {DATE}\r\n"));
    }
}
