//! How many further tries a service may make: retries and hedges together.
//!
//! Each request brings a share of a token, each further try takes a whole one, so an outage is
//! never amplified by more than that share. A small reserve lets a quiet service retry too, and a
//! cap keeps a long calm from paying for a storm.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Thousandths in one token.
const TOKEN: u32 = 1000;
/// Tokens at the start.
pub const RESERVE: u32 = 10;
/// Tokens that can be saved up.
pub const MOST: u32 = 100;

/// The tokens of one service.
#[derive(Debug)]
pub struct Budget {
    thousandths: AtomicU32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { thousandths: AtomicU32::new(RESERVE * TOKEN) }
    }
}

impl Budget {
    /// Counts one request that brings `share` (0 to 1) of a token. While the budget is full, which
    /// it is nearly always, this only reads.
    pub fn add(&self, share: f64) {
        let more = (share * f64::from(TOKEN)) as u32;
        let full = MOST * TOKEN;
        let mut now = self.thousandths.load(Relaxed);
        while now < full && more > 0 {
            let then = now.saturating_add(more).min(full);
            match self.thousandths.compare_exchange_weak(now, then, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Takes a token for one further try; false if there is none left.
    pub fn take(&self) -> bool {
        self.thousandths.fetch_update(Relaxed, Relaxed, |now| now.checked_sub(TOKEN)).is_ok()
    }

    /// Whole tokens left.
    pub fn left(&self) -> u32 {
        self.thousandths.load(Relaxed) / TOKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn starts_with_the_reserve_and_holds_the_cap() {
        let budget = Budget::default();
        assert_eq!((0..50).filter(|_| budget.take()).count(), RESERVE as usize);
        (0..10_000).for_each(|_| budget.add(0.2));
        assert_eq!(budget.left(), MOST);
    }

    #[test]
    fn threads_share_it_without_losing_or_making_tokens() {
        let budget = Budget::default();
        let taken: u32 = std::thread::scope(|scope| {
            let work = || {
                (0..1000u32)
                    .map(|_| {
                        budget.add(0.1);
                        u32::from(budget.take())
                    })
                    .sum::<u32>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(taken + budget.left(), RESERVE + 400);
    }

    proptest! {
        #[test]
        fn further_tries_never_exceed_the_share(share in 0.0f64..=1.0, asks in prop::collection::vec(any::<bool>(), 0..2000)) {
            let budget = Budget::default();
            let (mut requests, mut tries) = (0u32, 0u32);
            for retry in asks {
                if retry { tries += u32::from(budget.take()) } else { requests += 1; budget.add(share) }
                prop_assert!(f64::from(tries) <= f64::from(RESERVE) + share * f64::from(requests) + 1e-6);
            }
        }
    }
}
