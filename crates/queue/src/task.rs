//! One delivery under way: what is to be sent, and what becomes of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use config::plan::{Receiver, Secret};
use engine::{Later, Position, ReadError, Room};
use upstream::clock::wall_ms;

use crate::count::Count;
use crate::queue::Queue;
use crate::record::{Accepted, Body, End, History, Number, Record, What};
use crate::state::{Outcome, Work};
use crate::wake::Slot;

/// How often a message is looked for that the cleaner moves meanwhile.
const LOOKS: u32 = 3;

/// Characters of what went wrong that fit into a line.
const LINE: usize = 200;

/// A delivery. Dropped without [`Task::settle`], it is made again in a while.
pub struct Task {
    queue: Arc<Queue>,
    work: Work,
    settled: bool,
    _slot: Slot,
}

/// A message as it lies in the log.
pub struct Message {
    record: Bytes,
    /// The record of the attempts before.
    history: Option<Bytes>,
}

impl Task {
    pub(crate) fn new(queue: Arc<Queue>, work: Work, slot: Slot) -> Task {
        Task { queue, work, settled: false, _slot: slot }
    }

    /// Its queue.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Which attempt it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.work.attempt
    }

    /// The message's id, as the outside knows it.
    pub fn id(&self) -> String {
        self.queue.id(self.work.number)
    }

    /// To whom; none: the file doesn't name it any more.
    pub fn receiver(&self) -> Option<Receiver> {
        self.queue.receiver(&self.work.receiver_text)
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.queue.plan.load().timeout
    }

    /// May a URL lead to a private address?
    pub fn allows_private(&self) -> bool {
        self.queue.plan.load().allow_private
    }

    /// What it is signed with.
    pub fn secrets(&self) -> Vec<Secret> {
        self.queue.secrets()
    }

    /// Reads the message.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn message(&self) -> Result<Message, ReadError> {
        let record = find(&self.queue, self.work.number, self.work.position).await?;
        let history = match self.work.history {
            // Without it the attempts before aren't told of, that is all.
            Some(at) => self.queue.store.read(at).await.ok(),
            None => None,
        };
        Ok(Message { record, history })
    }

    /// Tells what came of it, and writes that down.
    pub fn settle(mut self, message: &Message, outcome: &Outcome, answer: &[u8]) {
        self.settled = true;
        self.write(outcome, message.history(), answer);
    }

    /// Its message can't be read: tried again, or a dead letter if what was read is damaged.
    pub fn unreadable(mut self, error: &ReadError) {
        self.settled = true;
        // What is damaged stays so.
        let hopeless = !matches!(error, ReadError::Io(_));
        let outcome = Outcome { status: 0, retry_after: None, hopeless, began: wall_ms(), took: 0 };
        let said = format!("the message can't be read: {error}");
        self.write(&outcome, History::default(), said.as_bytes());
    }

    fn write(&self, outcome: &Outcome, earlier: History<'_>, answer: &[u8]) {
        self.queue.note_error(&self.work.receiver_text, error(outcome, answer));
        let mut state = self.queue.lock();
        let what = state.settle(&self.work, outcome, earlier, answer, wall_ms(), fastrand::u64(..));
        let Some(what) = what else { return };
        let count = match &what {
            What::Ended(ended) if ended.how == End::Done => Count::Done,
            What::Ended(_) => Count::Dead,
            _ => Count::Retried,
        };
        let (own, work) = (self.queue.clone(), self.work.clone());
        self.queue.write(&what, Room::Reserve, move |at| match at {
            Ok(_) => own.counters.one(count),
            // It will be delivered again, since nobody would know that it was.
            Err(_) => {
                own.store.hold.failed(wall_ms());
                own.lock().unsettle(&work, wall_ms());
            }
        });
    }

    /// What `Nearside-Hops` says.
    pub fn hops<'m>(&self, message: &'m Message) -> &'m str {
        message.content().hops
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.settled {
            self.queue.lock().unsettle(&self.work, wall_ms());
        }
    }
}

/// What went wrong, in a short line.
fn error(outcome: &Outcome, answer: &[u8]) -> Option<String> {
    match outcome.status {
        200..=299 => None,
        0 => Some(String::from_utf8_lossy(answer).chars().take(LINE).collect()),
        status => Some(format!("answered {status}")),
    }
}

fn accepted(record: &Bytes, at: Position) -> Result<Box<Accepted<'_>>, ReadError> {
    match Record::read(record).map(|record| record.what) {
        Ok(What::Accepted(accepted)) => Ok(accepted),
        Ok(_) => Err(ReadError::Damaged { at, why: "it is no message".into() }),
        Err(bad) => Err(ReadError::Damaged { at, why: bad.to_string().into() }),
    }
}

impl Message {
    /// What it says.
    ///
    /// It was read once already, so this doesn't fail; if it did, the message would be empty.
    pub fn content(&self) -> Accepted<'_> {
        accepted(&self.record, Position(0)).map(|boxed| *boxed).unwrap_or_default()
    }

    /// Of its body.
    pub fn bytes(&self) -> u64 {
        self.content().body.bytes()
    }

    /// Its body, if it lies in one record; else nothing.
    pub fn whole(&self) -> Bytes {
        match self.content().body {
            Body::Whole(whole) => self.record.slice_ref(whole),
            Body::Pieces { .. } => Bytes::new(),
        }
    }

    /// Its body, if it lies in pieces.
    pub fn pieces(&self, task: &Task) -> Option<Pieces> {
        let Body::Pieces { at, .. } = self.content().body else { return None };
        Some(Pieces {
            queue: task.queue.clone(),
            number: task.work.number,
            list: at.into(),
            next: 0,
            coming: Mutex::default(),
        })
    }

    fn history(&self) -> History<'_> {
        let read = self.history.as_ref().and_then(|bytes| Record::read(bytes).ok());
        match read.map(|record| record.what) {
            Some(What::Tried(tried)) => tried.history,
            _ => History::default(),
        }
    }
}

/// Where the pieces of a body lie, each with its length.
type List = Arc<[(Position, u32)]>;

/// A record that is being read, and where all pieces lie then.
type Coming = Later<Result<(List, Bytes), ReadError>>;

/// Reads the pieces of a body one after the other.
pub struct Pieces {
    queue: Arc<Queue>,
    number: Number,
    list: List,
    next: usize,
    /// Only ever reached alone; the lock lets others hold a reference meanwhile.
    coming: Mutex<Option<Coming>>,
}

impl Pieces {
    /// The next one; none at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        let Some(&(at, _)) = self.list.get(self.next) else { return Poll::Ready(None) };
        let coming = self.coming.get_mut().unwrap_or_else(PoisonError::into_inner);
        if coming.is_none()
            && let Some(Ok(record)) = self.queue.store.log.read_now(at)
        {
            self.next += 1;
            return Poll::Ready(Some(piece(&record, at)));
        }
        let find = || find_piece(self.queue.clone(), self.number, self.list.clone(), self.next);
        let found = ready!(coming.get_or_insert_with(|| Box::pin(find())).as_mut().poll(cx));
        *coming = None;
        self.next += 1;
        Poll::Ready(Some(found.and_then(|(list, record)| {
            self.list = list;
            piece(&record, at)
        })))
    }

    /// Begins again with the first.
    pub fn rewind(&mut self) {
        self.next = 0;
        self.coming = Mutex::default();
    }
}

/// The record of a message, wherever it lies by now.
async fn find(queue: &Queue, number: Number, mut at: Position) -> Result<Bytes, ReadError> {
    for _ in 0..LOOKS {
        match queue.store.read(at).await {
            Err(ReadError::NotThere(_)) => {
                let there = queue.lock().message(number);
                at = there.map(|message| message.position).ok_or(ReadError::NotThere(at))?;
            }
            read => {
                let record = read?;
                accepted(&record, at)?;
                return Ok(record);
            }
        }
    }
    Err(ReadError::NotThere(at))
}

/// The record of a piece, wherever it lies by now, and where they all do.
async fn find_piece(
    queue: Arc<Queue>,
    number: Number,
    mut list: List,
    place: usize,
) -> Result<(List, Bytes), ReadError> {
    for _ in 0..LOOKS {
        let at = list.get(place).map(|(at, _)| *at).unwrap_or_default();
        match queue.store.read(at).await {
            Err(ReadError::NotThere(_)) => {
                let there = queue.lock().message(number).ok_or(ReadError::NotThere(at))?;
                let record = find(&queue, number, there.position).await?;
                let Body::Pieces { at: moved, .. } = accepted(&record, there.position)?.body else {
                    return Err(ReadError::NotThere(at));
                };
                list = moved.into();
            }
            read => return read.map(|record| (list, record)),
        }
    }
    Err(ReadError::NotThere(list.get(place).map(|(at, _)| *at).unwrap_or_default()))
}

fn piece(record: &Bytes, at: Position) -> Result<Bytes, ReadError> {
    match Record::read(record).map(|record| record.what) {
        Ok(What::Piece { bytes, .. }) => Ok(record.slice_ref(bytes)),
        _ => Err(ReadError::Damaged { at, why: "it is no piece of a body".into() }),
    }
}
