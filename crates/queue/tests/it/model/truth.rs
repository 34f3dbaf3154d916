//! What a queue must know, said as simply as it goes: everything in maps that are gone through from the
//! front. It hears of each record once, in the order of the log.

use std::collections::{BTreeMap, BTreeSet};

use queue::record::{Accepted, Dedupe, End, Number, ReceiverIndex, What};
use queue::state::{DeliveryState, MessageState};

#[derive(Debug, Default)]
pub struct Truth {
    pub messages: BTreeMap<Number, Message>,
    /// Those whose time was over: after a restart they may be there once more.
    pub forgotten: BTreeMap<Number, Message>,
    pub receivers: BTreeMap<ReceiverIndex, String>,
    /// Which message of each key may go.
    pub holders: BTreeMap<(ReceiverIndex, u64), Number>,
    /// Those that were taken out while they were delivered, and their keys.
    ghosts: BTreeMap<(ReceiverIndex, Number), Option<u64>>,
    pub keys: BTreeMap<u128, (Number, Dedupe)>,
    pub paused: bool,
    seen: BTreeSet<Number>,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub since: u64,
    pub bytes: u64,
    pub order: Option<u64>,
    pub deliveries: BTreeMap<ReceiverIndex, Delivery>,
}

#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// How it ended, if it did.
    pub end: Option<End>,
    pub attempts: u32,
    /// As the log says; if it ended: when.
    pub due: u64,
    /// As long as the program runs.
    pub held: u64,
    pub running: bool,
}

impl Message {
    pub fn is_open(&self) -> bool {
        self.deliveries.values().any(|delivery| delivery.end.is_none())
    }

    pub fn state(&self) -> MessageState {
        if self.deliveries.values().any(|delivery| delivery.running) {
            MessageState::Running
        } else if self.is_open() {
            MessageState::Waiting
        } else if self.deliveries.values().any(|delivery| delivery.end == Some(End::Dead)) {
            MessageState::Dead
        } else {
            MessageState::Done
        }
    }

    pub fn is_done(&self) -> bool {
        self.state() == MessageState::Done
    }

    fn ended_at(&self) -> u64 {
        self.deliveries.values().map(|delivery| delivery.due).max().unwrap_or(self.since)
    }
}

impl Delivery {
    fn new(due: u64) -> Self {
        Self { end: None, attempts: 0, due, held: due, running: false }
    }
}

impl Truth {
    pub fn apply(&mut self, what: &What<'_>, now: u64) {
        match what {
            What::Accepted(accepted) => self.accepted(accepted, now),
            What::Tried(tried) => {
                let attempts = tried.history.attempts;
                self.came(tried.number, tried.receiver, |delivery| {
                    *delivery = Delivery { attempts, ..Delivery::new(tried.due) };
                });
            }
            What::Ended(ended) => {
                let (end, attempts) = (Some(ended.how), ended.history.attempts);
                self.came(ended.number, ended.receiver, |delivery| {
                    *delivery = Delivery { end, attempts, ..Delivery::new(ended.at) };
                });
                self.let_go(ended.receiver, ended.number);
            }
            What::Replayed { number, receiver, due } => {
                // For those it came too late, but a restart can't know that.
                for message in self.messages.get_mut(number).into_iter().chain(self.forgotten.get_mut(number))
                {
                    let its = message.deliveries.keys();
                    if !message.is_open() && its.clone().any(|its| receiver.is_none_or(|it| it == *its)) {
                        message.since = *due;
                    }
                }
                for (index, delivery) in
                    self.forgotten.get_mut(number).iter_mut().flat_map(|it| &mut it.deliveries)
                {
                    if delivery.end.is_some() && receiver.is_none_or(|receiver| receiver == *index) {
                        *delivery = Delivery::new(*due);
                    }
                }
                for (index, delivery) in self.deliveries(*number, *receiver) {
                    if delivery.end.is_some() {
                        self.open(*number, index, Delivery::new(*due));
                    }
                }
            }
            What::Dropped { number, receiver } => self.dropped(*number, *receiver),
            What::Receiver { index, text } => drop(self.receivers.insert(*index, (*text).to_owned())),
            What::Paused(paused) => self.paused = *paused,
            What::Piece { .. } => {}
        }
    }

    fn accepted(&mut self, accepted: &Accepted<'_>, now: u64) {
        let number = accepted.number;
        assert!(self.seen.insert(number), "{number} was there before");
        let since = accepted.at.max(accepted.due);
        let message =
            Message { since, bytes: accepted.bytes(), order: accepted.order, deliveries: BTreeMap::new() };
        self.messages.insert(number, message);
        for receiver in &accepted.receivers {
            self.open(number, *receiver, Delivery::new(accepted.due));
        }
        if let Some(dedupe) = accepted.dedupe.filter(|dedupe| dedupe.till > now) {
            self.keys.insert(dedupe.key, (number, dedupe));
        }
    }

    fn deliveries(&self, number: Number, only: Option<ReceiverIndex>) -> Vec<(ReceiverIndex, Delivery)> {
        let message = self.messages.get(&number);
        let all = message.into_iter().flat_map(|message| &message.deliveries);
        let wanted = all.filter(|(index, _)| only.is_none_or(|only| only == **index));
        wanted.map(|(index, delivery)| (*index, *delivery)).collect()
    }

    pub fn delivery(&mut self, number: Number, index: ReceiverIndex) -> Option<&mut Delivery> {
        self.messages.get_mut(&number)?.deliveries.get_mut(&index)
    }

    fn open(&mut self, number: Number, index: ReceiverIndex, delivery: Delivery) {
        let message = self.messages.get_mut(&number).expect("it is here");
        message.deliveries.insert(index, delivery);
        if let Some(key) = message.order {
            self.holders.entry((index, key)).or_insert(number);
        }
    }

    /// What came of a delivery is in the log.
    fn came(&mut self, number: Number, index: ReceiverIndex, change: impl FnOnce(&mut Delivery)) {
        match self.delivery(number, index) {
            Some(delivery) => {
                assert_eq!(delivery.end, None, "{number} to {index} was over");
                change(delivery);
            }
            None => self.landed(number, index),
        }
    }

    /// The holder of a key is over: the one with the lowest number is next.
    fn let_go(&mut self, index: ReceiverIndex, number: Number) {
        let Some(key) = self.messages.get(&number).and_then(|message| message.order) else { return };
        if self.holders.get(&(index, key)) == Some(&number) {
            self.next_of(index, key);
        }
    }

    fn next_of(&mut self, index: ReceiverIndex, key: u64) {
        let its = |message: &Message| {
            message.order == Some(key)
                && message.deliveries.get(&index).is_some_and(|delivery| delivery.end.is_none())
        };
        match self.messages.iter().find(|(_, message)| its(message)) {
            Some((next, _)) => drop(self.holders.insert((index, key), *next)),
            None => drop(self.holders.remove(&(index, key))),
        }
    }

    fn dropped(&mut self, number: Number, only: Option<ReceiverIndex>) {
        let its = self.deliveries(number, only);
        if its.is_empty() && only.is_some() {
            return;
        }
        for (index, delivery) in its {
            let message = self.messages.get_mut(&number).expect("it has deliveries");
            message.deliveries.remove(&index);
            let order = message.order;
            if delivery.running {
                self.ghosts.insert((index, number), order);
            } else if delivery.end.is_none() {
                self.let_go(index, number);
            }
        }
        let nothing_left = |message: &Message| message.deliveries.is_empty();
        if self.messages.get(&number).is_some_and(nothing_left) {
            self.messages.remove(&number);
        }
    }

    /// A delivery in flight is over whose message was taken out.
    pub fn landed(&mut self, number: Number, index: ReceiverIndex) {
        if let Some(Some(key)) = self.ghosts.remove(&(index, number)) {
            self.next_of(index, key);
        }
    }

    /// The first message that this receiver may get.
    pub fn next_for(&self, index: ReceiverIndex, now: u64) -> Option<Number> {
        let may = |number: Number, message: &Message| {
            let Some(delivery) = message.deliveries.get(&index) else { return false };
            let first = message.order.is_none_or(|key| self.holders.get(&(index, key)) == Some(&number));
            delivery.end.is_none() && !delivery.running && delivery.held <= now && first
        };
        self.messages.iter().find(|(number, message)| may(**number, message)).map(|(number, _)| *number)
    }

    pub fn bytes(&self, wanted: impl Fn(&Message) -> bool) -> u64 {
        self.messages.values().filter(|message| wanted(message)).map(|message| message.bytes).sum()
    }

    /// What has been kept long enough is forgotten.
    pub fn expire(&mut self, now: u64, keep_done: u64, keep_dead: u64, full: u64, reserved: u64) {
        loop {
            let oldest = |state: MessageState| {
                let those = self.messages.iter().filter(|(_, message)| message.state() == state);
                those.map(|(number, message)| (message.ended_at(), *number)).min()
            };
            let done_bytes = self.bytes(|message| message.state() == MessageState::Done);
            let too_many = done_bytes > full / 10 || self.bytes(|_| true) + reserved > full;
            let done = oldest(MessageState::Done).filter(|(ended, _)| too_many || ended + keep_done <= now);
            let dead = oldest(MessageState::Dead).filter(|(ended, _)| ended + keep_dead <= now);
            let Some((_, number)) = done.or(dead) else { return };
            let message = self.messages.remove(&number).expect("it was found");
            self.forgotten.insert(number, message);
        }
    }

    /// The program was ended: what was in flight isn't any more.
    pub fn restarted(&mut self) {
        self.ghosts.clear();
        let all = self.messages.values_mut().flat_map(|message| message.deliveries.values_mut());
        all.for_each(|delivery| delivery.running = false);
    }

    /// How a delivery looks.
    pub fn shows(&self, number: Number, index: ReceiverIndex) -> &'static [DeliveryState] {
        let message = &self.messages[&number];
        let delivery = message.deliveries[&index];
        let first = message.order.is_none_or(|key| self.holders.get(&(index, key)) == Some(&number));
        match delivery.end {
            Some(End::Done) => &[DeliveryState::Done],
            Some(End::Dead) => &[DeliveryState::Dead],
            None if delivery.running => &[DeliveryState::Running],
            None if first => &[DeliveryState::Ready, DeliveryState::Delayed],
            None => &[DeliveryState::Behind],
        }
    }
}
