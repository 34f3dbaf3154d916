//! How bodies pass: streamed both ways, ended as each client understands it, interim answers before
//! them and tunnels in their stead.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite;

use crate::support::{
    Behaviour, Client, Endpoint, Nearside, answer, request, scripted, shop, until, websocket, websocket_echo,
};

const MIB: u64 = 1 << 20;
/// More than the system's buffers of two connections hold.
const STREAM: u64 = 200 * MIB;
/// What may be under way when nobody reads: the system's buffers of two connections.
const BUFFERED: u64 = 64 * MIB;
/// What the node itself may need for it.
const MEMORY: u64 = 16 * MIB;

/// A node in front of an endpoint that behaves so.
fn before(behaviour: Behaviour) -> (Nearside, Endpoint) {
    let endpoint = Endpoint::start(behaviour);
    let node = Nearside::start(&shop(&[endpoint.url()], ""));
    (node, endpoint)
}

/// A node in front of an endpoint that sends these bytes and closes.
fn before_raw(bytes: &str) -> (Nearside, Endpoint) {
    before(Behaviour::Raw(bytes.as_bytes().to_vec()))
}

/// A node in front of an endpoint that is played by `serve`.
fn before_script(serve: impl Fn(&TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Nearside {
    let url = format!("http://{}", scripted(serve));
    let limits = "[limits]\nbody = \"1GiB\"\n\n";
    Nearside::start(&format!("{limits}{}", shop(&[url], "")))
}

/// Waits until a count goes on no more, and says what it came to.
#[track_caller]
fn until_stalled(count: &AtomicU64) -> u64 {
    let (mut last, mut since) = (0, Instant::now());
    until("what flows is stalled", || {
        let now = count.load(SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        last > 0 && since.elapsed() > Duration::from_millis(300)
    });
    last
}

/// Writes so many bytes, counting them.
fn pour(mut to: &TcpStream, length: u64, count: &AtomicU64) -> std::io::Result<()> {
    let piece = vec![b'x'; 64 << 10];
    let mut left = length;
    while left > 0 {
        let part = usize::try_from(left).unwrap().min(piece.len());
        let written = to.write(&piece[..part])? as u64;
        count.fetch_add(written, SeqCst);
        left -= written;
    }
    Ok(())
}

#[test]
fn a_client_that_stalls_stalls_the_endpoint_not_the_nodes_memory() {
    let sent = Arc::<AtomicU64>::default();
    let counted = sent.clone();
    let node = before_script(move |stream| {
        request(stream)?;
        answer(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {STREAM}\r\n\r\n"))?;
        pour(stream, STREAM, &counted)
    });
    let before = node.memory();
    let mut client = node.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.answer_head().unwrap().status(), 200);
    let stalled = until_stalled(&sent);
    assert!(stalled < BUFFERED, "{stalled} bytes are under way");
    let grown = node.memory().saturating_sub(before);
    assert!(grown < MEMORY, "the node has grown by {grown} bytes");
    let read = std::io::copy(&mut client.reader().take(STREAM), &mut std::io::sink());
    assert_eq!(read.unwrap(), STREAM, "all of it comes once the client goes on");
}

#[test]
fn an_endpoint_that_stalls_stalls_the_client_not_the_nodes_memory() {
    let goes_on = Arc::<AtomicBool>::default();
    let signal = goes_on.clone();
    let node = before_script(move |stream| {
        let (_, mut reader) = request(stream)?;
        until("the endpoint goes on", || signal.load(SeqCst));
        let read = std::io::copy(&mut (&mut reader).take(STREAM), &mut std::io::sink())?;
        let text = read.to_string();
        answer(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
    });
    let before = node.memory();
    let mut client = node.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {STREAM}\r\n\r\n")).unwrap();
    let stream = client.stream().try_clone().unwrap();
    let sent = Arc::<AtomicU64>::default();
    let counted = sent.clone();
    let upload = std::thread::spawn(move || pour(&stream, STREAM, &counted));
    let stalled = until_stalled(&sent);
    assert!(stalled < BUFFERED, "{stalled} bytes are under way");
    let grown = node.memory().saturating_sub(before);
    assert!(grown < MEMORY, "the node has grown by {grown} bytes");
    goes_on.store(true, SeqCst);
    assert_eq!(client.answer().unwrap().text(), STREAM.to_string());
    upload.join().unwrap().unwrap();
}

#[test]
fn bodies_flow_both_ways_at_once() {
    const LENGTH: u64 = 50 * MIB;
    let node = before_script(|stream| {
        let (_, mut reader) = request(stream)?;
        answer(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"))?;
        let mut writer = stream;
        std::io::copy(&mut (&mut reader).take(LENGTH), &mut writer).map(drop)
    });
    let mut client = node.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n")).unwrap();
    let stream = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || pour(&stream, LENGTH, &AtomicU64::new(0)));
    assert_eq!(client.answer_head().unwrap().status(), 200);
    let read = std::io::copy(&mut client.reader().take(LENGTH), &mut std::io::sink());
    assert_eq!(read.unwrap(), LENGTH);
    upload.join().unwrap().unwrap();
}

#[test]
fn trailers_pass_to_the_endpoint() {
    let (node, endpoint) = before(Behaviour::Echo);
    let mut client = node.client();
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n",
        )
        .unwrap();
    assert_eq!(client.answer().unwrap().status(), 200);
    let seen = endpoint.seen();
    assert_eq!(seen[0].text(), "hello");
    assert_eq!(seen[0].trailers, [("X-Sum".to_owned(), "abc".to_owned())]);
}

#[test]
fn trailers_pass_to_the_client() {
    let (node, _endpoint) = before_raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n",
    );
    let answer = node.client().get_with("/", "TE: trailers\r\n").unwrap();
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "abc".to_owned())]);
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn the_endpoint_says_whether_the_client_may_continue() {
    let (node, endpoint) = before(Behaviour::Echo);
    let mut client = node.client();
    client.send(EXPECTING).unwrap();
    assert_eq!(client.answer().unwrap().status(), 100);
    client.send("hello").unwrap();
    assert_eq!(client.answer().unwrap().status(), 200);
    assert_eq!(endpoint.seen()[0].text(), "hello");
    assert!(endpoint.seen()[0].has("expect", "100-continue"));
}

#[test]
fn a_client_that_may_not_continue_gets_the_final_answer_alone() {
    let node = before_script(|stream| {
        request(stream)?;
        answer(stream, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    });
    let mut client = node.client();
    client.send(EXPECTING).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
    assert!(answer.has("connection", "close"), "the body may or may not follow");
    assert_eq!(client.rest(), b"");
}

#[test]
fn too_large_a_body_is_refused_before_the_client_continues() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let limits = "[limits]\nbody = \"4B\"\n\n";
    let node = Nearside::start(&format!("{limits}{}", shop(&[endpoint.url()], "")));
    let mut client = node.client();
    client.send(EXPECTING).unwrap();
    assert_eq!(client.answer().unwrap().status(), 413);
    assert_eq!(client.rest(), b"");
    assert_eq!(endpoint.connections(), 0);
}

const EARLY_HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                           HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn early_hints_pass() {
    let (node, _endpoint) = before_raw(EARLY_HINTS);
    let mut client = node.client();
    let hints = client.get("/").unwrap();
    assert_eq!(hints.status(), 103);
    assert_eq!(hints.field("link"), Some("</a.css>; rel=preload"));
    let answer = client.answer().unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_answer() {
    let (node, _endpoint) = before_raw(EARLY_HINTS);
    let mut client = node.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status(), 200);
}

#[test]
fn a_websocket_passes() {
    let url = format!("http://{}", websocket_echo());
    let node = Nearside::start(&shop(&[url], ""));
    let mut socket = websocket(node.listen);
    for message in [tungstenite::Message::text("hello"), tungstenite::Message::binary(vec![b'x'; 1 << 20])] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.close(None).unwrap();
    until("the endpoint has closed", || socket.read().is_err());
    drop(socket);
    until("the tunnel is gone", || node.api("status")["under_way"] == 0);
}

#[test]
fn an_answer_of_101_that_nobody_asked_for_is_a_bad_gateway() {
    let (node, _endpoint) =
        before_raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(node.client().get("/").unwrap().status(), 502);
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let (node, endpoint) = before(Behaviour::Echo);
    let mut client = node.client();
    let all: String = (0..10).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(all).unwrap();
    for n in 0..10 {
        assert_eq!(client.answer().unwrap().json()["target"], format!("/{n}"));
    }
    assert_eq!(endpoint.hits(), 10);
}

#[test]
fn requests_with_bodies_in_a_row_are_kept_apart() {
    let (node, _endpoint) = before(Behaviour::Echo);
    let mut client = node.client();
    let all: String = (0..10)
        .map(|n| {
            let (length, chunks) = ("Content-Length: 5\r\n\r\nbody", "Transfer-Encoding: chunked");
            let body = match n % 2 {
                0 => format!("{length}{n}"),
                _ => format!("{chunks}\r\n\r\n5\r\nbody{n}\r\n0\r\n\r\n"),
            };
            format!("POST / HTTP/1.1\r\nHost: a\r\n{body}")
        })
        .collect();
    client.send(all).unwrap();
    for n in 0..10 {
        assert_eq!(client.answer().unwrap().json()["body"], format!("body{n}"));
    }
}

#[test]
fn an_answer_to_head_tells_the_length_and_has_no_body() {
    let (node, _endpoint) = before(Behaviour::Body(b"hello".to_vec()));
    let mut client = node.client();
    let answer = client.ask("HEAD", "/", b"").unwrap();
    assert_eq!((answer.status(), answer.field("content-length")), (200, Some("5")));
    assert_eq!(client.get("/").unwrap().text(), "hello", "the connection goes on");
}

/// The answer to a client that speaks only HTTP/1.0, and what follows it.
fn of_old(node: &Nearside, fields: &str) -> (crate::support::Message, Client) {
    let mut client = node.client();
    client.send(format!("GET / HTTP/1.0\r\nHost: a\r\n{fields}\r\n")).unwrap();
    (client.answer().unwrap(), client)
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let (node, endpoint) =
        before_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    let (answer, mut client) = of_old(&node, "Connection: keep-alive\r\n");
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!(client.rest(), b"", "the end of the connection is the end of the body");
    assert!(endpoint.seen()[0].start.ends_with("HTTP/1.1"));
}

#[test]
fn a_client_of_http_1_0_is_kept_if_it_asks() {
    let (node, _endpoint) = before(Behaviour::Body(b"hello".to_vec()));
    let (answer, mut client) = of_old(&node, "Connection: keep-alive\r\n");
    assert!(answer.has("connection", "keep-alive"));
    assert_eq!(client.get("/").unwrap().text(), "hello");
    let (answer, mut client) = of_old(&node, "");
    assert_eq!(answer.text(), "hello");
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_answer_that_ends_with_its_connection_passes_whole() {
    let (node, _endpoint) = before_raw("HTTP/1.1 200 OK\r\n\r\nall of it");
    let mut client = node.client();
    for _ in 0..2 {
        let answer = client.get("/").unwrap();
        assert!(answer.has("transfer-encoding", "chunked"));
        assert_eq!(answer.text(), "all of it");
    }
}

#[test]
fn answers_without_a_body_have_no_length() {
    for status in [204, 304] {
        let (node, _endpoint) = before(Behaviour::Status(status));
        let mut client = node.client();
        let answer = client.get("/").unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("content-length"), None);
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(client.get("/").unwrap().status(), status, "the connection goes on");
    }
}

#[test]
fn an_answer_of_304_may_tell_the_length_of_another() {
    let (node, _endpoint) = before_raw("HTTP/1.1 304 -\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n");
    let mut client = node.client();
    let answer = client.get("/").unwrap();
    assert_eq!((answer.status(), answer.field("content-length")), (304, Some("5")));
    assert_eq!(client.get("/").unwrap().status(), 304);
}
