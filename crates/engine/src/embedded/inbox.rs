//! What waits for the writer. Whoever appends puts it here and goes on; how much may wait is bounded, so
//! that a disk that hangs costs no memory.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::RECORD_HEAD;
use crate::log::{Append, AppendError, LARGEST, Room};

/// What a waiting record takes beside its bytes, about.
const BESIDE: usize = 128;

/// Records that go into one batch.
pub struct Group {
    /// In their order.
    pub records: VecDeque<Append>,
    /// Bytes on disk.
    pub bytes: usize,
    /// Ordinary if any of them is.
    pub room: Room,
}

impl Group {
    fn of(records: VecDeque<Append>) -> Group {
        let bytes = records.iter().map(on_disk).sum();
        let ordinary = records.iter().any(|append| append.room == Room::Ordinary);
        Group { records, bytes, room: if ordinary { Room::Ordinary } else { Room::Reserve } }
    }

    /// Bytes of memory, about.
    pub fn weight(&self) -> usize {
        self.bytes + self.records.len() * BESIDE
    }
}

/// Cuts what is appended at once into groups of at most `limit` bytes on disk.
///
/// # Errors
/// The records, if one of them is larger than that or than [`LARGEST`].
pub fn groups(records: Vec<Append>, limit: usize) -> Result<Vec<Group>, (usize, Vec<Append>)> {
    if let Some(large) =
        records.iter().find(|append| append.record.len() > LARGEST || on_disk(append) > limit)
    {
        return Err((large.record.len(), records));
    }
    let mut groups = Vec::with_capacity(1);
    let (mut group, mut bytes) = (VecDeque::with_capacity(records.len()), 0);
    for append in records {
        if bytes + on_disk(&append) > limit {
            groups.push(Group::of(std::mem::take(&mut group)));
            bytes = 0;
        }
        bytes += on_disk(&append);
        group.push_back(append);
    }
    if !group.is_empty() {
        groups.push(Group::of(group));
    }
    Ok(groups)
}

fn on_disk(append: &Append) -> usize {
    RECORD_HEAD + append.record.len()
}

/// What the writer finds to do.
#[derive(Default)]
pub struct Work {
    /// To be written.
    pub groups: VecDeque<Group>,
    /// Numbers and lengths of segments that aren't needed any more, the oldest first.
    pub freed: Vec<(u64, u64)>,
    /// It is the last: nothing comes after it.
    pub last: bool,
}

/// What waits.
pub struct Inbox {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Waiting {
    work: Work,
    /// Bytes of memory that aren't written yet, also those that the writer took.
    weight: usize,
    /// Why nothing is taken any more.
    over: Option<AppendError>,
}

impl Inbox {
    /// One that holds about so many bytes of memory.
    pub fn new(limit: usize) -> Inbox {
        Inbox { waiting: Mutex::default(), bell: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds groups, without others between them.
    ///
    /// # Errors
    /// The groups, and why they aren't taken.
    pub fn push(&self, groups: Vec<Group>) -> Result<(), (AppendError, Vec<Group>)> {
        let weight: usize = groups.iter().map(Group::weight).sum();
        let reserve = groups.iter().all(|group| group.room == Room::Reserve);
        // What became of messages is still taken when no more messages are.
        let limit = if reserve { self.limit + self.limit / 4 } else { self.limit };
        let mut waiting = self.lock();
        if let Some(over) = &waiting.over {
            return Err((over.clone(), groups));
        }
        if waiting.weight + weight > limit {
            return Err((AppendError::Full("too much is waiting".into()), groups));
        }
        waiting.weight += weight;
        // If there's work already, the writer was woken for it.
        let idle = waiting.work.groups.is_empty();
        waiting.work.groups.extend(groups);
        drop(waiting);
        if idle {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// These segments can go.
    pub fn free(&self, segments: Vec<(u64, u64)>) {
        self.lock().work.freed.extend(segments);
        self.bell.notify_one();
    }

    /// Nothing is taken from now on; what waits is still work.
    pub fn close(&self, why: AppendError) {
        let mut waiting = self.lock();
        waiting.over.get_or_insert(why);
        waiting.work.last = true;
        drop(waiting);
        self.bell.notify_one();
    }

    /// Why nothing is taken any more.
    pub fn over(&self) -> Option<AppendError> {
        self.lock().over.clone()
    }

    /// Waits for work, at most so long if that is given, and takes all of it.
    pub fn take(&self, limit: Option<Duration>) -> Work {
        let idle = |waiting: &mut Waiting| {
            waiting.work.groups.is_empty() && waiting.work.freed.is_empty() && !waiting.work.last
        };
        let waiting = self.lock();
        let mut waiting = match limit {
            None => self.bell.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.bell.wait_timeout_while(waiting, limit, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let last = waiting.work.last;
        std::mem::replace(&mut waiting.work, Work { last, ..Work::default() })
    }

    /// So many bytes of memory of what was taken are written, or never will be.
    pub fn settle(&self, weight: usize) {
        let mut waiting = self.lock();
        waiting.weight = waiting.weight.saturating_sub(weight);
    }
}
