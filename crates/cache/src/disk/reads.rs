//! Reading records: at once if they are in the system's memory, else by threads that may wait for the
//! disk in place of those that serve clients.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::files::File;
use super::format::MARK;
use super::runs::Place;

/// Threads that read.
const THREADS: usize = 4;
/// Reads that may wait for a thread.
const WAITING: usize = 1024;
/// How long a read may take; a disk that needs longer is of no use to a client.
const LIMIT: Duration = Duration::from_secs(5);

/// The segments' files, and the threads that read them.
pub(super) struct Reads {
    slots: RwLock<Vec<Option<Arc<dyn File>>>>,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    wake: Condvar,
}

struct Job {
    file: Arc<dyn File>,
    offset: u64,
    buf: Vec<u8>,
    done: oneshot::Sender<io::Result<Vec<u8>>>,
}

impl Reads {
    pub(super) fn new() -> io::Result<Reads> {
        let line = Arc::new(Line::default());
        for _ in 0..THREADS {
            let line = line.clone();
            std::thread::Builder::new().name("disk-read".into()).spawn(move || line.run())?;
        }
        Ok(Reads { slots: RwLock::default(), line })
    }

    /// Puts a segment's file in its slot.
    pub(super) fn put(&self, slot: u16, file: Option<Arc<dyn File>>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = usize::from(slot);
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = file;
    }

    /// The record at a place with its mark, as it is there.
    pub(super) async fn record(&self, place: Place) -> io::Result<Vec<u8>> {
        let file = {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            slots.get(usize::from(place.slot)).cloned().flatten().ok_or(io::ErrorKind::NotFound)?
        };
        let mut buf = vec![0; MARK + place.len as usize];
        match file.read_now(&mut buf, place.offset.into()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other.map(|()| buf),
        }
        let (done, wait) = oneshot::channel();
        self.line.push(Job { file, offset: place.offset.into(), buf, done })?;
        let read = tokio::time::timeout(LIMIT, wait).await.map_err(|_| io::ErrorKind::TimedOut)?;
        read.map_err(io::Error::other)?
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.line.jobs.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.line.wake.notify_all();
    }
}

impl Line {
    fn push(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.0.len() >= WAITING {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        jobs.0.push_back(job);
        drop(jobs);
        self.wake.notify_one();
        Ok(())
    }

    fn run(&self) {
        loop {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let mut jobs = self
                .wake
                .wait_while(jobs, |(jobs, closed)| jobs.is_empty() && !*closed)
                .unwrap_or_else(PoisonError::into_inner);
            let Some(Job { file, offset, mut buf, done }) = jobs.0.pop_front() else { return };
            drop(jobs);
            if !done.is_closed() {
                done.send(file.read(&mut buf, offset).map(|()| buf)).ok();
            }
        }
    }
}
