//! Mistakes: keys and values.

use insta::assert_snapshot;

use super::{REST, said};

#[test]
fn an_unknown_key() {
    let text = r#"[limits]
header_byts = "32KiB"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:1: error: `header_byts` is not a key that is known here
      |
    2 | header_byts = "32KiB"
      | ^^^^^^^^^^^
    help: did you mean `header_bytes`?
    "#);
}

#[test]
fn an_unknown_key_far_from_all() {
    let text = r#"[telemetry]
verbose = true
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:1: error: `verbose` is not a key that is known here
      |
    2 | verbose = true
      | ^^^^^^^
    help: known here: access_log, server_timing
    "#);
}

#[test]
fn an_unknown_table() {
    let text = r#"[services.shop]
endpoints = []
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:1:2: error: `services` is not a key that is known here
      |
    1 | [services.shop]
      |  ^^^^^^^^
    help: did you mean `service`?
    "#);
}

#[test]
fn a_table_of_a_later_version() {
    let text = r#"[bucket.docs]
ack = "region"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:1:2: error: `bucket` is not in this build
      |
    1 | [bucket.docs]
      |  ^^^^^^
    help: remove it, or use a later version of nearside
    "#);
}

#[test]
fn keys_of_a_later_version() {
    let text = r#"[[route]]
path = "/static/*"
service = "shop"
bucket = "docs"
rate = { limit = "100/s" }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:4:1: error: `bucket` is not in this build
      |
    4 | bucket = "docs"
      | ^^^^^^
    help: remove it, or use a later version of nearside

    nearside.toml:5:1: error: `rate` is not in this build
      |
    5 | rate = { limit = "100/s" }
      | ^^^^
    help: remove it, or use a later version of nearside
    "#);
}

#[test]
fn a_listener_of_a_later_version() {
    let text = r#"[[listen]]
address = "0.0.0.0:443"
protocols = ["http/1.1", "h2", "spdy"]
to_https = true
tls = {}
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:26: error: `h2` is not in this build
      |
    3 | protocols = ["http/1.1", "h2", "spdy"]
      |                          ^^^^
    help: write "http/1.1", or use a later version of nearside

    nearside.toml:3:32: error: `spdy` is not known here
      |
    3 | protocols = ["http/1.1", "h2", "spdy"]
      |                                ^^^^^^
    help: known here: http/1.1, h2, h3

    nearside.toml:4:12: error: `to_https = true` is not in this build
      |
    4 | to_https = true
      |            ^^^^
    help: remove it, or use a later version of nearside

    nearside.toml:5:1: error: `tls` is not in this build
      |
    5 | tls = {}
      | ^^^
    help: remove it, or use a later version of nearside
    "#);
}

#[test]
fn the_wrong_type() {
    let text = r#"[limits]
connections = "many"
header_timeout = 10
body = true
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:15: error: `connections` must be a whole number from 1 to 10000000, not a string
      |
    2 | connections = "many"
      |               ^^^^^^
    help: for example: connections = 20000

    nearside.toml:3:18: error: `header_timeout` must be a duration in quotes, not a number
      |
    3 | header_timeout = 10
      |                  ^^
    help: for example: header_timeout = "10s"

    nearside.toml:4:8: error: `body` must be a size, not true
      |
    4 | body = true
      |        ^^^^
    help: for example: body = "64MiB"
    "#);
}

#[test]
fn a_table_where_a_value_belongs() {
    let text = r#"[node]
region = { name = "eu" }
[limits]
headers = []
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: `region` must be a name, not a table
      |
    2 | region = { name = "eu" }
      |          ^^^^^^^^^^^^^^^
    help: for example: region = "local"

    nearside.toml:4:11: error: `headers` must be a whole number from 1 to 10000, not a list
      |
    4 | headers = []
      |           ^^
    help: for example: headers = 128
    "#);
}

#[test]
fn numbers_out_of_bounds() {
    let text = r#"[limits]
connections = 0
headers = 99999999999999999999999999999999999999999999
header_bytes = "1GiB"
requests_per_connection = -1
[node]
threads = 1.5
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:15: error: `connections` must be a whole number from 1 to 10000000
      |
    2 | connections = 0
      |               ^

    nearside.toml:3:11: error: `headers` must be a whole number from 1 to 10000
      |
    3 | headers = 99999999999999999999999999999999999999999999
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    nearside.toml:4:16: error: `header_bytes` must be from 1KiB to 128KiB
      |
    4 | header_bytes = "1GiB"
      |                ^^^^^^

    nearside.toml:5:27: error: `requests_per_connection` must be a whole number from 0 to 4294967295
      |
    5 | requests_per_connection = -1
      |                           ^^

    nearside.toml:7:11: error: `threads` must be a whole number from 0 to 1024, not a number with a fraction
      |
    7 | threads = 1.5
      |           ^^^
    help: for example: threads = 1
    "#);
}

#[test]
fn durations() {
    let text = r#"[limits]
header_timeout = "10"
idle_timeout = "1.5s"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:18: error: `10` is not a duration: it has no unit
      |
    2 | header_timeout = "10"
      |                  ^^^^
    help: add ms, s, m, h or d, such as "10s"

    nearside.toml:3:16: error: `1.5s` is not a duration: it is not a whole number with a unit
      |
    3 | idle_timeout = "1.5s"
      |                ^^^^^^
    help: write a whole number and ms, s, m, h or d, such as "250ms" or "10s"
    "#);
}

#[test]
fn durations_out_of_bounds() {
    let text = r#"[limits]
header_timeout = "2h"
idle_timeout = "99999999999999999d"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:18: error: `2h` must be from 1ms to 1h
      |
    2 | header_timeout = "2h"
      |                  ^^^^

    nearside.toml:3:16: error: `99999999999999999d` is not a duration: it is too large
      |
    3 | idle_timeout = "99999999999999999d"
      |                ^^^^^^^^^^^^^^^^^^^^
    help: write a whole number and ms, s, m, h or d, such as "250ms" or "10s"
    "#);
}

#[test]
fn sizes() {
    let text = r#"[limits]
header_bytes = "32KB"
body = "64"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:16: error: `32KB` is not a size: its unit may mean powers of 1000 or of 1024
      |
    2 | header_bytes = "32KB"
      |                ^^^^^^
    help: write "32KiB": 1 KiB is 1024 bytes

    nearside.toml:3:8: error: `64` is not a size: it has no unit
      |
    3 | body = "64"
      |        ^^^^
    help: write "64KiB", or 64 without quotes for bytes
    "#);
}

#[test]
fn a_variable_that_is_not_set() {
    let text = r#"[node]
region = "${REGION}"
name = "${1}"
data = "${DATA"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: the environment variable `REGION` is not set
      |
    2 | region = "${REGION}"
      |          ^^^^^^^^^^^
    help: set it, or write ${REGION:-default}

    nearside.toml:3:8: error: `1` is not the name of an environment variable
      |
    3 | name = "${1}"
      |        ^^^^^^
    help: names are of letters, digits and `_`; for a plain `$` write `$$`

    nearside.toml:4:8: error: `${` has no `}`
      |
    4 | data = "${DATA"
      |        ^^^^^^^^
    help: write ${NAME} or ${NAME:-default}; for a plain `$` write `$$`
    "#);
}

#[test]
fn a_share_as_percent() {
    let text = r#"[service.shop]
endpoints = ["http://10.0.0.1:3000"]
retry = { budget = 20 }

[[listen]]
address = "127.0.0.1:8080"

[[route]]
service = "shop"
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:3:20: error: `budget` must be a number from 0 to 1
      |
    3 | retry = { budget = 20 }
      |                    ^^
    help: for 20 % write 0.2
    "#);
}
