//! Mistakes: text that TOML itself refuses, and how lines are shown.

use insta::assert_snapshot;

use super::{REST, said};

#[test]
fn an_empty_file() {
    let text = r#""#;
    assert_snapshot!(said(text), @r#"
    nearside.toml: error: there is no `[[listen]]`
    help: write at least one, for example:
          [[listen]]
          address = "0.0.0.0:8080"

    nearside.toml: error: there is no `[[route]]`
    help: write at least one, for example:
          [[route]]
          path = "/*"
          service = "shop"
    "#);
}

#[test]
fn a_string_without_quotes() {
    let text = r#"[node]
region = eu
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: string values must be quoted, expected literal string
      |
    2 | region = eu
      |          ^^
    "#);
}

#[test]
fn a_key_twice() {
    let text = r#"[node]
region = "eu"
region = "us"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:1: error: duplicate key
      |
    3 | region = "us"
      | ^^^^^^
    "#);
}

#[test]
fn a_string_without_end() {
    let text = r#"[node]
name = "eu-1
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:13: error: invalid basic string, expected `"`
      |
    2 | name = "eu-1
      |             ^
    "#);
}

#[test]
fn a_token_is_not_shown() {
    let text = r#"[admin]
listen = "0.0.0.0:9900"
token = "hunter2 hunter2" x
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:27: error: unexpected key or value, expected newline, `#`
      |
    3 | token = "***************" x
      |                           ^
    "#);
}

#[test]
fn a_secret_is_not_shown_beside_another_mistake() {
    let text = r#"admin = { token = "hunter2", listn = "127.0.0.1:9900" }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:1:30: error: `listn` is not a key that is known here
      |
    1 | admin = { token = "*******", listn = "127.0.0.1:9900" }
      |                              ^^^^^
    help: did you mean `listen`?
    "#);
}

#[test]
fn one_bracket_instead_of_two() {
    let text = r#"[listen]
address = "0.0.0.0:80"

[[route]]
respond = {}
"#;
    assert_snapshot!(said(text), @r#"
    nearside.toml:1:1: error: `[listen]` must be a list of tables
      |
    1 | [listen]
      | ^^^^^^^^
    help: write `[[listen]]` with two brackets
    "#);
}

#[test]
fn a_very_long_line() {
    let text = r#"[node]
region = "EUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEU" # xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: `EUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEU…` is not a name
      |
    2 | region = "EUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEUEU" # xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    help: names are of a-z, 0-9, `-` and `_`, begin with a letter or a digit, and have at most 63 characters
    "#);
}

#[test]
fn a_mistake_far_into_a_long_line() {
    let text = r#"limits = { headers = 128,                                                                                                                                                                                                                                                                                                             hedders = 5, body = "1MiB"                                                                                                                                                                                                        }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:1:327: error: `hedders` is not a key that is known here
      |
    1 | …                                                                                hedders = 5, body = "1MiB"                                                      …
      |                                                                                  ^^^^^^^
    help: did you mean `headers`?
    "#);
}

#[test]
fn control_characters_stay_out_of_the_terminal() {
    let text = r#"[node]
region = "e\u001bu"
# 	
"na\u0007me" = 1
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:10: error: `e\u{1b}u` is not a name
      |
    2 | region = "e\u001bu"
      |          ^^^^^^^^^^
    help: names are of a-z, 0-9, `-` and `_`, begin with a letter or a digit, and have at most 63 characters

    nearside.toml:4:1: error: `na\u{7}me` is not a key that is known here
      |
    4 | "na\u0007me" = 1
      | ^^^^^^^^^^^^
    help: did you mean `name`?
    "#);
}
