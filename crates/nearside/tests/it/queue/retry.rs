//! What is tried again, when, how often, and what becomes of what was given up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{OK, Receiver, Scene, assert_no_more, quick, reply};
use crate::support::{Behaviour, Endpoint, Gate, Message, Nearside, until};

/// Was this the first attempt?
fn is_first(request: &Message) -> bool {
    request.field("nearside-attempt") == Some("1")
}

#[test]
fn pauses_grow_within_their_bounds_until_a_message_is_given_up() {
    const FIRST: u64 = 100;
    let retry = format!("retry = {{ attempts = 5, first = \"{FIRST}ms\", longest = \"300ms\" }}");
    let scene = Scene::start(&retry, Receiver::answering("500 broken"));
    let id = scene.accepted("", "x");
    scene.until_state(&id, "dead");
    let came = scene.shop.deliveries();
    assert_eq!(came.iter().map(super::Delivery::attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for (index, pair) in came.windows(2).enumerate() {
        let pause = pair[1].at - pair[0].at;
        let longest = (FIRST << index).min(300);
        // On a busy machine any of them comes late.
        assert!(pause < Duration::from_millis(longest + 2000), "{index}: {pause:?}");
    }
    assert_no_more(&scene.shop, 5);
    let queue = scene.queue();
    assert_eq!((&queue["dead"], &queue["counters"]["retried"]), (&1.into(), &4.into()));
    let shown = scene.message(&id);
    let delivery = &shown["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&"dead".into(), &5.into()));
    let statuses: Vec<_> = delivery["history"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [500; 5]);
}

#[test]
fn pauses_and_delays_are_no_longer_than_they_say_also_when_nothing_else_happens() {
    let shop = Receiver::start(|request| Ok(if is_first(request) { "500 -" } else { OK }.to_owned()));
    let scene = Scene::start(&quick(3), shop);
    // The second thing would come late if nobody looked before a second is over.
    let mut late = 0;
    for number in 0..6 {
        let sent = Instant::now();
        let id = scene.accepted("Nearside-Delay: 50ms\r\n", number.to_string());
        scene.until_state(&id, "done");
        let came = scene.shop.deliveries();
        let [first, second] = &came[came.len() - 2..] else { panic!("{came:?}") };
        let after = [first.at - sent, second.at - first.at];
        late += after.iter().filter(|after| **after > Duration::from_millis(500)).count();
    }
    assert!(late <= 2, "{late} of 12 came late; on a busy machine some may");
}

#[test]
fn a_wish_to_wait_is_granted() {
    let shop = Receiver::start(|request| {
        Ok(if is_first(request) { "429 -\r\nRetry-After: 1" } else { OK }.to_owned())
    });
    let scene = Scene::start(&quick(3), shop);
    let id = scene.accepted("", "x");
    scene.until_state(&id, "done");
    let came = scene.shop.deliveries();
    let pause = came[1].at - came[0].answered.unwrap().1;
    assert!(pause > Duration::from_millis(950) && pause < Duration::from_secs(5), "{pause:?}");
}

#[test]
fn an_overloaded_receiver_gets_less_and_then_more_again() {
    let overloaded = Arc::new(AtomicBool::new(true));
    let is_overloaded = overloaded.clone();
    let shop = Receiver::start(move |_| Ok(if is_overloaded.load(SeqCst) { "503 -" } else { OK }.to_owned()));
    let scene = Scene::start(&format!("concurrency = 8\n{}", quick(100)), shop);
    for number in 0..40 {
        scene.accepted("", number.to_string());
    }
    until("it gets less", || scene.queue()["receivers"][0]["limit"] == 1);
    overloaded.store(false, SeqCst);
    until("these are done", || scene.queue()["done"] == 40);
    for number in 0..40 {
        scene.accepted("", number.to_string());
    }
    until("all are done", || scene.queue()["done"] == 80);
    assert_eq!(scene.queue()["receivers"][0]["limit"], 8);
}

#[test]
fn each_status_means_what_is_said() {
    let shop = Receiver::start(|request| {
        let status = request.text();
        Ok(if is_first(request) { format!("{status} said") } else { OK.to_owned() })
    });
    let scene = Scene::start(&quick(3), shop);
    for (statuses, state, attempts) in [
        (&[200, 201, 202, 204, 299][..], "done", 1),
        (&[301, 304, 400, 401, 403, 404, 409, 410, 422], "dead", 1),
        (&[408, 425, 429, 500, 501, 502, 503, 504, 599], "done", 2),
    ] {
        for status in statuses {
            let id = scene.accepted("", status.to_string());
            scene.until_state(&id, state);
            let shown = scene.message(&id);
            assert_eq!(shown["deliveries"][0]["attempts"], attempts, "{status}: {shown}");
            assert_eq!(shown["deliveries"][0]["history"][0]["status"], *status, "{shown}");
        }
    }
}

#[test]
fn no_whole_answer_is_no_answer() {
    let shop = Endpoint::start(Behaviour::Status(200));
    let rules = format!("timeout = \"400ms\"\n{}", quick(100));
    let node = Nearside::start(&super::file(&[("shop", &shop)], &rules));
    for behaviour in [
        Behaviour::Close,
        Behaviour::Reset,
        Behaviour::Hang,
        Behaviour::TooShort,
        Behaviour::ResetMidAnswer,
        Behaviour::Raw(b"HTTP/1.1 OK\r\n\r\n".to_vec()),
        Behaviour::Raw(b"\xff\x00 nonsense".to_vec()),
        Behaviour::Slow(Duration::from_secs(2)),
    ] {
        let before = shop.hits();
        shop.behave(behaviour.clone());
        let id = super::id(&super::post(node.listen, "", b"x").unwrap());
        until(&format!("a second attempt after {behaviour:?}"), || shop.hits() >= before + 2);
        shop.behave(Behaviour::Status(200));
        let shown = || node.api(&format!("queues/hooks/messages/{id}"));
        until(&format!("it is done after {behaviour:?}"), || shown()["state"] == "done");
        let first = shown()["deliveries"][0]["history"][0].clone();
        assert_eq!(first["status"], serde_json::Value::Null, "{behaviour:?}: {first}");
    }
}

#[test]
fn a_receiver_that_is_gone_gets_it_when_it_is_back() {
    let shop = Endpoint::start(Behaviour::Status(200));
    let address = shop.address();
    let node = Nearside::start(&super::file(&[("shop", &shop)], &quick(100)));
    shop.stop();
    let id = super::id(&super::post(node.listen, "", b"x").unwrap());
    let shown = || node.api(&format!("queues/hooks/messages/{id}"));
    until("it was tried", || shown()["deliveries"][0]["attempts"].as_u64() > Some(1));
    let back = Endpoint::start_at(address, Behaviour::Status(200));
    until("it is done", || shown()["state"] == "done");
    assert_eq!(back.seen()[0].field("webhook-id"), Some(id.as_str()));
}

#[test]
fn the_last_answer_of_a_dead_letter_is_shown() {
    let shop = Receiver::start(|_| Err(io::ErrorKind::Other.into()));
    shop.endpoint.behave(Behaviour::script(|_, stream| reply(stream, "410 Gone", b"no account 7 here")));
    let scene = Scene::start("", shop);
    let id = scene.accepted("", "x");
    scene.until_state(&id, "dead");
    let shown = scene.message(&id);
    assert_eq!(shown["deliveries"][0]["answer"]["text"], "no account 7 here", "{shown}");
    let listed = scene.node.api("queues/hooks/messages?state=dead");
    assert_eq!((&listed["messages"][0]["id"], &listed["messages"][0]["attempts"]), (&id.into(), &1.into()));
    assert!(listed["messages"][0]["error"].as_str().unwrap().contains("410"), "{listed}");
}

#[test]
fn what_has_ended_can_be_delivered_again() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let shop = Receiver::start(move |request| {
        let good = is_well.load(SeqCst) || request.text() == "good";
        Ok(if good { OK } else { "400 -" }.to_owned())
    });
    let scene = Scene::start("", shop);
    let dead: Vec<String> = (0..3).map(|number| scene.accepted("", format!("bad {number}"))).collect();
    let good = scene.accepted("", "good");
    for id in &dead {
        scene.until_state(id, "dead");
    }
    scene.until_state(&good, "done");
    well.store(true, SeqCst);

    assert_eq!(scene.order("replay", &json!({ "ids": [dead[0]] }))["replayed"], 1);
    scene.until_state(&dead[0], "done");
    scene.shop.until_count(5);
    let again = scene.shop.deliveries()[4].clone();
    assert_eq!((again.id(), again.attempt()), (dead[0].as_str(), 1), "as it was, from the first attempt on");

    assert_eq!(scene.order("replay", &json!({ "state": "dead" }))["replayed"], 2);
    until("no dead letters", || scene.queue()["dead"] == 0 && scene.queue()["done"] == 4);
    assert_eq!(scene.shop.count(), 7);

    assert_eq!(scene.order("replay", &json!({ "all": true, "per_second": 20 }))["replayed"], 4);
    scene.shop.until_count(11);
    scene.until_quiet();
    let last: std::collections::BTreeSet<String> =
        scene.shop.deliveries()[7..].iter().map(|it| it.id().to_owned()).collect();
    assert_eq!(last, dead.iter().chain([&good]).cloned().collect());
    assert_no_more(&scene.shop, 11);
}

#[test]
fn what_is_dropped_is_not_delivered() {
    let scene = Scene::start(&quick(2), Receiver::answering("500 -"));
    let later: Vec<String> =
        (0..3).map(|number| scene.accepted("Nearside-Delay: 2s\r\n", number.to_string())).collect();
    let dead = scene.accepted("", "dead");
    scene.until_state(&dead, "dead");
    assert_eq!(scene.order("drop", &json!({ "ids": [later[0]] }))["dropped"], 1);
    assert_eq!(scene.told(&later[0]).0, 404);
    assert_eq!(scene.order("drop", &json!({ "state": "dead" }))["dropped"], 1);
    assert_eq!(scene.told(&dead).0, 404);
    for id in &later[1..] {
        scene.until_state(id, "dead");
    }
    assert!(scene.shop.bodies().iter().all(|body| body != "0"));
    assert_eq!(scene.order("drop", &json!({ "all": true }))["dropped"], 2);
    let queue = scene.queue();
    assert_eq!((&queue["dead"], &queue["bytes"]), (&0.into(), &0.into()), "{queue}");
}

#[test]
fn a_message_that_is_dropped_while_it_is_delivered_is_not_tried_again() {
    let gate = Gate::default();
    let held = gate.clone();
    let shop = Receiver::start(move |_| held.pass().map(|()| "500 -".to_owned()));
    let scene = Scene::start(&format!("order_by = \"path\"\n{}", quick(5)), shop);
    let first = scene.accepted("", "first");
    let second = scene.accepted("", "second");
    scene.shop.until_count(1);
    assert_eq!(scene.order("drop", &json!({ "ids": [first] }))["dropped"], 1);
    gate.open();
    scene.until_state(&second, "dead");
    let bodies = scene.shop.bodies();
    assert_eq!(bodies.iter().filter(|body| *body == "first").count(), 1, "{bodies:?}");
}

#[test]
fn a_paused_queue_accepts_and_delivers_nothing_also_after_a_restart() {
    let mut scene = Scene::start("", Receiver::well());
    scene.order("pause", &json!({}));
    let id = scene.accepted("", "x");
    assert_no_more(&scene.shop, 0);
    assert_eq!(
        (scene.queue()["paused"].clone(), scene.told(&id).1["state"].clone()),
        (true.into(), "waiting".into())
    );
    scene.node.kill();
    scene.node.start_again();
    assert_eq!(scene.queue()["paused"], true);
    assert_no_more(&scene.shop, 0);
    scene.order("resume", &json!({}));
    scene.until_state(&id, "done");
}

#[test]
fn what_has_ended_is_forgotten_after_its_time() {
    let shop = Receiver::start(|request| Ok(if request.text() == "good" { OK } else { "400 -" }.to_owned()));
    let scene = Scene::start("keep = { done = \"500ms\", dead = \"1s\" }", shop);
    let (good, bad) = (scene.accepted("", "good"), scene.accepted("", "bad"));
    for id in [&good, &bad] {
        until("it is forgotten", || scene.told(id).0 == 404);
    }
    let queue = scene.queue();
    assert_eq!(
        (&queue["done"], &queue["dead"], &queue["bytes"]),
        (&0.into(), &0.into(), &0.into()),
        "{queue}"
    );
    assert_eq!(scene.shop.count(), 2);
}
