use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::demo::{Moment, Options, run};

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

#[test]
fn nearside_hides_a_death_that_random_choice_shows() {
    let length = Duration::from_secs(4);
    let (mut opened, mut saw_dead, mut avoided) = (None, false, false);
    let summary = run(Options { length: Some(length) }, &mut |moment| match moment {
        Moment::Opened(at) => {
            for (path, address) in [("/", at.node), ("/random", at.node), ("/readyz", at.admin)] {
                let answer = get(address, path);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
            }
            opened = Some(at.clone());
        }
        Moment::View(view) => {
            assert_eq!(view.rows.len(), 4);
            let b = &view.rows[1];
            saw_dead |= !b.alive;
            avoided |= !b.alive && b.standing != upstream::usable::Standing::Up;
        }
    });
    let summary = summary.unwrap();
    assert!(saw_dead, "b was never dead");
    assert!(avoided, "the node never noticed that b was dead");

    let (near, random) = (&summary.nearside, &summary.random);
    assert_eq!(near.failed, 0, "{summary:?}");
    assert!(summary.holds());
    assert!(near.requests >= 400, "{summary:?}");
    assert_eq!(near.requests, random.requests, "the same users ask both sides");
    // A quarter of a third of its requests went to nobody.
    assert!(random.failed > random.requests / 30, "{summary:?}");
    assert!(near.p99_ms < random.p99_ms, "{summary:?}");
    assert!(near.endpoints[0].answers > near.endpoints[3].answers, "{summary:?}");
    assert!(near.endpoints.iter().all(|part| part.answers > 0), "{summary:?}");
    let told = |what: &str| summary.happenings.iter().any(|happening| happening.what.contains(what));
    assert!(told("b is killed") && told("b is started again"), "{summary:?}");

    let node = opened.unwrap().node;
    assert!(TcpStream::connect(node).is_err(), "the node still listens");
}
