//! What choosing costs: pick, end and refresh together, with 100 and with 10,000 endpoints, two
//! requests for each in flight.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use config::plan::{Balance, HashBy};
use divan::Bencher;
use upstream::balance::{Candidate, Load, Picker, Tried, WEIGHT_ONE, hash, mix};

const SIZES: [usize; 2] = [100, 10_000];

const WAYS: [&str; 8] = [
    "round_robin",
    "random",
    "least_connections",
    "two_choices",
    "latency",
    "ip_hash",
    "bounded_hash",
    "maglev",
];

fn main() {
    divan::main();
}

fn way(name: &str) -> Balance {
    match name {
        "round_robin" => Balance::RoundRobin,
        "random" => Balance::Random,
        "least_connections" => Balance::LeastConnections,
        "two_choices" => Balance::TwoChoices,
        "latency" => Balance::Latency,
        "ip_hash" => Balance::IpHash,
        "bounded_hash" => Balance::Hash(HashBy::Client),
        _ => Balance::Maglev,
    }
}

fn candidates(n: usize) -> Vec<Candidate> {
    let candidate = |i: usize| Candidate {
        key: hash(format!("http://endpoint-{i}:8080").as_bytes()),
        weight: WEIGHT_ONE * (1 + i as u32 % 3),
        load: Arc::new(Load::default()),
    };
    let all: Vec<Candidate> = (0..n).map(candidate).collect();
    let latency = |i: usize| 1_000_000 + mix(i as u64) % 9_000_000;
    all.iter().enumerate().for_each(|(i, c)| c.load.observe(1, latency(i)));
    all
}

#[divan::bench(args = WAYS, consts = SIZES, sample_size = 10_000, sample_count = 50)]
fn pick<const N: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let all = candidates(N);
    let picker = Picker::new(&way(name), all.clone(), 7);
    let mut number = 0;
    let mut begin = || {
        number += 1;
        picker.pick(mix(number), mix(!number), number, &Tried::default()).unwrap_or(0)
    };
    let mut open: VecDeque<usize> = (0..2 * N).map(|_| begin()).collect();
    bencher.bench_local(|| {
        let oldest = open.pop_front().unwrap_or(0);
        all[oldest].load.end();
        picker.refresh(oldest);
        open.push_back(black_box(begin()));
    });
}

/// With several threads on one Picker, each with one request at a time.
#[divan::bench(args = WAYS, consts = SIZES, threads = [2], sample_size = 10_000, sample_count = 50)]
fn pick_shared<const N: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let all = candidates(N);
    let picker = Picker::new(&way(name), all.clone(), 7);
    bencher.with_inputs(|| fastrand::u64(..)).bench_values(|number| {
        let picked = picker.pick(number, mix(number), number & 0xffff, &Tried::default());
        if let Some(i) = picked {
            all[i].load.end();
            picker.refresh(i);
        }
        picked
    });
}

/// Making a Picker anew.
#[divan::bench(args = WAYS, consts = SIZES, sample_size = 1, sample_count = 10)]
fn rebuild<const N: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let all = candidates(N);
    bencher.bench_local(|| Picker::new(&way(name), all.clone(), 7));
}
