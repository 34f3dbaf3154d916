//! A simulated queueing model: what the ways to choose mean for the slowest requests.
//!
//! Requests come at random (Poisson) and are served in the order they came by endpoints that work on
//! several at once, each for an exponential time with mean 1. Answers: the time above which 1 % of
//! requests stay, in mean service times; 4.6 is the least there can be, without any waiting.
//!
//! Of 50 endpoints (20 and 100 are much the same):
//!
//! | workers, busy | least connections | two choices | latency | round robin | random |
//! |---|---|---|---|---|---|
//! | 1, 70 % | 4.6 | 6.6 | 6.7 | 8.8 | 15.2 |
//! | 1, 80 % | 4.7 | 7.4 | 7.5 | 12.4 | 23.9 |
//! | 2, 80 % | 4.6 | 5.2 | 5.3 | 7.0 | 11.4 |
//! | 4, 75 % | 4.6 | 4.7 | 4.7 | 4.9 | 5.9 |
//! | 4, 80 % | 4.6 | 4.7 | 4.7 | 5.2 | 7.0 |
//! | 8, 90 % | 4.6 | 4.7 | 4.7 | 5.3 | 6.8 |
//! | 8, 95 % | 4.6 | 4.8 | 4.9 | 6.9 | 10.9 |
//!
//! So two choices are within a tenth of the best for endpoints that work on four requests or more at
//! once, which servers do; not for those that take one at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use config::plan::Balance;
use upstream::balance::{Candidate, Picker, Tried};

use super::{candidates, end};

/// Virtual ns of one mean service time.
const UNIT: f64 = 10_000_000.0;

struct Model {
    /// How many endpoints.
    endpoints: usize,
    /// How many requests one works on at once.
    workers: usize,
    /// The share of all workers that is busy on average.
    busy: f64,
}

#[derive(Default)]
struct Endpoint {
    busy: usize,
    waiting: VecDeque<u64>,
}

struct Run<'a> {
    all: Vec<Candidate>,
    picker: Picker,
    endpoints: Vec<Endpoint>,
    /// (when, where, began at)
    ends: BinaryHeap<Reverse<(u64, usize, u64)>>,
    random: fastrand::Rng,
    model: &'a Model,
    times: Vec<u64>,
}

impl Run<'_> {
    fn exponential(&mut self, mean: f64) -> u64 {
        (-(1.0 - self.random.f64()).ln() * mean) as u64
    }

    fn serve(&mut self, now: u64, at: usize, began: u64) {
        let done = now + self.exponential(UNIT);
        self.ends.push(Reverse((done, at, began)));
    }

    fn arrive(&mut self, now: u64) {
        let (hash, random) = (self.random.u64(..), self.random.u64(..));
        let at = self.picker.pick(hash, random, now, &Tried::default()).unwrap();
        if self.endpoints[at].busy < self.model.workers {
            self.endpoints[at].busy += 1;
            self.serve(now, at, now);
        } else {
            self.endpoints[at].waiting.push_back(now);
        }
    }

    fn finish(&mut self, now: u64, at: usize, began: u64) {
        self.times.push(now - began);
        self.all[at].load.observe(now, now - began);
        end(&self.picker, &self.all, at);
        match self.endpoints[at].waiting.pop_front() {
            Some(next) => self.serve(now, at, next),
            None => self.endpoints[at].busy -= 1,
        }
    }
}

/// The 99th percentile in mean service times.
fn p99(how: &Balance, model: &Model, requests: usize) -> f64 {
    let all = candidates(&vec![1; model.endpoints]);
    let mut run = Run {
        picker: Picker::new(how, all.clone(), 1),
        all,
        endpoints: (0..model.endpoints).map(|_| Endpoint::default()).collect(),
        ends: BinaryHeap::new(),
        random: fastrand::Rng::with_seed(2026),
        model,
        times: Vec::new(),
    };
    let between = UNIT / (model.busy * (model.endpoints * model.workers) as f64);
    let mut next = 0;
    while run.times.len() < requests {
        match run.ends.peek() {
            Some(&Reverse((when, at, began))) if when <= next => {
                run.ends.pop();
                run.finish(when, at, began);
            }
            _ => {
                run.arrive(next);
                next += run.exponential(between);
            }
        }
    }
    // The first tenth came while the queues were still filling.
    let mut times = run.times.split_off(requests / 10);
    times.sort_unstable();
    times[times.len() * 99 / 100] as f64 / UNIT
}

#[test]
fn two_choices_are_nearly_as_good_as_all() {
    for endpoints in [20, 50, 100] {
        let model = Model { endpoints, workers: 4, busy: 0.8 };
        let [least, two, random] = [Balance::LeastConnections, Balance::TwoChoices, Balance::Random]
            .map(|how| p99(&how, &model, 200_000));
        assert!(two <= least * 1.1, "{endpoints} endpoints: {two}, the best {least}");
        assert!(random >= two * 1.3, "{endpoints} endpoints: {two}, random {random}");
    }
}

#[test]
fn with_one_worker_each_two_choices_are_far_better_than_one() {
    for endpoints in [20, 50, 100] {
        let model = Model { endpoints, workers: 1, busy: 0.75 };
        let [least, two, random] = [Balance::LeastConnections, Balance::TwoChoices, Balance::Random]
            .map(|how| p99(&how, &model, 200_000));
        // Here the limit of a tenth does not hold: to find the idle one, one has to look at all.
        assert!(two <= least * 1.6, "{endpoints} endpoints: {two}, the best {least}");
        assert!(random >= two * 2.0, "{endpoints} endpoints: {two}, random {random}");
    }
}

#[test]
fn latency_is_no_worse_than_two_choices_where_all_are_equal() {
    let model = Model { endpoints: 50, workers: 4, busy: 0.8 };
    let [two, latency] = [Balance::TwoChoices, Balance::Latency].map(|how| p99(&how, &model, 200_000));
    assert!(latency <= two * 1.05, "{latency}, two choices {two}");
}
