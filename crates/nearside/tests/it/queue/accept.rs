//! A request becomes a message and is delivered as it came.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{OK, Receiver, Scene, id, quick};
use crate::support::{Behaviour, Endpoint, Gate, Message, Nearside, until};

#[test]
fn a_request_is_kept_and_delivered_as_it_came() {
    let gate = Gate::default();
    let held = gate.clone();
    let scene = Scene::start("", Receiver::start(move |_| held.pass().map(|()| OK.to_owned())));
    let fields = "X-One: 1\r\nx-one: two\r\nCookie: a=b\r\nContent-Type: text/x-odd; a=\"b\"\r\n\
                  Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n";
    let mut client = scene.node.client();
    let body = b"\x00\xffany bytes\r\n";
    client
        .send(
            [
                format!(
                    "PUT /hooks/%7Ein/?a=b&c=%20 HTTP/1.1\r\nHost: Shop.Test\r\n{fields}Content-Length: {}\r\n\r\n",
                    body.len()
                )
                .as_bytes(),
                body,
            ]
            .concat(),
        )
        .unwrap();
    let answer = client.answer().unwrap();
    let id = id(&answer);
    assert_eq!(answer.json()["queue"], "hooks");
    assert!(answer.has("content-type", "application/json"));
    let location = answer.field("location").unwrap().to_owned();
    assert_eq!(location, format!("/.well-known/nearside/messages/{id}"));
    scene.shop.until_count(1);
    assert_eq!(scene.until_state(&id, "running")["deliveries"][0]["state"], "running");
    gate.open();
    let told = scene.until_state(&id, "done");
    assert_eq!((&told["id"], &told["queue"]), (&id.as_str().into(), &"hooks".into()));
    assert_eq!(told["deliveries"][0]["attempts"][0]["status"], 200);

    let came = scene.shop.deliveries().remove(0);
    let request = &came.request;
    assert_eq!(request.start, "PUT /hooks/%7Ein/?a=b&c=%20 HTTP/1.1");
    assert_eq!(request.body, body);
    assert_eq!(request.all("x-one").collect::<Vec<_>>(), ["1", "two"]);
    assert_eq!(request.field("cookie"), Some("a=b"));
    assert_eq!(request.field("content-type"), Some("text/x-odd; a=\"b\""));
    assert!(request.field("host").unwrap().eq_ignore_ascii_case("shop.test"));
    for hop in ["x-hop", "keep-alive", "te"] {
        assert_eq!(request.field(hop), None, "{hop} is for one connection");
    }
    assert_eq!((came.id(), came.attempt()), (id.as_str(), 1));
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn each_method_and_an_empty_body_can_wait_too() {
    let scene = Scene::start("", Receiver::well());
    for method in ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS"] {
        let mut client = scene.node.client();
        client.send(format!("{method} /m HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
        let answer = if method == "HEAD" { client.answer_head() } else { client.answer() }.unwrap();
        assert_eq!(answer.status(), 202, "{method}");
        until("it is delivered", || {
            scene.shop.deliveries().iter().any(|came| came.request.start == format!("{method} /m HTTP/1.1"))
        });
    }
    let mut chunked = scene.node.client();
    chunked
        .send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .unwrap();
    scene.until_state(&id(&chunked.answer().unwrap()), "done");
    assert_eq!(scene.shop.deliveries().last().unwrap().body(), "abcde");
}

/// The signature of this delivery with this key, as Standard Webhooks has it.
fn signature(request: &Message, key: &[u8]) -> String {
    let (id, timestamp) = (request.field("webhook-id").unwrap(), request.field("webhook-timestamp").unwrap());
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &request.body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &signed);
    format!("v1,{}", STANDARD.encode(tag))
}

#[test]
fn deliveries_are_signed_with_each_secret_and_every_attempt_has_the_same_id() {
    let (new, old) = ([7_u8; 32], "an old secret of plain text");
    let sign = format!("sign = [\"whsec_{}\", \"{old}\"]\n{}", STANDARD.encode(new), quick(3));
    let answers = |request: &Message| {
        let first = request.field("nearside-attempt") == Some("1");
        Ok(if first { "500 -" } else { OK }.to_owned())
    };
    let scene = Scene::start(&sign, Receiver::start(answers));
    let forged = "webhook-id: mine\r\nwebhook-signature: v1,mine\r\nNearside-Attempt: 9\r\n";
    let id = scene.accepted(forged, "to be signed");
    scene.until_state(&id, "done");
    let came = scene.shop.deliveries();
    assert_eq!(came.iter().map(super::Delivery::attempt).collect::<Vec<_>>(), [1, 2]);
    for delivery in &came {
        let request = &delivery.request;
        let both = format!("{} {}", signature(request, &new), signature(request, old.as_bytes()));
        assert_eq!(request.all("webhook-signature").collect::<Vec<_>>(), [both]);
        assert_eq!(request.all("webhook-id").collect::<Vec<_>>(), [id.as_str()]);
        let timestamp: u64 = request.field("webhook-timestamp").unwrap().parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(timestamp) <= 60, "{timestamp}");
    }
}

#[test]
fn cloud_events_pass_unharmed_and_are_recognised() {
    let scene = Scene::start("", Receiver::well());
    let binary = "ce-specversion: 1.0\r\nce-id: e1\r\nce-source: /shop\r\nce-type: order.paid\r\n\
                  ce-custom: x\r\nContent-Type: application/json\r\n";
    let first = scene.accepted(binary, "{\"order\": 7}");
    scene.until_state(&first, "done");
    let came = scene.shop.deliveries().remove(0);
    assert_eq!(came.body(), "{\"order\": 7}");
    let named = [("ce-id", "e1"), ("ce-source", "/shop"), ("ce-type", "order.paid"), ("ce-custom", "x")];
    for (name, value) in named {
        assert_eq!(came.request.field(name), Some(value));
    }
    let structured = r#"{ "specversion": "1.0", "id": "e2", "source": "/shop", "type": "order.sent", "data": {"a": [1, 2]} }"#;
    let kind = "Content-Type: application/cloudevents+json; charset=utf-8\r\n";
    let second = scene.accepted(kind, structured);
    scene.until_state(&second, "done");
    assert_eq!(scene.shop.deliveries()[1].body(), structured);
    for (id, event, kind) in [(&first, "e1", "order.paid"), (&second, "e2", "order.sent")] {
        let shown = &scene.message(id)["event"];
        let wanted = serde_json::json!({ "source": "/shop", "type": kind, "id": event });
        assert_eq!(*shown, wanted);
    }
    assert_eq!(scene.accepted(binary, "{\"order\": 7}"), first, "its id tells that it is the same");
    assert_eq!(scene.accepted(kind, structured), second);
    super::assert_no_more(&scene.shop, 2);
}

#[test]
fn a_route_with_both_answers_at_once_only_if_that_is_preferred() {
    let shop = Endpoint::start(Behaviour::Body(b"now".to_vec()));
    let both = format!("{}service = \"shop\"\n", super::file(&[("shop", &shop)], ""));
    let node = Nearside::start(&both);
    let now = super::post(node.listen, "", b"x").unwrap();
    assert_eq!((now.status(), now.text().as_str()), (200, "now"));
    assert_eq!(now.field("preference-applied"), None);
    let later = super::post(node.listen, "Prefer: wait=5, respond-async\r\n", b"y").unwrap();
    assert_eq!(later.field("preference-applied"), Some("respond-async"));
    let id = id(&later);
    until("it is delivered", || shop.hits() == 2);
    let seen = shop.seen()[1].clone();
    assert_eq!((seen.text().as_str(), seen.field("webhook-id")), ("y", Some(id.as_str())));
    assert_eq!(seen.field("prefer"), None);
}
