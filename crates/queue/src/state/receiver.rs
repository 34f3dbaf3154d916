//! What one receiver is to get: each has its own progress, so that one that hangs holds up nobody else.
//!
//! Of messages with the same key one is the *holder*: only it is ready, delayed or running, and the
//! others stand behind it. When it is over, the one with the lowest number is next.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::Position;

use super::Rules;
use super::small::Small;
use crate::pace::Pace;
use crate::record::{History, Number};
use crate::table::{Set, Table};

/// Deliveries that become ready at once at most, so that many with the same time hold up nobody.
const READY_AT_ONCE: usize = 256;

/// One message's way to one receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    /// The latest record of what came of it; 0: there is none.
    last: u64,
    /// Not before that; if it is over: since when.
    pub(super) due: Small,
    pub(super) attempts: u8,
    pub(super) place: Place,
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Ready,
    Delayed,
    Behind,
    Running,
    Done,
    Dead,
}

impl Place {
    pub(super) fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Dead)
    }
}

impl Delivery {
    pub(super) fn new(due: u64) -> Self {
        Self { last: 0, due: due.into(), attempts: 0, place: Place::Behind }
    }

    pub(super) fn is_open(&self) -> bool {
        self.place.is_open()
    }

    pub(super) fn last(&self) -> Option<Position> {
        (self.last != 0).then_some(Position(self.last))
    }

    /// The record is found here, or here too.
    pub(super) fn found(&mut self, position: Position) {
        self.last = self.last.max(position.0);
    }

    /// Whether these attempts go on from what is known.
    pub(super) fn goes_on(&self, history: &History<'_>) -> bool {
        let later = history.last.last().is_none_or(|attempt| attempt.at >= self.due.get());
        self.is_open() && history.attempts > u32::from(self.attempts) && later
    }
}

#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) text: Arc<str>,
    /// Whether the file names it.
    pub(super) wanted: bool,
    pub(super) pace: Pace,
    deliveries: Table<Delivery>,
    ready: Set,
    /// By when they are due.
    delayed: BTreeSet<(Small, Small)>,
    /// The holder of each key.
    holders: BTreeMap<Small, Small>,
    /// Those that stand behind, by key and number.
    behind: BTreeSet<(Small, Small)>,
    /// Those that have been due and aren't over.
    late: Set,
    dead: Set,
    /// Deliveries that aren't over.
    open: usize,
}

impl Receiver {
    pub(super) fn new(text: &str, rules: &Rules) -> Self {
        let mut receiver = Self {
            text: text.into(),
            wanted: false,
            pace: Pace::new(rules.concurrency, rules.rate),
            deliveries: Table::default(),
            ready: Set::default(),
            delayed: BTreeSet::new(),
            holders: BTreeMap::new(),
            behind: BTreeSet::new(),
            late: Set::default(),
            dead: Set::default(),
            open: 0,
        };
        receiver.set(rules);
        receiver
    }

    pub(super) fn set(&mut self, rules: &Rules) {
        self.wanted = rules.receivers.contains(&self.text);
        self.pace.set(rules.concurrency, rules.rate);
    }

    /// What it is called in the file.
    pub(super) fn name(&mut self, text: &str, rules: &Rules) {
        if *self.text != *text {
            self.text = text.into();
        }
        self.set(rules);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deliveries.len() == 0 && self.pace.in_flight() == 0
    }

    pub(super) fn delivery(&self, number: Number) -> Option<&Delivery> {
        self.deliveries.get(number)
    }

    pub(super) fn delivery_mut(&mut self, number: Number) -> Option<&mut Delivery> {
        self.deliveries.get_mut(number)
    }

    /// Adds a delivery, or opens one again. Nothing is done if there is an open one.
    pub(super) fn open(&mut self, number: Number, delivery: Delivery, key: Option<Small>, now: u64) -> bool {
        if self.deliveries.get(number).is_some_and(Delivery::is_open) {
            return false;
        }
        self.deliveries.insert(number, delivery);
        self.dead.remove(number);
        self.open += 1;
        match key.map(|key| self.holders.entry(key)) {
            Some(Entry::Occupied(holder)) => drop(self.behind.insert((*holder.key(), number.into()))),
            Some(Entry::Vacant(holder)) => {
                holder.insert(number.into());
                self.place(number, now);
            }
            None => self.place(number, now),
        }
        true
    }

    /// Adds one that is over.
    pub(super) fn add_ended(&mut self, number: Number, delivery: Delivery) {
        if delivery.place == Place::Dead {
            self.dead.insert(number);
        }
        self.deliveries.insert(number, delivery);
    }

    /// A delivery failed, and is tried again at this time.
    pub(super) fn tried(&mut self, number: Number, due: u64, attempts: u32, now: u64) {
        self.lift(number);
        let Some(delivery) = self.deliveries.get_mut(number) else { return };
        delivery.due = due.into();
        delivery.attempts = u8::try_from(attempts).unwrap_or(u8::MAX);
        if delivery.place != Place::Behind {
            self.place(number, now);
        }
    }

    /// A delivery is over; the next of its key may go.
    pub(super) fn end(&mut self, number: Number, dead: bool, at: u64, key: Option<Small>, now: u64) {
        self.lift(number);
        let Some(delivery) = self.deliveries.get_mut(number) else { return };
        let behind = delivery.place == Place::Behind;
        delivery.due = at.into();
        delivery.place = if dead { Place::Dead } else { Place::Done };
        if dead {
            self.dead.insert(number);
        }
        self.close(number, key, behind, now);
    }

    /// Forgets a delivery. One that flies keeps its key till it has landed.
    pub(super) fn remove(&mut self, number: Number, key: Option<Small>, flies: bool, now: u64) {
        self.lift(number);
        self.dead.remove(number);
        let Some(delivery) = self.deliveries.remove(number) else { return };
        if delivery.is_open() {
            let key = key.filter(|_| !flies);
            self.close(number, key, delivery.place == Place::Behind, now);
        }
    }

    fn close(&mut self, number: Number, key: Option<Small>, behind: bool, now: u64) {
        self.open -= 1;
        self.late.remove(number);
        match key {
            Some(key) if behind => drop(self.behind.remove(&(key, number.into()))),
            Some(key) => self.release(key, now),
            None => {}
        }
    }

    /// The holder of a key is over.
    pub(super) fn release(&mut self, key: Small, now: u64) {
        let next = self.behind.range((key, Small::LEAST)..=(key, Small::MOST)).next().copied();
        if let Some((key, number)) = next {
            self.behind.remove(&(key, number));
            self.holders.insert(key, number);
            self.place(number.get(), now);
        } else {
            self.holders.remove(&key);
        }
    }

    /// Puts one where it is taken from, now or when it is due.
    fn place(&mut self, number: Number, now: u64) {
        let Some(delivery) = self.deliveries.get_mut(number) else { return };
        if delivery.due.get() <= now {
            delivery.place = Place::Ready;
            self.ready.insert(number);
            self.late.insert(number);
        } else {
            delivery.place = Place::Delayed;
            self.delayed.insert((delivery.due, number.into()));
        }
    }

    /// Takes one out of where it waits.
    fn lift(&mut self, number: Number) {
        match self.deliveries.get(number) {
            Some(Delivery { place: Place::Ready, .. }) => drop(self.ready.remove(number)),
            Some(Delivery { place: Place::Delayed, due, .. }) => {
                self.delayed.remove(&(*due, number.into()));
            }
            _ => {}
        }
    }

    /// The first one that is due.
    pub(super) fn first_ready(&mut self, now: u64) -> Option<Number> {
        for _ in 0..READY_AT_ONCE {
            let Some(&(due, number)) = self.delayed.first().filter(|(due, _)| due.get() <= now) else {
                break;
            };
            self.delayed.remove(&(due, number));
            self.place(number.get(), now);
        }
        self.ready.first()
    }

    /// A delivery begins.
    pub(super) fn start(&mut self, number: Number) -> Option<Delivery> {
        self.lift(number);
        let delivery = self.deliveries.get_mut(number)?;
        delivery.place = Place::Running;
        Some(*delivery)
    }

    /// When one could begin, if no delivery ends before.
    pub(super) fn next_at(&self, now: u64) -> Option<u64> {
        let (due, _) = self.delayed.first().copied().unzip();
        let due = if self.ready.first().is_some() { now } else { due?.get() };
        match self.pace.may_start(now) {
            Ok(()) => Some(due.max(now)),
            Err(at) => at.map(|at| at.max(due)),
        }
    }

    pub(super) fn is_dead(&self, number: Number) -> bool {
        self.dead.contains(number)
    }

    /// Its dead letters after this one.
    pub(super) fn dead_after(&self, after: Number) -> impl Iterator<Item = Number> {
        self.dead.after(after)
    }

    pub(super) fn dead_letters(&self) -> usize {
        self.dead.len()
    }

    /// Deliveries that aren't over, and those of them that aren't due yet.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.open, self.delayed.len())
    }

    /// Those that have been due and aren't over, in order.
    pub(super) fn late(&self) -> impl Iterator<Item = Number> {
        self.late.after(0)
    }
}
