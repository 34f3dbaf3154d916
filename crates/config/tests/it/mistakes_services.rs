//! Mistakes: services.

use insta::assert_snapshot;

use super::{REST, said};

#[test]
fn a_name_with_capitals() {
    let text = r#"[service.Shop]
endpoints = ["http://10.0.0.1:3000"]
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:1:10: error: `Shop` is not a name
      |
    1 | [service.Shop]
      |          ^^^^
    help: names are of a-z, 0-9, `-` and `_`, begin with a letter or a digit, and have at most 63 characters
    "#);
}

#[test]
fn no_endpoints() {
    let text = r#"[service.shop]

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:1:10: error: the service `shop` has no endpoints
      |
    1 | [service.shop]
      |          ^^^^
    help: for example: endpoints = ["http://10.0.0.1:3000"]
    "#);
}

#[test]
fn an_endpoint_twice() {
    let text = r#"[service.shop]
endpoints = ["http://a:80", "http://b", "http://A/"]

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:2:41: error: the endpoint `http://A` is here twice
      |
    2 | endpoints = ["http://a:80", "http://b", "http://A/"]
      |                                         ^^^^^^^^^^^
    nearside.toml:2:14: the first one is here
      |
    2 | endpoints = ["http://a:80", "http://b", "http://A/"]
      |              ^^^^^^^^^^^^^
    help: remove one of them; to give it more requests, write a `weight`
    "#);
}

#[test]
fn urls_of_endpoints() {
    let text = r#"[service.shop]
endpoints = [
  "10.0.0.1:3000",
  "http://a:70000",
  "http://b/api",
  7,
]

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:3: error: `10.0.0.1:3000` is not the URL of an endpoint
      |
    3 |   "10.0.0.1:3000",
      |   ^^^^^^^^^^^^^^^
    help: write "http://10.0.0.1:3000"

    nearside.toml:4:3: error: `http://a:70000` is not the URL of an endpoint
      |
    4 |   "http://a:70000",
      |   ^^^^^^^^^^^^^^^^
    help: the port is from 1 to 65535

    nearside.toml:5:3: error: `http://b/api` is not the URL of an endpoint
      |
    5 |   "http://b/api",
      |   ^^^^^^^^^^^^^^
    help: requests keep their own path: write "http://b"

    nearside.toml:6:3: error: each of `endpoints` must be a URL or a table with `url`, not a number
      |
    6 |   7,
      |   ^
    help: for example: endpoints = ["http://10.0.0.1:3000"]
    "#);
}

#[test]
fn more_urls_of_endpoints() {
    let text = r#"[service.shop]
endpoints = [
  "https://c",
  "ftp://d",
  "http://me:secret@e",
  "http://f_:",
  "http://[::1",
]

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:3: error: `https://c` needs TLS, which is not in this build
      |
    3 |   "https://c",
      |   ^^^^^^^^^^^
    help: use "http://c", or a later version of nearside

    nearside.toml:4:3: error: `ftp://d` is not the URL of an endpoint
      |
    4 |   "ftp://d",
      |   ^^^^^^^^^
    help: it begins with "http://"

    nearside.toml:5:3: error: the URL of an endpoint has no user name or password
      |
    5 |   "http://*********@e",
      |   ^^^^^^^^^^^^^^^^^^^^
    help: give credentials by `headers` of the route

    nearside.toml:6:3: error: `http://f_:` is not the URL of an endpoint
      |
    6 |   "http://f_:",
      |   ^^^^^^^^^^^^
    help: the port is from 1 to 65535

    nearside.toml:7:3: error: `[::1` is not the name of a host
      |
    7 |   "http://[::1",
      |   ^^^^^^^^^^^^^
    help: write an IPv6 address as "[2001:db8::1]"
    "#);
}

#[test]
fn a_weighted_endpoint() {
    let text = r#"[service.shop]
endpoints = [{ url = "http://a", wieght = 3 }, { weight = 0 }]

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:2:34: error: `wieght` is not a key that is known here
      |
    2 | endpoints = [{ url = "http://a", wieght = 3 }, { weight = 0 }]
      |                                  ^^^^^^
    help: did you mean `weight`?

    nearside.toml:2:48: error: `url` is missing
      |
    2 | endpoints = [{ url = "http://a", wieght = 3 }, { weight = 0 }]
      |                                                ^^^^^^^^^^^^^^
    help: for example: url = "http://10.0.0.1:3000"

    nearside.toml:2:59: error: `weight` must be a whole number from 1 to 1000
      |
    2 | endpoints = [{ url = "http://a", wieght = 3 }, { weight = 0 }]
      |                                                           ^
    "#);
}

#[test]
fn a_way_to_balance() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
balance = "least_conns"

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:11: error: `least_conns` is not known here
      |
    3 | balance = "least_conns"
      |           ^^^^^^^^^^^^^
    help: known here: round_robin, random, least_connections, two_choices, latency, ip_hash, maglev
    "#);
}

#[test]
fn a_hash_without_its_object() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
balance = "hash"

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:11: error: `hash` needs to know what the hash is taken of
      |
    3 | balance = "hash"
      |           ^^^^^^
    help: for example: balance = { hash = "header:X-User" }
    "#);
}

#[test]
fn a_hash_of_something_else() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
balance = { hash = "body" }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:20: error: `body` is nothing to take a hash of
      |
    3 | balance = { hash = "body" }
      |                    ^^^^^^
    help: write "header:NAME", "cookie:NAME", "query:NAME", "path" or "client"
    "#);
}

#[test]
fn discovery() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
discover = { every = "5s" }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:12: error: `discover` must have either `dns` or `file`
      |
    3 | discover = { every = "5s" }
      |            ^^^^^^^^^^^^^^^^
    help: for example: discover = { dns = "shop.internal:3000" }
    "#);
}

#[test]
fn discovery_by_a_name_without_a_port() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
discover = { dns = "shop.internal" }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:20: error: `shop.internal` has no port
      |
    3 | discover = { dns = "shop.internal" }
      |                    ^^^^^^^^^^^^^^^
    help: write "name:port" for A and AAAA records, or "srv+_http._tcp.name" for SRV records
    "#);
}

#[test]
fn checks() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
health = { path = "healthz", every = "1ms", rise = 0, status = "2xx" }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:19: error: `healthz` is not a path
      |
    3 | health = { path = "healthz", every = "1ms", rise = 0, status = "2xx" }
      |                   ^^^^^^^^^
    help: a path begins with "/": write "/healthz"

    nearside.toml:3:38: error: `1ms` must be from 10ms to 1h
      |
    3 | health = { path = "healthz", every = "1ms", rise = 0, status = "2xx" }
      |                                      ^^^^^

    nearside.toml:3:52: error: `rise` must be a whole number from 1 to 100
      |
    3 | health = { path = "healthz", every = "1ms", rise = 0, status = "2xx" }
      |                                                    ^

    nearside.toml:3:64: error: `2xx` is not a range of statuses
      |
    3 | health = { path = "healthz", every = "1ms", rise = 0, status = "2xx" }
      |                                                                ^^^^^
    help: write the lowest and the highest, from 100 to 599, such as "200-399"
    "#);
}

#[test]
fn reasons_to_try_again() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
retry = { attempts = 99, on = ["conect", "302"] }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:22: error: `attempts` must be a whole number from 0 to 10
      |
    3 | retry = { attempts = 99, on = ["conect", "302"] }
      |                      ^^

    nearside.toml:3:32: error: `conect` is not a reason to try again
      |
    3 | retry = { attempts = 99, on = ["conect", "302"] }
      |                                ^^^^^^^^
    help: did you mean `connect`?

    nearside.toml:3:42: error: `302` is not a reason to try again
      |
    3 | retry = { attempts = 99, on = ["conect", "302"] }
      |                                          ^^^^^
    help: write "connect" or a status from "400" to "599"
    "#);
}

#[test]
fn a_hedge() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
hedge = { after = "p100" }
limit = { waiting = 5 }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:19: error: `p100` is not a percentile
      |
    3 | hedge = { after = "p100" }
      |                   ^^^^^^
    help: write for example "p95" or "p99.9"

    nearside.toml:4:9: error: `in_flight` is missing
      |
    4 | limit = { waiting = 5 }
      |         ^^^^^^^^^^^^^^^
    help: for example: in_flight = 1
    "#);
}

#[test]
fn a_cookie() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
sticky = { cookie = "a b" }
outliers = true

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:21: error: `a b` is not the name of a cookie
      |
    3 | sticky = { cookie = "a b" }
      |                     ^^^^^
    help: write letters, digits, `-` and `_` only

    nearside.toml:4:12: error: `outliers` must be a table or false, not true
      |
    4 | outliers = true
      |            ^^^^
    help: for example: outliers = { errors = 5 }
    "#);
}
