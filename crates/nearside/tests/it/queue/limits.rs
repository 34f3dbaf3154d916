//! What isn't accepted, and what it is told.

use super::{OK, Receiver, Scene, file, id, post};
use crate::support::{Client, Gate, Nearside, until};

#[test]
fn a_full_queue_accepts_nothing_till_there_is_room() {
    let gate = Gate::default();
    let held = gate.clone();
    let shop = Receiver::start(move |_| held.pass().map(|()| OK.to_owned()));
    let scene = Scene::start("full = \"1MiB\"\nkeep = { done = \"0s\" }", shop);
    let body = vec![b'x'; 200 * 1024];
    let mut accepted = 0;
    let refused = loop {
        let answer = scene.send("", &body);
        if answer.status() != 202 {
            break answer;
        }
        accepted += 1;
        assert!(accepted <= 5, "what is over 1 MiB isn't kept");
    };
    assert_eq!((refused.status(), accepted), (507, 5), "{}", refused.text());
    assert!(refused.has("content-type", "application/problem+json"));
    assert!(refused.field("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    let large = scene.send("", vec![b'y'; 2 << 20]);
    assert_eq!(large.status(), 507, "also one that would be written in pieces");
    assert_eq!(scene.queue()["counters"]["refused"]["full"], 2);
    gate.open();
    until("there is room again", || scene.send("", &body).status() == 202);
    scene.until_quiet();
    until("nothing is kept", || scene.queue()["bytes"] == 0);
    assert!(scene.shop.deliveries().iter().all(|it| it.request.body == body));
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let shop = Receiver::well();
    let node =
        Nearside::start(&format!("[limits]\nbody = \"64KiB\"\n\n{}", file(&[("shop", &shop.endpoint)], "")));
    let refused = post(node.listen, "", &vec![0; (64 << 10) + 1]).unwrap();
    assert_eq!(refused.status(), 413);
    let mut client = node.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    // The answer may come, and the connection end, before all is sent.
    let _closed = (0..6).try_for_each(|_| client.send(&chunk));
    assert_eq!(client.answer().unwrap().status(), 413);
    let taken = id(&post(node.listen, "", &vec![1; 64 << 10]).unwrap());
    until("it is delivered", || shop.count() == 1);
    assert_eq!(shop.deliveries()[0].id(), taken);
    assert_eq!(node.api("queues/hooks")["counters"]["accepted"], 1);
}

#[test]
fn any_bytes_in_fields_are_passed_on_or_refused() {
    let scene = Scene::start("", Receiver::well());
    let send = |head: &[u8]| {
        let mut client = scene.node.client();
        client
            .send([b"POST /x HTTP/1.1\r\nHost: a\r\n", head, b"Content-Length: 1\r\n\r\nx"].concat())
            .unwrap();
        client.answer().unwrap()
    };
    // What is above ASCII is allowed in values (RFC 9110 §5.5), be it UTF-8 or not.
    for odd in [
        &b"X-Odd: \xff\xfe\r\n"[..],
        b"Idempotency-Key: \xff\r\n",
        b"ce-id: \xff\r\nce-source: \xc3\r\nce-type: t\r\nce-specversion: 1.0\r\n",
    ] {
        let answer = send(odd);
        scene.until_state(&id(&answer), "done");
    }
    for wrong in
        [&b"X-Odd: \x00\r\n"[..], b"X Odd: 1\r\n", b"Nearside-Delay: \xff\r\n", b"Nearside-Hops: \xff\r\n"]
    {
        let status = send(wrong).status();
        assert!(matches!(status, 400 | 508), "{}: {status}", wrong.escape_ascii());
    }
    let giant = format!("X-Giant: {}\r\n", "x".repeat(64 << 10));
    assert_eq!(send(giant.as_bytes()).status(), 431);
    let many = "X-Many: 1\r\n".repeat(200);
    assert_eq!(send(many.as_bytes()).status(), 431);
    assert_eq!(scene.queue()["counters"]["accepted"], 3);
}

#[test]
fn an_id_that_is_none_is_told_nothing() {
    let scene = Scene::start("", Receiver::well());
    let known = scene.accepted("", "x");
    assert_eq!(scene.told(&known).0, 200);
    let last = if known.ends_with('0') { '1' } else { '0' };
    let forged = format!("{}{last}", &known[..known.len() - 1]);
    let upper = known.to_uppercase();
    for id in [&forged, &upper, "", "msg_", "msg_1", "%ff", &"x".repeat(5000), &format!("{known}/more")] {
        assert_eq!(scene.told(id).0, 404, "{id}");
    }
    let answer =
        scene.node.client().ask("DELETE", &format!("/.well-known/nearside/messages/{known}"), b"").unwrap();
    assert_eq!(answer.status(), 405);
}

#[test]
fn a_queue_that_delivers_to_itself_stops() {
    let elsewhere = Receiver::well();
    let rules = super::quick(2);
    let with = |url: &str| {
        format!(
            "[service.shop]\nendpoints = [\"{url}\"]\n\n[queue.hooks]\ndeliver = [\"shop\"]\n{rules}\n\n\
             [[route]]\npath = \"/\"\nqueue = \"hooks\"\n"
        )
    };
    let node = Nearside::start(&with(&elsewhere.endpoint.url()));
    node.rewrite(&with(&format!("http://{}", node.listen)));
    let reloaded = Client::connect(node.admin).unwrap().ask("POST", "/api/v1/reload", b"").unwrap();
    assert!(reloaded.status() < 300, "{}", reloaded.text());
    let looped = id(&post(node.listen, "", b"round and round").unwrap());
    let shown = || node.api(&format!("queues/hooks/messages/{looped}"));
    until("it is given up", || shown()["state"] == "dead");
    let delivery = shown()["deliveries"][0].clone();
    assert_eq!(delivery["history"][0]["status"], 508, "{delivery}");
    assert!(delivery["answer"]["text"].as_str().unwrap().contains("already came through"), "{delivery}");
    assert_eq!(node.api("queues/hooks")["counters"]["accepted"], 1);
}
