//! Weighted random draws in constant time (the alias method).
//!
//! Every slot of the table is equally likely and shared by at most two candidates, divided at `cut`.

use super::hash::nth;

/// Draws made to find a candidate that will do, before the Picker looks at each in turn.
const DRAWS_MAX: usize = 8;

/// A table to draw from.
#[derive(Debug)]
pub(super) struct Draws {
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Below it, as a fraction of 2^32, the slot's own candidate is drawn.
    cut: u32,
    /// Who is drawn otherwise.
    other: u32,
}

impl Draws {
    /// `weights` must not be empty, nor any of them 0.
    pub(super) fn new(weights: &[u32]) -> Self {
        let n = weights.len() as u64;
        let sum: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        // Of each slot's size `sum`, how much its own candidate fills, or overfills.
        let mut fill: Vec<u64> = weights.iter().map(|&w| u64::from(w) * n).collect();
        let mut slots: Vec<Slot> = (0..n as u32).map(|i| Slot { cut: 0, other: i }).collect();
        let (mut less, mut more): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&i| fill[i] < sum);
        while let (Some(small), Some(&large)) = (less.pop(), more.last()) {
            let cut = (u128::from(fill[small]) << 32) / u128::from(sum);
            slots[small] = Slot { cut: cut as u32, other: large as u32 };
            fill[large] -= sum - fill[small];
            if fill[large] < sum {
                more.pop();
                less.push(large);
            }
        }
        Self { slots: slots.into() }
    }

    /// A candidate that `fits`, or None if none of a few draws gave one.
    pub(super) fn one(&self, random: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        (0..DRAWS_MAX).map(|k| self.draw(nth(random, k))).find(|&i| fits(i))
    }

    /// Two candidates that `fit`; they differ unless few draws gave no second one.
    pub(super) fn two(&self, random: u64, fit: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        let first = self.one(random, &fit)?;
        let second = self.one(!random, |i| i != first && fit(i));
        Some((first, second.unwrap_or(first)))
    }

    fn draw(&self, random: u64) -> usize {
        let i = (((random >> 32) * self.slots.len() as u64) >> 32) as usize;
        let slot = self.slots[i];
        if (random as u32) < slot.cut { i } else { slot.other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_table_holds_each_weight(weights in prop::collection::vec(1u32..=1_000_000, 1..200)) {
            let draws = Draws::new(&weights);
            let mut held = vec![0u64; weights.len()];
            for (i, slot) in draws.slots.iter().enumerate() {
                held[i] += u64::from(slot.cut);
                held[slot.other as usize] += (1 << 32) - u64::from(slot.cut);
            }
            let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let all = weights.len() as f64 * 2f64.powi(32);
            for (held, &weight) in held.iter().zip(&weights) {
                let (share, expected) = (*held as f64 / all, f64::from(weight) / sum);
                prop_assert!((share - expected).abs() < 1e-8, "{share} is not {expected}");
            }
        }
    }
}
