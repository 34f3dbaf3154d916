//! Round robin: a schedule made beforehand and one shared cursor.
//!
//! Candidate i has w turns in a period, at (k + phase) / w of it for k = 0…w−1; the schedule is all
//! turns in the order of time. So each run of as many picks as the schedule is long gives everyone
//! exactly its weight, wherever it starts, and everyone's turns are spread out. The phases differ,
//! or all light candidates would come in a row.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Padded;

/// The longest schedule, in turns (or one turn each, if there are more candidates). Weights whose
/// sum is larger even when divided by what they have in common are scaled down and rounded.
pub(super) const TURNS_MAX: u64 = 1 << 20;

/// Bits of a sort key that name the candidate; the 34 others are its time.
const INDEX_BITS: u32 = 30;
/// One period of the schedule.
const PERIOD: u64 = 1 << 34;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns {
    order: Box<[u32]>,
    next: Padded<AtomicU64>,
}

impl Turns {
    /// `weights` must not be empty. `seed` sets where it starts, so that nodes started together do
    /// not send their first requests to the same endpoint.
    pub(super) fn new(weights: &[u32], seed: u64) -> Self {
        // Steps of the golden ratio fall into the widest gap left by those before.
        let order = schedule(weights, |i| (i as u32).wrapping_mul(0x9e37_79b9));
        let start = seed % order.len() as u64;
        Self { order, next: Padded(AtomicU64::new(start)) }
    }

    /// Takes the next turn.
    pub(super) fn take(&self) -> usize {
        let turn = self.next.0.fetch_add(1, Relaxed);
        self.order[(turn % self.order.len() as u64) as usize] as usize
    }

    /// Turns until `i`'s next, 0 if it is next; None if it has none.
    pub(super) fn until(&self, i: usize) -> Option<usize> {
        let start = self.next.0.load(Relaxed) % self.order.len() as u64;
        let (before, after) = self.order.split_at(start as usize);
        after.iter().chain(before).position(|&turn| turn as usize == i)
    }
}

/// All turns of one period in order. `phase` of a candidate: when within its share of the period its
/// turns come, as a fraction of 2^32.
pub(super) fn schedule(weights: &[u32], phase: impl Fn(usize) -> u32) -> Box<[u32]> {
    let mut turns = Vec::new();
    for (i, turns_of_i) in shares(weights).into_iter().enumerate() {
        let phase = u64::from(phase(i));
        turns.extend((0..turns_of_i).map(|k| {
            // k < 2^20, so this is below 2^52 · 4, and the time below PERIOD.
            let time = ((k << 32) + phase) * (PERIOD >> 32) / turns_of_i;
            time << INDEX_BITS | i as u64
        }));
    }
    turns.sort_unstable();
    turns.into_iter().map(|turn| (turn & ((1 << INDEX_BITS) - 1)) as u32).collect()
}

/// The weights in their lowest terms, scaled to fit [`TURNS_MAX`]; at least 1 each.
fn shares(weights: &[u32]) -> Vec<u64> {
    let common = weights.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let sum: u64 = weights.iter().map(|&w| u64::from(w / common)).sum();
    let scale = |w: u64| {
        if sum > TURNS_MAX { w * TURNS_MAX / sum } else { w }
    };
    weights.iter().map(|&w| scale(u64::from(w / common)).max(1)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_ones_are_spread_among_a_heavy_one() {
        let weights: Vec<u32> = std::iter::once(99).chain([1; 99]).collect();
        let turns = Turns::new(&weights, 7);
        let mut run = 0;
        for _ in 0..198 {
            run = if turns.take() == 0 { run + 1 } else { 0 };
            assert!(run <= 4, "the heavy one {run} times in a row");
        }
    }

    #[test]
    fn huge_weights_are_scaled_and_nobody_is_left_out() {
        let order = schedule(&[1_000_000, 999_999, 1], |_| 0);
        assert!(order.len() as u64 <= TURNS_MAX + 3);
        let turns = |i| order.iter().filter(|&&turn| turn == i).count();
        assert!(turns(0).abs_diff(turns(1)) <= 1 && turns(2) == 1);
    }

    #[test]
    fn tells_how_far_a_turn_is() {
        let turns = Turns::new(&[1000, 2000], 1);
        for _ in 0..9 {
            let next = turns.take();
            assert!(turns.until(next).unwrap() <= 2);
            assert_eq!((0..2).filter(|&i| turns.until(i) == Some(0)).count(), 1);
        }
        assert_eq!(turns.until(2), None);
    }
}
