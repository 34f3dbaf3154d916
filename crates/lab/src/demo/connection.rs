//! Connections to the node, over each of which one request goes out at a time and its answer is read whole.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wire::framing::{Length, keeps_alive, of_answer};
use wire::{Limits, Method, ResponseHead};

use super::lock;

/// How long a kept connection may be unused; well below what the node allows.
const KEPT: Duration = Duration::from_secs(20);
/// The longest body of an answer.
const BODY: u64 = 64 << 10;
/// The largest head of an answer.
const HEAD: Limits = Limits { bytes: 16 << 10, fields: 64 };

/// Those of some users, kept between their requests.
pub struct Connections {
    node: SocketAddr,
    kept: Mutex<Vec<Connection>>,
}

impl Connections {
    /// None yet.
    pub fn to(node: SocketAddr) -> Connections {
        Connections { node, kept: Mutex::default() }
    }

    /// Sends a whole request and reads what is wanted from the head and the body of its answer.
    ///
    /// # Errors
    /// There is no connection, or as for [`Connection::exchange`].
    pub async fn exchange<T>(
        &self,
        method: Method,
        request: &[u8],
        read: impl FnOnce(&ResponseHead, &[u8]) -> T,
    ) -> io::Result<T> {
        let mut connection = match self.kept() {
            Some(kept) => kept,
            None => Connection::to(self.node).await?,
        };
        let (head, body) = connection.exchange(method, request).await?;
        let wanted = read(head, body);
        if connection.keeps_alive() {
            lock(&self.kept).push(connection);
        }
        Ok(wanted)
    }

    /// Closes those that are kept.
    pub fn close(&self) {
        lock(&self.kept).clear();
    }

    fn kept(&self) -> Option<Connection> {
        lock(&self.kept).pop().filter(Connection::is_young)
    }
}

/// A connection, and the answer that came last.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    head: ResponseHead,
    used: Instant,
}

impl Connection {
    /// A new one.
    ///
    /// # Errors
    /// What the system says.
    pub async fn to(node: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(node).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new(), head: ResponseHead::default(), used: Instant::now() })
    }

    /// Sends a whole request and gives the answer's head and body.
    ///
    /// # Errors
    /// The answer broke off, is too large or has no length.
    pub async fn exchange(&mut self, method: Method, request: &[u8]) -> io::Result<(&ResponseHead, &[u8])> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let start = loop {
            if let Some(end) = self.head.read(&self.buffer, HEAD).map_err(io::Error::other)? {
                break end;
            }
            self.read().await?;
        };
        let length = match of_answer(&self.head, method).map_err(io::Error::other)? {
            Length::Exact(length) if length <= BODY => length as usize,
            _ => return Err(io::Error::other("nobody here answers so")),
        };
        while self.buffer.len() < start + length {
            self.read().await?;
        }
        self.used = Instant::now();
        let body = self.buffer.get(start..start + length).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((&self.head, body))
    }

    /// May another request follow the last answer?
    fn keeps_alive(&self) -> bool {
        keeps_alive(self.head.version, &self.head.fields)
    }

    /// Is it sure to be still open?
    fn is_young(&self) -> bool {
        self.used.elapsed() < KEPT
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
