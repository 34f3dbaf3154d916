//! When users come and what they choose, how long an endpoint works, and what happens when: pure, from
//! given random numbers.

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

/// What is asked for among many: the first twice as often as the second, three times as often as the
/// third, and so on, as is usual of what people want (Zipf's law).
pub struct Zipf {
    /// The parts of all that go to each and those before it.
    sums: Vec<f64>,
}

impl Zipf {
    /// Among so many.
    pub fn new(count: usize) -> Zipf {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=count)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        sums.iter_mut().for_each(|part| *part /= sum);
        Zipf { sums }
    }

    /// Which one, counted from 0. `random` is uniform from 0 to below 1.
    pub fn pick(&self, random: f64) -> usize {
        self.sums.partition_point(|&sum| sum <= random).min(self.sums.len().saturating_sub(1))
    }
}

/// What happens when. Each cycle has six parts: the mortal endpoints are dead in the third and fourth of
/// them, and as the second and the last begin, something is purged.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    part: Duration,
}

impl Script {
    /// One that begins anew after each `cycle`.
    pub fn each(cycle: Duration) -> Self {
        Self { part: (cycle / 6).max(Duration::from_millis(1)) }
    }

    /// Are they dead so long after the beginning?
    pub fn dead(&self, after: Duration) -> bool {
        matches!(self.parts(after) % 6, 2 | 3)
    }

    /// How many purges have come by then.
    pub fn purges(&self, after: Duration) -> u128 {
        let parts = self.parts(after);
        parts / 6 * 2 + u128::from(parts % 6 >= 1) + u128::from(parts % 6 >= 5)
    }

    /// The first time later than `after` at which something may happen.
    pub fn next(&self, after: Duration) -> Duration {
        let next = u32::try_from(self.parts(after) + 1).unwrap_or(u32::MAX);
        self.part.saturating_mul(next)
    }

    fn parts(&self, after: Duration) -> u128 {
        after.as_nanos() / self.part.as_nanos()
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
    fn the_first_is_asked_for_twice_as_often_as_the_second() {
        let zipf = Zipf::new(3);
        let picks = (0..1100).map(|n| zipf.pick((f64::from(n) + 0.5) / 1100.0));
        let mut counts = [0; 3];
        picks.for_each(|picked| counts[picked] += 1);
        assert_eq!(counts, [600, 300, 200]);
    }

    #[test]
    fn they_are_dead_in_the_middle_third_of_each_cycle_and_purges_come_outside_of_it() {
        let script = Script::each(Duration::from_secs(30));
        let [dead, purges]: [Vec<u128>; 2] = [
            (0..60).step_by(5).map(|secs| u128::from(script.dead(Duration::from_secs(secs)))).collect(),
            (0..60).step_by(5).map(|secs| script.purges(Duration::from_secs(secs))).collect(),
        ];
        assert_eq!(dead, [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(purges, [0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4]);
    }

    proptest! {
        #[test]
        fn any_number_gives_a_bounded_time(random: f64) {
            prop_assert!(gap(1.0, random) < Duration::from_secs(60));
            prop_assert!(work(Duration::from_millis(40), random) <= Duration::from_millis(110));
        }

        #[test]
        fn any_number_picks_one_of_them(count in 1..100_usize, random: f64) {
            prop_assert!(Zipf::new(count).pick(random) < count);
        }

        #[test]
        fn things_change_only_when_that_was_foretold(cycle in 0..100_000_u64, after in 0..1_000_000_u64) {
            let script = Script::each(Duration::from_millis(cycle));
            let after = Duration::from_millis(after);
            let next = script.next(after);
            prop_assert!(next > after);
            let just_before = next - Duration::from_nanos(1);
            prop_assert_eq!(script.dead(just_before), script.dead(after));
            prop_assert_eq!(script.purges(just_before), script.purges(after));
        }
    }
}
