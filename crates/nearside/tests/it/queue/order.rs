//! Who goes when: one after the other by key, at most so many at once, at most so many in a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{OK, Receiver, Scene, post_on, quick};
use crate::support::{Gate, Message, until};

const BY_ACCOUNT: &str = "order_by = \"header:X-Account\"";

/// What is under way by key, and how much that was at most.
#[derive(Default)]
struct UnderWay {
    now: HashMap<String, usize>,
    most: HashMap<String, usize>,
}

#[test]
fn messages_with_the_same_key_go_strictly_one_after_the_other_through_failures_and_retries() {
    const EACH: usize = 20;
    let under_way = Arc::<Mutex<UnderWay>>::default();
    let noted = under_way.clone();
    let shop = Receiver::start(move |request: &Message| {
        let key = request.field("x-account").unwrap().to_owned();
        {
            let mut noted = noted.lock().unwrap();
            let now = noted.now.entry(key.clone()).or_default();
            *now += 1;
            let now = *now;
            let most = noted.most.entry(key.clone()).or_default();
            *most = now.max(*most);
        }
        std::thread::sleep(Duration::from_millis(2));
        *noted.lock().unwrap().now.get_mut(&key).unwrap() -= 1;
        let number: usize = request.text().parse().unwrap();
        let attempt: usize = request.field("nearside-attempt").unwrap().parse().unwrap();
        // Some fail once or twice, one for good, and one gets no answer.
        match (number % 5, attempt) {
            (1, 1) | (3, 1 | 2) => Ok("500 -".to_owned()),
            (4, 1) => Err(std::io::ErrorKind::Other.into()),
            _ if number == 10 => Ok("400 -".to_owned()),
            _ => Ok(OK.to_owned()),
        }
    });
    let scene = Scene::start(&format!("{BY_ACCOUNT}\n{}", quick(5)), shop);
    let mut client = scene.node.client();
    for number in 0..EACH {
        for key in ["a", "b", "c"] {
            super::id(
                &post_on(&mut client, &format!("X-Account: {key}\r\n"), number.to_string().as_bytes())
                    .unwrap(),
            );
        }
    }
    scene.until_quiet();
    let mut by_key: BTreeMap<String, Vec<(usize, u32)>> = BTreeMap::new();
    for delivery in scene.shop.deliveries() {
        let key = delivery.request.field("x-account").unwrap().to_owned();
        by_key.entry(key).or_default().push((delivery.body().parse().unwrap(), delivery.attempt()));
    }
    let wanted: Vec<(usize, u32)> = (0..EACH)
        .flat_map(|number| {
            let attempts = match number % 5 {
                1 | 4 => 2,
                3 => 3,
                _ => 1,
            };
            (1..=attempts).map(move |attempt| (number, attempt))
        })
        .collect();
    for key in ["a", "b", "c"] {
        assert_eq!(by_key[key], wanted, "{key}");
        assert_eq!(under_way.lock().unwrap().most[key], 1, "{key}");
    }
}

#[test]
fn a_key_that_is_held_up_holds_up_no_other() {
    let gate = Gate::default();
    let held = gate.clone();
    let shop = Receiver::start(move |request: &Message| {
        if request.field("x-account") == Some("slow") {
            held.pass()?;
        }
        Ok(OK.to_owned())
    });
    let scene = Scene::start(BY_ACCOUNT, shop);
    for number in 0..5 {
        scene.accepted("X-Account: slow\r\n", format!("slow {number}"));
    }
    scene.shop.until_count(1);
    for number in 0..20 {
        scene.accepted(&format!("X-Account: {number}\r\n"), "quick");
        scene.accepted("", "without a key");
    }
    until("all others are done", || scene.queue()["done"] == 40);
    let of_slow = scene.shop.bodies().iter().filter(|body| body.starts_with("slow")).count();
    assert_eq!(of_slow, 1, "one at a time");
    gate.open();
    until("these too", || scene.queue()["done"] == 45);
    let slow: Vec<String> = scene.shop.bodies().into_iter().filter(|body| body.starts_with("slow")).collect();
    assert_eq!(slow, (0..5).map(|number| format!("slow {number}")).collect::<Vec<_>>());
}

#[test]
fn no_more_are_under_way_than_allowed() {
    let gate = Gate::default();
    let (held, now) = (gate.clone(), Arc::<AtomicUsize>::default());
    let most = Arc::<AtomicUsize>::default();
    let seen = most.clone();
    let shop = Receiver::start(move |_| {
        seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        held.pass()?;
        now.fetch_sub(1, SeqCst);
        Ok(OK.to_owned())
    });
    let scene = Scene::start("concurrency = 3", shop);
    for number in 0..30 {
        scene.accepted("", number.to_string());
    }
    scene.shop.until_count(3);
    super::assert_no_more(&scene.shop, 3);
    let queue = scene.queue();
    assert_eq!((&queue["running"], &queue["waiting"]), (&3.into(), &27.into()), "{queue}");
    assert_eq!(
        (&queue["receivers"][0]["in_flight"], &queue["receivers"][0]["limit"]),
        (&3.into(), &3.into())
    );
    gate.open();
    until("all are done", || scene.queue()["done"] == 30);
    assert_eq!(most.load(SeqCst), 3);
}

#[test]
fn a_rate_is_kept() {
    let scene = Scene::start("rate = \"10/s\"", Receiver::well());
    for number in 0..16 {
        scene.accepted("", number.to_string());
    }
    until("all are done", || scene.queue()["done"] == 16);
    let came = scene.shop.deliveries();
    let took = came[15].at - came[0].at;
    // The first may have been noted late on a busy machine, never early by more than that.
    assert!(took > Duration::from_millis(1200) && took < Duration::from_secs(10), "{took:?}");
}
