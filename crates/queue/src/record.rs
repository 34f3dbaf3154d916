//! What lies in the log: each change of a queue that must last.
//!
//! How it is written stands in [`write`], how it is read in [`read`]; `docs/formats.md` has the table.

mod read;
pub(crate) mod reader;
mod write;

use engine::Position;

pub use read::BadRecord;
pub(crate) use write::{bytes as write_bytes, variable};

/// Bytes that a message counts for beside its texts and its body: what its records take in the log.
const EACH: u64 = 128;

/// A message's number, growing in each queue in the order of its log; the same for all attempts.
pub type Number = u64;

/// A receiver's number within its queue; given when it is first named, never used again.
pub type ReceiverIndex = u16;

/// One record. It names its queue, so that one log holds all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// What happened.
    pub what: What<'a>,
}

/// What happened. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What<'a> {
    /// A message was accepted, or is copied forward as it was.
    Accepted(Box<Accepted<'a>>),
    /// A delivery failed and is tried again.
    Tried(Tried<'a>),
    /// A receiver is done with a message, one way or the other.
    Ended(Ended<'a>),
    /// A message goes to a receiver again, from its first attempt on; none: to all that it had.
    Replayed {
        /// Which.
        number: Number,
        /// To whom.
        receiver: Option<ReceiverIndex>,
        /// Not before this time: a replay of many is spread.
        due: u64,
    },
    /// A receiver got its number.
    Receiver {
        /// Its number.
        index: ReceiverIndex,
        /// As in the file.
        text: &'a str,
    },
    /// Deliveries stop or go on.
    Paused(bool),
    /// An operator took a message out.
    Dropped {
        /// Which.
        number: Number,
        /// Whose; none: all of it.
        receiver: Option<ReceiverIndex>,
    },
    /// A part of a body that is too large for one record.
    Piece {
        /// The upload that it is of: [`Body::Pieces`] names it.
        upload: Number,
        /// Some of its bytes.
        bytes: &'a [u8],
    },
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted<'a> {
    /// Its number.
    pub number: Number,
    /// When it came.
    pub at: u64,
    /// Not to be delivered before.
    pub due: u64,
    /// To whom it goes.
    pub receivers: Vec<ReceiverIndex>,
    /// Hash of what `order_by` names; none: it needn't wait for others.
    pub order: Option<u64>,
    /// Hashes of its `Idempotency-Key` (or CloudEvent's source and id) and of what it asks, and how
    /// long they are remembered.
    pub dedupe: Option<Dedupe>,
    /// The time that the clock sent it for, in seconds since 1970.
    pub fired: Option<u64>,
    /// Queues that it came through, as in `Nearside-Hops`.
    pub hops: &'a str,
    /// Upper case.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Field lines, each `Name: value\r\n`, as they are to be sent.
    pub fields: &'a [u8],
    /// A CloudEvent's source, type and id; empty: it is none.
    pub event: Event<'a>,
    /// Its body.
    pub body: Body<'a>,
}

impl Accepted<'_> {
    /// What it counts for in a queue that may become full.
    pub fn bytes(&self) -> u64 {
        let Event { source, kind, id } = self.event;
        let texts = [self.hops, self.method, self.target, source, kind, id].map(str::len);
        EACH + (texts.iter().sum::<usize>() + self.fields.len()) as u64 + self.body.bytes()
    }
}

/// What a CloudEvent says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Event<'a> {
    pub source: &'a str,
    pub kind: &'a str,
    pub id: &'a str,
}

/// By what a second one is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedupe {
    /// Of the key.
    pub key: u128,
    /// Of method, target and body.
    pub content: u128,
    /// Till when it is remembered, in milliseconds since 1970.
    pub till: u64,
}

/// A message's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It came in pieces.
    Pieces {
        /// The number by which the pieces name it. It is not the message's, which a message gets when all
        /// of it is there, so that one that comes slowly holds up nobody who follows.
        upload: Number,
        /// Where they lie, each with its length.
        at: Vec<(Position, u32)>,
    },
}

impl Default for Body<'_> {
    fn default() -> Self {
        Self::Whole(b"")
    }
}

impl Body<'_> {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Pieces { at, .. } => at.iter().map(|(_, length)| u64::from(*length)).sum(),
        }
    }
}

/// A delivery that failed and will be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried<'a> {
    /// Which message.
    pub number: Number,
    /// To whom.
    pub receiver: ReceiverIndex,
    /// When it is tried again.
    pub due: u64,
    /// All attempts so far, the last at the end.
    pub history: History<'a>,
}

/// A receiver is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended<'a> {
    /// Which message.
    pub number: Number,
    /// Whose.
    pub receiver: ReceiverIndex,
    /// When.
    pub at: u64,
    /// How.
    pub how: End,
    /// All attempts, the last at the end.
    pub history: History<'a>,
}

/// How a receiver is done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It took it.
    Done,
    /// It won't: a dead letter.
    Dead,
}

/// The attempts of one delivery; the first ones are left out where there are very many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History<'a> {
    /// Attempts in all since the message came or was replayed.
    pub attempts: u32,
    /// The last ones.
    pub last: Vec<Attempt>,
    /// The beginning of the last answer's body, or what went wrong.
    pub answer: &'a [u8],
}

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When it began, in milliseconds since 1970.
    pub at: u64,
    /// How long it took, in milliseconds.
    pub took: u32,
    /// The answer's; 0: there was none.
    pub status: u16,
}
