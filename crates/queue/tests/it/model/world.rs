//! What is around a queue's state: a log, the way into it, snapshots, the cleaner, the end of the program.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use config::plan::Redelivery;
use engine::Position;
use queue::record::{Accepted, Body, Dedupe, Number, Record, What};
use queue::state::{
    Admit, Admitted, Cursor, Dropping, Fate, Outcome, Refused, Replaying, Rules, State, Work,
};

use super::truth::Truth;

pub struct World {
    pub state: State,
    pub truth: Truth,
    pub rules: Rules,
    pub now: u64,
    /// What is stable.
    log: BTreeMap<Position, Vec<u8>>,
    end: u64,
    /// On the way to it.
    pub pending: VecDeque<Pending>,
    /// Deliveries under way, each with the record of its attempts, read when it was taken.
    pub works: Vec<(Work, Option<Vec<u8>>)>,
    uploads: Vec<Upload>,
    reserved: BTreeMap<Number, Reserved>,
    snapshot: Option<(Position, Vec<Vec<u8>>)>,
    /// The one that is being written.
    writing: Option<(Position, Cursor, Vec<Vec<u8>>)>,
    /// What the cleaner read, and up to where.
    cleaning: Option<(Vec<Vec<u8>>, Position)>,
    highest: Number,
    last_applied: Position,
}

pub struct Pending {
    record: Vec<u8>,
    whose: Whose,
}

enum Whose {
    Accepted(Number),
    Settled(Work),
    /// It is there already.
    Copy,
    Other,
}

struct Upload {
    number: Number,
    pieces: Vec<(Position, u32)>,
}

struct Reserved {
    bytes: u64,
    key: Option<u128>,
}

/// A message as a client sends it.
#[derive(Debug, Clone)]
pub struct New {
    pub delay: u64,
    pub order: Option<u64>,
    pub key: Option<(u8, bool)>,
    pub size: usize,
}

pub fn rules(receivers: &[&str], concurrency: u32, full: u64) -> Rules {
    Rules {
        receivers: receivers.iter().map(|text| Arc::from(*text)).collect(),
        retry: Redelivery {
            attempts: 3,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        },
        rate: None,
        concurrency,
        keep_done: 5_000,
        keep_dead: 60_000,
        full,
    }
}

impl World {
    pub fn new(rules: Rules) -> Self {
        let mut world = Self {
            state: State::new(rules.clone()),
            truth: Truth::default(),
            rules: rules.clone(),
            now: 1_000_000,
            log: BTreeMap::new(),
            end: 64,
            pending: VecDeque::new(),
            works: Vec::new(),
            uploads: Vec::new(),
            reserved: BTreeMap::new(),
            snapshot: None,
            writing: None,
            cleaning: None,
            highest: 0,
            last_applied: Position(0),
        };
        world.set_rules(rules);
        world
    }

    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules.clone();
        self.state.set_rules(rules);
        for (index, text) in self.state.missing_receivers() {
            self.append(&What::Receiver { index, text: &text }, Whose::Other);
        }
    }

    fn append(&mut self, what: &What<'_>, whose: Whose) {
        let mut record = Vec::new();
        Record { queue: "q", what: what.clone() }.write(&mut record);
        self.pending.push_back(Pending { record, whose });
    }

    pub fn append_other(&mut self, what: &What<'_>) {
        self.append(what, Whose::Other);
    }

    /// Makes the first of what is pending stable.
    pub fn flush(&mut self, count: usize) {
        for pending in self.pending.drain(..count.min(self.pending.len())).collect::<Vec<_>>() {
            let position = Position(self.end);
            let what = Record::read(&pending.record).expect("it was written so").what;
            self.state.apply(position, &what, self.now);
            self.stable(position, &what, &pending);
            self.log.insert(position, pending.record);
        }
    }

    /// It is in the log, whether anybody knows that or not.
    fn stable(&mut self, position: Position, what: &What<'_>, pending: &Pending) {
        self.end += 8 + pending.record.len() as u64;
        self.last_applied = position;
        match &pending.whose {
            Whose::Copy => return,
            Whose::Accepted(number) => drop(self.reserved.remove(number)),
            Whose::Settled(_) | Whose::Other => {}
        }
        self.truth.apply(what, self.now);
    }

    /// The first record that is pending won't be in the log.
    pub fn fail(&mut self) {
        match self.pending.pop_front().map(|pending| pending.whose) {
            Some(Whose::Accepted(number)) => {
                self.state.give_back(number);
                self.reserved.remove(&number);
            }
            Some(Whose::Settled(work)) => self.unsettle(&work),
            Some(Whose::Copy) => self.cleaning = None,
            Some(Whose::Other) | None => {}
        }
    }

    fn unsettle(&mut self, work: &Work) {
        self.state.unsettle(work, self.now);
        let held = self.now + 1000;
        match self.truth.delivery(work.number, work.receiver) {
            Some(delivery) => {
                delivery.held = delivery.held.max(held);
                delivery.running = false;
            }
            None => self.truth.landed(work.number, work.receiver),
        }
    }

    /// What must come of it.
    fn expected(&self, bytes: u64, dedupe: Option<&Dedupe>) -> Result<Option<Admitted>, Refused> {
        if let Some(dedupe) = dedupe {
            if self.reserved.values().any(|reserved| reserved.key == Some(dedupe.key)) {
                return Ok(Some(Admitted::Pending));
            }
            if let Some((number, known)) = self.truth.keys.get(&dedupe.key)
                && known.till > self.now
            {
                let same = known.content == dedupe.content;
                return if same { Ok(Some(Admitted::Same(*number))) } else { Err(Refused::OtherContent) };
            }
        }
        let kept = self.truth.bytes(|message| !message.is_done());
        if kept + self.reserved_bytes() + bytes > self.rules.full { Err(Refused::Full) } else { Ok(None) }
    }

    pub fn reserved_bytes(&self) -> u64 {
        self.reserved.values().map(|reserved| reserved.bytes).sum()
    }

    fn new_number(&mut self, number: Number, bytes: u64, key: Option<u128>) {
        assert!(number > self.highest, "{number} after {}", self.highest);
        self.highest = number;
        self.reserved.insert(number, Reserved { bytes, key });
    }

    fn dedupe(&self, new: &New) -> Option<Dedupe> {
        let (key, other) = new.key?;
        let key = u128::from(key) << 100 | u128::from(key);
        Some(Dedupe { key, content: u128::from(other), till: self.now + 20_000 })
    }

    pub fn accept(&mut self, new: &New) {
        let Some(receivers) = self.state.receivers() else { return };
        let body = vec![b'x'; new.size];
        let mut accepted = Accepted {
            at: self.now,
            due: self.now + new.delay,
            receivers,
            order: new.order.map(|key| (key + 1) << 32),
            dedupe: self.dedupe(new),
            method: "POST",
            target: "/",
            body: Body::Whole(&body),
            ..Accepted::default()
        };
        let bytes = accepted.bytes();
        let dedupe = accepted.dedupe;
        let admitted = self.state.admit(&Admit { bytes, dedupe, in_pieces: false }, self.now);
        match (admitted, self.expected(bytes, dedupe.as_ref())) {
            (Ok(Admitted::New(number)), Ok(None)) => {
                self.new_number(number, bytes, dedupe.map(|dedupe| dedupe.key));
                accepted.number = number;
                self.append(&What::Accepted(Box::new(accepted)), Whose::Accepted(number));
            }
            (Ok(known), Ok(Some(expected))) => assert_eq!(known, expected),
            (Err(refused), Err(expected)) => assert_eq!(refused, expected),
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }

    pub fn begin_upload(&mut self) {
        let expected = self.expected(100, None);
        match self.state.admit(&Admit { bytes: 100, dedupe: None, in_pieces: true }, self.now) {
            Ok(Admitted::New(number)) => {
                assert_eq!(expected, Ok(None));
                self.new_number(number, 100, None);
                self.uploads.push(Upload { number, pieces: Vec::new() });
            }
            refused => assert_eq!(refused.map(Some), expected),
        }
    }

    /// One more piece of an upload, which waits till it is stable.
    pub fn push(&mut self, upload: usize, size: usize) {
        let Some(at) = upload.checked_rem(self.uploads.len()) else { return };
        let number = self.uploads[at].number;
        if self.state.reserve_more(number, size as u64).is_err() {
            assert_eq!(self.expected(size as u64, None), Err(Refused::Full));
            return self.break_off(upload);
        }
        self.reserved.get_mut(&number).expect("it is reserved").bytes += size as u64;
        self.append(&What::Piece { upload: number, bytes: &vec![b'y'; size] }, Whose::Other);
        self.flush(usize::MAX);
        self.uploads[at].pieces.push((self.last_applied, size as u32));
    }

    pub fn break_off(&mut self, upload: usize) {
        let Some(at) = upload.checked_rem(self.uploads.len()) else { return };
        let upload = self.uploads.remove(at);
        self.state.give_back(upload.number);
        self.reserved.remove(&upload.number);
    }

    pub fn commit(&mut self, upload: usize, new: &New) {
        let Some(at) = upload.checked_rem(self.uploads.len()) else { return };
        let Some(receivers) = self.state.receivers() else { return };
        let dedupe = self.dedupe(new);
        let known = self.expected(0, dedupe.as_ref());
        match self.state.commit(self.uploads[at].number, dedupe, self.now) {
            Ok(Admitted::New(number)) => {
                assert!(matches!(known, Ok(None) | Err(Refused::Full)), "{known:?}");
                let Upload { number: upload, pieces } = self.uploads.remove(at);
                let before = self.reserved.remove(&upload).expect("it was reserved");
                self.new_number(number, before.bytes, dedupe.map(|dedupe| dedupe.key));
                let (at, due) = (self.now, self.now + new.delay);
                let order = new.order.map(|key| (key + 1) << 32);
                let body = Body::Pieces { upload, at: pieces };
                let accepted =
                    Accepted { number, at, due, receivers, order, dedupe, body, ..Accepted::default() };
                self.append(&What::Accepted(Box::new(accepted)), Whose::Accepted(number));
            }
            known_or_refused => {
                assert_eq!(known_or_refused.map(Some), known);
                self.break_off(upload);
            }
        }
    }

    pub fn take(&mut self) -> bool {
        let counts = self.state.counts(self.now);
        let may = |index| {
            let counts = counts.receivers.iter().find(|counts| counts.index == index);
            let free = counts.is_none_or(|it| it.in_flight < it.limit && it.held_till.is_none());
            let wanted = self.rules.receivers.iter().any(|text| **text == *self.truth.receivers[&index]);
            free && wanted && !self.truth.paused
        };
        let next = |index| if may(index) { self.truth.next_for(index, self.now) } else { None };
        let Some(work) = self.state.take(self.now) else {
            let missed = self.truth.receivers.keys().find_map(|index| next(*index));
            assert_eq!(missed, None, "it should have been delivered");
            return false;
        };
        assert_eq!(next(work.receiver), Some(work.number), "{work:?}");
        assert_eq!(*work.receiver_text, *self.truth.receivers[&work.receiver]);
        let delivery = self.truth.delivery(work.number, work.receiver).expect("it is known");
        delivery.running = true;
        assert_eq!(work.attempt, delivery.attempts + 1);
        assert_eq!(work.history.is_some(), delivery.attempts > 0);
        let history = work.history.map(|position| self.log[&position].clone());
        self.works.push((work, history));
        true
    }

    pub fn settle(&mut self, at: usize, status: u16, retry_after: Option<u64>, random: u64) {
        let Some(at) = at.checked_rem(self.works.len()) else { return };
        let (work, earlier) = self.works.remove(at);
        let earlier = earlier.as_ref().map(|record| Record::read(record).expect("it was written so").what);
        let earlier = match earlier {
            Some(What::Tried(tried)) => tried.history,
            None => Default::default(),
            Some(other) => panic!("{other:?}"),
        };
        // It may have begun before it was due, if the clock was put back.
        let began = self.now.saturating_sub(random % 3 * 10);
        let outcome = Outcome { status, retry_after, began, took: 5, ..Outcome::default() };
        match self.state.settle(&work, &outcome, earlier, b"hm", self.now, random) {
            Some(what) => self.append(&what, Whose::Settled(work)),
            None => {
                assert!(self.truth.delivery(work.number, work.receiver).is_none());
                self.truth.landed(work.number, work.receiver);
            }
        }
    }

    pub fn abandon(&mut self, at: usize) {
        let Some(at) = at.checked_rem(self.works.len()) else { return };
        let (work, _) = self.works.remove(at);
        self.unsettle(&work);
    }

    pub fn replay(&mut self, mut replaying: Replaying) {
        while !replaying.is_over() {
            let portion = self.state.replay(&mut replaying, 2);
            portion.iter().for_each(|what| self.append_other(what));
        }
    }

    pub fn drop(&mut self, mut dropping: Dropping) {
        while !dropping.is_over() {
            let portion = self.state.drop(&mut dropping, 2);
            portion.iter().for_each(|what| self.append_other(what));
        }
    }

    pub fn expire(&mut self) {
        while self.state.expire(self.now, 3) {}
        let Rules { keep_done, keep_dead, full, .. } = self.rules;
        self.truth.expire(self.now, keep_done, keep_dead, full, self.reserved_bytes());
    }

    /// A slice of a snapshot; the last one makes it whole.
    pub fn snapshot(&mut self, at_most: usize) {
        let (from, mut cursor, mut slices) =
            self.writing.take().unwrap_or((self.last_applied, Cursor::default(), Vec::new()));
        let mut slice = Vec::new();
        let more = self.state.save(&mut cursor, &mut slice, at_most);
        slices.push(slice);
        if more {
            self.writing = Some((from, cursor, slices));
        } else {
            self.snapshot = Some((from, slices));
        }
    }

    /// Looks at the oldest records, up to what the last snapshot needs.
    pub fn begin_cleaning(&mut self, records: usize) {
        let Some((safe, _)) = self.snapshot else { return };
        let oldest: Vec<_> = self.log.range(..safe).take(records).map(|(at, it)| (*at, it.clone())).collect();
        let (mut copies, mut walked) = (Vec::new(), Position(0));
        for (at, record) in oldest {
            let what = Record::read(&record).expect("it was written so").what;
            match self.state.fate(at, &what) {
                Fate::Over => {}
                Fate::Coming(_) => break,
                Fate::Copied => copies.push(record),
                Fate::Together(number) => self.move_pieces(number),
            }
            walked = Position(at.0 + 1);
        }
        self.cleaning = Some((copies, walked));
    }

    fn copy(&mut self, record: Vec<u8>) -> Position {
        self.pending.push_back(Pending { record, whose: Whose::Copy });
        self.flush(usize::MAX);
        self.last_applied
    }

    fn move_pieces(&mut self, number: Number) {
        let position = self.state.message(number).expect("it is live").position;
        let record = self.log[&position].clone();
        let mut what = Record::read(&record).expect("it was written so").what;
        let What::Accepted(accepted) = &mut what else { panic!("{what:?}") };
        let Body::Pieces { at, .. } = &mut accepted.body else { panic!("{what:?}") };
        for (at, _) in at {
            *at = self.copy(self.log[at].clone());
        }
        let mut again = Vec::new();
        Record { queue: "q", what }.write(&mut again);
        self.copy(again);
    }

    /// Writes what was found to be needed, and forgets where it lay.
    pub fn finish_cleaning(&mut self) {
        let Some((copies, walked)) = self.cleaning.take() else { return };
        for record in copies {
            self.pending.push_back(Pending { record, whose: Whose::Copy });
        }
        self.flush(usize::MAX);
        self.log = self.log.split_off(&walked);
    }

    /// The program is ended; what was pending is in the log up to this one.
    pub fn restart(&mut self, kept: usize) {
        self.truth.restarted();
        let kept: Vec<_> = self.pending.drain(..kept.min(self.pending.len())).collect();
        for pending in kept {
            let position = Position(self.end);
            let what = Record::read(&pending.record).expect("it was written so").what;
            self.stable(position, &what, &pending);
            self.log.insert(position, pending.record);
        }
        self.pending.clear();
        self.works.clear();
        self.uploads.clear();
        self.reserved.clear();
        (self.writing, self.cleaning) = (None, None);
        self.highest = self.truth.messages.keys().next_back().copied().unwrap_or(0);
        self.state = State::new(self.rules.clone());
        let (from, slices) = self.snapshot.clone().unwrap_or_default();
        for slice in slices {
            self.state.restore(&slice, self.now).expect("it was written so");
        }
        for (position, record) in self.log.range(from..) {
            let what = Record::read(record).expect("it was written so").what;
            self.state.apply(*position, &what, self.now);
        }
        let first = self.log.keys().next().copied().unwrap_or_default();
        self.state.forget_before(first, self.now);
        self.set_rules(self.rules.clone());
        self.recovered();
    }

    /// What a restart may change: what was forgotten is there once more, what waits in a row of its key may
    /// stand in the order of numbers, and pauses that only this program knew are over.
    fn recovered(&mut self) {
        self.truth.holders.clear();
        for number in self.state.list(None, 0, usize::MAX) {
            if let Some(message) = self.truth.forgotten.remove(&number) {
                self.truth.messages.insert(number, message);
            }
            let view = self.state.message(number).expect("it is listed");
            for seen in view.deliveries {
                let message =
                    self.truth.messages.get_mut(&number).unwrap_or_else(|| panic!("{number} is gone"));
                let order = message.order;
                let delivery = message.deliveries.get_mut(&seen.index).expect("it goes there");
                if delivery.end.is_none() {
                    assert!((delivery.due..=delivery.held).contains(&seen.due), "{number}: {seen:?}");
                    delivery.held = seen.due;
                }
                if let Some(key) = order.filter(|_| delivery.end.is_none() && !is_behind(seen.state)) {
                    let other = self.truth.holders.insert((seen.index, key), number);
                    assert_eq!(other, None, "two of one key");
                }
            }
        }
    }

    /// The record at a position, which must be there.
    pub fn record(&self, position: Position) -> What<'_> {
        let record = self.log.get(&position).unwrap_or_else(|| panic!("nothing is at {position}"));
        Record::read(record).expect("it was written so").what
    }
}

fn is_behind(state: queue::state::DeliveryState) -> bool {
    state == queue::state::DeliveryState::Behind
}
