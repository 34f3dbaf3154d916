//! When users come, how long an endpoint works, and when one is dead: pure, from given random numbers.

use std::time::Duration;

/// The part of an endpoint's typical time that no request goes below.
const LEAST: f64 = 0.75;
/// The most that the random part of a time may be, in its means: no request takes for ever.
const LONGEST: f64 = 8.0;

/// The time to the next arrival of many users who know nothing of each other (a Poisson process),
/// of whom `rate` come in a second. `random` is uniform from 0 to below 1.
pub fn gap(rate: f64, random: f64) -> Duration {
    Duration::from_secs_f64(exponential(random) / rate)
}

/// How long one request takes an endpoint that typically (in the mean) takes `typical`: never much
/// less, at times much more.
pub fn work(typical: Duration, random: f64) -> Duration {
    typical.mul_f64(LEAST + (1.0 - LEAST) * exponential(random).min(LONGEST))
}

/// Exponentially distributed with mean 1.
fn exponential(random: f64) -> f64 {
    -(1.0 - random.clamp(0.0, 1.0 - f64::EPSILON)).ln()
}

/// When the mortal endpoint is dead: in the middle third of each cycle.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    third: Duration,
}

impl Outage {
    /// One that comes once in each `cycle`.
    pub fn each(cycle: Duration) -> Self {
        Self { third: (cycle / 3).max(Duration::from_millis(1)) }
    }

    /// Is it dead so long after the beginning?
    pub fn dead(&self, after: Duration) -> bool {
        self.thirds(after) % 3 == 1
    }

    /// The first time later than `after` at which it may die or return.
    pub fn next(&self, after: Duration) -> Duration {
        let next = u32::try_from(self.thirds(after) + 1).unwrap_or(u32::MAX);
        self.third.saturating_mul(next)
    }

    fn thirds(&self, after: Duration) -> u128 {
        after.as_nanos() / self.third.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The mean over evenly spread random numbers, in milliseconds.
    fn mean_ms(draw: impl Fn(f64) -> Duration) -> f64 {
        const DRAWS: u32 = 100_000;
        let all = (0..DRAWS).map(|n| draw((f64::from(n) + 0.5) / f64::from(DRAWS)));
        all.map(|time| time.as_secs_f64()).sum::<f64>() * 1e3 / f64::from(DRAWS)
    }

    #[test]
    fn means_are_as_asked() {
        let gap = mean_ms(|random| gap(200.0, random));
        assert!((gap - 5.0).abs() < 0.01, "{gap}");
        let work = mean_ms(|random| work(Duration::from_millis(16), random));
        assert!((work - 16.0).abs() < 0.05, "{work}");
    }

    #[test]
    fn a_third_of_the_gaps_is_longer_than_their_mean() {
        let longer = (0..1000).filter(|&n| gap(1.0, f64::from(n) / 1e3) > Duration::from_secs(1));
        assert_eq!(longer.count(), 367); // 1/e of them
    }

    #[test]
    fn it_is_dead_in_the_middle_third_of_each_cycle() {
        let outage = Outage::each(Duration::from_secs(30));
        let dead = |secs| outage.dead(Duration::from_secs(secs));
        assert_eq!(
            [0, 9, 10, 19, 20, 29, 30, 40, 50].map(dead),
            [false, false, true, true, false, false, false, true, false]
        );
    }

    proptest! {
        #[test]
        fn any_number_gives_a_bounded_time(random: f64) {
            prop_assert!(gap(1.0, random) < Duration::from_secs(60));
            prop_assert!(work(Duration::from_millis(40), random) <= Duration::from_millis(110));
        }

        #[test]
        fn it_changes_only_when_that_was_foretold(cycle in 0..100_000_u64, after in 0..1_000_000_u64) {
            let outage = Outage::each(Duration::from_millis(cycle));
            let after = Duration::from_millis(after);
            let next = outage.next(after);
            prop_assert!(next > after);
            prop_assert_eq!(outage.dead(next - Duration::from_nanos(1)), outage.dead(after));
        }
    }
}
