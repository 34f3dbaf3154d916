//! Names looked up and endpoints discovered, with a name server of our own.

use config::plan::Discover;
use upstream::client::{Conn, pool};
use upstream::usable::Standing;
use upstream::{FailKind, NoEndpoint, Options, Outcome, Service, What, clock};

use crate::support::{A, AAAA, NameServer, SRV, World, ms, pick, service, srv, until};

fn urls(service: &Service) -> Vec<String> {
    service.endpoints().iter().map(|endpoint| endpoint.url().to_string()).collect()
}

fn address(service: &Service) -> Option<String> {
    service.endpoints()[0].address().map(|address| address.to_string())
}

#[tokio::test]
async fn an_endpoints_name_is_followed_and_its_last_address_kept() {
    let names = NameServer::start().await;
    names.set("db.test.", A, 1, [vec![10, 0, 0, 1]]);
    let world = World::new(names.options());
    let shop = world.apply(service("shop", &["db.test:80"]));
    assert!(matches!(pick(&shop), Err(NoEndpoint::NoAddress)));
    until("it is usable", || pick(&shop).is_ok()).await;
    assert_eq!(address(&shop).as_deref(), Some("10.0.0.1:80"));

    names.set("db.test.", A, 1, [vec![10, 0, 0, 2]]);
    until("it has moved", || address(&shop).as_deref() == Some("10.0.0.2:80")).await;
    names.fail();
    let why = || shop.status(clock::now()).endpoints[0].why.clone().unwrap_or_default();
    until("the failure shows", || why().starts_with("looking up db.test failed: ")).await;
    assert_eq!(address(&shop).as_deref(), Some("10.0.0.2:80"));
    assert!(pick(&shop).is_ok());
}

#[tokio::test]
async fn a_name_that_does_not_exist_says_so_until_it_does() {
    let names = NameServer::start().await;
    let world = World::new(names.options());
    let shop = world.apply(service("shop", &["db.test:80"]));
    let unresolved = What::Unresolved { why: "the name db.test doesn't exist".into() };
    until("it is told", || world.was_told(|what| *what == unresolved)).await;
    assert_eq!(shop.status(clock::now()).endpoints[0].state, Standing::Unresolved);
    names.set(
        "db.test.",
        AAAA,
        300,
        ["2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()],
    );
    until("it is usable", || pick(&shop).is_ok()).await;
    assert_eq!(address(&shop).as_deref(), Some("[2001:db8::7]:80"));
    until("it is told", || world.was_told(|what| *what == What::Up)).await;
    assert_eq!(world.told().iter().filter(|(_, what)| *what == unresolved).count(), 1, "told once");
}

#[tokio::test]
async fn the_next_address_is_taken_where_one_cannot_be_reached() {
    let names = NameServer::start().await;
    names.set("db.test.", A, 300, [vec![10, 0, 0, 1], vec![10, 0, 0, 2]]);
    let world = World::new(names.options());
    let shop = world.apply(service("shop", &["db.test:80"]));
    until("it is usable", || pick(&shop).is_ok()).await;
    let first = address(&shop);
    pick(&shop).unwrap().finish(Outcome::Failed(FailKind::Reset), clock::now());
    assert_eq!(address(&shop), first);
    pick(&shop).unwrap().finish(Outcome::Failed(FailKind::Connect), clock::now());
    assert_ne!(address(&shop), first);
    pick(&shop).unwrap().finish(Outcome::Failed(FailKind::Connect), clock::now());
    assert_eq!(address(&shop), first);
}

#[tokio::test]
async fn many_failures_at_one_address_turn_to_the_next_once() {
    let names = NameServer::start().await;
    names.set("db.test.", A, 300, [vec![10, 0, 0, 1], vec![10, 0, 0, 2]]);
    let world = World::new(names.options());
    let shop = world.apply(service("shop", &["db.test:80"]));
    until("it is usable", || pick(&shop).is_ok()).await;
    let endpoint = shop.endpoints()[0].clone();
    let first = endpoint.address().unwrap();
    let leases = [(); 4].map(|()| pick(&shop).unwrap());
    for lease in leases {
        lease.finish(Outcome::Failed(FailKind::Connect), clock::now());
    }
    let second = endpoint.address().unwrap();
    assert_ne!(first, second);
    endpoint.turn_from(first);
    assert_eq!(endpoint.address(), Some(second), "others have turned away already");
    endpoint.turn_from(second);
    assert_eq!((endpoint.address(), endpoint.address_count()), (Some(first), 2));
    assert!(endpoint.has_address(second) && !endpoint.has_address("10.0.0.3:80".parse().unwrap()));
}

#[tokio::test]
async fn kept_connections_do_not_outlive_their_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let names = NameServer::start().await;
    names.set("db.test.", A, 1, [vec![127, 0, 0, 1]]);
    let world = World::new(names.options());
    let shop = world.apply(service("shop", &[&format!("db.test:{}", at.port())]));
    until("it is usable", || pick(&shop).is_ok()).await;
    let endpoint = shop.endpoints()[0].clone();
    let keep = async || {
        let conn = Conn::open(at, ms(1000)).await.unwrap_or_else(|_| panic!("it listens"));
        pool::put(endpoint.key(), conn, clock::now(), ms(60_000));
    };
    keep().await;
    assert_eq!(pool::take_for(&endpoint).map(|conn| conn.address()), Some(at));
    keep().await;
    names.set("db.test.", A, 1, [vec![127, 0, 0, 2]]);
    until("it has moved", || !endpoint.has_address(at)).await;
    assert!(pool::take_for(&endpoint).is_none());
    assert_eq!(pool::len(), 0, "it was closed");
}

#[tokio::test]
async fn addresses_of_a_kind_that_cannot_be_looked_up_are_kept() {
    let names = NameServer::start().await;
    let six = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    names.set("db.test.", A, 1, [vec![10, 0, 0, 1]]);
    names.set("db.test.", AAAA, 1, [six]);
    let world = World::new(names.options());
    let shop = world.apply(service("shop", &["db.test:80"]));
    let endpoint = shop.endpoints()[0].clone();
    until("both are found", || endpoint.address_count() == 2).await;
    names.fail_for(AAAA);
    names.set("db.test.", A, 1, [vec![10, 0, 0, 2]]);
    until("it has moved", || endpoint.has_address("10.0.0.2:80".parse().unwrap())).await;
    assert!(endpoint.has_address("[2001:db8::7]:80".parse().unwrap()));
    names.fail_for(0);
    names.set("db.test.", AAAA, 1, []);
    until("a kind that is gone goes", || endpoint.address_count() == 1).await;
}

#[tokio::test]
async fn a_changed_service_serves_till_its_new_names_are_known() {
    let names = NameServer::start().await;
    let world = World::new(names.options());
    let before = world.apply(service("shop", &["10.0.0.1:80"]));
    assert!(!before.is_awaited());
    let shop = world.apply(service("shop", &["db.test:80"]));
    assert!(pick(&shop).is_ok_and(|lease| lease.endpoint().port() == 80), "the one before still serves");
    names.set("db.test.", A, 300, [vec![10, 0, 0, 2]]);
    let new = || pick(&shop).is_ok_and(|lease| &**lease.endpoint().host() == "db.test");
    until("the new one serves", new).await;
    let lost = world.apply(service("shop", &["nobody.test:80"]));
    assert!(!lost.is_awaited());
    until("the old one serves no longer", || lost.is_awaited()).await;
}

#[tokio::test]
async fn discovery_at_another_pace_keeps_what_it_found() {
    let names = NameServer::start().await;
    names.set("shop.test.", A, 60, [vec![10, 0, 0, 1]]);
    let world = World::new(names.options());
    let mut plan = service("shop", &[]);
    plan.discover = Some(Discover::Dns { host: "shop.test".into(), port: 1, every: ms(60_000) });
    let shop = world.apply(plan.clone());
    assert!(shop.is_awaited());
    until("it is found", || shop.is_usable()).await;
    names.fail();
    plan.discover = Some(Discover::Dns { host: "shop.test".into(), port: 1, every: ms(30_000) });
    assert_eq!(urls(&world.apply(plan)), ["http://10.0.0.1:1"]);
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let (_world, shop) = World::of(service("shop", &["localhost:80"]));
    until("it is usable", || pick(&shop).is_ok()).await;
    assert_eq!(address(&shop).as_deref(), Some("127.0.0.1:80"));
}

#[tokio::test]
async fn each_address_of_a_name_is_an_endpoint() {
    let names = NameServer::start().await;
    names.set("shop.test.", A, 0, [vec![10, 0, 0, 2], vec![10, 0, 0, 1]]);
    let world = World::new(names.options());
    let mut plan = service("shop", &["10.9.9.9:1"]);
    plan.discover = Some(Discover::Dns { host: "shop.test".into(), port: 3000, every: ms(50) });
    let shop = world.apply(plan);
    assert_eq!(urls(&shop), ["http://10.9.9.9:1"], "those of the file serve at once");
    let found = ["http://10.9.9.9:1", "http://10.0.0.1:3000", "http://10.0.0.2:3000"];
    until("all are found", || urls(&shop) == found).await;
    let kept = shop.endpoints()[1].clone();

    names.set("shop.test.", A, 0, [vec![10, 0, 0, 1], vec![10, 0, 0, 3]]);
    until("they have changed", || urls(&shop)[1..] == ["http://10.0.0.1:3000", "http://10.0.0.3:3000"]).await;
    assert!(std::sync::Arc::ptr_eq(&kept, &shop.endpoints()[1]));
    until("all are used", || shop.scores(0, 0).len() == 3).await;

    for break_it in [NameServer::forget, NameServer::fail] {
        break_it(&names);
        let asked = names.asked();
        until("it was asked again", || names.asked() > asked + 4).await;
        until("the failure shows", || shop.status(0).discovery_failure.is_some()).await;
        assert_eq!(urls(&shop).len(), 3, "the last good answer is kept");
    }
    assert!(world.was_told(|what| matches!(what, What::DiscoveryFailed { .. })));
    names.set("shop.test.", A, 0, [vec![10, 0, 0, 4]]);
    until("it works again", || urls(&shop)[1..] == ["http://10.0.0.4:3000"]).await;
    assert_eq!(shop.status(0).discovery_failure, None);
}

#[tokio::test]
async fn srv_records_say_who_and_with_which_weight() {
    let names = NameServer::start().await;
    names.set("a.test.", A, 60, [vec![10, 0, 0, 1]]);
    names.set("b.test.", A, 60, [vec![10, 0, 0, 2]]);
    let records = [srv(10, 3, 8001, "a.test."), srv(10, 1, 8002, "b.test."), srv(20, 9, 8003, "c.test.")];
    names.set("_http._tcp.shop.test.", SRV, 0, records);
    let world = World::new(names.options());
    let mut plan = service("shop", &[]);
    plan.discover = Some(Discover::Srv { name: "_http._tcp.shop.test".into(), every: ms(50) });
    let shop = world.apply(plan);
    until("both are used", || shop.scores(0, 0).len() == 2).await;
    assert_eq!(urls(&shop), ["http://a.test:8001", "http://b.test:8002"]);
    assert_eq!(shop.endpoints().iter().map(|e| e.weight()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(shop.endpoints()[1].address().unwrap().to_string(), "10.0.0.2:8002");

    names.set("_http._tcp.shop.test.", SRV, 0, [srv(20, 9, 8003, "b.test."), srv(10, 2, 8001, "a.test.")]);
    until("one is left, with another weight", || shop.endpoints().iter().map(|e| e.weight()).eq([2])).await;
}

#[tokio::test]
async fn a_ttl_is_honoured() {
    let names = NameServer::start().await;
    names.set("shop.test.", A, 3600, [vec![10, 0, 0, 1]]);
    let world = World::new(names.options());
    let mut plan = service("shop", &[]);
    plan.discover = Some(Discover::Dns { host: "shop.test".into(), port: 1, every: ms(60_000) });
    let shop = world.apply(plan);
    until("it is found", || urls(&shop).len() == 1).await;
    let asked = names.asked();
    tokio::time::sleep(ms(1500)).await;
    assert_eq!(names.asked(), asked, "the answer holds for longer");
}

#[tokio::test]
async fn a_file_is_followed_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.toml");
    let world = World::new(Options::default());
    let mut plan = service("shop", &[]);
    plan.discover = Some(Discover::File { path: path.clone() });
    let shop = world.apply(plan);
    let failure = || shop.status(0).discovery_failure.unwrap_or_default();
    until("its absence shows", || failure().contains("No such file")).await;

    std::fs::write(&path, "endpoints = [\"http://10.0.0.1:80\"]").unwrap();
    until("it is read", || urls(&shop) == ["http://10.0.0.1:80"] && failure().is_empty()).await;
    let new = folder.path().join("new");
    std::fs::write(&new, "endpoints = [{ url = \"http://10.0.0.2:80\", weight = 7 }]").unwrap();
    std::fs::rename(&new, &path).unwrap();
    until("a replaced one is read", || urls(&shop) == ["http://10.0.0.2:80"]).await;
    assert_eq!(shop.endpoints()[0].weight(), 7);

    std::fs::write(&path, "endpoints = [\"http://10.0.0.3:").unwrap();
    until("its mistake shows", || failure().contains("shop.toml:1")).await;
    assert_eq!(urls(&shop), ["http://10.0.0.2:80"]);
    std::fs::remove_file(&path).unwrap();
    until("its absence shows", || failure().contains("No such file")).await;
    assert_eq!(urls(&shop), ["http://10.0.0.2:80"]);
}
