//! Least connections: who has the least key of all, kept up to date without locks.
//!
//! The keys lie in groups of eight, one cache line each. The least key of each group is an entry of
//! a group one level up, and so on to one group at the top. Finding the least key goes down from
//! there; changing one goes up from its leaf until nothing changes any more. Wide groups make few
//! levels: five for 10,000 candidates, where a binary tree has fourteen.
//!
//! Threads that change keys at once heal each other's work. One that has stored anything passes a
//! fence, then reads again all it stored, one level more, and what these are made of, and repeats if
//! something is wrong. Of all threads that stored an entry or what it is made of, one passes its last
//! fence last; that one sees what all others stored, so when all rest every entry is right. One that
//! finds nothing to store passes no fence; that is why loads here, and all of in-flight counts, are
//! `SeqCst`: it cannot have missed a wrong entry whose author missed the count.
//!
//! A key is the load ratio (as the bits of a positive `f32`, which sort as it does), then the turn
//! at which the candidate was last picked, so that equals take turns.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, fence};

use super::{Candidate, Padded};

/// Entries of a group: a cache line's worth.
const WIDTH: usize = 8;
/// A key for places without a candidate; larger than any real one.
const NOBODY: u64 = u64::MAX;
/// How often a pick that finds its information out of date looks again.
const LOOKS_MAX: usize = 4;

#[derive(Debug)]
#[repr(align(64))]
struct Group([AtomicU64; WIDTH]);

impl Group {
    /// The place of the least key, and the key. In three rounds, without a jump that the processor
    /// would have to guess.
    fn least(&self) -> (usize, u64) {
        let lesser = |a: (usize, u64), b: (usize, u64)| if b.1 < a.1 { b } else { a };
        let key = |place: usize| (place, self.0[place].load(SeqCst));
        let pair = |place: usize| lesser(key(place), key(place + 1));
        let four = |place: usize| lesser(pair(place), pair(place + 2));
        lesser(four(0), four(4))
    }
}

/// The tree of keys; see the module.
#[derive(Debug)]
pub(super) struct Tournament {
    /// The leaves first, the single top group last.
    levels: Vec<Box<[Group]>>,
    /// The turn of the next pick. It wraps; what is later than it is from before.
    turn: Padded<AtomicU32>,
}

impl Tournament {
    /// `candidates` must not be empty. `seed` sets who is first among equals.
    pub(super) fn new(candidates: &[Candidate], seed: u64) -> Self {
        let n = candidates.len();
        let first = (seed % n as u64) as usize;
        let key = |(i, candidate): (usize, &Candidate)| pack(candidate.ratio(), ((i + n - first) % n) as u32);
        let mut keys: Vec<u64> = candidates.iter().enumerate().map(key).collect();
        let mut levels: Vec<Box<[Group]>> = Vec::new();
        loop {
            let level: Box<[Group]> = keys.chunks(WIDTH).map(group).collect();
            keys = level.iter().map(|group| group.least().1).collect();
            levels.push(level);
            if keys.len() == 1 {
                return Self { levels, turn: Padded(AtomicU32::new(n as u32)) };
            }
        }
    }

    /// The least busy candidate.
    pub(super) fn least(&self, candidates: &[Candidate]) -> usize {
        let mut leaf = self.descend();
        for _ in 1..LOOKS_MAX {
            // Another Picker may have begun requests there that this one has not heard of.
            if !self.refresh(leaf, &candidates[leaf]) {
                break;
            }
            leaf = self.descend();
        }
        leaf
    }

    /// The least busy candidate that `fits`. Slower: it looks into every group on the way to those
    /// that do not fit.
    pub(super) fn least_of(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let top = self.levels.len();
        let mut open = BinaryHeap::from([Reverse((0, top, 0))]);
        while let Some(Reverse((_, level, place))) = open.pop() {
            if level == 0 {
                if fits(place) {
                    return Some(place);
                }
                continue;
            }
            let group = &self.levels[level - 1][place];
            let keys = group.0.iter().map(|entry| entry.load(Relaxed)).enumerate();
            let real = keys.filter(|&(_, key)| key != NOBODY);
            open.extend(real.map(|(child, key)| Reverse((key, level - 1, place * WIDTH + child))));
        }
        None
    }

    /// Takes in that a request began at candidate `i`: among equals it is last now.
    pub(super) fn picked(&self, i: usize, candidate: &Candidate) {
        let turn = self.turn.0.fetch_add(1, Relaxed);
        self.update(i, candidate, Some(turn));
    }

    /// Takes in candidate `i`'s load as it is now; true if that was news.
    pub(super) fn refresh(&self, i: usize, candidate: &Candidate) -> bool {
        self.update(i, candidate, None)
    }

    fn update(&self, i: usize, candidate: &Candidate, turn: Option<u32>) -> bool {
        let mut height = 0;
        if !self.rise(i, candidate, turn, &mut height) {
            return false;
        }
        loop {
            fence(SeqCst);
            if !self.rise(i, candidate, None, &mut height) {
                return true;
            }
        }
    }

    /// Goes up from leaf `i` and makes right what is wrong; true if anything was. It looks at the
    /// levels below `height` and on until it finds nothing wrong; `height` rises to just above that.
    fn rise(&self, i: usize, candidate: &Candidate, turn: Option<u32>, height: &mut usize) -> bool {
        let mut changed = false;
        let mut place = i;
        for (level, groups) in self.levels.iter().enumerate() {
            let entry = &groups[place / WIDTH].0[place % WIDTH];
            let old = entry.load(SeqCst);
            let new = match level.checked_sub(1) {
                Some(below) => self.levels[below][place].least().1,
                None => pack(candidate.ratio(), turn.unwrap_or(self.turn_of(old))),
            };
            if new != old {
                entry.store(new, Relaxed);
                changed = true;
                *height = (*height).max(level + 2);
            } else if level + 1 >= *height {
                break;
            }
            place /= WIDTH;
        }
        changed
    }

    /// The turn in a key; the first, if it is from before turns wrapped.
    fn turn_of(&self, key: u64) -> u32 {
        let turn = key as u32;
        if turn > self.turn.0.load(Relaxed) { 0 } else { turn }
    }

    fn descend(&self) -> usize {
        self.levels.iter().rev().fold(0, |place, level| place * WIDTH + level[place].least().0)
    }
}

fn group(keys: &[u64]) -> Group {
    Group(std::array::from_fn(|place| AtomicU64::new(keys.get(place).copied().unwrap_or(NOBODY))))
}

fn pack(ratio: f32, turn: u32) -> u64 {
    u64::from(ratio.to_bits()) << 32 | u64::from(turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn candidate(key: u64) -> Candidate {
        Candidate { key, weight: 1000, load: Arc::default() }
    }

    #[test]
    fn turns_go_on_after_they_wrap() {
        let all: Vec<Candidate> = (0..5).map(candidate).collect();
        let tree = Tournament::new(&all, 0);
        tree.turn.0.store(u32::MAX - 7, Relaxed);
        let mut picks = [0; 5];
        for _ in 0..100 {
            let i = tree.least(&all);
            picks[i] += 1;
            tree.picked(i, &all[i]);
            // As the Picker does: now and then someone else's load is looked at.
            let other = picks.iter().sum::<usize>() % 5;
            tree.refresh(other, &all[other]);
        }
        assert!(picks.iter().all(|&n| n >= 15), "{picks:?}");
    }

    /// Lets each thread do its part of many short rounds at the same time, and looks between them.
    fn rounds(part: impl Fn() + Sync, look: impl Fn()) {
        const THREADS: usize = 2;
        const ROUNDS: usize = 20_000;
        let arrived = AtomicUsize::new(0);
        let meet = |time: usize| {
            arrived.fetch_add(1, SeqCst);
            while arrived.load(SeqCst) < time * (THREADS + 1) {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let (meet, part) = (&meet, &part);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        meet(2 * round + 1);
                        part();
                        meet(2 * round + 2);
                    }
                });
            }
            for round in 0..ROUNDS {
                meet(2 * round + 1);
                meet(2 * round + 2);
                look();
            }
        });
    }

    #[test]
    fn every_entry_is_right_when_all_threads_rest() {
        let all: Vec<Candidate> = (0..70).map(candidate).collect();
        let tree = Tournament::new(&all, 0);
        let part = || {
            for _ in 0..8 {
                let i = tree.least(&all);
                all[i].load.begin();
                tree.picked(i, &all[i]);
                all[i].load.end();
                tree.refresh(i, &all[i]);
            }
        };
        let wrong = AtomicUsize::new(0);
        let look = || {
            let leaf = |i: usize| tree.levels[0][i / WIDTH].0[i % WIDTH].load(SeqCst);
            let stale = |&i: &usize| (leaf(i) >> 32) as u32 != all[i].ratio().to_bits();
            let mut count = (0..all.len()).filter(stale).count();
            for pair in tree.levels.windows(2) {
                let above = pair[1].iter().flat_map(|group| &group.0).map(|e| e.load(SeqCst));
                let below = pair[0].iter().map(|group| group.least().1);
                count += above.zip(below).filter(|(entry, least)| entry != least).count();
            }
            wrong.fetch_add(count, SeqCst);
        };
        rounds(part, look);
        assert_eq!(wrong.into_inner(), 0);
    }
}
