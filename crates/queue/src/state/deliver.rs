//! Who gets what now, and what came of it?

use std::ops::Bound;
use std::sync::Arc;

use engine::Position;

use super::State;
use super::small::Small;
use crate::backoff::{Outcome, Verdict, judge};
use crate::pace::Turn;
use crate::record::{Attempt, End, Ended, History, Number, ReceiverIndex, Tried, What};

/// When the record of a delivery could not be written, it is tried again after this time, in milliseconds.
const UNWRITTEN: u64 = 1000;

/// The latest attempts that are kept.
const ATTEMPTS_KEPT: usize = 100;

/// Bytes of an answer that are kept.
pub const ANSWER_KEPT: usize = 1024;

/// And of one that says that the message was taken.
const ANSWER_OF_DONE: usize = 64;

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Of which message.
    pub number: Number,
    /// To whom.
    pub receiver: ReceiverIndex,
    /// As in the file.
    pub receiver_text: Arc<str>,
    /// Where the message lies.
    pub position: Position,
    /// Which one it is; the first is 1.
    pub attempt: u32,
    /// Where the record of those before lies.
    pub history: Option<Position>,
    /// When the message came, or could be delivered from, or was replayed when it was over, in milliseconds
    /// since 1970.
    pub since: u64,
}

/// A delivery that was taken and whose record isn't stable yet.
#[derive(Debug)]
pub(super) struct Flight {
    turn: Turn,
    /// What it holds up; its message may have been taken out.
    key: Option<Small>,
    /// What came of it is being written.
    pub(super) settled: bool,
}

impl State {
    /// The next delivery that may begin. Receivers take turns.
    pub fn take(&mut self, now: u64) -> Option<Work> {
        self.take_where(now, |_| true)
    }

    /// The next one to a receiver that `may` get it.
    pub fn take_where(&mut self, now: u64, mut may: impl FnMut(ReceiverIndex) -> bool) -> Option<Work> {
        if self.paused {
            return None;
        }
        for _ in 0..self.receivers.len() {
            let mut later = self.receivers.range((Bound::Excluded(self.turn), Bound::Unbounded));
            self.turn = *later.next().or_else(|| self.receivers.first_key_value())?.0;
            let work = self.take_for(self.turn, now, &mut may);
            if work.is_some() {
                return work;
            }
        }
        None
    }

    fn take_for(
        &mut self,
        index: ReceiverIndex,
        now: u64,
        may: &mut impl FnMut(ReceiverIndex) -> bool,
    ) -> Option<Work> {
        let receiver = self.receivers.get_mut(&index).filter(|receiver| receiver.wanted)?;
        receiver.pace.may_start(now).ok()?;
        let number = receiver.first_ready(now).filter(|_| may(index))?;
        let message = self.messages.get(number)?;
        let delivery = receiver.start(number)?;
        let turn = receiver.pace.start(now);
        let key = self.orders.get(number).copied();
        self.flights.insert((number, index), Flight { turn, key, settled: false });
        Some(Work {
            number,
            receiver: index,
            receiver_text: Arc::clone(&receiver.text),
            position: message.position,
            attempt: u32::from(delivery.attempts) + 1,
            history: delivery.last(),
            since: message.since.get(),
        })
    }

    /// When [`Self::take`] could give something, if nothing happens before.
    pub fn next_at(&self, now: u64) -> Option<u64> {
        self.next_where(now, |_| true)
    }

    /// When [`Self::take_where`] could, if `may` says the same then.
    pub fn next_where(&self, now: u64, mut may: impl FnMut(ReceiverIndex) -> bool) -> Option<u64> {
        let wanted = self.receivers.iter().filter(|(_, receiver)| receiver.wanted && !self.paused);
        let next = wanted.filter_map(|(index, receiver)| Some((*index, receiver.next_at(now)?)));
        next.filter(|(index, at)| *at > now || may(*index)).map(|(_, at)| at).min()
    }

    /// What came of a delivery: the record to be appended. Till it is applied, the delivery counts as being
    /// in flight. None: there is nothing to write, since the message was taken out. `earlier` is what the
    /// record at [`Work::history`] says, `random` any number.
    pub fn settle<'a>(
        &mut self,
        work: &Work,
        outcome: &Outcome,
        earlier: History<'_>,
        answer: &'a [u8],
        now: u64,
        random: u64,
    ) -> Option<What<'a>> {
        let Work { number, receiver: index, .. } = *work;
        let receiver = self.receivers.get_mut(&index)?;
        let flight = self.flights.get_mut(&(number, index)).filter(|flight| !flight.settled)?;
        flight.settled = true;
        receiver.pace.answered(flight.turn, outcome, now);
        let Some(delivery) = receiver.delivery(number).copied() else {
            self.end_flight(number, index, now);
            return None;
        };
        // Clocks are put back sometimes; that it began before it was due would make it old news.
        let at = outcome.began.max(delivery.due.get());
        let mut last = earlier.last;
        last.push(Attempt { at, took: outcome.took, status: outcome.status });
        last.drain(..last.len().saturating_sub(ATTEMPTS_KEPT));
        let verdict = judge(outcome, work.attempt, &self.rules.retry, random);
        // What went well is rarely asked for, and most of what is kept.
        let kept = if matches!(verdict, Verdict::Done) { ANSWER_OF_DONE } else { ANSWER_KEPT };
        let answer = answer.get(..kept).unwrap_or(answer);
        let history = History { attempts: work.attempt, last, answer };
        let ended =
            |how, history| What::Ended(Ended { number, receiver: index, at: now.max(at), how, history });
        Some(match verdict {
            Verdict::Done => ended(End::Done, history),
            Verdict::Dead => ended(End::Dead, history),
            Verdict::Again(pause) => {
                let due = now.max(at).saturating_add(pause);
                What::Tried(Tried { number, receiver: index, due, history })
            }
        })
    }

    /// A delivery was not made, or the record of what came of it is not in the log for sure: it is made
    /// again.
    pub fn unsettle(&mut self, work: &Work, now: u64) {
        let Work { number, receiver: index, .. } = *work;
        let Some(delivery) = self.delivery_mut(number, index).copied() else {
            return self.end_flight(number, index, now);
        };
        if self.land(number, index) {
            let due = now.saturating_add(UNWRITTEN).max(delivery.due.get());
            self.receiver(index).tried(number, due, delivery.attempts.into(), now);
        }
    }

    /// A delivery isn't in flight any more; says whether it was.
    pub(super) fn land(&mut self, number: Number, index: ReceiverIndex) -> bool {
        let landed = self.flights.remove(&(number, index)).is_some();
        if landed {
            self.receiver(index).pace.ended();
        }
        landed
    }

    /// A delivery is over whose message was taken out meanwhile.
    pub(super) fn end_flight(&mut self, number: Number, index: ReceiverIndex, now: u64) {
        let Some(flight) = self.flights.remove(&(number, index)) else { return };
        let Some(receiver) = self.receivers.get_mut(&index) else { return };
        receiver.pace.ended();
        if let Some(key) = flight.key {
            receiver.release(key, now);
        }
    }
}
