//! What stays over a reload and what ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use config::plan::{Balance, HashBy, Overload};
use upstream::{FailKind, Options, Outcome, What, clock};

use crate::support::{Origin, World, answered, health, ms, outliers, pick, plan, service, shares, until};

#[tokio::test]
async fn what_is_unchanged_stays_as_it_is_and_what_is_gone_ends() {
    let world = World::new(Options::default());
    world.registry.apply(&plan([service("shop", &["127.0.0.1:1"]), service("cart", &["127.0.0.1:2"])]));
    let (shop, cart) = (world.registry.get("shop").unwrap(), world.registry.get("cart").unwrap());
    world.registry.apply(&plan([service("shop", &["127.0.0.1:1"]), service("more", &[])]));
    assert!(Arc::ptr_eq(&shop, &world.registry.get("shop").unwrap()));
    assert!(world.registry.get("cart").is_none());
    let names: Vec<_> = world.registry.all().iter().map(|service| service.name().to_string()).collect();
    assert_eq!(names, ["more", "shop"]);
    assert!(pick(&cart).is_ok(), "requests under way still end with it");
}

#[tokio::test]
async fn checks_end_with_their_service() {
    let origin = Origin::start(200).await;
    let mut with_checks = service("shop", &[&origin.authority()]);
    with_checks.health = Some(health());
    let (world, shop) = World::of(with_checks);
    until("it is checked", || origin.asked() > 2).await;
    world.registry.apply(&plan([]));
    until("only we hold it", || Arc::strong_count(&shop) == 1).await;
}

#[tokio::test]
async fn a_changed_service_keeps_what_is_known_of_its_endpoints() {
    let mut old = service("shop", &["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
    old.outliers = Some(config::plan::Outliers { eject: ms(60_000), ..outliers() });
    old.limit = Some(Overload { in_flight: 2, waiting: 0, wait: ms(10) });
    let (world, before) = World::of(old.clone());
    before.drain("http://127.0.0.1:3", true);
    for _ in 0..6 {
        let lease = pick(&before).unwrap();
        let bad = lease.endpoint().port() == 1;
        let good = answered(200);
        lease.finish(if bad { Outcome::Failed(FailKind::Reset) } else { good }, clock::now());
    }
    until("the first is ejected", || !before.status(0).endpoints[0].used).await;
    (0..50).for_each(|_| before.count_request());
    let (lease, permit) = (pick(&before).unwrap(), before.try_admit().unwrap());

    let mut new = old;
    new.balance = Balance::LeastConnections;
    new.endpoints[1].weight = 5;
    new.endpoints.push(crate::support::endpoint("127.0.0.1:4"));
    new.limit = Some(Overload { in_flight: 1, waiting: 0, wait: ms(10) });
    let after = world.apply(new);
    assert!(!Arc::ptr_eq(&before, &after));
    for i in 0..3 {
        assert!(Arc::ptr_eq(&before.endpoints()[i], &after.endpoints()[i]));
    }
    let used = shares(&after, 20);
    assert!(used.keys().all(|url| url.ends_with(":2") || url.ends_with(":4")), "{used:?}");
    assert_eq!((after.status(0).requests, after.endpoints()[1].weight()), (50, 5));
    assert_eq!(after.endpoints()[1].load().in_flight(), 1, "the request of before");
    assert!(after.try_admit().is_none(), "its place too");
    lease.finish(answered(200), clock::now());
    drop(permit);
    assert_eq!(after.endpoints()[1].load().in_flight(), 0);
    assert!(after.try_admit().is_some());
}

#[tokio::test]
async fn the_old_service_changes_nothing_any_more() {
    let (world, before) = World::of(service("shop", &["127.0.0.1:1"]));
    let after = world.apply(service("shop", &["127.0.0.1:2"]));
    before.drain("http://127.0.0.1:1", true);
    for service in [&before, &after] {
        assert_eq!(
            shares(service, 3)["http://127.0.0.1:2"],
            3,
            "requests that hold the old one go where they should now"
        );
    }
}

#[tokio::test]
async fn switching_checks_and_outliers_off_frees_whom_they_held() {
    let origin = Origin::start(500).await;
    let mut plan = service("shop", &[&origin.authority(), "127.0.0.1:2"]);
    plan.health = Some(health());
    let (world, shop) = World::of(plan.clone());
    until("all are ill", || shop.status(0).all_ill).await;
    plan.health = None;
    let shop = world.apply(plan);
    assert!(!shop.status(0).all_ill);
    assert_eq!(shares(&shop, 4).len(), 2);
}

#[tokio::test]
async fn another_own_region_changes_who_is_near() {
    let mut far = service("shop", &["127.0.0.1:1", "127.0.0.1:2"]);
    far.endpoints[0].region = Some("here".into());
    far.endpoints[1].region = Some("there".into());
    let (world, shop) = World::of(far.clone());
    assert_eq!(shares(&shop, 2)["http://127.0.0.1:1"], 2);
    let mut moved = plan([far]);
    moved.node.region = "there".into();
    world.registry.apply(&moved);
    assert_eq!(shares(&world.registry.get("shop").unwrap(), 2)["http://127.0.0.1:2"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_go_on_while_everything_changes() {
    let ways =
        [Balance::RoundRobin, Balance::LeastConnections, Balance::Maglev, Balance::Hash(HashBy::Client)];
    let plan = |round: usize| {
        let mut plan = service("shop", &["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        plan.balance = ways[round % ways.len()].clone();
        plan.endpoints.truncate(2 + round % 2);
        plan
    };
    let (world, first) = World::of(plan(1));
    let world = Arc::new(world);
    let stop = Arc::new(AtomicBool::new(false));
    let clients = [(); 3].map(|()| {
        let (world, stop) = (world.clone(), stop.clone());
        tokio::task::spawn_blocking(move || {
            let mut requests = 0u64;
            while !stop.load(Relaxed) {
                let lease = pick(&world.registry.get("shop").unwrap()).unwrap();
                lease.finish(answered(200), clock::now());
                requests += 1;
            }
            requests
        })
    });
    for round in 0..40 {
        let shop = world.apply(plan(round));
        shop.drain("http://127.0.0.1:1", round % 3 == 0);
        tokio::time::sleep(ms(1)).await;
    }
    stop.store(true, Relaxed);
    let mut requests = 0;
    for client in clients {
        requests += client.await.unwrap();
    }
    let shop = world.apply(plan(1));
    assert!(shop.endpoints().iter().chain(first.endpoints().iter()).all(|e| e.load().in_flight() == 0));
    assert!(Arc::ptr_eq(&first.endpoints()[0], &shop.endpoints()[0]) && requests > 1000, "{requests}");
    assert!(world.told().iter().all(|(_, what)| matches!(what, What::Drained | What::Up)));
}
