//! A disk that is full: 507 till deliveries have made room, without a restart. A disk that fails while it
//! is synced needs a device that lies; the engine's simulation has those.

use super::{OK, Receiver, Scene, file, id};
use crate::support::{Gate, Nearside, until, with_little_room};

#[test]
fn a_full_disk_refuses_till_deliveries_have_made_room() {
    let gate = Gate::default();
    let held = gate.clone();
    let shop = Receiver::start(move |_| held.pass().map(|()| OK.to_owned()));
    let config = file(&[("shop", &shop.endpoint)], "keep = { done = \"0s\" }");
    let node = Nearside::start_by(&config, &["--grace", "0s"], |command, _| {
        with_little_room(&command, "nearside-data/queues", "200m")
    });
    let scene = Scene { node, shop };
    let body = vec![b'x'; 1 << 20];
    let mut accepted = Vec::new();
    let refused = loop {
        let answer = scene.send("", &body);
        if answer.status() != 202 {
            break answer;
        }
        accepted.push(id(&answer));
        assert!(accepted.len() < 200, "more than there is room for");
    };
    assert_eq!(refused.status(), 507, "{}", refused.text());
    assert!(refused.field("retry-after").is_some());
    assert!(accepted.len() > 20, "{}", accepted.len());
    until("it is told", || scene.node.counted("nearside_log_trouble") == 1);
    gate.open();
    until("it accepts again", || scene.send("", "small").status() == 202);
    until("all are delivered", || {
        let came: std::collections::BTreeSet<String> =
            scene.shop.deliveries().iter().map(|it| it.id().to_owned()).collect();
        accepted.iter().all(|id| came.contains(id))
    });
    until("large ones are accepted again", || scene.send("", &body).status() == 202);
    until("there is no trouble", || scene.node.counted("nearside_log_trouble") == 0);
}
