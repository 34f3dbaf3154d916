//! One request and its answer on one connection.
//!
//! Sending and receiving go on side by side in one task: an endpoint may answer before it has the
//! whole body, and a client may send its body only after an interim answer. Each `poll_…` first moves
//! the request on, then the answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wire::chunked::{BadChunk, Chunked, Step};
use wire::head::{Limits, may_be_whole};
use wire::{BadHead, Fields, Length, Method, ResponseHead, framing, write};

use super::conn::Conn;
use super::pool;
use crate::clock;

/// What an answer's head may take up.
pub const HEAD: Limits = Limits { bytes: 64 * 1024, fields: 256 };

/// Interim answers before a final one; an endpoint that sends more never means to end.
const INTERIM: u32 = 32;

/// A request's body, from wherever it comes.
pub trait Body: Send {
    /// Its length as the request's head says.
    fn length(&self) -> Length;
    /// The next bytes, never empty; none at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>>;
    /// Could [`Body::rewind`] be done?
    fn can_rewind(&self) -> bool {
        false
    }
    /// Starts again from the first byte, for another try; false if that can't be done.
    fn rewind(&mut self) -> bool {
        false
    }
    /// Trailers, once it ended.
    fn trailers(&self) -> Option<&Fields> {
        None
    }
}

impl<B: Body> Body for Box<B> {
    fn length(&self) -> Length {
        (**self).length()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        (**self).poll_piece(cx)
    }

    fn can_rewind(&self) -> bool {
        (**self).can_rewind()
    }

    fn rewind(&mut self) -> bool {
        (**self).rewind()
    }

    fn trailers(&self) -> Option<&Fields> {
        (**self).trailers()
    }
}

/// Why a request's body ended before its end: always the client's doing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BodyError {
    #[error("the client's connection broke while its request was being sent: {0}")]
    Broken(#[source] io::Error),
    #[error("the client closed its connection before its request was whole")]
    Closed,
    #[error("the request's body is larger than this node takes")]
    TooLarge,
    #[error("the request's body stopped coming")]
    Timeout,
    #[error("the request's body: {0}")]
    Chunk(#[from] BadChunk),
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Failed {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("the connection broke before the answer was whole: {0}")]
    Broken(#[source] io::Error),
    #[error("the endpoint closed the connection before its answer was whole")]
    Closed,
    #[error("no answer in time")]
    Timeout,
    #[error("the answer's head isn't HTTP/1.1: {0}")]
    BadHead(#[from] BadHead),
    #[error("too many interim answers before a final one")]
    Interim,
    #[error("the answer's body: {0}")]
    BadChunk(#[from] BadChunk),
    #[error(transparent)]
    Client(#[from] BodyError),
}

/// How the answer's body is read.
enum Reading {
    Head,
    Exact(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Done,
}

/// The request on its way out.
struct Sending<'h, B> {
    head: &'h [u8],
    /// None: the request has none.
    body: Option<B>,
    /// All of the body was taken from it.
    drawn: bool,
    chunked: bool,
    /// A chunk's size line, or the last chunk.
    frame: Vec<u8>,
    piece: Bytes,
    tail: &'static [u8],
    done: bool,
    /// It is the client's body that is waited for, not the connection.
    starved: bool,
    /// Bytes that the connection took.
    sent: u64,
    error: Option<io::Error>,
}

/// An exchange under way.
pub struct Exchange<'h, B> {
    conn: Conn,
    sending: Sending<'h, B>,
    reading: Reading,
    /// Bytes of the inbox that hold no whole head.
    seen: usize,
    keep: bool,
    /// The longest wait for the answer's head.
    response: Duration,
    idle: Duration,
    trailers: Fields,
    /// Interim answers so far.
    interim: u32,
    /// Since when the answer is awaited: that the request was sent, or began to be. Nanoseconds of [`clock`].
    since: u64,
}

impl<'h, B: Body> Exchange<'h, B> {
    /// Begins to send `head` (all of it, framing fields included) and then `body` on `conn`.
    /// `response`: the longest wait for the answer's head once the request is sent; `idle`: between
    /// two signs of life while a body moves.
    pub fn new(
        conn: Conn,
        head: &'h [u8],
        body: Option<B>,
        response: Duration,
        idle: Duration,
    ) -> Exchange<'h, B> {
        let chunked = body.as_ref().is_some_and(|b| b.length() == Length::Chunked);
        let sending = Sending {
            head,
            drawn: body.is_none(),
            body,
            chunked,
            frame: Vec::new(),
            piece: Bytes::new(),
            tail: b"",
            done: false,
            starved: false,
            sent: 0,
            error: None,
        };
        let mut exchange = Exchange {
            conn,
            sending,
            reading: Reading::Head,
            seen: 0,
            keep: false,
            response,
            idle,
            trailers: Fields::default(),
            interim: 0,
            since: 0,
        };
        if !exchange.sending.drawn {
            exchange.since = clock::now();
        }
        exchange.conn.used += 1;
        exchange.conn.deadline.set(idle);
        exchange
    }

    /// Was this connection used before? Then the endpoint may have closed it while it was kept.
    pub fn is_reused(&self) -> bool {
        self.conn.used > 1
    }

    /// Did nothing of the request leave, so that even a POST may be sent again?
    pub fn nothing_sent(&self) -> bool {
        self.sending.sent == 0
    }

    /// Reads the next head into `head`: an interim answer's (then call again) or the final one's.
    ///
    /// # Errors
    /// [`Failed`]; the exchange is over.
    pub async fn head(&mut self, head: &mut ResponseHead, method: Method) -> Result<(), Failed> {
        std::future::poll_fn(|cx| self.poll_head(cx, head)).await?;
        if head.status >= 200 || head.status == 101 {
            let length = framing::of_answer(head, method)?;
            self.keep = length != Length::UntilClose && framing::keeps_alive(head.version, &head.fields);
            self.reading = match length {
                Length::Exact(0) => Reading::Done,
                Length::Exact(n) => Reading::Exact(n),
                Length::Chunked => Reading::Chunked(Box::default()),
                Length::UntilClose => Reading::UntilClose,
            };
            self.conn.deadline.set(self.idle);
        } else {
            self.interim += 1;
            if self.interim > INTERIM {
                return Err(Failed::Interim);
            }
        }
        Ok(())
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Failed>> {
        self.poll_send(cx)?;
        loop {
            let data = self.conn.inbox.data();
            if !data.is_empty() && (self.seen == 0 || may_be_whole(data, self.seen)) {
                if let Some(len) = head.read(data, HEAD)? {
                    self.conn.inbox.consume(len);
                    self.seen = 0;
                    return Poll::Ready(Ok(()));
                }
            } else if data.len() >= HEAD.bytes {
                return Poll::Ready(Err(BadHead::TooLarge.into()));
            }
            self.seen = data.len();
            ready!(self.poll_fill(cx))?;
        }
    }

    /// More bytes from the endpoint, within the time limit; the end of its stream is an error.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        match self.conn.poll_fill(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(self.broken(Failed::Closed))),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.broken(Failed::Broken(error)))),
            Poll::Pending => self.conn.deadline.poll_over(cx).map(|()| Err(Failed::Timeout)),
        }
    }

    /// If sending failed before, that is the truer cause.
    fn broken(&mut self, seen: Failed) -> Failed {
        self.sending.error.take().map_or(seen, Failed::Broken)
    }

    /// The next bytes of the answer's body, never empty; none at the end.
    ///
    /// # Errors
    /// [`Failed`]; what came before is not the whole body.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failed>> {
        self.poll_send(cx)?;
        loop {
            if let Some(piece) = self.next_piece()? {
                self.conn.deadline.set(self.idle);
                return Poll::Ready(Ok(Some(piece)));
            }
            match self.reading {
                Reading::Done => return Poll::Ready(Ok(None)),
                Reading::UntilClose => match ready!(self.poll_fill(cx)) {
                    Err(Failed::Closed) => self.reading = Reading::Done,
                    other => other?,
                },
                _ => ready!(self.poll_fill(cx))?,
            }
        }
    }

    /// What the inbox holds of the body.
    fn next_piece(&mut self) -> Result<Option<Bytes>, Failed> {
        let inbox = &mut self.conn.inbox;
        loop {
            if inbox.is_empty() {
                return Ok(None);
            }
            match &mut self.reading {
                Reading::Head | Reading::Done => return Ok(None),
                Reading::UntilClose => return Ok(Some(inbox.split(usize::MAX))),
                Reading::Exact(left) => {
                    let piece = inbox.split(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        self.reading = Reading::Done;
                    }
                    return Ok(Some(piece));
                }
                Reading::Chunked(decoder) => match decoder.step(inbox.data())? {
                    Step::More => inbox.consume(usize::MAX),
                    Step::Data { skip, take } => {
                        inbox.consume(skip);
                        return Ok(Some(inbox.split(take)));
                    }
                    Step::End(used) => {
                        inbox.consume(used);
                        self.trailers = std::mem::take(decoder).into_trailers();
                        self.reading = Reading::Done;
                        return Ok(None);
                    }
                },
            }
        }
    }

    /// [`Exchange::poll_piece`] as a future.
    ///
    /// # Errors
    /// As there.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failed> {
        // Since the last one the client may have taken its time; that is not the endpoint's.
        self.conn.deadline.set(self.idle);
        std::future::poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// How many bytes of body are still to come, if the head said so.
    pub fn remaining(&self) -> Option<u64> {
        match self.reading {
            Reading::Done => Some(0),
            Reading::Exact(left) => Some(left),
            _ => None,
        }
    }

    /// The answer's trailers, once its body ended; none came if it is empty.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Ends it: a connection that both sides left in order is kept for `idle`. Gives the request's
    /// body back.
    pub fn release(self, key: u64, now: u64) -> Option<B> {
        let whole =
            matches!(self.reading, Reading::Done) && self.sending.done && self.sending.error.is_none();
        if whole && self.keep && self.conn.inbox.is_empty() {
            let idle = self.idle;
            let mut conn = self.conn;
            conn.deadline.clear();
            pool::put(key, conn, now, idle);
        }
        self.sending.body
    }

    /// Ends it and closes the connection. Gives the request's body back.
    pub fn abandon(self) -> Option<B> {
        self.sending.body
    }

    /// The bare connection, after 101 (RFC 9110 §7.8), and what came behind the head.
    pub fn into_tunnel(self) -> (tokio::net::TcpStream, Bytes) {
        self.conn.into_tunnel()
    }

    /// Did all of the request leave?
    pub fn is_sent(&self) -> bool {
        self.sending.done && self.sending.error.is_none()
    }

    /// How long the endpoint has taken since the request was sent, in nanoseconds.
    pub fn waited(&self) -> u64 {
        clock::now().saturating_sub(self.since)
    }

    /// Could the request be sent again from its start?
    pub fn can_repeat(&self) -> bool {
        self.sending.body.as_ref().is_none_or(Body::can_rewind)
    }

    /// Did nothing of an answer arrive?
    pub fn heard_nothing(&self) -> bool {
        matches!(self.reading, Reading::Head) && self.conn.inbox.is_empty() && self.interim == 0
    }

    /// Moves the request on while its answer is being passed on, so that neither waits for the other.
    ///
    /// # Errors
    /// [`Failed::Client`].
    pub fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Failed> {
        self.poll_send(cx)
    }

    /// Moves the request on as far as it goes now. A connection that takes no more is no error yet:
    /// the endpoint may have answered before it closed.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Failed> {
        if self.sending.done {
            return Ok(());
        }
        let (before, was_starved) = (self.sending.sent, self.sending.starved);
        self.sending.starved = false;
        if let Poll::Ready(result) = self.sending.poll(cx, &mut self.conn.stream) {
            self.sending.done = true;
            self.since = clock::now();
            if let Err(error) = result? {
                self.sending.error = Some(error);
            }
            let wait = if matches!(self.reading, Reading::Head) { self.response } else { self.idle };
            self.conn.deadline.set(wait);
        } else if self.sending.starved {
            // The client has its own time limit, and its endpoint is not to blame.
            self.conn.deadline.clear();
        } else if self.sending.sent != before || was_starved {
            self.conn.deadline.set(self.idle);
        }
        Ok(())
    }
}

impl<B: Body> Sending<'_, B> {
    /// Outer error: the client's body; inner: the endpoint's connection.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut tokio::net::TcpStream,
    ) -> Poll<Result<io::Result<()>, BodyError>> {
        loop {
            // Before the first write too, so that a small body leaves with its head.
            if self.piece.is_empty() && self.frame.is_empty() && !self.drawn {
                let next = self.poll_body(cx)?;
                if next.is_pending() && self.head.is_empty() && self.tail.is_empty() {
                    self.starved = true;
                    return Poll::Pending;
                }
            }
            if self.head.is_empty() && self.frame.is_empty() && self.piece.is_empty() && self.tail.is_empty()
            {
                if self.drawn {
                    return Poll::Ready(Ok(Ok(())));
                }
                continue;
            }
            match ready!(self.poll_write(cx, stream)) {
                Ok(0) => return Poll::Ready(Ok(Err(io::ErrorKind::WriteZero.into()))),
                Ok(n) => self.advance(n),
                Err(error) => return Poll::Ready(Ok(Err(error))),
            }
        }
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        stream: &mut tokio::net::TcpStream,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.frame.is_empty() && self.piece.is_empty() && self.tail.is_empty() {
            return stream.poll_write(cx, self.head);
        }
        // The tail of a piece that is gone goes before the frame of the next one.
        let old_tail = if self.piece.is_empty() { self.tail } else { b"" };
        let new_tail = if self.piece.is_empty() { b"" } else { self.tail };
        let slices = [self.head, old_tail, &self.frame, &self.piece, new_tail].map(IoSlice::new);
        stream.poll_write_vectored(cx, &slices)
    }

    fn advance(&mut self, mut n: usize) {
        self.sent += n as u64;
        let part = n.min(self.head.len());
        self.head = &self.head[part..];
        n -= part;
        if self.piece.is_empty() {
            let part = n.min(self.tail.len());
            self.tail = &self.tail[part..];
            n -= part;
        }
        let part = n.min(self.frame.len());
        self.frame.drain(..part);
        n -= part;
        if !self.piece.is_empty() {
            let part = n.min(self.piece.len());
            self.piece = self.piece.slice(part..);
            n -= part;
            let part = n.min(self.tail.len());
            self.tail = &self.tail[part..];
        }
    }

    /// Takes the next piece of the body, with its framing.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, BodyError> {
        let Some(body) = self.body.as_mut() else { return Ok(Poll::Ready(())) };
        if !self.tail.is_empty() {
            return Ok(Poll::Ready(())); // what ends the last piece goes first
        }
        match body.poll_piece(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(piece) => match piece? {
                // A chunk of no bytes would end the body.
                Some(piece) if piece.is_empty() => {}
                Some(piece) => {
                    if self.chunked {
                        write::chunk_size(&mut self.frame, piece.len());
                        self.tail = b"\r\n";
                    }
                    self.piece = piece;
                }
                None => {
                    if self.chunked {
                        write::last_chunk(&mut self.frame, body.trailers());
                    }
                    self.drawn = true;
                }
            },
        }
        Ok(Poll::Ready(()))
    }
}
