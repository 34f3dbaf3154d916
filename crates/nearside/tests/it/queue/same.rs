//! The same request sent again is one message: `Idempotency-Key`.

use super::{Receiver, Scene, assert_no_more, id, post};
use crate::support::until;

const KEY: &str = "Idempotency-Key: order-7\r\n";

#[test]
fn the_same_key_gets_the_same_answer_and_one_delivery() {
    let scene = Scene::start("", Receiver::well());
    let first = scene.send(KEY, "seven");
    let again = scene.send(KEY, "seven");
    assert_eq!((again.status(), &again.body), (202, &first.body));
    assert_eq!(again.field("location"), first.field("location"));
    scene.until_state(&id(&first), "done");
    assert_eq!(scene.accepted(KEY, "seven"), id(&first), "also when it is done");
    let other = scene.send(KEY, "eight");
    assert_eq!(other.status(), 422);
    assert!(other.has("content-type", "application/problem+json"));
    assert!(other.json()["detail"].as_str().unwrap().contains("Idempotency-Key"), "{}", other.text());
    assert_ne!(scene.accepted("Idempotency-Key: order-8\r\n", "seven"), id(&first));
    scene.shop.until_count(2);
    assert_no_more(&scene.shop, 2);
}

#[test]
fn fifty_at_the_same_time_are_one_message() {
    let scene = Scene::start("", Receiver::well());
    let to = scene.node.listen;
    let clients: Vec<_> =
        (0..50).map(|_| std::thread::spawn(move || id(&post(to, KEY, b"once").unwrap()))).collect();
    let ids: std::collections::BTreeSet<String> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    scene.until_state(ids.first().unwrap(), "done");
    assert_no_more(&scene.shop, 1);
    assert_eq!(scene.queue()["counters"]["accepted"], 1);
}

#[test]
fn a_key_outlives_the_process_and_a_crash() {
    let mut scene = Scene::start("", Receiver::well());
    let first = scene.accepted(KEY, "seven");
    scene.until_state(&first, "done");
    scene.node.kill();
    scene.node.start_again();
    assert_eq!(scene.accepted(KEY, "seven"), first);
    assert!(scene.node.stop().success());
    scene.node.start_again();
    assert_eq!(scene.accepted(KEY, "seven"), first);
    assert_eq!(scene.send(KEY, "eight").status(), 422);
    assert_no_more(&scene.shop, 1);
}

#[test]
fn a_key_is_forgotten_after_its_time() {
    let scene = Scene::start("dedupe = \"1s\"", Receiver::well());
    let begun = std::time::Instant::now();
    let first = scene.accepted(KEY, "seven");
    let mut other = scene.send(KEY, "eight");
    let forgotten_early = other.status() == 202 && begun.elapsed() < std::time::Duration::from_secs(1);
    assert!(!forgotten_early);
    until("it is forgotten", || {
        other = scene.send(KEY, "eight");
        other.status() == 202
    });
    assert_ne!(id(&other), first);
    scene.shop.until_count(2);
}

#[test]
fn a_key_that_is_none_is_refused() {
    let scene = Scene::start("", Receiver::well());
    for key in [String::new(), "k".repeat(257)] {
        assert_eq!(scene.send(&format!("Idempotency-Key: {key}\r\n"), "x").status(), 400);
    }
    let longest = format!("Idempotency-Key: {}\r\n", "k".repeat(256));
    assert_eq!(scene.accepted(&longest, "x"), scene.accepted(&longest, "x"));
}
