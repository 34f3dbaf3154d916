//! After an upgrade: two connections joined, bytes passed both ways till both have ended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use upstream::client::{Deadline, Inbox};
use upstream::{Lease, Permit};

/// The longest silence in both directions; WebSocket peers ping far more often.
const IDLE: Duration = Duration::from_secs(3600);

/// An endpoint's side of a tunnel, and what it holds as long as it lasts.
pub(crate) struct Tunnel {
    pub(crate) stream: TcpStream,
    /// What the endpoint sent behind its 101.
    pub(crate) rest: Bytes,
    pub(crate) _lease: Lease,
    pub(crate) _permit: Permit,
}

/// One direction.
struct Lane<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    inbox: Inbox,
    piece: Bytes,
    ended: bool,
    closed: bool,
}

/// Passes bytes till both sides have closed, one broke, or nothing moved for [`IDLE`]. `early`: what
/// the client sent behind its request.
pub(crate) async fn run(mut client: TcpStream, early: Bytes, mut tunnel: Tunnel) {
    let (client_read, client_write) = client.split();
    let (endpoint_read, endpoint_write) = tunnel.stream.split();
    let mut up = Lane::new(client_read, endpoint_write, early);
    let mut down = Lane::new(endpoint_read, client_write, tunnel.rest);
    let mut deadline = Deadline::new();
    deadline.set(IDLE);
    std::future::poll_fn(|cx| {
        let mut moved = false;
        let polled = (up.poll(cx, &mut moved), down.poll(cx, &mut moved));
        if moved {
            deadline.set(IDLE);
        }
        match polled {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            _ => deadline.poll_over(cx),
        }
    })
    .await;
}

impl<'a> Lane<'a> {
    fn new(from: ReadHalf<'a>, to: WriteHalf<'a>, piece: Bytes) -> Self {
        Lane { from, to, inbox: Inbox::default(), piece, ended: false, closed: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<io::Result<()>> {
        loop {
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            while !self.piece.is_empty() {
                let n = ready!(Pin::new(&mut self.to).poll_write(cx, &self.piece))?;
                *moved = true;
                self.piece.advance(n);
            }
            if self.ended {
                ready!(Pin::new(&mut self.to).poll_shutdown(cx))?;
                self.closed = true;
                continue;
            }
            self.piece = Bytes::new();
            match ready!(self.inbox.poll_fill(cx, &mut self.from))? {
                0 => self.ended = true,
                _ => self.piece = self.inbox.split(usize::MAX),
            }
        }
    }
}
