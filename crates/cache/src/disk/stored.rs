//! The body of a large object: what of it is on disk, and what is on its way there.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::format::{self, Kind};
use super::reads::Reads;
use super::runs::{Place, Run, Runs};

/// How often a run is looked for again when its segment was recycled under a read.
const AGAIN: usize = 3;

/// A body on disk, whole or in part; more of it may come while it is read.
pub struct Stored {
    pub(super) id: u64,
    pub(super) hash: u64,
    pub(super) key: u32,
    reads: Arc<Reads>,
    body: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: Option<u64>,
    runs: Runs,
    /// What is not written yet, by where it begins.
    coming: Vec<(u64, Bytes)>,
    /// It was removed, or could not be written.
    dead: bool,
}

impl Stored {
    pub(super) fn new(id: u64, hash: u64, key: u32, total: Option<u64>, reads: Arc<Reads>) -> Stored {
        Stored { id, hash, key, reads, body: Mutex::new(State { total, ..State::default() }) }
    }

    fn body(&self) -> MutexGuard<'_, State> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the whole body, if known.
    pub fn total(&self) -> Option<u64> {
        self.body().total
    }

    /// The ranges of it that can be read, sorted and apart from each other.
    pub fn parts(&self) -> Vec<Range<u64>> {
        self.body().ranges()
    }

    /// Can the bytes `start..end` be read?
    pub fn has(&self, start: u64, end: u64) -> bool {
        let body = self.body();
        let mut at = start;
        while at < end {
            let reached = body.runs.reach(at).max(at + body.coming(at).map_or(0, |bytes| bytes.len() as u64));
            if reached == at {
                return false;
            }
            at = reached;
        }
        true
    }

    /// Can all of it be read?
    pub fn is_whole(&self) -> bool {
        self.total().is_some_and(|total| self.has(0, total))
    }

    /// Bytes from `at` on: at least one and at most `most`, up to the end of a run; none at the end of the
    /// body. They are the ones that were written, or there is an error.
    ///
    /// # Errors
    /// `NotFound`: they are not there, or no longer. `InvalidData`: the disk has spoiled them. Otherwise
    /// those of the file system.
    pub async fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        for _ in 0..AGAIN {
            let run = {
                let mut body = self.body();
                if body.total.is_some_and(|total| at >= total) {
                    return Ok(Bytes::new());
                }
                if let Some(bytes) = body.coming(at) {
                    return Ok(bytes.slice(..bytes.len().min(most)));
                }
                body.runs.find(at).ok_or(io::ErrorKind::NotFound)?
            };
            let record = self.reads.record(run.place()).await?;
            if let Some(range) = self.check(&record, &run) {
                let start = range.start + (at - run.at) as usize;
                let end = range.end.min(start.saturating_add(most));
                return Ok(Bytes::from(record).slice(start..end));
            }
            let mut body = self.body();
            if body.runs.is_used(run.at, run.place()).is_some() {
                body.runs.remove(run.at, run.place());
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Was its beginning read from disk since it was written or the tier was opened?
    pub(crate) fn was_read(&self) -> bool {
        self.body().runs.is_begun()
    }

    /// All of it.
    pub(crate) async fn all(&self) -> io::Result<Vec<Bytes>> {
        let (mut pieces, mut at) = (Vec::new(), 0);
        loop {
            let piece = self.read(at, usize::MAX).await?;
            if piece.is_empty() {
                return Ok(pieces);
            }
            at += piece.len() as u64;
            pieces.push(piece);
        }
    }

    /// Where in the record the run's bytes are, if it is that run.
    fn check(&self, record: &[u8], run: &Run) -> Option<Range<usize>> {
        let mark = format::mark_of(record)?;
        let same = (mark.kind, mark.id, mark.hash, mark.at) == (Kind::Run, self.id, self.hash, run.at);
        mark.payload(record).filter(|_| same).map(|_| format::MARK..record.len())
    }

    /// More of it is on its way, or more of what is and begins at the same place; false: it is of no use
    /// any more.
    pub(super) fn expect(&self, at: u64, bytes: Bytes) -> bool {
        let mut body = self.body();
        if body.dead {
            return false;
        }
        match body.coming.last_mut() {
            Some((begin, less)) if *begin == at => *less = bytes,
            _ => body.coming.push((at, bytes)),
        }
        true
    }

    /// The bytes `at..` of this length no longer are on their way; they are at `place` if they were written.
    pub(super) fn arrived(&self, at: u64, len: u64, place: Option<Place>) {
        let mut body = self.body();
        if let Some(place) = place {
            body.runs.add(Run::new(at, place));
        }
        body.coming.retain(|(begin, bytes)| *begin < at || begin + bytes.len() as u64 > at + len);
    }

    /// What comes of it won't be written.
    pub(super) fn give_up(&self) {
        let mut body = self.body();
        body.dead = true;
        body.coming = Vec::new();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.body().dead
    }

    /// It was removed; who reads it still may, as long as its segments are there.
    pub(super) fn remove(&self) {
        self.body().dead = true;
    }

    pub(super) fn set_total(&self, total: u64) {
        self.body().total = Some(total);
    }

    pub(super) fn is_used(&self, at: u64, place: Place) -> Option<bool> {
        self.body().runs.is_used(at, place)
    }

    pub(super) fn lost(&self, at: u64, place: Place) {
        self.body().runs.remove(at, place);
    }

    pub(super) fn leave(&self, slot: u16) {
        self.body().runs.leave(slot);
    }
}

impl State {
    fn coming(&self, at: u64) -> Option<Bytes> {
        let has = |(begin, bytes): &&(u64, Bytes)| *begin <= at && at < begin + bytes.len() as u64;
        self.coming.iter().find(has).map(|(begin, bytes)| bytes.slice((at - begin) as usize..))
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        let mut all = self.runs.ranges();
        all.extend(self.coming.iter().map(|(at, bytes)| (*at, at + bytes.len() as u64)));
        all.sort_unstable();
        let mut ranges: Vec<Range<u64>> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match ranges.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
        ranges
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("total", &self.total())
            .field("parts", &self.parts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::{SMALLEST, core::Core, files::Folder};
    use super::*;
    use crate::object::{Body, Facts, New, Object};

    #[test]
    fn a_purge_of_everything_holds_up_nobody_who_looks_something_up() {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(Folder::open(folder.path()).unwrap());
        let core = Arc::new(Core::new(files, SMALLEST, Arc::new(|_| {})).unwrap());
        let body = Body::Whole(Bytes::new());
        let (facts, primary) = (Facts::default(), b"http://h/");
        let object = Object::new(New { facts, primary, variant: b"", lines: b"", tags: b"", body });
        let (ticket, stored) = core.enter(7, &object, Some(Some(1_000_000)));
        let stored = stored.unwrap();
        let held = stored.body(); // the purge can't get on from here
        let purging = std::thread::spawn({
            let core = core.clone();
            move || core.kill(Kind::KillAll, 0, 0).map(|(count, _)| count)
        });
        let (found, looks) = mpsc::channel();
        std::thread::spawn(move || {
            while core.tables().index.has(ticket) {
                std::thread::yield_now();
            }
            found.send(()).ok();
        });
        let looked = looks.recv_timeout(Duration::from_secs(20));
        drop(held);
        looked.unwrap();
        purging.join().unwrap();
        assert!(stored.is_dead());
    }
}
