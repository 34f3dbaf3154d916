//! The cache: `[cache]`, and `cache` of routes.

use std::path::Path;
use std::time::Duration;

use config::plan::{Bypass, Cache, CacheDisk, CacheKey, CacheRules, QueryKey};
use insta::assert_snapshot;

use crate::{REST, parse, said};

/// A text with one route that has these keys.
fn route(keys: &str) -> String {
    format!("[[route]]\npath = \"/a\"\nservice = \"shop\"\n{keys}\n{REST}")
}

/// What a good route says of the cache.
fn rules(keys: &str) -> Option<CacheRules> {
    parse(&route(keys)).unwrap_or_else(|report| panic!("{report}")).plan.routes[0].cache.clone()
}

#[test]
fn tiers_mean_what_they_say() {
    let text = r#"[node]
data = "/var/lib/nearside"
[cache]
memory = "4MiB"
disk = { path = "kept", size = "64MiB" }
shared = "redis://user:p%40ss@[::1]:6380/3"
largest = "64MiB"
purge_from = ["10.0.0.0/8"]
"#;
    let text = format!("{text}{}cache = {{}}\n", REST.trim_end().to_owned() + "\n");
    let loaded = parse(&text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings, []);
    let Cache { memory, disk, shared, largest, purge_from } = loaded.plan.cache;
    assert_eq!((memory, largest), (4 << 20, 64 << 20));
    assert_eq!(disk, Some(CacheDisk { path: "/var/lib/nearside/kept".into(), size: 64 << 20 }));
    assert_eq!(shared.as_ref().map(|url| &*url.0), Some("redis://user:p%40ss@[::1]:6380/3"));
    assert!(!format!("{shared:?}").contains("ss@"));
    assert!(purge_from[0].contains("10.9.9.9".parse().unwrap()));
}

#[test]
fn tiers_that_are_left_out() {
    let cache = parse(REST).unwrap().plan.cache;
    let usual = Cache { memory: 256 << 20, disk: None, shared: None, largest: 1 << 30, purge_from: vec![] };
    assert_eq!(cache, usual);
    let text = format!("[cache]\ndisk = {{ size = \"1GiB\" }}\n{REST}");
    let path = parse(&text).unwrap().plan.cache.disk.unwrap().path;
    assert_eq!(path, Path::new("/etc/nearside/./nearside-data/cache"));
}

#[test]
fn a_route_is_cached_only_if_it_says_so() {
    assert_eq!(rules(""), None);
    assert_eq!(rules("cache = false"), None);
    assert_eq!(rules("cache = {}"), Some(CacheRules::default()));
}

#[test]
fn rules_mean_what_they_say() {
    let rules = rules(
        r#"[route.cache]
default_ttl = "10m"
stale_while_revalidate = "1m"
stale_if_error = "0s"
vary_query = ["v", "lang"]
key = { headers = ["X-Currency", "accept-language"], cookies = ["b", "A"] }
bypass = ["cookie:session", "header:X-Preview", "query:nocache"]
largest = "1MiB""#,
    );
    let names = |names: [&str; 2]| names.map(Into::into).to_vec();
    let expected = CacheRules {
        default_ttl: Some(Duration::from_secs(600)),
        stale_while_revalidate: Some(Duration::from_secs(60)),
        stale_if_error: Some(Duration::ZERO),
        key: CacheKey {
            query: QueryKey::Named(names(["lang", "v"])),
            headers: names(["accept-language", "x-currency"]),
            cookies: names(["A", "b"]),
        },
        bypass: vec![
            Bypass::Cookie("session".into()),
            Bypass::Header("x-preview".into()),
            Bypass::Query("nocache".into()),
        ],
        largest: Some(1 << 20),
    };
    assert_eq!(rules, Some(expected));
}

#[test]
fn parts_of_the_query() {
    for (word, part) in [("all", QueryKey::All), ("sorted", QueryKey::Sorted), ("none", QueryKey::None)] {
        let rules = rules(&format!("cache = {{ key = {{ query = \"{word}\" }} }}"));
        assert_eq!(rules.unwrap().key, CacheKey { query: part, ..CacheKey::default() });
    }
}

#[test]
fn cache_is_a_table() {
    assert_snapshot!(said(&route("cache = true")), @r#"
    nearside.toml:4:9: error: `cache` must be a table or false, not true
      |
    4 | cache = true
      |         ^^^^
    help: for example: cache = {}
    "#);
}

#[test]
fn a_cache_where_no_service_answers() {
    let text = "[[route]]\npath = \"/a\"\ncache = {}\nrespond = {}\n[[route]]\npath = \"/b\"\ncache = false\nredirect = { to = \"/\" }\n";
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:9: error: `cache` has no effect: this route sends nothing to a service
      |
    3 | cache = {}
      |         ^^
    help: remove it, or give the route a `service`
    "#);
}

#[test]
fn mistakes_in_rules() {
    let rules = r#"[route.cache]
default_ttl = "500ms"
stale_if_error = 60
ttl = "1m"
bypass = ["session", "cookie:a b", "query:"]
largest = "1GB""#;
    assert_snapshot!(said(&route(rules)), @r#"
    nearside.toml:5:15: error: `500ms` must be from 1s to 365d
      |
    5 | default_ttl = "500ms"
      |               ^^^^^^^

    nearside.toml:6:18: error: `stale_if_error` must be a duration in quotes, not a number
      |
    6 | stale_if_error = 60
      |                  ^^
    help: for example: stale_if_error = "10s"

    nearside.toml:7:1: error: `ttl` is not a key that is known here
      |
    7 | ttl = "1m"
      | ^^^
    help: known here: default_ttl, stale_while_revalidate, stale_if_error, vary_query, key, bypass, largest

    nearside.toml:8:11: error: `session` is not a header field, a cookie or a parameter
      |
    8 | bypass = ["session", "cookie:a b", "query:"]
      |           ^^^^^^^^^
    help: write "header:NAME", "cookie:NAME" or "query:NAME"

    nearside.toml:8:22: error: `a b` is not the name of a cookie
      |
    8 | bypass = ["session", "cookie:a b", "query:"]
      |                      ^^^^^^^^^^^^
    help: write letters, digits, `-` and `_` only

    nearside.toml:8:36: error: `` is not the name of a query's parameter
      |
    8 | bypass = ["session", "cookie:a b", "query:"]
      |                                    ^^^^^^^^
    help: write what is before the `=`, as it is sent: what is not ASCII, and any of &=#, as %XX

    nearside.toml:9:11: error: `1GB` is not a size: its unit may mean powers of 1000 or of 1024
      |
    9 | largest = "1GB"
      |           ^^^^^
    help: write "1GiB": 1 KiB is 1024 bytes
    "#);
}

#[test]
fn what_a_route_wants_of_fields_is_part_of_its_key() {
    let keys = |wanted: &str| {
        let text =
            format!("match = {{ headers = {{ {wanted} }} }}\ncache = {{ key = {{ headers = [\"X-A\"] }} }}");
        rules(&text).unwrap().key.headers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(keys("\"X-Beta\" = \"1\""), ["x-a", "x-beta"]);
    assert_eq!(keys("\"X-A\" = \"*\""), ["x-a"]);
}

#[test]
fn mistakes_in_keys() {
    assert_snapshot!(said(&route("cache = { vary_query = [\"v\"], key = { query = \"sorted\" } }")), @r#"
    nearside.toml:4:47: error: `query` and `vary_query` both say what of the query counts
      |
    4 | cache = { vary_query = ["v"], key = { query = "sorted" } }
      |                                               ^^^^^^^^
    nearside.toml:4:24: `vary_query` is here
      |
    4 | cache = { vary_query = ["v"], key = { query = "sorted" } }
      |                        ^^^^^
    help: keep one of them
    "#);
    assert_snapshot!(said(&route("cache = { vary_query = [] }")), @r#"
    nearside.toml:4:24: error: `vary_query` names no parameter
      |
    4 | cache = { vary_query = [] }
      |                        ^^
    help: leave it out for the whole query; for none of it write key = { query = "none" }
    "#);
    assert_snapshot!(said(&route("cache = { vary_query = [\"a=b\", \"v\", \"v\"] }")), @r#"
    nearside.toml:4:25: error: `a=b` is not the name of a query's parameter
      |
    4 | cache = { vary_query = ["a=b", "v", "v"] }
      |                         ^^^^^
    help: write what is before the `=`, as it is sent: what is not ASCII, and any of &=#, as %XX

    nearside.toml:4:37: error: the parameter `v` is here twice
      |
    4 | cache = { vary_query = ["a=b", "v", "v"] }
      |                                     ^^^
    help: remove one of them
    "#);
    let key = r#"cache = { key = { query = "sort", headers = ["Accept", "accept"], cookies = ["a", "a"] } }"#;
    assert_snapshot!(said(&route(key)), @r#"
    nearside.toml:4:27: error: `sort` is not known here
      |
    4 | cache = { key = { query = "sort", headers = ["Accept", "accept"], cookies = ["a", "a"] } }
      |                           ^^^^^^
    help: known here: all, sorted, none

    nearside.toml:4:56: error: the field `accept` is here twice
      |
    4 | cache = { key = { query = "sort", headers = ["Accept", "accept"], cookies = ["a", "a"] } }
      |                                                        ^^^^^^^^
    help: remove one of them

    nearside.toml:4:83: error: the cookie `a` is here twice
      |
    4 | cache = { key = { query = "sort", headers = ["Accept", "accept"], cookies = ["a", "a"] } }
      |                                                                                   ^^^
    help: remove one of them
    "#);
}

#[test]
fn tiers_that_are_too_small_or_not_in_this_build() {
    let text = r#"[cache]
memory = "1MiB"
disk = { path = "cache", size = "1MiB" }
shield = "eu"
purge_from = ["all"]
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: `memory` must be from 4MiB to 1TiB
      |
    2 | memory = "1MiB"
      |          ^^^^^^

    nearside.toml:3:33: error: `size` must be from 64MiB to 1024TiB
      |
    3 | disk = { path = "cache", size = "1MiB" }
      |                                 ^^^^^^

    nearside.toml:4:1: error: `shield` is not in this build
      |
    4 | shield = "eu"
      | ^^^^^^
    help: remove it, or use a later version of nearside

    nearside.toml:5:15: error: `all` is not a range of addresses: it doesn't begin with an IP address
      |
    5 | purge_from = ["all"]
      |               ^^^^^
    help: write for example "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"
    "#);
    assert_snapshot!(said(&["[cache]\ndisk = \"cache\"\n", REST].concat()), @r#"
    nearside.toml:2:8: error: `disk` must be a table, not a string
      |
    2 | disk = "cache"
      |        ^^^^^^^
    help: for example: disk = { path = "cache", size = "50GiB" }
    "#);
    assert_snapshot!(said(&["[cache]\ndisk = { path = \"cache\" }\n", REST].concat()), @r#"
    nearside.toml:2:8: error: `size` is missing
      |
    2 | disk = { path = "cache" }
      |        ^^^^^^^^^^^^^^^^^^
    help: for example: size = "64MiB"
    "#);
}

#[test]
fn objects_that_no_tier_can_hold() {
    let text = "[cache]\nmemory = \"64MiB\"\nlargest = \"65MiB\"\n";
    assert_snapshot!(said(&[text, &route("cache = { largest = \"2GiB\" }")].concat()), @r#"
    nearside.toml:3:11: warning: no tier can hold an object of 65MiB
      |
    3 | largest = "65MiB"
      |           ^^^^^^^
    help: the largest tier of [cache] has 64MiB: write no more than that

    nearside.toml:7:21: warning: no tier can hold an object of 2GiB
      |
    7 | cache = { largest = "2GiB" }
      |                     ^^^^^^
    help: the largest tier of [cache] has 64MiB: write no more than that
    "#);
    let held = "[cache]\nmemory = \"64MiB\"\nlargest = \"65MiB\"\ndisk = { size = \"65MiB\" }\n";
    assert_eq!(said(&[held, &route("cache = {}")].concat()), "");
}

#[test]
fn a_cache_that_no_route_uses() {
    assert_snapshot!(said(&["[cache]\nmemory = \"64MiB\"\n", REST].concat()), @r#"
    nearside.toml:1:1: warning: nothing is kept in the cache: no route has `cache`
      |
    1 | [cache]
      | ^^^^^^^
    help: write cache = {} in the routes whose answers may be used again
    "#);
}

#[test]
fn urls_of_shared_tiers() {
    let said_of = |url: &str| {
        let said = said(&format!("[cache]\nshared = \"{url}\"\n{}", route("cache = {}")));
        said.lines()
            .filter(|line| line.contains("error: ") || line.starts_with("help"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for good in ["redis://h", "redis://h:1/", "redis://:p@h:1", "redis://u:p@127.0.0.1/15"] {
        assert_eq!(said_of(good), "");
    }
    assert_snapshot!(said_of("rediss://h"), @r#"
    nearside.toml:2:10: error: `rediss://` needs TLS, which is not in this build
    help: use "redis://", or a later version of nearside
    "#);
    assert_snapshot!(said_of("127.0.0.1:6379"), @r#"
    nearside.toml:2:10: error: this is not the URL of a Valkey or Redis server
    help: it begins with "redis://", such as "redis://127.0.0.1:6379"
    "#);
    assert_snapshot!(said_of("redis://h:0"), @r#"
    nearside.toml:2:10: error: this is not the URL of a Valkey or Redis server
    help: after the password and its `@` come a host and a port, such as "redis://127.0.0.1:6379"
    "#);
    assert_snapshot!(said_of("redis://"), @r#"
    nearside.toml:2:10: error: this is not the URL of a Valkey or Redis server
    help: after the password and its `@` come a host and a port, such as "redis://127.0.0.1:6379"
    "#);
    assert_snapshot!(said_of("redis://h/cache"), @r#"
    nearside.toml:2:10: error: this is not the URL of a Valkey or Redis server
    help: after the host comes nothing, or the number of a database, such as "/0"
    "#);
    assert_snapshot!(said_of("redis://:a/b@h"), @r#"
    nearside.toml:2:10: error: this is not the URL of a Valkey or Redis server
    help: write what is not a letter or a digit in the name and the password as %XX
    "#);
}

#[test]
fn no_message_repeats_a_password() {
    let said = said(&["[cache]\nshared = \"redis://:hunter2@h/cache\" # mine\n", REST].concat());
    assert_snapshot!(said, @r#"
    nearside.toml:2:10: error: this is not the URL of a Valkey or Redis server
      |
    2 | shared = "redis://********@h/cache" # mine
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^
    help: after the host comes nothing, or the number of a database, such as "/0"
    "#);
    for line in
        ["shared = \"rediss://me:hun@ter2@h\"", "shared = 'redis://:hunter2@h", "shared = redis://hunter2@h"]
    {
        let said = crate::said(&format!("[cache]\n{line}\n{REST}"));
        assert!(said.contains("error") && said.contains("**@h") && !said.contains("ter2"), "{said}");
    }
    let variable = crate::said(&["[cache]\nshared = \"redis://:${PASSWORD}@h/0\"\n", REST].concat());
    assert!(variable.contains("redis://:${PASSWORD}@h/0"), "{variable}");
    let default = crate::said(&["[cache]\nshared = \"redis://:${P:-hunter2}@h/x\"\n", REST].concat());
    assert!(default.contains("***@h/x") && !default.contains("hunter2"), "{default}");
}
