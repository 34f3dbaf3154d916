//! Deliveries are held back while nothing can be written of what comes of them: each would be made again.
//!
//! One at a time is made all the same, after pauses that grow, to find out whether the disk has space again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The first pause, in milliseconds.
const SHORTEST: u64 = 1_000;
/// The longest one.
const LONGEST: u64 = 60_000;

/// Whether deliveries are made. Times are milliseconds since 1970.
#[derive(Default)]
pub(crate) struct Hold {
    /// Till when none is made; 0: they are.
    until: AtomicU64,
    pause: Mutex<u64>,
}

impl Hold {
    /// Till when none is made. Clocks are put back sometimes; that holds nothing for longer.
    pub(crate) fn until(&self, now: u64) -> Option<u64> {
        Some(self.until.load(Relaxed)).filter(|until| now < *until && *until - now <= LONGEST)
    }

    /// One is made.
    pub(crate) fn delivers(&self, now: u64) {
        if self.until.load(Relaxed) != 0 {
            self.set(now, |pause| pause.saturating_mul(2).clamp(SHORTEST, LONGEST));
        }
    }

    /// What came of one could not be written.
    pub(crate) fn failed(&self, now: u64) {
        self.set(now, |pause| pause.max(SHORTEST));
    }

    /// Something was written.
    pub(crate) fn written(&self) {
        if self.until.load(Relaxed) != 0 {
            *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = 0;
            self.until.store(0, Relaxed);
        }
    }

    fn set(&self, now: u64, longer: impl FnOnce(u64) -> u64) {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = longer(*pause);
        self.until.store(now.saturating_add(*pause), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Hold;

    #[test]
    fn one_at_a_time_finds_out_after_growing_pauses() {
        let hold = Hold::default();
        let (mut now, mut pauses) = (5_000, Vec::new());
        assert_eq!(hold.until(now), None);
        hold.delivers(now);
        assert_eq!(hold.until(now), None, "nothing failed");
        (0..100).for_each(|_| hold.failed(now));
        for _ in 0..8 {
            let until = hold.until(now).expect("it failed");
            pauses.push(until - now);
            now = until;
            assert_eq!(hold.until(now), None, "one may go");
            hold.delivers(now);
            assert!(hold.until(now).is_some(), "and no other");
            hold.failed(now);
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(hold.until(now - 100_000), None, "the clock was put back");
        hold.written();
        assert_eq!(hold.until(now), None);
        hold.failed(now);
        assert_eq!(hold.until(now), Some(now + 1_000));
    }
}
