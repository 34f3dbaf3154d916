//! Endpoints that fail the requests of clients.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use upstream::usable::Standing;
use upstream::{FailKind, Outcome, Service, What, clock};

use crate::support::{World, answered, ask, ms, outliers, pick, service, shares, until};

const A: &str = "http://127.0.0.1:1";

/// Makes one request, which ends with `bad` at endpoint A and well elsewhere.
fn request(shop: &Arc<Service>, bad: Outcome) {
    let lease = pick(shop).unwrap();
    let bad = Some(bad).filter(|_| &**lease.endpoint().url() == A);
    lease.finish(bad.unwrap_or(answered(200)), clock::now());
}

fn two() -> config::plan::Service {
    let mut plan = service("shop", &["127.0.0.1:1", "127.0.0.1:2"]);
    plan.outliers = Some(outliers());
    plan
}

#[tokio::test]
async fn a_row_of_failures_ejects_and_time_brings_back() {
    let (world, shop) = World::of(two());
    let state = || shop.status(clock::now()).endpoints[0].state;
    for (times, bad) in [FailKind::Connect, FailKind::Timeout].map(Outcome::Failed).into_iter().enumerate() {
        (0..6).for_each(|_| request(&shop, bad));
        let ejected = Instant::now();
        until("it is ejected", || state() == Standing::Ejected && shares(&shop, 4).len() == 1).await;
        assert!(ejected.elapsed() < ms(500), "at once, not with the next second");
        until("it returns", || state() == Standing::Up).await;
        assert!(ejected.elapsed() >= ms(450) * (1 + times as u32), "longer each time");
        assert_eq!(shares(&shop, 4).len(), 2);
    }
    let told: Vec<_> = world
        .told()
        .into_iter()
        .map(|(endpoint, what)| {
            assert_eq!(endpoint, A);
            what
        })
        .collect();
    let ejected = |for_ms| What::Ejected { why: "3 failures in a row".into(), for_ms };
    assert_eq!(told, [ejected(500), What::Returned, ejected(1000), What::Returned]);
}

#[tokio::test]
async fn a_share_of_errors_far_above_the_others_ejects() {
    let (world, shop) = World::of(two());
    // Every other answer of A is a 500, so no row of failures comes about.
    for i in 0..200 {
        let status = if i % 4 < 2 { 500 } else { 200 };
        request(&shop, answered(status));
    }
    until("it is ejected", || world.was_told(|what| matches!(what, What::Ejected { .. }))).await;
    let (endpoint, What::Ejected { why, .. }) = world.told().remove(0) else { panic!() };
    assert_eq!((&*endpoint, &*why), (A, "50 of its last 100 requests failed"));
}

#[tokio::test]
async fn what_is_not_the_endpoints_fault_ejects_nobody() {
    let (world, shop) = World::of(two());
    (0..300).for_each(|_| request(&shop, answered(404)));
    (0..300).for_each(|_| drop(pick(&shop)));
    // All fail alike, and rows are not counted here.
    let (alikes, alike) = World::of({
        let mut plan = two();
        plan.outliers = Some(config::plan::Outliers { errors: 100_000, ..outliers() });
        plan
    });
    for _ in 0..300 {
        let lease = pick(&alike).unwrap();
        lease.finish(answered(503), clock::now());
    }
    tokio::time::sleep(ms(1500)).await;
    assert_eq!((world.told(), alikes.told()), (vec![], vec![]));
}

#[tokio::test]
async fn no_more_than_at_most_are_out() {
    let mut plan =
        service("shop", &["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5"]);
    plan.outliers = Some(config::plan::Outliers { eject: ms(60_000), ..outliers() });
    let (_world, shop) = World::of(plan);
    let out = || shop.status(clock::now()).endpoints.iter().filter(|e| e.state == Standing::Ejected).count();
    for _ in 0..100 {
        pick(&shop).unwrap().finish(Outcome::Failed(FailKind::Reset), clock::now());
    }
    until("two are ejected", || out() == 2).await;
    for _ in 0..100 {
        pick(&shop).unwrap().finish(Outcome::Failed(FailKind::Reset), clock::now());
    }
    tokio::time::sleep(ms(50)).await;
    assert_eq!(out(), 2);
    let used: HashSet<_> = (0..6).map(|_| ask(&shop)).collect();
    assert_eq!(used.len(), 3);
}
