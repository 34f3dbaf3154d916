//! Bodies of messages: large, slow, broken; and of answers: large, slow, endless.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use upstream::client::{Body, BodyError};
use upstream::outside::{BODY, OutsideError};
use wire::Length;

use super::receiver::{Caller, Receiver, always};
use super::{Ask, plain, silent, tls};
use crate::support::until;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A body in pieces, given again after a rewind if that is allowed.
pub struct Pieces {
    pub all: Vec<&'static str>,
    pub left: VecDeque<&'static str>,
    pub length: Length,
    pub rewinds: bool,
    /// It ends in an error instead.
    pub breaks: bool,
}

impl Pieces {
    pub fn of(text: &'static str) -> Pieces {
        let length = Length::Exact(text.len() as u64);
        Pieces { all: vec![text], left: [text].into(), length, rewinds: true, breaks: false }
    }
}

impl Body for Pieces {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let piece = self.left.pop_front().map(|piece| Bytes::from_static(piece.as_bytes()));
        if piece.is_none() && self.breaks {
            return Poll::Ready(Err(BodyError::Closed));
        }
        Poll::Ready(Ok(piece))
    }

    fn can_rewind(&self) -> bool {
        self.rewinds
    }

    fn rewind(&mut self) -> bool {
        self.left = self.all.iter().copied().collect();
        self.rewinds
    }
}

/// Made as it is drawn. Counts how many of its bytes are in memory, and the most there ever were.
struct Large {
    left: usize,
    length: Length,
    alive: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

const PIECE: usize = 64 * 1024;
const LARGE: usize = 64 * 1024 * 1024;

struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), SeqCst);
    }
}

impl Large {
    fn new(length: Length) -> Large {
        Large { left: LARGE, length, alive: Arc::default(), most: Arc::default() }
    }
}

impl Body for Large {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if self.left == 0 {
            return Poll::Ready(Ok(None));
        }
        self.left -= PIECE;
        let alive = self.alive.fetch_add(PIECE, SeqCst) + PIECE;
        self.most.fetch_max(alive, SeqCst);
        Poll::Ready(Ok(Some(Bytes::from_owner(Counted(vec![b'x'; PIECE], self.alive.clone())))))
    }
}

/// Reads as many bytes as the body has, slowly at first; then answers.
async fn swallow(mut caller: Caller) {
    caller.head().await;
    // A client that doesn't wait for its receiver has time to fill the memory.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut left, mut piece) = (LARGE, vec![0; PIECE]);
    while left > 0 {
        let n = caller.io.read(&mut piece).await.unwrap();
        assert_ne!(n, 0, "it ended {left} bytes too early");
        left = left.saturating_sub(n);
    }
    caller.answer(OK).await;
}

#[tokio::test]
async fn a_large_body_is_never_in_memory_as_a_whole() {
    let authority = tls::Authority::new();
    let outside = authority.client(None);
    let plain = Receiver::start(swallow).await;
    let safe = Receiver::with(Some(authority.acceptor(&["127.0.0.1"])), swallow).await;
    for (receiver, length) in [(plain, Length::Chunked), (safe, Length::Exact(LARGE as u64))] {
        let body = Large::new(length);
        let most = body.most.clone();
        assert_eq!(Ask::with(body).send(&outside, &receiver.url("/")).await.unwrap().status, 200);
        let most = most.load(SeqCst);
        assert!((PIECE..=8 * PIECE).contains(&most), "{most} bytes at once, {length:?}");
    }
}

#[tokio::test]
async fn a_receiver_may_answer_before_it_has_the_whole_body() {
    let receiver = Receiver::start(|mut caller: Caller| async move {
        caller.head().await;
        caller.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let outside = plain();
    let body = Large::new(Length::Exact(LARGE as u64));
    let alive = body.alive.clone();
    assert_eq!(Ask::with(body).send(&outside, &receiver.url("/")).await.unwrap().status, 413);
    assert_eq!((outside.kept(), alive.load(SeqCst)), (0, 0), "half a request is left on no connection");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_the_cause_that_is_told() {
    let receiver = Receiver::start(always(OK)).await;
    let outside = plain();
    let broken = || Pieces { breaks: true, length: Length::Exact(9), ..Pieces::of("hello") };
    let failed = Ask::with(broken()).send(&outside, &receiver.url("/")).await;
    assert!(matches!(failed, Err(OutsideError::Body(BodyError::Closed))), "{failed:?}");
    super::status(&outside, &receiver.url("/")).await;
    assert_eq!(outside.kept(), 1);
    let failed = Ask::with(broken()).send(&outside, &receiver.url("/")).await;
    assert!(matches!(failed, Err(OutsideError::Body(BodyError::Closed))), "on a kept one: {failed:?}");
    let short = Pieces { length: Length::Exact(9), ..Pieces::of("hello") };
    let failed = Ask::with(short).send(&outside, &receiver.url("/")).await;
    assert!(matches!(failed, Err(OutsideError::Body(BodyError::Closed))), "too short: {failed:?}");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn bodies_of_any_framing_arrive() {
    let receiver = Receiver::start(always(OK)).await;
    let outside = plain();
    let chunked = Pieces { length: Length::Chunked, ..Pieces::of("hello") };
    let ask = Ask { method: "GET", ..Ask::with(chunked) };
    assert_eq!(ask.send(&outside, &receiver.url("/")).await.unwrap().status, 200);
    assert!(receiver.requests()[0].contains("\r\ntransfer-encoding: chunked\r\n"));
    let empty = Pieces::of("");
    Ask { method: "GET", ..Ask::with(empty) }.send(&outside, &receiver.url("/")).await.unwrap();
    assert!(receiver.requests().last().unwrap().contains("\r\ncontent-length: 0\r\n"));
}

#[tokio::test]
async fn of_a_large_answer_the_first_bytes_are_kept() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let receiver = Receiver::start(move |mut caller: Caller| {
        let count = count.clone();
        async move {
            caller.request().await;
            caller.answer(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while caller.io.write_all(&[b'x'; PIECE]).await.is_ok() {
                count.fetch_add(PIECE, SeqCst);
            }
            count.fetch_add(1, SeqCst);
        }
    })
    .await;
    let outside = plain();
    let got = Ask::default().send(&outside, &receiver.url("/")).await.unwrap();
    assert_eq!((got.status, got.body.len(), outside.kept()), (200, BODY, 0));
    until("the connection is closed", || sent.load(SeqCst) % PIECE == 1).await;
    let sent = sent.load(SeqCst);
    assert!(sent < 16 * 1024 * 1024, "{sent} bytes fitted into the sockets");
}

#[tokio::test]
async fn answers_within_the_limit_leave_the_connection_good() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n".to_vec();
    answer.extend([b'x'; 65536]);
    let receiver = Receiver::start(always(answer.leak())).await;
    let outside = plain();
    for _ in 0..3 {
        let got = Ask::default().send(&outside, &receiver.url("/")).await.unwrap();
        assert_eq!((got.status, got.body, outside.kept()), (200, vec![b'x'; BODY], 1));
    }
    assert_eq!(receiver.connections(), 1);
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-T: 1\r\n\r\n";
    let receiver = Receiver::start(always(chunked)).await;
    let got = Ask::default().send(&outside, &receiver.url("/")).await.unwrap();
    assert_eq!((&got.body[..], outside.kept()), (&b"abc"[..], 2));
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let receiver = Receiver::start(|mut caller: Caller| async move {
        caller.request().await;
        caller.answer(b"HTTP/1.0 202 OK\r\n\r\nto the end").await;
    })
    .await;
    let got = Ask::default().send(&plain(), &receiver.url("/")).await.unwrap();
    assert_eq!((got.status, &got.body[..]), (202, &b"to the end"[..]));
}

#[tokio::test]
async fn a_status_counts_even_if_its_body_breaks_off_or_never_ends() {
    for stays in [false, true] {
        let receiver = Receiver::start(move |mut caller: Caller| async move {
            caller.request().await;
            caller.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
            if stays {
                std::future::pending::<()>().await;
            }
        })
        .await;
        let outside = plain();
        let ask = Ask { time: Duration::from_millis(if stays { 300 } else { 30_000 }), ..Ask::default() };
        let got = ask.send(&outside, &receiver.url("/")).await.unwrap();
        assert_eq!((got.status, &got.body[..], outside.kept()), (200, &b"half"[..], 0));
    }
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_left() {
    let receiver = Receiver::start(silent).await;
    let outside = plain();
    let ask = Ask { time: Duration::from_millis(200), ..Ask::default() };
    let failed = ask.send(&outside, &receiver.url("/")).await.unwrap_err();
    assert!(matches!(failed, OutsideError::Timeout) && failed.is_worth_a_retry(), "{failed}");
    assert_eq!(outside.kept(), 0);
}
