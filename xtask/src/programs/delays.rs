//! How long things took: collected one by one, told as a count and the delays that count.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970: the clock that programs on one machine share.
pub fn now() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Delays in microseconds, in the order in which they came; one of over an hour counts as an hour.
#[derive(Debug, Default)]
pub struct Delays(Vec<u32>);

/// What is told of them, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 99 % of them took no longer.
    pub p99: u64,
    /// None of them took longer.
    pub longest: u64,
}

impl Delays {
    /// Adds one.
    pub fn add(&mut self, microseconds: u64) {
        self.0.push(u32::try_from(microseconds).unwrap_or(u32::MAX));
    }

    /// Adds one that a clock measured.
    pub fn add_time(&mut self, time: Duration) {
        self.add(micros(time));
    }

    /// Adds all of another one.
    pub fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them in four numbers; zeros if there are none.
    pub fn summary(&self) -> Summary {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = |hundredths: usize| sorted.get(last * hundredths / 100).map_or(0, |delay| u64::from(*delay));
        Summary { count: sorted.len() as u64, p50: at(50), p99: at(99), longest: at(100) }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.count, self.p50, self.p99, self.longest)
    }
}

impl FromStr for Summary {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split_whitespace().map(|number| number.parse().map_err(drop));
        let mut next = || numbers.next().unwrap_or(Err(()));
        Ok(Self { count: next()?, p50: next()?, p99: next()?, longest: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_the_middle_and_the_end_and_is_read_again() {
        let mut delays = Delays::default();
        for delay in (1..=101).rev() {
            delays.add(delay);
        }
        let summary = delays.summary();
        assert_eq!(summary, Summary { count: 101, p50: 51, p99: 100, longest: 101 });
        assert_eq!(summary.to_string().parse(), Ok(summary));
        assert_eq!("1 2 3".parse::<Summary>(), Err(()));
        assert_eq!(Delays::default().summary(), Summary::default());
    }
}
