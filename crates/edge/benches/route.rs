//! What finding a route costs, and that it does not grow with the number of routes.

use std::hint::black_box;

use config::plan::Plan;
use divan::{Bencher, counter::ItemsCount};
use edge::route::{Ask, Found, Router};

#[path = "../tests/it/plans.rs"]
#[allow(dead_code, missing_docs)]
mod plans;

const SIZES: [usize; 3] = [1, 1_000, 10_000];

fn main() {
    divan::main();
}

/// Finds `asks`, each a host and a path, one after the other.
fn find(bencher: Bencher<'_, '_>, plan: &Plan, asks: &[(String, String)]) {
    let router = Router::new(plan);
    bencher.counter(ItemsCount::new(asks.len())).bench(|| {
        for (host, path) in asks {
            let (host, path) = (host.as_bytes(), path.as_bytes());
            let ask = Ask { host, path, method: b"GET", header: &|_| None };
            assert!(matches!(router.find(black_box(&ask)), Found::Route(_)));
        }
    });
}

/// Numbers below `count` in an order that neither the processor nor a cache can guess.
fn shuffled(count: usize) -> impl Iterator<Item = usize> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut all: Vec<usize> = (0..count).collect();
    random.shuffle(&mut all);
    all.into_iter()
}

#[divan::bench(args = SIZES)]
fn prefixes_of_one_host(bencher: Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|n| plans::route("shop.example.com", &format!("/api/v1/part-{n}/*")));
    let asks = shuffled(count).map(|n| ("shop.example.com".into(), format!("/api/v1/part-{n}/items/7")));
    find(bencher, &plans::plan(routes.collect()), &asks.collect::<Vec<_>>());
}

#[divan::bench(args = SIZES)]
fn paths_of_one_host(bencher: Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|n| plans::route("shop.example.com", &format!("/api/v1/part-{n}")));
    let asks = shuffled(count).map(|n| ("shop.example.com".into(), format!("/api/v1/part-{n}")));
    find(bencher, &plans::plan(routes.collect()), &asks.collect::<Vec<_>>());
}

#[divan::bench(args = SIZES)]
fn hosts(bencher: Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|n| plans::route(&format!("shop-{n}.example.com"), "/*"));
    let asks = shuffled(count).map(|n| (format!("shop-{n}.example.com"), "/items/7".into()));
    find(bencher, &plans::plan(routes.collect()), &asks.collect::<Vec<_>>());
}

#[divan::bench(args = SIZES)]
fn one_path_among_others(bencher: Bencher<'_, '_>, count: usize) {
    let routes = (0..count).map(|n| plans::route("shop.example.com", &format!("/api/v1/part-{n}/*")));
    let ask = ("shop.example.com".into(), format!("/api/v1/part-{}/items/7", count / 2));
    find(bencher, &plans::plan(routes.collect()), &vec![ask; 100]);
}
