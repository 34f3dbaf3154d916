//! Maglev: a table of a prime size in which everyone has as many places as its weight, found by one
//! look.
//!
//! Each candidate has its own order of preference over all places (a start and a step, from its
//! key); they take turns to claim the first place free. It is more even than a ring and faster;
//! when one leaves, its places go to the others and few else change hands.

use super::Candidate;
use super::hash::{nth, reduce};
use super::turns::schedule;

/// Sizes of the table, all prime, so that every step visits every place. A few sizes far apart,
/// because another size moves almost every key.
const SIZES: [usize; 3] = [65_537, 262_139, 1_048_573];
/// Places for each candidate that the table should have: equals then differ by at most one in 25.
const PLACES: usize = 25;
/// Places looked at before the Picker looks at each candidate in turn.
const LOOKS_MAX: usize = 8;

/// Who owns which hashes.
#[derive(Debug)]
pub(super) struct Maglev {
    table: Box<[u32]>,
}

impl Maglev {
    /// `candidates` must not be empty.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let enough = |size: &&usize| **size >= PLACES * candidates.len();
        let size = SIZES.iter().find(enough).copied().unwrap_or(SIZES[SIZES.len() - 1]);
        // In the order of keys, which is the same on all nodes.
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_unstable_by_key(|&i| candidates[i].key);
        let weights: Vec<u32> = order.iter().map(|&i| candidates[i].weight).collect();
        let key = |i: u32| candidates[order[i as usize]].key;
        let turns = schedule(&weights, |i| nth(key(i as u32), 0) as u32);

        // Where each looks next, and its step.
        let mut looks: Vec<(usize, usize)> = (0..order.len() as u32)
            .map(|i| (reduce(nth(key(i), 1), size), 1 + reduce(nth(key(i), 2), size - 1)))
            .collect();
        const FREE: u32 = u32::MAX;
        let mut table = vec![FREE; size];
        for &turn in turns.iter().cycle().take(size) {
            let (at, step) = &mut looks[turn as usize];
            // A place is free, as there are as many turns as places; and each step leads to a new one.
            while table[*at] != FREE {
                *at = (*at + *step) % size;
            }
            table[*at] = order[turn as usize] as u32;
        }
        Self { table: table.into() }
    }

    /// The owner of `hash`, then those that it goes to instead.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = usize> {
        let further = (1..LOOKS_MAX).map(move |k| nth(hash, k));
        std::iter::once(hash).chain(further).map(|hash| self.table[reduce(hash, self.table.len())] as usize)
    }
}
