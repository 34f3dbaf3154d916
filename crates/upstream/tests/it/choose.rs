//! Who is chosen: regions, drains, cookies, and what a request leaves behind.

use upstream::balance::Tried;
use upstream::usable::Standing;
use upstream::{Ask, FailKind, NoEndpoint, Outcome, What, clock, sticky};

use crate::support::{Origin, World, answered, ask, endpoint, health, pick, service, shares, until};

const A: &str = "http://127.0.0.1:1";
const B: &str = "http://127.0.0.1:2";

fn two() -> config::plan::Service {
    service("shop", &["127.0.0.1:1", "127.0.0.1:2"])
}

#[tokio::test]
async fn a_lease_counts_until_it_ends_however_it_ends() {
    let (_world, shop) = World::of(two());
    let in_flight = || shop.endpoints().iter().map(|e| e.load().in_flight()).sum::<u32>();
    let leases: Vec<_> = (0..6).map(|_| pick(&shop).unwrap()).collect();
    assert_eq!(in_flight(), 6);
    let mut outcomes = vec![
        answered(200),
        answered(500),
        Outcome::Failed(FailKind::Connect),
        Outcome::Failed(FailKind::Timeout),
    ];
    for lease in leases {
        match outcomes.pop() {
            Some(outcome) => lease.finish(outcome, clock::now()),
            None => drop(lease),
        }
    }
    assert_eq!(in_flight(), 0);
    let status = serde_json::to_value(shop.status(clock::now())).unwrap();
    let sum = |key: &str| {
        [0, 1].map(|i| status["endpoints"][i]["errors"][key].as_u64().unwrap()).iter().sum::<u64>()
    };
    assert_eq!(["connect", "reset", "timeout", "bad_answer", "status"].map(sum), [1, 0, 1, 0, 1]);
    assert_eq!(status["endpoints"][0]["requests"], 2, "that of whoever left is not counted");
}

#[tokio::test]
async fn a_failure_looks_slow_however_fast_it_came() {
    let (_world, shop) = World::of(service("shop", &["127.0.0.1:1"]));
    let finish = |outcome| {
        pick(&shop).unwrap().finish(outcome, clock::now());
        shop.endpoints()[0].load().latency(clock::now()).unwrap()
    };
    assert!(finish(answered(404)) <= 1_000);
    assert!(finish(Outcome::Failed(FailKind::Connect)) > 990_000_000);
}

#[tokio::test]
async fn endpoints_already_tried_are_avoided() {
    let (_world, shop) = World::of(two());
    for _ in 0..10 {
        let first = pick(&shop).unwrap();
        let mut tried = Tried::default();
        tried.insert(first.endpoint().key());
        let ask = Ask { hash: 0, sticky: None, tried: &tried, random: fastrand::u64(..), now: clock::now() };
        assert_ne!(shop.pick(&ask).unwrap().endpoint().url(), first.endpoint().url());
    }
}

#[tokio::test]
async fn a_cookie_brings_a_client_back_while_its_endpoint_is_used() {
    let mut plan = two();
    let stick = |shop: &std::sync::Arc<upstream::Service>, cookie: &str, tried: &Tried| {
        let sticky = sticky::key(cookie.as_bytes());
        let ask = Ask { hash: 0, sticky, tried, random: fastrand::u64(..), now: clock::now() };
        shop.pick(&ask).unwrap().endpoint().url().to_string()
    };
    let (world, shop) = World::of(plan.clone());
    let cookie = sticky::value(shop.endpoints()[1].key());
    let none = Tried::default();
    let chosen: std::collections::HashSet<_> = (0..4).map(|_| stick(&shop, &cookie, &none)).collect();
    assert_eq!(chosen.len(), 2, "the service has no cookie");

    plan.sticky = Some(config::plan::Sticky { cookie: "c".into() });
    let shop = world.apply(plan);
    assert!((0..10).all(|_| stick(&shop, &cookie, &none) == B));
    assert_eq!(
        (0..10).filter(|_| stick(&shop, "0123456789abcdef", &none) == B).count(),
        5,
        "unknown: in turns"
    );
    let mut tried = Tried::default();
    tried.insert(shop.endpoints()[1].key());
    assert_eq!(stick(&shop, &cookie, &tried), A);
    shop.drain(B, true);
    assert_eq!(stick(&shop, &cookie, &none), A);
}

#[tokio::test]
async fn a_drained_endpoint_finishes_what_it_has() {
    let (world, shop) = World::of(two());
    let leases = [pick(&shop).unwrap(), pick(&shop).unwrap()];
    assert!(shop.drain(A, true), "at once");
    assert_eq!(shares(&shop, 10)[B], 10);
    assert_eq!(shop.endpoints()[0].load().in_flight(), 1);
    assert_eq!(shop.status(clock::now()).endpoints[0].state, Standing::Drained);
    drop(leases);
    assert_eq!(shop.endpoints()[0].load().in_flight(), 0);

    shop.drain(B, true);
    assert!(
        matches!(pick(&shop), Err(NoEndpoint::AllDrained)),
        "drained is drained: not even when none is left"
    );
    assert!(shop.drain(A, false));
    assert_eq!(ask(&shop), A);
    assert!(!shop.drain("http://127.0.0.1:9", true), "there is none such");
    assert_eq!(world.told(), [(A.into(), What::Drained), (B.into(), What::Drained), (A.into(), What::Up)]);
}

#[tokio::test]
async fn the_own_region_comes_first() {
    let (here, there) = (Origin::start(200).await, Origin::start(200).await);
    let mut plan = service("shop", &[&here.authority(), &there.authority()]);
    plan.endpoints[0].region = Some("here".into());
    plan.endpoints[1].region = Some("there".into());
    plan.health = Some(health());
    let (_world, shop) = World::of(plan);
    let all_at = |url: String| move || shares(&shop, 4).get(&url) == Some(&4);
    until("the near one is used", all_at.clone()(here.url())).await;
    here.set(500);
    until("the far one is used", all_at.clone()(there.url())).await;
    here.set(200);
    until("the near one is used again", all_at(here.url())).await;
}

#[tokio::test]
async fn without_endpoints_there_is_an_error() {
    let (world, shop) = World::of(service("shop", &[]));
    assert!(matches!(pick(&shop), Err(NoEndpoint::NoneKnown)));
    let mut plan = service("shop", &[]);
    plan.endpoints.push(endpoint("no-such-name.invalid:80"));
    let shop = world.apply(plan);
    assert!(matches!(pick(&shop), Err(NoEndpoint::NoAddress)));
    assert!(!shop.is_usable());
}

#[tokio::test]
async fn scores_tell_of_each_endpoint_in_use() {
    let (_world, shop) = World::of(two());
    let scores = shop.scores(0, clock::now());
    let urls: Vec<_> =
        scores.iter().map(|(endpoint, score)| (&**endpoint.url(), endpoint.key() == score.key)).collect();
    assert_eq!(urls, [(A, true), (B, true)]);
}

#[tokio::test]
async fn what_was_not_sent_is_not_counted_and_a_tunnel_is_at_its_begin() {
    let (_world, shop) = World::of(service("shop", &["127.0.0.1:1"]));
    let counted = || {
        let status = shop.status(clock::now());
        (status.endpoints[0].requests, status.endpoints[0].in_flight)
    };
    drop(pick(&shop).unwrap());
    assert_eq!(counted(), (0, 0));
    let tunnel = pick(&shop).unwrap();
    tunnel.upgraded(101, 1_000, clock::now());
    assert_eq!(counted(), (1, 1));
    drop(tunnel);
    assert_eq!(counted(), (1, 0));
}
