//! One connection to an endpoint.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::buffer::Inbox;
use super::deadline::Deadline;
use super::exchange::Failed;

/// A connection and what has arrived on it.
pub struct Conn {
    pub(crate) stream: TcpStream,
    address: SocketAddr,
    pub(crate) inbox: Inbox,
    pub(crate) deadline: Deadline,
    /// Exchanges before this one; a kept connection may have been closed meanwhile by the endpoint.
    pub(crate) used: u32,
}

impl Conn {
    /// Connects within `limit`.
    ///
    /// # Errors
    /// [`Failed::Connect`] or [`Failed::ConnectTimeout`]; nothing was sent.
    pub async fn open(address: SocketAddr, limit: Duration) -> Result<Conn, Failed> {
        let mut deadline = Deadline::new();
        deadline.set(limit);
        let mut connecting = std::pin::pin!(TcpStream::connect(address));
        let stream = match deadline.limit(|cx| connecting.as_mut().poll(cx)).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return Err(Failed::Connect(error)),
            None => return Err(Failed::ConnectTimeout),
        };
        stream.set_nodelay(true).map_err(Failed::Connect)?;
        deadline.clear();
        Ok(Conn { stream, address, inbox: Inbox::default(), deadline, used: 0 })
    }

    /// Where it leads.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Is it open, with nothing arrived that nobody asked for? Costs a system call only if the
    /// runtime has seen something.
    pub(crate) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.inbox.is_empty() {
            return false;
        }
        match self.stream.poll_read_ready(cx) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            Poll::Ready(Ok(())) => {
                let read = self.stream.try_read(&mut [0; 1]);
                matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }

    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbox.poll_fill(cx, &mut self.stream)
    }

    /// Its stream and the bytes that arrived beyond the answer's head: a tunnel, after 101.
    pub fn into_tunnel(self) -> (TcpStream, bytes::Bytes) {
        let mut inbox = self.inbox;
        let rest = inbox.split(usize::MAX);
        (self.stream, rest)
    }
}
