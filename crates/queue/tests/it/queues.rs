//! Queues in a folder, through reloads and from one process to the next.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::Plan;
use queue::accept::{INLINE, New, NewBody, Refused};
use queue::{Queue, Queues};
use upstream::clock::wall_ms;

use super::support::{done, message, plan, rest, until, whole};

const ROUTE: &str = "[[route]]\npath = \"/\"\nrespond = { status = 404 }\n";

fn without() -> Plan {
    plan(ROUTE)
}

fn with_queue() -> Plan {
    let queue = "[queue.q]\ndeliver = [\"http://127.0.0.1:9/\"]\nallow_private_addresses = true\n\
                 keep = { done = \"0s\" }\nconcurrency = 1000\n";
    plan(&format!("{ROUTE}{queue}"))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_left_the_file_accepts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (queues, queue) = open(folder.path());
    queues.follow(&without(), folder.path(), Duration::ZERO).unwrap();
    for refused in [queue.accept(whole(b"x")).await.map(drop), queue.has_room(1)] {
        assert!(matches!(refused, Err(Refused::Left)), "{refused:?}");
    }
    queues.follow(&with_queue(), folder.path(), Duration::ZERO).unwrap();
    let id = queue.accept(whole(b"y")).await.unwrap().id;
    assert_eq!(queues.take(0, wall_ms()).unwrap().id(), id);
    queues.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_has_the_key_of_what_the_clock_sends() {
    let folder = tempfile::tempdir().unwrap();
    let (queues, queue) = open(folder.path());
    let clock = || New { fired: Some(60), ..whole(b"by the clock") };
    for key in [&b"every 60"[..], b"clock", &60_u64.to_le_bytes()] {
        let client = New { key: Some(key), ..whole(b"by a client") };
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
    queue.accept(message(NewBody::Uploaded(upload))).await.unwrap();
    let task = queues.take(0, wall_ms()).unwrap();
    let mut pieces = task.message().await.unwrap().pieces(&task).unwrap();
    let mut read = std::future::poll_fn(|cx| pieces.poll_next(cx)).await.unwrap().unwrap().to_vec();
    // So much comes and goes that the log's beginning is given back.
    for _ in 0..200 {
        queue.accept(whole(&vec![0; INLINE])).await.unwrap();
        until("it is delivered", || queues.running() == 1).await;
        let other = queues.take(0, wall_ms()).unwrap();
        done(other).await;
    }
    until("space is given back", || queues.log_bytes() < 32 << 20).await;
    read.extend(rest(&mut pieces).await);
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
    let id = queue.accept(whole(b"x")).await.unwrap().id;
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
