//! A request's body as it comes in from a client over HTTP/1.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::net::tcp::ReadHalf;
use upstream::client::{Body, BodyError, Deadline, Inbox};
use wire::chunked::{Chunked, Step};
use wire::{Fields, Length};

/// How much of an unwanted body is read so that the connection can be kept.
pub(crate) const DRAINED: u64 = 64 * 1024;

enum Left {
    Exact(u64),
    Chunked(Box<Chunked>),
    Nothing,
}

/// The reader of one request's body.
pub(crate) struct Incoming<'a> {
    read: ReadHalf<'a>,
    inbox: &'a mut Inbox,
    deadline: &'a mut Deadline,
    length: Length,
    left: Left,
    trailers: Fields,
    /// The longest silence.
    idle: Duration,
    /// Bytes of it that a chunked body may have in all.
    limit: u64,
    /// Bytes of it that came.
    pub(crate) taken: u64,
    /// The client waits for `100 Continue` and hasn't been sent one.
    pub(crate) awaits_continue: bool,
    armed: bool,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(
        read: ReadHalf<'a>,
        inbox: &'a mut Inbox,
        deadline: &'a mut Deadline,
        length: Length,
        idle: Duration,
        limit: u64,
    ) -> Self {
        let left = match length {
            Length::Exact(0) | Length::UntilClose => Left::Nothing,
            Length::Exact(n) => Left::Exact(n),
            Length::Chunked => Left::Chunked(Box::default()),
        };
        let trailers = Fields::default();
        Incoming {
            read,
            inbox,
            deadline,
            length,
            left,
            trailers,
            idle,
            limit,
            taken: 0,
            awaits_continue: false,
            armed: false,
        }
    }

    /// Is all of it read?
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Will it surely be read within [`DRAINED`] bytes, so that the connection can be kept whatever
    /// the answer is?
    pub(crate) fn is_small(&self) -> bool {
        match self.left {
            Left::Nothing => true,
            Left::Exact(n) => n <= DRAINED && !self.awaits_continue,
            Left::Chunked(_) => false,
        }
    }

    /// Reads what is left and throws it away, up to [`DRAINED`] bytes; true if that was all.
    pub(crate) async fn drain(&mut self) -> bool {
        let most = self.taken + DRAINED;
        while self.taken <= most {
            match std::future::poll_fn(|cx| self.poll_piece(cx)).await {
                Ok(None) => return true,
                Ok(Some(_)) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Has the client closed its connection, with nothing sent that is yet unread? One that closes
    /// only its own direction counts as gone too; it can't be told apart.
    pub(crate) fn is_left(&self, cx: &mut Context<'_>) -> bool {
        let mut peek = || self.read.as_ref().poll_peek(cx, &mut ReadBuf::new(&mut [0; 1]));
        self.inbox.is_empty() && matches!(peek(), Poll::Ready(Ok(0) | Err(_)))
    }

    /// What the inbox holds of the body.
    fn next_piece(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if self.inbox.is_empty() {
                return Ok(None);
            }
            match &mut self.left {
                Left::Nothing => return Ok(None),
                Left::Exact(left) => {
                    let piece = self.inbox.split(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        self.left = Left::Nothing;
                    }
                    return Ok(Some(piece));
                }
                Left::Chunked(decoder) => match decoder.step(self.inbox.data())? {
                    Step::More => self.inbox.consume(usize::MAX),
                    Step::Data { skip, take } => {
                        self.inbox.consume(skip);
                        return Ok(Some(self.inbox.split(take)));
                    }
                    Step::End(used) => {
                        self.inbox.consume(used);
                        self.trailers = std::mem::take(decoder).into_trailers();
                        self.left = Left::Nothing;
                        return Ok(None);
                    }
                },
            }
        }
    }
}

impl Body for Incoming<'_> {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if let Some(piece) = self.next_piece()? {
                self.taken += piece.len() as u64;
                self.armed = false;
                if self.taken > self.limit {
                    return Poll::Ready(Err(BodyError::TooLarge));
                }
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.is_done() {
                self.deadline.clear();
                return Poll::Ready(Ok(None));
            }
            if !self.armed {
                self.deadline.set(self.idle);
                self.armed = true;
            }
            let Poll::Ready(filled) = self.inbox.poll_fill(cx, &mut self.read) else {
                ready!(self.deadline.poll_over(cx));
                return Poll::Ready(Err(BodyError::Timeout));
            };
            if filled.map_err(BodyError::Broken)? == 0 {
                return Poll::Ready(Err(BodyError::Closed));
            }
            self.awaits_continue = false; // it sends without waiting any longer
        }
    }

    fn trailers(&self) -> Option<&Fields> {
        Some(&self.trailers)
    }
}
