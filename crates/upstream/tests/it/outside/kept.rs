//! Connections that are kept, and what becomes of a request when one of them was closed meanwhile.

use std::time::Duration;

use upstream::clock;
use upstream::outside::OutsideError;

use super::bodies::Pieces;
use super::receiver::{Caller, Receiver, always};
use super::{Ask, plain, status, tls};
use crate::support::until;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_connection_is_used_again() {
    let authority = tls::Authority::new();
    let safe = Receiver::with(Some(authority.acceptor(&["127.0.0.1"])), always(OK)).await;
    let (plain, outside) = (Receiver::start(always(OK)).await, authority.client(None));
    for receiver in [&plain, &safe, &plain, &safe, &plain, &safe] {
        let ask = Ask::with(Pieces::of("hello"));
        assert_eq!(ask.send(&outside, &receiver.url("/")).await.unwrap().status, 200);
    }
    assert_eq!((plain.connections(), safe.connections(), outside.kept()), (1, 1, 2));
    assert_eq!((plain.requests().len(), safe.requests().len()), (3, 3));
}

#[tokio::test]
async fn a_connection_that_the_receiver_won_t_keep_is_not_kept() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let receiver = Receiver::start(always(answer)).await;
        let outside = plain();
        assert_eq!(status(&outside, &receiver.url("/")).await, 200);
        assert_eq!(outside.kept(), 0);
    }
}

/// Answers one request on each connection and closes it, before or after it has read a second one.
async fn one_each(mut caller: Caller, before: bool, last_words: &'static [u8]) {
    caller.request().await;
    caller.answer(OK).await;
    if !before && caller.request().await {
        caller.answer(last_words).await;
    }
}

#[tokio::test]
async fn a_request_goes_out_again_if_its_connection_was_closed_while_it_was_kept() {
    for before in [true, false] {
        let receiver = Receiver::start(move |caller| one_each(caller, before, b"")).await;
        let outside = plain();
        for _ in 0..2 {
            let ask = Ask::with(Pieces::of("hello"));
            assert_eq!(ask.send(&outside, &receiver.url("/")).await.unwrap().status, 200);
        }
        assert_eq!(receiver.connections(), 2);
        let requests = receiver.requests();
        assert!(requests.iter().all(|request| request.ends_with("\r\n\r\nhello")), "{requests:?}");
        let expected = if before { 2..=3 } else { 3..=3 };
        assert!(expected.contains(&requests.len()), "{requests:?}");
    }
}

#[tokio::test]
async fn it_goes_out_once_more_and_not_twice() {
    let receiver = Receiver::start(|mut caller: Caller| async move {
        if caller.request().await && caller.nth == 0 {
            caller.answer(OK).await;
            caller.request().await;
        }
    })
    .await;
    let outside = plain();
    assert_eq!(status(&outside, &receiver.url("/")).await, 200);
    let failed = Ask::default().send(&outside, &receiver.url("/")).await;
    assert!(matches!(failed, Err(OutsideError::Closed)), "{failed:?}");
    assert_eq!((receiver.connections(), receiver.requests().len()), (2, 3));
}

#[tokio::test]
async fn it_does_not_go_out_again_if_something_was_answered_or_its_body_is_gone() {
    let cut: &[u8] = b"HTTP/1.1 200 O";
    let interim = b"HTTP/1.1 102 Processing\r\n\r\n";
    for (last_words, rewinds) in [(cut, true), (interim, true), (b"", false)] {
        let receiver = Receiver::start(move |caller| one_each(caller, false, last_words)).await;
        let outside = plain();
        assert_eq!(status(&outside, &receiver.url("/")).await, 200);
        let ask = Ask::with(Pieces { rewinds, ..Pieces::of("hello") });
        let failed = ask.send(&outside, &receiver.url("/")).await;
        assert!(matches!(failed, Err(OutsideError::Closed)), "{failed:?}");
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn a_connection_on_which_something_came_unasked_is_closed() {
    let receiver = Receiver::start(|mut caller: Caller| async move {
        while caller.request().await {
            caller.answer(OK).await;
            caller.answer(b"HTTP/1.1 408 Too Slow\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let outside = plain();
    for _ in 0..3 {
        let ask = Ask::with(Pieces::of("hello"));
        assert_eq!(ask.send(&outside, &receiver.url("/")).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn so_many_are_kept_and_only_for_so_long() {
    let outside = std::sync::Arc::new(plain());
    let (open, _) = tokio::sync::watch::channel(false);
    let gate = open.clone();
    let receiver = Receiver::start(move |mut caller: Caller| {
        let mut gate = gate.subscribe();
        async move {
            caller.request().await;
            gate.wait_for(|&open| open).await.unwrap();
            caller.answer(OK).await;
            caller.request().await;
        }
    })
    .await;
    let asked: Vec<_> = (0..70)
        .map(|_| {
            let (outside, url) = (outside.clone(), receiver.url("/"));
            tokio::spawn(async move { status(&outside, &url).await })
        })
        .collect();
    until("all are there", || receiver.requests().len() == 70).await;
    open.send_replace(true);
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 200);
    }
    assert_eq!(outside.kept(), 64);
    let later = |seconds| clock::now() + clock::nanos(Duration::from_secs(seconds));
    outside.sweep(later(60));
    assert_eq!(outside.kept(), 64);
    outside.sweep(later(90));
    assert_eq!(outside.kept(), 0);
}
