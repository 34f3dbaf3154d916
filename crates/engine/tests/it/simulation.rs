//! Whole lives of a log on a disk that fails in every way: what was told stable is there, in its order and
//! exact; nothing is there in part; nothing comes back.
//!
//! The short form runs 200 lives' stories. The long one:
//! `NEARSIDE_SEEDS=5000 cargo test -p engine --release --test it simulation`. A single one:
//! `NEARSIDE_SEED=17`; what its threads do at once differs, so it may take a few runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use engine::embedded::{Embedded, OpenError};
use engine::{Append, AppendError, Log, Position, ReadError, Room};

use super::disk::{Dice, Disk, Failing};
use super::support::{Held, next, number, open, options, record, run, until};

/// What became of each record, by its number.
#[derive(Default)]
struct Told {
    stable: BTreeMap<u64, Position>,
    refused: BTreeSet<u64>,
    /// In flight when the log stopped: they may be there or not.
    unsure: BTreeSet<u64>,
    waiting: usize,
}

struct Story {
    dice: Dice,
    disk: Disk,
    segment: u64,
    told: Arc<Mutex<Told>>,
    /// The next record's number.
    next: u64,
    trimmed: Position,
    /// All before it was stable when a snapshot was made of it.
    snapshot: Option<Position>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut dice = Dice(seed);
        let segment = [4096, 9000, 40_000][dice.roll(3) as usize];
        let (told, disk) = Default::default();
        Story { dice, disk, segment, told, next: 0, trimmed: Position(0), snapshot: None }
    }

    /// Opens the log, maybe more than once, and compares what it holds with what was told.
    fn open(&mut self) -> Arc<Embedded> {
        loop {
            if self.dice.one_in(4) {
                let changes = self.dice.roll(12);
                self.disk.lose_power_after(changes);
            }
            self.disk.cold(self.dice.one_in(2));
            let from = self.snapshot.filter(|from| *from >= self.trimmed && self.dice.one_in(3));
            match open(Arc::new(self.disk.clone()), options(self.segment), from) {
                Ok((log, held)) => {
                    self.check(&log, from, &held);
                    return log;
                }
                Err(OpenError::Io(_)) if self.disk.is_dead() => {
                    self.disk = self.disk.after_the_loss(&mut self.dice);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn check(&self, log: &Embedded, from: Option<Position>, held: &Held) {
        let first = log.positions().first;
        let from = from.unwrap_or(first);
        let told = &mut *self.told.lock().unwrap();
        let numbers: BTreeMap<u64, Position> = held.iter().map(|(at, bytes)| (number(bytes), *at)).collect();
        assert_eq!(numbers.len(), held.len(), "a record is there twice");
        assert!(held.is_sorted_by(|a, b| a.0 < b.0 && number(&a.1) < number(&b.1)), "another order");
        assert!(held.iter().all(|(at, _)| *at >= from && *at < log.positions().end));
        for (number, at) in &told.stable {
            assert!(
                *at >= first || *at < self.trimmed,
                "{number} at {at} is gone, all from {first} on is there"
            );
            if *at >= first.max(from) {
                assert_eq!(numbers.get(number), Some(at), "{number} was told stable");
            }
        }
        // What was in flight is there up to some record, and counts from now on.
        let mut gone = false;
        for number in std::mem::take(&mut told.unsure) {
            match numbers.get(&number) {
                Some(at) => {
                    assert!(!gone, "{number} is there, but not what was appended before");
                    told.stable.insert(number, *at);
                }
                None => gone = true,
            }
        }
        assert!(numbers.keys().all(|number| told.stable.contains_key(number)), "nobody was told");
        assert!(numbers.keys().all(|number| !told.refused.contains(number)), "it was refused");
    }

    fn append(&mut self, log: &Embedded) {
        let count = 1 + self.dice.roll(4);
        let room = if self.dice.one_in(3) { Room::Reserve } else { Room::Ordinary };
        let most = self.segment.min(20_000) - 200;
        let records = (0..count).map(|_| {
            let len = if self.dice.one_in(8) { self.dice.roll(most) } else { self.dice.roll(300) };
            let (number, told) = (self.next, self.told.clone());
            self.next += 1;
            let done = Box::new(move |what| {
                let mut told = told.lock().unwrap();
                told.waiting -= 1;
                match what {
                    Ok(at) => drop(told.stable.insert(number, at)),
                    Err(AppendError::Full(_)) => drop(told.refused.insert(number)),
                    Err(AppendError::Stopped(_)) => drop(told.unsure.insert(number)),
                    Err(error) => panic!("{error}"),
                }
            });
            Append { record: record(number, len as usize).into(), room, done }
        });
        let records: Vec<Append> = records.collect();
        self.told.lock().unwrap().waiting += records.len();
        log.append(records);
    }

    /// Waits until all that was appended is told.
    fn settle(&self) {
        until("all are told", || self.told.lock().unwrap().waiting == 0);
    }

    /// Any record that was told stable.
    fn any(&mut self) -> Option<(u64, Position)> {
        let told = self.told.lock().unwrap();
        let from = self.dice.roll(self.next.max(1));
        told.stable.range(from..).next().map(|(number, at)| (*number, *at))
    }

    fn read(&mut self, log: &Embedded) {
        let Some((number, at)) = self.any() else { return };
        match run(log.read(at)) {
            Ok(bytes) => assert_eq!(super::support::number(&bytes), number),
            Err(ReadError::NotThere(_)) => assert!(at < self.trimmed),
            Err(error) => assert!(self.disk.is_dead(), "{error}"),
        }
    }

    fn follow(&mut self, log: &Embedded) {
        let first = log.positions().first;
        let told = self.told.lock().unwrap().stable.clone();
        let expected: Held = told
            .into_iter()
            .filter(|(_, at)| *at >= first)
            .map(|(number, at)| (at, vec![number as u8]))
            .collect();
        let seen = next(&mut *log.follow(first), expected.len());
        let seen: Held = seen.into_iter().map(|(at, bytes)| (at, vec![number(&bytes) as u8])).collect();
        assert!(seen == expected);
    }

    fn act(&mut self, log: &Embedded) {
        match self.dice.roll(40) {
            0..25 => self.append(log),
            25..29 => self.settle(),
            29..32 => self.read(log),
            32 => self.disk.fail(Failing::Writes(io::ErrorKind::StorageFull)),
            33 => self.disk.room(Some(self.disk.taken())),
            34..37 => {
                self.disk.fail(Failing::Nothing);
                self.disk.room(None);
            }
            37 => self.snapshot = Some(log.positions().end),
            38 if self.dice.one_in(4) => {
                let failing = [Failing::Syncs, Failing::OneSync, Failing::FolderSyncs];
                self.disk.fail(failing[self.dice.roll(3) as usize]);
            }
            _ => {
                if let Some((_, at)) = self.any() {
                    self.trimmed = self.trimmed.max(at);
                    log.trim(at);
                }
            }
        }
    }

    /// One process: it ends by a loss of power, by being killed, by a disk that fails, or well.
    fn live(&mut self) {
        let log = self.open();
        let end = self.dice.roll(4);
        if end == 0 {
            let changes = self.dice.roll(150);
            self.disk.lose_power_after(changes);
        }
        for _ in 0..self.dice.roll(120) {
            self.act(&log);
            if self.disk.is_dead() {
                break;
            }
        }
        let stopped = matches!(log.trouble(), Some(AppendError::Stopped(_)));
        if end == 1 && !stopped && !self.disk.is_dead() {
            self.disk.fail(Failing::Nothing);
            self.settle();
            if log.trouble().is_none() {
                self.follow(&log);
            }
        }
        // After a disk failed, what the system remembers is not what lies on it.
        let after = match end {
            0 | 1 => self.disk.after_the_loss(&mut self.dice),
            2 => self.disk.after_a_kill(),
            _ => {
                drop(log);
                self.settle();
                self.disk = self.disk.after_a_kill();
                return;
            }
        };
        drop(log);
        self.settle();
        self.disk = after;
    }
}

#[test]
fn what_was_told_stable_is_there_whatever_happens() {
    let env = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = env("NEARSIDE_SEEDS").unwrap_or(200);
    let first = env("NEARSIDE_SEED").unwrap_or(0);
    let (mut stable, mut lives) = (0, 0);
    for seed in first..first + if env("NEARSIDE_SEED").is_some() { 1 } else { seeds } {
        println!("seed {seed}");
        let mut story = Story::new(seed);
        for _ in 0..6 {
            story.live();
            lives += 1;
        }
        drop(story.open());
        stable += story.told.lock().unwrap().stable.len();
    }
    assert!(stable > 20 * lives, "{stable} records in {lives} lives: too few for a test");
}
