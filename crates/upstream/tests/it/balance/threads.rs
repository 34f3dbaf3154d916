//! Many threads at once: nothing is lost, and when they rest the truth is there.

use std::sync::Barrier;

use config::plan::{Balance, HashBy};
use upstream::balance::Picker;

use super::{candidates, client, end, pick};

const THREADS: u64 = 4;

/// Each thread begins and ends requests, `keep` of them unended; then all rest.
fn stress(picker: &Picker, all: &[upstream::balance::Candidate], rounds: u64, keep: usize) {
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let start = &start;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let mut open = Vec::new();
                start.wait();
                for k in 0..rounds {
                    open.push(pick(picker, client(k), random.u64(..)));
                    while open.len() > keep {
                        end(picker, all, open.swap_remove(random.usize(..open.len())));
                    }
                }
            });
        }
    });
}

#[test]
fn least_connections_knows_the_least_when_all_rest() {
    for round in 0..60 {
        let weights: Vec<u32> = (0..70).map(|i| 1 + (i * 7 + round) % 5).collect();
        let all = candidates(&weights);
        let picker = Picker::new(&Balance::LeastConnections, all.clone(), u64::from(round));
        stress(&picker, &all, 500, 40);
        let total: u32 = all.iter().map(|c| c.load.in_flight()).sum();
        assert_eq!(total, 4 * 40);
        // One pick after another must now find the least there is. Odd random numbers call for no
        // other load to be looked at, so a key left wrong would stay and show.
        for k in 0..20 {
            let ratio = |i: usize| f64::from(all[i].load.in_flight() + 1) / f64::from(weights[i]);
            let least = (0..70).map(ratio).fold(f64::MAX, f64::min);
            let before: Vec<f64> = (0..70).map(ratio).collect();
            let i = pick(&picker, 0, client(k) | 1);
            assert!(before[i] <= least * 1.000_001, "picked {} of {least}", before[i]);
        }
    }
}

#[test]
fn bounded_load_knows_the_sum_when_all_rest() {
    let all = candidates(&[1; 20]);
    let picker = Picker::new(&Balance::Hash(HashBy::Client), all.clone(), 1);
    for _ in 0..20 {
        all.iter().for_each(|c| assert_eq!(c.load.in_flight(), 0));
        stress(&picker, &all, 1000, 0);
        // With nothing in flight everyone may have one: ⌈5/4 · 1 / 20⌉.
        let scores = picker.scores(0, 0);
        assert!(scores.iter().all(|s| s.why.ends_with("0 of at most 1 in flight")), "{scores:?}");
    }
}

#[test]
fn round_robin_is_exact_over_all_threads() {
    let all = candidates(&[1, 2, 3, 4]);
    let picker = Picker::new(&Balance::RoundRobin, all.clone(), 5);
    stress(&picker, &all, 1000, usize::MAX);
    let counts: Vec<u32> = all.iter().map(|c| c.load.in_flight()).collect();
    assert_eq!(counts, [400, 800, 1200, 1600]);
}
