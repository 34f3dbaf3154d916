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
