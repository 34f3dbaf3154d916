//! The demo at work: both sides are served, and only one of them loses requests to the endpoints that die.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use lab::demo::{Moment, Opened, Options, Summary, run};
use upstream::usable::Standing;

const LENGTH: Duration = Duration::from_secs(4);

/// What is at a URL of the node, with its head.
fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn look_around(opened: &Opened) {
    for (path, address) in [("/", opened.node), ("/random/", opened.node), ("/readyz", opened.admin)] {
        let answer = get(address, path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}

/// Plays it once and checks what must hold however busy the machine is.
fn play() -> Summary {
    let (mut opened, mut avoided) = (None, false);
    let summary = run(Options { length: Some(LENGTH) }, &mut |moment| match moment {
        Moment::Opened(at) => {
            look_around(at);
            opened = Some(at.clone());
        }
        Moment::View(view) => {
            let b = &view.rows[1];
            avoided |= !b.alive && b.standing != Standing::Up;
        }
    });
    let summary = summary.unwrap();
    assert!(avoided, "the node never noticed that b was dead");
    let Opened { node, config, .. } = opened.unwrap();
    assert!(TcpStream::connect(node).is_err(), "the node still listens");
    let data = config.lines().find_map(|line| line.strip_prefix("data = \"")?.strip_suffix('"')).unwrap();
    assert!(!Path::new(data).exists(), "{data} is still there");

    let (near, random) = (&summary.nearside, &summary.random);
    assert_eq!(near.failed, 0, "{summary:?}");
    assert!(summary.holds());
    assert!(near.requests >= 400, "{summary:?}");
    assert_eq!(near.requests, random.requests, "the same users ask both sides");
    // A half of a third of its requests went to nobody.
    assert!(random.failed > random.requests / 30, "{summary:?}");
    assert!(near.p50_ms < random.p50_ms && near.cache.p50_ms < near.others_p50_ms, "{summary:?}");
    assert!(near.endpoints.iter().all(|part| part.answers > 0), "{summary:?}");
    let told = |what: &str| summary.happenings.iter().any(|happening| happening.what.contains(what));
    assert!(told("b, e and the warehouse die") && told("b, e and the warehouse return"), "{summary:?}");
    assert!(told("node demo acknowledges"), "{summary:?}");
    cached(&summary);
    ordered(&summary);
    summary
}

/// What the queue must have done, as users, the warehouse and the node counted it.
fn ordered(summary: &Summary) {
    let orders = &summary.orders;
    assert!(orders.hold(), "{summary:?}");
    assert!(orders.accepted >= 40, "{summary:?}");
    assert_eq!((orders.waiting, orders.lost, orders.dead), (0, 0, 0), "{summary:?}");
    assert_eq!(orders.attempts, orders.delivered + orders.retried, "{summary:?}");
    // A fifth fails, and those who came while the warehouse was dead.
    assert!(orders.retried > orders.accepted / 10, "{summary:?}");
    let caught_up = |what: &str| what.starts_with("the warehouse has the ");
    assert!(summary.happenings.iter().any(|happening| caught_up(&happening.what)), "{summary:?}");
}

/// What the cache must have done, as users, endpoints and the node counted it.
fn cached(summary: &Summary) {
    let (near, random) = (&summary.nearside, &summary.random);
    assert!(near.cache.share > 0.3, "{summary:?}");
    assert!(near.stale > 0, "pictures while e was dead: {summary:?}");
    assert!(near.endpoint_work.requests < random.endpoint_work.requests, "{summary:?}");
    assert!(near.endpoint_work.bytes < random.endpoint_work.bytes / 2, "{summary:?}");
    assert_eq!((random.cache.answers, random.stale, random.collapsed), (0, 0, 0), "{summary:?}");
    let counted = |results: &[&str]| results.iter().map(|result| summary.node_cache[result]).sum::<u64>();
    let hits = counted(&["hit", "stale"]);
    assert!(hits >= near.cache.answers, "the node counted {hits} hits: {summary:?}");
}

#[test]
fn nearside_hides_a_death_that_random_choice_shows() {
    // A machine that stands still for a moment gives all requests of both sides the same p99, which says
    // nothing of either; three times in a row it would say something.
    let mut met = Vec::new();
    let faster = (0..3).map(|_| play()).any(|Summary { nearside, random, .. }| {
        met.push((nearside.p99_ms, random.p99_ms));
        nearside.p99_ms < random.p99_ms
    });
    assert!(faster, "p99 was never lower than that of random choice: {met:?}");
}
