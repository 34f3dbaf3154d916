//! Deliveries to plain URLs, with receivers of our own that answer well and badly.

mod addresses;
mod bodies;
mod kept;
mod receiver;
mod refusals;
mod tls;

use std::time::Duration;

use upstream::client::Body;
use upstream::outside::{Outside, OutsideAnswer, OutsideError, OutsideRequest, Target, Trust};

use receiver::{Caller, Receiver, always};

/// A client that trusts nobody's certificates.
fn plain() -> Outside {
    Outside::new(Trust::only([]).unwrap(), None)
}

/// What the tests change of a request: a POST to a local receiver with time enough.
struct Ask {
    method: &'static str,
    fields: &'static [u8],
    body: Option<Box<dyn Body>>,
    time: Duration,
    connect: Duration,
    allow_private: bool,
}

impl Default for Ask {
    fn default() -> Self {
        let time = Duration::from_secs(30);
        Ask { method: "POST", fields: b"", body: None, time, connect: time, allow_private: true }
    }
}

impl Ask {
    fn with(body: impl Body + 'static) -> Self {
        Ask { body: Some(Box::new(body)), ..Ask::default() }
    }

    async fn send(self, outside: &Outside, url: &str) -> Result<OutsideAnswer, OutsideError> {
        let target = Target::parse(url)?;
        let Ask { method, fields, body, time, connect, allow_private } = self;
        let path = "/own?x=y";
        let target = &target;
        let request = OutsideRequest { target, method, path, fields, body, time, connect, allow_private };
        outside.send(request).await
    }
}

/// The status that a plain request gets.
async fn status(outside: &Outside, url: &str) -> u16 {
    Ask::default().send(outside, url).await.unwrap().status
}

#[tokio::test]
async fn a_request_arrives_and_its_answer_comes_back() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
        HTTP/1.1 429 Slow Down\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nlate";
    let receiver = Receiver::start(always(answer)).await;
    let ask =
        Ask { fields: b"Webhook-Id: 7\r\nConnection: upgrade\r\n", ..Ask::with(bodies::Pieces::of("hello")) };
    let got = ask.send(&plain(), &receiver.url("/in")).await.unwrap();
    assert_eq!((got.status, &got.body[..]), (429, &b"late"[..]));
    assert_eq!(got.fields.get(wire::Known::RetryAfter), Some(&b"120"[..]));
    let expected = format!(
        "POST /in HTTP/1.1\r\nwebhook-id: 7\r\nhost: {}\r\ncontent-length: 5\r\n\r\nhello",
        receiver.address
    );
    assert_eq!(receiver.requests(), [expected]);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let receiver =
        Receiver::start(always(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"))
            .await;
    let got = Ask { method: "GET", ..Ask::default() }.send(&plain(), &receiver.url("")).await.unwrap();
    assert_eq!(got.status, 302);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("GET /own?x=y HTTP/1.1\r\nhost: "), "{}", requests[0]);
}

#[tokio::test]
async fn answers_without_a_body_end_at_their_head() {
    let receiver = Receiver::start(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")).await;
    let outside = plain();
    let got = Ask { method: "HEAD", ..Ask::default() }.send(&outside, &receiver.url("/")).await.unwrap();
    assert_eq!((got.status, got.body.len(), outside.kept()), (200, 0, 1));
    let receiver = Receiver::start(always(b"HTTP/1.1 204 None\r\n\r\n")).await;
    assert_eq!(status(&outside, &receiver.url("/")).await, 204);
    assert_eq!(outside.kept(), 2);
}

#[tokio::test]
async fn it_serves_many_tasks_and_threads_at_once() {
    fn is_shared<T: Send + Sync + 'static>(_: &T) {}
    let outside = std::sync::Arc::new(plain());
    is_shared(&outside);
    let receiver = Receiver::start(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let asked = (0..100).map(|_| {
        let (outside, url) = (outside.clone(), receiver.url("/"));
        tokio::spawn(async move { status(&outside, &url).await })
    });
    for asked in asked.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), 200);
    }
    let kept = outside.kept();
    assert!((1..=64).contains(&kept), "{kept}");
    assert_eq!(receiver.requests().len(), 100);
}

/// Reads one request and never answers.
async fn silent(mut caller: Caller) {
    caller.request().await;
    std::future::pending::<()>().await;
}
