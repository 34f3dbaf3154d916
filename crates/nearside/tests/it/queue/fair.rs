//! A receiver that hangs and a key with very many messages hold up nobody else.

use std::time::{Duration, Instant};

use super::{OK, Receiver, Scene, id, post_on};
use crate::support::{Behaviour, Client, Endpoint, Gate, Message, Nearside, until};

/// How much later than without the others a message may be delivered; the benches measure it exactly.
const LATER: Duration = Duration::from_millis(50);

/// The median time between sending a message and its delivery.
fn median(node: &Nearside, path: &str, receiver: &Receiver) -> Duration {
    let mut client = node.client();
    let mut times: Vec<Duration> = (0..31)
        .map(|number| {
            let (begun, before) = (Instant::now(), receiver.count());
            client
                .send(format!(
                    "POST {path} HTTP/1.1\r\nHost: a\r\nX-Key: {number}\r\nContent-Length: 0\r\n\r\n"
                ))
                .unwrap();
            let id = id(&client.answer().unwrap());
            let mut came = None;
            until("it is delivered", || {
                let journal = receiver.journal.lock().unwrap();
                came =
                    journal[before..].iter().find(|delivery| delivery.id() == id).map(|delivery| delivery.at);
                came.is_some()
            });
            came.unwrap() - begun
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_receiver_that_hangs_delays_no_other_queue_and_no_other_receiver() {
    let (quick, hung) = (Receiver::well(), Endpoint::start(Behaviour::Hang));
    let node = Nearside::start(&format!(
        "[service.quick]\nendpoints = [\"{}\"]\n\n[service.hung]\nendpoints = [\"{}\"]\n\n\
         [queue.both]\ndeliver = [\"hung\", \"quick\"]\n\n[queue.quick]\ndeliver = [\"quick\"]\n\n\
         [[route]]\npath = \"/both\"\nqueue = \"both\"\n\n[[route]]\npath = \"/quick\"\nqueue = \"quick\"\n",
        quick.endpoint.url(),
        hung.url()
    ));
    let alone = median(&node, "/quick", &quick);
    let mut client = node.client();
    let before = quick.count();
    for _ in 0..200 {
        client.send("POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").unwrap();
        id(&client.answer().unwrap());
    }
    until("it hangs with all that it may have", || hung.hits() == 32);
    quick.until_count(before + 200);
    for path in ["/quick", "/both"] {
        let beside = median(&node, path, &quick);
        assert!(beside < alone + LATER, "{path}: {beside:?}, alone {alone:?}");
    }
}

/// A quarter of what one thread delivers at once.
const QUARTER: usize = 512;

#[test]
fn a_receiver_that_may_have_very_many_in_flight_leaves_room_for_the_others() {
    const SENDERS: usize = 8;
    let (quick, hung) = (Receiver::well(), Endpoint::start(Behaviour::Hang));
    let node = Nearside::start(&format!(
        "[node]\nthreads = 1\n\n[service.quick]\nendpoints = [\"{}\"]\n\n\
         [service.hung]\nendpoints = [\"{}\"]\n\n[queue.hung]\ndeliver = [\"hung\"]\nconcurrency = 2000\n\n\
         [queue.quick]\ndeliver = [\"quick\"]\n\n[[route]]\npath = \"/hung\"\nqueue = \"hung\"\n\n\
         [[route]]\npath = \"/quick\"\nqueue = \"quick\"\n",
        quick.endpoint.url(),
        hung.url()
    ));
    let alone = median(&node, "/quick", &quick);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let mut client = node.client();
                for _ in 0..3 * QUARTER / SENDERS {
                    client.send("POST /hung HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").unwrap();
                    id(&client.answer().unwrap());
                }
            });
        }
    });
    until("it hangs with all that it may have", || hung.hits() == QUARTER);
    let beside = median(&node, "/quick", &quick);
    assert!(beside < alone + LATER, "{beside:?}, alone {alone:?}");
    assert_eq!(hung.hits(), QUARTER);
}

#[test]
fn a_key_with_very_many_messages_delays_no_other() {
    const SENDERS: u64 = 16;
    let many = super::rounds(3_000, 20_000);
    let gate = Gate::default();
    let held = gate.clone();
    let shop = Receiver::start(move |request: &Message| {
        if request.field("x-key") == Some("busy") {
            held.pass()?;
        }
        Ok(OK.to_owned())
    });
    let scene = Scene::start("order_by = \"header:X-Key\"", shop);
    let alone = median(&scene.node, "/", &scene.shop);
    let to = scene.node.listen;
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(to).unwrap();
                for _ in 0..many / SENDERS {
                    id(&post_on(&mut client, "X-Key: busy\r\n", b"").unwrap());
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    let beside = median(&scene.node, "/", &scene.shop);
    assert!(beside < alone + LATER, "{beside:?}, alone {alone:?}");
    gate.open();
    scene.shop.until_count(100);
    let beside = median(&scene.node, "/", &scene.shop);
    assert!(beside < alone + LATER, "while they are delivered: {beside:?}, alone {alone:?}");
}
