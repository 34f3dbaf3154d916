//! The shared tier beside a real server, which each test starts, hurts and ends by itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cache::ledger::{Purge, What};
use cache::object::{Body, Facts, New, Object};
use cache::shared::{LARGEST, Shared, Stands};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};

/// Nothing here takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// A limit for gets that a busy machine doesn't reach.
const GENEROUS: Duration = Duration::from_secs(5);
const URL: &[u8] = b"http://example.com/a?b";

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Server {
        Server::start_on(free_port())
    }

    fn start_on(port: u16) -> Server {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of the package with that name, is on this machine");
        let server = Server { child, port };
        until("the server answers", || server.try_ask("PING").is_some_and(|answer| answer == "+PONG"));
        server
    }

    fn try_ask(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.strip_suffix("+OK\r\n")?.trim_end().to_owned())
    }

    fn ask(&self, line: &str) -> String {
        self.try_ask(line).expect("an answer")
    }

    fn keys(&self) -> Vec<String> {
        let answer = self.ask("KEYS *");
        let mut keys: Vec<String> =
            answer.lines().filter(|line| line.starts_with("nearside:")).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A runtime that keeps a tier, and what the tier told.
struct Node {
    runtime: Runtime,
    shared: Shared,
    told: Arc<Mutex<Vec<String>>>,
}

impl Node {
    fn of(server: &Server) -> Node {
        Node::that_asks(server, Arc::new(|_| true))
    }

    fn that_asks(server: &Server, stands: Stands) -> Node {
        let node = Node::with(server.port, GENEROUS, stands);
        node.until_well();
        node
    }

    fn at(port: u16, limit: Duration) -> Node {
        Node::with(port, limit, Arc::new(|_| true))
    }

    fn with(port: u16, limit: Duration, stands: Stands) -> Node {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let tell = Arc::new(move |what| hears.lock().unwrap().push(what));
        let url = format!("redis://127.0.0.1:{port}");
        let shared = Shared::with_limit(&url, limit, runtime.handle().clone(), stands, tell).unwrap();
        Node { runtime, shared, told }
    }

    /// Waits until what is put can be got, and takes it away again.
    fn until_well(&self) {
        let probe = object_of(b"http://example.com/probe", 1, b"", whole("probe"));
        until("the tier answers", || {
            self.shared.put(&probe);
            self.runtime.block_on(self.shared.get(probe.primary(), |_| true)).is_some()
        });
        // A probe that was put late must not come after this.
        self.put(&object_of(URL, 0, b"", whole("last")));
        self.purge(What::Url(probe.primary().into()), false);
        self.purge(What::Url(URL.into()), false);
        assert_eq!(self.shared.trouble(), None);
    }

    fn get(&self, fits: impl FnMut(&Object) -> bool) -> Option<Object> {
        self.runtime.block_on(self.shared.get(URL, fits))
    }

    /// Puts an object and waits until the server has it.
    fn put(&self, object: &Object) {
        self.shared.put(object);
        until("the object is there", || {
            self.get(|found| found.facts() == object.facts() && found.variant() == object.variant()).is_some()
        });
    }

    fn purge(&self, what: What, soft: bool) -> usize {
        self.runtime.block_on(self.shared.purge(&Purge { what, soft, at_ms: 1 }))
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(Duration::from_millis(5));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn facts(requested_ms: u64) -> Facts {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let received = u32::try_from(now).unwrap();
    Facts { status: 200, requested_ms, received, lifetime: 600, ..Facts::default() }
}

fn object(requested_ms: u64, variant: &[u8], body: Body) -> Object {
    object_of(URL, requested_ms, variant, body)
}

fn object_of(primary: &[u8], requested_ms: u64, variant: &[u8], body: Body) -> Object {
    Object::new(New {
        facts: facts(requested_ms),
        primary,
        variant,
        lines: b"Content-Type: text/plain\r\n",
        tags: b"one\ntwo\n",
        body,
    })
}

fn whole(text: &'static str) -> Body {
    Body::Whole(Bytes::from_static(text.as_bytes()))
}

fn text(object: &Object) -> String {
    match object.body() {
        Body::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Pieces(pieces) => String::from_utf8_lossy(&pieces.concat()).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_object_that_one_node_puts_another_one_gets() {
    let server = Server::start();
    let (one, other) = (Node::of(&server), Node::of(&server));
    assert!(other.get(|_| true).is_none());
    let pieces: Arc<[Bytes]> = [Bytes::from_static(b"two "), Bytes::from_static(b"pieces")].into();
    let put = object(7, b"", Body::Pieces(pieces));
    one.put(&put);
    let got = other.get(|_| true).unwrap();
    assert_eq!((got.facts(), got.primary(), got.variant()), (put.facts(), URL, &b""[..]));
    assert_eq!((got.lines().concat(), got.tags()), (put.lines().concat(), put.tags()));
    assert_eq!(text(&got), "two pieces");
    assert!(other.get(|_| false).is_none());
    let keys = server.keys();
    assert_eq!(keys.len(), 1);
    let left: u32 = server.ask(&format!("TTL {}", keys[0])).trim_start_matches(':').parse().unwrap();
    assert!((590..=600).contains(&left), "{left}");
}

#[test]
fn each_variant_is_found_by_those_whom_it_fits() {
    let server = Server::start();
    let node = Node::of(&server);
    node.put(&object(1, b"en", whole("hello")));
    node.put(&object(2, b"de", whole("hallo")));
    let get = |variant: &[u8]| node.get(|found| found.variant() == variant).map(|found| text(&found));
    assert_eq!(get(b"en").as_deref(), Some("hello"));
    assert_eq!(get(b"de").as_deref(), Some("hallo"));
    assert_eq!(get(b"fr"), None);
    assert_eq!(node.get(|_| true).map(|found| text(&found)).as_deref(), Some("hallo"));
    node.put(&object(3, b"en", whole("hello again")));
    assert_eq!(node.get(|_| true).map(|found| text(&found)).as_deref(), Some("hello again"));
    // It varies no more: what doesn't is newer than all variants.
    node.put(&object(4, b"", whole("plain")));
    assert_eq!(node.get(|_| true).map(|found| text(&found)).as_deref(), Some("plain"));
}

#[test]
fn a_url_with_endless_variants_does_not_grow() {
    let server = Server::start();
    let node = Node::of(&server);
    let mut most = 0;
    for number in 0..100_usize {
        node.shared.put(&object(1, format!("v{number}").as_bytes(), whole("x")));
        let is_head = |key: &String| key.ends_with(":heads");
        until("it is there", || server.keys().iter().filter(|key| !is_head(key)).count() > number);
        let heads = server.keys().into_iter().find(is_head).expect("a hash of heads");
        let count: u64 = server.ask(&format!("HLEN {heads}")).trim_start_matches(':').parse().unwrap();
        most = most.max(count);
        // Who looks for the next variant, before that is put, sees how many there are.
        assert!(node.get(|_| false).is_none());
    }
    assert!((16..=17).contains(&most), "{most}");
}

#[test]
fn what_does_not_belong_here_is_not_put() {
    let server = Server::start();
    let node = Node::of(&server);
    let soft = object(1, b"", whole("soft"));
    soft.soften();
    node.shared.put(&soft);
    let part: Arc<[(u64, Bytes)]> = [(0, Bytes::from_static(b"part"))].into();
    node.shared.put(&object(2, b"", Body::Parts { total: None, parts: part }));
    node.shared.put(&object(3, b"", Body::Whole(Bytes::from(vec![0; LARGEST + 1]))));
    let ended = Facts { received: 1000, ..facts(4) };
    let ended = New { facts: ended, primary: URL, variant: b"", lines: b"", tags: b"", body: whole("old") };
    node.shared.put(&Object::new(ended));
    // The last one put is the first one there.
    node.put(&object(5, b"v", Body::Whole(Bytes::from(vec![0; LARGEST]))));
    assert_eq!(server.keys().len(), 2);
}

#[test]
fn what_is_purged_while_it_waits_or_is_sent_does_not_stay() {
    let server = Server::start();
    let asked = Arc::new(AtomicUsize::new(0));
    let node = Node::that_asks(&server, {
        let asked = asked.clone();
        Arc::new(move |object| match object.facts().requested_ms {
            50 => false,
            60 => asked.fetch_add(1, Ordering::SeqCst) == 0,
            _ => true,
        })
    });
    node.shared.put(&object(50, b"waits", whole("old")));
    node.put(&object(51, b"", whole("new")));
    assert_eq!(server.keys().len(), 1, "what was purged before is not sent");
    node.purge(What::Url(URL.into()), false);
    node.shared.put(&object(60, b"", whole("old")));
    until("it is sent, and asked for again", || asked.load(Ordering::SeqCst) == 2);
    until("it is taken back", || server.keys().is_empty());
}

#[test]
fn two_answers_to_one_request_are_one_variant_here_too() {
    let server = Server::start();
    let node = Node::of(&server);
    node.put(&object(1, b"accept-language:de,en\x01de\n", whole("hallo")));
    node.put(&object(2, b"accept-language:de,en\x01en\n", whole("hello")));
    assert!(node.get(|found| found.variant().ends_with(b"de\n")).is_none());
    assert_eq!(server.keys().len(), 2, "a value, and the heads");
}

#[test]
fn wrong_bytes_are_misses_and_do_no_harm() {
    let server = Server::start();
    let node = Node::of(&server);
    node.put(&object(1, b"", whole("right")));
    let key = server.keys().remove(0);
    server.ask(&format!("SETRANGE {key} 0 garbage"));
    assert!(node.get(|_| true).is_none());
    node.put(&object(2, b"", whole("right")));
    let length: u32 = server.ask(&format!("STRLEN {key}")).trim_start_matches(':').parse().unwrap();
    for cut in [0, 1, 4, length / 2, length - 1] {
        let script = format!("redis.call('SET',KEYS[1],string.sub(redis.call('GET',KEYS[1]),1,{cut}))");
        node.put(&object(u64::from(cut) + 3, b"", whole("right")));
        server.ask(&format!("EVAL \"{script}\" 1 {key}"));
        assert!(node.get(|_| true).is_none(), "cut to {cut}");
    }
    // Another URL whose hash were the same.
    let other = object_of(b"http://example.com/other", 99, b"", whole("other"));
    node.shared.put(&other);
    until("the other is there", || server.keys().len() == 2);
    let other_key = server.keys().into_iter().find(|found| *found != key).unwrap();
    server.ask(&format!("RENAME {other_key} {key}"));
    assert!(node.get(|_| true).is_none());
    // Not even strings and hashes.
    server.ask("FLUSHALL");
    server.ask(&format!("RPUSH {key} a"));
    server.ask(&format!("SET {key}:heads b"));
    for _ in 0..10 {
        assert!(node.get(|_| true).is_none());
    }
    assert_eq!(node.shared.trouble(), None);
    server.ask("FLUSHALL");
    node.put(&object(100, b"", whole("right again")));
}

#[test]
fn a_url_is_purged_with_all_its_variants() {
    let server = Server::start();
    let node = Node::of(&server);
    node.put(&object(1, b"en", whole("hello")));
    node.put(&object(2, b"", whole("plain")));
    assert_eq!(node.purge(What::Tag((*b"one").into()), false), 0);
    assert_eq!(node.purge(What::Url(URL.into()), true), 0);
    assert!(node.get(|found| found.variant() == b"en").is_some());
    assert_eq!(node.purge(What::Url(URL.into()), false), 2);
    assert!(node.get(|_| true).is_none());
    // The variant's value is still there, but nothing leads to it; a new variant brings no old one back.
    node.put(&object(3, b"de", whole("hallo")));
    assert!(node.get(|found| found.variant() == b"en").is_none());
}

#[test]
fn a_server_that_ends_costs_nothing_and_is_found_again() {
    let server = Server::start();
    let port = server.port;
    let node = Node::of(&server);
    node.put(&object(1, b"", whole("here")));
    drop(server);
    until("the tier is given up", || {
        assert!(node.get(|_| true).is_none());
        node.shared.trouble().is_some()
    });
    assert_eq!(node.purge(What::Url(URL.into()), false), 0);
    let server = Server::start_on(port);
    node.until_well();
    node.put(&object(2, b"", whole("here again")));
    drop(server);
    let told = node.told.lock().unwrap();
    assert!(told[0].starts_with("going on without") && told[1].ends_with("answers again"), "{told:?}");
}

#[test]
fn a_server_that_hangs_holds_up_a_few_requests_and_no_more() {
    let limit = Duration::from_millis(300);
    let server = Server::start();
    let node = Node::at(server.port, limit);
    node.until_well();
    node.put(&object(1, b"", whole("here")));
    server.signal(Signal::STOP);
    let start = Instant::now();
    let waited = (0..1000)
        .filter(|_| {
            let before = Instant::now();
            node.shared.put(&object(2, b"", whole("never there")));
            assert!(node.get(|_| true).is_none());
            before.elapsed() >= limit
        })
        .count();
    assert!(waited <= 3, "{waited} waited");
    assert!(start.elapsed() < limit * 8, "{:?}", start.elapsed());
    until("the tier is given up", || node.shared.trouble().is_some());
    server.signal(Signal::CONT);
    node.until_well();
    node.put(&object(3, b"", whole("here again")));
}

#[test]
fn a_node_starts_before_its_server() {
    let port = free_port();
    let node = Node::at(port, GENEROUS);
    assert!(node.get(|_| true).is_none());
    let server = Server::start_on(port);
    node.until_well();
    node.put(&object(1, b"", whole("here")));
    drop(server);
}

#[test]
fn a_server_that_speaks_something_else_is_never_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = Node::at(listener.local_addr().unwrap().port(), GENEROUS);
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    until("it is refused", || node.shared.trouble().is_some());
    assert!(node.get(|_| true).is_none());
    assert_eq!(node.told.lock().unwrap().len(), 1);
}

#[test]
fn a_wrong_url_is_refused_without_its_password() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for url in ["http://:hidden@host:1", "redis://:hidden@host:port", "rediss://:hidden@host:1", ""] {
        let refused = Shared::new(url, runtime.handle().clone(), Arc::new(|_| true), Arc::new(drop));
        let why = refused.err().unwrap_or_else(|| panic!("{url} was taken"));
        assert!(!why.contains("hidden"), "{why}");
    }
}
