//! What every engine does: the contract that one suite of tests holds them to.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// A record is at most so many bytes: larger things are written in pieces.
pub const LARGEST: usize = 1024 * 1024;

/// Where a record lies. Later records have greater positions; nothing else is to be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a log holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// Records before it are gone.
    pub first: Position,
    /// Where the next record will lie; all before it are stable.
    pub end: Position,
}

/// Which space a record may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// What there is.
    Ordinary,
    /// Also what is kept for the records by which space becomes free: what became of messages, and
    /// what is copied forward.
    Reserve,
}

/// Told once, on the engine's own thread and in the order of the log, when the record is stable or
/// surely isn't. It must be short, and may append.
pub type Done = Box<dyn FnOnce(Result<Position, AppendError>) + Send>;

/// What will be known once it is awaited.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A record on its way into a log.
pub struct Append {
    /// At most [`LARGEST`] bytes.
    pub record: Bytes,
    /// Which space it may take.
    pub room: Room,
    /// Who is told.
    pub done: Done,
}

/// Why a record is not in the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// There is no space now; there may be later.
    #[error("there is no space for it: {0}")]
    Full(Arc<str>),
    /// It will never be there: the engine could not make records last, and takes none until it is
    /// started anew. What was told stable before is.
    #[error("the log stopped: {0}")]
    Stopped(Arc<str>),
    /// It is larger than [`LARGEST`].
    #[error("a record of {0} bytes is too large")]
    TooLarge(usize),
    /// The engine is being closed.
    #[error("the log is closed")]
    Closed,
}

/// Why a record can't be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It was trimmed away, or never was there.
    #[error("there is no record at {0}")]
    NotThere(Position),
    /// What is there is not what was written.
    #[error("the record at {at} is damaged: {why}")]
    Damaged {
        /// Which.
        at: Position,
        /// How it shows.
        why: Arc<str>,
    },
    /// The disk or the network.
    #[error("can't be read: {0}")]
    Io(Arc<str>),
}

/// Why following ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FollowError {
    /// The next record was trimmed away; records begin at this position now.
    #[error("records before {0} are gone")]
    Trimmed(Position),
    /// As in reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The engine is closed.
    #[error("the log is closed")]
    Closed,
}

/// Records one after the other, waiting for those to come.
pub trait Follow: Send {
    /// The next stable record. Dropping the future loses none.
    fn next(&mut self) -> Later<Result<(Position, Bytes), FollowError>>;
}

/// Records in an order.
pub trait Log: Send + Sync + 'static {
    /// Takes records, in this order and without others between them. Never waits.
    fn append(&self, records: Vec<Append>);

    /// The record at a position that was told, if that can be had without waiting.
    fn read_now(&self, at: Position) -> Option<Result<Bytes, ReadError>>;

    /// The record at a position that was told.
    fn read(&self, at: Position) -> Later<Result<Bytes, ReadError>>;

    /// All stable records from `from` on, and those to come.
    fn follow(&self, from: Position) -> Box<dyn Follow>;

    /// What it holds.
    fn positions(&self) -> Positions;

    /// Records before this position aren't needed any more. Their space is given back, maybe later.
    fn trim(&self, before: Position);

    /// Up to where records must be trimmed for any space to be given back. None: what it holds is little.
    fn oldest(&self) -> Option<Position>;

    /// Why it takes no records, if it doesn't.
    fn trouble(&self) -> Option<AppendError>;
}
