//! A disk that is full, fails or hangs: who is told what, and what works again without a restart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::embedded::{OpenError, Options};
use engine::files::Folder;
use engine::{Append, AppendError, FollowError, Log, Position, Room};

use super::disk::{Dice, Disk, Failing};
use super::support::{Told, append, begin, next, number, open, options, put, record, run, until};

const SEGMENT: u64 = 64 * 1024;

fn fresh(disk: &Disk) -> Arc<engine::embedded::Embedded> {
    open(Arc::new(disk.clone()), options(SEGMENT), None).unwrap().0
}

fn is_full(told: &Told) -> bool {
    matches!(told, Err(AppendError::Full(_)))
}

/// The numbers that a fresh process finds.
fn held(disk: &Disk) -> Vec<u64> {
    let (_log, held) = open(Arc::new(disk.clone()), options(SEGMENT), None).unwrap();
    held.iter().map(|(_, bytes)| number(bytes)).collect()
}

#[test]
fn after_a_failed_sync_nothing_is_taken_but_what_was_stable_is_read() {
    let disk = Disk::default();
    let log = fresh(&disk);
    let first = put(&*log, record(1, 100));
    let mut follow = log.follow(first);
    disk.fail(Failing::OneSync);
    let told = append(&*log, Room::Ordinary, record(2, 100));
    assert!(matches!(&told, Err(AppendError::Stopped(why)) if why.contains("the disk fails")), "{told:?}");
    // The disk answers well again, but what it has is not known any more.
    let told = append(&*log, Room::Reserve, record(3, 100));
    assert!(matches!(told, Err(AppendError::Stopped(_))));
    assert!(matches!(log.trouble(), Some(AppendError::Stopped(_))));
    assert_eq!(number(&run(log.read(first)).unwrap()), 1);
    assert_eq!(number(&next(&mut *follow, 1)[0].1), 1);
    log.trim(Position(u64::MAX));
    drop(log);
    let numbers = held(&disk.after_a_kill());
    assert!(numbers == [1] || numbers == [1, 2], "{numbers:?}");
}

#[test]
fn what_a_failed_sync_left_in_memory_lasts_once_it_is_taken_for_stable() {
    for size in (100..20_000).step_by(977) {
        let disk = Disk::default();
        let log = fresh(&disk);
        put(&*log, record(1, 100));
        disk.fail(Failing::OneSync);
        assert!(append(&*log, Room::Ordinary, record(2, size)).is_err());
        drop(log);
        // The next process finds it in the system's memory. Then the power goes.
        let disk = disk.after_a_kill();
        assert_eq!(held(&disk), [1, 2]);
        assert_eq!(held(&disk.after_the_loss(&mut Dice(size as u64))), [1, 2]);
    }
}

#[test]
fn a_loss_of_power_while_that_is_made_to_last_is_no_damage() {
    for seed in 0..300 {
        let disk = Disk::default();
        let log = fresh(&disk);
        put(&*log, record(1, 100));
        disk.fail(Failing::OneSync);
        assert!(append(&*log, Room::Ordinary, record(2, 3000 + 10 * seed as usize)).is_err());
        drop(log);
        let disk = disk.after_a_kill();
        disk.lose_power_after(seed % 5);
        let opened = open(Arc::new(disk.clone()), options(SEGMENT), None).is_ok();
        let numbers = held(&disk.after_the_loss(&mut Dice(seed)));
        assert!(numbers == [1, 2] || !opened && numbers == [1], "{seed}: {numbers:?}");
    }
}

#[test]
fn a_folder_that_is_not_kept_stops_the_log() {
    let disk = Disk::default();
    let log = fresh(&disk);
    disk.fail(Failing::FolderSyncs);
    let last = (0..).find_map(|n| append(&*log, Room::Ordinary, record(n, 5000)).err());
    assert!(matches!(&last, Some(AppendError::Stopped(why)) if why.contains("folder")), "{last:?}");
    assert!(log.positions().end.0 < SEGMENT, "nothing was told stable in the new segment");
}

#[test]
fn on_a_full_disk_the_reserve_is_kept_for_outcomes() {
    let disk = Disk::default();
    let log = fresh(&disk);
    disk.room(Some(3 * SEGMENT + 1000));
    let taken = (0..).take_while(|n| append(&*log, Room::Ordinary, record(*n, 5000)).is_ok()).count() as u64;
    assert!(disk.names().iter().any(|name| name.starts_with("spare-")), "a segment is kept");
    assert!((20..=24).contains(&taken), "two segments are full of messages: {taken}");
    assert!(is_full(&log.trouble().map_or(Ok(Position(0)), Err)));
    // The rest of the segment is no reserve.
    put(&*log, record(900, 10));
    let outcomes = (1000..).take_while(|n| append(&*log, Room::Reserve, record(*n, 5000)).is_ok()).count();
    assert!((12..=14).contains(&outcomes), "a segment is full of outcomes: {outcomes}");
    assert!(is_full(&append(&*log, Room::Ordinary, record(901, 10))));
    // Once there's no spare, ordinary ones may not take the rest of the segment either.
    assert!(append(&*log, Room::Reserve, record(902, 10)).is_ok());
    assert!(is_full(&append(&*log, Room::Ordinary, record(903, 10))));

    // Nor if they come along with those that may.
    disk.fail(Failing::SyncsNever);
    let told: Vec<_> =
        [(904, Room::Reserve), (905, Room::Reserve), (906, Room::Ordinary), (907, Room::Reserve)]
            .into_iter()
            .flat_map(|(n, room)| begin(&*log, room, vec![record(n, 10).into()]))
            .collect();
    disk.fail(Failing::Nothing);
    let told: Vec<bool> = told.into_iter().map(|told| run(told).unwrap().is_ok()).collect();
    assert_eq!(told, [true, true, false, true]);

    disk.room(None);
    until("it is seen that there's space", || log.trouble().is_none());
    put(&*log, record(908, 10));
    drop(log);
    let outcomes = [900].into_iter().chain((1000..).take(outcomes)).chain([902, 904, 905, 907, 908]);
    assert_eq!(held(&disk), (0..taken).chain(outcomes).collect::<Vec<_>>());
}

#[test]
fn what_is_appended_together_with_an_ordinary_record_is_ordinary() {
    let disk = Disk::default();
    let log = fresh(&disk);
    disk.room(Some(disk.taken()));
    while append(&*log, Room::Ordinary, record(1, 10)).is_ok() {}
    let (tell, told) = std::sync::mpsc::channel();
    let append = |room| {
        let tell = tell.clone();
        let done = Box::new(move |what: Told| tell.send((room, what.is_ok())).unwrap());
        Append { record: record(2, 10).into(), room, done }
    };
    log.append(vec![append(Room::Reserve), append(Room::Ordinary)]);
    log.append(vec![append(Room::Reserve), append(Room::Reserve)]);
    let told: Vec<_> = told.iter().take(4).collect();
    let (reserve, ordinary) = (Room::Reserve, Room::Ordinary);
    assert_eq!(told, [(reserve, false), (ordinary, false), (reserve, true), (reserve, true)]);
}

#[test]
fn trimming_a_full_log_makes_room_at_once() {
    let disk = Disk::default();
    let log = fresh(&disk);
    disk.room(Some(4 * SEGMENT));
    while append(&*log, Room::Ordinary, record(1, 5000)).is_ok() {}
    while append(&*log, Room::Reserve, record(2, 5000)).is_ok() {}
    let oldest = log.oldest().unwrap();
    log.trim(oldest);
    assert_eq!(log.positions().first.0 / SEGMENT, 1);
    until("the trimmed segment can be used", || append(&*log, Room::Reserve, record(3, 5000)).is_ok());
    log.trim(Position(u64::MAX));
    until("there's a reserve again", || append(&*log, Room::Ordinary, record(4, 5000)).is_ok());
    assert!(disk.taken() <= 4 * SEGMENT);
}

#[test]
fn what_can_not_be_written_is_refused_and_never_seen() {
    let disk = Disk::default();
    let log = fresh(&disk);
    put(&*log, record(1, 1000));
    disk.fail(Failing::Writes(io::ErrorKind::StorageFull));
    let full = append(&*log, Room::Reserve, record(2, 1000));
    assert!(is_full(&full) && is_full(&log.trouble().map_or(Ok(Position(0)), Err)), "{full:?}");
    assert!(is_full(&append(&*log, Room::Ordinary, record(2, 1000))));
    disk.fail(Failing::Nothing);
    put(&*log, record(3, 300));
    until("it is well again", || log.trouble().is_none());
    drop(log);
    assert_eq!(held(&disk), [1, 3]);
}

#[test]
fn a_trimmed_segment_that_can_not_be_removed_is_removed_later() {
    let disk = Disk::default();
    let log = fresh(&disk);
    while log.oldest().is_none() {
        put(&*log, record(1, 5000));
    }
    disk.fail(Failing::Writes(io::ErrorKind::StorageFull));
    log.trim(log.positions().end);
    until("it is told", || log.trouble().is_some());
    assert!(disk.names().contains(&"segment-0000000000".to_owned()));
    disk.fail(Failing::Nothing);
    until("it is removed", || !disk.names().contains(&"segment-0000000000".to_owned()));
    put(&*log, record(2, 10));
}

#[test]
fn a_disk_that_hangs_is_told_of_and_costs_bounded_memory() {
    let disk = Disk::default();
    let patience = Duration::from_millis(20);
    let options = Options { waiting: 100_000, patience, ..options(SEGMENT) };
    let (log, _) = open(Arc::new(disk.clone()), options, None).unwrap();
    disk.fail(Failing::SyncsNever);
    let mut told = begin(&*log, Room::Ordinary, vec![record(0, 1000).into()]);
    until("it is told", || log.trouble().is_some_and(|why| why.to_string().contains("not answered")));
    for n in 1..200 {
        told.extend(begin(&*log, Room::Ordinary, vec![record(n, 1000).into()]));
    }
    // The last is refused while the disk still hangs; outcomes are taken a little longer.
    let refused = run(told.pop().unwrap()).unwrap();
    assert!(matches!(refused, Err(AppendError::Full(why)) if &*why == "too much is waiting"));
    told.extend(begin(&*log, Room::Reserve, vec![record(200, 1000).into()]));
    disk.fail(Failing::Nothing);
    let told: Vec<Told> = told.into_iter().map(|told| run(told).unwrap()).collect();
    let taken = told.iter().filter(|told| told.is_ok()).count();
    assert!((80..100).contains(&taken), "{taken}");
    assert!(told.last().unwrap().is_ok() && told[..taken - 1].iter().all(Result::is_ok));
    until("it is well again", || log.trouble().is_none());
    put(&*log, record(201, 10));
}

#[test]
fn closing_writes_what_waits_and_ends_following() {
    let disk = Disk::default();
    let log = fresh(&disk);
    disk.fail(Failing::SyncsNever);
    let told: Vec<_> =
        (0..50).flat_map(|n| begin(&*log, Room::Ordinary, vec![record(n, 100).into()])).collect();
    let mut follow = log.follow(log.positions().first);
    let closing = std::thread::spawn({
        let log = log.clone();
        move || log.close()
    });
    until("it is closing", || matches!(log.trouble(), Some(AppendError::Closed)));
    assert!(matches!(append(&*log, Room::Reserve, record(50, 10)), Err(AppendError::Closed)));
    disk.fail(Failing::Nothing);
    closing.join().unwrap();
    assert!(told.into_iter().all(|told| run(told).unwrap().is_ok()));
    assert_eq!(next(&mut *follow, 50).len(), 50);
    assert!(matches!(run(follow.next()), Err(FollowError::Closed)));
    // It is still read, and another may open it.
    assert!(run(log.read(log.positions().first)).is_err(), "a batch's head is no record");
    assert_eq!(held(&disk).len(), 50);
}

#[test]
fn who_is_told_may_drop_the_log() {
    let disk = Disk::default();
    let log = fresh(&disk);
    let (tell, told) = std::sync::mpsc::channel();
    let last = log.clone();
    let done = Box::new(move |what: Told| {
        drop(last);
        tell.send(what).unwrap();
    });
    let append = Append { record: Bytes::from_static(b"last"), room: Room::Ordinary, done };
    disk.fail(Failing::SyncsNever);
    log.append(vec![append]);
    drop(log);
    disk.fail(Failing::Nothing);
    told.recv().unwrap().unwrap();
    until("the folder is free", || {
        !matches!(open(Arc::new(disk.clone()), options(SEGMENT), None), Err(OpenError::Busy))
    });
}

#[test]
fn only_one_process_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let files = || Arc::new(Folder::open(folder.path()).unwrap());
    let (log, _) = open(files(), options(SEGMENT), None).unwrap();
    put(&*log, record(1, 10));
    assert!(matches!(open(files(), options(SEGMENT), None), Err(OpenError::Busy)));
    drop(log);
    assert_eq!(open(files(), options(SEGMENT), None).unwrap().1.len(), 1);
}
