//! What one sees best in an example.

use std::sync::Arc;
use std::time::Duration;

use config::plan::Redelivery;
use engine::Position;
use queue::record::{Accepted, Body, Dedupe, End, History, Number, What};
use queue::state::{
    Admit, Admitted, Cursor, DeliveryState, Dropping, MessageState, Outcome, Refused, Replaying, Rules,
    State, Which, Work,
};

const NOW: u64 = 1_700_000_000_000;

/// What an empty message counts for.
const EMPTY: u64 = 128;

fn rules(receivers: &[&str]) -> Rules {
    Rules {
        receivers: receivers.iter().map(|text| Arc::from(*text)).collect(),
        retry: Redelivery { attempts: 2, first: Duration::from_secs(1), longest: Duration::from_secs(60) },
        rate: None,
        concurrency: 2,
        keep_done: 1_000,
        keep_dead: 60_000,
        full: 1 << 40,
    }
}

/// A queue whose records are stable at once.
struct Queue {
    state: State,
    end: u64,
}

impl Queue {
    fn new(rules: Rules) -> Self {
        let mut queue = Self { state: State::new(rules.clone()), end: 0 };
        queue.set(rules);
        queue
    }

    fn set(&mut self, rules: Rules) {
        self.state.set_rules(rules);
        for (index, text) in self.state.missing_receivers() {
            self.apply(&What::Receiver { index, text: &text });
        }
    }

    fn apply(&mut self, what: &What<'_>) {
        self.end += 100;
        self.state.apply(Position(self.end), what, NOW);
    }

    /// A message of so many bytes more than an empty one.
    fn accept(&mut self, order: Option<u64>, due: u64, bytes: usize) -> Result<Number, Refused> {
        let body = vec![0; bytes];
        let mut accepted = Accepted { at: NOW, due, order, body: Body::Whole(&body), ..Accepted::default() };
        let ask = Admit { bytes: accepted.bytes(), ..Admit::default() };
        let Admitted::New(number) = self.state.admit(&ask, NOW)? else { panic!("nothing says it is known") };
        accepted.number = number;
        accepted.receivers = self.state.receivers().expect("all have an index");
        self.apply(&What::Accepted(Box::new(accepted)));
        Ok(number)
    }

    fn send(&mut self) -> Number {
        self.accept(None, NOW, 0).expect("there is room")
    }

    fn with_key(&mut self, key: u64) -> Number {
        self.accept(Some(key << 32), NOW, 0).expect("there is room")
    }

    fn take(&mut self, now: u64) -> Option<(Number, String)> {
        self.work(now).map(|work| (work.number, work.receiver_text.to_string()))
    }

    fn work(&mut self, now: u64) -> Option<Work> {
        self.state.take(now)
    }

    fn settle(&mut self, work: &Work, status: u16, now: u64) {
        let outcome = Outcome { status, began: now, ..Outcome::default() };
        let what = self.state.settle(work, &outcome, History::default(), b"", now, u64::MAX);
        self.apply(&what.expect("it is here"));
    }

    fn deliver(&mut self, status: u16, now: u64) -> Number {
        let work = self.work(now).expect("something is due");
        self.settle(&work, status, now);
        work.number
    }

    fn state_of(&self, number: Number) -> Option<MessageState> {
        self.state.message(number).map(|message| message.state)
    }
}

#[test]
fn a_receiver_that_hangs_holds_up_no_other() {
    let mut queue = Queue::new(rules(&["hangs", "works"]));
    let numbers: Vec<_> = (0..100).map(|_| queue.send()).collect();
    let mut hanging = Vec::new();
    let mut delivered = Vec::new();
    while let Some(work) = queue.work(NOW) {
        if &*work.receiver_text == "hangs" {
            hanging.push(work);
        } else {
            delivered.push(work.number);
            queue.settle(&work, 200, NOW);
        }
    }
    assert_eq!(hanging.len(), 2);
    assert_eq!(delivered, numbers);
    assert_eq!(queue.state.counts(NOW).waiting, 98);
}

#[test]
fn a_key_with_very_many_holds_up_no_other_and_costs_nothing() {
    let mut queue = Queue::new(rules(&["a"]));
    (0..100_000).for_each(|_| assert!(queue.with_key(1) > 0));
    let other = queue.with_key(2);
    let plain = queue.send();
    let first = queue.work(NOW).expect("the first of the key");
    assert_eq!(first.number, 1);
    assert_eq!(queue.deliver(200, NOW), other);
    assert_eq!(queue.deliver(200, NOW), plain);
    assert_eq!(queue.work(NOW), None);
    queue.settle(&first, 200, NOW);
    // If each of these looked at all that wait, this test would take minutes.
    for number in 2..10_000 {
        assert_eq!(queue.deliver(200, NOW), number);
    }
}

#[test]
fn a_key_waits_for_a_retry_and_goes_on_after_a_dead_letter() {
    let mut queue = Queue::new(rules(&["a"]));
    let (first, second, other) = (queue.with_key(1), queue.with_key(1), queue.with_key(2));
    assert_eq!(queue.deliver(500, NOW), first);
    assert_eq!(queue.deliver(200, NOW), other);
    assert_eq!(queue.work(NOW), None);
    assert_eq!(queue.state.next_at(NOW), Some(NOW + 1000));
    let shown = |queue: &Queue, number| queue.state.message(number).expect("it is kept").deliveries[0].state;
    assert_eq!(shown(&queue, first), DeliveryState::Delayed);
    assert_eq!(shown(&queue, second), DeliveryState::Behind);
    let again = queue.work(NOW + 1000).expect("it is due");
    assert_eq!((again.number, again.attempt), (first, 2));
    // Not before its end is in the log.
    let outcome = Outcome { status: 500, ..Outcome::default() };
    let what = queue.state.settle(&again, &outcome, History::default(), b"", NOW + 1000, 0);
    assert_eq!(queue.work(NOW + 1000), None);
    queue.apply(&what.expect("it is here"));
    assert_eq!(queue.state_of(first), Some(MessageState::Dead));
    assert_eq!(queue.deliver(200, NOW + 1000), second);
}

#[test]
fn each_receiver_has_its_own_progress() {
    let mut queue = Queue::new(rules(&["a", "b"]));
    let number = queue.send();
    let first = queue.work(NOW).expect("to one");
    queue.settle(&first, 200, NOW);
    assert_eq!(queue.state_of(number), Some(MessageState::Waiting));
    let second = queue.work(NOW).expect("to the other");
    assert_ne!(first.receiver, second.receiver);
    queue.settle(&second, 404, NOW);
    assert_eq!(queue.state_of(number), Some(MessageState::Dead));
    // What didn't take it gets it again, and only that.
    let mut replaying = Replaying::new(Which::All, Some(number), None, None, NOW);
    let what = queue.state.replay(&mut replaying, 10);
    assert_eq!(what.len(), 1);
    what.iter().for_each(|what| queue.apply(what));
    let again = queue.work(NOW + 1).expect("it is due");
    assert_eq!((again.receiver, again.attempt, again.history), (second.receiver, 1, None));
    queue.settle(&again, 200, NOW + 1);
    assert_eq!(queue.state_of(number), Some(MessageState::Done));
    // What is done goes to all once more.
    let mut replaying = Replaying::new(Which::Done, None, None, None, NOW + 2);
    queue.state.replay(&mut replaying, 10).iter().for_each(|what| queue.apply(what));
    assert_eq!(queue.deliver(200, NOW + 2), number);
    assert_eq!(queue.deliver(200, NOW + 2), number);
    // And what was done since the order isn't meant.
    assert_eq!(queue.state.replay(&mut Replaying::new(Which::All, None, None, None, NOW + 2), 10), []);
}

#[test]
fn a_replay_comes_in_portions_and_is_spread() {
    let mut queue = Queue::new(Rules { concurrency: 100, ..rules(&["a"]) });
    for _ in 0..50 {
        queue.send();
        queue.deliver(404, NOW);
    }
    let mut replaying = Replaying::new(Which::Dead, None, None, Some(10.0), NOW + 1);
    let mut portions = Vec::new();
    while !replaying.is_over() {
        let portion = queue.state.replay(&mut replaying, 20);
        portions.push(portion.len());
        portion.iter().for_each(|what| queue.apply(what));
    }
    assert_eq!((portions, replaying.sent()), (vec![20, 20, 10], 50));
    for number in 1..=50 {
        let now = NOW + 1 + (number - 1) * 100;
        assert_eq!(queue.state.next_at(now - 1), Some(now));
        assert_eq!(queue.deliver(200, now), number);
        assert_eq!(queue.work(now), None);
    }
}

#[test]
fn a_replay_passes_by_what_was_done_since_and_looks_at_few_at_once() {
    let mut queue = Queue::new(rules(&["a"]));
    let before: Vec<_> = (0..3).map(|_| queue.send()).collect();
    before.iter().for_each(|_| assert!(queue.deliver(200, NOW) > 0));
    for _ in 0..10_000 {
        queue.send();
        queue.deliver(200, NOW + 10);
    }
    let mut replaying = Replaying::new(Which::Done, None, None, None, NOW + 5);
    let (mut replayed, mut looks) = (0, 0);
    while !replaying.is_over() {
        replayed += queue.state.replay(&mut replaying, 100).len();
        looks += 1;
    }
    assert_eq!((replayed, replaying.sent()), (3, 3));
    assert!(looks >= 10, "the lock is let go of in between");
}

#[test]
fn what_is_replayed_waits_since_then() {
    let mut queue = Queue::new(rules(&["a", "b"]));
    let old = queue.send();
    for _ in 0..2 {
        let work = queue.work(NOW).expect("it is due");
        queue.settle(&work, if &*work.receiver_text == "a" { 200 } else { 404 }, NOW);
    }
    const LATER: u64 = NOW + 1_000_000;
    queue.accept(None, LATER - 10, 0).expect("there is room");
    let replay = |queue: &mut Queue| {
        let portion = queue.state.replay(&mut Replaying::new(Which::Dead, Some(old), None, None, LATER), 10);
        portion.iter().for_each(|what| queue.apply(what));
    };
    replay(&mut queue);
    let since = |queue: &Queue| queue.state.message(old).map(|message| message.since);
    assert_eq!(since(&queue), Some(LATER));
    assert!(queue.state.take_where(LATER, |_| false).is_none());
    assert_eq!(queue.state.next_where(LATER, |_| false), None);
    // It is the first in the line, and not the one that waits longest.
    assert!(queue.state.may_take(LATER));
    queue.state.take(LATER);
    assert_eq!(queue.state.counts(LATER).oldest_waiting_at, Some(LATER - 10));
    // One that somebody waits for already does so since it came.
    replay(&mut queue);
    assert_eq!(since(&queue), Some(LATER));
}

#[test]
fn what_is_full_says_so_and_what_is_done_gives_way() {
    let each = EMPTY + 872;
    let mut queue = Queue::new(Rules { full: 10 * each, ..rules(&["a"]) });
    for _ in 0..10 {
        queue.accept(None, NOW, 872).expect("there is room");
    }
    assert_eq!(queue.accept(None, NOW, 0), Err(Refused::Full));
    queue.deliver(200, NOW);
    queue.deliver(404, NOW);
    // One is done and gives way, the dead letter doesn't.
    let number = queue.accept(None, NOW, 872).expect("there is room");
    assert_eq!(queue.accept(None, NOW, 0), Err(Refused::Full));
    assert_eq!(queue.state.expires_at(NOW), Some(NOW));
    assert!(!queue.state.expire(NOW, 100));
    assert_eq!(queue.state.counts(NOW).bytes, 10 * each);
    assert_eq!((queue.state_of(1), queue.state_of(2)), (None, Some(MessageState::Dead)));
    assert_eq!(queue.state_of(number), Some(MessageState::Waiting));
    assert_eq!(queue.state.admit(&Admit { bytes: 1 << 33, ..Admit::default() }, NOW), Err(Refused::TooLarge));
}

#[test]
fn what_is_over_is_kept_for_its_time() {
    let mut queue = Queue::new(rules(&["a"]));
    let (done, dead) = (queue.send(), queue.send());
    queue.deliver(200, NOW);
    queue.deliver(410, NOW + 5);
    assert_eq!(queue.state.expires_at(NOW), Some(NOW + 1000));
    queue.state.expire(NOW + 999, 10);
    assert_eq!(queue.state_of(done), Some(MessageState::Done));
    queue.state.expire(NOW + 1000, 10);
    assert_eq!((queue.state_of(done), queue.state_of(dead)), (None, Some(MessageState::Dead)));
    assert_eq!(queue.state.expires_at(NOW), Some(NOW + 60_005));
    queue.state.expire(NOW + 60_005, 10);
    assert_eq!(queue.state_of(dead), None);
    assert_eq!(queue.state.counts(NOW).bytes, 0);
}

#[test]
fn without_receivers_messages_are_followed_only() {
    let mut queue = Queue::new(Rules { keep_done: 5000, ..rules(&[]) });
    let (first, second) = (queue.send(), queue.send());
    assert_eq!(queue.state_of(first), Some(MessageState::Done));
    assert_eq!(queue.work(NOW), None);
    let positions = queue.state.positions_after(0, 10);
    assert_eq!(positions, [(first, Position(100)), (second, Position(200))]);
    assert_eq!(queue.state.positions_after(first, 10), [(second, Position(200))]);
    // Who follows doesn't miss one that isn't in the log yet.
    let Ok(Admitted::New(third)) = queue.state.admit(&Admit::default(), NOW) else { panic!() };
    let fourth = queue.send();
    assert_eq!(queue.state.positions_after(second, 10), []);
    queue.state.give_back(third);
    assert_eq!(queue.state.positions_after(second, 10), [(fourth, Position(300))]);
}

#[test]
fn a_receiver_that_left_the_file_keeps_what_goes_to_it() {
    let mut queue = Queue::new(rules(&["a", "b"]));
    let number = queue.send();
    queue.set(rules(&["b", "c"]));
    assert_eq!(queue.take(NOW), Some((number, "b".to_owned())));
    assert_eq!(queue.take(NOW), None);
    let counts = queue.state.counts(NOW);
    let left: Vec<_> = counts.receivers.iter().map(|it| (&*it.text, it.wanted, it.waiting)).collect();
    assert_eq!(left, [("a", false, 1), ("b", true, 0), ("c", true, 0)]);
    // It comes back under its old index.
    queue.set(rules(&["a"]));
    assert_eq!(queue.take(NOW), Some((number, "a".to_owned())));
    // Or it is given up.
    let other = queue.send();
    queue.set(rules(&["b"]));
    let mut dropping = Dropping::new(None, Some(0));
    queue.state.drop(&mut dropping, 10).iter().for_each(|what| queue.apply(what));
    assert!(dropping.is_over());
    assert_eq!(queue.state_of(other), None);
}

#[test]
fn a_receiver_gets_the_same_index_when_its_record_is_written_again() {
    let mut state = State::new(rules(&["a", "b"]));
    let missing = state.missing_receivers();
    assert_eq!(
        missing.iter().map(|(index, text)| (*index, &**text)).collect::<Vec<_>>(),
        [(0, "a"), (1, "b")]
    );
    assert_eq!(state.missing_receivers(), missing);
    state.apply(Position(100), &What::Receiver { index: 0, text: "a" }, NOW);
    state.set_rules(rules(&["c", "b", "a"]));
    assert_eq!(state.receivers(), None);
    assert_eq!(state.missing_receivers(), [(2, Arc::from("c")), (1, Arc::from("b"))]);
    for (index, text) in state.missing_receivers() {
        state.apply(Position(200), &What::Receiver { index, text: &text }, NOW);
    }
    assert_eq!(state.receivers(), Some(vec![2, 1, 0]));
    assert_eq!(state.missing_receivers(), []);
}

#[test]
fn numbers_that_were_refused_are_not_remembered_after_a_start() {
    let head = |state: &State| {
        let (mut cursor, mut slice) = (Cursor::default(), Vec::new());
        state.save(&mut cursor, &mut slice, 1);
        slice
    };
    let mut state = State::new(rules(&[]));
    for number in (2..2000).step_by(2) {
        state.apply(
            Position(number),
            &What::Accepted(Box::new(Accepted { number, ..Accepted::default() })),
            NOW,
        );
    }
    assert!(head(&state).len() > 1000, "while it is read, each of them may come yet");
    state.forget_before(Position(0), NOW);
    assert!(head(&state).len() < 50);
    let late = What::Accepted(Box::new(Accepted { number: 7, ..Accepted::default() }));
    state.apply(Position(3000), &late, NOW);
    assert!(state.message(7).is_none() && state.message(8).is_some());
}

#[test]
fn a_slice_that_no_state_wrote_is_refused() {
    let message = |number, has| vec![1, 2, number, has, 5, 5, 5, 0];
    let restore = |slices: &[Vec<u8>]| {
        let mut state = State::new(rules(&[]));
        slices.iter().try_for_each(|slice| state.restore(slice, 0))
    };
    assert!(restore(&[message(1, 0), message(2, 0)]).is_ok());
    for (why, slices) in [
        ("messages begin with number 1", vec![message(0, 0)]),
        ("the same message twice", vec![message(1, 0), message(1, 0)]),
        ("a part that messages haven't got", vec![message(1, 4)]),
        ("a later version", vec![vec![2, 2]]),
        ("a kind that there isn't", vec![vec![1, 9]]),
        ("its end is missing", vec![message(1, 0)[..6].to_vec()]),
    ] {
        assert!(restore(&slices).is_err(), "{why}");
    }
}

#[test]
fn what_was_taken_out_ends_quietly() {
    let mut queue = Queue::new(rules(&["a"]));
    let (number, next) = (queue.with_key(1), queue.with_key(1));
    let work = queue.work(NOW).expect("it is due");
    queue.apply(&What::Dropped { number, receiver: None });
    assert_eq!(queue.state_of(number), None);
    // It is on its way all the same, so the next one of its key waits.
    assert_eq!(queue.work(NOW), None);
    assert_eq!(queue.state.counts(NOW).running, 0);
    let outcome = Outcome { status: 500, ..Outcome::default() };
    assert_eq!(queue.state.settle(&work, &outcome, History::default(), b"", NOW, 0), None);
    assert_eq!(queue.deliver(200, NOW), next);
}

#[test]
fn a_key_is_known_while_it_is_remembered() {
    let mut queue = Queue::new(rules(&["a"]));
    let till = NOW + 1000;
    let ask = |key, content| Admit { dedupe: Some(Dedupe { key, content, till }), ..Admit::default() };
    let Ok(Admitted::New(number)) = queue.state.admit(&ask(7, 1), NOW) else { panic!() };
    assert_eq!(queue.state.admit(&ask(7, 1), NOW), Ok(Admitted::Pending));
    let dedupe = ask(7, 1).dedupe;
    queue.apply(&What::Accepted(Box::new(Accepted { number, dedupe, ..Accepted::default() })));
    assert_eq!(queue.state.admit(&ask(7, 1), NOW), Ok(Admitted::Same(number)));
    assert_eq!(queue.state.admit(&ask(7, 2), NOW), Err(Refused::OtherContent));
    // Also when the message is forgotten.
    queue.state.expire(NOW, 10);
    assert_eq!((queue.state_of(number), queue.state.counts(NOW).keys), (None, 1));
    assert_eq!(queue.state.admit(&ask(7, 1), NOW + 999), Ok(Admitted::Same(number)));
    assert!(matches!(queue.state.admit(&ask(7, 1), NOW + 1000), Ok(Admitted::New(_))));
    queue.state.expire(NOW + 1000, 10);
    assert_eq!(queue.state.counts(NOW).keys, 0);
}

#[test]
fn a_pause_stops_what_hasn_t_begun() {
    let mut queue = Queue::new(rules(&["a"]));
    queue.send();
    let second = queue.send();
    let work = queue.work(NOW).expect("it is due");
    queue.apply(&What::Paused(true));
    assert_eq!((queue.work(NOW), queue.state.next_at(NOW)), (None, None));
    queue.settle(&work, 200, NOW);
    assert_eq!(queue.work(NOW), None);
    queue.apply(&What::Paused(false));
    assert_eq!(queue.deliver(200, NOW), second);
}

#[test]
fn an_outcome_that_could_not_be_written_is_no_outcome() {
    let mut queue = Queue::new(rules(&["a"]));
    let number = queue.send();
    let work = queue.work(NOW).expect("it is due");
    let outcome = Outcome { status: 200, ..Outcome::default() };
    assert!(queue.state.settle(&work, &outcome, History::default(), b"", NOW, 0).is_some());
    queue.state.unsettle(&work, NOW);
    assert_eq!(queue.work(NOW), None);
    assert_eq!(queue.state.next_at(NOW), Some(NOW + 1000));
    let again = queue.work(NOW + 1000).expect("it is due");
    assert_eq!((again.number, again.attempt), (number, 1));
}

#[test]
fn the_oldest_that_waits_is_one_that_could_go() {
    let mut queue = Queue::new(rules(&["a"]));
    queue.accept(None, NOW + 1_000_000, 0).expect("there is room");
    assert_eq!(queue.state.counts(NOW).oldest_waiting_at, None);
    queue.accept(None, NOW + 10, 0).expect("there is room");
    let retried = queue.send();
    assert_eq!(queue.deliver(500, NOW), retried);
    assert_eq!(queue.state.counts(NOW).oldest_waiting_at, Some(NOW));
    assert_eq!(queue.deliver(200, NOW + 10), 2);
    assert_eq!(queue.deliver(200, NOW + 1000), retried);
    let counts = queue.state.counts(NOW + 1000);
    assert_eq!((counts.oldest_waiting_at, counts.receivers[0].delayed), (None, 1));
}

#[test]
fn the_history_of_a_delivery_is_kept_and_bounded() {
    let retry = Redelivery { attempts: 200, ..rules(&[]).retry };
    let mut queue = Queue::new(Rules { retry, ..rules(&["a"]) });
    queue.send();
    let (mut now, mut last) = (NOW, History::default());
    for attempt in 1..=150 {
        now = queue.state.next_at(now).expect("it is tried again");
        let work = queue.work(now).expect("it is due");
        let outcome = Outcome { status: 500, began: now, took: attempt, ..Outcome::default() };
        let answer = vec![b'x'; 10_000];
        let what = queue.state.settle(&work, &outcome, last, &answer, now, 0).expect("it is here");
        queue.apply(&what);
        let What::Tried(tried) = what else { panic!("{what:?}") };
        assert_eq!((tried.history.attempts, tried.history.answer.len()), (attempt, 1024));
        assert_eq!(tried.history.last.len(), attempt.min(100) as usize);
        assert_eq!(tried.history.last.last().map(|last| last.took), Some(attempt));
        last = History { answer: b"", ..tried.history };
    }
}

#[test]
fn what_the_clock_sent_is_remembered() {
    let mut queue = Queue::new(rules(&["a"]));
    for (number, fired) in [(1, Some(60)), (2, Some(120)), (3, None)] {
        queue.apply(&What::Accepted(Box::new(Accepted { number, fired, ..Accepted::default() })));
    }
    assert_eq!(queue.state.last_fired(), Some(120));
}

#[test]
fn the_end_of_a_delivery_is_in_its_record() {
    let mut queue = Queue::new(rules(&["a"]));
    queue.send();
    let work = queue.work(NOW).expect("it is due");
    let outcome = Outcome { status: 410, began: NOW - 7, took: 3, ..Outcome::default() };
    let what = queue.state.settle(&work, &outcome, History::default(), b"gone", NOW, 0);
    let Some(What::Ended(ended)) = what else { panic!("{what:?}") };
    assert_eq!((ended.how, ended.at, ended.history.answer), (End::Dead, NOW, &b"gone"[..]));
    // Not before it was due, whatever the clock did.
    assert_eq!(ended.history.last[0].at, NOW);
}
