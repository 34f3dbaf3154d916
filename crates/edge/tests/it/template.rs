//! Redirect targets: what is filled in, and what a client can't make of it.

use config::plan::PathMatch;
use edge::template::{Values, fill, rest};
use proptest::prelude::*;

fn filled(to: &str, path: &str, query: &str) -> Option<String> {
    let old = PathMatch::Prefix("/old/".into());
    let rest = rest(&old, path.as_bytes());
    let (host, path, query) = (b"shop.example.com".as_slice(), path.as_bytes(), query.as_bytes());
    fill(to, &Values { host, path, query, rest })
}

#[test]
fn placeholders_are_filled_in() {
    let cases = [
        ("https://new.example.com/new/{rest}", "/old/a/b", "", "https://new.example.com/new/a/b"),
        ("https://new.example.com/new/{rest}", "/old", "", "https://new.example.com/new/"),
        ("https://{host}{path}?{query}", "/old/a", "b=c", "https://shop.example.com/old/a?b=c"),
        ("https://{host}{path}?{query}", "/old/a", "", "https://shop.example.com/old/a"),
        ("https://{host}:8443/x", "/old/a", "", "https://shop.example.com:8443/x"),
        ("/{host}/{rest}/{rest}#top", "/old/a%20b", "", "/shop.example.com/a%20b/a%20b#top"),
        ("/new?from={path}&{query}", "/old/a", "b=c?d", "/new?from=/old/a&b=c?d"),
        ("/{other}/{", "/old/a", "", "/%7Bother%7D/%7B"),
        ("new", "/old/a", "", "/new"),
    ];
    for (to, path, query, expected) in cases {
        assert_eq!(filled(to, path, query).as_deref(), Some(expected), "{to} for {path}?{query}");
    }
}

#[test]
fn a_client_can_not_name_the_authority() {
    let cases = [
        ("/{rest}", "/old//evil.example", "/evil.example"),
        ("{path}", "//evil.example", "/evil.example"),
        ("{rest}", "/old/https://evil.example", "/https://evil.example"),
        ("/{rest}", "/old/\\evil.example", "/%5Cevil.example"),
        ("/\\{rest}", "/old/evil.example", "/%5Cevil.example"),
        ("/{rest}", "/old/\t/evil.example", "/%09/evil.example"),
        ("https://a.example{rest}", "/old/.evil.example", "https://a.example/.evil.example"),
        ("https://a.example{rest}", "/old/@evil.example", "https://a.example/@evil.example"),
        ("https://a.example{path}", "*", "https://a.example/*"),
        ("/{rest}", "/old/a\r\nSet-Cookie: b", "/a%0D%0ASet-Cookie:%20b"),
    ];
    for (to, path, expected) in cases {
        assert_eq!(filled(to, path, "").as_deref(), Some(expected), "{to} for {path}");
    }
    for to in ["https://{rest}", "//{path}", "https:///{rest}", "https://?{query}", "https://"] {
        assert_eq!(filled(to, "/old/evil.example", "evil.example"), None, "{to}");
    }
}

#[test]
fn only_a_plain_host_is_filled_in() {
    let to = |host: &str| {
        let values = Values { host: host.as_bytes(), path: b"/a", query: b"", rest: b"a" };
        fill("https://{host}/{rest}", &values)
    };
    assert_eq!(to("[2001:db8::1]").as_deref(), Some("https://[2001:db8::1]/a"));
    for host in ["", "a@b", "a/b", "a:80", "[::1", "[x]", "a b", "a\\b", "a?b", "a\r\nb", "ä", "[]"] {
        assert_eq!(to(host), None, "{host}");
    }
}

#[test]
fn the_rest_of_a_path() {
    let prefix = PathMatch::Prefix("/old/".into());
    assert_eq!(rest(&prefix, b"/old/a/b"), b"a/b");
    assert_eq!(rest(&prefix, b"/old"), b"");
    assert_eq!(rest(&PathMatch::Any, b"/a/b"), b"a/b");
    assert_eq!(rest(&PathMatch::Any, b"*"), b"*");
    assert_eq!(rest(&PathMatch::Exact("/a".into()), b"/a"), b"");
}

/// The host that a browser would go to from a page of `here`, read as forgivingly as browsers read.
fn browser_goes_to(location: &str) -> String {
    let text: String = location.chars().filter(|c| !"\t\r\n".contains(*c)).collect();
    let text = text.trim_matches(|c: char| c <= ' ').replace('\\', "/");
    let after = match text.split_once(':') {
        Some((scheme, after)) if scheme.eq_ignore_ascii_case("https") => after,
        Some((scheme, _)) if !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
            return format!("scheme {scheme}");
        }
        _ if text.starts_with("//") => text.as_str(),
        _ => return "here".to_owned(),
    };
    let authority = after.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "/",
            "//",
            "\\",
            "@",
            ":",
            "?",
            "#",
            ".",
            "..",
            "\r\n",
            "\t",
            " ",
            "%2f",
            "https:",
            "javascript:",
            "evil.example",
            "{host}",
            "{rest}",
            "*",
            "[",
            "]",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]
    #[test]
    fn whatever_is_sent_the_place_is_the_operators(
        (to, place) in prop::sample::select(vec![
            ("/{rest}", "here"),
            ("{rest}", "here"),
            ("{path}", "here"),
            ("{path}{rest}", "here"),
            ("{query}", "here"),
            ("//{rest}", "nowhere"),
            ("https://{rest}", "nowhere"),
            ("https://a.example{rest}", "a.example"),
            ("https://a.example{path}?{query}", "a.example"),
            ("https://a.example/{rest}?{query}#{path}", "a.example"),
            ("https://a.example:444{query}", "a.example:444"),
            ("https://{host}{rest}", "{host}"),
            ("//{host}/{rest}", "{host}"),
        ]),
        host in prop_oneof![3 => Just(b"shop.example".to_vec()), 1 => hostile()],
        path in hostile(),
        query in hostile(),
        rest in hostile(),
    ) {
        let filled = fill(to, &Values { host: &host, path: &path, query: &query, rest: &rest });
        let plain_host = host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b));
        if place == "{host}" {
            prop_assert_eq!(filled.is_some(), plain_host && !host.is_empty());
        } else {
            prop_assert_eq!(filled.is_some(), place != "nowhere");
        }
        if let Some(location) = filled {
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
            let place = place.replace("{host}", &String::from_utf8_lossy(&host));
            prop_assert_eq!(browser_goes_to(&location), place, "{}", location);
        }
    }
}
