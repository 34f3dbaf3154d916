//! What a queue knows: a pure state machine that records and deliveries drive.
//!
//! What must last is the fold of the queue's records in the order of the log ([`State::apply`]). Beside
//! it stand things that a restart forgets: deliveries in flight, how fast each receiver gets them, and
//! what is reserved for messages on their way into the log. Time and random numbers are arguments.
//!
//! A snapshot is taken while records go on being applied, and what is live is copied forward in the log
//! meanwhile. So a record may come again, or its copy late. What tells old news from new:
//! - A number that was seen and isn't there any more is gone for good.
//! - An attempt never begins before its delivery was due, and each has a higher number than the last one.
//!   An outcome of an earlier attempt is a copy.
//! - A replay that stands in the log before the end that it would undo has had its time.

mod accept;
mod ask;
mod deliver;
mod fold;
mod gaps;
mod keys;
mod operate;
mod receiver;
mod shelf;
mod show;
mod small;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use config::plan::Redelivery;
use engine::Position;

use crate::backoff::milliseconds;
use crate::record::{Number, ReceiverIndex};
use crate::table::Table;
use accept::Reserved;
use deliver::Flight;
use gaps::Gaps;
use keys::Keys;
use receiver::Receiver;
use shelf::Shelf;
use small::Small;

pub use crate::backoff::Outcome;
pub use accept::{Admit, Admitted, Refused};
pub use ask::Fate;
pub use deliver::Work;
pub use operate::{Dropping, Replaying, Which};
pub use show::{Counts, DeliveryState, DeliveryView, MessageState, MessageView, ReceiverCounts};
pub use snapshot::{BadSnapshot, Cursor};

/// Messages that a queue has at most, beside those that are done.
pub const MOST_MESSAGES: usize = 10_000_000;

/// Messages that are kept when they are done; the oldest go first.
pub const MOST_DONE: usize = 1_000_000;

/// They may take this part of what the queue may keep.
const PART_DONE: u64 = 10;

/// Attempts of one delivery: they are counted in a byte.
const MOST_ATTEMPTS: u32 = 250;

/// What the file says of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Who gets each message, as written in the file.
    pub receivers: Vec<Arc<str>>,
    /// When a delivery is tried again.
    pub retry: Redelivery,
    /// Deliveries a second to each receiver.
    pub rate: Option<f64>,
    /// Deliveries in flight to each receiver.
    pub concurrency: u32,
    /// How long a message is kept when it is done, in milliseconds.
    pub keep_done: u64,
    /// How long a dead letter is kept, in milliseconds.
    pub keep_dead: u64,
    /// Bytes that it may keep.
    pub full: u64,
}

impl From<&config::plan::Queue> for Rules {
    fn from(queue: &config::plan::Queue) -> Self {
        Self {
            receivers: queue.deliver.iter().map(|receiver| Arc::clone(receiver.text())).collect(),
            retry: queue.retry.clone(),
            rate: queue.rate,
            concurrency: queue.concurrency,
            keep_done: milliseconds(queue.keep_done),
            keep_dead: milliseconds(queue.keep_dead),
            full: queue.full,
        }
    }
}

/// All that a queue knows.
#[derive(Debug)]
pub struct State {
    rules: Rules,
    paused: bool,
    /// The next message's number; greater than all before.
    next: Number,
    /// Lower ones that haven't been seen in the log yet.
    gaps: Gaps,
    /// The latest time that the clock sent a message for.
    fired: Option<u64>,
    messages: Table<Message>,
    /// What orders a message, of those that something does.
    orders: Table<Small>,
    uploads: BTreeMap<Number, Upload>,
    /// Which upload a message came by, of those that came in pieces.
    bodies: BTreeMap<Number, Number>,
    /// Messages that go to somebody yet.
    open: Shelf,
    /// Messages that all receivers took.
    done: Shelf,
    /// Messages that go to nobody any more, and that some receiver didn't take.
    dead: Shelf,
    receivers: BTreeMap<ReceiverIndex, Receiver>,
    /// The next receiver's index; none: there are no more.
    next_receiver: Option<ReceiverIndex>,
    /// Indexes that were given and whose records aren't in the log yet: each is its receiver's for good,
    /// since a record that seems to have failed may be there after a restart.
    named: BTreeMap<Arc<str>, ReceiverIndex>,
    /// Who got a delivery last.
    turn: ReceiverIndex,
    flights: BTreeMap<(Number, ReceiverIndex), Flight>,
    reserved: Reserved,
    keys: Keys,
}

/// What is known of each message, beside its deliveries, which the receivers have.
#[derive(Debug, Clone, Copy)]
struct Message {
    position: Position,
    /// When it came, or may be delivered from, or was replayed when it was over, whichever is latest.
    since: Small,
    /// Receivers that aren't done with it.
    open: u16,
    bytes: u32,
    stage: Stage,
}

/// A body in pieces.
#[derive(Debug, Clone, Copy)]
struct Upload {
    /// The message that it is of; none: that isn't in the log yet.
    message: Option<Number>,
    /// Where the first piece lies.
    lowest: Position,
}

/// On which shelf a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Done,
    Dead,
}

impl State {
    /// Of a queue that has no records yet.
    pub fn new(rules: Rules) -> Self {
        let mut state = Self {
            rules: rules.clone(),
            paused: false,
            next: 1,
            gaps: Gaps::default(),
            fired: None,
            messages: Table::default(),
            orders: Table::default(),
            uploads: BTreeMap::new(),
            bodies: BTreeMap::new(),
            open: Shelf::default(),
            done: Shelf::default(),
            dead: Shelf::default(),
            receivers: BTreeMap::new(),
            next_receiver: Some(0),
            named: BTreeMap::new(),
            turn: 0,
            flights: BTreeMap::new(),
            reserved: Reserved::default(),
            keys: Keys::default(),
        };
        state.set_rules(rules);
        state
    }

    /// The file has changed. What goes to a receiver that isn't named any more waits till it is again, or
    /// is dropped.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = Rules {
            retry: Redelivery { attempts: rules.retry.attempts.min(MOST_ATTEMPTS), ..rules.retry },
            ..rules
        };
        for receiver in self.receivers.values_mut() {
            receiver.set(&self.rules);
        }
    }

    /// Receivers that the file names and that have no index yet: each gets one, and is to be written as
    /// [`What::Receiver`](crate::record::What::Receiver) before a message names it. Asked again before that
    /// is applied, it says the same.
    pub fn missing_receivers(&mut self) -> Vec<(ReceiverIndex, Arc<str>)> {
        let missing = self.rules.receivers.iter().filter(|text| self.index_of(text).is_none());
        let missing: Vec<Arc<str>> = missing.cloned().collect();
        missing.into_iter().filter_map(|text| Some((self.name_receiver(&text)?, text))).collect()
    }

    /// The index that a receiver gets, or has got already; none: there are no more.
    fn name_receiver(&mut self, text: &Arc<str>) -> Option<ReceiverIndex> {
        if let Some(index) = self.named.get(text) {
            return Some(*index);
        }
        let index = self.next_receiver?;
        self.next_receiver = index.checked_add(1);
        self.named.insert(text.clone(), index);
        Some(index)
    }

    /// To whom a new message goes; none: a receiver has no index yet.
    pub fn receivers(&self) -> Option<Vec<ReceiverIndex>> {
        self.rules.receivers.iter().map(|text| self.index_of(text)).collect()
    }

    fn index_of(&self, text: &str) -> Option<ReceiverIndex> {
        self.receivers.iter().find(|(_, receiver)| *receiver.text == *text).map(|(index, _)| *index)
    }

    /// Whether deliveries are stopped.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The latest time that the clock sent a message for, in seconds since 1970.
    pub fn last_fired(&self) -> Option<u64> {
        self.fired
    }

    fn shelf(&mut self, stage: Stage) -> &mut Shelf {
        match stage {
            Stage::Open => &mut self.open,
            Stage::Done => &mut self.done,
            Stage::Dead => &mut self.dead,
        }
    }

    /// When the last of the receivers that are done with a message was.
    fn last_end(&self, number: Number) -> Option<Small> {
        let deliveries = self.receivers.values().filter_map(|receiver| receiver.delivery(number));
        deliveries.filter(|delivery| !delivery.is_open()).map(|delivery| delivery.due).max()
    }

    /// When a message was over; none: it isn't.
    fn ended_at(&self, number: Number, message: &Message) -> Option<Small> {
        (message.stage != Stage::Open).then(|| self.last_end(number).unwrap_or(message.since))
    }

    /// Takes a message from its shelf, before anything of it changes.
    fn off_shelf(&mut self, number: Number) {
        let Some(message) = self.messages.get(number).copied() else { return };
        let ended = self.ended_at(number, &message);
        self.shelf(message.stage).remove(number, message.bytes, ended);
    }

    /// Puts a message on the shelf where it belongs now.
    fn on_shelf(&mut self, number: Number) {
        let Some(message) = self.messages.get_mut(number) else { return };
        message.stage = match message.open {
            0 if self.receivers.values().any(|receiver| receiver.is_dead(number)) => Stage::Dead,
            0 => Stage::Done,
            _ => Stage::Open,
        };
        let message = *message;
        let ended = self.ended_at(number, &message);
        self.shelf(message.stage).insert(number, message.bytes, ended);
    }

    /// Forgets all of a message that is on no shelf; deliveries in flight end by themselves.
    fn forget(&mut self, number: Number, now: u64) {
        let key = self.orders.remove(number);
        self.messages.remove(number);
        if let Some(upload) = self.bodies.remove(&number) {
            self.uploads.remove(&upload);
        }
        for (index, receiver) in &mut self.receivers {
            let flies = self.flights.contains_key(&(number, *index));
            receiver.remove(number, key, flies, now);
        }
    }
}
