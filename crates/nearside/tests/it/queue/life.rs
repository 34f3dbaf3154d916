//! Reloads, ends in order and takeovers, with messages on their way.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crash::{Writer, check, unsteady};
use super::{OK, Receiver, Scene, assert_no_more, file, id, post, quick};
use crate::support::{Client, Gate, Nearside, until};

/// How long a node that is to end may take.
const END: Duration = Duration::from_secs(20);

/// Writes another file and has it read.
#[track_caller]
fn reload(node: &Nearside, config: &str) {
    node.rewrite(config);
    let answer = Client::connect(node.admin).unwrap().ask("POST", "/api/v1/reload", b"").unwrap();
    assert!(answer.status() < 300, "{}", answer.text());
}

#[test]
fn queues_and_receivers_come_go_and_come_back_with_reloads() {
    let (shop, audit) = (Receiver::well(), Receiver::well());
    let with_shop = file(&[("shop", &shop.endpoint)], "");
    let with_audit = file(&[("audit", &audit.endpoint)], "");
    let without = "[[route]]\npath = \"/\"\nrespond = { status = 404 }\n";
    let node = Nearside::start(without);
    assert_eq!(node.api("queues"), serde_json::json!([]));
    reload(&node, &with_shop);
    let first = id(&post(node.listen, "", b"first").unwrap());
    shop.until_count(1);
    let sent = Instant::now();
    let late = id(&post(node.listen, "Nearside-Delay: 1s\r\n", b"late").unwrap());

    reload(&node, &with_audit);
    id(&post(node.listen, "", b"second").unwrap());
    audit.until_count(1);
    assert_eq!((audit.bodies(), shop.bodies()), (vec!["second".to_owned()], vec!["first".to_owned()]));

    reload(&node, without);
    let gone = node.api("queues/hooks");
    assert_eq!((&gone["in_plan"], &gone["done"]), (&false.into(), &2.into()), "{gone}");
    assert_eq!(post(node.listen, "", b"x").unwrap().status(), 404);
    let shown = |id: &str| node.api(&format!("queues/hooks/messages/{id}"))["state"].clone();
    assert_eq!(shown(&first), "done");
    until("it is due", || sent.elapsed() > Duration::from_millis(1200));
    assert_eq!((shown(&late), shop.count()), ("waiting".into(), 1));

    reload(&node, &with_shop);
    until("what waited is delivered", || shown(&late) == "done");
    assert_eq!(shop.bodies(), ["first", "late"]);
    assert_no_more(&audit, 1);
}

#[test]
fn a_reload_that_takes_a_queue_away_loses_nothing_that_was_accepted() {
    const WRITERS: usize = 4;
    let shop = Receiver::well();
    let with = file(&[("shop", &shop.endpoint)], &quick(100));
    let without = format!(
        "[service.shop]\nendpoints = [\"{}\"]\n\n[[route]]\npath = \"/\"\nrespond = {{ status = 404 }}\n",
        shop.endpoint.url()
    );
    let node = Nearside::start(&with);
    // It found its queue, and waits for its body.
    let mut slow = node.client();
    let head = "POST /hooks HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    slow.send(head).unwrap();
    assert_eq!(slow.answer().unwrap().status(), 100);
    reload(&node, &without);
    slow.send("late").unwrap();
    let refused = slow.answer().unwrap();
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert!(refused.text().contains("isn't in the configuration any more"), "{}", refused.text());

    let stop = AtomicBool::new(false);
    let accepted: Vec<String> = std::thread::scope(|scope| {
        let (node, stop) = (&node, &stop);
        let write = |writer: usize| {
            let (mut accepted, mut number) = (Vec::new(), 0);
            while !stop.load(SeqCst) {
                number += 1;
                let body = format!("{writer} {number}");
                match post(node.listen, "", body.as_bytes()).unwrap().status() {
                    202 => accepted.push(body),
                    status => assert!(matches!(status, 404 | 503), "{status}"),
                }
            }
            accepted
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        for _ in 0..10 {
            reload(node, &with);
            let before = shop.count();
            until("messages are delivered", || shop.count() > before + 20);
            reload(node, &without);
        }
        stop.store(true, SeqCst);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    reload(&node, &with);
    until("all of them are delivered", || {
        let bodies: std::collections::BTreeSet<String> = shop.bodies().into_iter().collect();
        accepted.iter().all(|body| bodies.contains(body))
    });
    assert!(!shop.bodies().contains(&"late".to_owned()));
}

#[test]
fn a_node_that_ends_finishes_its_deliveries_and_begins_no_more() {
    let gate = Gate::default();
    let held = gate.clone();
    let shop = Receiver::start(move |_| held.pass().map(|()| OK.to_owned()));
    let mut scene = Scene::start("concurrency = 3", shop);
    let ids: Vec<String> = (0..6).map(|number| scene.accepted("", number.to_string())).collect();
    scene.shop.until_count(3);
    scene.node.signal(Signal::TERM);
    scene.node.until_said("leaving");
    gate.open();
    assert_eq!(scene.node.wait(END).code(), Some(0), "{}", scene.node.said());
    let before = scene.shop.deliveries().len();
    scene.node.start_again();
    for id in &ids {
        scene.until_state(id, "done");
    }
    let mut bodies = scene.shop.bodies();
    bodies.sort();
    assert_eq!(bodies, ["0", "1", "2", "3", "4", "5"], "each once, {before} of them before the end");
}

/// A receiver that holds the first message till the gate opens, and the node that delivers it there and is
/// told to end.
fn told_to_end(gate: &Gate) -> (Scene, String) {
    let held = gate.clone();
    let shop = Receiver::start(move |_| held.pass().map(|()| OK.to_owned()));
    let scene = Scene::start("", shop);
    let id = scene.accepted("", "x");
    scene.shop.until_count(1);
    scene.node.signal(Signal::TERM);
    scene.node.until_said("leaving");
    (scene, id)
}

#[test]
fn a_node_that_ends_gives_a_delivery_the_time_that_it_gives_a_request() {
    let gate = Gate::default();
    let (mut scene, id) = told_to_end(&gate);
    let told = Instant::now();
    until("it takes longer than most", || told.elapsed() > Duration::from_secs(7));
    gate.open();
    assert_eq!(scene.node.wait(END).code(), Some(0), "{}", scene.node.said());
    scene.node.start_again();
    scene.until_state(&id, "done");
    assert_eq!(scene.shop.count(), 1);
}

#[test]
fn a_node_that_is_told_twice_to_end_waits_for_no_delivery() {
    let gate = Gate::default();
    let (mut scene, id) = told_to_end(&gate);
    let told = Instant::now();
    scene.node.signal(Signal::TERM);
    assert_eq!(scene.node.wait(END).code(), Some(0), "{}", scene.node.said());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    gate.open();
    scene.node.start_again();
    scene.until_state(&id, "done");
    assert_eq!(scene.shop.count(), 2, "nobody knew what came of the first delivery");
}

/// Sends until it is told to stop; a message that is answered 503 is sent again. What got no answer.
fn keep_sending(writer: &mut Writer, node: &Nearside, stop: &AtomicBool) -> Vec<String> {
    let mut broken = Vec::new();
    let mut client = node.client();
    while !stop.load(SeqCst) && broken.len() < 10 {
        match writer.send(&mut client) {
            Ok(answer) => {
                assert!(matches!(answer.status(), 202 | 503), "{}", answer.text());
                if answer.has("connection", "close") {
                    client = node.client();
                }
                // All clients together take no more of the machine than the node has left.
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(why) => {
                broken.push(why.to_string());
                client = node.client();
            }
        }
    }
    broken
}

#[test]
fn a_takeover_loses_nothing_and_repeats_nothing() {
    let rules = format!("order_by = \"header:X-Key\"\n{}", quick(100));
    let shop = unsteady();
    // So long the old process tells clients to come anew; connections that rest then are closed.
    let node = Nearside::start_with(&file(&[("shop", &shop.endpoint)], &rules), &["--grace", "3s"]);
    let mut scene = Scene { node, shop };
    let mut writers: Vec<Writer> = (0..4).map(Writer::new).collect();
    let stop = AtomicBool::new(false);
    let (node, shop) = (&mut scene.node, &scene.shop);
    let to = (node.listen, node.admin);
    std::thread::scope(|scope| {
        let (own, stop) = (&*node, &stop);
        let working: Vec<_> =
            writers.iter_mut().map(|writer| scope.spawn(move || keep_sending(writer, own, stop))).collect();
        shop.until_count(50);
        own.signal(Signal::USR2);
        own.until_said("has taken over");
        let before = shop.count();
        until("the new process delivers", || shop.count() > before + 200);
        stop.store(true, SeqCst);
        for writer in working {
            assert_eq!(writer.join().unwrap(), Vec::<String>::new(), "all are answered");
        }
    });
    assert_eq!(node.wait(END).code(), Some(0), "{}", node.said());
    assert_eq!((node.listen, node.admin), to);
    scene.until_quiet();
    check(&writers, &scene.shop.deliveries(), &[]);
}

#[test]
fn ends_in_order_lose_and_repeat_nothing() {
    let rules = format!("order_by = \"header:X-Key\"\n{}", quick(100));
    let mut scene = Scene::start(&rules, unsteady());
    let mut writers = vec![Writer::new(0)];
    for _ in 0..2 {
        let before = scene.shop.count();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (node, writer, stop) = (&scene.node, &mut writers[0], &stop);
            let working = scope.spawn(move || {
                let mut client = node.client();
                while !stop.load(SeqCst) && writer.send(&mut client).is_ok() {}
            });
            scene.shop.until_count(before + 100);
            node.signal(Signal::TERM);
            node.until_said("leaving");
            stop.store(true, SeqCst);
            working.join().unwrap();
        });
        assert_eq!(scene.node.wait(END).code(), Some(0));
        scene.node.start_again();
    }
    scene.until_quiet();
    check(&writers, &scene.shop.deliveries(), &[]);
}
