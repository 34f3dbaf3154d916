//! What every engine must do. Each engine runs all of these: see [`contract`].

use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use engine::log::LARGEST;
use engine::{Append, AppendError, FollowError, Log, Position, ReadError, Room};

use super::support::{append, begin, next, number, put, record, run, until};

/// Makes a test of each of the contract's sentences, for the logs that `$make` makes.
macro_rules! contract {
    ($make:expr; $($sentence:ident),* $(,)?) => {
        $(#[test]
        fn $sentence() {
            let (log, _kept) = $make;
            let log: std::sync::Arc<dyn engine::Log> = log;
            $crate::contract::$sentence(&log);
        })*
    };
    ($make:expr) => {
        $crate::contract::contract! { $make;
            a_record_is_read_where_it_was_told_to_be,
            records_keep_their_order,
            what_is_appended_together_lies_together,
            all_is_told_in_the_logs_order_when_it_is_stable,
            a_done_may_append,
            one_may_follow_from_anywhere,
            a_follower_sees_what_comes,
            a_dropped_wait_loses_nothing,
            what_is_trimmed_is_gone_and_the_rest_stays,
            a_follower_is_told_that_it_was_overtaken,
            what_is_too_large_is_refused,
            nothing_lies_where_nothing_was_told,
            many_threads_append,
        }
    };
}
pub(crate) use contract;

type Any = Arc<dyn Log>;

pub fn a_record_is_read_where_it_was_told_to_be(log: &Any) {
    let lens = [0, 1, 8, 511, 5000, 70_000, LARGEST];
    let records: Vec<Vec<u8>> = lens.iter().map(|len| record(*len as u64, *len)).collect();
    let mut at: Vec<Position> = records.iter().map(|record| put(&**log, record.clone())).collect();
    at.push(put(&**log, Bytes::new()));
    for (at, record) in at.iter().zip(records.iter().chain([&Vec::new()])) {
        assert!(run(log.read(*at)).unwrap() == record);
        if let Some(read) = log.read_now(*at) {
            assert!(read.unwrap() == record);
        }
    }
}

pub fn records_keep_their_order(log: &Any) {
    let told: Vec<_> =
        (0..1000).flat_map(|n| begin(&**log, Room::Ordinary, vec![record(n, 50).into()])).collect();
    let at: Vec<Position> = told.into_iter().map(|told| run(told).unwrap().unwrap()).collect();
    assert!(at.is_sorted_by(|a, b| a < b));
    assert!(log.positions().first <= at[0] && log.positions().end > at[999]);
    let mut follow = log.follow(log.positions().first);
    for (n, (place, bytes)) in next(&mut *follow, 1000).into_iter().enumerate() {
        assert_eq!((place, number(&bytes)), (at[n], n as u64));
    }
}

pub fn what_is_appended_together_lies_together(log: &Any) {
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                let mut told = Vec::new();
                for n in 0..50 {
                    let records = (0..7).map(|part| record(thread << 32 | n << 8 | part, 3000).into());
                    told.extend(begin(&**log, Room::Ordinary, records.collect()));
                }
                told.into_iter().for_each(|told| assert!(run(told).unwrap().is_ok()));
            });
        }
    });
    let mut follow = log.follow(log.positions().first);
    let numbers = next(&mut *follow, 4 * 50 * 7).into_iter().map(|(_, bytes)| number(&bytes));
    let numbers: Vec<u64> = numbers.collect();
    for together in numbers.chunks(7) {
        assert!(together.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{together:x?}");
    }
}

pub fn all_is_told_in_the_logs_order_when_it_is_stable(log: &Any) {
    let (tell, told) = mpsc::channel();
    for n in 0..500 {
        let records = (0..3).map(|part| {
            let (tell, log) = (tell.clone(), Arc::downgrade(log));
            let done = move |what: Result<Position, AppendError>| {
                let at = what.unwrap();
                let log = log.upgrade().unwrap();
                assert!(log.positions().end > at, "it counts as stable");
                assert!(log.read_now(at).is_none_or(|read| number(&read.unwrap()) == n * 3 + part));
                tell.send((at, n * 3 + part, std::thread::current().id())).unwrap();
            };
            Append { record: record(n * 3 + part, 40).into(), room: Room::Ordinary, done: Box::new(done) }
        });
        log.append(records.collect());
    }
    drop(tell);
    let told: Vec<_> = told.iter().collect();
    assert_eq!(told.iter().map(|told| told.1).collect::<Vec<_>>(), (0..1500).collect::<Vec<_>>());
    assert!(told.is_sorted_by(|a, b| a.0 < b.0));
    assert!(told.iter().all(|one| one.2 == told[0].2), "by one thread");
}

pub fn a_done_may_append(log: &Any) {
    let (tell, told) = mpsc::channel();
    let again = Arc::downgrade(log);
    let done = Box::new(move |first: Result<Position, AppendError>| {
        let second = Box::new(move |second: Result<Position, AppendError>| {
            tell.send((first.unwrap(), second.unwrap())).unwrap();
        });
        let append = Append { record: record(2, 20).into(), room: Room::Reserve, done: second };
        again.upgrade().unwrap().append(vec![append]);
    });
    log.append(vec![Append { record: record(1, 20).into(), room: Room::Ordinary, done }]);
    let (first, second) = told.recv().unwrap();
    assert!(first < second);
}

pub fn one_may_follow_from_anywhere(log: &Any) {
    let at: Vec<Position> = (0..400).map(|n| put(&**log, record(n, 100 + 13 * (n as usize % 97)))).collect();
    for from in (0..400).step_by(7) {
        let mut follow = log.follow(at[from]);
        let (first, bytes) = next(&mut *follow, 1).remove(0);
        assert_eq!((first, number(&bytes)), (at[from], from as u64));
        // Between two records begins what comes after.
        let mut follow = log.follow(Position(at[from].0 + 1));
        let rest = 399 - from;
        let all = next(&mut *follow, rest);
        assert!(all.iter().zip(&at[from + 1..]).all(|(got, at)| got.0 == *at));
    }
    let end = log.positions().end;
    let mut follow = log.follow(end);
    let last = put(&**log, record(400, 10));
    assert!(end <= last);
    assert_eq!(next(&mut *follow, 1)[0].0, last);
}

pub fn a_follower_sees_what_comes(log: &Any) {
    let followers: Vec<_> = (0..5)
        .map(|_| {
            let mut follow = log.follow(log.positions().end);
            std::thread::spawn(move || next(&mut *follow, 300))
        })
        .collect();
    let at: Vec<Position> = (0..300).map(|n| put(&**log, record(n, 900))).collect();
    for follower in followers {
        let seen = follower.join().unwrap();
        assert!(seen.iter().enumerate().all(|(n, seen)| (seen.0, number(&seen.1)) == (at[n], n as u64)));
    }
}

pub fn a_dropped_wait_loses_nothing(log: &Any) {
    let mut follow = log.follow(log.positions().end);
    for n in 0..200 {
        // Polled a few times in vain, or just when the record comes.
        let wait = run(async {
            tokio::select! {
                biased;
                record = follow.next() => Some(record.unwrap()),
                () = tokio::task::yield_now() => None,
            }
        });
        assert!(wait.is_none());
        let told = begin(&**log, Room::Ordinary, vec![record(n, 30).into()]);
        let mut seen = None;
        while seen.is_none() {
            seen = run(async {
                tokio::select! {
                    record = follow.next() => Some(record.unwrap()),
                    () = tokio::task::yield_now() => None,
                }
            });
        }
        assert_eq!(number(&seen.unwrap().1), n);
        told.into_iter().for_each(|told| drop(run(told).unwrap()));
    }
}

pub fn what_is_trimmed_is_gone_and_the_rest_stays(log: &Any) {
    let begins = log.positions().first;
    let at: Vec<Position> = (0..600).map(|n| put(&**log, record(n, 12_000))).collect();
    log.trim(at[400]);
    until("space is given back", || log.positions().first > begins);
    let first = log.positions().first;
    assert!(first <= at[400], "what is needed stays");
    for (n, at) in at.iter().enumerate() {
        match run(log.read(*at)) {
            Ok(bytes) => assert!(*at >= first && number(&bytes) == n as u64),
            Err(error) => assert!(matches!(error, ReadError::NotThere(there) if there == *at && *at < first)),
        }
    }
    let mut follow = log.follow(first);
    let left = at.iter().filter(|at| **at >= first).count();
    assert!(next(&mut *follow, left).iter().rev().zip(at.iter().rev()).all(|(got, at)| got.0 == *at));
    // All of it, and more than there is: appending goes on.
    log.trim(Position(u64::MAX));
    let last = put(&**log, record(600, 10));
    assert_eq!(number(&run(log.read(last)).unwrap()), 600);
}

pub fn a_follower_is_told_that_it_was_overtaken(log: &Any) {
    let at: Vec<Position> = (0..600).map(|n| put(&**log, record(n, 12_000))).collect();
    let mut late = log.follow(at[0]);
    assert_eq!(next(&mut *late, 1)[0].0, at[0]);
    log.trim(at[590]);
    until("space is given back", || log.positions().first > at[300]);
    let first = log.positions().first;
    let mut told = log.follow(at[0]);
    assert!(matches!(run(told.next()), Err(FollowError::Trimmed(to)) if to == first));
    // It may have read a little ahead, but then it is told as well.
    let overtaken = (0..600).find_map(|_| run(late.next()).err());
    assert!(matches!(overtaken, Some(FollowError::Trimmed(to)) if to == first), "{overtaken:?}");
}

pub fn what_is_too_large_is_refused(log: &Any) {
    let large = begin(&**log, Room::Ordinary, vec![record(1, 10).into(), vec![0; LARGEST + 1].into()]);
    for told in large {
        assert!(matches!(run(told).unwrap(), Err(AppendError::TooLarge(size)) if size == LARGEST + 1));
    }
    put(&**log, record(2, 10));
    let (_, first) = next(&mut *log.follow(log.positions().first), 1).remove(0);
    assert_eq!(number(&first), 2);
}

pub fn nothing_lies_where_nothing_was_told(log: &Any) {
    let at = put(&**log, record(1, 10));
    for nowhere in [log.positions().end, Position(log.positions().end.0 + 1_000_000), Position(u64::MAX)] {
        assert!(matches!(run(log.read(nowhere)), Err(ReadError::NotThere(to)) if to == nowhere));
    }
    assert!(run(log.read(at)).is_ok());
    assert!(log.trouble().is_none());
    assert!(append(&**log, Room::Reserve, record(2, 10)).is_ok());
}

pub fn many_threads_append(log: &Any) {
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let all = &all;
            scope.spawn(move || {
                let mut last = Position(0);
                for n in 0..100 {
                    let number = thread << 32 | n;
                    let at = put(&**log, record(number, 200));
                    assert!(at > last);
                    last = at;
                    all.lock().unwrap().push((at, number));
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.sort_unstable();
    let seen = next(&mut *log.follow(log.positions().first), all.len());
    let seen: Vec<_> = seen.into_iter().map(|(at, bytes)| (at, number(&bytes))).collect();
    assert!(seen == all);
}

/// The engine on this machine's disk.
mod embedded {
    use std::sync::Arc;

    use engine::files::Folder;

    use crate::support::{open, options};

    // Segments are small, so that what is appended fills many of them.
    super::contract! {{
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(Folder::open(folder.path()).unwrap());
        let (log, _) = open(files, options(2 * 1024 * 1024), None).unwrap();
        (log, folder)
    }}
}
