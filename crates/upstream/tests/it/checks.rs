//! Active checks against real sockets.

use upstream::check::{CheckError, check};
use upstream::usable::Standing;
use upstream::{Options, What, clock};

use crate::support::{Origin, World, ask, health, ms, service, shares, until};

#[tokio::test]
async fn a_check_asks_as_it_should_and_tells_good_from_bad() {
    let origin = Origin::start(204).await;
    let plan = config::plan::Health { timeout: ms(100), ..health() };
    check(origin.address, "shop.example:80", &plan).await.unwrap();
    let head = "GET /healthz HTTP/1.1\r\nHost: shop.example:80\r\nUser-Agent: nearside-check\r\nConnection: close\r\n\r\n";
    assert_eq!(*origin.last.lock().unwrap(), head);

    origin.set(500);
    assert!(matches!(check(origin.address, "x", &plan).await, Err(CheckError::Status(500))));
    origin.set(1);
    assert!(matches!(check(origin.address, "x", &plan).await, Err(CheckError::NotHttp)));
    origin.set(0);
    assert!(matches!(check(origin.address, "x", &plan).await, Err(CheckError::Timeout)));
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(check(nobody, "x", &plan).await, Err(CheckError::Io(_))));
}

#[tokio::test]
async fn an_ill_endpoint_is_left_out_until_it_is_well_again() {
    let (a, b) = (Origin::start(200).await, Origin::start(200).await);
    let mut plan = service("shop", &[&a.authority(), &b.authority()]);
    plan.health = Some(health());
    let (world, shop) = World::of(plan);
    until("both are up", || shares(&shop, 2).len() == 2).await;

    a.set(503);
    until("a is out", || shares(&shop, 4).len() == 1).await;
    assert_eq!(ask(&shop), b.url());
    let ill = What::Ill { why: "the check was answered with 503".into() };
    assert!(world.told().contains(&(a.url(), ill)));
    let status = shop.status(clock::now());
    assert_eq!(status.endpoints[0].state, Standing::Ill);
    assert!(!status.endpoints[0].used && status.endpoints[1].used);

    a.set(200);
    until("a is back", || shares(&shop, 2).len() == 2).await;
    assert_eq!(world.told().last(), Some(&(a.url(), What::Up)));
}

#[tokio::test]
async fn endpoints_not_yet_checked_serve_at_once_and_give_way_to_well_ones() {
    let (hung, well) = (Origin::start(0).await, Origin::start(200).await);
    let mut plan = service("shop", &[&hung.authority(), &well.authority()]);
    plan.health = Some(config::plan::Health { timeout: ms(60_000), ..health() });
    let (_world, shop) = World::of(plan);
    assert_eq!(shares(&shop, 2).len(), 2, "before any check has ended");
    until("only the well one is used", || shares(&shop, 4).len() == 1).await;
    assert_eq!(ask(&shop), well.url());
    assert_eq!(shop.status(clock::now()).endpoints[0].state, Standing::Unknown);
}

#[tokio::test]
async fn when_all_are_ill_all_are_tried() {
    let (a, b) = (Origin::start(500).await, Origin::start(0).await);
    let mut plan = service("shop", &[&a.authority(), &b.authority()]);
    plan.health = Some(health());
    let (world, shop) = World::of(plan);
    until("all are ill", || shop.status(clock::now()).all_ill).await;
    assert_eq!(shares(&shop, 2).len(), 2);
    assert!(world.was_told(|what| *what == What::AllIll));

    b.set(200);
    until("one is well", || !shop.status(clock::now()).all_ill).await;
    assert_eq!(ask(&shop), b.url());
    until("it is told", || world.was_told(|what| *what == What::SomeWell)).await;
}

#[tokio::test]
async fn no_more_checks_run_at_once_than_allowed() {
    let origins = [Origin::start(0).await, Origin::start(0).await, Origin::start(0).await];
    let authorities = origins.each_ref().map(Origin::authority);
    let mut plan = service("shop", &authorities.each_ref().map(String::as_str));
    plan.health = Some(config::plan::Health { timeout: ms(60_000), ..health() });
    let world = World::new(Options { checks_at_once: 2, ..Options::default() });
    let _shop = world.apply(plan);
    let asked = || origins.iter().map(Origin::asked).sum::<u64>();
    until("two are asked", || asked() == 2).await;
    // The third would be asked within a moment, as the first two were.
    tokio::time::sleep(ms(100)).await;
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_new_endpoint_gets_a_growing_share() {
    let mut plan = service("shop", &["127.0.0.1:1", "127.0.0.1:2"]);
    plan.slow_start = ms(2500);
    let (world, shop) = World::of(plan.clone());
    assert_eq!(
        shares(&shop, 100)["http://127.0.0.1:1"],
        50,
        "whoever is there at the start has a whole share"
    );

    plan.endpoints.push(crate::support::endpoint("127.0.0.1:3"));
    let shop = world.apply(plan);
    let new = |choices| shares(&shop, choices).get("http://127.0.0.1:3").copied().unwrap_or(0);
    assert!((1..=20).contains(&new(210)), "little more than a tenth of 70 at first");
    until("its share has grown a bit", || (25..50).contains(&new(210))).await;
    until("its share is whole", || new(210) == 70).await;
}
