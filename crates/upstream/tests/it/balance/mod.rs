//! The pickers from outside: what each promises, over many weights, keys and failures.

// Helpers of tests may panic too; clippy knows only functions marked as tests.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod churn;
mod hashing;
mod loads;
mod queueing;
mod shares;
mod threads;

use std::sync::Arc;

use config::plan::{Balance, HashBy};
use upstream::balance::{Candidate, Load, Picker, Tried, WEIGHT_ONE, hash};

/// All eight ways.
pub fn ways() -> Vec<Balance> {
    use Balance::*;
    let by_client = Hash(HashBy::Client);
    vec![RoundRobin, Random, LeastConnections, TwoChoices, Latency, IpHash, by_client, Maglev]
}

/// Candidates with whole weights, idle, each with a key of its own.
pub fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let candidate = |(i, weight): (usize, &u32)| Candidate {
        key: hash(format!("http://10.0.{}.{}:8080", i / 250, i % 250).as_bytes()),
        weight: weight * WEIGHT_ONE,
        load: Arc::new(Load::default()),
    };
    weights.iter().enumerate().map(candidate).collect()
}

/// The hash of the `k`-th client.
pub fn client(k: u64) -> u64 {
    hash(&k.to_le_bytes())
}

/// A pick that must succeed, with nothing tried.
pub fn pick(picker: &Picker, hash: u64, random: u64) -> usize {
    picker.pick(hash, random, 0, &Tried::default()).expect("there are candidates")
}

/// As a caller does when a request is over.
pub fn end(picker: &Picker, candidates: &[Candidate], i: usize) {
    candidates[i].load.end();
    picker.refresh(i);
}

/// The one of its key's candidates that `hash` belongs to when nothing else is going on.
pub fn home(picker: &Picker, candidates: &[Candidate], hash: u64) -> u64 {
    let i = pick(picker, hash, 0);
    end(picker, candidates, i);
    candidates[i].key
}
