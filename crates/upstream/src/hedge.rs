//! When would most answers have come? A quantile of a service's recent answer times.
//!
//! A histogram with buckets that grow by an eighth keeps the estimate within 12.5 % in under 1 KiB a
//! service. It is halved as it fills, so that old answers fade. Plain atomics: two threads that meet
//! at a halving may lose a few counts, which an estimate can bear.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Answers before the estimate is believed.
pub const NEEDED: u32 = 100;
/// The estimate is made anew after this many answers.
const ROUND: u32 = 64;
/// Answers at which all counts are halved.
const FULL: u32 = 4096;
/// Buckets in each doubling.
const STEPS: u64 = 8;
/// Enough for 134 s in microseconds; longer answers count in the last bucket.
const BUCKETS: usize = 200;

/// Recent answer times of one service, and one quantile of them.
#[derive(Debug)]
pub struct Quantile {
    share: f64,
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
    /// Nanoseconds; 0: not known yet.
    estimate: AtomicU64,
}

impl Quantile {
    /// An empty one for `share`, 0 to 1: 0.95 for p95.
    pub fn new(share: f64) -> Self {
        Self {
            share,
            counts: [const { AtomicU32::new(0) }; BUCKETS],
            total: AtomicU32::new(0),
            estimate: AtomicU64::new(0),
        }
    }

    /// Takes the time of one answer, in nanoseconds.
    pub fn observe(&self, latency: u64) {
        self.counts[bucket(latency / 1000)].fetch_add(1, Relaxed);
        let total = self.total.fetch_add(1, Relaxed).wrapping_add(1);
        if total == NEEDED || total.is_multiple_of(ROUND) && total > NEEDED {
            self.estimate.store(self.find().saturating_mul(1000), Relaxed);
        }
        if total == FULL {
            self.halve();
        }
    }

    /// The time by which that share of recent answers had come; none before there are a hundred.
    pub fn estimate(&self) -> Option<Duration> {
        match self.estimate.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// The upper end of the bucket in which the quantile lies, in microseconds.
    fn find(&self) -> u64 {
        let counts = self.counts.each_ref().map(|count| count.load(Relaxed));
        let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        let wanted = (total as f64 * self.share).ceil() as u64;
        let mut sum = 0;
        let found = counts.iter().position(|&count| {
            sum += u64::from(count);
            sum >= wanted && count > 0
        });
        upper(found.unwrap_or(BUCKETS - 1))
    }

    fn halve(&self) {
        let mut left = 0;
        for count in &self.counts {
            let half = count.load(Relaxed) / 2;
            count.store(half, Relaxed);
            left += half;
        }
        self.total.store(left, Relaxed);
    }
}

/// The bucket of a time in microseconds.
fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doubling = u64::from(micros.ilog2()) - 3;
    let step = (micros >> doubling) - STEPS;
    ((doubling + 1) * STEPS + step).min(BUCKETS as u64 - 1) as usize
}

/// The first time in microseconds that is over the bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64 + 1;
    if bucket < STEPS {
        return bucket;
    }
    (STEPS + bucket % STEPS) << (bucket / STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_what_falls_in_it(micros in 0u64..120_000_000) {
            let b = bucket(micros);
            prop_assert!(micros < upper(b) && (b == 0 || micros >= upper(b - 1)));
        }

        #[test]
        fn the_estimate_is_within_an_eighth(mut times in prop::collection::vec(1_000u64..100_000, 192), share in 0.5f64..0.99) {
            let quantile = Quantile::new(share);
            times.iter().for_each(|&micros| quantile.observe(micros * 1000));
            times.sort_unstable();
            let exact = times[(192.0 * share).ceil() as usize - 1] as f64;
            let estimate = quantile.estimate().unwrap().as_micros() as f64;
            prop_assert!(estimate > exact && estimate <= exact * 1.126, "{estimate} for {exact}");
        }
    }

    #[test]
    fn nothing_is_said_of_few_answers_and_the_old_fade() {
        let quantile = Quantile::new(0.95);
        (0..99).for_each(|_| quantile.observe(1_000_000));
        assert_eq!(quantile.estimate(), None);
        (0..10_000).for_each(|_| quantile.observe(1_000_000));
        assert!(quantile.estimate().unwrap() < Duration::from_micros(1200));
        (0..3000).for_each(|_| quantile.observe(50_000_000));
        assert!(quantile.estimate().unwrap() > Duration::from_millis(50));
    }
}
