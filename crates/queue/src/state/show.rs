//! What operators and followers see.

use std::sync::Arc;

use engine::Position;

use super::receiver::{Place, Receiver};
use super::{Stage, State};
use crate::record::{Number, ReceiverIndex};

/// Messages of each receiver among which the oldest that waits is looked for: the lowest numbers, but what
/// is replayed has a low one and waits since then.
const LATE: usize = 64;

/// How a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// It goes to somebody yet.
    Waiting,
    /// It is being delivered.
    Running,
    /// All took it.
    Done,
    /// It goes to nobody any more, and somebody didn't take it.
    Dead,
}

/// How a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It may begin.
    Ready,
    /// Its time has not come.
    Delayed,
    /// It waits for another message with the same key.
    Behind,
    /// It is under way.
    Running,
    /// The receiver took it.
    Done,
    /// It is a dead letter.
    Dead,
}

/// How much there is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counts {
    /// Messages that go to somebody yet and aren't being delivered.
    pub waiting: usize,
    /// Messages that are being delivered.
    pub running: usize,
    /// Messages that all took, as far as they are kept.
    pub done: usize,
    /// Messages that somebody didn't take.
    pub dead: usize,
    /// What they all count for, those on their way in included.
    pub bytes: u64,
    /// Since when the oldest waits that could be delivered: since it came, or its delay was over, or it was
    /// to be replayed.
    pub oldest_waiting_at: Option<u64>,
    /// Keys that are remembered.
    pub keys: usize,
    /// Each for itself.
    pub receivers: Vec<ReceiverCounts>,
}

/// How much there is for one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverCounts {
    /// Its index.
    pub index: ReceiverIndex,
    /// As in the file.
    pub text: Arc<str>,
    /// Whether the file names it; if not, what goes to it waits.
    pub wanted: bool,
    /// Deliveries that aren't over and aren't in flight.
    pub waiting: usize,
    /// Those of them whose time has not come.
    pub delayed: usize,
    /// Deliveries in flight.
    pub in_flight: u32,
    /// Dead letters.
    pub dead: usize,
    /// Deliveries in flight that it may have now.
    pub limit: u32,
    /// Till when it wants to be left alone, if it does.
    pub held_till: Option<u64>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its number.
    pub number: Number,
    /// Where it lies.
    pub position: Position,
    /// How it is.
    pub state: MessageState,
    /// When it came, or could be delivered from, or was replayed when it was over, whichever is latest.
    pub since: u64,
    /// What it counts for.
    pub bytes: u64,
    /// To whom it goes and went.
    pub deliveries: Vec<DeliveryView>,
}

/// One receiver's part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// The receiver's index.
    pub index: ReceiverIndex,
    /// To whom, as in the file.
    pub receiver: Arc<str>,
    /// How it is.
    pub state: DeliveryState,
    /// Attempts that failed, and, if it is over, the last one.
    pub attempts: u32,
    /// Not before that; if it is over: since when.
    pub due: u64,
    /// Where the record of its attempts lies.
    pub last: Option<Position>,
}

impl From<Place> for DeliveryState {
    fn from(place: Place) -> Self {
        match place {
            Place::Ready => Self::Ready,
            Place::Delayed => Self::Delayed,
            Place::Behind => Self::Behind,
            Place::Running => Self::Running,
            Place::Done => Self::Done,
            Place::Dead => Self::Dead,
        }
    }
}

impl State {
    /// How much there is.
    pub fn counts(&self, now: u64) -> Counts {
        let running = self.running().count();
        let late = self.receivers.values().flat_map(|receiver| receiver.late().take(LATE));
        let oldest = late.filter_map(|number| self.messages.get(number));
        Counts {
            waiting: self.open.numbers.len() - running,
            running,
            done: self.done.numbers.len(),
            dead: self.dead.numbers.len(),
            bytes: self.open.bytes + self.done.bytes + self.dead.bytes + self.reserved.bytes,
            oldest_waiting_at: oldest.map(|message| message.since.get()).min(),
            keys: self.keys.len(),
            receivers: self.receiver_counts(now),
        }
    }

    fn receiver_counts(&self, now: u64) -> Vec<ReceiverCounts> {
        // One that was given up, or that got two indexes, is of no interest when it has nothing.
        let shown = |(index, receiver): &(&ReceiverIndex, &Receiver)| {
            !receiver.is_empty() || receiver.wanted && self.index_of(&receiver.text) == Some(**index)
        };
        let counts = self.receivers.iter().filter(shown).map(|(index, receiver)| {
            let (open, delayed) = receiver.waiting();
            let in_flight = receiver.pace.in_flight();
            let held_till = receiver.pace.held_till();
            ReceiverCounts {
                index: *index,
                text: Arc::clone(&receiver.text),
                wanted: receiver.wanted,
                waiting: open.saturating_sub(in_flight as usize),
                delayed,
                in_flight,
                dead: receiver.dead_letters(),
                limit: receiver.pace.limit(),
                held_till: (held_till > now).then_some(held_till),
            }
        });
        counts.collect()
    }

    /// Messages that are being delivered, in order.
    fn running(&self) -> impl Iterator<Item = Number> {
        let mut last = None;
        let numbers = self.flights.keys().filter(|flight| self.is_known(flight)).map(|(number, _)| *number);
        numbers.filter(move |number| last.replace(*number) != Some(*number))
    }

    fn is_running(&self, number: Number) -> bool {
        let mut flights = self.flights.range((number, 0)..=(number, ReceiverIndex::MAX));
        flights.any(|(flight, _)| self.is_known(flight))
    }

    /// Whether a delivery in flight wasn't taken out meanwhile.
    fn is_known(&self, (number, index): &(Number, ReceiverIndex)) -> bool {
        self.receivers.get(index).is_some_and(|receiver| receiver.delivery(*number).is_some())
    }

    /// One message; none: it isn't here, or not any more.
    pub fn message(&self, number: Number) -> Option<MessageView> {
        let message = self.messages.get(number)?;
        let deliveries = self.receivers.iter().filter_map(|(index, receiver)| {
            let delivery = receiver.delivery(number)?;
            Some(DeliveryView {
                index: *index,
                receiver: Arc::clone(&receiver.text),
                state: delivery.place.into(),
                attempts: delivery.attempts.into(),
                due: delivery.due.get(),
                last: delivery.last(),
            })
        });
        let state = match message.stage {
            Stage::Open if self.is_running(number) => MessageState::Running,
            Stage::Open => MessageState::Waiting,
            Stage::Done => MessageState::Done,
            Stage::Dead => MessageState::Dead,
        };
        Some(MessageView {
            number,
            position: message.position,
            state,
            since: message.since.get(),
            bytes: message.bytes.into(),
            deliveries: deliveries.collect(),
        })
    }

    /// Messages in a state, or all, with greater numbers than `after`, in order; at most so many.
    pub fn list(&self, state: Option<MessageState>, after: Number, at_most: usize) -> Vec<Number> {
        match state {
            None => self.messages.after(after).map(|(number, _)| number).take(at_most).collect(),
            Some(MessageState::Done) => self.done.numbers.after(after).take(at_most).collect(),
            Some(MessageState::Dead) => self.dead.numbers.after(after).take(at_most).collect(),
            Some(MessageState::Running) => {
                self.running().filter(|number| *number > after).take(at_most).collect()
            }
            Some(MessageState::Waiting) => {
                let waiting = self.open.numbers.after(after).filter(|number| !self.is_running(*number));
                waiting.take(at_most).collect()
            }
        }
    }

    /// Where messages after this one lie, for those who follow: all that are kept, in order, up to the first
    /// that is on its way into the log.
    pub fn positions_after(&self, after: Number, at_most: usize) -> Vec<(Number, Position)> {
        let pending = self.reserved.messages().next().unwrap_or(Number::MAX);
        let kept = self.messages.after(after).take_while(|(number, _)| *number < pending);
        kept.map(|(number, message)| (number, message.position)).take(at_most).collect()
    }
}
