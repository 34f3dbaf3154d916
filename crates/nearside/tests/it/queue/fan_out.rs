//! Several receivers: each gets every message, with its own progress.

use serde_json::json;

use super::{Receiver, file, id, post, quick};
use crate::support::{Nearside, until};

#[test]
fn each_receiver_has_its_own_progress() {
    let (shop, audit) = (Receiver::well(), Receiver::answering("503 -"));
    let rules = quick(3);
    let node = Nearside::start(&file(&[("shop", &shop.endpoint), ("audit", &audit.endpoint)], &rules));
    let ids: Vec<String> =
        (0..5).map(|number| id(&post(node.listen, "", format!("{number}").as_bytes()).unwrap())).collect();
    until("all are over", || node.api("queues/hooks")["dead"] == 5);
    assert_eq!((shop.count(), audit.count()), (5, 15));
    let message = node.api(&format!("queues/hooks/messages/{}", ids[0]));
    assert_eq!(message["state"], "dead");
    let states: Vec<_> = message["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["receiver"].as_str().unwrap(),
                it["state"].as_str().unwrap(),
                it["attempts"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [("shop", "done", 1), ("audit", "dead", 3)]);
    let receivers = node.api("queues/hooks")["receivers"].clone();
    assert_eq!((&receivers[0]["dead"], &receivers[1]["dead"]), (&0.into(), &5.into()), "{receivers}");
    let told = node.client().get(&format!("/.well-known/nearside/messages/{}", ids[0])).unwrap().text();
    assert!(!told.contains("audit"), "who receives is the operator's: {told}");

    let order = json!({ "state": "dead", "receiver": "audit" }).to_string();
    let mut admin = crate::support::Client::connect(node.admin).unwrap();
    admin
        .send(format!(
            "POST /api/v1/queues/hooks/replay HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{order}",
            order.len()
        ))
        .unwrap();
    assert_eq!(admin.answer().unwrap().json()["replayed"], 5);
    until("all were tried again", || audit.count() == 30);
    until("all are over again", || node.api("queues/hooks")["dead"] == 5);
    assert_eq!(shop.count(), 5, "what is done stays done");
}
