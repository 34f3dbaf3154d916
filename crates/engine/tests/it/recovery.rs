//! What a log says to a folder that isn't as it left it: a tail that a crash tore is cut off, everything
//! else is told.

use std::sync::Arc;

use engine::embedded::{Embedded, OpenError};
use engine::{Log, Position};

use super::disk::Disk;
use super::support::{Held, number, open, options, put, record, run, until};

const SEGMENT: u64 = 64 * 1024;
const FIRST: &str = "segment-0000000000";
const SECOND: &str = "segment-0000000001";

/// A log of so many records, and where they are.
fn written(records: u64) -> (Disk, Vec<Position>) {
    let disk = Disk::default();
    let (log, _) = open(Arc::new(disk.clone()), options(SEGMENT), None).unwrap();
    let at = (0..records).map(|n| put(&*log, record(n, 1000))).collect();
    drop(log);
    (disk, at)
}

fn again(disk: &Disk, from: Option<Position>) -> Result<(Arc<Embedded>, Held), OpenError> {
    open(Arc::new(disk.clone()), options(SEGMENT), from)
}

fn numbers(held: &Held) -> Vec<u64> {
    held.iter().map(|(_, bytes)| number(bytes)).collect()
}

fn spoil(disk: &Disk, name: &str, at: usize) {
    let mut bytes = disk.bytes(name);
    bytes[at] ^= 0x40;
    disk.put(name, bytes);
}

/// Why it can't be opened.
fn refusal(disk: &Disk) -> OpenError {
    again(disk, None).map(|_| ()).unwrap_err()
}

#[test]
fn all_is_shown_from_where_it_is_asked_for() {
    let (disk, at) = written(200);
    for from in [0, 1, 62, 63, 64, 65, 150, 199] {
        let (_log, held) = again(&disk, Some(at[from])).unwrap();
        assert_eq!(numbers(&held), (from as u64..200).collect::<Vec<_>>());
        assert_eq!(held[0].0, at[from]);
    }
    let (log, held) = again(&disk, Some(Position(at[199].0 + 1))).unwrap();
    assert!(held.is_empty());
    let end = log.positions().end;
    drop(log);
    assert!(again(&disk, Some(end)).unwrap().1.is_empty());
}

#[test]
fn what_the_log_does_not_hold_can_not_be_asked_for() {
    let (disk, at) = written(200);
    let beyond = Position(at[199].0 + 1_000_000);
    let error = again(&disk, Some(beyond)).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::NotThere { from, .. } if from == beyond), "{error}");
    let (log, _) = again(&disk, None).unwrap();
    log.trim(at[100]);
    drop(log);
    let error = again(&disk, Some(at[3])).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::NotThere { from, .. } if from == at[3]), "{error}");
}

#[test]
fn a_torn_tail_is_cut_off_at_any_byte_and_for_ever() {
    let (whole, at) = written(3);
    for lost in (0..1008 + 32).step_by(11) {
        let disk = whole.copy();
        spoil(&disk, FIRST, at[2].0 as usize - 32 + lost);
        let torn = disk.bytes(FIRST);
        let (log, held) = again(&disk, None).unwrap();
        assert_eq!(numbers(&held), [0, 1]);
        drop(log);
        // Even if the lost byte comes back.
        spoil(&disk, FIRST, at[2].0 as usize - 32 + lost);
        assert_ne!(disk.bytes(FIRST), torn);
        let (log, held) = again(&disk, None).unwrap();
        assert_eq!(numbers(&held), [0, 1], "{lost}");
        put(&*log, record(9, 10));
        drop(log);
        assert_eq!(numbers(&again(&disk, None).unwrap().1), [0, 1, 9]);
    }
}

#[test]
fn damage_before_what_is_good_is_told_with_its_place() {
    let (disk, at) = written(3);
    for (name, index) in [(FIRST, 0), (FIRST, 1)] {
        let disk = disk.copy();
        spoil(&disk, name, at[index].0 as usize + 300);
        let batch = at[index].0 - 32;
        match refusal(&disk) {
            OpenError::Damaged { file, offset, position, .. } => {
                assert_eq!((file.as_str(), offset, position), (name, batch, Position(batch)));
            }
            other => panic!("{other}"),
        }
    }
    // The end of a segment that is followed by another is no tail either.
    let (disk, at) = written(100);
    let last = at.iter().rfind(|at| at.0 < SEGMENT).unwrap();
    spoil(&disk, FIRST, last.0 as usize + 300);
    assert!(matches!(refusal(&disk), OpenError::Damaged { file, .. } if file == FIRST));
    // What is not asked for is not read. It is told when it is.
    let (log, held) = again(&disk, Some(at[99])).unwrap();
    assert_eq!(held.len(), 1);
    let read = run(log.read(*last));
    assert!(matches!(&read, Err(engine::ReadError::Damaged { at, .. }) if at == last), "{read:?}");
    let mut follow = log.follow(*last);
    assert!(matches!(run(follow.next()), Err(engine::FollowError::Read(engine::ReadError::Damaged { .. }))));
}

#[test]
fn missing_foreign_and_strange_segments_are_told() {
    let (disk, _) = written(200);
    let bytes = disk.bytes(SECOND);
    disk.take(SECOND);
    assert!(matches!(refusal(&disk), OpenError::Missing { file } if file == SECOND));
    let (other, _) = written(200);
    disk.put(SECOND, other.bytes(SECOND));
    assert!(matches!(refusal(&disk), OpenError::Foreign { file } if file == SECOND));
    disk.put(SECOND, disk.bytes(FIRST));
    assert!(matches!(refusal(&disk), OpenError::Damaged { file, offset: 0, .. } if file == SECOND));
    disk.put(SECOND, bytes[..9000].to_vec());
    assert!(matches!(refusal(&disk), OpenError::Damaged { file, .. } if file == SECOND));
    disk.put(SECOND, Vec::new());
    assert!(matches!(refusal(&disk), OpenError::Damaged { file, .. } if file == SECOND));
    let mut newer = bytes.clone();
    newer[7] = 2;
    disk.put(SECOND, newer);
    let error = refusal(&disk);
    assert!(matches!(&error, OpenError::Version { file, version: 2 } if file == SECOND), "{error}");
    disk.put(SECOND, bytes);
    assert_eq!(again(&disk, None).unwrap().1.len(), 200);
}

#[test]
fn records_that_look_like_batches_are_none() {
    // A batch of this very log, of which somebody got a copy, at all offsets of a record.
    let (disk, at) = written(2);
    let copy = disk.bytes(FIRST)[at[0].0 as usize - 32..at[1].0 as usize + 1008].to_vec();
    let (log, _) = again(&disk, None).unwrap();
    let mut forged = vec![0; 7];
    for _ in 0..20 {
        forged.extend_from_slice(&copy);
    }
    let end = put(&*log, forged.clone());
    drop(log);
    // Its own head is gone, so what it carries would be next.
    spoil(&disk, FIRST, end.0 as usize - 32 + 20);
    let (_log, held) = again(&disk, None).unwrap();
    assert_eq!(numbers(&held), [0, 1]);
}

#[test]
fn what_a_recycled_segment_held_is_not_seen() {
    let (disk, _) = written(10);
    let (log, _) = again(&disk, None).unwrap();
    let mut n = 10;
    for _ in 0..20 {
        while log.oldest().is_none() {
            put(&*log, record(n, 1000));
            n += 1;
        }
        log.trim(log.oldest().unwrap());
    }
    let first = log.positions().first;
    let end = log.positions().end;
    drop(log);
    let (_log, held) = again(&disk, None).unwrap();
    assert!(held.iter().all(|(at, _)| (first..end).contains(at)));
    assert_eq!(held.last().map(|(_, bytes)| number(bytes)), Some(n - 1));
    // Two spares at most, and one segment.
    assert_eq!(disk.names().len(), 1 + 1 + 2, "{:?}", disk.names());
}

#[test]
fn space_is_given_back_at_once() {
    let (disk, at) = written(1000);
    let (log, _) = again(&disk, None).unwrap();
    assert!(disk.taken() > 15 * SEGMENT);
    log.trim(at[999]);
    until("space is given back", || disk.taken() <= 3 * SEGMENT);
    let (kept, gone): (Vec<_>, Vec<_>) = at.iter().partition(|at| **at >= log.positions().first);
    assert!(kept.iter().all(|at| run(log.read(*at)).is_ok()));
    assert!(gone.iter().all(|at| run(log.read(*at)).is_err()));
}

#[test]
fn segments_of_another_size_come_after_those_that_are_there() {
    let (disk, at) = written(200);
    let (log, _) = open(Arc::new(disk.clone()), options(3 * SEGMENT), None).unwrap();
    let more: Vec<Position> = (200..600).map(|n| put(&*log, record(n, 1000))).collect();
    assert!(
        at.iter().chain(&more).enumerate().all(|(n, at)| number(&run(log.read(*at)).unwrap()) == n as u64)
    );
    drop(log);
    let (log, held) = again(&disk, None).unwrap();
    assert_eq!(held.iter().map(|held| held.0).collect::<Vec<_>>(), [at, more].concat());
    log.trim(Position(u64::MAX));
    put(&*log, record(600, 10));
    drop(log);
    assert_eq!(numbers(&again(&disk, None).unwrap().1).last(), Some(&600));
}

#[test]
fn opening_many_times_changes_nothing() {
    let (disk, _) = written(70);
    for _ in 0..300 {
        assert_eq!(again(&disk, None).unwrap().1.len(), 70);
    }
    // At the end of a segment there's no room even for what is written at each opening.
    let (log, held) = again(&disk, None).unwrap();
    let end = log.positions().end.0;
    let rest = (2 * SEGMENT - end) as usize - 32 - 8;
    put(&*log, vec![0; rest - 20]);
    assert_eq!(log.positions().end.0, 2 * SEGMENT - 20);
    drop(log);
    for _ in 0..3 {
        assert_eq!(again(&disk, None).unwrap().1.len(), held.len() + 1);
    }
    let (log, _) = again(&disk, None).unwrap();
    assert!(put(&*log, record(70, 10)).0 > 2 * SEGMENT);
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let (disk, _) = written(3);
    disk.put("snapshot", b"mine".to_vec());
    disk.put("segment-1", b"not one".to_vec());
    disk.put("spare-77", b"of another size".to_vec());
    assert_eq!(again(&disk, None).unwrap().1.len(), 3);
    assert_eq!(disk.bytes("snapshot"), b"mine");
    assert_eq!(disk.bytes("segment-1"), b"not one");
    assert!(!disk.names().contains(&"spare-77".to_owned()));
}
