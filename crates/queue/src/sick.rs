//! A queue at a log that hangs or is full when a test says so, which no real disk does.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::{Append, AppendError, Follow, Later, Log, Position, Positions, ReadError};
use tokio::time::{Instant, timeout};

use crate::Queue;
use crate::accept::{INLINE, New, NewBody, PATIENCE, Refused};
use crate::id::Ids;
use crate::state::{Rules, State};
use crate::store::Store;
use crate::wake::Wake;

#[derive(Clone, Copy)]
enum Mood {
    Well,
    Hangs,
    Full,
}

/// A log that can't be read.
struct Sick {
    mood: Mutex<Mood>,
    held: Mutex<Vec<Append>>,
    appended: AtomicUsize,
}

impl Sick {
    fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

fn full() -> AppendError {
    AppendError::Full("it is full".into())
}

impl Log for Sick {
    fn append(&self, records: Vec<Append>) {
        for append in records {
            let number = self.appended.fetch_add(1, SeqCst) as u64;
            let told = match *self.mood.lock().unwrap() {
                Mood::Well => Ok(Position(number)),
                Mood::Full => Err(full()),
                Mood::Hangs => {
                    self.held.lock().unwrap().push(append);
                    continue;
                }
            };
            tokio::spawn(async move { (append.done)(told) });
        }
    }

    fn read_now(&self, at: Position) -> Option<Result<Bytes, ReadError>> {
        Some(Err(ReadError::NotThere(at)))
    }

    fn read(&self, at: Position) -> Later<Result<Bytes, ReadError>> {
        Box::pin(std::future::ready(Err(ReadError::NotThere(at))))
    }

    fn follow(&self, _from: Position) -> Box<dyn Follow> {
        unreachable!("nobody does")
    }

    fn positions(&self) -> Positions {
        Positions { first: Position(0), end: Position(self.appended.load(SeqCst) as u64) }
    }

    fn trim(&self, _before: Position) {}

    fn oldest(&self) -> Option<Position> {
        None
    }

    fn trouble(&self) -> Option<AppendError> {
        None
    }
}

/// A queue of one receiver.
fn queue(mood: Mood) -> (Arc<Sick>, Arc<Queue>) {
    let text = "[[listen]]\naddress = \"127.0.0.1:1\"\n[[route]]\npath = \"/\"\nqueue = \"q\"\n\
                [queue.q]\ndeliver = [\"http://127.0.0.1:9/\"]\nallow_private_addresses = true\n";
    let plan = config::parse(text, "file", Path::new("/"), &|_| None).unwrap().plan;
    let plan = &plan.queues["q"];
    let sick =
        Arc::new(Sick { mood: Mutex::new(mood), held: Mutex::default(), appended: AtomicUsize::new(0) });
    let wake = Arc::new(Wake::new(1));
    let store = Store::new(sick.clone(), Ids::new([0; 32]), String::new(), wake, Position(0));
    let queue = Queue::new(plan, true, State::new(Rules::from(&**plan)), &store);
    queue.follow(Some(plan), &channel().0);
    (sick, queue)
}

fn message(key: &'static [u8]) -> New<'static> {
    New {
        method: b"POST",
        target: b"/",
        fields: b"",
        body: NewBody::Whole(Bytes::new()),
        order: None,
        key: Some(key),
        due: 0,
        hops: "",
        event: None,
        fired: None,
    }
}

/// What was appended is told.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_lets_nobody_wait_for_ever() {
    let (sick, queue) = queue(Mood::Well);
    settle().await;
    sick.feels(Mood::Hangs);
    let mut upload = queue.upload(None).unwrap();
    let begun = Instant::now();
    let all = async {
        tokio::join!(queue.accept(message(b"a")), queue.accept(message(b"a")), upload.push(&[0; INLINE]))
    };
    let (first, same, pushed) = timeout(2 * PATIENCE, all).await.expect("they are told");
    for told in [first.map(drop), same.map(drop), pushed] {
        assert!(matches!(told, Err(Refused::Stopped(_))), "{told:?}");
    }
    assert!(begun.elapsed() < PATIENCE + PATIENCE / 10, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_number_of_a_receiver_is_written_again_if_it_could_not_be() {
    let (sick, queue) = queue(Mood::Full);
    settle().await;
    assert!(matches!(queue.accept(message(b"a")).await, Err(Refused::Busy)));
    // Once at a time: a disk that hangs isn't given more and more of them.
    sick.feels(Mood::Hangs);
    let before = sick.appended.load(SeqCst);
    (0..10).for_each(|_| queue.write_receivers());
    assert_eq!(sick.appended.load(SeqCst), before + 1);
    sick.held.lock().unwrap().drain(..).for_each(|append| (append.done)(Err(full())));
    sick.feels(Mood::Well);
    queue.write_receivers();
    settle().await;
    queue.accept(message(b"a")).await.unwrap();
    assert_eq!(queue.lock().receivers(), Some(vec![0]));
    let before = sick.appended.load(SeqCst);
    queue.write_receivers();
    assert_eq!(sick.appended.load(SeqCst), before, "there is nothing to do any more");
}
