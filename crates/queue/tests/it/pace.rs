//! How much a receiver gets at once.

use proptest::prelude::*;
use queue::backoff::Outcome;
use queue::pace::{LONGEST_HOLD, Pace, Turn};

fn answer(status: u16) -> Outcome {
    Outcome { status, ..Outcome::default() }
}

fn fill(pace: &mut Pace, now: u64) -> Vec<Turn> {
    let mut turns = Vec::new();
    while pace.may_start(now).is_ok() {
        turns.push(pace.start(now));
    }
    turns
}

fn end(pace: &mut Pace, turn: Turn, status: u16) {
    pace.answered(turn, &answer(status), 0);
    pace.ended();
}

#[test]
fn as_many_fly_as_are_allowed() {
    let mut pace = Pace::new(4, None);
    let turns = fill(&mut pace, 0);
    assert_eq!((turns.len(), pace.in_flight()), (4, 4));
    assert_eq!(pace.may_start(0), Err(None));
    // An answer alone frees nothing: it must be in the log first.
    pace.answered(turns[0], &answer(200), 0);
    assert_eq!(pace.may_start(0), Err(None));
    pace.ended();
    assert_eq!(pace.may_start(0), Ok(()));
}

#[test]
fn one_round_halves_once_and_the_next_again() {
    for status in [429, 503, 0] {
        let mut pace = Pace::new(32, None);
        for turn in fill(&mut pace, 0) {
            end(&mut pace, turn, status);
        }
        assert_eq!(pace.limit(), 16, "{status}");
        for turn in fill(&mut pace, 0) {
            end(&mut pace, turn, status);
        }
        assert_eq!(pace.limit(), 8, "{status}");
        for _ in 0..10 {
            let turn = pace.start(0);
            end(&mut pace, turn, status);
        }
        assert_eq!(pace.limit(), 1, "{status}");
    }
}

#[test]
fn other_failures_slow_nothing() {
    let mut pace = Pace::new(8, None);
    for status in [500, 502, 404, 408, 425, 301] {
        let turn = pace.start(0);
        end(&mut pace, turn, status);
    }
    let turn = pace.start(0);
    pace.answered(turn, &Outcome { hopeless: true, ..answer(0) }, 0);
    assert_eq!(pace.limit(), 8);
}

#[test]
fn each_full_round_of_successes_gives_one_more() {
    let mut pace = Pace::new(4, None);
    for _ in 0..3 {
        let turn = pace.start(0);
        end(&mut pace, turn, 503);
    }
    let mut limits = Vec::new();
    for _ in 0..8 {
        let turn = pace.start(0);
        end(&mut pace, turn, 200);
        limits.push(pace.limit());
    }
    assert_eq!(limits, [2, 2, 3, 3, 3, 4, 4, 4]);
}

#[test]
fn a_wish_holds_the_receiver_for_a_while() {
    let mut pace = Pace::new(4, None);
    let turn = pace.start(1000);
    pace.answered(turn, &Outcome { retry_after: Some(5000), ..answer(429) }, 1000);
    pace.ended();
    assert_eq!(pace.may_start(1000), Err(Some(6000)));
    assert_eq!(pace.may_start(5999), Err(Some(6000)));
    assert_eq!(pace.may_start(6000), Ok(()));
    let turn = pace.start(6000);
    pace.answered(turn, &Outcome { retry_after: Some(3_600_000), ..answer(503) }, 6000);
    pace.ended();
    assert_eq!(pace.may_start(6000), Err(Some(6000 + LONGEST_HOLD)));
    // A shorter one doesn't shorten it.
    pace.answered(turn, &Outcome { retry_after: Some(1), ..answer(503) }, 6000);
    assert_eq!(pace.held_till(), 6000 + LONGEST_HOLD);
}

#[test]
fn a_changed_file_changes_the_limits() {
    let mut pace = Pace::new(4, Some(1.0));
    let turns = fill(&mut pace, 0);
    assert_eq!(turns.len(), 1);
    pace.set(2, None);
    assert_eq!(pace.limit(), 2);
    assert_eq!(fill(&mut pace, 0).len(), 1);
    pace.set(8, None);
    assert_eq!(fill(&mut pace, 0).len(), 6);
    end(&mut pace, turns[0], 503);
    assert_eq!(pace.limit(), 4);
    // What was learnt of the receiver stays.
    pace.set(16, None);
    assert_eq!(pace.limit(), 4);
}

proptest! {
    /// Never more than the rate and what may be saved up, and never less where there is enough to do.
    #[test]
    fn keeps_the_rate(rate in 0.01f64..5000.0, gaps in prop::collection::vec(0u64..300, 1..300)) {
        let mut pace = Pace::new(u32::MAX, Some(rate));
        let burst = (rate / 10.0).max(1.0);
        let (begin, mut now, mut begun) = (1_000_000, 1_000_000, 0.0);
        for gap in gaps {
            now += gap;
            begun += fill(&mut pace, now).len() as f64;
            let passed = (now - begin) as f64 / 1000.0;
            prop_assert!(begun <= burst + passed * rate + 0.001, "{begun} in {passed} s");
            // It says when there is one more, and not a moment too late.
            let Err(Some(next)) = pace.may_start(now) else { panic!("there is a rate") };
            prop_assert!(next > now && pace.may_start(next).is_ok());
            prop_assert!(pace.may_start(next - 1).is_err());
        }
    }

    #[test]
    fn all_that_may_start_at_its_time_does(rate in 1.0f64..1000.0) {
        let mut pace = Pace::new(u32::MAX, Some(rate));
        let (begin, mut now, mut begun) = (1_000_000u64, 1_000_000, 0u32);
        while now < begin + 10_000 {
            begun += fill(&mut pace, now).len() as u32;
            let Err(Some(next)) = pace.may_start(now) else { panic!("there is a rate") };
            now = next;
        }
        prop_assert!(f64::from(begun) >= 10.0 * rate * 0.9, "{begun} at {rate}");
    }
}
