//! The count of connections against a plain map, and from many threads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::thread;

use edge::guard::{Guard, Refused};
use proptest::prelude::*;

use crate::plans::limits;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_ipv6_client_is_its_64_and_a_mapped_one_its_ipv4() {
    let (guard, limits) = (Guard::new(), limits(100, 1));
    let _one = guard.enter(ip("2001:db8:1:2::1"), &limits).unwrap();
    let same = guard.enter(ip("2001:db8:1:2:ffff::2"), &limits);
    assert_eq!(same.unwrap_err(), Refused::PerClient);
    let _two = guard.enter(ip("2001:db8:1:3::1"), &limits).unwrap();
    let _three = guard.enter(ip("192.0.2.1"), &limits).unwrap();
    let mapped = guard.enter(ip("::ffff:192.0.2.1"), &limits);
    assert_eq!(mapped.unwrap_err(), Refused::PerClient);
    assert_eq!((guard.open(), guard.clients()), (3, 3));
}

#[test]
fn a_lower_limit_after_a_reload_holds_for_new_connections_only() {
    let guard = Guard::new();
    let first = guard.enter(ip("192.0.2.1"), &limits(10, 10)).unwrap();
    let second = guard.enter(ip("192.0.2.1"), &limits(10, 10)).unwrap();
    let lower = limits(10, 1);
    assert_eq!(guard.enter(ip("192.0.2.1"), &lower).unwrap_err(), Refused::PerClient);
    drop((first, second));
    assert!(guard.enter(ip("192.0.2.1"), &lower).is_ok());
}

#[test]
fn threads_lose_no_count() {
    let guard = Guard::new();
    thread::scope(|scope| {
        for thread in 0..4u8 {
            let guard = &guard;
            scope.spawn(move || {
                for round in 0..5_000u32 {
                    let ip = IpAddr::from([192, 0, 2, (round % 7) as u8 + thread % 2]);
                    let tickets = [(); 3].map(|()| guard.enter(ip, &limits(5, 4)));
                    assert!(guard.open() <= 5);
                    drop(tickets);
                }
            });
        }
    });
    assert_eq!((guard.open(), guard.clients()), (0, 0));
}

proptest! {
    #[test]
    fn it_counts_as_a_map_does(steps in prop::collection::vec((any::<bool>(), 0u8..4), 0..100)) {
        let (guard, limits) = (Guard::new(), limits(8, 3));
        let mut tickets = HashMap::<u8, Vec<_>>::new();
        for (enter, client) in steps {
            let open: usize = tickets.values().map(Vec::len).sum();
            let held = tickets.entry(client).or_default();
            if !enter {
                held.pop();
                continue;
            }
            let expected = match (open, held.len()) {
                (8.., _) => Err(Refused::Connections),
                (_, 3..) => Err(Refused::PerClient),
                _ => Ok(()),
            };
            let entered = guard.enter(IpAddr::from([10, 0, 0, client]), &limits);
            prop_assert_eq!(entered.as_ref().map(|_| ()).map_err(|why| *why), expected);
            held.extend(entered);
        }
        let open: usize = tickets.values().map(Vec::len).sum();
        prop_assert_eq!(guard.open() as usize, open);
        prop_assert_eq!(guard.clients(), tickets.values().filter(|held| !held.is_empty()).count());
    }
}
