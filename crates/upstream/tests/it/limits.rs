//! Limits, the waiting line, the retry budget and hedges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use config::plan::{Hedge, HedgeAfter, Overload};
use tokio::task::JoinSet;
use upstream::{Outcome, Overloaded, Service, clock};

use crate::support::{World, ms, pick, service, until};

fn limited(in_flight: u32, waiting: u32, wait: Duration) -> (World, Arc<Service>) {
    let mut plan = service("shop", &["127.0.0.1:1"]);
    plan.limit = Some(Overload { in_flight, waiting, wait });
    World::of(plan)
}

fn waiting(shop: &Arc<Service>) -> u32 {
    shop.status(0).limit.unwrap().waiting
}

/// Puts `count` requests in line, one after the other, and collects the order in which they get in.
async fn line(shop: &Arc<Service>, count: u32) -> JoinSet<Result<u32, Overloaded>> {
    let mut line = JoinSet::new();
    for number in 0..count {
        let shop_ = Arc::clone(shop);
        let before = waiting(shop);
        line.spawn(async move { shop_.admit().await.map(|_permit| number) });
        until("it waits", || waiting(shop) == before + 1).await;
    }
    line
}

async fn order(mut line: JoinSet<Result<u32, Overloaded>>) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some(next) = line.join_next().await {
        order.push(next.unwrap().unwrap());
    }
    order
}

#[tokio::test]
async fn first_come_first_served() {
    let (_world, shop) = limited(1, 10, Duration::from_secs(60));
    let permit = shop.try_admit().unwrap();
    assert!(shop.try_admit().is_none());
    let line = line(&shop, 4).await;
    assert!(shop.try_admit().is_none());
    drop(permit);
    assert_eq!(order(line).await, [0, 1, 2, 3]);
    assert_eq!(shop.status(0).limit.unwrap().in_flight, 0);
}

#[tokio::test]
async fn under_pressure_the_last_comes_first() {
    let wait = Duration::from_secs(2);
    let (_world, shop) = limited(1, 10, wait);
    let permit = shop.try_admit().unwrap();
    let line = line(&shop, 3).await;
    tokio::time::sleep(wait / 2 + ms(20)).await;
    drop(permit);
    assert_eq!(order(line).await, [2, 1, 0]);
}

#[tokio::test]
async fn a_full_line_refuses_and_so_does_one_that_does_not_move() {
    let (_world, shop) = limited(1, 2, ms(1000));
    let _permit = shop.try_admit().unwrap();
    let start = Instant::now();
    let mut line = line(&shop, 2).await;
    assert_eq!(shop.admit().await.err(), Some(Overloaded { retry_after: Duration::from_secs(1) }));
    assert!(start.elapsed() < ms(500), "at once");
    for _ in 0..2 {
        assert!(line.join_next().await.unwrap().unwrap().is_err());
    }
    assert!(start.elapsed() >= ms(1000));
    let limit = shop.status(0).limit.unwrap();
    assert_eq!((limit.in_flight, limit.waiting, limit.refused), (1, 0, 3));
}

#[tokio::test]
async fn whoever_leaves_the_line_takes_no_place_with_it() {
    let (_world, shop) = limited(1, 10, Duration::from_secs(60));
    let permit = shop.try_admit().unwrap();
    let mut gone = line(&shop, 2).await;
    let stays = line(&shop, 1).await;
    gone.abort_all();
    while gone.join_next().await.is_some() {}
    assert_eq!(waiting(&shop), 1);
    drop(permit);
    assert_eq!(order(stays).await, [0]);
    assert!(shop.try_admit().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_place_is_lost_or_made_in_a_crowd() {
    let (_world, shop) = limited(3, 10_000, Duration::from_secs(60));
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut crowd = JoinSet::new();
    for number in 0..3000u32 {
        let (shop, inside, most) = (shop.clone(), inside.clone(), most.clone());
        crowd.spawn(async move {
            let leaves_early = number % 7 == 0;
            let limit = if leaves_early { Duration::from_micros(50) } else { Duration::from_secs(50) };
            let Ok(permit) = tokio::time::timeout(limit, shop.admit()).await else {
                return !leaves_early;
            };
            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, SeqCst);
            permit.is_err()
        });
    }
    while let Some(failed) = crowd.join_next().await {
        assert!(!failed.unwrap());
    }
    assert_eq!(most.load(SeqCst), 3);
    let limit = shop.status(0).limit.unwrap();
    assert_eq!((limit.in_flight, limit.waiting, limit.refused), (0, 0, 0));
    let all: Vec<_> = std::iter::from_fn(|| shop.try_admit()).collect();
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn a_service_without_a_limit_admits_all() {
    let (_world, shop) = World::of(service("shop", &["127.0.0.1:1"]));
    let all: Vec<_> = (0..1000).filter_map(|_| shop.try_admit()).collect();
    assert_eq!(all.len(), 1000);
    assert!(shop.admit().await.is_ok() && shop.status(0).limit.is_none());
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let (world, shop) = World::of(service("shop", &["127.0.0.1:1"]));
    let retries = |shop: &Arc<Service>| (0..1000).filter(|_| shop.may_retry()).count();
    assert_eq!(retries(&shop), 10);
    (0..100).for_each(|_| shop.count_request());
    assert_eq!(retries(&shop), 20);
    let status = shop.status(0);
    assert_eq!((status.requests, status.retries, status.retries_refused), (100, 30, 1970));

    let mut none = service("shop", &["127.0.0.1:1"]);
    none.retry.budget = 0.0;
    assert_eq!(retries(&world.apply(none)), 0);
}

#[tokio::test]
async fn hedges_start_when_most_answers_would_be_there() {
    let hedged = |after| {
        let mut plan = service("shop", &["127.0.0.1:1"]);
        plan.hedge = Some(Hedge { after });
        World::of(plan).1
    };
    assert_eq!(hedged(HedgeAfter::Time(ms(20))).hedge_after(), Some(ms(20)));
    let shop = hedged(HedgeAfter::Quantile(0.95));
    for i in 0..200 {
        assert_eq!(shop.hedge_after().is_some(), i >= 100);
        let latency_ns = if i % 10 == 0 { 80_000_000 } else { 10_000_000 };
        pick(&shop).unwrap().finish(Outcome::Answered { status: 200, latency_ns }, clock::now());
    }
    assert!((ms(80)..ms(90)).contains(&shop.hedge_after().unwrap()));
    assert_eq!(World::of(service("shop", &[])).1.hedge_after(), None);
}
