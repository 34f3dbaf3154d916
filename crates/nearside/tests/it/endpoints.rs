//! The endpoints of these tests fail as they say, since other tests prove nothing if they don't.

use std::io::ErrorKind;
use std::time::Duration;

use crate::support::{Behaviour, Client, Endpoint, Message, get};

fn answer(behaviour: Behaviour) -> Result<Message, ErrorKind> {
    let endpoint = Endpoint::start(behaviour);
    let mut client = Client::connect(endpoint.address()).unwrap();
    client.get("/").map_err(|error| error.kind())
}

#[test]
fn each_answers_or_fails_in_its_way() {
    assert_eq!(answer(Behaviour::Echo).unwrap().json()["target"], "/");
    assert_eq!(answer(Behaviour::Body(b"a".to_vec())).unwrap().text(), "a");
    assert_eq!(answer(Behaviour::Status(204)).unwrap().status(), 204);
    let slow = answer(Behaviour::Slow(Duration::from_millis(1)));
    assert_eq!(slow.unwrap().status(), 200);
    assert_eq!(answer(Behaviour::TooLong).unwrap().body.len(), 10);
    let failures = [Behaviour::Reset, Behaviour::ResetMidAnswer, Behaviour::Close, Behaviour::TooShort];
    let kinds = failures.map(|failure| answer(failure).unwrap_err());
    let (reset, end) = (ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof);
    assert_eq!(kinds, [reset, reset, end, end]);
}

#[test]
fn a_reset_in_the_middle_comes_after_the_head() {
    let endpoint = Endpoint::start(Behaviour::ResetMidAnswer);
    let mut client = Client::connect(endpoint.address()).unwrap();
    client.send("GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.answer_head().unwrap().status(), 200);
}

#[test]
fn one_that_stops_ends_its_connections_and_can_come_back() {
    let endpoint = Endpoint::start(Behaviour::Hang);
    let address = endpoint.address();
    let mut client = Client::connect(address).unwrap();
    client.send("GET / HTTP/1.1\r\n\r\n").unwrap();
    crate::support::until("it took the request", || endpoint.hits() == 1);
    endpoint.stop();
    assert_eq!(client.rest(), b"");
    assert!(Client::connect(address).is_err());
    let back = Endpoint::start_at(address, Behaviour::Echo);
    assert_eq!(get(address, "/").status(), 200);
    assert_eq!((back.hits(), back.connections()), (1, 1));
}

#[test]
fn a_body_and_its_trailers_are_taken() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let mut client = Client::connect(endpoint.address()).unwrap();
    client.send("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(client.answer_head().unwrap().status(), 100);
    client.send("2\r\nhi\r\n0\r\nSum: 7\r\n\r\n").unwrap();
    let echo = client.answer().unwrap().json();
    assert_eq!((&echo["body"], &echo["trailers"][0][1]), (&"hi".into(), &"7".into()));
    assert_eq!(client.ask("HEAD", "/", b"").unwrap().status(), 200);
    assert_eq!(client.ask("POST", "/", b"more").unwrap().json()["body"], "more");
}
