//! Which fields pass, which are made here, and whom the node believes.

use std::net::SocketAddr;

use crate::support::{Behaviour, Client, Endpoint, Message, Nearside, free_address, shop};

fn before(behaviour: Behaviour) -> (Nearside, Endpoint) {
    let endpoint = Endpoint::start(behaviour);
    let node = Nearside::start(&shop(&[endpoint.url()], ""));
    (node, endpoint)
}

/// A node with a second listener that believes clients of this machine.
fn trusting() -> (Nearside, Endpoint, SocketAddr) {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let address = free_address();
    let listen = format!("[[listen]]\naddress = \"{address}\"\ntrust = [\"127.0.0.0/8\"]\n\n");
    let node = Nearside::start(&format!("{listen}{}", shop(&[endpoint.url()], "")));
    (node, endpoint, address)
}

/// What the endpoint gets of a request with these fields, and what the client gets.
fn pass(to: SocketAddr, endpoint: &Endpoint, fields: &str) -> (Message, Message) {
    let answer = Client::connect(to).unwrap().get_with("/", fields).unwrap();
    assert_eq!(answer.status(), 200);
    (endpoint.seen().last().unwrap().clone(), answer)
}

#[test]
fn hop_by_hop_fields_do_not_reach_the_endpoint() {
    let (node, endpoint) = before(Behaviour::Echo);
    let fields = "Connection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: x\r\nX-Outer: 2\r\n";
    let (seen, _) = pass(node.listen, &endpoint, fields);
    for name in ["connection", "x-inner", "keep-alive", "proxy-connection", "te", "upgrade"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_eq!(seen.field("x-outer"), Some("2"));
}

#[test]
fn what_a_route_goes_by_cannot_be_nominated_away() {
    let (node, endpoint) = before(Behaviour::Echo);
    let fields = "Connection: Host, X-Forwarded-For, Via, X-Request-Id, Content-Length\r\n";
    let (seen, _) = pass(node.listen, &endpoint, fields);
    for name in ["host", "x-forwarded-for", "via", "x-request-id"] {
        assert!(seen.field(name).is_some(), "{name}");
    }
    let body = "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\n\
                Content-Length: 5\r\n\r\nhello";
    let mut client = node.client();
    client.send(body).unwrap();
    assert_eq!(client.answer().unwrap().json()["body"], "hello");
}

#[test]
fn hop_by_hop_fields_do_not_reach_the_client() {
    let raw = "HTTP/1.1 200 OK\r\nConnection: X-Inner, close\r\nX-Inner: 1\r\n\
               Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nX-Outer: 2\r\n\
               Content-Length: 2\r\n\r\nok";
    let (node, _endpoint) = before(Behaviour::Raw(raw.into()));
    let mut client = node.client();
    let answer = client.get("/").unwrap();
    for name in ["connection", "x-inner", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!(answer.field("x-outer"), Some("2"));
    assert_eq!(client.get("/").unwrap().text(), "ok", "the endpoint's close is its own");
}

#[test]
fn an_upgrade_to_http_2_is_not_passed_on() {
    let (node, endpoint) = before(Behaviour::Echo);
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n";
    let (seen, _) = pass(node.listen, &endpoint, fields);
    assert_eq!(seen.field("upgrade"), None);
    assert_eq!(seen.field("http2-settings"), None);
}

/// Fields by which a client pretends to be another.
const PRETENDED: &str = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                         X-Forwarded-Host: bank.test\r\nForwarded: for=192.0.2.1\r\n\
                         X-Request-Id: mine\r\nVia: 1.1 other\r\n";

#[test]
fn an_unknown_peer_is_not_believed() {
    let (node, endpoint) = before(Behaviour::Echo);
    let (seen, answer) = pass(node.listen, &endpoint, PRETENDED);
    let all = |name: &str| seen.all(name).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    assert_eq!(all("x-forwarded-host"), ["shop.test"]);
    assert_eq!(seen.field("forwarded"), None);
    let id = seen.field("x-request-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(answer.field("x-request-id"), Some(id));
}

#[test]
fn a_trusted_peer_is_believed() {
    let (_node, endpoint, address) = trusting();
    let (seen, answer) = pass(address, &endpoint, PRETENDED);
    let all = |name: &str| seen.all(name).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(all("x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    assert_eq!(all("x-forwarded-proto"), ["https"]);
    assert_eq!(all("x-forwarded-host"), ["bank.test"]);
    assert_eq!(all("x-request-id"), ["mine"]);
    assert_eq!(answer.field("x-request-id"), Some("mine"));
}

#[test]
fn both_sides_see_the_way_and_the_host_is_as_sent() {
    let raw = "HTTP/1.1 200 OK\r\nVia: 1.1 inner\r\nX-Request-Id: endpoints\r\n\
               Content-Length: 2\r\n\r\nok";
    let (node, endpoint) = before(Behaviour::Raw(raw.into()));
    let (seen, answer) = pass(node.listen, &endpoint, "Via: 1.0 outer\r\n");
    assert_eq!(seen.field("via"), Some("1.0 outer, 1.1 nearside"));
    assert_eq!(answer.field("via"), Some("1.1 inner, 1.1 nearside"));
    assert_eq!(seen.field("host"), Some("shop.test"));
    let ids: Vec<&str> = answer.all("x-request-id").collect();
    assert_eq!(ids, [seen.field("x-request-id").unwrap()]);
}

#[test]
fn a_trace_is_begun_or_continued() {
    let (node, endpoint) = before(Behaviour::Echo);
    let (seen, _) = pass(node.listen, &endpoint, "");
    assert_eq!(seen.field("traceparent").map(str::len), Some(55));
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (seen, _) = pass(node.listen, &endpoint, &format!("traceparent: {given}\r\n"));
    assert_eq!(seen.field("traceparent"), Some(given));
}

#[test]
fn other_fields_pass_as_they_are() {
    let raw = "HTTP/1.1 200 Sure\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nserver: X\r\n\
               Content-Length: 2\r\n\r\nok";
    let (node, endpoint) = before(Behaviour::Raw(raw.into()));
    let fields = "Cookie: a=1\r\nX-Twice: 1\r\nx-twice: 2\r\nX-Odd: \u{e9}, \t \"x\"\r\nX-Empty:\r\n";
    let (seen, answer) = pass(node.listen, &endpoint, fields);
    let twice: Vec<&str> = seen.all("x-twice").collect();
    assert_eq!(twice, ["1", "2"]);
    assert_eq!(seen.field("x-odd"), Some("\u{e9}, \t \"x\""));
    assert_eq!(seen.field("x-empty"), Some(""));
    assert_eq!(seen.field("cookie"), Some("a=1"));
    let cookies: Vec<&str> = answer.all("set-cookie").collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.field("server"), Some("X"));
    assert_eq!(answer.start, "HTTP/1.1 200 Sure");
}

/// What the endpoint gets of a request with this first line and these fields.
fn target(first_line: &str, fields: &str) -> Message {
    let (node, endpoint) = before(Behaviour::Echo);
    let mut client = node.client();
    client.send(format!("{first_line}\r\n{fields}\r\n")).unwrap();
    assert_eq!(client.answer().unwrap().status(), 200);
    let seen = endpoint.seen().last().unwrap().clone();
    assert!(seen.start.ends_with(" HTTP/1.1"));
    seen
}

#[test]
fn an_absolute_target_names_the_host() {
    let seen = target("GET http://Shop.test:81/a?b=c HTTP/1.1", "Host: other.test\r\n");
    assert_eq!((seen.method(), seen.target()), ("GET", "/a?b=c"));
    let hosts: Vec<&str> = seen.all("host").collect();
    assert_eq!(hosts, ["Shop.test:81"]);
}

#[test]
fn options_asks_about_the_endpoint_as_a_whole() {
    let seen = target("OPTIONS * HTTP/1.1", "Host: shop.test\r\n");
    assert_eq!((seen.method(), seen.target()), ("OPTIONS", "*"));
}

#[test]
fn an_odd_method_and_target_pass_as_they_are() {
    let seen = target("BREW //a%2fb;x?y=%zz&&/../ HTTP/1.1", "Host: shop.test\r\n");
    assert_eq!((seen.method(), seen.target()), ("BREW", "//a%2fb;x?y=%zz&&/../"));
}

#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    let (node, endpoint) = before(Behaviour::Echo);
    for path in ["/a/../admin", "/a/%2e%2E/admin", "/a/..%2fadmin", "/a/..;/admin"] {
        assert_eq!(node.client().get(path).unwrap().status(), 400, "{path}");
    }
    assert_eq!(endpoint.connections(), 0);
}
