//! What is malformed, ambiguous or over a limit is refused with its status, the connection ends, and
//! no endpoint ever sees it.

#[path = "../../../wire/tests/it/corpus.rs"]
mod corpus;

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::{Behaviour, Client, Endpoint, Message, Nearside, shop, until};

/// A node with these limits, and the endpoint that all requests go to.
fn limited(limits: &str) -> (Nearside, Endpoint) {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let service = shop(&[endpoint.url()], "timeout = { response = \"10s\" }");
    let node = Nearside::start(&format!("[limits]\n{limits}\n\n{service}"));
    (node, endpoint)
}

/// Reads answers up to one that ends the connection, which nothing may follow.
fn last_answer(client: &mut Client) -> std::io::Result<Message> {
    loop {
        let answer = client.answer()?;
        if answer.has("connection", "close") {
            let rest = client.rest();
            assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
            return Ok(answer);
        }
    }
}

/// The answer to these bytes, and the connection's end.
fn refusal(node: &Nearside, bytes: &[u8]) -> std::io::Result<Message> {
    let mut client = node.client();
    // A node that has seen enough may end the connection before all is sent.
    let _ended = client.send(bytes);
    last_answer(&mut client)
}

/// Sends all cases of which this holds, and says of which ones the answer was not as it must be.
fn wrong(node: &Nearside, of: impl Fn(&str) -> bool) -> Vec<String> {
    let cases = corpus::corpus();
    let wanted: Vec<_> = cases.iter().filter(|case| of(&case.name)).collect();
    assert!(!wanted.is_empty());
    let told = wanted.iter().map(|case| (case, refusal(node, &case.bytes)));
    told.filter(|(case, answer)| !answer.as_ref().is_ok_and(|answer| answer.status() == case.status))
        .map(|(case, answer)| format!("{}: {:?}", case.name, answer.map(|answer| answer.start)))
        .collect()
}

/// The request before the bad one is good.
fn is_second(name: &str) -> bool {
    name.contains("second request")
}

/// The head is good and may go on before the body turns out to be bad.
fn is_of_body(name: &str) -> bool {
    name.starts_with("chunks")
}

#[test]
fn no_byte_of_a_bad_head_reaches_an_endpoint() {
    let (node, endpoint) = limited("");
    assert_eq!(wrong(&node, |name| !is_of_body(name) && !is_second(name)), Vec::<String>::new());
    assert_eq!(endpoint.connections(), 0);
    assert!(node.counted("nearside_refused_total{why=\"malformed\"}") > 100);
}

#[test]
fn no_request_with_a_bad_body_reaches_an_endpoint_whole() {
    let (node, endpoint) = limited("");
    assert_eq!(wrong(&node, is_of_body), Vec::<String>::new());
    assert_eq!(endpoint.hits(), 0);
}

#[test]
fn what_follows_a_good_request_is_read_as_strictly() {
    let (node, endpoint) = limited("");
    assert_eq!(wrong(&node, is_second), Vec::<String>::new());
    assert_eq!(endpoint.hits(), 1);
}

/// Refused with this status because of what has this label in the metrics.
#[track_caller]
fn is_refused(node: &Nearside, bytes: &[u8], status: u16, why: &str) -> Message {
    let series = format!("nearside_refused_total{{why=\"{why}\"}}");
    let before = node.counted(&series);
    let answer = refusal(node, bytes).unwrap();
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
    until("the refusal is counted", || node.counted(&series) == before + 1);
    answer
}

#[test]
fn heads_over_the_limits_are_431() {
    let (node, endpoint) = limited("headers = 10\nheader_bytes = \"2KiB\"");
    let get = |fields: String| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    is_refused(&node, &get("X: y\r\n".repeat(10)), 431, "head");
    is_refused(&node, &get(format!("X: {}\r\n", "y".repeat(2048))), 431, "head");
    assert_eq!(endpoint.connections(), 0);
    let allowed = node.client().get_with("/", &"X: y\r\n".repeat(9)).unwrap();
    assert_eq!(allowed.status(), 200);
}

#[test]
fn bodies_over_the_limit_are_413() {
    let (node, endpoint) = limited("body = \"1KiB\"");
    let long = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n";
    is_refused(&node, long, 413, "body");
    assert_eq!(endpoint.connections(), 0, "its length alone is enough to refuse it");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{head}400\r\n{}\r\n1\r\ny\r\n0\r\n\r\n", "x".repeat(1024));
    is_refused(&node, chunks.as_bytes(), 413, "body");
    assert_eq!(endpoint.hits(), 0);
    let allowed = node.client().ask("POST", "/", &[b'x'; 1024]).unwrap();
    assert_eq!(allowed.status(), 200);
}

#[test]
fn a_head_that_does_not_come_in_time_is_408() {
    let (node, endpoint) = limited("header_timeout = \"300ms\"");
    let begun = Instant::now();
    is_refused(&node, b"GET / HTTP/1.1\r\nHost", 408, "timeout");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    assert_eq!(endpoint.connections(), 0);
}

#[test]
fn a_head_that_comes_byte_by_byte_has_no_longer_time() {
    let (node, _endpoint) = limited("header_timeout = \"300ms\"");
    let begun = Instant::now();
    let mut client = node.client();
    let mut stream = client.stream().try_clone().unwrap();
    let drips = std::thread::spawn(move || {
        let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1000));
        long.bytes()
            .take_while(|&byte| {
                std::thread::sleep(Duration::from_millis(20));
                stream.write_all(&[byte]).is_ok()
            })
            .count()
    });
    assert_eq!(last_answer(&mut client).unwrap().status(), 408);
    assert!(begun.elapsed() < Duration::from_secs(3));
    drop(client);
    assert!(drips.join().unwrap() < 1000, "it could have gone on for ever");
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed() {
    let (node, _endpoint) = limited("header_timeout = \"200ms\"\nidle_timeout = \"200ms\"");
    assert_eq!(node.client().rest(), b"", "never used");
    let mut used = node.client();
    assert_eq!(used.get("/").unwrap().status(), 200);
    assert_eq!(used.rest(), b"", "used before");
}

#[test]
fn a_body_that_stops_coming_is_408() {
    let (node, endpoint) = limited("idle_timeout = \"300ms\"");
    is_refused(&node, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 408, "timeout");
    assert_eq!(endpoint.hits(), 0);
}

/// The first connections are good; one more gets this status; one that ended makes room for another.
#[track_caller]
fn is_limited_to_three(node: &Nearside, status: u16) {
    let mut good: Vec<Client> = (0..3).map(|_| node.client()).collect();
    for client in &mut good {
        assert_eq!(client.get("/").unwrap().status(), 200);
    }
    let refused = last_answer(&mut node.client()).unwrap();
    assert_eq!(refused.status(), status);
    assert!(refused.field("retry-after").is_some());
    assert_eq!(good[0].get("/").unwrap().status(), 200, "others go on");
    good.pop();
    until("room for another", || {
        let answer = node.client().get("/");
        answer.is_ok_and(|answer| answer.status() == 200)
    });
}

#[test]
fn connections_over_those_of_one_client_are_429() {
    let (node, _endpoint) = limited("connections_per_client = 3");
    is_limited_to_three(&node, 429);
    assert!(node.counted("nearside_refused_total{why=\"connections_per_client\"}") > 0);
}

#[test]
fn connections_over_those_of_the_node_are_503() {
    let (node, _endpoint) = limited("connections = 3");
    is_limited_to_three(&node, 503);
    assert!(node.counted("nearside_refused_total{why=\"connections\"}") > 0);
}

#[test]
fn a_connection_has_as_many_requests_as_it_may() {
    let (node, _endpoint) = limited("requests_per_connection = 2");
    let mut client = node.client();
    assert!(!client.get("/").unwrap().has("connection", "close"));
    assert!(client.get("/").unwrap().has("connection", "close"));
    assert_eq!(client.rest(), b"");
}
