//! What waits to be written, bounded in bytes, and the thread that takes it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::index::Ticket;
use super::stored::Stored;

/// Bytes that may wait.
const ROOM: usize = 16 * 1024 * 1024;
/// Jobs that may wait, however small they are.
const JOBS: usize = 16 * 1024;
/// How long who has more to write waits for room before it gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be written.
pub(super) enum Job {
    /// The head of a large object; again, if it has changed.
    Head { stored: Arc<Stored>, head: Vec<u8> },
    /// Bytes of a large object's body.
    Run { stored: Arc<Stored>, at: u64, pieces: Vec<Bytes> },
    /// An object whose body is all there; without `large` it becomes one record.
    Object { ticket: Ticket, head: Vec<u8>, parts: Vec<(u64, Bytes)>, large: Option<Arc<Stored>> },
    /// Makes what was written last.
    Sync(oneshot::Sender<io::Result<()>>),
    /// Many kills wait for a footer.
    Roll,
}

/// Jobs in their order, each with its room.
pub(super) struct Queue {
    room: Arc<Semaphore>,
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<(Job, Option<OwnedSemaphorePermit>)>,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue { room: Arc::new(Semaphore::new(ROOM)), jobs: Mutex::default(), wake: Condvar::new() }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for so many bytes, waiting for it; none if the disk is too slow.
    pub(super) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wait = self.room.clone().acquire_many_owned(bytes.min(ROOM) as u32);
        tokio::time::timeout(PATIENCE, wait).await.ok()?.ok()
    }

    /// Room for so many bytes, if there is some now.
    pub(super) fn room_now(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_many_owned(bytes.min(ROOM) as u32).ok()
    }

    /// Adds a job; false: it is not taken.
    pub(super) fn push(&self, job: Job, room: Option<OwnedSemaphorePermit>) -> bool {
        let mut jobs = self.jobs();
        if jobs.closed || jobs.waiting.len() >= JOBS {
            return false;
        }
        jobs.waiting.push_back((job, room));
        drop(jobs);
        self.wake.notify_one();
        true
    }

    /// The next job; none once it is closed and all are done.
    pub(super) fn take(&self) -> Option<(Job, Option<OwnedSemaphorePermit>)> {
        let jobs = self.jobs();
        let mut jobs = self
            .wake
            .wait_while(jobs, |jobs| jobs.waiting.is_empty() && !jobs.closed)
            .unwrap_or_else(PoisonError::into_inner);
        jobs.waiting.pop_front()
    }

    /// Waits so long, or until it is closed; says whether it is.
    pub(super) fn is_closed_after(&self, wait: Duration) -> bool {
        let jobs = self.jobs();
        let (jobs, _) = self
            .wake
            .wait_timeout_while(jobs, wait, |jobs| !jobs.closed)
            .unwrap_or_else(PoisonError::into_inner);
        jobs.closed
    }

    pub(super) fn close(&self) {
        self.jobs().closed = true;
        self.wake.notify_all();
    }
}
