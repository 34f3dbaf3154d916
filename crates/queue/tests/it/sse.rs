//! Events as text, read back by a reader of our own that follows the standard.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use queue::sse::{ALIVE, event, large};

fn text(id: &str, kind: &str, body: &[u8]) -> String {
    let mut out = String::new();
    event(&mut out, id, kind, body);
    out
}

#[test]
fn events() {
    assert_eq!(text("msg_1", "", b"hello"), "id: msg_1\ndata: hello\n\n");
    assert_eq!(
        text("msg_1", "order.paid", b"a\nb\r\nc\rd"),
        "id: msg_1\nevent: order.paid\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    );
    assert_eq!(text("msg_1", "", b""), "id: msg_1\ndata: \n\n");
    assert_eq!(text("msg_1", "", b"\n"), "id: msg_1\ndata: \ndata: \n\n");
    assert_eq!(text("msg_1", "", b"\n\r"), "id: msg_1\ndata: \ndata: \ndata: \n\n");
    assert_eq!(text("msg_1", "", " id: x\u{2028}".as_bytes()), "id: msg_1\ndata:  id: x\u{2028}\n\n");
    assert_eq!(text("msg_1", "order", b"\xff\n"), "id: msg_1\nevent: nearside-binary\ndata: /wo=\n\n");
    let mut out = String::new();
    large(&mut out, "msg_1", 7_000_000);
    assert_eq!(out, "id: msg_1\nevent: nearside-large\ndata: {\"bytes\":7000000}\n\n");
}

#[test]
fn types_that_would_break_the_stream_or_deceive() {
    for kind in ["a\nb", "a\r", "\0", "nearside-binary", "nearside-x"] {
        assert_eq!(text("msg_1", kind, b"x"), "id: msg_1\ndata: x\n\n", "{kind:?}");
    }
}

/// An event as a client gets it.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    id: String,
    kind: String,
    data: String,
}

/// Reads a stream as WHATWG HTML §9.2.6 says.
fn read(stream: &str) -> Vec<Read> {
    let mut events = Vec::new();
    let (mut id, mut kind, mut data) = (String::new(), String::new(), String::new());
    for line in stream.replace("\r\n", "\n").split(['\n', '\r']) {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                let kind = if kind.is_empty() { "message".to_owned() } else { kind.clone() };
                events.push(Read { id: id.clone(), kind, data: data.clone() });
            }
            kind.clear();
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" if !value.contains('\0') => id = value.to_owned(),
            "event" => kind = value.to_owned(),
            "data" => data.extend([value, "\n"]),
            _ => {}
        }
    }
    events
}

proptest! {
    #[test]
    fn clients_read_what_was_sent(
        bodies in prop::collection::vec(prop_oneof![
            "[a: \n\r\u{0}ü]{0,20}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..40),
        ], 1..5),
        kind in "[a-z.\n ]{0,5}",
    ) {
        let mut stream = ALIVE.to_owned();
        let mut expected = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            let id = format!("msg_{index}");
            event(&mut stream, &id, &kind, body);
            stream.push_str(ALIVE);
            let sent = if kind.is_empty() || kind.contains('\n') { "message" } else { &*kind };
            expected.push(match std::str::from_utf8(body) {
                Ok(text) => Read { id, kind: sent.to_owned(), data: text.replace("\r\n", "\n").replace('\r', "\n") },
                Err(_) => Read { id, kind: "nearside-binary".to_owned(), data: BASE64.encode(body) },
            });
        }
        prop_assert_eq!(read(&stream), expected);
    }
}
