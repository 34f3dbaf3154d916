//! How long requests took, in little memory and to within 3 %.
//!
//! Each doubling of the time is cut into 32 equal steps, so a quantile is as exact for 1 ms as for
//! 10 s, and the difference of two counts gives the quantiles of the time between them.

use std::time::Duration;

/// Steps of each doubling, as a power of two.
const STEPS: u32 = 5;
/// Microseconds that are told apart; what took longer counts as this long. A little over 67 s.
const MOST: u64 = (1 << 26) - 1;
/// One for each step up to [`MOST`].
const BUCKETS: usize = bucket(MOST) + 1;

/// Times by how often they were met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u32; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MOST);
        self.counts[bucket(micros.min(MOST))] += 1;
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += more;
        }
    }

    /// What was counted since `earlier`, an older state of this one.
    #[must_use]
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut rest = self.clone();
        for (count, less) in rest.counts.iter_mut().zip(earlier.counts.iter()) {
            *count = count.saturating_sub(*less);
        }
        rest
    }

    /// Times counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The time in milliseconds that a share `q` (0 to 1) of all did not exceed; none if there are none.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let rank = (q * self.count() as f64).ceil().max(1.0) as u64;
        let mut met = 0;
        let found = self.counts.iter().position(|&count| {
            met += u64::from(count);
            met >= rank
        });
        found.map(|bucket| longest(bucket) as f64 / 1e3)
    }
}

/// Where so many microseconds are counted.
const fn bucket(micros: u64) -> usize {
    if micros < 1 << STEPS {
        return micros as usize;
    }
    let doublings = micros.ilog2() - STEPS;
    (doublings as usize * (1 << STEPS)) + (micros >> doublings) as usize
}

/// The most microseconds that are counted there.
fn longest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 << STEPS {
        return bucket;
    }
    let doublings = (bucket >> STEPS) - 1;
    let step = bucket - (doublings << STEPS);
    ((step + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(micros: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &micros in micros {
            histogram.add(Duration::from_micros(micros));
        }
        histogram
    }

    #[test]
    fn nothing_has_no_quantile_and_the_longest_counts_as_the_most() {
        assert_eq!(Histogram::default().quantile_ms(0.5), None);
        assert_eq!(of(&[u64::MAX]).quantile_ms(0.5), Some(MOST as f64 / 1e3));
    }

    #[test]
    fn the_buckets_follow_each_other_without_a_gap() {
        for index in 1..BUCKETS {
            assert_eq!(bucket(longest(index - 1) + 1), index);
            assert_eq!(bucket(longest(index)), index);
        }
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_times(
            mut micros in prop::collection::vec(0..MOST, 1..300),
            q in 0.0..=1.0,
        ) {
            let told = of(&micros).quantile_ms(q).unwrap() * 1e3;
            micros.sort_unstable();
            let rank = (q * micros.len() as f64).ceil().max(1.0) as usize;
            let exact = micros[rank - 1] as f64;
            prop_assert!(told >= exact && told <= exact * (1.0 + 1.0 / 32.0) + 1e-6);
        }

        #[test]
        fn merging_and_the_difference_undo_each_other(
            first in prop::collection::vec(0..MOST, 0..50),
            second in prop::collection::vec(0..MOST, 0..50),
        ) {
            let (before, mut both) = (of(&first), of(&first));
            both.merge(&of(&second));
            prop_assert_eq!(both.since(&before), of(&second));
        }
    }
}
