//! Space is given back, again and again, and nothing that matters goes with it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use config::Plan;
use queue::accept::{INLINE, NewBody};
use queue::{Queue, Queues};

use super::support::{LIMIT, done, message, plan, rest, until, whole};

/// The log's segments have so many bytes: the one that is written stays.
const SEGMENT: u64 = 16 << 20;

fn with_queue(keep: &str) -> Plan {
    plan(&format!(
        "[[route]]\nqueue = \"q\"\n[queue.q]\ndeliver = [\"https://shop.example/\"]\nkeep = {{ done = \"{keep}\" }}\n"
    ))
}

fn open(folder: &Path, keep: &str) -> Arc<Queues> {
    let background = tokio::runtime::Handle::current();
    let queues = Queues::new(1, background, Arc::new(|text: &str| panic!("{text}")));
    queues.follow(&with_queue(keep), folder, Duration::ZERO).unwrap();
    queues
}

async fn accept(queue: &Arc<Queue>, body: &[u8]) -> String {
    queue.accept(whole(body)).await.unwrap().id
}

async fn accept_large(queue: &Arc<Queue>, pieces: usize) {
    let mut upload = queue.upload(None).unwrap();
    for piece in 0..pieces {
        upload.push(&vec![piece as u8; INLINE]).await.unwrap();
    }
    upload.finish().await.unwrap();
    queue.accept(message(NewBody::Uploaded(upload))).await.unwrap();
}

/// Delivers what is due, but for the message of this id; says how many.
async fn deliver_but(queues: &Queues, left: &str) -> usize {
    let (mut delivered, mut held) = (0, Vec::new());
    while let Ok(task) = queues.take(0, upstream::clock::wall_ms()) {
        if task.id() == left {
            held.push(task);
            continue;
        }
        done(task).await;
        delivered += 1;
    }
    delivered
}

/// Accepts many large messages, delivers them, and waits till space is given back.
async fn come_and_go(queues: &Queues, left: &str) {
    pass(queues, left).await;
    until("space is given back", || queues.log_bytes() < 2 * SEGMENT).await;
}

/// Accepts 200 messages of a quarter of a MiB, and delivers them.
async fn pass(queues: &Queues, left: &str) {
    let queue = queues.find("q").unwrap();
    let mut delivered = 0;
    for number in 0..200_u64 {
        accept(&queue, &vec![number as u8; INLINE]).await;
        delivered += deliver_but(queues, left).await;
    }
    let over = Instant::now() + LIMIT;
    while delivered < 200 && Instant::now() < over {
        tokio::time::sleep(Duration::from_millis(5)).await;
        delivered += deliver_but(queues, left).await;
    }
    assert_eq!(delivered, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_is_given_back_each_time_and_what_waits_stays() {
    let folder = tempfile::tempdir().unwrap();
    let queues = open(folder.path(), "0s");
    let queue = queues.find("q").unwrap();
    let waiting = accept(&queue, b"I stay").await;
    for _ in 0..3 {
        come_and_go(&queues, &waiting).await;
    }
    queues.close().await;
    let queues = open(folder.path(), "0s");
    let task = queues.take(0, u64::MAX / 4).unwrap();
    assert_eq!(task.id(), waiting);
    assert_eq!(task.message().await.unwrap().whole(), Bytes::from_static(b"I stay"));
    drop(task);
    queues.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_uploads_slowly_keeps_no_space_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let queues = open(folder.path(), "0s");
    let queue = queues.find("q").unwrap();
    let mut slow = queue.upload(None).unwrap();
    slow.push(&vec![b'a'; INLINE]).await.unwrap();
    accept_large(&queue, 3).await;
    deliver_but(&queues, "").await;
    come_and_go(&queues, "").await;
    slow.push(&vec![b'b'; INLINE]).await.unwrap();
    come_and_go(&queues, "").await;
    slow.push(b"c").await.unwrap();
    slow.finish().await.unwrap();
    queue.accept(message(NewBody::Uploaded(slow))).await.unwrap();
    let task = queues.take(0, u64::MAX / 4).unwrap();
    let mut pieces = task.message().await.unwrap().pieces(&task).unwrap();
    assert_eq!(rest(&mut pieces).await, [vec![b'a'; INLINE], vec![b'b'; INLINE], b"c".to_vec()].concat());
    drop(task);
    queues.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleaning_that_was_cut_short_is_no_end_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let queues = open(folder.path(), "0s");
    let queue = queues.find("q").unwrap();
    let mut slow = queue.upload(None).unwrap();
    slow.push(&vec![b'a'; INLINE]).await.unwrap();
    // From here on, till it is a message, its pieces can't be moved.
    let mut whole = queue.upload(None).unwrap();
    whole.push(&vec![b'b'; INLINE]).await.unwrap();
    whole.finish().await.unwrap();
    pass(&queues, "").await;
    let before = queues.log_bytes();
    until("the first upload's piece is moved", || queues.log_bytes() > before).await;
    queue.accept(message(NewBody::Uploaded(whole))).await.unwrap();
    while deliver_but(&queues, "").await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    come_and_go(&queues, "").await;
    slow.finish().await.unwrap();
    queue.accept(message(NewBody::Uploaded(slow))).await.unwrap();
    let task = queues.take(0, u64::MAX / 4).unwrap();
    let mut pieces = task.message().await.unwrap().pieces(&task).unwrap();
    assert_eq!(rest(&mut pieces).await, vec![b'a'; INLINE]);
    drop(task);
    queues.close().await;
}
