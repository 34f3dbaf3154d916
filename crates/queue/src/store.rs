//! The log of a node's queues, and what belongs to it as long as it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use engine::{Append, AppendError, Log, Position, ReadError, Room};

use crate::hold::Hold;
use crate::id::Ids;
use crate::wake::Wake;

/// What all queues of a node share.
pub(crate) struct Store {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) ids: Ids,
    /// Tells this log from others, in `Nearside-Hops`.
    pub(crate) tag: String,
    pub(crate) wake: Arc<Wake>,
    pub(crate) hold: Hold,
    /// The last record that was applied.
    applied: AtomicU64,
}

impl Store {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        ids: Ids,
        tag: String,
        wake: Arc<Wake>,
        applied: Position,
    ) -> Arc<Store> {
        let applied = AtomicU64::new(applied.0);
        Arc::new(Store { log, ids, tag, wake, hold: Hold::default(), applied })
    }

    /// Appends a record; `done` is told on the log's own thread, in the order of the log.
    pub(crate) fn append(
        &self,
        record: Bytes,
        room: Room,
        done: impl FnOnce(Result<Position, AppendError>) + Send + 'static,
    ) {
        self.log.append(vec![Append { record, room, done: Box::new(done) }]);
    }

    /// Why nothing can be written any more, if so: the log has stopped, or is closed. A full disk is
    /// something else, since space may come back with the next record that is tried.
    pub(crate) fn stopped(&self) -> Option<AppendError> {
        self.log.trouble().filter(|trouble| !matches!(trouble, AppendError::Full(_)))
    }

    /// Everything up to and with this record has been applied.
    pub(crate) fn note_applied(&self, position: Position) {
        self.applied.fetch_max(position.0, Ordering::Release);
    }

    pub(crate) fn applied(&self) -> Position {
        Position(self.applied.load(Ordering::Acquire))
    }

    pub(crate) async fn read(&self, at: Position) -> Result<Bytes, ReadError> {
        match self.log.read_now(at) {
            Some(read) => read,
            None => self.log.read(at).await,
        }
    }
}
