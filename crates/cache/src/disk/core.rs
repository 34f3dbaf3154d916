//! What the handles and the writing thread of a disk tier share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::State;
use super::files::Files;
use super::format::{self, Kind, MARK, Mark};
use super::index::{Candidate, Index, Ticket};
use super::log::{self, Done, Log};
use super::queue::{Job, Queue};
use super::reads::Reads;
use super::stored::Stored;
use crate::Tell;
use crate::object::{Body, Object};
use crate::{record, vary};

/// Kills that may wait for a footer before a segment is closed for them.
const FRESH: usize = 8 * 1024;
/// What is retired while the tier starts; over it, all that it held is.
const EARLY: usize = 64 * 1024;
/// How long nothing is written after a first failure, and after many.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

pub(super) struct Core {
    pub(super) files: Arc<dyn Files>,
    pub(super) tell: Tell,
    pub(super) size: u64,
    pub(super) reads: Arc<Reads>,
    pub(super) queue: Queue,
    /// Of the hashes; set when the tier has started.
    pub(super) seed: OnceLock<u64>,
    pub(super) next_id: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) evicted: AtomicU64,
    tables: Mutex<Tables>,
    health: Mutex<Health>,
}

/// What must change together.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) index: Index,
    /// Kills that stand in no lasting footer yet, the oldest first. They are in the log.
    pub(super) fresh: VecDeque<Mark>,
    pub(super) log: Option<Log>,
    /// What was retired before the tier had started: primary, and variant if only that one.
    pub(super) early: Vec<Early>,
    /// It was too much to remember, or everything: all that the tier held goes.
    pub(super) early_all: bool,
}

pub(super) type Early = (Box<[u8]>, Option<Box<[u8]>>);

struct Health {
    state: State,
    /// Nothing is written before.
    until: Option<Instant>,
    pause: Duration,
}

impl Core {
    pub(super) fn new(files: Arc<dyn Files>, size: u64, tell: Tell) -> std::io::Result<Core> {
        Ok(Core {
            files,
            tell,
            size,
            reads: Arc::new(Reads::new()?),
            queue: Queue::new(),
            seed: OnceLock::new(),
            next_id: AtomicU64::new(1),
            bytes: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            tables: Mutex::default(),
            health: Mutex::new(Health { state: State::Starting, until: None, pause: PAUSES.0 }),
        })
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> State {
        self.health().state.clone()
    }

    /// May something be written now?
    pub(super) fn is_open(&self) -> bool {
        self.seed.get().is_some() && self.health().until.is_none_or(|until| until <= Instant::now())
    }

    /// Writing failed: it is left for a while, longer each time.
    pub(super) fn fail(&self, why: &str) {
        let mut health = self.health();
        let told = matches!(health.state, State::Failing(_));
        health.state = State::Failing(why.into());
        health.until = Some(Instant::now() + health.pause);
        health.pause = (health.pause * 2).min(PAUSES.1);
        drop(health);
        if !told {
            (self.tell)(format!("the disk tier can't be written and is left alone for a while: {why}"));
        }
    }

    /// Writing works.
    pub(super) fn recover(&self, full: bool) {
        let mut health = self.health();
        let state = if full { State::Full } else { State::Well };
        let before = std::mem::replace(&mut health.state, state.clone());
        (health.until, health.pause) = (None, PAUSES.0);
        drop(health);
        match (before, state) {
            (State::Full, State::Full) => {}
            (_, State::Full) => {
                (self.tell)("no room on the disk: the disk tier holds less than it may".into());
            }
            (State::Failing(_), _) => (self.tell)("the disk tier is written again".into()),
            _ => {}
        }
    }

    /// Puts a new object in the index, with a body of its own if that is large.
    pub(super) fn enter(
        &self,
        seed: u64,
        object: &Object,
        large: Option<Option<u64>>,
    ) -> (Ticket, Option<Arc<Stored>>) {
        let (hash, key) = hashes(seed, object.primary(), object.variant());
        let mut tables = self.tables();
        // Under the lock, so that a kill means all that were numbered before it.
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let stored = large.map(|total| Arc::new(Stored::new(id, hash, key, total, self.reads.clone())));
        let ticket = Ticket { id, hash, key };
        tables.index.add(ticket, stored.clone());
        (ticket, stored)
    }

    /// Removes older objects for good. None: there were none, so nothing can come back.
    pub(super) fn kill(&self, kind: Kind, hash: u64, key: u32) -> Option<(usize, Done)> {
        let mut tables = self.tables();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mark = Mark { kind, id, at: 0, hash, key, len: 0, sum: 0, offset: 0 };
        // All have lower ids. Who looks something up doesn't wait till each is walked over.
        let all = (kind == Kind::KillAll).then(|| std::mem::take(&mut tables.index));
        let count = all.as_ref().map_or_else(|| tables.index.kill(&mark), Index::len);
        let done = note(&mut tables, &self.queue, mark, count).or_else(|| {
            // Another one may have removed them just now, and not for good yet: then it is waited for.
            let log = tables.log.as_ref()?;
            let mut pending = tables.fresh.iter().rev().take(log.pending());
            let same = pending
                .any(|other| other.hash == hash || other.kind == Kind::KillAll || kind == Kind::KillAll);
            same.then(|| (0, log.append(Vec::new())))
        });
        drop(tables);
        all.inspect(Index::remove_all);
        done
    }

    /// Notes what can't be looked up before the tier has started; false: it has.
    pub(super) fn kill_early(&self, primary: &[u8], variant: Option<&[u8]>) -> bool {
        let mut tables = self.tables();
        let early = self.seed.get().is_none();
        if early && tables.early.len() < EARLY {
            tables.early.push((primary.into(), variant.map(Into::into)));
        } else if early {
            tables.early_all = true;
        }
        early
    }

    /// The same for everything.
    pub(super) fn kill_all_early(&self) -> bool {
        let mut tables = self.tables();
        tables.early_all = self.seed.get().is_none();
        tables.early_all
    }

    /// The head of an object was written: it takes the place of those that it should have retired.
    pub(super) fn written(&self, ticket: Ticket, place: super::runs::Place) {
        let mut tables = self.tables();
        tables.index.place(ticket, place);
        let Ticket { id, hash, key } = ticket;
        let mark = Mark { kind: Kind::Kill, id, at: 0, hash, key, len: 0, sum: 0, offset: 0 };
        kill(&mut tables, &self.queue, mark);
    }

    /// Removes an object that is being written, and what it should have retired.
    pub(super) fn discard(&self, ticket: Ticket) {
        let Ticket { id, hash, key } = ticket;
        // Those that were begun later stay.
        let mark = Mark { kind: Kind::Kill, id: id + 1, at: 0, hash, key, len: 0, sum: 0, offset: 0 };
        kill(&mut self.tables(), &self.queue, mark);
    }

    /// Reads a candidate; none if it is another URL's, or can't be read.
    pub(super) async fn load(&self, candidate: &Candidate, primary: &[u8]) -> Option<Object> {
        let Candidate { ticket, place, large } = candidate;
        let record = self.reads.record(*place).await.ok()?;
        let Some((mark, payload)) = check(&record, *ticket) else {
            // Unless it was moved since, the disk has spoiled it.
            self.tables().index.remove_at(*ticket, *place);
            return None;
        };
        let head = record::decode_head(payload).ok().filter(|head| head.primary == primary)?;
        match large {
            Some(stored) => Some(head.object(Body::Disk(stored.clone()))),
            // Copied, since what stays in memory should take no more than the body does.
            None if mark.kind == Kind::Small => {
                let body = payload.get(head.len..)?.to_vec().into_boxed_slice();
                Some(head.object(Body::Whole(body.into())))
            }
            None => None,
        }
    }
}

/// The hashes of a URL and its variant.
pub(super) fn hashes(seed: u64, primary: &[u8], variant: &[u8]) -> (u64, u32) {
    (format::hash(seed, primary), format::hash(!seed, &vary::asked(variant)) as u32)
}

fn check(record: &[u8], ticket: Ticket) -> Option<(Mark, &[u8])> {
    let mark = format::mark_of(record)?;
    let same =
        matches!(mark.kind, Kind::Head | Kind::Small) && (mark.id, mark.hash) == (ticket.id, ticket.hash);
    Some((mark, mark.payload(record).filter(|_| same)?))
}

fn kill(tables: &mut Tables, queue: &Queue, mark: Mark) -> Option<(usize, Done)> {
    let count = tables.index.kill(&mark);
    note(tables, queue, mark, count)
}

/// Notes a kill that has removed so many.
fn note(tables: &mut Tables, queue: &Queue, mark: Mark, count: usize) -> Option<(usize, Done)> {
    if count == 0 {
        return None;
    }
    tables.fresh.push_back(mark);
    if tables.fresh.len().is_multiple_of(FRESH) {
        queue.push(Job::Roll, None);
    }
    let log = tables.log.as_ref()?;
    let done = if log.is_broken() { log.renew(encode(&tables.fresh)) } else { log.append(encode([&mark])) };
    Some((count, done))
}

/// Kills as framed records of the log.
pub(super) fn encode<'a>(kills: impl IntoIterator<Item = &'a Mark>) -> Vec<u8> {
    let mut out = Vec::with_capacity(MARK);
    for kill in kills {
        log::frame(&mut out, &kill.encode(0));
    }
    out
}
