//! A log of small records that last when they are acknowledged, for what must never be forgotten: purges
//! and retired objects.
//!
//! Many records share one write and one sync. A file is only ever appended to; from time to time its
//! owner starts a new one with all that still matters, after which the older ones are removed. So no file
//! is changed or cut, and after a crash the files that are there hold, together, everything acknowledged.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::files::{File, Files};
use crate::record::Reader;

/// The first bytes of a file; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"NSRLOG\0\x01";
/// Bytes before each record: its length and its checksum.
const FRAME: usize = 8;
/// Bytes of the largest record.
pub(crate) const LARGEST: usize = 128 * 1024;
/// How long records may take to last: a disk that needs longer holds nobody up any more.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes that may wait to be written; what comes over it is refused.
const WAITING: usize = 64 * 1024 * 1024;

/// What the files of a log held when it was opened.
pub(crate) struct Found {
    pub(crate) records: Vec<Vec<u8>>,
    /// There was no file.
    pub(crate) is_new: bool,
    /// Records were there and can't be read.
    pub(crate) damaged: bool,
}

/// Comes when the records last.
pub(crate) struct Done {
    wait: oneshot::Receiver<io::Result<()>>,
    late: Arc<AtomicBool>,
}

impl Done {
    /// Waits for it, [`LIMIT`] at most, and not at all while others have waited that long in vain. Needs a
    /// runtime with time.
    ///
    /// # Errors
    /// `TimedOut`: they may last later. Otherwise those of the file system.
    pub(crate) async fn lasts(self) -> io::Result<()> {
        let limit = if self.late.load(Ordering::Acquire) { Duration::ZERO } else { LIMIT };
        match timeout(limit, self.wait).await {
            Ok(done) => done.map_err(io::Error::other)?,
            Err(_) => {
                self.late.store(true, Ordering::Release);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the disk is too slow"))
            }
        }
    }
}

/// Puts a record in its frame at the end of `out`.
pub(crate) fn frame(out: &mut Vec<u8>, record: &[u8]) {
    let length = (record.len() as u32).to_le_bytes();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&length), record);
    out.extend_from_slice(&length);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(record);
}

/// The record in a frame at the front of `bytes`, if a good one is there.
fn unframe(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader(bytes);
    let length = reader.u32().ok().filter(|&length| (1..=LARGEST as u32).contains(&length))?;
    let sum = reader.u32().ok()?;
    let record = reader.take(length as usize).ok()?;
    (crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), record) == sum).then_some(record)
}

/// The records of a file, and whether there are some behind what can't be read. Where nothing good
/// follows, it is the tail of a write that was never acknowledged.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut records = Vec::new();
    let mut at = if bytes.starts_with(&MAGIC) { MAGIC.len() } else { 0 };
    while let Some(record) = bytes.get(at..).and_then(unframe) {
        records.push(record.to_vec());
        at += FRAME + record.len();
    }
    let damaged = (at..bytes.len()).any(|at| unframe(&bytes[at..]).is_some());
    (records, damaged)
}

/// A log, and the thread that writes it.
pub(crate) struct Log {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

struct Queue {
    jobs: Mutex<Jobs>,
    wake: Condvar,
    /// The file can't be trusted any more: the next job must start a new one.
    broken: AtomicBool,
    /// Who waited for what is being written has given up.
    late: Arc<AtomicBool>,
    /// Jobs that are not answered.
    pending: AtomicUsize,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

struct Job {
    bytes: Vec<u8>,
    /// They begin a new file.
    renews: bool,
    done: oneshot::Sender<io::Result<()>>,
}

/// A log that was read and isn't written yet.
pub(crate) struct Opened(Journal);

/// Reads the files `name-…`.
pub(crate) fn open(files: Arc<dyn Files>, name: &'static str) -> io::Result<(Opened, Found)> {
    let (journal, found) = Journal::open(files, name)?;
    Ok((Opened(journal), found))
}

impl Opened {
    /// Starts a new file with framed records that stand for all that were found, and the thread.
    pub(crate) fn start(self, contents: &[u8]) -> io::Result<Log> {
        let Opened(mut journal) = self;
        journal.start(contents)?;
        let queue = Arc::new(Queue {
            jobs: Mutex::default(),
            wake: Condvar::new(),
            broken: AtomicBool::new(false),
            late: Arc::default(),
            pending: AtomicUsize::new(0),
        });
        let thread = std::thread::Builder::new().name(format!("log-{}", journal.name)).spawn({
            let queue = queue.clone();
            move || queue.run(journal)
        })?;
        Ok(Log { queue, thread: Some(thread) })
    }
}

impl Log {
    /// Must the next call be [`Log::renew`]?
    pub(crate) fn is_broken(&self) -> bool {
        self.queue.broken.load(Ordering::Acquire)
    }

    /// How many calls are not answered yet.
    pub(crate) fn pending(&self) -> usize {
        self.queue.pending.load(Ordering::Acquire)
    }

    /// Appends framed records. Without any, it comes when all before it last.
    pub(crate) fn append(&self, bytes: Vec<u8>) -> Done {
        self.queue.push(bytes, false)
    }

    /// Starts a new file with framed records that stand for all before; then removes the older ones.
    pub(crate) fn renew(&self, bytes: Vec<u8>) -> Done {
        self.queue.push(bytes, true)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.jobs().closed = true;
        self.queue.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: Vec<u8>, renews: bool) -> Done {
        let (done, wait) = oneshot::channel();
        let wait = Done { wait, late: self.late.clone() };
        let mut jobs = self.jobs();
        if jobs.bytes + bytes.len() > WAITING && !jobs.waiting.is_empty() {
            drop(jobs);
            done.send(Err(io::Error::other("more waits to be written than the disk takes"))).ok();
            return wait;
        }
        self.pending.fetch_add(1, Ordering::AcqRel);
        jobs.bytes += bytes.len();
        jobs.waiting.push_back(Job { bytes, renews, done });
        drop(jobs);
        self.wake.notify_one();
        wait
    }

    /// All that waits; none at the end.
    fn take(&self) -> Option<VecDeque<Job>> {
        let jobs = self.jobs();
        let mut jobs = self
            .wake
            .wait_while(jobs, |jobs| jobs.waiting.is_empty() && !jobs.closed)
            .unwrap_or_else(PoisonError::into_inner);
        jobs.bytes = 0;
        let taken = std::mem::take(&mut jobs.waiting);
        (!taken.is_empty()).then_some(taken)
    }

    fn run(&self, mut journal: Journal) {
        while let Some(mut jobs) = self.take() {
            while let Some(first) = jobs.pop_front() {
                let with = if first.renews { 0 } else { jobs.iter().take_while(|job| !job.renews).count() };
                let renews = first.renews;
                let mut bytes = first.bytes;
                let mut waiting = vec![first.done];
                for job in jobs.drain(..with) {
                    bytes.extend_from_slice(&job.bytes);
                    waiting.push(job.done);
                }
                let result = if renews { journal.start(&bytes) } else { journal.append(&bytes) };
                self.broken.store(journal.current.is_none(), Ordering::Release);
                self.late.store(false, Ordering::Release);
                self.pending.fetch_sub(waiting.len(), Ordering::AcqRel);
                answer(&result, waiting);
            }
        }
    }
}

fn answer(result: &io::Result<()>, waiting: Vec<oneshot::Sender<io::Result<()>>>) {
    for done in waiting {
        let result =
            result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        done.send(result).ok();
    }
}

/// The files of a log.
struct Journal {
    files: Arc<dyn Files>,
    name: &'static str,
    /// Number of the next file.
    next: u64,
    current: Option<Current>,
    /// Names of files that the next one replaces.
    old: Vec<String>,
}

struct Current {
    file: Arc<dyn File>,
    name: String,
    at: u64,
}

impl Journal {
    fn open(files: Arc<dyn Files>, name: &'static str) -> io::Result<(Journal, Found)> {
        let number = |file: &String| file.strip_prefix(name)?.strip_prefix('-')?.parse::<u64>().ok();
        let mut numbered: Vec<(u64, String)> =
            files.list()?.into_iter().filter_map(|file| Some((number(&file)?, file))).collect();
        numbered.sort();
        let mut found = Found { records: Vec::new(), is_new: numbered.is_empty(), damaged: false };
        let mut old = Vec::new();
        for (_, name) in &numbered {
            let file = files.open(name)?;
            let mut bytes = vec![0; usize::try_from(file.size()?).map_err(io::Error::other)?];
            file.read(&mut bytes, 0)?;
            let (records, damaged) = parse(&bytes);
            found.records.extend(records);
            found.damaged |= damaged;
            // One that another process still writes stays: who opens the log next reads it again.
            if file.lock()? {
                old.push(name.clone());
            }
        }
        let next = numbered.last().map_or(0, |(number, _)| number + 1);
        Ok((Journal { files, name, next, current: None, old }, found))
    }

    fn start(&mut self, contents: &[u8]) -> io::Result<()> {
        self.old.extend(self.current.take().map(|current| current.name));
        let (name, file) = self.unused()?;
        let bytes = [&MAGIC, contents].concat();
        let written = file.write(&bytes, 0).and_then(|()| file.sync()).and_then(|()| self.files.sync());
        if let Err(error) = written {
            self.old.push(name);
            return Err(error);
        }
        self.current = Some(Current { file, name, at: bytes.len() as u64 });
        self.old.retain(|old| self.files.remove(old).is_err());
        Ok(())
    }

    /// A file that nobody has begun: another process may have the same log open.
    fn unused(&mut self) -> io::Result<(String, Arc<dyn File>)> {
        loop {
            let name = format!("{}-{:08}", self.name, self.next);
            self.next += 1;
            let file = self.files.open(&name)?;
            if file.lock()? && file.size()? == 0 {
                return Ok((name, file));
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let current = self.current.as_mut().ok_or_else(|| io::Error::other("the log can't be written"))?;
        let written = current.file.write(bytes, current.at).and_then(|()| current.file.sync());
        match &written {
            Ok(()) => current.at += bytes.len() as u64,
            // What reached the disk is unknown, and a second sync may say yes without having written.
            Err(_) => self.old.extend(self.current.take().map(|current| current.name)),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(records: &[&[u8]]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for record in records {
            frame(&mut out, record);
        }
        out
    }

    #[test]
    fn a_cut_tail_is_no_damage_and_a_hole_is() {
        let good = file(&[b"one", b"two", b"three"]);
        assert_eq!(parse(&good), (vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()], false));
        let cut = &good[..good.len() - 1];
        assert_eq!(parse(cut), (vec![b"one".to_vec(), b"two".to_vec()], false));
        let padded = [&good[..], &[0; 4096]].concat();
        assert_eq!(parse(&padded).0.len(), 3);
        assert!(!parse(&padded).1);
        let mut hole = good;
        hole[MAGIC.len() + FRAME + 3 + FRAME] ^= 1;
        assert_eq!(parse(&hole), (vec![b"one".to_vec()], true));
        hole[0] ^= 1;
        assert_eq!(parse(&hole), (vec![], true), "without its beginning nothing of a file is known");
    }
}
