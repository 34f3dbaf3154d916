//! How data threads learn that something is due.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// One bell for each data thread.
#[derive(Debug)]
pub(crate) struct Wake {
    threads: Vec<Notify>,
    next: AtomicUsize,
}

impl Wake {
    pub(crate) fn new(threads: usize) -> Wake {
        let threads = (0..threads.max(1)).map(|_| Notify::new()).collect();
        Wake { threads, next: AtomicUsize::new(0) }
    }

    /// Wakes the next thread in turn; it takes what there is, and others find what it leaves.
    pub(crate) fn one(&self) {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        self.threads[next].notify_one();
    }

    /// Wakes all: something changed for all of them.
    pub(crate) fn all(&self) {
        self.threads.iter().for_each(Notify::notify_one);
    }

    /// Returns when this thread is to look; a ring while it didn't listen isn't lost.
    pub(crate) async fn woken(&self, thread: usize) {
        self.threads[thread % self.threads.len()].notified().await;
    }
}
