//! A node that is killed at any moment while messages come and go at full speed: what was acknowledged is
//! delivered, what is done is not delivered again, and order by key holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Delivery, OK, Receiver, Scene, post_on, quick, rounds};
use crate::support::{Client, Message, comes_true};

/// Clients that send, each with a key of its own.
const WRITERS: usize = 8;
/// What was answered so long before a crash counts as done for good.
const SETTLED: Duration = Duration::from_secs(1);
/// How long all that is left may take to be delivered.
const REST: Duration = Duration::from_secs(180);

/// Numbers that only their seed decides (splitmix64).
fn random(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A receiver that mostly takes what it gets, and fails in each way now and then.
pub(super) fn unsteady() -> Receiver {
    let count = AtomicU64::new(0);
    Receiver::start(move |_: &Message| {
        let random = random(count.fetch_add(1, SeqCst));
        if random.is_multiple_of(7) {
            std::thread::sleep(Duration::from_millis(random / 7 % 20));
        }
        match random % 23 {
            0 => Ok("500 -".to_owned()),
            1 => Ok("429 -\r\nRetry-After: 0".to_owned()),
            2 => Err(io::ErrorKind::Other.into()),
            _ => Ok(OK.to_owned()),
        }
    })
}

/// Sends message after message of one key. One without an answer is sent again with the same
/// `Idempotency-Key`, so that it must be there once.
pub(super) struct Writer {
    key: usize,
    /// The ids of those that were acknowledged; the next number is how many there are.
    acknowledged: Vec<String>,
}

impl Writer {
    pub(super) fn new(key: usize) -> Self {
        Self { key, acknowledged: Vec::new() }
    }

    /// Sends the next message, or the one before again if that wasn't acknowledged.
    pub(super) fn send(&mut self, client: &mut Client) -> io::Result<Message> {
        let (key, number) = (self.key, self.acknowledged.len());
        let fields = format!("X-Key: {key}\r\nIdempotency-Key: {key}-{number}\r\n");
        let length = random(number as u64) % 2000;
        let body = format!("{key} {number} {}", "x".repeat(length as usize));
        let answer = post_on(client, &fields, body.as_bytes())?;
        if answer.status() == 202 {
            self.acknowledged.push(super::id(&answer));
        }
        Ok(answer)
    }

    /// Sends till the node is gone.
    fn work(&mut self, to: SocketAddr) -> io::Result<()> {
        let mut client = Client::connect(to)?;
        loop {
            let answer = self.send(&mut client)?;
            assert_eq!(answer.status(), 202, "{}", answer.text());
            // One key's messages go one after the other: what came faster would only lie there.
            std::thread::sleep(Duration::from_millis(random(self.acknowledged.len() as u64) % 16));
        }
    }
}

/// When a node was killed, and when it was ready again.
pub(super) struct Crash {
    killed: Instant,
    back: Instant,
}

/// A message's key and number.
fn named(delivery: &Delivery) -> (usize, usize) {
    let body = delivery.body();
    let mut words = body.split(' ').map(|word| word.parse().unwrap_or(usize::MAX));
    (words.next().unwrap(), words.next().unwrap())
}

/// Fails the test if anything of what happened breaks a promise.
pub(super) fn check(writers: &[Writer], deliveries: &[Delivery], crashes: &[Crash]) {
    let mut ids: BTreeMap<(usize, usize), BTreeSet<&str>> = BTreeMap::new();
    let mut taken: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for delivery in deliveries {
        let (key, number) = named(delivery);
        ids.entry((key, number)).or_default().insert(delivery.id());
        let before = last.insert(key, number).unwrap_or(0);
        assert!(number == before || number == before + 1, "{key}: {number} came after {before}");
        if let Some(done) = taken.get(delivery.id()) {
            // What was in flight when the node was killed may come again, and nothing else. Its answer may
            // have been written to a connection whose other end was gone.
            let crash = crashes.iter().find(|crash| *done < crash.back && crash.killed <= delivery.at);
            let crash = crash.unwrap_or_else(|| {
                let after = delivery.at - *done;
                panic!("{key} {number} was done, and came again {after:?} later without a crash")
            });
            let settled = crash.killed.saturating_duration_since(*done);
            assert!(
                settled < SETTLED,
                "{key} {number} was done for {settled:?} before a crash, and came again"
            );
        }
        if let Some((200, at)) = delivery.answered {
            taken.insert(delivery.id(), at);
        }
    }
    for (message, ids) in &ids {
        assert_eq!(ids.len(), 1, "{message:?} was sent again with its key, and is there twice");
    }
    for writer in writers {
        for (number, id) in writer.acknowledged.iter().enumerate() {
            assert!(taken.contains_key(id.as_str()), "{} {number} was acknowledged and is lost", writer.key);
            assert_eq!(ids[&(writer.key, number)].first(), Some(&id.as_str()));
        }
    }
}

#[test]
fn a_crash_loses_nothing_repeats_only_what_was_in_flight_and_keeps_the_order() {
    // What is done is soon of no use, so that the log is cleaned too.
    let rules = format!("order_by = \"header:X-Key\"\nkeep = {{ done = \"500ms\" }}\n{}", quick(100));
    let mut scene = Scene::start(&rules, unsteady());
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut crashes = Vec::new();
    for round in 0..rounds(5, 200) {
        let to = scene.node.listen;
        let killed = std::thread::scope(|scope| {
            let working: Vec<_> =
                writers.iter_mut().map(|writer| scope.spawn(move || writer.work(to))).collect();
            // Long enough that some of what is done must be so for good.
            std::thread::sleep(Duration::from_millis(1000 + random(round) % 800));
            let killed = Instant::now();
            scene.node.signal(Signal::KILL);
            for writer in working {
                let ended = writer.join().expect("no other answer than 202");
                assert!(ended.is_err(), "it went on till the node was gone");
            }
            killed
        });
        scene.node.kill();
        scene.node.start_again();
        crashes.push(Crash { killed, back: Instant::now() });
    }
    let all: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
    assert!(all > crashes.len() * WRITERS, "{all}");
    let quiet = comes_true(REST, || {
        let queue = scene.queue();
        ["waiting", "delayed", "running"].iter().all(|state| queue[state] == 0)
    });
    assert!(quiet, "{}", scene.queue());
    check(&writers, &scene.shop.deliveries(), &crashes);
    assert_eq!(scene.queue()["dead"], 0);
}
