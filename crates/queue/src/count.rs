//! What is counted of a queue since its node started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts that only grow.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    again: AtomicU64,
    full: AtomicU64,
    other_content: AtomicU64,
    stopped: AtomicU64,
    done: AtomicU64,
    retried: AtomicU64,
    dead: AtomicU64,
}

/// All of them at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Messages accepted.
    pub accepted: u64,
    /// Requests that got the answer of one before, by their `Idempotency-Key`.
    pub again: u64,
    /// Refused: the queue or the disk is full.
    pub full: u64,
    /// Refused: a key that came before with something else.
    pub other_content: u64,
    /// Refused: the log takes nothing.
    pub stopped: u64,
    /// Deliveries that a receiver took.
    pub done: u64,
    /// Deliveries that failed and are tried again.
    pub retried: u64,
    /// Deliveries that failed for the last time.
    pub dead: u64,
}

/// Of what one is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Accepted,
    Again,
    Full,
    OtherContent,
    Stopped,
    Done,
    Retried,
    Dead,
}

impl Counters {
    pub(crate) fn one(&self, what: Count) {
        let counter = match what {
            Count::Accepted => &self.accepted,
            Count::Again => &self.again,
            Count::Full => &self.full,
            Count::OtherContent => &self.other_content,
            Count::Stopped => &self.stopped,
            Count::Done => &self.done,
            Count::Retried => &self.retried,
            Count::Dead => &self.dead,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// All of them.
    pub fn get(&self) -> Counted {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Counted {
            accepted: get(&self.accepted),
            again: get(&self.again),
            full: get(&self.full),
            other_content: get(&self.other_content),
            stopped: get(&self.stopped),
            done: get(&self.done),
            retried: get(&self.retried),
            dead: get(&self.dead),
        }
    }
}
