//! Users at work: requests that come when they come, whether or not earlier ones were answered.
//!
//! A request's time counts from when it was to be sent, so a slow answer can't hide the requests that
//! wait behind it (coordinated omission). Both sides get the same arrivals at the same moments, each
//! over connections of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wire::framing::{Length, keeps_alive, of_answer};
use wire::{Limits, Method, ResponseHead};

use super::chance;
use super::endpoint::SERVED_BY;
use super::network::ENDPOINTS;
use super::tally::Tally;

/// Requests of one side that may be under way; more count as failed.
const MOST: u32 = 1000;
/// How long a user waits; then the request counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a kept connection may be unused; well below what the node allows.
const KEPT: Duration = Duration::from_secs(20);
/// The longest body of an answer.
const BODY: u64 = 64 << 10;
/// The largest head of an answer.
const HEAD: Limits = Limits { bytes: 16 << 10, fields: 64 };

/// The users of one side.
pub struct Crowd {
    node: SocketAddr,
    request: String,
    room: Arc<Semaphore>,
    kept: Mutex<Vec<Connection>>,
    tally: Mutex<Tally>,
}

impl Crowd {
    /// Users who ask the node for `path`.
    pub fn new(node: SocketAddr, path: &str) -> Arc<Crowd> {
        Arc::new(Crowd {
            node,
            request: format!("GET {path} HTTP/1.1\r\nHost: {node}\r\n\r\n"),
            room: Arc::new(Semaphore::new(MOST as usize)),
            kept: Mutex::default(),
            tally: Mutex::default(),
        })
    }

    /// What they have met so far.
    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Waits for what is under way, and closes their connections.
    pub async fn leave(&self) {
        let _ = self.room.acquire_many(MOST).await;
        lock(&self.kept).clear();
    }

    fn send(self: &Arc<Self>, due: Instant, runtime: &Handle) {
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            return lock(&self.tally).note(None, due.elapsed());
        };
        let crowd = self.clone();
        runtime.spawn(async move {
            let answer = timeout(PATIENCE, crowd.ask()).await;
            let by = answer.ok().and_then(Result::ok).flatten();
            lock(&crowd.tally).note(by, due.elapsed());
            drop(place);
        });
    }

    /// Who answered; none: it was no good answer.
    async fn ask(&self) -> io::Result<Option<usize>> {
        let mut connection = match self.kept() {
            Some(kept) => kept,
            None => Connection::to(self.node).await?,
        };
        let (by, keep) = connection.exchange(self.request.as_bytes()).await?;
        if keep {
            connection.used = Instant::now();
            lock(&self.kept).push(connection);
        }
        Ok(by)
    }

    fn kept(&self) -> Option<Connection> {
        let last = lock(&self.kept).pop()?;
        (last.used.elapsed() < KEPT).then_some(last)
    }
}

/// A user's connection to the node.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    head: ResponseHead,
    used: Instant,
}

impl Connection {
    async fn to(node: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(node).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new(), head: ResponseHead::default(), used: Instant::now() })
    }

    /// Sends a GET. Tells who answered, if it was a good answer, and whether the connection can be kept.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<(Option<usize>, bool)> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(end) = self.head.read(&self.buffer, HEAD).map_err(io::Error::other)? {
                break end;
            }
            self.read().await?;
        };
        let body = match of_answer(&self.head, Method::Get).map_err(io::Error::other)? {
            Length::Exact(length) if length <= BODY => length as usize,
            _ => return Err(io::Error::other("no endpoint here answers so")),
        };
        while self.buffer.len() < head + body {
            self.read().await?;
        }
        let fields = &self.head.fields;
        let name = fields.get_named(SERVED_BY.as_bytes()).filter(|_| self.head.status == 200);
        let by = ENDPOINTS.iter().position(|endpoint| Some(endpoint.name.as_bytes()) == name);
        Ok((by, keeps_alive(self.head.version, fields)))
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Brings the arrivals, on a thread of its own: it sleeps more exactly than a runtime's timer. Dropped,
/// they end; the last one may still be on its way.
pub struct Arrivals {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Arrivals {
    /// Sends `rate` requests a second to each side, on the runtime that this is called in.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut sides: [Arc<Crowd>; 2], rate: f64) -> io::Result<Arrivals> {
        let over = Arc::new(AtomicBool::new(false));
        let (runtime, stop) = (Handle::current(), over.clone());
        let thread = std::thread::Builder::new().name("users".into()).spawn(move || {
            let mut due = Instant::now();
            while !stop.load(Relaxed) {
                due += chance::gap(rate, fastrand::f64());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                sides.iter().for_each(|crowd| crowd.send(due, &runtime));
                // Neither side is always the second.
                sides.reverse();
            }
        })?;
        Ok(Arrivals { over, thread: Some(thread) })
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended as well, and its panic was printed.
            let _ = thread.join();
        }
    }
}

/// Each change under these locks is whole, so what a panic left is as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
