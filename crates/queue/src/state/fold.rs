//! Records change what is known; nothing else that lasts does.

use engine::Position;

use super::receiver::{Delivery, Receiver};
use super::small::Small;
use super::{Message, Stage, State, Upload};
use crate::record::{Accepted, Body, End, Ended, Number, ReceiverIndex, Tried, What};

/// Numbers from here on don't come up: a record with such a one is of nobody.
pub(super) const NO_NUMBERS: Number = 1 << 48;

impl State {
    /// What happened, at this position of the log. Records come in the order of the log; after a snapshot
    /// was restored, some of them again.
    pub fn apply(&mut self, position: Position, what: &What<'_>, now: u64) {
        match what {
            What::Accepted(accepted) => self.accepted(position, accepted, now),
            What::Tried(tried) => self.tried(position, tried, now),
            What::Ended(ended) => self.ended(position, ended, now),
            What::Replayed { number, receiver, due } => {
                self.replayed(position, *number, *receiver, *due, now);
            }
            What::Dropped { number, receiver } => self.dropped(position, *number, *receiver, now),
            What::Receiver { index, text } => self.add_receiver(*index, text),
            What::Paused(paused) => self.paused = *paused,
            What::Piece { upload, .. } => self.skip_to(*upload),
        }
    }

    /// All numbers before this one are given, and this one too.
    fn skip_to(&mut self, number: Number) {
        if number >= self.next && number < NO_NUMBERS {
            self.gaps.add(self.next..number);
            self.next = number + 1;
        }
    }

    /// Whether a message's number is seen for the first time.
    fn first_seen(&mut self, number: Number) -> bool {
        if number < self.next {
            return self.gaps.remove(number);
        }
        self.skip_to(number);
        number < self.next
    }

    fn accepted(&mut self, position: Position, accepted: &Accepted<'_>, now: u64) {
        let number = accepted.number;
        let first = self.first_seen(number);
        if first {
            self.fired = self.fired.max(accepted.fired);
            self.reserved.remove(number);
            if let Some(dedupe) = accepted.dedupe.filter(|dedupe| dedupe.till > now) {
                self.keys.insert(number, &dedupe);
            }
        }
        match self.messages.get_mut(number) {
            Some(message) if message.position < position => message.position = position,
            None if first => self.add_message(position, accepted, now),
            _ => return,
        }
        if let Body::Pieces { upload, at } = &accepted.body {
            let lowest = at.iter().map(|(position, _)| *position).min().unwrap_or(position);
            self.uploads.insert(*upload, Upload { message: Some(number), lowest });
            self.bodies.insert(number, *upload);
        }
    }

    fn add_message(&mut self, position: Position, accepted: &Accepted<'_>, now: u64) {
        let number = accepted.number;
        let order = accepted.order.map(Small::of_hash);
        if let Some(order) = order {
            self.orders.insert(number, order);
        }
        let mut open = 0;
        for index in &accepted.receivers {
            let receiver = self.receiver(*index);
            open += u16::from(receiver.open(number, Delivery::new(accepted.due), order, now));
        }
        let message = Message {
            position,
            since: accepted.at.max(accepted.due).into(),
            open,
            bytes: u32::try_from(accepted.bytes()).unwrap_or(u32::MAX),
            stage: Stage::Open,
        };
        self.messages.insert(number, message);
        self.on_shelf(number);
    }

    fn tried(&mut self, position: Position, tried: &Tried<'_>, now: u64) {
        let Tried { number, receiver: index, due, ref history } = *tried;
        let Some(delivery) = self.delivery_mut(number, index) else {
            return self.land_settled(number, index, now);
        };
        if delivery.goes_on(history) {
            delivery.found(position);
            self.land(number, index);
            self.receiver(index).tried(number, due, history.attempts, now);
        } else if delivery.is_open()
            && u32::from(delivery.attempts) == history.attempts
            && due <= delivery.due.get()
        {
            // The latest one is copied. Its time may have been put off since, in memory.
            delivery.found(position);
        }
    }

    fn ended(&mut self, position: Position, ended: &Ended<'_>, now: u64) {
        let Ended { number, receiver: index, at, how, ref history } = *ended;
        let Some(delivery) = self.delivery_mut(number, index) else {
            return self.land_settled(number, index, now);
        };
        if delivery.goes_on(history) {
            delivery.found(position);
            delivery.attempts = u8::try_from(history.attempts).unwrap_or(u8::MAX);
            self.land(number, index);
            self.off_shelf(number);
            let key = self.orders.get(number).copied();
            self.receiver(index).end(number, how == End::Dead, at, key, now);
            if let Some(message) = self.messages.get_mut(number) {
                message.open -= 1;
            }
            self.on_shelf(number);
        } else if !delivery.is_open() && delivery.due.get() == at {
            delivery.found(position);
        }
    }

    fn replayed(
        &mut self,
        position: Position,
        number: Number,
        to: Option<ReceiverIndex>,
        due: u64,
        now: u64,
    ) {
        let key = self.orders.get(number).copied();
        self.off_shelf(number);
        let mut opened = 0;
        for (index, receiver) in &mut self.receivers {
            let before = |delivery: &Delivery| delivery.last().is_none_or(|last| last < position);
            if to.is_none_or(|to| to == *index) && receiver.delivery(number).is_some_and(before) {
                opened += u16::from(receiver.open(number, Delivery::new(due), key, now));
            }
        }
        if let Some(message) = self.messages.get_mut(number) {
            message.open += opened;
            // Nobody waited for it any more; from now on somebody does.
            if opened > 0 && message.stage != Stage::Open {
                message.since = due.into();
            }
        }
        self.on_shelf(number);
    }

    fn dropped(&mut self, position: Position, number: Number, whose: Option<ReceiverIndex>, now: u64) {
        // One that lies before the message was for nobody.
        if self.messages.get(number).is_none_or(|message| message.position > position) {
            return;
        }
        let Some(index) = whose else {
            self.off_shelf(number);
            return self.forget(number, now);
        };
        let Some(delivery) = self.delivery_mut(number, index).copied() else { return };
        self.off_shelf(number);
        let key = self.orders.get(number).copied();
        let flies = self.flights.contains_key(&(number, index));
        self.receiver(index).remove(number, key, flies, now);
        if let Some(message) = self.messages.get_mut(number) {
            message.open -= u16::from(delivery.is_open());
        }
        if self.receivers.values().any(|receiver| receiver.delivery(number).is_some()) {
            self.on_shelf(number);
        } else {
            self.forget(number, now);
        }
    }

    pub(super) fn add_receiver(&mut self, index: ReceiverIndex, text: &str) {
        self.named.remove(text);
        self.receiver(index);
        if let Some(receiver) = self.receivers.get_mut(&index) {
            receiver.name(text, &self.rules);
        }
    }

    /// The receiver of this index. One that has none is made: what names it must not be lost.
    pub(super) fn receiver(&mut self, index: ReceiverIndex) -> &mut Receiver {
        if self.next_receiver.is_some_and(|next| next <= index) {
            self.next_receiver = index.checked_add(1);
        }
        self.receivers.entry(index).or_insert_with(|| Receiver::new("", &self.rules))
    }

    pub(super) fn delivery_mut(&mut self, number: Number, index: ReceiverIndex) -> Option<&mut Delivery> {
        self.receivers.get_mut(&index)?.delivery_mut(number)
    }

    /// The record of a delivery that was taken out while it was written.
    fn land_settled(&mut self, number: Number, index: ReceiverIndex, now: u64) {
        if self.flights.get(&(number, index)).is_some_and(|flight| flight.settled) {
            self.end_flight(number, index, now);
        }
    }

    /// Whether a record that lies here is needed yet: what isn't, need not be copied forward.
    pub fn is_live(&self, position: Position, what: &What<'_>) -> bool {
        let latest = |number, index| {
            let delivery = self.receivers.get(&index).and_then(|receiver| receiver.delivery(number));
            delivery.and_then(Delivery::last) == Some(position)
        };
        match what {
            What::Accepted(accepted) => {
                self.messages.get(accepted.number).is_some_and(|message| message.position == position)
            }
            What::Tried(tried) => latest(tried.number, tried.receiver),
            What::Ended(ended) => latest(ended.number, ended.receiver),
            What::Piece { upload, .. } => self.uploads.get(upload).is_some_and(|it| it.lowest <= position),
            // Snapshots have them.
            What::Replayed { .. } | What::Dropped { .. } | What::Receiver { .. } | What::Paused(_) => false,
        }
    }
}
