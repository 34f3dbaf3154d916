//! Followers: a queue's messages as server-sent events, live and from any message on.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use super::large::peak;
use super::{Receiver, Scene, file, id, post, post_on};
use crate::support::{Client, LIMIT, Message, Nearside, until};

/// A body that is an event still, and too large to be held for followers.
static LARGE: [u8; 250 * 1024] = [b'x'; 250 * 1024];
/// By how much followers may let a node grow, in bytes.
const GROWTH: u64 = 48 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

/// A client that follows.
struct Follower {
    answer: Message,
    stream: Chunks,
}

/// The bytes in the chunks of an answer.
struct Chunks {
    stream: BufReader<TcpStream>,
    left: usize,
    /// The last chunk came: the answer is whole.
    whole: bool,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        }
        let most = self.left.min(into.len());
        let read = self.stream.read(&mut into[..most])?;
        if read == 0 && self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 {
            let mut end = [0; 2];
            self.stream.read_exact(&mut end)?;
            self.whole |= read == 0;
        }
        Ok(read)
    }
}

impl Follower {
    fn start(to: SocketAddr, last: Option<&str>) -> Self {
        Self::on(Client::connect(to).unwrap().stream().try_clone().unwrap(), last)
    }

    fn on(stream: TcpStream, last: Option<&str>) -> Self {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET /hooks/in HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{last}\r\n");
        io::Write::write_all(&mut &stream, head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let answer = Message::read_head(&mut stream).unwrap().unwrap();
        Self { answer, stream: Chunks { stream, left: 0, whole: false } }
    }

    /// One for which the system holds little.
    fn slow(to: SocketAddr, last: Option<&str>) -> Self {
        let small = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        small.set_recv_buffer_size(16 * 1024).unwrap();
        small.connect(&to.into()).unwrap();
        small.set_read_timeout(Some(LIMIT)).unwrap();
        Self::on(small.into(), last)
    }

    /// The next event; none at the end. An end in the middle is an error.
    fn next(&mut self) -> io::Result<Option<Event>> {
        let mut event = Event::default();
        let mut data = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            match line.split_once(':') {
                None if line.is_empty() && data.is_empty() => {}
                None if line.is_empty() => return Ok(Some(Event { data: data.join("\n"), ..event })),
                Some(("id", value)) => event.id = value.trim_start().to_owned(),
                Some(("event", value)) => event.kind = value.trim_start().to_owned(),
                Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value).to_owned()),
                other => assert!(matches!(other, Some(("", _))), "no comment: {line:?}"),
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match self.stream.read(&mut byte)? {
                0 => return Ok(None),
                _ if byte[0] == b'\n' => return Ok(Some(String::from_utf8(line).unwrap())),
                _ => line.push(byte[0]),
            }
        }
    }

    /// The next so many events.
    #[track_caller]
    fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|index| self.next().unwrap().unwrap_or_else(|| panic!("{index} of {count}"))).collect()
    }

    /// All up to the end, be it an orderly one or not; no more than the limit of one wait for each.
    fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next().ok().flatten()).collect()
    }
}

fn datas(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

#[test]
fn followers_begin_where_they_say() {
    let scene = Scene::start("", Receiver::well());
    let ids: Vec<String> = (0..3).map(|number| scene.accepted("", format!("before {number}"))).collect();
    scene.until_quiet();
    let to = scene.node.listen;
    let mut now = Follower::start(to, None);
    let mut all = Follower::start(to, Some("0"));
    let mut some = Follower::start(to, Some(&ids[1]));
    for follower in [&now, &all, &some] {
        assert_eq!(follower.answer.status(), 200);
        assert!(follower.answer.has("content-type", "text/event-stream"));
        assert!(follower.answer.has("cache-control", "no-store"));
    }
    let live = scene.accepted("", "live");
    assert_eq!(now.take(1), [Event { id: live, kind: String::new(), data: "live".into() }]);
    let events = all.take(4);
    assert_eq!(datas(&events), ["before 0", "before 1", "before 2", "live"]);
    assert_eq!(events[..3].iter().map(|event| &event.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!(datas(&some.take(2)), ["before 2", "live"]);
    let other =
        scene.node.client().get_with("/hooks/in", "Accept: text/event-stream\r\nLast-Event-ID: 7\r\n");
    let other = other.unwrap();
    assert_eq!(other.status(), 400);
    assert!(other.json()["detail"].as_str().unwrap().contains("Last-Event-ID"));
}

#[test]
fn any_body_becomes_an_event() {
    let scene = Scene::start("", Receiver::well());
    let mut follower = Follower::start(scene.node.listen, None);
    scene.accepted("", "two\nlines");
    scene.accepted("", b"\xff\x00");
    scene.accepted("", "");
    scene.accepted("", vec![b'x'; 300 * 1024]);
    scene.accepted("ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: order.paid\r\n", "7");
    let events = follower.take(5);
    assert_eq!(datas(&events), ["two\nlines", "/wA=", "", "{\"bytes\":307200}", "7"]);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["", "nearside-binary", "", "nearside-large", "order.paid"]);
}

#[test]
fn a_follower_goes_on_after_a_restart_without_a_gap_or_a_double() {
    let mut scene = Scene::start("", Receiver::well());
    let mut follower = Follower::start(scene.node.listen, None);
    let mut seen = Vec::new();
    for number in 0..10 {
        scene.accepted("", number.to_string());
    }
    // Some came that it has not read.
    seen.extend(follower.take(6));
    scene.node.kill();
    drop(follower);
    scene.node.start_again();
    for number in 10..15 {
        scene.accepted("", number.to_string());
    }
    let last = seen.last().unwrap().id.clone();
    seen.extend(Follower::start(scene.node.listen, Some(&last)).take(9));
    assert_eq!(datas(&seen), (0..15).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn events_end_when_the_node_leaves() {
    let mut scene = Scene::start("", Receiver::well());
    let mut followers: Vec<Follower> = (0..3).map(|_| Follower::start(scene.node.listen, None)).collect();
    scene.accepted("", "last");
    scene.node.signal(Signal::TERM);
    for follower in &mut followers {
        assert_eq!(datas(&follower.take(1)), ["last"]);
        assert_eq!(follower.next().unwrap(), None);
        assert!(follower.stream.whole, "it ends in order");
    }
    assert_eq!(scene.node.wait(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn two_hundred_follow() {
    const MESSAGES: usize = 20;
    let scene = Scene::start("", Receiver::well());
    let to = scene.node.listen;
    let mut followers: Vec<Follower> = (0..200).map(|_| Follower::start(to, None)).collect();
    let mut client = scene.node.client();
    let ids: Vec<String> = (0..MESSAGES)
        .map(|number| id(&post_on(&mut client, "", number.to_string().as_bytes()).unwrap()))
        .collect();
    for follower in &mut followers {
        let got: Vec<String> = follower.take(MESSAGES).into_iter().map(|event| event.id).collect();
        assert_eq!(got, ids);
    }
}

/// Bodies small enough to be held for followers, and larger ones.
fn body(number: usize) -> Vec<u8> {
    vec![b'x'; if number.is_multiple_of(2) { 1024 } else { 15 * 1024 }]
}

#[test]
fn who_falls_behind_goes_on_from_the_log_and_nobody_waits() {
    const MESSAGES: usize = 2000;
    let scene = Scene::start("", Receiver::well());
    let to = scene.node.listen;
    let first = scene.accepted("", "first");
    let mut slow = [Follower::slow(to, None), Follower::slow(to, Some("0"))];
    let mut quick = Follower::start(to, None);
    let reading = std::thread::spawn(move || quick.take(MESSAGES));
    let senders: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(to).unwrap();
                for number in 0..MESSAGES / 8 {
                    assert_eq!(post_on(&mut client, "", &body(number)).unwrap().status(), 202);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    let quick = reading.join().unwrap();
    assert_eq!(slow[1].take(1)[0].id, first);
    for slow in &mut slow {
        assert!(slow.take(MESSAGES) == quick, "all in order, and each once");
    }
    let ids: Vec<&String> = quick.iter().map(|event| &event.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "in order");
}

#[test]
fn who_takes_nothing_is_cut() {
    const MESSAGES: usize = 48;
    let shop = Receiver::well();
    let config = file(&[("shop", &shop.endpoint)], "");
    let node = Nearside::start(&format!("[limits]\nidle_timeout = \"1s\"\n\n{config}"));
    let mut slow = Follower::slow(node.listen, None);
    for _ in 0..MESSAGES {
        assert_eq!(post(node.listen, "", &LARGE).unwrap().status(), 202);
    }
    until("it is cut", || node.counted("nearside_connections") == 0);
    let got = slow.rest();
    assert!(got.len() < MESSAGES && !slow.stream.whole, "{}", got.len());
    let last = got.last().map_or("0".to_owned(), |event| event.id.clone());
    let rest = Follower::start(node.listen, Some(&last)).take(MESSAGES - got.len());
    assert_eq!(rest.len() + got.len(), MESSAGES, "it can come again for the rest");
}

#[test]
fn followers_take_little_memory() {
    const KEPT: usize = 80;
    const LIVE: usize = 240;
    let scene = Scene::start("", Receiver::well());
    for _ in 0..KEPT {
        scene.accepted("", LARGE);
    }
    let before = peak(&scene.node);
    let mut behind: Vec<Follower> = (0..24).map(|_| Follower::slow(scene.node.listen, Some("0"))).collect();
    for follower in &mut behind {
        follower.take(1);
    }
    let _silent = Follower::slow(scene.node.listen, None);
    for _ in 0..LIVE {
        scene.accepted("", LARGE);
    }
    let growth = peak(&scene.node).saturating_sub(before);
    assert!(growth < GROWTH, "it grew by {} MiB", growth >> 20);
    assert_eq!(behind[0].take(KEPT + LIVE - 1).len(), KEPT + LIVE - 1, "and nothing is left out");
}
