//! What the cache promises, seen from outside: a node before one endpoint of which a test writes what it
//! answers, and counts what it is asked.
//!
//! Answers become stale without waiting: they come with an `Age` that says they are old already.

mod collapse;
mod conditions;
mod crash;
mod fields;
mod held_up;
mod invalidate;
mod keys;
mod memory;
mod mistakes;
mod purge;
mod ranges;
mod shared;
mod stale;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::support::{Behaviour, Client, Endpoint, Message, Nearside};

/// What is special about a node's file; each text may be empty.
#[derive(Default)]
struct Setting<'a> {
    /// Lines of `[cache]`.
    tiers: &'a str,
    /// Lines of `[service.shop]`.
    service: &'a str,
    /// What the route's `cache` holds.
    rules: &'a str,
    /// Further lines of the route.
    route: &'a str,
}

impl Setting<'_> {
    /// The file of a node before this endpoint.
    fn file(&self, endpoint: &Endpoint) -> String {
        let Self { tiers, service, rules, route } = self;
        let shop = crate::support::shop(&[endpoint.url()], service);
        format!("[cache]\n{tiers}\n\n{shop}cache = {{ {rules} }}\n{route}\n")
    }

    /// A node before an endpoint that behaves so.
    #[track_caller]
    fn before(&self, behaviour: Behaviour) -> Scene {
        let endpoint = Endpoint::start(behaviour);
        let node = Nearside::start(&self.file(&endpoint));
        Scene { node, endpoint }
    }
}

/// A node with a cache, and its endpoint.
struct Scene {
    node: Nearside,
    endpoint: Endpoint,
}

impl Scene {
    /// With a cache that does what RFC 9111 allows, and no more.
    #[track_caller]
    fn before(behaviour: Behaviour) -> Self {
        Setting::default().before(behaviour)
    }

    /// The answer to GET. The host is `shop.test`.
    #[track_caller]
    fn get(&self, target: &str) -> Message {
        self.get_with(target, "")
    }

    /// The answer to GET with these further fields, each with its line's end.
    #[track_caller]
    fn get_with(&self, target: &str, fields: &str) -> Message {
        self.node.client().get_with(target, fields).unwrap()
    }

    /// The answer to another method.
    #[track_caller]
    fn ask(&self, method: &str, target: &str, fields: &str) -> Message {
        let mut client = self.node.client();
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n")).unwrap();
        if method == "HEAD" { client.answer_head().unwrap() } else { client.answer().unwrap() }
    }

    /// A client that has asked and reads nothing yet.
    #[track_caller]
    fn asking(&self, target: &str, fields: &str) -> Client {
        let mut client = self.node.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n")).unwrap();
        client
    }

    /// Waits till an object that is only on disk is written, and so is all that came before it.
    #[track_caller]
    fn until_written(&self, target: &str) {
        let stored = || is_hit(&self.get_with(target, "Cache-Control: only-if-cached\r\n"));
        crate::support::until("it is on disk", stored);
    }

    /// How many requests the endpoint got.
    fn hits(&self) -> usize {
        self.endpoint.hits()
    }

    /// The last request that the endpoint got.
    #[track_caller]
    fn seen(&self) -> Message {
        self.endpoint.seen().last().unwrap().clone()
    }
}

/// What this node says of how it came by an answer: the last member of `Cache-Status`.
#[track_caller]
fn told(answer: &Message) -> &str {
    let last = answer.all("cache-status").last().unwrap_or_else(|| panic!("no Cache-Status: {answer:?}"));
    let own = last.rsplit(", ").next().unwrap_or(last);
    own.strip_prefix("nearside; ").unwrap_or_else(|| panic!("{last}"))
}

/// Was it a hit?
#[track_caller]
fn is_hit(answer: &Message) -> bool {
    told(answer).split("; ").any(|word| word == "hit")
}

/// Writes an answer with a length; its first line is `HTTP/1.1 ` and `start`.
fn reply(mut stream: &TcpStream, to: &Message, start: &str, fields: &str, body: &[u8]) -> io::Result<()> {
    let length = match start.get(..3) {
        Some("204" | "304") => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {start}\r\n{fields}{length}\r\n");
    let body = if to.method() == "HEAD" || length.is_empty() { b"" } else { body };
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Answers 200 with these fields, and the number of the request as its body.
fn numbered(fields: &str) -> Behaviour {
    numbered_as("200 OK", fields)
}

/// The same with this status.
fn numbered_as(start: &'static str, fields: &str) -> Behaviour {
    let (fields, number) = (fields.to_owned(), AtomicU64::new(1));
    Behaviour::script(move |request, stream| {
        let body = number.fetch_add(1, SeqCst).to_string();
        reply(stream, request, start, &fields, body.as_bytes())
    })
}

/// Answers with the version that is in force, which is also its ETag, and 304 to who has it.
fn versions(version: &Arc<AtomicU64>, fields: &str) -> Behaviour {
    let (version, fields) = (version.clone(), fields.to_owned());
    Behaviour::script(move |request, stream| {
        let version = version.load(SeqCst);
        let etag = format!("\"v{version}\"");
        let fields = format!("{fields}ETag: {etag}\r\nX-Version: {version}\r\n");
        let start = if request.has("if-none-match", &etag) { "304 Not Modified" } else { "200 OK" };
        reply(stream, request, start, &fields, format!("version {version}").as_bytes())
    })
}

/// Reads up to the end of this text, byte by byte.
fn read_past(client: &mut Client, text: &str) -> io::Result<()> {
    let mut came = Vec::new();
    while !came.ends_with(text.as_bytes()) {
        let mut byte = [0];
        client.reader().read_exact(&mut byte)?;
        came.push(byte[0]);
    }
    Ok(())
}

/// Bytes that tell where they stand, so that none can be missing or twice.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Is what this test does for longer in its long form?
fn is_soak() -> bool {
    std::env::var_os("NEARSIDE_SOAK").is_some()
}
