//! A log in segments on this machine's disk.
//!
//! Records lie in `format` one after the other; a position counts the bytes before it, from the log's
//! beginning on. One thread writes (`writer`), one tells (`teller`), everybody reads. `docs/formats.md`
//! describes the files.

mod follow;
mod format;
mod inbox;
mod recover;
mod shared;
mod store;
mod table;
mod teller;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use self::follow::Follower;
use self::format::{BATCH_HEAD, LARGEST_BATCH, LARGEST_SEGMENT, SEGMENT_HEAD, SMALLEST_SEGMENT};
use self::inbox::groups;
use self::shared::Shared;
use self::table::Table;
use self::teller::Tell;
use self::writer::Writer;
use crate::files::Files;
use crate::log::{Append, AppendError, Follow, Later, Log, Position, Positions, ReadError};

/// The file that is locked by the process that has the log.
const LOCK: &str = "lock";

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of each segment that is begun from now on, 4 KiB to 1 GiB. A record must fit into one.
    pub segment: u64,
    /// Bytes of memory that may wait for the disk; beyond that, appending is refused.
    pub waiting: usize,
    /// A disk that has not answered for so long is trouble.
    pub patience: Duration,
    /// Where reading waits for the disk.
    pub runtime: Handle,
}

impl Options {
    /// Segments of 16 MiB, 32 MiB that may wait, 5 s of patience.
    pub fn new(runtime: Handle) -> Options {
        let patience = Duration::from_secs(5);
        Options { segment: 16 * 1024 * 1024, waiting: 32 * 1024 * 1024, patience, runtime }
    }
}

/// Gets each record with its position.
pub type Visit<'a> = &'a mut dyn FnMut(Position, &[u8]);

/// Why a log can't be opened. No record of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Those of the file system.
    #[error("the log can't be opened: {0}")]
    Io(io::Error),
    /// Another process has it.
    #[error("the log is in use by another process")]
    Busy,
    /// It was written by another version of this program.
    #[error(
        "{file} is of version {version} of the format, and only version 1 is known; start the program that wrote it"
    )]
    #[allow(missing_docs)]
    Version { file: String, version: u8 },
    /// A segment was put there from somewhere else.
    #[error("{file} belongs to another log; move it away")]
    #[allow(missing_docs)]
    Foreign { file: String },
    /// A segment is gone, though later ones are there.
    #[error("{file} is missing; put it back, or lose what is in the earlier segments and move them away")]
    #[allow(missing_docs)]
    Missing { file: String },
    /// What was stable once isn't what it was.
    #[error(
        "{file} is damaged at byte {offset} (position {position}): {why}. No crash leaves that. Put the folder \
         back from a copy; or move this segment, all later ones and the snapshots away, and lose what they hold"
    )]
    #[allow(missing_docs)]
    Damaged { file: String, offset: u64, position: Position, why: &'static str },
    /// The log doesn't hold what was asked for.
    #[error(
        "records from {from} on were asked for, but the log goes from {first} to {end}: segments were removed, or \
         this is another log's snapshot"
    )]
    #[allow(missing_docs)]
    NotThere { from: Position, first: Position, end: Position },
}

/// A log in a folder. Dropping it closes it.
pub struct Embedded {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Bytes of a group's records on disk at most.
    limit: usize,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// To the thread that tells.
    teller: Sender<Tell>,
    /// That thread.
    telling: ThreadId,
}

impl Embedded {
    /// Opens the log in a folder, or makes it, and shows `visit` each record from `from` on, or from the
    /// first, in order. That a record was shown means nothing until this returns. Blocks.
    ///
    /// # Errors
    /// The log is damaged, not all there or not readable, or isn't ours.
    pub fn open(
        files: Arc<dyn Files>,
        options: Options,
        from: Option<Position>,
        visit: Visit<'_>,
    ) -> Result<Embedded, OpenError> {
        let lock = files.open(LOCK).map_err(OpenError::Io)?;
        if !lock.lock().map_err(OpenError::Io)? {
            return Err(OpenError::Busy);
        }
        let segment = options.segment.clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT);
        let found = recover::recover(&files, segment, from, visit)?;
        let shared = Shared::new(found.log, files, Table::new(found.segments), &options);
        let shared = Arc::new(shared);
        let limit = LARGEST_BATCH.min((segment - SEGMENT_HEAD) as usize) - BATCH_HEAD;
        let (teller, tells) = channel();
        let writer = Writer {
            shared: shared.clone(),
            teller: teller.clone(),
            store: found.store,
            active: found.active,
            generation: found.generation,
            limit,
            freed: VecDeque::new(),
            short: false,
        };
        let telling = spawn("engine-teller", {
            let shared = shared.clone();
            move || teller::run(&shared, &tells)
        })?;
        let writer = spawn("engine-writer", move || {
            let _held = lock; // till nothing is written any more
            writer.run();
        })?;
        let (writer, telling) = (Mutex::new(Some(writer)), telling.thread().id());
        Ok(Embedded { shared, runtime: options.runtime, limit, writer, teller, telling })
    }

    /// Takes no more records, and waits until those that were taken are told what became of them.
    pub fn close(&self) {
        self.shared.inbox.close(AppendError::Closed);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join(); // it tells its own panics
        }
        let (reached, all_told) = channel();
        self.tell(Tell::Reached(reached));
        // Whoever is told may have had the last handle of this log.
        if std::thread::current().id() != self.telling {
            let _ = all_told.recv();
        }
        self.shared.news.send_replace(true);
    }

    fn tell(&self, what: Tell) {
        let _ = self.teller.send(what); // that thread lives as long as this sender
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.into()).spawn(work).map_err(OpenError::Io)
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

impl Log for Embedded {
    fn append(&self, records: Vec<Append>) {
        let groups = match groups(records, self.limit) {
            Ok(groups) => groups,
            Err((size, records)) => {
                let dones = records.into_iter().map(|append| append.done).collect();
                return self.tell(Tell::Refused(dones, AppendError::TooLarge(size), 0));
            }
        };
        if let Err((why, groups)) = self.shared.inbox.push(groups) {
            let dones = groups.into_iter().flat_map(|group| group.records).map(|append| append.done);
            self.tell(Tell::Refused(dones.collect(), why, 0));
        }
    }

    fn read_now(&self, at: Position) -> Option<Result<Bytes, ReadError>> {
        self.shared.record(at.0, false)
    }

    fn read(&self, at: Position) -> Later<Result<Bytes, ReadError>> {
        let shared = self.shared.clone();
        let reading = self.runtime.spawn_blocking(move || shared.record(at.0, true));
        Box::pin(async move {
            let io = |why: &str| Err(ReadError::Io(why.into()));
            match reading.await {
                Ok(Some(read)) => read,
                Ok(None) => io("the disk would not wait"),
                Err(_) => io("the runtime is being shut down"),
            }
        })
    }

    fn follow(&self, from: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(self.shared.clone(), self.runtime.clone(), from))
    }

    fn positions(&self) -> Positions {
        let table = self.shared.table();
        Positions { first: Position(table.first()), end: Position(table.end()) }
    }

    fn trim(&self, before: Position) {
        let freed = self.shared.table().trim(before.0);
        if !freed.is_empty() {
            self.shared.inbox.free(freed);
        }
    }

    /// Where the oldest segment ends, unless it is the one that is written.
    fn oldest(&self) -> Option<Position> {
        self.shared.table().oldest().map(Position)
    }

    fn trouble(&self) -> Option<AppendError> {
        self.shared.trouble()
    }
}
