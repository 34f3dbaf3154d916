//! What operators do with messages, and what time does: both in portions.

use std::ops::RangeInclusive;

use super::show::MessageState;
use super::{MOST_DONE, PART_DONE, State};
use crate::record::{Number, ReceiverIndex, What};

/// Messages that are done and that a replay looks at under one hold of a queue's lock.
const LOOKS: usize = 1024;

/// Which messages are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Deliveries that are dead letters.
    Dead,
    /// Messages that are done: to all that they went to.
    Done,
    /// First the dead, then the done.
    All,
}

/// How far a replay has come.
#[derive(Debug)]
pub struct Replaying {
    numbers: RangeInclusive<Number>,
    only: Option<ReceiverIndex>,
    from: u64,
    /// Milliseconds from one to the next.
    pause: f64,
    sent: u64,
    dead: bool,
    done: bool,
    /// Where it is: whose dead letters, and after which message.
    receiver: ReceiverIndex,
    after: Number,
    over: bool,
}

impl Replaying {
    /// Of one message, or of all; to one receiver, or to each; `per_second` of them become due each second
    /// from now on, all at once if there's no limit.
    pub fn new(
        which: Which,
        one: Option<Number>,
        only: Option<ReceiverIndex>,
        per_second: Option<f64>,
        now: u64,
    ) -> Self {
        Self {
            numbers: one.map_or(1..=Number::MAX, |number| number..=number),
            only,
            from: now,
            pause: per_second.map_or(0.0, |rate| 1000.0 / rate),
            sent: 0,
            dead: which != Which::Done,
            done: which != Which::Dead,
            receiver: 0,
            after: one.map_or(0, |number| number.saturating_sub(1)),
            over: false,
        }
    }

    /// Whether there are no more portions.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Messages so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The next one's time.
    fn due(&mut self) -> u64 {
        let passed = (self.sent as f64 * self.pause) as u64;
        self.sent += 1;
        self.from.saturating_add(passed)
    }
}

/// How far the dropping of messages has come.
#[derive(Debug)]
pub struct Dropping {
    state: Option<MessageState>,
    only: Option<ReceiverIndex>,
    after: Number,
    over: bool,
}

impl Dropping {
    /// Of all messages in this state, or of all; what goes to one receiver, or all of them.
    pub fn new(state: Option<MessageState>, only: Option<ReceiverIndex>) -> Self {
        Self { state, only, after: 0, over: false }
    }

    /// Whether there are no more portions.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

impl State {
    /// The next records of a replay, at most so many, which may be none before [it is
    /// over](Replaying::is_over). They are to be appended and applied. What isn't over yet is left alone.
    pub fn replay(&self, replaying: &mut Replaying, at_most: usize) -> Vec<What<'static>> {
        let mut portion = Vec::new();
        for _ in 0..LOOKS {
            if portion.len() == at_most || replaying.over {
                break;
            }
            portion.extend(self.replay_one(replaying));
        }
        portion
    }

    /// None: the one that was looked at isn't meant, or it is over.
    fn replay_one(&self, replaying: &mut Replaying) -> Option<What<'static>> {
        let dead = self.next_dead(replaying);
        let (number, receiver) = match dead {
            Some((number, receiver)) => (number, Some(receiver)),
            None => (self.next_done(replaying)?, replaying.only),
        };
        replaying.after = number;
        // Later than its end, even if the clock was put back: so its end is old news.
        let end = self.last_end(number);
        // What was brought back a moment ago and is done by now was meant as a dead letter.
        if dead.is_none() && end.is_some_and(|end| end.get() >= replaying.from) {
            return None;
        }
        let due = replaying.due().max(end.map_or(0, |end| end.get() + 1));
        Some(What::Replayed { number, receiver, due })
    }

    fn next_dead(&self, replaying: &mut Replaying) -> Option<(Number, ReceiverIndex)> {
        let before = replaying.numbers.start().saturating_sub(1);
        while let Some((index, receiver)) = self.receivers.range(replaying.receiver..).next()
            && replaying.dead
        {
            if replaying.receiver != *index {
                (replaying.receiver, replaying.after) = (*index, before);
            }
            let wanted = replaying.only.is_none_or(|only| only == *index);
            let next = receiver.dead_after(replaying.after).next().filter(|_| wanted);
            if let Some(number) = next.filter(|number| replaying.numbers.contains(number)) {
                return Some((number, *index));
            }
            match index.checked_add(1) {
                Some(next) => (replaying.receiver, replaying.after) = (next, before),
                None => break,
            }
        }
        if std::mem::take(&mut replaying.dead) {
            replaying.after = before;
        }
        None
    }

    fn next_done(&self, replaying: &mut Replaying) -> Option<Number> {
        let next = self.done.numbers.after(replaying.after).next();
        let next = next.filter(|number| replaying.done && replaying.numbers.contains(number));
        replaying.over = next.is_none();
        next
    }

    /// The next records of a dropping, which may be none before [it is over](Dropping::is_over); at most so
    /// many messages are looked at. They are to be appended and applied.
    pub fn drop(&self, dropping: &mut Dropping, at_most: usize) -> Vec<What<'static>> {
        let mut numbers = self.list(dropping.state, dropping.after, at_most);
        dropping.over = numbers.len() < at_most;
        dropping.after = numbers.last().copied().unwrap_or(dropping.after);
        numbers.retain(|number| {
            let has = |index| self.receivers.get(&index).is_some_and(|it| it.delivery(*number).is_some());
            dropping.only.is_none_or(has)
        });
        let receiver = dropping.only;
        numbers.into_iter().map(|number| What::Dropped { number, receiver }).collect()
    }

    /// Forgets what has been kept long enough, at most so many things. Says whether there is more.
    pub fn expire(&mut self, now: u64, at_most: usize) -> bool {
        (0..at_most).all(|_| self.expire_one(now))
    }

    fn expire_one(&mut self, now: u64) -> bool {
        let Some(number) = self.expired(now) else { return self.keys.expire(now) };
        self.off_shelf(number);
        self.forget(number, now);
        true
    }

    fn expired(&self, now: u64) -> Option<Number> {
        let over =
            |(ended, number): (u64, Number), keep| (ended.saturating_add(keep) <= now).then_some(number);
        let (done, dead) = (self.done.oldest(), self.dead.oldest());
        let too_many = done.filter(|_| self.is_over_full()).map(|(_, number)| number);
        let done = too_many.or_else(|| over(done?, self.rules.keep_done));
        done.or_else(|| over(dead?, self.rules.keep_dead))
    }

    /// More is done than is to be kept.
    fn is_over_full(&self) -> bool {
        let all = self.open.bytes + self.dead.bytes + self.done.bytes + self.reserved.bytes;
        self.done.numbers.len() > MOST_DONE
            || self.done.bytes > self.rules.full / PART_DONE
            || all > self.rules.full
    }

    /// When [`Self::expire`] has something to do.
    pub fn expires_at(&self, now: u64) -> Option<u64> {
        let keep = |oldest: Option<(u64, Number)>, keep| Some(oldest?.0.saturating_add(keep));
        let full = (self.done.numbers.len() > 0 && self.is_over_full()).then_some(now);
        let ends =
            [keep(self.done.oldest(), self.rules.keep_done), keep(self.dead.oldest(), self.rules.keep_dead)];
        [full, self.keys.next_at()].into_iter().chain(ends).flatten().min().map(|at| at.max(now))
    }
}
