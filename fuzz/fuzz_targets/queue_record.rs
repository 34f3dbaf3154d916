//! Whatever a log or a snapshot of a queue gives back: a record is taken only as it was written, and a
//! state stays whole whatever records it is told, in whatever order, and whatever slices it is given.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use config::plan::Redelivery;
use engine::Position;
use libfuzzer_sys::fuzz_target;
use queue::record::{History, Record};
use queue::state::{Cursor, Outcome, Rules, State};

const NOW: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    if let Ok(record) = Record::read(input) {
        let mut again = Vec::new();
        record.write(&mut again);
        assert_eq!(again, input);
    }
    let mut state = State::new(rules());
    // Parts, each behind its length: records, and slices of a snapshot, which differ in their second byte.
    let (mut rest, mut position) = (input, 0);
    while let Some(([length, slice], more)) = rest.split_first_chunk() {
        let (part, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        if slice & 1 == 1 && position == 0 {
            if state.restore(part, NOW).is_err() {
                return;
            }
        } else if let Ok(record) = Record::read(part) {
            position += 1 + u64::from(*slice);
            state.apply(Position(position), &record.what, NOW);
        }
    }
    live(&mut state);
});

/// It goes on working, and what it says of itself can be read.
fn live(state: &mut State) {
    for _ in 0..20 {
        let Some(work) = state.take(NOW) else { break };
        let outcome = Outcome { status: 200, began: NOW, ..Outcome::default() };
        if let Some(what) = state.settle(&work, &outcome, History::default(), b"", NOW, 0) {
            state.apply(Position(u64::MAX), &what, NOW);
        }
    }
    let (mut cursor, mut restored) = (Cursor::default(), State::new(rules()));
    loop {
        let mut slice = Vec::new();
        let more = state.save(&mut cursor, &mut slice, 3);
        restored.restore(&slice, NOW).expect("it was written so");
        if !more {
            break;
        }
    }
    let counts = |state: &State| {
        let counts = state.counts(NOW);
        (counts.waiting + counts.running, counts.done, counts.dead)
    };
    assert_eq!(counts(&restored), counts(state));
    while state.expire(u64::MAX, 100) {}
    assert_eq!(state.counts(NOW).done, 0);
}

fn rules() -> Rules {
    Rules {
        receivers: vec![Arc::from("a"), Arc::from("b")],
        retry: Redelivery { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_secs(9) },
        rate: None,
        concurrency: 2,
        keep_done: 1000,
        keep_dead: 1000,
        full: 1 << 40,
    }
}
