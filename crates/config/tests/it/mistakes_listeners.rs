//! Mistakes: listeners, admin and telemetry.

use insta::assert_snapshot;

use super::{REST, said};

#[test]
fn an_address_without_a_port() {
    let text = r#"[[listen]]
address = "0.0.0.0"

[[listen]]
address = ":80"

[[listen]]
address = "localhost:80"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:11: error: `0.0.0.0` is not an address with a port
      |
    2 | address = "0.0.0.0"
      |           ^^^^^^^^^
    help: write an IP address and a port, such as "0.0.0.0:8080" or "[::1]:8080"

    nearside.toml:5:11: error: `:80` is not an address with a port
      |
    5 | address = ":80"
      |           ^^^^^
    help: write "0.0.0.0:80" for IPv4, or "[::]:80"

    nearside.toml:8:11: error: `localhost:80` is not an address with a port
      |
    8 | address = "localhost:80"
      |           ^^^^^^^^^^^^^^
    help: write "127.0.0.1:80"
    "#);
}

#[test]
fn two_at_one_address() {
    let text = r#"[[listen]]
address = "127.0.0.1:8080"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:5:11: error: there are two listeners at 127.0.0.1:8080
      |
    5 | address = "127.0.0.1:8080"
      |           ^^^^^^^^^^^^^^^^
    nearside.toml:2:11: the first one is here
      |
    2 | address = "127.0.0.1:8080"
      |           ^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn the_address_of_admin() {
    let text = r#"[[listen]]
address = "127.0.0.1:9900"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:11: error: 127.0.0.1:9900 is where `admin` listens
      |
    2 | address = "127.0.0.1:9900"
      |           ^^^^^^^^^^^^^^^^
    help: give one of them another port; [admin] has 127.0.0.1:9900 by default
    "#);
}

#[test]
fn admin_for_all_without_a_token() {
    let text = r#"[admin]
listen = "0.0.0.0:9900"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: `admin` listens at 0.0.0.0:9900, which others can reach, and has no token
      |
    2 | listen = "0.0.0.0:9900"
      |          ^^^^^^^^^^^^^^
    help: write token = "${NEARSIDE_ADMIN_TOKEN}" in [admin], or listen at 127.0.0.1
    "#);
}

#[test]
fn a_token_that_cannot_be_sent() {
    let text = r#"[admin]
token = "not a token"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:9: error: the token can't be sent in a header field
      |
    2 | token = "***********"
      |         ^^^^^^^^^^^^^
    help: use at most 1024 ASCII characters and no spaces, such as `openssl rand -hex 32` gives
    "#);
}

#[test]
fn ranges_that_are_trusted() {
    let text = r#"[[listen]]
address = "127.0.0.1:81"
trust = ["10.1.0.0/8", "10.0.0.0/40", "proxy"]
protocols = []
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:10: error: `10.1.0.0/8` is not a range of addresses: the range that holds it is 10.0.0.0/8
      |
    3 | trust = ["10.1.0.0/8", "10.0.0.0/40", "proxy"]
      |          ^^^^^^^^^^^^
    help: write for example "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"

    nearside.toml:3:24: error: `10.0.0.0/40` is not a range of addresses: its prefix is not a number of bits from 0 to 32
      |
    3 | trust = ["10.1.0.0/8", "10.0.0.0/40", "proxy"]
      |                        ^^^^^^^^^^^^^
    help: write for example "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"

    nearside.toml:3:39: error: `proxy` is not a range of addresses: it doesn't begin with an IP address
      |
    3 | trust = ["10.1.0.0/8", "10.0.0.0/40", "proxy"]
      |                                       ^^^^^^^
    help: write for example "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"
    "#);
}

#[test]
fn a_log() {
    let text = r#"[telemetry]
access_log = { format = "comon" }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:25: error: `comon` is not known here
      |
    2 | access_log = { format = "comon" }
      |                         ^^^^^^^
    help: did you mean `common`?
    "#);
}
