//! Users at work: requests that come when they come, whether or not earlier ones were answered.
//!
//! A request's time counts from when it was to be sent, so a slow answer can't hide the requests that
//! wait behind it (coordinated omission). Both sides get the same requests at the same moments, each
//! over connections of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::Method;

use super::connection::Connections;
use super::content::PICTURES;
use super::network::ENDPOINTS;
use super::shop::SERVED_BY;
use super::tally::{How, Met, Tally};
use super::{chance, lock};

/// Requests of one side that may be under way; more count as failed.
const MOST: u32 = 1000;
/// How long a user waits; then the request counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The users of one side.
pub struct Crowd {
    node: SocketAddr,
    /// What their paths begin with.
    side: &'static str,
    room: Arc<Semaphore>,
    connections: Connections,
    tally: Mutex<Tally>,
}

impl Crowd {
    /// Users who ask the node for what is below `side`.
    pub fn new(node: SocketAddr, side: &'static str) -> Arc<Crowd> {
        Arc::new(Crowd {
            node,
            side,
            room: Arc::new(Semaphore::new(MOST as usize)),
            connections: Connections::to(node),
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
        self.connections.close();
    }

    /// Asks for each picture once. What was never stored could not be served when its endpoint is dead.
    pub async fn fetch_pictures(self: &Arc<Self>) {
        let mut asked = JoinSet::new();
        for index in 0..PICTURES.count {
            let (crowd, path) = (self.clone(), PICTURES.item(index));
            asked.spawn(async move { timeout(PATIENCE, crowd.ask(&path)).await });
        }
        // One that fails now is news later, when a user misses it.
        while asked.join_next().await.is_some() {}
    }

    /// Asks for what is at this path; its time counts from `due`.
    pub fn send(self: &Arc<Self>, due: Instant, path: &Arc<str>, runtime: &Handle) {
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            return lock(&self.tally).note(None, due.elapsed());
        };
        let (crowd, path) = (self.clone(), path.clone());
        runtime.spawn(async move {
            let answer = timeout(PATIENCE, crowd.ask(&path)).await;
            let met = answer.ok().and_then(Result::ok).flatten();
            lock(&crowd.tally).note(met, due.elapsed());
            drop(place);
        });
    }

    /// What came; none: it was no good answer.
    async fn ask(&self, path: &str) -> io::Result<Option<Met>> {
        let request = format!("GET {}{path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.side, self.node);
        self.connections
            .exchange(Method::Get, request.as_bytes(), |head, body| {
                let name = head.fields.get_named(SERVED_BY.as_bytes()).filter(|_| head.status == 200);
                let by = ENDPOINTS.iter().position(|endpoint| Some(endpoint.name.as_bytes()) == name)?;
                let how = How::told(head.fields.get_named(b"cache-status"));
                Some(Met { by, how, bytes: body.len() as u64 })
            })
            .await
    }
}

/// Brings the arrivals, on a thread of its own: it sleeps more exactly than a runtime's timer. Dropped,
/// they end; the last one may still be on its way.
pub struct Arrivals {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Arrivals {
    /// Calls `come` with the time that is due, so often in a second, in a runtime: that of the caller.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(rate: f64, mut come: impl FnMut(Instant, &Handle) + Send + 'static) -> io::Result<Arrivals> {
        let over = Arc::new(AtomicBool::new(false));
        let (runtime, stop) = (Handle::current(), over.clone());
        let thread = std::thread::Builder::new().name("users".into()).spawn(move || {
            let mut due = Instant::now();
            while !stop.load(Relaxed) {
                due += chance::gap(rate, fastrand::f64());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                come(due, &runtime);
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
