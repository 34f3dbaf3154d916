//! Mistakes: queues.

use insta::assert_snapshot;

use super::{REST, said};

/// What is said of a queue with these keys, from line 2 on, which a route uses.
fn of_queue(keys: &str) -> String {
    said(&format!("[queue.hooks]\n{keys}\n[[route]]\npath = \"/hooks\"\nqueue = \"hooks\"\n{REST}"))
}

/// What is said of a route with these keys, from line 3 on, beside a queue.
fn of_route(keys: &str) -> String {
    said(&format!("[[route]]\npath = \"/a\"\n{keys}\n[queue.hooks]\ndeliver = [\"shop\"]\n{REST}"))
}

#[test]
fn receivers_that_do_not_exist() {
    assert_snapshot!(of_queue(r#"deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://u:pw@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]"#), @r#"
    nearside.toml:2:12: error: there is no service `shpo`
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |            ^^^^^^
    help: did you mean `shop`?

    nearside.toml:2:20: error: there is no service `accounts`
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                    ^^^^^^^^^^
    help: write a table [service.accounts] with its `endpoints`

    nearside.toml:2:32: error: `10.0.0.1:3000` is neither the name of a service nor a URL
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                ^^^^^^^^^^^^^^^
    help: for a URL write "https://10.0.0.1:3000"

    nearside.toml:2:49: error: `ftp://a` is not the URL of a receiver
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                 ^^^^^^^^^
    help: write "http://" or "https://", and a port from 1 to 65535 or none

    nearside.toml:2:60: error: `http://a:0` is not the URL of a receiver
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                            ^^^^^^^^^^^^
    help: write "http://" or "https://", and a port from 1 to 65535 or none

    nearside.toml:2:74: error: the URL of a receiver has no user name or password
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                                          ^^^^^^^^^^^^^^^^
    help: let the receiver know its deliveries by their signature: write `sign`

    nearside.toml:2:92: error: `a b` is not the name of a host
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                                                            ^^^^^^^^^^^^^
    help: write labels of letters, digits and `-` with dots between them, such as "shop.example.com"

    nearside.toml:2:107: error: `http://a?x` is not the URL of a receiver
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                                                                           ^^^^^^^^^^^^
    help: write a path after the host, such as "/", or nothing for each message's own

    nearside.toml:2:121: error: `/#x` is not a path
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                                                                                         ^^^^^^^^^^^^^
    help: leave out what begins with `?` or `#`

    nearside.toml:2:136: error: `/%` is not a path
      |
    2 | deliver = ["shpo", "accounts", "10.0.0.1:3000", "ftp://a", "http://a:0", "http://****@a/", "http://a b/", "http://a?x", "http://a/#x", "http://a/%"]
      |                                                                                                                                        ^^^^^^^^^^^^
    help: `%` is followed by two hexadecimal digits; the sign itself is "%25"
    "#);
}

#[test]
fn receivers_twice() {
    assert_snapshot!(of_queue(r#"deliver = ["shop", "http://a", "shop", "http://a"]"#), @r#"
    nearside.toml:2:32: error: the receiver `shop` is here twice
      |
    2 | deliver = ["shop", "http://a", "shop", "http://a"]
      |                                ^^^^^^
    help: remove one of them

    nearside.toml:2:40: error: the receiver `http://a` is here twice
      |
    2 | deliver = ["shop", "http://a", "shop", "http://a"]
      |                                        ^^^^^^^^^^
    help: remove one of them
    "#);
}

#[test]
fn receivers_inside() {
    assert_snapshot!(of_queue(r#"deliver = ["http://127.0.0.1:3000/", "https://[fd00::1]", "http://localhost"]"#), @r#"
    nearside.toml:2:12: error: `http://127.0.0.1:3000/` leads to a private address
      |
    2 | deliver = ["http://127.0.0.1:3000/", "https://[fd00::1]", "http://localhost"]
      |            ^^^^^^^^^^^^^^^^^^^^^^^^
    help: write allow_private_addresses = true in this queue, or make it a service's endpoint

    nearside.toml:2:38: error: `https://[fd00::1]` leads to a private address
      |
    2 | deliver = ["http://127.0.0.1:3000/", "https://[fd00::1]", "http://localhost"]
      |                                      ^^^^^^^^^^^^^^^^^^^
    help: write allow_private_addresses = true in this queue, or make it a service's endpoint

    nearside.toml:2:59: error: `http://localhost` leads to a private address
      |
    2 | deliver = ["http://127.0.0.1:3000/", "https://[fd00::1]", "http://localhost"]
      |                                                           ^^^^^^^^^^^^^^^^^^
    help: write allow_private_addresses = true in this queue, or make it a service's endpoint
    "#);
}

#[test]
fn receivers_by_the_hundred() {
    let urls: Vec<String> = (0..101).map(|n| format!("\n\"http://a{n}.example\"")).collect();
    assert_snapshot!(of_queue(&format!("deliver = [{}]", urls.join(","))), @r"
    nearside.toml:2:11: error: there are 101 receivers; 100 are the most
      |
    2 | deliver = [
      |           ^
    ");
}

#[test]
fn keys_without_receivers() {
    assert_snapshot!(of_queue(r#"order_by = "path"
retry = {}
rate = "1/s"
concurrency = 32
timeout = "1s"
sign = "a secret of some length"
allow_private_addresses = false
keep = { done = "1d" }"#), @r#"
    nearside.toml:2:12: error: `order_by` has no effect: this queue delivers to nobody
      |
    2 | order_by = "path"
      |            ^^^^^^
    help: remove it, or name receivers in `deliver`

    nearside.toml:3:9: error: `retry` has no effect: this queue delivers to nobody
      |
    3 | retry = {}
      |         ^^
    help: remove it, or name receivers in `deliver`

    nearside.toml:4:8: error: `rate` has no effect: this queue delivers to nobody
      |
    4 | rate = "1/s"
      |        ^^^^^
    help: remove it, or name receivers in `deliver`

    nearside.toml:5:15: error: `concurrency` has no effect: this queue delivers to nobody
      |
    5 | concurrency = 32
      |               ^^
    help: remove it, or name receivers in `deliver`

    nearside.toml:6:11: error: `timeout` has no effect: this queue delivers to nobody
      |
    6 | timeout = "1s"
      |           ^^^^
    help: remove it, or name receivers in `deliver`

    nearside.toml:7:8: error: `sign` has no effect: this queue delivers to nobody
      |
    7 | sign = "***********************"
      |        ^^^^^^^^^^^^^^^^^^^^^^^^^
    help: remove it, or name receivers in `deliver`

    nearside.toml:8:27: error: `allow_private_addresses` has no effect: this queue delivers to nobody
      |
    8 | allow_private_addresses = false
      |                           ^^^^^
    help: remove it, or name receivers in `deliver`
    "#);
}

#[test]
fn private_addresses_of_services() {
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nallow_private_addresses = true"), @r"
    nearside.toml:3:27: error: `allow_private_addresses` has no effect: no receiver is a URL
      |
    3 | allow_private_addresses = true
      |                           ^^^^
    help: remove it: the endpoints of services may have any address
    ");
}

#[test]
fn values() {
    assert_snapshot!(of_queue(r#"deliver = ["shop"]
order_by = "account"
dedupe = "31d"
retry = { attempts = 0, first = "0s" }
rate = "0/s"
concurrency = 0
full = "1KiB"
timeout = 5
keep = { dead = "2y" }"#), @r#"
    nearside.toml:3:12: error: `account` is nothing to take a hash of
      |
    3 | order_by = "account"
      |            ^^^^^^^^^
    help: write "header:NAME", "cookie:NAME", "query:NAME", "path" or "client"

    nearside.toml:4:10: error: `31d` must be from 0s to 30d
      |
    4 | dedupe = "31d"
      |          ^^^^^

    nearside.toml:5:22: error: `attempts` must be a whole number from 1 to 100
      |
    5 | retry = { attempts = 0, first = "0s" }
      |                      ^

    nearside.toml:5:33: error: `0s` must be from 1ms to 1d
      |
    5 | retry = { attempts = 0, first = "0s" }
      |                                 ^^^^

    nearside.toml:6:8: error: `0/s` is not a rate
      |
    6 | rate = "0/s"
      |        ^^^^^
    help: write a whole number from 1 to 1000000 and /s, /m or /h, such as "50/s" or "600/m"

    nearside.toml:7:15: error: `concurrency` must be a whole number from 1 to 100000
      |
    7 | concurrency = 0
      |               ^

    nearside.toml:8:8: error: `full` must be from 1MiB to 1024TiB
      |
    8 | full = "1KiB"
      |        ^^^^^^

    nearside.toml:9:11: error: `timeout` must be a duration in quotes, not a number
      |
    9 | timeout = 5
      |           ^
    help: for example: timeout = "30s"

    nearside.toml:10:17: error: `2y` is not a duration: its unit is not known
       |
    10 | keep = { dead = "2y" }
       |                 ^^^^
    help: write a whole number and ms, s, m, h or d, such as "250ms" or "10s"
    "#);
}

#[test]
fn rates() {
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nrate = \"50/d\""), @r#"
    nearside.toml:3:8: error: `50/d` is not a rate
      |
    3 | rate = "50/d"
      |        ^^^^^^
    help: write a whole number from 1 to 1000000 and /s, /m or /h, such as "50/s" or "600/m"
    "#);
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nrate = 50"), @r#"
    nearside.toml:3:8: error: `rate` must be a number in a time, not a number
      |
    3 | rate = 50
      |        ^^
    help: for example: rate = "50/s"
    "#);
    for rate in ["+5/s", "50", "/s", "1000001/s", "5 /s", "1.5/s"] {
        assert!(
            of_queue(&format!("deliver = [\"shop\"]\nrate = \"{rate}\"")).contains("is not a rate"),
            "{rate}"
        );
    }
}

#[test]
fn pauses_that_shrink() {
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nretry = { first = \"2h\" }"), @r#"
    nearside.toml:3:19: error: `longest`, 1h, is shorter than `first`, 2h
      |
    3 | retry = { first = "2h" }
      |                   ^^^^
    help: pauses begin with `first` and double up to `longest`
    "#);
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nretry = { first = \"2s\", longest = \"1s\" }"), @r#"
    nearside.toml:3:35: error: `longest`, 1s, is shorter than `first`, 2s
      |
    3 | retry = { first = "2s", longest = "1s" }
      |                                   ^^^^
    help: pauses begin with `first` and double up to `longest`
    "#);
}

#[test]
fn secrets_are_good_and_stay_unseen() {
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nsign = \"swordfish\""), @r#"
    nearside.toml:3:8: error: nothing can be signed with this secret: it has 9 characters, not 16 to 1024
      |
    3 | sign = "*********"
      |        ^^^^^^^^^^^
    help: write "whsec_" and what `openssl rand -base64 32` gives, best in an environment variable
    "#);
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nsign = \"whsec_c3dvcmRmaXNo\""), @r#"
    nearside.toml:3:8: error: nothing can be signed with this secret: what follows `whsec_` stands for 9 bytes, not for 24 to 64
      |
    3 | sign = "******************"
      |        ^^^^^^^^^^^^^^^^^^^^
    help: write "whsec_" and what `openssl rand -base64 32` gives, best in an environment variable
    "#);
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nsign = [\n\"swordfish\",\n\"whsec_*\"]"), @r#"
    nearside.toml:3:8: error: nothing can be signed with this secret: it has 9 characters, not 16 to 1024
      |
    3 | sign = [
      |        ^
    help: write "whsec_" and what `openssl rand -base64 32` gives, best in an environment variable
    "#);
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nsign = [\"swordfish and so on\", \"the old swordfish\", 'even older swordfish']"), @r"
    nearside.toml:3:8: error: `sign` has 3 secrets; 2 are the most
      |
    3 | sign = [******************************************************************]
      |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    help: write the new one and the one that it replaces
    ");
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nsign = []"), @r"
    nearside.toml:3:8: error: `sign` names no secret
      |
    3 | sign = []
      |        ^^
    help: leave it out for deliveries without a signature
    ");
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nsign = 7"), @r#"
    nearside.toml:3:8: error: `sign` must be a secret in quotes or a list of two, not a number
      |
    3 | sign = *
      |        ^
    help: for example: sign = "${HOOKS_SECRET}"
    "#);
}

/// A line that holds a secret is shown with stars, whatever is wrong with it.
#[test]
fn secrets_in_lines_that_are_wrong_for_another_reason() {
    for line in [
        "sign = \"swordfish swordfish\" x",
        "sign = [\"swordfish swordfish\", x]",
        "signs = [\"whsec_swordfish\", \"whsec_swordfish\"]",
        "x \"whsec_swordfish\", 'whsec_swordfish', whsec_swordfish",
    ] {
        let said = of_queue(line);
        assert!(said.contains("***") && !said.contains("swordfish"), "{said}");
    }
}

#[test]
fn times_of_the_clock() {
    assert_snapshot!(of_queue("every = \"0 3 * *\""), @r#"
    nearside.toml:2:9: error: `0 3 * *` can't be followed: it has 4 of the five fields minute, hour, day of month, month and day of week
      |
    2 | every = "0 3 * *"
      |         ^^^^^^^^^
    help: write minute, hour, day of month, month and day of week, such as "0 3 * * *" or "*/15 8-17 * * mon-fri"
    "#);
    assert_snapshot!(of_queue("every = \"0 25 * * *\""), @r#"
    nearside.toml:2:9: error: `0 25 * * *` can't be followed: its hour `25` is not a number from 0 to 23
      |
    2 | every = "0 25 * * *"
      |         ^^^^^^^^^^^^
    help: write minute, hour, day of month, month and day of week, such as "0 3 * * *" or "*/15 8-17 * * mon-fri"
    "#);
    assert_snapshot!(of_queue("every = \"0 0 31 feb *\""), @r#"
    nearside.toml:2:9: error: `0 0 31 feb *` can't be followed: there is no such day
      |
    2 | every = "0 0 31 feb *"
      |         ^^^^^^^^^^^^^^
    help: write minute, hour, day of month, month and day of week, such as "0 3 * * *" or "*/15 8-17 * * mon-fri"
    "#);
    assert_snapshot!(of_queue("every = \"@often\""), @r#"
    nearside.toml:2:9: error: `@often` can't be followed: of those with `@` there are @hourly, @daily, @weekly, @monthly and @yearly
      |
    2 | every = "@often"
      |         ^^^^^^^^
    help: write minute, hour, day of month, month and day of week, such as "0 3 * * *" or "*/15 8-17 * * mon-fri"
    "#);
}

#[test]
fn a_message_that_nothing_sends() {
    assert_snapshot!(of_queue("deliver = [\"shop\"]\nrequest = { path = \"/a\" }"), @r#"
    nearside.toml:3:11: error: `request` has no effect without `every`
      |
    3 | request = { path = "/a" }
      |           ^^^^^^^^^^^^^^^
    help: write when it is sent, such as every = "0 3 * * *", or remove it
    "#);
}

#[test]
fn messages_of_the_clock() {
    assert_snapshot!(of_queue(r#"every = "@daily"
request = { method = "post", path = "a", headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1", "Content-Length" = "0" }, by = 1 }"#), @r#"
    nearside.toml:3:22: error: the method `post` is not in upper case
      |
    3 | request = { method = "post", path = "a", headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1", "Content-Length" = "0" }, by = 1 }
      |                      ^^^^^^
    help: write "POST": case matters in methods (RFC 9110 §9.1)

    nearside.toml:3:37: error: `a` is not a path
      |
    3 | request = { method = "post", path = "a", headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1", "Content-Length" = "0" }, by = 1 }
      |                                     ^^^
    help: a path begins with "/": write "/a"

    nearside.toml:3:100: error: `Content-Length` can't be changed by a route: it frames the message
      |
    3 | request = { method = "post", path = "a", headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1", "Content-Length" = "0" }, by = 1 }
      |                                                                                                    ^^^^^^^^^^^^^^^^

    nearside.toml:3:126: error: `by` is not a key that is known here
      |
    3 | request = { method = "post", path = "a", headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1", "Content-Length" = "0" }, by = 1 }
      |                                                                                                                              ^^
    help: known here: method, path, headers, body
    "#);
    assert_snapshot!(of_queue(r#"every = "@daily"
request = { headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1" } }"#), @r#"
    nearside.toml:3:38: error: the field `x-a` is here twice
      |
    3 | request = { headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1" } }
      |                                      ^^^^^
    help: remove one of them

    nearside.toml:3:51: error: `Webhook-Id` can't be written here: each delivery has its own
      |
    3 | request = { headers = { "X-A" = "1", "x-a" = "2", "Webhook-Id" = "1" } }
      |                                                   ^^^^^^^^^^^^
    help: remove it
    "#);
}

#[test]
fn routes_to_queues_that_do_not_exist() {
    assert_snapshot!(of_route("queue = \"hoks\"\n[[route]]\nqueue = \"mail\"\nservice = \"shop\""), @r#"
    nearside.toml:3:9: error: there is no queue `hoks`
      |
    3 | queue = "hoks"
      |         ^^^^^^
    help: did you mean `hooks`?

    nearside.toml:5:9: error: there is no queue `mail`
      |
    5 | queue = "mail"
      |         ^^^^^^
    help: write a table [queue.mail] with its `deliver`
    "#);
}

#[test]
fn routes_that_keep_requests_and_do_something_else() {
    assert_snapshot!(of_route("queue = \"hooks\"\nrespond = {}\n[[route]]\npath = \"/b\"\nredirect = { to = \"/\" }\nqueue = \"hooks\""), @r#"
    nearside.toml:4:11: error: this route has both `queue` and `respond`
      |
    4 | respond = {}
      |           ^^
    help: a route does one thing: keep one of them

    nearside.toml:7:12: error: this route has both `queue` and `redirect`
      |
    7 | redirect = { to = "/" }
      |            ^^^^^^^^^^^^
    help: a route does one thing: keep one of them
    "#);
    assert_snapshot!(of_route("queue = \"hooks\"\ncache = {}\nmirror = { service = \"shop\" }"), @r#"
    nearside.toml:4:9: error: `cache` has no effect: this route sends nothing to a service
      |
    4 | cache = {}
      |         ^^
    help: remove it, or give the route a `service`

    nearside.toml:5:10: error: `mirror` has no effect: this route sends nothing to a service
      |
    5 | mirror = { service = "shop" }
      |          ^^^^^^^^^^^^^^^^^^^^
    help: remove it, or give the route a `service`
    "#);
}

#[test]
fn a_queue_that_nothing_fills() {
    assert_snapshot!(of_route("service = \"shop\""), @r"
    nearside.toml:4:8: warning: no route uses the queue `hooks`
      |
    4 | [queue.hooks]
      |        ^^^^^
    ");
}
