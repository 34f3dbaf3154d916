//! Mistakes: routes.

use insta::assert_snapshot;

use super::{REST, said};

#[test]
fn a_service_that_does_not_exist() {
    let text = r#"[[route]]
path = "/a"
service = "shpo"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:11: error: there is no service `shpo`
      |
    3 | service = "shpo"
      |           ^^^^^^
    help: did you mean `shop`?
    "#);
}

#[test]
fn a_service_that_nothing_resembles() {
    let text = r#"[[route]]
path = "/a"
split = [{ service = "shop" }, { service = "accounts" }]
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:44: error: there is no service `accounts`
      |
    3 | split = [{ service = "shop" }, { service = "accounts" }]
      |                                            ^^^^^^^^^^
    help: write a table [service.accounts] with its `endpoints`
    "#);
}

#[test]
fn a_route_that_does_nothing() {
    let text = r#"[[route]]
path = "/a"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:1:1: error: this route does nothing
      |
    1 | [[route]]
      | ^^^^^^^^^
    help: give it one of `service`, `split`, `queue`, `redirect` and `respond`, such as service = "shop"
    "#);
}

#[test]
fn a_route_that_does_two_things() {
    let text = r#"[[route]]
path = "/a"
service = "shop"
respond = { status = 200 }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:4:11: error: this route has both `service` and `respond`
      |
    4 | respond = { status = 200 }
      |           ^^^^^^^^^^^^^^^^
    help: a route does one thing: keep one of them
    "#);
}

#[test]
fn hosts() {
    let text = r#"[[route]]
host = "https://a.example"
service = "shop"
[[route]]
host = "a.example:80"
service = "shop"
[[route]]
host = "a.example."
service = "shop"
[[route]]
host = "a.*.example"
service = "shop"
[[route]]
host = "bücher.example"
service = "shop"
[[route]]
host = "-a.example"
service = "shop"
[[route]]
host = "a b"
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:8: error: `https://a.example` is not the name of a host
      |
    2 | host = "https://a.example"
      |        ^^^^^^^^^^^^^^^^^^^
    help: write the name alone, such as "shop.example.com"

    nearside.toml:5:8: error: `a.example:80` is not the name of a host
      |
    5 | host = "a.example:80"
      |        ^^^^^^^^^^^^^^
    help: leave out the port `80`: write `a.example`

    nearside.toml:8:8: error: `a.example.` is not the name of a host
      |
    8 | host = "a.example."
      |        ^^^^^^^^^^^^
    help: leave out the dot at the end: write `a.example`

    nearside.toml:11:8: error: `a.*.example` has a `*` where it can't be
       |
    11 | host = "a.*.example"
       |        ^^^^^^^^^^^^^
    help: a `*` stands for the first labels only, such as "*.example.com"

    nearside.toml:14:8: error: `bücher.example` is not the name of a host
       |
    14 | host = "bücher.example"
       |        ^^^^^^^^^^^^^^^^
    help: write it in its ASCII form, which begins with "xn--" (RFC 5890)

    nearside.toml:17:8: error: `-a.example` is not the name of a host
       |
    17 | host = "-a.example"
       |        ^^^^^^^^^^^^
    help: write labels of letters, digits and `-` with dots between them, such as "shop.example.com"

    nearside.toml:20:8: error: `a b` is not the name of a host
       |
    20 | host = "a b"
       |        ^^^^^
    help: write labels of letters, digits and `-` with dots between them, such as "shop.example.com"
    "#);
}

#[test]
fn paths() {
    let text = r#"[[route]]
path = "api"
service = "shop"
[[route]]
path = "/a/*/b"
service = "shop"
[[route]]
path = "/a?b=1"
service = "shop"
[[route]]
path = "/a/../b"
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:8: error: `api` is not a path
      |
    2 | path = "api"
      |        ^^^^^
    help: a path begins with "/": write "/api"

    nearside.toml:5:8: error: `/a/*/b` has a `*` before its end
      |
    5 | path = "/a/*/b"
      |        ^^^^^^^^
    help: a path that ends in `*` or `/` is a prefix, such as "/api/*"; a literal `*` is "%2A"

    nearside.toml:8:8: error: `/a?b=1` is not a path
      |
    8 | path = "/a?b=1"
      |        ^^^^^^^^
    help: leave out what begins with `?` or `#`

    nearside.toml:11:8: error: `/a/../b` is not a path
       |
    11 | path = "/a/../b"
       |        ^^^^^^^^^
    help: leave out the segments `.` and `..`: no request has them when it is matched
    "#);
}

#[test]
fn characters_of_paths() {
    let text = r#"[[route]]
path = "/100%"
service = "shop"
[[route]]
path = "/ü"
service = "shop"
[[route]]
path = "/a b"
service = "shop"
[[route]]
path = "/[x]"
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:8: error: `/100%` is not a path
      |
    2 | path = "/100%"
      |        ^^^^^^^
    help: `%` is followed by two hexadecimal digits; the sign itself is "%25"

    nearside.toml:5:8: error: `/ü` is not a path
      |
    5 | path = "/ü"
      |        ^^^^
    help: write what is not a letter, a digit or one of -._~!$&'()*+,;=:@ as %XX (RFC 3986 §3.3)

    nearside.toml:8:8: error: `/a b` is not a path
      |
    8 | path = "/a b"
      |        ^^^^^^
    help: write what is not a letter, a digit or one of -._~!$&'()*+,;=:@ as %XX (RFC 3986 §3.3)

    nearside.toml:11:8: error: `/[x]` is not a path
       |
    11 | path = "/[x]"
       |        ^^^^^^
    help: write what is not a letter, a digit or one of -._~!$&'()*+,;=:@ as %XX (RFC 3986 §3.3)
    "#);
}

#[test]
fn methods() {
    let text = r#"[[route]]
path = "/a"
methods = ["get", "POST", "POST", "A B"]
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:12: error: the method `get` is not in upper case
      |
    3 | methods = ["get", "POST", "POST", "A B"]
      |            ^^^^^
    help: write "GET": case matters in methods (RFC 9110 §9.1)

    nearside.toml:3:27: error: the method `POST` is here twice
      |
    3 | methods = ["get", "POST", "POST", "A B"]
      |                           ^^^^^^
    help: remove one of them

    nearside.toml:3:35: error: `A B` is not a method
      |
    3 | methods = ["get", "POST", "POST", "A B"]
      |                                   ^^^^^
    help: write for example "GET"
    "#);
}

#[test]
fn no_methods() {
    let text = r#"[[route]]
path = "/a"
methods = []
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:11: error: `methods` names no method
      |
    3 | methods = []
      |           ^^
    help: leave it out for all methods
    "#);
}

#[test]
fn conditions() {
    let text = r#"[[route]]
match = { headers = { "X Beta" = "1", "X-A" = "1", "x-a" = "2", "X-B" = " b" } }
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:2:23: error: `X Beta` is not the name of a header field
      |
    2 | match = { headers = { "X Beta" = "1", "X-A" = "1", "x-a" = "2", "X-B" = " b" } }
      |                       ^^^^^^^^
    help: names are of letters, digits and !#$%&'*+-.^_`|~, without spaces or a colon (RFC 9110 §5.1)

    nearside.toml:2:52: error: the field `x-a` is here twice
      |
    2 | match = { headers = { "X Beta" = "1", "X-A" = "1", "x-a" = "2", "X-B" = " b" } }
      |                                                    ^^^^^
    help: remove one of them

    nearside.toml:2:73: error: ` b` is not the value of a header field
      |
    2 | match = { headers = { "X Beta" = "1", "X-A" = "1", "x-a" = "2", "X-B" = " b" } }
      |                                                                         ^^^^
    help: values are of visible ASCII characters, with spaces only between them (RFC 9110 §5.5)
    "#);
}

#[test]
fn a_split_without_weight() {
    let text = r#"[[route]]
path = "/a"
split = [{ service = "shop", weight = 0 }]
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:9: error: `split` gives no service any weight
      |
    3 | split = [{ service = "shop", weight = 0 }]
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    help: for example: split = [{ service = "shop", weight = 95 }, { service = "shop-next", weight = 5 }]
    "#);
}

#[test]
fn a_split_with_a_service_twice() {
    let text = r#"[[route]]
path = "/a"
split = [{ service = "shop" }, { service = "shop", weight = 2 }]
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:44: error: the service `shop` is here twice
      |
    3 | split = [{ service = "shop" }, { service = "shop", weight = 2 }]
      |                                            ^^^^^^
    help: add its weights together
    "#);
}

#[test]
fn redirects() {
    let text = r#"[[route]]
path = "/0"
redirect = { to = "a.example" }
[[route]]
path = "/1"
redirect = { to = "/{rset}" }
[[route]]
path = "/2"
redirect = { to = "/{rest" }
[[route]]
path = "/3"
redirect = { to = "/}" }
[[route]]
path = "/4"
redirect = { to = "/a b" }
[[route]]
path = "/5"
redirect = { to = "/", status = 300 }
[[route]]
path = "/6"
redirect = { status = 308 }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:19: error: `a.example` is not a URL or a path
      |
    3 | redirect = { to = "a.example" }
      |                   ^^^^^^^^^^^
    help: begin it with "https://", "http://" or "/"

    nearside.toml:6:19: error: `rset` is not known here
      |
    6 | redirect = { to = "/{rset}" }
      |                   ^^^^^^^^^
    help: did you mean `rest`?

    nearside.toml:9:19: error: the braces of `/{rest` don't match
      |
    9 | redirect = { to = "/{rest" }
      |                   ^^^^^^^^
    help: {rest}, {path}, {query} and {host} are filled in

    nearside.toml:12:19: error: the braces of `/}` don't match
       |
    12 | redirect = { to = "/}" }
       |                   ^^^^
    help: {rest}, {path}, {query} and {host} are filled in

    nearside.toml:15:19: error: `/a b` can't be sent in a header field
       |
    15 | redirect = { to = "/a b" }
       |                   ^^^^^^
    help: escape it with %XX

    nearside.toml:18:33: error: 300 is not the status of a redirect
       |
    18 | redirect = { to = "/", status = 300 }
       |                                 ^^^
    help: write 308 (for good) or 307 (for now); 301, 302 and 303 let clients turn a POST into a GET

    nearside.toml:21:12: error: `to` is missing
       |
    21 | redirect = { status = 308 }
       |            ^^^^^^^^^^^^^^^^
    help: for example: to = "https://shop.example.com/new/{rest}"
    "#);
}

#[test]
fn answers() {
    let text = r#"[[route]]
path = "/0"
respond = { status = 100 }
[[route]]
path = "/1"
respond = { status = 204, body = "x" }
[[route]]
path = "/2"
respond = { content_type = "a\r\nb" }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:3:22: error: `status` must be a whole number from 200 to 599
      |
    3 | respond = { status = 100 }
      |                      ^^^

    nearside.toml:6:34: error: an answer with status 204 has no body
      |
    6 | respond = { status = 204, body = "x" }
      |                                  ^^^
    help: remove `body`, or write status = 200

    nearside.toml:9:28: error: `a\r\nb` is not the value of a header field
      |
    9 | respond = { content_type = "a\r\nb" }
      |                            ^^^^^^^^
    help: values are of visible ASCII characters, with spaces only between them (RFC 9110 §5.5)
    "#);
}

#[test]
fn mirror_and_headers_of_an_answer_made_here() {
    let text = r#"[[route]]
path = "/a"
respond = {}
mirror = { service = "shop" }
headers = { request = { remove = ["Cookie"] } }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:4:10: error: `mirror` has no effect: this route sends nothing to a service
      |
    4 | mirror = { service = "shop" }
      |          ^^^^^^^^^^^^^^^^^^^^
    help: remove it, or give the route a `service`

    nearside.toml:5:23: error: `headers.request` has no effect: this route sends nothing to a service
      |
    5 | headers = { request = { remove = ["Cookie"] } }
      |                       ^^^^^^^^^^^^^^^^^^^^^^^
    help: remove it, or give the route a `service`
    "#);
}

#[test]
fn header_fields() {
    let text = r#"[[route]]
path = "/a"
service = "shop"
headers = { response = { set = { "X Y" = "1", "X-A" = "a\u0000" }, remove = ["Content-Length"] } }
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:4:34: error: `X Y` is not the name of a header field
      |
    4 | headers = { response = { set = { "X Y" = "1", "X-A" = "a\u0000" }, remove = ["Content-Length"] } }
      |                                  ^^^^^
    help: names are of letters, digits and !#$%&'*+-.^_`|~, without spaces or a colon (RFC 9110 §5.1)

    nearside.toml:4:55: error: `a\0` is not the value of a header field
      |
    4 | headers = { response = { set = { "X Y" = "1", "X-A" = "a\u0000" }, remove = ["Content-Length"] } }
      |                                                       ^^^^^^^^^
    help: values are of visible ASCII characters, with spaces only between them (RFC 9110 §5.5)

    nearside.toml:4:78: error: `Content-Length` can't be changed by a route: it frames the message
      |
    4 | headers = { response = { set = { "X Y" = "1", "X-A" = "a\u0000" }, remove = ["Content-Length"] } }
      |                                                                              ^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn header_fields_that_the_node_writes() {
    let text = r#"[[route]]
path = "/a"
service = "shop"
headers = { request = { remove = ["Forwarded"], add = { "X-Forwarded-For" = "1" } }, response = { set = { via = "x", "X-Forwarded-For" = "1" } } }
"#;
    let said = said(&[text, REST].concat());
    let mistakes: Vec<&str> = said.lines().filter(|line| line.contains("error: ")).collect();
    assert_eq!(
        mistakes,
        [
            "nearside.toml:4:35: error: `Forwarded` can't be changed by a route: this node writes it itself",
            "nearside.toml:4:57: error: `X-Forwarded-For` can't be changed by a route: this node writes it itself",
            "nearside.toml:4:107: error: `via` can't be changed by a route: this node writes it itself",
        ]
    );
    assert!(said.contains("help: remove it; to keep what a peer says of the client, put"), "{said}");
}

#[test]
fn a_route_that_cannot_be_reached() {
    let text = r#"[[route]]
host = "a.example"
path = "/x/*"
methods = ["GET", "HEAD"]
service = "shop"

[[route]]
host = "A.example"
path = "/x/"
methods = ["GET"]
service = "shop"
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r#"
    nearside.toml:9:8: warning: this route can't be reached
      |
    9 | path = "/x/"
      |        ^^^^^
    nearside.toml:3:8: this one takes all its requests
      |
    3 | path = "/x/*"
      |        ^^^^^^
    help: remove it, or give it conditions that the one at line 3 doesn't have
    "#);
}

#[test]
fn a_service_that_nothing_uses() {
    let text = r#"[service.old]
endpoints = ["http://10.0.0.9:3000"]
"#;
    assert_snapshot!(said(&[text, REST].concat()), @r"
    nearside.toml:1:10: warning: no route and no queue uses the service `old`
      |
    1 | [service.old]
      |          ^^^
    ");
}
