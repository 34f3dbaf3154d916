//! Receivers that don't speak HTTP/1.1, or too much of it.

use upstream::outside::OutsideError;

use super::receiver::{Caller, Receiver};
use super::{Ask, plain};

async fn answered_with(bytes: Vec<u8>) -> OutsideError {
    let receiver = Receiver::start(move |mut caller: Caller| {
        let bytes = bytes.clone();
        async move {
            caller.request().await;
            // It may hang up before it has heard all.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut caller.io, &bytes).await;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let outside = plain();
    let failed = Ask::default().send(&outside, &receiver.url("/")).await.unwrap_err();
    assert_eq!(outside.kept(), 0);
    failed
}

#[tokio::test]
async fn what_is_not_http_is_told_from_silence() {
    let fields = "a: b\r\n".repeat(300);
    for bad in [
        "220 mail.test ready\r\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
        format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(200_000)),
        "HTTP/2 200\r\n\r\n".to_owned(),
    ] {
        let failed = answered_with(bad.clone().into_bytes()).await;
        assert!(matches!(failed, OutsideError::BadAnswer(_)), "{failed:?} for {bad:.60}");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_up_is_told_from_one_that_answers_nonsense() {
    let receiver = Receiver::start(|mut caller: Caller| async move {
        caller.request().await;
    })
    .await;
    let failed = Ask::default().send(&plain(), &receiver.url("/")).await.unwrap_err();
    assert!(matches!(failed, OutsideError::Closed) && failed.is_worth_a_retry(), "{failed}");
    assert_eq!(receiver.connections(), 1, "a new connection that fails is the caller's to judge");
}

#[tokio::test]
async fn what_cannot_be_right_next_time_is_not_worth_a_retry() {
    let outside = plain();
    let failed = Ask { method: "CONNECT", ..Ask::default() }.send(&outside, "http://127.0.0.1:1/").await;
    assert!(!failed.unwrap_err().is_worth_a_retry());
    let failed = Ask::default().send(&outside, "ftp://127.0.0.1:1/").await.unwrap_err();
    assert_eq!(failed.to_string(), "the URL can't be used: it doesn't begin with https:// or http://");
    assert!(!failed.is_worth_a_retry());
    let failed = Ask { allow_private: false, ..Ask::default() }.send(&outside, "http://127.0.0.1:1/").await;
    assert!(!failed.unwrap_err().is_worth_a_retry());
}
