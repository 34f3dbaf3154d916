//! Reading one record after the other, in larger pieces, and waiting for those to come.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

use super::format;
use super::shared::{Shared, damaged, read};
use super::table::{Next, Spot};
use crate::log::{Follow, FollowError, Later, Position, ReadError};

/// Bytes that are read at once, and so what a follower holds; only a larger batch is more.
const PIECE: u64 = 256 * 1024;

/// Reads on from some position.
pub struct Follower {
    // A future outlives the borrow that made it, so it shares what it changes.
    cursor: Arc<Mutex<Cursor>>,
}

struct Cursor {
    shared: Arc<Shared>,
    runtime: Handle,
    news: watch::Receiver<bool>,
    /// Where the next batch begins.
    at: u64,
    /// Records before it were not asked for.
    from: u64,
    ready: VecDeque<(Position, Bytes)>,
}

/// What was read of a segment.
struct Piece {
    records: VecDeque<(Position, Bytes)>,
    /// Where the next batch begins.
    end: u64,
}

impl Follower {
    /// All stable records from this position on.
    pub fn new(shared: Arc<Shared>, runtime: Handle, from: Position) -> Follower {
        let at = shared.table().batch_before(from.0);
        let news = shared.news.subscribe();
        let ready = VecDeque::new();
        Follower { cursor: Arc::new(Mutex::new(Cursor { shared, runtime, news, at, from: from.0, ready })) }
    }
}

impl Follow for Follower {
    fn next(&mut self) -> Later<Result<(Position, Bytes), FollowError>> {
        let cursor = self.cursor.clone();
        Box::pin(async move { cursor.lock_owned().await.next().await })
    }
}

impl Cursor {
    async fn next(&mut self) -> Result<(Position, Bytes), FollowError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(record);
            }
            let closed = *self.news.borrow_and_update(); // before looking, so that nothing is missed
            let next = self.shared.table().next(self.at);
            match next {
                Next::At(spot) => {
                    let piece = self.piece(spot).await?;
                    (self.at, self.ready) = (piece.end, piece.records);
                }
                Next::Trimmed(first) => return Err(FollowError::Trimmed(Position(first))),
                Next::Wait if closed => return Err(FollowError::Closed),
                Next::Wait => self.news.changed().await.map_err(|_| FollowError::Closed)?,
            }
        }
    }

    /// From memory, or else by a thread that may wait for the disk.
    async fn piece(&self, spot: Spot) -> Result<Piece, FollowError> {
        let (from, at) = (self.from, spot.at);
        let read = match self.shared.piece(&spot, from, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let shared = self.shared.clone();
                let reading = self.runtime.spawn_blocking(move || shared.piece(&spot, from, true));
                reading.await.unwrap_or_else(|_| Err(io::Error::other("the runtime is being shut down")))
            }
            read => read,
        };
        read.map_err(|error| match self.shared.explain(at, &error) {
            ReadError::NotThere(_) => FollowError::Trimmed(Position(self.shared.table().first())),
            other => FollowError::Read(other),
        })
    }
}

impl Shared {
    /// Some batches from the beginning of a spot on.
    fn piece(&self, spot: &Spot, from: u64, wait: bool) -> io::Result<Piece> {
        let file = self.file(spot, wait)?;
        let mut bytes = vec![0; spot.len.min(PIECE) as usize];
        read(&*file, &mut bytes, spot.offset, wait)?;
        let first = format::wanted(&bytes) as u64;
        if first > bytes.len() as u64 {
            bytes.resize(spot.len.min(first) as usize, 0);
            read(&*file, &mut bytes, spot.offset, wait)?;
        }
        let bytes = Bytes::from(bytes);
        let mut piece = Piece { records: VecDeque::new(), end: spot.at };
        let mut rest = &*bytes;
        while !rest.is_empty() {
            let is_cut = format::wanted(rest) > rest.len();
            if is_cut && piece.end > spot.at {
                break;
            }
            let batch = format::read_batch(self.log, piece.end, rest).map_err(damaged)?;
            let records = batch.records().filter(|(at, _)| at.0 >= from);
            piece.records.extend(records.map(|(at, record)| (at, bytes.slice_ref(record))));
            rest = rest.get((batch.end() - piece.end) as usize..).unwrap_or_default();
            piece.end = batch.end();
        }
        Ok(piece)
    }
}
