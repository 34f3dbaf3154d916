//! What the users of one side met, and how it is told.

use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use super::network::ENDPOINTS;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The times of good answers, by endpoint.
    answers: [Histogram; ENDPOINTS.len()],
    failed: u64,
}

/// One side, measured at its users.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Side {
    /// Requests that have ended.
    pub requests: u64,
    /// Those without a good answer.
    pub failed: u64,
    /// Milliseconds within which half of the good answers came, from when the request was to be sent.
    pub p50_ms: Option<f64>,
    /// Those within which 99 % came.
    pub p99_ms: Option<f64>,
    /// Who gave the good answers.
    pub endpoints: Vec<Part>,
}

/// What one endpoint did for a side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Part {
    /// `a` to `d`.
    pub name: &'static str,
    /// Its good answers.
    pub answers: u64,
    /// They as a share (0 to 1) of all good ones.
    pub share: f64,
    /// Milliseconds within which half of them came.
    pub p50_ms: Option<f64>,
    /// Milliseconds within which 99 % of them came.
    pub p99_ms: Option<f64>,
}

impl Tally {
    /// Counts a request that took this long: answered well by that endpoint, or by none.
    pub fn note(&mut self, by: Option<usize>, took: Duration) {
        match by.and_then(|index| self.answers.get_mut(index)) {
            Some(answers) => answers.add(took),
            None => self.failed += 1,
        }
    }

    /// What was counted since `earlier`, an older state of this one.
    pub fn since(&self, earlier: &Tally) -> Tally {
        Tally {
            answers: std::array::from_fn(|n| self.answers[n].since(&earlier.answers[n])),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }

    /// What it comes to.
    pub fn side(&self) -> Side {
        let mut all = Histogram::default();
        self.answers.iter().for_each(|answers| all.merge(answers));
        let part = |(character, answers): (&super::network::Character, &Histogram)| Part {
            name: character.name,
            answers: answers.count(),
            share: answers.count() as f64 / all.count().max(1) as f64,
            p50_ms: answers.quantile_ms(0.5),
            p99_ms: answers.quantile_ms(0.99),
        };
        Side {
            requests: all.count() + self.failed,
            failed: self.failed,
            p50_ms: all.quantile_ms(0.5),
            p99_ms: all.quantile_ms(0.99),
            endpoints: ENDPOINTS.iter().zip(&self.answers).map(part).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_the_sum_of_its_endpoints_and_failures() {
        let mut tally = Tally::default();
        let ms = Duration::from_millis;
        for (by, took) in [(Some(0), 1), (Some(0), 2), (Some(3), 30), (None, 900), (Some(9), 900)] {
            tally.note(by, ms(took));
        }
        let side = tally.side();
        assert_eq!((side.requests, side.failed), (5, 2));
        let parts: Vec<_> = side.endpoints.iter().map(|p| (p.name, p.answers)).collect();
        assert_eq!(parts, [("a", 2), ("b", 0), ("c", 0), ("d", 1)]);
        assert!(side.p99_ms < Some(31.0), "failed requests have no time: {side:?}");

        let earlier = tally.clone();
        tally.note(Some(1), ms(5));
        let since = tally.since(&earlier).side();
        assert_eq!((since.requests, since.failed, since.endpoints[1].share), (1, 0, 1.0));
    }
}
