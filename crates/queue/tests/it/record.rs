//! Records are written and read back the same, and nothing else is taken for one.

use engine::Position;
use proptest::prelude::*;
use queue::record::{
    Accepted, Attempt, BadRecord, Body, Dedupe, End, Ended, Event, History, Record, Tried, What,
};

/// What records borrow from.
#[derive(Debug, Clone)]
struct Texts {
    queue: String,
    hops: String,
    method: String,
    target: String,
    fields: Vec<u8>,
    event: [String; 3],
    body: Vec<u8>,
}

prop_compose! {
    fn texts()(
        queue in "[a-z-]{1,40}",
        hops in ".{0,20}",
        method in "[A-Z]{1,8}",
        target in ".{0,300}",
        fields in prop::collection::vec(any::<u8>(), 0..300),
        event in prop_oneof![Just(<[String; 3]>::default()), [".{0,9}", ".{0,9}", ".{0,9}"]],
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) -> Texts {
        Texts { queue, hops, method, target, fields, event, body }
    }
}

/// What they have beside texts.
type Numbers = (u64, u64, u64, Vec<u16>, Option<u64>, Option<(u128, u128, u64)>, Option<u64>);

fn numbers() -> impl Strategy<Value = Numbers> {
    (
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        prop::collection::vec(any::<u16>(), 0..200),
        any::<Option<u64>>(),
        any::<Option<(u128, u128, u64)>>(),
        any::<Option<u64>>(),
    )
}

fn history() -> impl Strategy<Value = (u32, Vec<(u64, u32, u16)>)> {
    (any::<u32>(), prop::collection::vec(any::<(u64, u32, u16)>(), 0..20))
}

fn what<'a>(
    kind: usize,
    texts: &'a Texts,
    numbers: &Numbers,
    (attempts, last): &(u32, Vec<(u64, u32, u16)>),
    pieces: &Option<Vec<(u64, u32)>>,
) -> What<'a> {
    let (number, at, due, receivers, order, dedupe, fired) = numbers.clone();
    let receiver = receivers.first().copied();
    let attempt = |(at, took, status): &(u64, u32, u16)| Attempt { at: *at, took: *took, status: *status };
    let last = last.iter().map(attempt).collect();
    let history = History { attempts: *attempts, last, answer: &texts.body };
    let ended =
        |how, history| What::Ended(Ended { number, receiver: receiver.unwrap_or(7), at, how, history });
    match kind {
        0 => What::Accepted(Box::new(Accepted {
            number,
            at,
            due,
            receivers,
            order,
            dedupe: dedupe.map(|(key, content, till)| Dedupe { key, content, till }),
            fired,
            hops: &texts.hops,
            method: &texts.method,
            target: &texts.target,
            fields: &texts.fields,
            event: Event { source: &texts.event[0], kind: &texts.event[1], id: &texts.event[2] },
            body: pieces.as_ref().map_or(Body::Whole(&texts.body), |pieces| Body::Pieces {
                upload: at,
                at: pieces.iter().map(|(position, length)| (Position(*position), *length)).collect(),
            }),
        })),
        1 => What::Tried(Tried { number, receiver: receiver.unwrap_or(3), due, history }),
        2 => ended(End::Done, history),
        3 => ended(End::Dead, history),
        4 => What::Replayed { number, receiver, due },
        5 => What::Dropped { number, receiver },
        6 => What::Receiver { index: receiver.unwrap_or(0), text: &texts.target },
        7 => What::Paused(order.is_some()),
        _ => What::Piece { upload: number, bytes: &texts.body },
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        kind in 0usize..9,
        texts in texts(),
        numbers in numbers(),
        history in history(),
        pieces in prop::option::of(prop::collection::vec(any::<(u64, u32)>(), 0..20)),
        cut in any::<prop::sample::Index>(),
        other in any::<u64>(),
    ) {
        let record = Record { queue: &texts.queue, what: what(kind, &texts, &numbers, &history, &pieces) };
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        prop_assert_eq!(Record::read(&bytes), Ok(record.clone()));

        // Neither a part of it nor more than it.
        prop_assert!(Record::read(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert_eq!(Record::read(&bytes), Err(BadRecord::Rest));
        bytes.pop();

        // The number alone changes.
        if let What::Accepted(accepted) = &record.what {
            Record::set_number(&mut bytes, other);
            let accepted = What::Accepted(Box::new(Accepted { number: other, ..(**accepted).clone() }));
            prop_assert_eq!(Record::read(&bytes), Ok(Record { what: accepted, ..record.clone() }));
        }
    }

    /// Also where most of it is a record.
    #[test]
    fn what_is_taken_is_written_so(
        kind in 0usize..9,
        texts in texts(),
        numbers in numbers(),
        history in history(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        garbage in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
    ) {
        let mut bytes = Vec::new();
        Record { queue: &texts.queue, what: what(kind, &texts, &numbers, &history, &None) }.write(&mut bytes);
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        if let Some(garbage) = garbage {
            bytes.splice(1.., garbage);
        }
        if let Ok(record) = Record::read(&bytes) {
            let mut again = Vec::new();
            record.write(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn other_versions_are_refused() {
    let mut bytes = Vec::new();
    Record { queue: "q", what: What::Paused(true) }.write(&mut bytes);
    bytes[0] = 2;
    assert_eq!(Record::read(&bytes), Err(BadRecord::Version(2)));
    bytes[0] = 1;
    bytes[1] = 99;
    assert_eq!(Record::read(&bytes), Err(BadRecord::Kind(99)));
    assert_eq!(Record::read(b""), Err(BadRecord::Short));
}

/// A count that promises more than there is must not be believed.
#[test]
fn counts_are_bounded_by_what_is_there() {
    let mut bytes = Vec::new();
    let history = History { attempts: 1, last: Vec::new(), answer: b"" };
    let tried = Tried { number: 1, receiver: 0, due: 0, history };
    Record { queue: "q", what: What::Tried(tried) }.write(&mut bytes);
    bytes.truncate(bytes.len() - 2);
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(Record::read(&bytes), Err(BadRecord::Short));
}
