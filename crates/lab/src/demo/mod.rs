//! One node with a cache and a queue, five example endpoints of different speed, two of which die and return,
//! as does the warehouse that the queue delivers to, and users at work; beside it the same users with endpoints
//! of the same kind, chosen at random, uncached.
//!
//! Everything is real, with sockets, in this process; both sides run at the same time and every
//! number is measured at the users and the endpoints. Pure: `chance`, `content`, `histogram`, `network`,
//! `orders`, `tally`, [`screen`].

mod buyers;
mod chance;
mod connection;
mod content;
mod endpoint;
mod histogram;
mod network;
mod operator;
mod orders;
pub mod screen;
mod shop;
mod stage;
mod tally;
mod users;
mod view;
mod warehouse;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::Report;
use node::StartError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};

use self::chance::Script;
pub use self::orders::Orders;
use self::stage::Stage;
pub use self::tally::{EndpointWork, Part, Side};
pub use self::view::{CacheRow, Happening, Moment, Opened, Row, Summary, View};

/// Time from one [`View`] to the next.
pub const TICK: Duration = Duration::from_millis(500);
/// How often the mortal endpoints die, if the demo is long or has no end.
const CYCLE: Duration = Duration::from_secs(30);
/// In a demo of at most this length they die once.
const SHORT: Duration = Duration::from_secs(60);

/// How the demo runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How long; none: till it is interrupted.
    pub length: Option<Duration>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An example endpoint.
    #[error("an example endpoint can't listen: {0}")]
    Endpoint(io::Error),
    /// The folder that keeps the queue.
    #[error("there is no place for the queue: {0}")]
    Folder(io::Error),
    /// A thread or the event loop.
    #[error("the system refuses a thread: {0}")]
    Thread(#[from] io::Error),
    /// Its own configuration.
    #[error("the demo's configuration does not hold:\n{0}")]
    Plan(Report),
    /// Its node.
    #[error("the node can't start: {0}")]
    Node(#[from] StartError),
}

/// Runs the demo till its time is over or SIGINT or SIGTERM comes, and shows what happens meanwhile.
///
/// # Errors
/// [`DemoError`]; nothing is left running.
pub fn run(options: Options, show: &mut dyn FnMut(Moment<'_>)) -> Result<Summary, DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("lab")
        .enable_all()
        .build()?;
    // The node has runtimes of its own, so it starts and stops outside of this one.
    let entered = runtime.enter();
    let mut stage = Stage::set()?;
    let end = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    drop(entered);
    show(Moment::Opened(&stage.opened));
    let played = runtime.block_on(play(&mut stage, options.length, end, show));
    let summary = played.map(|worked| stage.summary(worked));
    stage.strike();
    summary
}

/// Tells how long users were at work.
async fn play(
    stage: &mut Stage,
    length: Option<Duration>,
    [mut interrupt, mut terminate]: [Signal; 2],
    show: &mut dyn FnMut(Moment<'_>),
) -> Result<Duration, DemoError> {
    stage.checked().await;
    stage.crowds[0].fetch_pictures().await;
    let script = Script::each(length.filter(|&length| length <= SHORT).unwrap_or(CYCLE));
    let arrivals = stage.arrivals()?;
    let began = Instant::now();
    stage.began = began;
    let mut ticks = interval_at((began + TICK).into(), TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let now = began.elapsed();
        stage.live_or_die(script.dead(now))?;
        stage.purge_till(script.purges(now)).await;
        tokio::select! {
            _ = ticks.tick() => {
                stage.ask().await;
                show(Moment::View(&stage.view(length)));
            }
            () = sleep_until((began + script.next(now)).into()) => {}
            () = until(length.map(|length| began + length)) => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    let worked = began.elapsed();
    drop(arrivals);
    stage.close().await;
    tokio::select! {
        caught_up = stage.catch_up() => caught_up?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    show(Moment::View(&stage.view(length)));
    Ok(worked)
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

/// Each change under these locks is whole, so what a panic left is as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
