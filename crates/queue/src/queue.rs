//! One queue at work: its state behind a lock that is held for moments, and its records' way to the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use config::plan::{self, HashBy, Receiver, Secret};
use engine::{AppendError, Position, Room};
use tokio::sync::{Notify, broadcast, oneshot};
use upstream::clock::wall_ms;

use crate::accept::Places;
use crate::count::Counters;
use crate::follow::{Event, FOLLOWED};
use crate::record::{Number, Record, What};
use crate::state::{Rules, State};
use crate::store::Store;

/// A queue.
pub struct Queue {
    pub(crate) name: Arc<str>,
    pub(crate) plan: ArcSwap<plan::Queue>,
    /// The file names it. Changes under the lock of the state, so that no message comes in after that.
    in_plan: AtomicBool,
    state: Mutex<State>,
    /// Records on their way that give receivers their numbers.
    naming: AtomicUsize,
    /// Up to when the clock need not send anything any more, in seconds since 1970: what it was to send
    /// can't be accepted.
    pub(crate) given_up: AtomicU64,
    /// Since when it is known to this process, in seconds since 1970.
    pub(crate) since: u64,
    pub(crate) store: Arc<Store>,
    /// Where the pieces of uploads under way lie.
    uploads: Mutex<BTreeMap<Number, Weak<Places>>>,
    /// An accept that others with the same key wait for has ended.
    pub(crate) settled: Notify,
    pub(crate) live: broadcast::Sender<Event>,
    /// What went wrong with the last delivery to each receiver.
    errors: Mutex<BTreeMap<Arc<str>, String>>,
    /// What happened since the node started.
    pub counters: Counters,
}

impl Queue {
    pub(crate) fn new(
        plan: &Arc<plan::Queue>,
        in_plan: bool,
        state: State,
        store: &Arc<Store>,
    ) -> Arc<Queue> {
        Arc::new(Queue {
            name: plan.name.clone(),
            plan: ArcSwap::new(plan.clone()),
            in_plan: AtomicBool::new(in_plan),
            state: Mutex::new(state),
            naming: AtomicUsize::new(0),
            given_up: AtomicU64::new(0),
            since: wall_ms() / 1000,
            store: store.clone(),
            uploads: Mutex::default(),
            settled: Notify::new(),
            live: broadcast::channel(FOLLOWED).0,
            errors: Mutex::default(),
            counters: Counters::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the file says of it; of one that the file doesn't name any more, what it said last.
    pub fn plan(&self) -> Arc<plan::Queue> {
        self.plan.load_full()
    }

    /// Does the file name it?
    pub fn is_in_plan(&self) -> bool {
        self.in_plan.load(Ordering::Relaxed)
    }

    /// What orders its messages, if anything does.
    pub fn order_by(&self) -> Option<HashBy> {
        self.plan.load().order_by.clone()
    }

    /// How it names itself in `Nearside-Hops`.
    pub fn hop(&self) -> String {
        format!("{}@{}", self.name, self.store.tag)
    }

    /// What went wrong with the last delivery to a receiver; none: nothing did.
    pub fn last_error(&self, receiver: &str) -> Option<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).get(receiver).cloned()
    }

    pub(crate) fn note_error(&self, receiver: &Arc<str>, error: Option<String>) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => {
                errors.insert(receiver.clone(), error);
            }
            // Mostly there is none, so that this costs a look.
            None => {
                errors.remove(receiver);
            }
        }
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.plan.load().sign.clone()
    }

    pub(crate) fn receiver(&self, text: &str) -> Option<Receiver> {
        self.plan.load().deliver.iter().find(|receiver| &**receiver.text() == text).cloned()
    }

    pub(crate) fn uploads(&self) -> MutexGuard<'_, BTreeMap<Number, Weak<Places>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // What a panicking thread left half done is taken as it is: a restart reads it anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a changed plan; none: the file doesn't name it any more.
    /// `told` is let go of when all receivers have their numbers.
    pub(crate) fn follow(self: &Arc<Self>, plan: Option<&Arc<plan::Queue>>, told: &Sender<()>) {
        let mut state = self.lock();
        self.in_plan.store(plan.is_some(), Ordering::Relaxed);
        match plan {
            Some(plan) => {
                self.plan.store(plan.clone());
                state.set_rules(Rules::from(&**plan));
                self.name_receivers(&mut state, Some(told));
            }
            None => state.set_rules(Rules { receivers: Vec::new(), ..Rules::from(&*self.plan.load_full()) }),
        }
        drop(state);
        self.store.wake.all();
    }

    /// Gives receivers their numbers that have none yet.
    fn name_receivers(self: &Arc<Self>, state: &mut State, told: Option<&Sender<()>>) {
        for (index, text) in state.missing_receivers() {
            let what = What::Receiver { index, text: &text };
            let (own, told) = (self.clone(), told.cloned());
            self.naming.fetch_add(1, Ordering::Relaxed);
            self.write(&what, Room::Reserve, move |_| {
                own.naming.fetch_sub(1, Ordering::Relaxed);
                drop(told);
            });
        }
    }

    /// Tries that again, if it failed: till it is done, the queue accepts nothing.
    pub(crate) fn write_receivers(self: &Arc<Self>) {
        if self.naming.load(Ordering::Relaxed) == 0 && self.store.stopped().is_none() {
            self.name_receivers(&mut self.lock(), None);
        }
    }

    /// Writes a record; it is applied when it is stable, and `then` is told. Under the queue's lock,
    /// where the order of its records matters.
    pub(crate) fn write(
        self: &Arc<Self>,
        what: &What<'_>,
        room: Room,
        then: impl FnOnce(&Result<Position, AppendError>) + Send + 'static,
    ) {
        let mut bytes = Vec::with_capacity(256);
        Record { queue: &self.name, what: what.clone() }.write(&mut bytes);
        let record = Bytes::from(bytes);
        let (own, copy) = (self.clone(), record.clone());
        self.store.append(record, room, move |at| {
            if let Ok(position) = at {
                own.store.hold.written();
                own.apply(position, &copy);
            }
            then(&at);
        });
    }

    /// Applies a record that is stable.
    pub(crate) fn apply(&self, position: Position, record: &Bytes) {
        let Ok(read) = Record::read(record) else {
            // What this program wrote itself a moment ago, it can read.
            return;
        };
        let mut state = self.lock();
        state.apply(position, &read.what, wall_ms());
        let may_take = state.may_take(wall_ms());
        drop(state);
        self.store.note_applied(position);
        // What is due later than now has to be known to a thread, so that it sleeps no longer.
        let later = match &read.what {
            What::Tried(_) => true,
            What::Accepted(accepted) => accepted.due > accepted.at,
            _ => false,
        };
        if may_take || later {
            self.store.wake.one();
        }
        if let What::Accepted(accepted) = &read.what {
            self.tell_followers(position, accepted);
        }
    }

    /// Appends a record again, as it is; it is applied where it lies then.
    pub(crate) fn append_again(self: &Arc<Self>, record: Bytes) -> Again {
        let (tell, told) = oneshot::channel();
        let (own, copy) = (self.clone(), record.clone());
        self.store.append(record, Room::Reserve, move |at| {
            if let (Ok(position), Ok(read)) = (&at, Record::read(&copy)) {
                own.lock().apply(*position, &read.what, wall_ms());
                own.store.note_applied(*position);
            }
            let _ = tell.send(at);
        });
        told
    }
}

/// Where a record lies that was appended again.
pub(crate) type Again = oneshot::Receiver<Result<Position, AppendError>>;
