//! Why a candidate would or would not be chosen, in words, for `explain` and status pages.

use super::{Candidate, Picker, WEIGHT_ONE, Way};

/// How one candidate stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The candidate's key.
    pub key: u64,
    /// Its effective weight; [`WEIGHT_ONE`] is weight 1.
    pub weight: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Its peak EWMA latency in ns, if known.
    pub latency: Option<u64>,
    /// What its choice depends on, in a short line.
    pub why: String,
}

impl Picker {
    /// How each candidate stands for a request with this `hash`, in the order of the candidates.
    /// `now` is in ns since the process started. It changes nothing.
    #[must_use]
    pub fn scores(&self, hash: u64, now: u64) -> Vec<Score> {
        let score = |(i, candidate): (usize, &Candidate)| Score {
            key: candidate.key,
            weight: candidate.weight,
            in_flight: candidate.load.in_flight(),
            latency: candidate.load.latency(now),
            why: self.way.as_ref().map_or_else(String::new, |way| self.why(way, i, hash, now)),
        };
        self.candidates.iter().enumerate().map(score).collect()
    }

    fn why(&self, way: &Way, i: usize, hash: u64, now: u64) -> String {
        let candidate = &self.candidates[i];
        let home = |owner: Option<usize>| {
            if owner == Some(i) { "this key is its own" } else { "this key is another's" }
        };
        match way {
            Way::RoundRobin(turns) => match turns.until(i) {
                Some(0) => "its turn is next".to_owned(),
                Some(turns) => format!("{turns} turns before its own"),
                None => "it has no turn".to_owned(),
            },
            Way::Random(_) => {
                let all: u64 = self.candidates.iter().map(|c| u64::from(c.weight)).sum();
                format!("drawn {:.1} % of the time", 100.0 * f64::from(candidate.weight) / all as f64)
            }
            Way::LeastConnections(_) | Way::TwoChoices(_) => fraction(candidate),
            Way::Latency(_) => match candidate.load.latency(now) {
                Some(ns) => format!("{:.1} ms × {}", ns as f64 / 1e6, fraction(candidate)),
                None => format!("latency unknown; {}", fraction(candidate)),
            },
            Way::IpHash(ring) => home(ring.walk(hash).next()).to_owned(),
            Way::Hash(ring, tally) => format!(
                "{}; {} of at most {} in flight",
                home(ring.walk(hash).next()),
                candidate.load.in_flight(),
                tally.capacity(candidate)
            ),
            Way::Maglev(table) => home(table.walk(hash).next()).to_owned(),
        }
    }
}

fn fraction(candidate: &Candidate) -> String {
    let weight = f64::from(candidate.weight) / f64::from(WEIGHT_ONE);
    let ratio = (f64::from(candidate.load.in_flight()) + 1.0) / weight;
    format!("({} in flight + 1) / {weight} = {ratio:.2}", candidate.load.in_flight())
}
