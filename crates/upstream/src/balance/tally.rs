//! Requests in flight at all candidates together, for the ring with bounded load.
//!
//! The candidates' loads outlive the Picker, and requests end that were begun through another one.
//! So the sum is not counted up and down but made of what was last seen of each load: it is right
//! for every candidate looked at since it changed, and cannot drift.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use super::{Candidate, Padded};

/// No candidate has more than 5/4 of its share of the requests in flight.
const FACTOR: (u128, u128) = (5, 4);

/// The sum of all loads.
#[derive(Debug)]
pub(super) struct Tally {
    seen: Box<[AtomicU32]>,
    /// The sum of `seen`, modulo 2^64.
    sum: Padded<AtomicU64>,
    weights: u128,
}

impl Tally {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let tally = Self {
            seen: candidates.iter().map(|_| AtomicU32::new(0)).collect(),
            sum: Padded(AtomicU64::new(0)),
            weights: candidates.iter().map(|c| u128::from(c.weight)).sum(),
        };
        for (i, candidate) in candidates.iter().enumerate() {
            tally.refresh(i, candidate);
        }
        tally
    }

    /// Takes in candidate `i`'s load as it is now.
    pub(super) fn refresh(&self, i: usize, candidate: &Candidate) {
        loop {
            let now = candidate.load.in_flight();
            if self.seen[i].load(SeqCst) == now {
                return;
            }
            // Each swap adds just its difference, so the sum stays that of `seen` in any order.
            let before = self.seen[i].swap(now, SeqCst);
            let change = u64::from(now).wrapping_sub(u64::from(before));
            self.sum.0.fetch_add(change, Relaxed);
        }
    }

    /// Whether one more request at this candidate stays within its capacity, which is
    /// ⌈5/4 · (all in flight + 1) · its share of the weights⌉.
    pub(super) fn has_room(&self, candidate: &Candidate) -> bool {
        // For whole numbers, f + 1 ≤ ⌈c⌉ is f < c.
        let in_flight = u128::from(candidate.load.in_flight());
        let share = (self.sum() + 1) * u128::from(candidate.weight);
        in_flight * self.weights * FACTOR.1 < share * FACTOR.0
    }

    /// How many requests this candidate may have in flight when one more is in flight in all.
    pub(super) fn capacity(&self, candidate: &Candidate) -> u128 {
        let share = (self.sum() + 1) * u128::from(candidate.weight);
        (share * FACTOR.0).div_ceil(self.weights * FACTOR.1)
    }

    fn sum(&self) -> u128 {
        // Between a swap and its addition the sum may for a moment be below zero.
        u128::from((self.sum.0.load(Relaxed) as i64).max(0).cast_unsigned())
    }
}
