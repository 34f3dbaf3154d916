//! Queues in a folder, through reloads and from one process to the next.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use config::Plan;
use queue::accept::{INLINE, New, NewBody, Refused};
use queue::state::Outcome;
use queue::{Queue, Queues};
use upstream::clock::wall_ms;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

fn plan(queues: &str) -> Plan {
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:1\"\n[[route]]\npath = \"/\"\nrespond = {{ status = 404 }}\n{queues}"
    );
    let parsed = config::parse(&text, "file", Path::new("/"), &|_| None);
    parsed.unwrap_or_else(|report| panic!("{report}")).plan
}

fn with_queue() -> Plan {
    plan(
        "[queue.q]\ndeliver = [\"http://127.0.0.1:9/\"]\nallow_private_addresses = true\nkeep = { done = \"0s\" }\n\
         concurrency = 1000\n",
    )
}

/// Queues at work, and what they said.
fn queues() -> (Arc<Queues>, Arc<Mutex<Vec<String>>>) {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let own = said.clone();
    let tell = Arc::new(move |text: &str| own.lock().unwrap().push(text.to_owned()));
    (Queues::new(1, tokio::runtime::Handle::current(), tell), said)
}

fn open(folder: &Path) -> (Arc<Queues>, Arc<Queue>) {
    let (queues, _) = queues();
    queues.follow(&with_queue(), folder, Duration::ZERO).unwrap();
    let queue = queues.find("q").unwrap();
    (queues, queue)
}

fn message(body: &[u8]) -> New<'static> {
    New {
        method: b"POST",
        target: b"/",
        fields: b"Host: a\r\n",
        body: NewBody::Whole(Bytes::copy_from_slice(body)),
        order: None,
        key: None,
        due: 0,
        hops: "",
        event: None,
        fired: None,
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let all = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, all).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_left_the_file_accepts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (queues, queue) = open(folder.path());
    queues.follow(&plan(""), folder.path(), Duration::ZERO).unwrap();
    for refused in [queue.accept(message(b"x")).await.map(drop), queue.has_room(1)] {
        assert!(matches!(refused, Err(Refused::Left)), "{refused:?}");
    }
    queues.follow(&with_queue(), folder.path(), Duration::ZERO).unwrap();
    let id = queue.accept(message(b"y")).await.unwrap().id;
    assert_eq!(queues.take(0, wall_ms()).unwrap().id(), id);
    queues.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_has_the_key_of_what_the_clock_sends() {
    let folder = tempfile::tempdir().unwrap();
    let (queues, queue) = open(folder.path());
    let clock = || New { fired: Some(60), ..message(b"by the clock") };
    for key in [&b"every 60"[..], b"clock", &60_u64.to_le_bytes()] {
        let client = New { key: Some(key), ..message(b"by a client") };
        assert!(!queue.accept(client).await.unwrap().again);
    }
    assert!(!queue.accept(clock()).await.unwrap().again);
    assert!(queue.accept(clock()).await.unwrap().again, "it is sent once");
    queues.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_moved_while_it_is_delivered_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let (queues, queue) = open(folder.path());
    let mut upload = queue.upload(None).unwrap();
    let body: Vec<u8> = (0..10 * INLINE).map(|place| (place / 1000) as u8).collect();
    upload.push(&body).await.unwrap();
    upload.finish().await.unwrap();
    queue.accept(New { body: NewBody::Uploaded(upload), ..message(b"") }).await.unwrap();
    let task = queues.take(0, wall_ms()).unwrap();
    let mut pieces = task.message().await.unwrap().pieces(&task).unwrap();
    let mut read = std::future::poll_fn(|cx| pieces.poll_next(cx)).await.unwrap().unwrap().to_vec();
    // So much comes and goes that the log's beginning is given back.
    for _ in 0..200 {
        queue.accept(message(&vec![0; INLINE])).await.unwrap();
        until("it is delivered", || queues.running() == 1).await;
        let other = queues.take(0, wall_ms()).unwrap();
        let message = other.message().await.unwrap();
        let outcome = Outcome { status: 200, began: wall_ms(), ..Outcome::default() };
        other.settle(&message, &outcome, b"");
    }
    until("space is given back", || queues.log_bytes() < 32 << 20).await;
    while let Some(piece) = std::future::poll_fn(|cx| pieces.poll_next(cx)).await {
        read.extend_from_slice(&piece.unwrap());
    }
    assert!(read == body, "{} of {} bytes", read.len(), body.len());
    pieces.rewind();
    assert!(std::future::poll_fn(|cx| pieces.poll_next(cx)).await.unwrap().is_ok());
    drop(task);
    queues.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_over_waits_for_the_log_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (before, queue) = open(folder.path());
    let id = queue.accept(message(b"x")).await.unwrap().id;
    let ((next, said), path) = (queues(), folder.path().to_owned());
    let own = next.clone();
    let taking = tokio::task::spawn_blocking(move || own.take_over(&with_queue(), &path, Duration::ZERO));
    until("it is told of", || next.trouble().is_some()).await;
    assert!(next.trouble().unwrap().contains("another process uses them"));
    before.close().await;
    taking.await.unwrap();
    assert_eq!((next.trouble(), said.lock().unwrap().len()), (None, 1));
    assert_eq!(next.take(0, wall_ms()).unwrap().id(), id);
    next.close().await;
}
