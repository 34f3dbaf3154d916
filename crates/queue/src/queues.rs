//! All queues of a node: opened with what a log holds, kept in step with the plan, closed in order.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use config::Plan;
use config::plan;
use engine::embedded::{Embedded, Options};
use engine::files::{File, Files, Folder};
use engine::{Log, Position, snapshot};
use tokio::runtime::Handle;
use tokio::sync::watch;
use upstream::clock::wall_ms;

use crate::id::Ids;
use crate::keep;
use crate::queue::Queue;
use crate::record::{Number, Record};
use crate::state::{Cursor, Rules, State};
use crate::store::Store;
use crate::task::Task;
use crate::tend;
use crate::wake::Wake;

/// Hears what an operator should know.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The name of the file that is locked.
const OWNER: &str = "owner";
/// The snapshot's name.
const SNAPSHOT: &str = "snapshot";
/// The name of what ids are made with.
const SECRET: &str = "secret";
/// Messages that are written to a snapshot under one hold of a queue's lock.
const SLICE: usize = 1024;
/// How often it is looked whether another process let the log go.
const LOOK: Duration = Duration::from_millis(10);
/// How long the numbers of receivers may take to be written before a reload goes on without them.
const NAMED: Duration = Duration::from_secs(5);
/// How long a process that takes over waits before it tries again to open the log.
const AGAIN: Duration = Duration::from_secs(1);

/// Why the queues can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("the queues in {folder}: {why}")]
pub struct OpenError {
    folder: String,
    why: String,
}

/// All queues of a node.
pub struct Queues {
    background: Handle,
    tell: Tell,
    wake: Arc<Wake>,
    all: ArcSwap<BTreeMap<Arc<str>, Arc<Queue>>>,
    open: OnceLock<Open>,
    /// Why it isn't open, though it should be.
    unopened: Mutex<Option<String>>,
    /// Which queue is asked first for what is due.
    turn: AtomicUsize,
    snapshot_at: AtomicU64,
    /// One plan is followed at a time.
    opening: Mutex<()>,
    /// One snapshot at a time.
    writing: Mutex<()>,
    /// Nothing is taken any more.
    leaving: AtomicBool,
    /// One closes them, once.
    closing: tokio::sync::Mutex<()>,
    closed: AtomicBool,
    opened: watch::Sender<bool>,
}

/// What there is once the log is open.
struct Open {
    store: Arc<Store>,
    files: Arc<dyn Files>,
    embedded: Arc<Embedded>,
    /// Locked as long as this process has the folder.
    owned: Mutex<Option<Arc<dyn File>>>,
}

impl Queues {
    /// None yet; `threads` will take what is due.
    pub fn new(threads: usize, background: Handle, tell: Tell) -> Arc<Queues> {
        Arc::new(Queues {
            background,
            tell,
            wake: Arc::new(Wake::new(threads)),
            all: ArcSwap::default(),
            open: OnceLock::new(),
            unopened: Mutex::default(),
            turn: AtomicUsize::new(0),
            snapshot_at: AtomicU64::new(0),
            opening: Mutex::new(()),
            writing: Mutex::new(()),
            leaving: AtomicBool::new(false),
            closing: tokio::sync::Mutex::default(),
            closed: AtomicBool::new(false),
            opened: watch::channel(false).0,
        })
    }

    /// Follows a plan. The first one with queues opens the log in `folder`; blocks till all that it
    /// holds is known. While another process has it, that is waited for up to `wait`.
    ///
    /// # Errors
    /// [`OpenError`]; nothing changed.
    pub fn follow(self: &Arc<Self>, plan: &Plan, folder: &Path, wait: Duration) -> Result<(), OpenError> {
        if plan.queues.is_empty() && self.open.get().is_none() {
            return Ok(());
        }
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        self.follow_alone(plan, folder, wait)
    }

    /// As [`Self::follow`], with the first plan of a process that takes over from another one. Tries again
    /// till the log is open, here or by a reload with a later plan, or the node leaves; blocks so long.
    pub fn take_over(self: &Arc<Self>, plan: &Plan, folder: &Path, wait: Duration) {
        while !self.leaving.load(Ordering::Relaxed) {
            let one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if self.open.get().is_some() {
                return;
            }
            let Err(error) = self.follow_alone(plan, folder, wait) else { return };
            drop(one);
            let why = error.to_string();
            let before = self.unopened().replace(why.clone());
            if before.as_ref() != Some(&why) {
                self.say(&why);
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn unopened(&self) -> MutexGuard<'_, Option<String>> {
        self.unopened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow_alone(self: &Arc<Self>, plan: &Plan, folder: &Path, wait: Duration) -> Result<(), OpenError> {
        let named = |why: String| OpenError { folder: folder.display().to_string(), why };
        if self.open.get().is_none() {
            self.open(plan, folder, wait).map_err(named)?;
            self.background.spawn(keep::keep(Arc::downgrade(self)));
            self.background.spawn(tend::tend(Arc::downgrade(self)));
        }
        let Some(open) = self.open.get() else { return Ok(()) };
        let mut all = BTreeMap::clone(&self.all.load());
        let (told, known) = channel();
        for (name, queue) in &mut all {
            queue.follow(plan.queues.get(name), &told);
        }
        for (name, plan) in &plan.queues {
            if !all.contains_key(name) {
                let queue = Queue::new(plan, true, State::new(Rules::from(&**plan)), &open.store);
                queue.follow(Some(plan), &told);
                all.insert(name.clone(), queue);
            }
        }
        drop(told);
        // Messages can name receivers only once their numbers are stable; then all who tell are gone.
        while known.recv_timeout(NAMED).is_ok() {}
        self.all.store(Arc::new(all));
        self.opened.send_replace(true);
        self.wake.all();
        Ok(())
    }

    /// The queue of this name; while the log isn't open yet, that is waited for, up to `limit`.
    pub async fn wait_for(&self, name: &str, limit: Duration) -> Option<Arc<Queue>> {
        if !*self.opened.borrow() {
            let mut opened = self.opened.subscribe();
            let _ = tokio::time::timeout(limit, opened.wait_for(|opened| *opened)).await;
        }
        self.find(name)
    }

    fn open(&self, plan: &Plan, folder: &Path, wait: Duration) -> Result<(), String> {
        private(folder).map_err(|error| error.to_string())?;
        let folder = Folder::open(folder).map_err(|error| error.to_string())?;
        let files: Arc<dyn Files> = Arc::new(folder);
        let owned = own(&*files, wait, &self.leaving)?;
        let secret = secret(&*files).map_err(|error| error.to_string())?;
        let mut states: BTreeMap<Arc<str>, State> = BTreeMap::new();
        let mut from = None;
        if let Some((position, bytes)) =
            snapshot::read(&*files, SNAPSHOT).map_err(|error| error.to_string())?
        {
            restore(plan, bytes, &mut states)?;
            from = Some(position);
        }
        let now = wall_ms();
        let mut last = from.unwrap_or_default();
        let mut unreadable = 0_u64;
        let mut visit = |position: Position, bytes: &[u8]| {
            last = position;
            match Record::read(bytes) {
                Ok(record) => {
                    let state = state_of(plan, record.queue, &mut states);
                    state.apply(position, &record.what, now);
                }
                Err(_) => unreadable += 1,
            }
        };
        let options = Options::new(self.background.clone());
        let embedded = Embedded::open(files.clone(), options, from, &mut visit);
        let embedded = Arc::new(embedded.map_err(|error| error.to_string())?);
        if unreadable > 0 {
            (self.tell)(&format!(
                "{unreadable} records of the queues are of a form that this build doesn't know"
            ));
        }
        let first = embedded.positions().first;
        let gone: usize = states.values_mut().map(|state| state.forget_before(first, now)).sum();
        if gone > 0 {
            (self.tell)(&format!(
                "{gone} messages were to be delivered again, and had been forgotten already"
            ));
        }
        let log: Arc<dyn Log> = embedded.clone();
        let tag = crate::hops::tag(&secret);
        let store = Store::new(log, Ids::new(secret), tag, self.wake.clone(), last);
        self.snapshot_at.store(from.unwrap_or_default().0, Ordering::Relaxed);
        let all = states.into_iter().map(|(name, state)| {
            let (plan, in_plan) = match plan.queues.get(&name) {
                Some(plan) => (plan.clone(), true),
                None => (Arc::new(unknown(&name)), false),
            };
            (name, Queue::new(&plan, in_plan, state, &store))
        });
        self.all.store(Arc::new(all.collect()));
        let _ = self.open.set(Open { store, files, embedded, owned: Mutex::new(Some(owned)) });
        Ok(())
    }

    /// The queue of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Queue>> {
        self.all.load().get(name).cloned()
    }

    /// All of them, by name; those too that the file doesn't name any more and that hold messages.
    pub fn all(&self) -> Vec<Arc<Queue>> {
        self.all.load().values().cloned().collect()
    }

    /// Whose message has this id, and its number.
    pub fn by_id(&self, id: &str) -> Option<(Arc<Queue>, Number)> {
        let all = self.all.load();
        let (name, number) = self.open.get()?.store.ids.read(id, all.keys().map(|name| &**name))?;
        Some((all.get(name)?.clone(), number))
    }

    /// Bytes of the log, those of no use included.
    pub fn log_bytes(&self) -> u64 {
        let held = self.open.get().map(|open| open.embedded.positions());
        held.map_or(0, |held| held.end.0 - held.first.0)
    }

    /// Why nothing is accepted, if nothing is.
    pub fn trouble(&self) -> Option<String> {
        match self.open.get() {
            Some(open) => open.store.log.trouble().map(|trouble| trouble.to_string()),
            None => self.unopened().clone(),
        }
    }

    /// A delivery that is due, for thread `index` to make; else when to ask again, if that is known and the
    /// thread [isn't woken](Self::woken) before. A thread has a limited number under way, and no receiver gets
    /// most of them.
    ///
    /// # Errors
    /// The time, in milliseconds since 1970.
    pub fn take(&self, index: usize, now: u64) -> Result<Task, Option<u64>> {
        let Some(open) = self.open.get() else { return Err(None) };
        // What is delivered while nothing can be written would be delivered again and again.
        if self.leaving.load(Ordering::Relaxed) || open.store.stopped().is_some() {
            return Err(None);
        }
        if let Some(until) = open.store.hold.until(now) {
            return Err(Some(until));
        }
        self.wake.look(index);
        let taken = self.take_one(index, now);
        match &taken {
            Ok(_) => open.store.hold.delivers(now),
            Err(_) => self.wake.looked(index),
        }
        taken
    }

    fn take_one(&self, index: usize, now: u64) -> Result<Task, Option<u64>> {
        let all = self.all.load();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1);
        let mut next: Option<u64> = None;
        // Each queue is first in its turn, so that a busy one holds up no other.
        for queue in all.values().skip(first).chain(all.values().take(first)) {
            let may = |receiver| self.wake.may_take(index, &(queue.name.clone(), receiver));
            let mut state = queue.lock();
            if let Some(work) = state.take_where(now, may) {
                drop(state);
                let slot = self.wake.take(index, (queue.name.clone(), work.receiver));
                return Ok(Task::new(queue.clone(), work, slot));
            }
            next = [next, state.next_where(now, may)].into_iter().flatten().min();
        }
        Err(next)
    }

    /// Returns when thread `index` is to ask for what is due.
    pub async fn woken(&self, index: usize) {
        self.wake.woken(index).await;
    }

    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        self.open.get().map(|open| &open.store)
    }

    /// Tells an operator.
    pub fn say(&self, text: &str) {
        (self.tell)(text);
    }

    pub(crate) fn snapshot_at(&self) -> Position {
        Position(self.snapshot_at.load(Ordering::Relaxed))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Writes a snapshot; blocks. Returns the position from which on the log is still needed.
    pub(crate) fn write_snapshot(&self) -> io::Result<Position> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = self.open.get() else { return Ok(Position::default()) };
        // The folder may be another process's by now.
        if self.is_closed() {
            return Err(io::Error::other("the queues are closed"));
        }
        // All records up to here are in what is written now; later ones may be, and are applied again.
        let at = open.store.applied();
        let all = self.all.load();
        snapshot::write(&*open.files, SNAPSHOT, at, &mut |out| {
            let mut slice = Vec::with_capacity(SLICE * 32);
            for (name, queue) in all.iter() {
                let mut cursor = Cursor::default();
                loop {
                    slice.clear();
                    let more = queue.lock().save(&mut cursor, &mut slice, SLICE);
                    part(out, name, &slice)?;
                    if !more {
                        break;
                    }
                }
            }
            Ok(())
        })?;
        self.snapshot_at.store(at.0, Ordering::Relaxed);
        Ok(at)
    }

    /// Begins no delivery any more; those under way go on, and messages are accepted.
    pub fn stop(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Deliveries under way, those among them whose end isn't written yet. What is one when the queues are
    /// closed is made again by the next process.
    pub fn running(&self) -> usize {
        if self.is_closed() {
            return 0;
        }
        self.all().iter().map(|queue| queue.lock().counts(wall_ms()).running).sum()
    }

    /// Lets the log go.
    pub async fn close(self: &Arc<Self>) {
        self.stop();
        let _one = self.closing.lock().await;
        if self.is_closed() {
            return;
        }
        let Some(open) = self.open.get() else { return };
        if self.trouble().is_none()
            && let Err(error) = tend::snapshot(self).await
        {
            self.say(&format!("no snapshot of the queues was written: {error}"));
        }
        self.closed.store(true, Ordering::Relaxed);
        let (own, embedded) = (self.clone(), open.embedded.clone());
        let end = move || {
            // What fails now was never acknowledged.
            embedded.close();
            // A snapshot that is being written is the last.
            drop(own.writing.lock());
        };
        let _ = tokio::task::spawn_blocking(end).await;
        open.owned.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Makes the folder, readable for its owner alone: messages may hold secrets.
fn private(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the folder this process's own, before anything in it is read.
fn own(files: &dyn Files, wait: Duration, leaving: &AtomicBool) -> Result<Arc<dyn File>, String> {
    let file = files.open(OWNER).map_err(|error| error.to_string())?;
    let over = Instant::now() + wait;
    while !file.lock().map_err(|error| error.to_string())? {
        if leaving.load(Ordering::Relaxed) {
            return Err("this process is being ended".to_owned());
        }
        if Instant::now() >= over {
            return Err("another process uses them; end it first, or give this one another `data`".to_owned());
        }
        std::thread::sleep(LOOK);
    }
    Ok(file)
}

/// One part of a snapshot: whose, how long, and what.
fn part(out: &mut dyn io::Write, name: &str, slice: &[u8]) -> io::Result<()> {
    let too_long = |_| io::Error::other("a part of a snapshot is too long");
    out.write_all(&u16::try_from(name.len()).map_err(too_long)?.to_le_bytes())?;
    out.write_all(name.as_bytes())?;
    out.write_all(&u32::try_from(slice.len()).map_err(too_long)?.to_le_bytes())?;
    out.write_all(slice)
}

fn restore(plan: &Plan, mut bytes: impl Read, states: &mut BTreeMap<Arc<str>, State>) -> Result<(), String> {
    let mut name = Vec::new();
    let mut slice = Vec::new();
    loop {
        let mut length = [0; 2];
        if bytes.read(&mut length[..1]).map_err(|error| error.to_string())? == 0 {
            return Ok(());
        }
        let mut fill = |into: &mut [u8]| bytes.read_exact(into).map_err(|error| error.to_string());
        fill(&mut length[1..])?;
        name.resize(u16::from_le_bytes(length).into(), 0);
        fill(&mut name)?;
        let mut length = [0; 4];
        fill(&mut length)?;
        slice.resize(u32::from_le_bytes(length) as usize, 0);
        fill(&mut slice)?;
        let name = std::str::from_utf8(&name).map_err(|error| error.to_string())?;
        state_of(plan, name, states)
            .restore(&slice, wall_ms())
            .map_err(|bad| format!("the snapshot: {bad}"))?;
    }
}

fn state_of<'s>(plan: &Plan, name: &str, states: &'s mut BTreeMap<Arc<str>, State>) -> &'s mut State {
    if !states.contains_key(name) {
        let rules = match plan.queues.get(name) {
            Some(plan) => Rules::from(&**plan),
            None => Rules::from(&unknown(name)),
        };
        states.insert(name.into(), State::new(rules));
    }
    // It is there by now.
    states.entry(name.into()).or_insert_with(|| State::new(Rules::from(&unknown(name))))
}

/// A queue that the file doesn't name: what it holds stays, and nothing is delivered.
fn unknown(name: &str) -> plan::Queue {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    plan::Queue {
        name: name.into(),
        deliver: Vec::new(),
        order_by: None,
        dedupe: DAY,
        retry: plan::Redelivery { attempts: 12, first: Duration::from_secs(1), longest: DAY / 24 },
        rate: None,
        concurrency: 32,
        timeout: Duration::from_secs(30),
        keep_done: DAY,
        keep_dead: 30 * DAY,
        sign: Vec::new(),
        full: 10 << 30,
        every: None,
        allow_private: false,
    }
}

/// What ids are made with: random, and kept, so that ids outlive the process.
fn secret(files: &dyn Files) -> io::Result<[u8; 32]> {
    let file = files.open(SECRET)?;
    let mut secret = [0; 32];
    if file.size()? == 32 {
        file.read(&mut secret, 0)?;
        return Ok(secret);
    }
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| io::Error::other("the system has no random numbers"))?;
    file.write(&secret, 0)?;
    file.sync()?;
    files.sync()?;
    Ok(secret)
}
